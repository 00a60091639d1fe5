"""scripts/soak: the real daemon, command and stand-in cloud under every fault this machine can make, and what came of it.

usage: scripts/soak [--minutes M | --hours H] [--seed N] [--out DIR] [--without TRACK,...]

  --minutes M, --hours H   how long faults are made (10 minutes); healing, draining and checking come on top
  --seed N                 the schedule of faults and what clients do; the same seed is the same schedule (random)
  --out DIR                where report.txt, soak.json, soak.png and schedule.json go (run/soak)
  --without TRACK,...      leaves out faults, to find which of them it takes; the others are as before. Tracks: daemon,
                           cloud, network, answers, twin, disk, clock, reload, reader, pause, operator

Clients of several kinds send all the time, and repeat each message with the same Message-Id until it is acknowledged.
Meanwhile the daemon and the cloud are killed, the network is cut, the disk filled, the daemon's clock set, its configuration
reloaded, and the cloud refuses, throttles, and loses answers. At the end all is healed, the queue drains, and an oracle
compares what was acknowledged with what the cloud got. Root can make every fault; what cannot be made is named at the start
and left out.

Exit codes: 0 every promise was kept, 1 one was broken (each has a line, and the logs, the database and the schedule are kept
in DIR/failed-SEED), 2 usage.
"""

import argparse
import collections
import heapq
import http.client
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e")]

# pylint: disable=wrong-import-position
import clients as applications
import plot
import report
import verdict
from faults import Faults
from harness import Cloud, Daemon, wait_for
from machine import Machine
from operator_verbs import Operator
from oracle import Oracle
from schedule import GAPS, KINDS, as_json, schedule
from watch import Arrivals, Recovery, Watch

DRAINED_WITHIN_SECONDS = 120  # and a second for each 100 that wait
FIRST_TWIN = "steady-0-0"


class Soak:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, directory
        self.violations = []
        self.machine = Machine(directory)
        self.machine.lacking.update({track: "--without" for track in arguments.without})
        for track, why in self.machine.lacking.items():
            print(f"soak: no faults of the track {track}: {why}", flush=True)
        self.faults_due = [fault for fault in schedule(arguments.seed, arguments.minutes * 60)
                           if KINDS[fault.kind].track not in self.machine.lacking]
        with open(os.path.join(arguments.out, "schedule.json"), "w", encoding="utf-8") as file:
            plan = {"seed": arguments.seed, "minutes": arguments.minutes, "faults": as_json(self.faults_due)}
            json.dump(plan, file, indent=1)
        self.oracle = Oracle()
        self.cloud = Cloud(directory)
        self.daemon = Daemon(directory, self.cloud)
        for program in (self.cloud, self.daemon):  # they must not outlive us, whatever ends us
            program.wrapper = ["setpriv", "--pdeathsig", "KILL"]
        self.daemon.environment = self.machine.environment()
        if self.machine.mount:
            self.daemon.database = os.path.join(self.machine.mount, "queue.db")
        self.arrivals = Arrivals(os.path.join(self.cloud.state, "records.ndjson"), self.oracle)
        self.recovery = Recovery({"deliver": lambda: self.arrivals.count, "accept": self.oracle.acknowledged_count,
                                  "twin": lambda: len(self.oracle.twins[FIRST_TWIN].arrived)})
        self.watch = self.operator = self.totals = None
        self.clients = []
        self.queued = self.drain_seconds = 0
        self.faults = Faults(self.machine, self.cloud, self.daemon, self.arrivals, self.recovery, FIRST_TWIN)

    def start(self):
        self.faults.start_cloud()
        self.daemon.config["store"] = {"path": self.daemon.database, "min_free": 0}
        self.daemon.config["auth"] = {"kind": "token_file", "token_file": self.faults.token_file}
        self.daemon.config["forward"].update(endpoint=self.cloud.endpoint, connect_timeout="3s",
                                             retry={"initial": "100ms", "max": "2s", "multiplier": 2})
        self.faults.start_daemon()
        self.clients = applications.all_kinds(self.arguments.seed, self.daemon.socket, self.oracle, self.directory)
        self.watch = Watch(self.daemon, self.machine, self.oracle, self.arrivals, self.recovery)
        self.operator = Operator(self.daemon, self.faults, self.oracle, random.Random(f"{self.arguments.seed}/verbs"))
        for thread in (self.watch, self.operator, *self.clients):
            thread.start()

    def make_faults(self):
        """Each at its time, or later: on a slow machine, too, there is a while between two of a track."""
        due = [(fault.begin, number, True, fault) for number, fault in enumerate(self.faults_due)]
        heapq.heapify(due)
        earliest = collections.Counter()  # track: when its next may begin
        while due and due[0][0] < self.arguments.minutes * 60:
            at, number, beginning, fault = heapq.heappop(due)
            self.sleep_until(at)
            track = KINDS[fault.kind].track
            if beginning and self.watch.seconds() < earliest[track]:
                later = earliest[track]
                fault.begin, fault.end = later, later + fault.end - fault.begin
                heapq.heappush(due, (later, number, True, fault))
            elif not beginning:
                self.faults.end(fault)
                earliest[track] = self.watch.seconds() + GAPS[track][0]
            elif fault.kind == "operator":
                self.operator.order()
            elif self.faults.begin(fault):
                heapq.heappush(due, (fault.end, number, False, fault))
                earliest[track] = fault.end + GAPS[track][0]
        self.sleep_until(self.arguments.minutes * 60)
        for _, _, beginning, fault in due:  # what a slow machine has not ended in time
            if not beginning:
                self.faults.end(fault)

    def sleep_until(self, seconds):
        while True:
            for thread in (self.watch, *self.clients):
                if thread.failure:
                    raise AssertionError(thread.failure)
            if not self.daemon.running() and not self.faults.ended_on_purpose:
                raise AssertionError(f"the daemon ended with {self.daemon.process.returncode}:\n{self.daemon.log()[-2000:]}")
            left = seconds - self.watch.seconds()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))

    def drain(self):
        """All faults have ended. What the quarantine holds goes back, for a cloud that is well takes it."""
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(applications.PATIENCE_SECONDS + 20)
            if client.failure or client.is_alive():
                raise AssertionError(client.failure or f"{client.name} has no 204")
        self.operator.stop()
        begin = time.monotonic()
        self.wait_until_empty()
        while sequences := self.operator.list_quarantine():
            self.operator.ask("quarantine", "retry", "--yes", *sequences[:500])
            self.wait_until_empty()
        self.drain_seconds = time.monotonic() - begin
        status = self.daemon.status()
        self.totals, self.queued = status["totals"], status["queue"]["messages"]
        self.operator.ask("check", "--deep")
        wait_for("the records of what was delivered",
                 lambda: self.arrivals.count_of_this_file() >= self.cloud.stats()["accepted"])

    def wait_until_empty(self):
        waiting = self.daemon.status()["queue"]["messages"]
        self.daemon.wait_until_drained(DRAINED_WITHIN_SECONDS + waiting / 100)

    def run(self):
        try:
            self.start()
            self.make_faults()
            self.drain()
            self.watch.stop()
            status = self.daemon.terminate()
            if status != 0:
                self.violations.append(f"the last stop ended with {status}")
            self.oracle.check_totals(self.totals, self.queued)
        except AssertionError as failure:  # stuck, or dead: the oracle then judges what there is
            self.violations.append(str(failure))
            self.abandon()

    def abandon(self):
        if self.watch:
            self.watch.stop()  # what nobody serves any more is not stuck
        try:
            with open(os.path.join(self.directory, "status.json"), "w", encoding="utf-8") as file:
                json.dump(self.daemon.status(), file, indent=1)
        except (OSError, http.client.HTTPException, AssertionError):
            pass  # it is dead
        for program in (self.daemon, self.cloud):
            program.kill()
        for client in self.clients:
            client.abandoned = True
            client.stopping.set()
        for client in self.clients:
            client.join()
        if self.operator and self.operator.is_alive():
            self.operator.stop()
        self.arrivals.read_all()
        self.faults.end_reader()
        if self.machine.mount:
            self.machine.free_disk()
        self.oracle.kept = verdict.held_by(self.daemon.database)

    def tell(self):
        result = verdict.result(self)
        out = self.arguments.out
        print(report.text(result), flush=True)
        if self.watch:
            origin = self.watch.start_time
            done = [(kind, begin - origin, end - origin) for kind, begin, end in self.faults.done]
            report.write(out, result, self.watch.series, done)
            picture = plot.draw(out, self.watch.series, done,
                                f"twinspool soak, seed {self.arguments.seed}: {result['acknowledged']} acknowledged, "
                                f"{result['faults_count']} faults, {len(self.violations)} promises broken")
            print(f"\n  {out}/report.txt, soak.json, {'soak.png' if picture else 'and no plot: gnuplot is missing'}")
        if self.violations:
            for program in (self.daemon, self.cloud):
                program.kill()
            arguments = self.arguments
            leaving = f" --without {','.join(arguments.without)}" if arguments.without else ""
            print(f"  logs, database and schedule of this run: {self.keep()}\n"
                  f"  the same again: scripts/soak --minutes {arguments.minutes:g} --seed {arguments.seed}{leaving}")
        return 1 if self.violations else 0

    def keep(self):
        where = os.path.join(self.arguments.out, f"failed-{self.arguments.seed}")
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(self.directory, where, ignore=shutil.ignore_patterns("image", "hog", "*.sock", "lost+found"))
        shutil.copy(os.path.join(self.arguments.out, "schedule.json"), where)
        return where

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM):  # nothing interrupts the tidying up
            signal.signal(number, signal.SIG_IGN)
        for program in (self.daemon, self.cloud):
            program.kill()
        self.faults.end_reader()
        self.machine.close()


def positive(text):
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def tracks(text):
    names = text.split(",")
    for name in names:
        if name not in GAPS:
            raise argparse.ArgumentTypeError(f"there is no track '{name}'; there are: {', '.join(GAPS)}")
    return names


def parse(words):
    if any(word in ("-h", "--help") for word in words):
        print(__doc__.strip())
        sys.exit(0)
    parser = argparse.ArgumentParser(prog="scripts/soak", add_help=False, allow_abbrev=False,
                                     usage=__doc__.split("usage: ")[1].split("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=positive, default=10.0)
    length.add_argument("--hours", type=positive)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32))
    parser.add_argument("--out", default=os.path.join(HERE, "../../run/soak"))
    parser.add_argument("--without", type=tracks, default=[])
    parser.add_argument("--check-usage", action="store_true", help=argparse.SUPPRESS)  # scripts/soak, before it builds
    arguments = parser.parse_args(words)
    if arguments.check_usage:
        sys.exit(0)
    if arguments.hours:
        arguments.minutes = arguments.hours * 60
    arguments.out = os.path.abspath(arguments.out)
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(arguments.out, exist_ok=True)
    print(f"soak: seed {arguments.seed}, {arguments.minutes:g} minutes", flush=True)
    directory = tempfile.mkdtemp(prefix="ts-")  # short: a socket path has 107 bytes
    soak = None
    try:
        soak = Soak(arguments, directory)
        try:
            soak.run()
            return soak.tell()
        finally:
            soak.close()
    except KeyboardInterrupt:
        print("soak: interrupted; everything is taken away again", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
