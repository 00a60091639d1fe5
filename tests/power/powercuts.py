"""scripts/powercuts: a gateway in a virtual machine whose power is cut under load, again and again, and what came of it.

usage: scripts/powercuts [--rounds N] [--seed N] [--disk KIND,...] [--lying-disk] [--out DIR]

  --rounds N       how many cuts under load (25); about 40 s each, then the queue drains and everything is checked
  --seed N         which cut comes when, and what clients do (random). The machine decides the rest: what was under way
  --disk KIND,...  what becomes of writes that the machine did not flush: kept, lost, some (all three, in turn)
  --lying-disk     a disk that says it has flushed and has not: this run must fail, or it would not see what is lost
  --out DIR        where report.txt and powercuts.json go (run/powercuts)

The machine is Debian 12 with its own kernel, ext4 as Debian makes it, and systemd, which starts the daemon of the package
with its real units. Eight applications send from outside through the message socket and repeat each message with the same
Message-Id until its 204, which is written down outside at once. The cloud is outside, too, and cannot be reached in some
rounds, so that a backlog builds.

A cut is SIGKILL for the whole machine, at a random instant. What its kernel had not written is gone with it. What it had
written and not flushed depends on the disk:

  kept  the disk has it: the plain kill of a virtual machine
  lost  the disk had it in its cache, and has forgotten all of it
  some  the disk has kept any part of it, in any order, of some writes only some sectors

There is little of it most of the time, so lost and some wait as a rule for a moment with up to 32 such writes: in the midst
of a commit, of a checkpoint, of what ext4 writes now and then. Some rounds are cut a second time while the machine starts
again, as a rule in or near the daemon's own start.

After each cut the machine starts, the daemon must be ready by itself, its figures reconcile and `twinspool check --deep` be
clean, and everything goes on. At the end the queue drains, and an oracle compares what was acknowledged with what the cloud
got. Takes root, about 1 GB under $TMPDIR, and the packages that `scripts/setup power` installs.

Exit codes: 0 every promise was kept, 1 one was broken (each has a line, and disk, console and records are kept in
DIR/failed-SEED), 2 usage.
"""

import argparse
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(HERE, "..", name) for name in ("soak", "package", "e2e"))]

# pylint: disable=wrong-import-position
import clients as applications
import image
from box import ROOT
from guest import DIE_WITH_US, HOST, Guest
from harness import Cloud, wait_for
from oracle import Oracle
from report import PROMISES, table
from watch import Arrivals

DEBS = os.environ.get("TWINSPOOL_DEBS", os.path.join(ROOT, "build/package/amd64"))
CONNECTIONS = 24
UNRECORDED_MAX = 256  # answers that the daemon may have, and not yet have recorded (ARCHITECTURE.md)
LOAD_SECONDS = (3, 15)
ACKNOWLEDGED_MIN = 50  # since the start, before there is a cut
START_IS_CUT = 0.25  # of the rounds have another cut in the start that follows
SLOW_SECONDS_MAX = 1800  # without any progress; the host may be busy, or all of this stopped for a while
DISKS = ("kept", "lost", "some")
UNFLUSHED = (0, 1, 2, 3, 5, 8, 16, 32)  # so many writes the disk has to lose; 0: as many as it happens to have
CLOUDS = ("reachable", "reachable", "cut off", "comes back", "goes away")


def deck(kinds, dice):
    """All kinds soon, in no order."""
    while True:
        yield from dice.sample(kinds, len(kinds))


class PowerCuts:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, directory
        self.dice = random.Random(f"{arguments.seed}/rounds")
        clouds = ["cut off"] if arguments.lying_disk else CLOUDS  # what has arrived cannot be lost any more
        self.disks, self.clouds, self.unflushed = (deck(kinds, self.dice) for kinds in (arguments.disk, clouds, UNFLUSHED))
        self.oracle = Oracle()
        self.cloud = Cloud(directory)
        self.cloud.wrapper = DIE_WITH_US
        self.arrivals = Arrivals(os.path.join(self.cloud.state, "records.ndjson"), self.oracle)
        self.guest = None
        self.clients = []
        self.cloud_is_up = True
        self.rounds = []
        self.starts = []  # of the machine
        self.cuts_of_starts = []
        self.repeats_max = 0
        self.marks = []  # after each cut: how many messages of each twin were acknowledged
        self.violations = []
        self.totals, self.queued, self.drain_seconds = None, 0, 0

    # The parts

    def prepare(self):
        self.cloud.start()
        self.say("making the machine")
        configuration = {
            "store": {"dedup_window": "1d"},  # so long may a start take where the host is stopped
            "forward": {"endpoint": f"https://{HOST}:{self.cloud.port}", "connections": CONNECTIONS,
                        "retry": {"initial": "100ms", "max": "2s", "multiplier": 2},
                        "tls": {"ca_file": "/etc/twinspool/cloud-ca.pem", "server_name": "127.0.0.1"}}}
        kernel = image.kernel()
        disk = image.disk_image(package(), configuration, self.cloud.ca_file, self.directory)
        self.guest = Guest(self.directory, glob.glob(os.path.join(kernel, "boot/vmlinuz*"))[0],
                           image.first_system(kernel, self.directory), disk, self.arguments.lying_disk)
        applications.PATIENCE_SECONDS = 2 * SLOW_SECONDS_MAX
        self.clients = applications.all_kinds(self.arguments.seed, ("127.0.0.1", self.guest.port), self.oracle, self.directory)

    def say(self, text):
        print(f"powercuts: {text}", flush=True)

    def cloud_up(self, up):
        if up == self.cloud_is_up:
            return
        self.cloud_is_up = up
        (self.cloud.up if up else self.cloud.down)()
        self.repeats_max += CONNECTIONS

    def look(self):
        self.arrivals.read()
        for client in self.clients:
            assert not client.failure, client.failure

    def wait_for(self, what, probe):
        """While there is progress of any kind, it may last."""
        seen, since = None, time.monotonic()
        while not probe():
            self.guest.must_run()
            self.look()
            now = (self.oracle.acknowledged_count(), self.arrivals.count)
            if now != seen:
                seen, since = now, time.monotonic()
            assert time.monotonic() - since < SLOW_SECONDS_MAX, f"waited {SLOW_SECONDS_MAX} s for {what}, in vain"
            time.sleep(0.05)

    # A start

    def start(self):
        """Until the daemon is ready: what it took, and what it says of its store."""
        before = self.oracle.acknowledged_count()
        self.guest.boot(f"{self.arguments.seed}/{self.guest.boots}")
        self.guest.wait_until_mounted()
        self.guest.wait_until_up()
        facts = dict(line.split("=", 1) for line in self.guest.must(
            "systemctl show twinspoold -p ActiveState -p NRestarts -p ExecMainStartTimestampMonotonic "
            "-p ActiveEnterTimestampMonotonic").split())
        assert (facts["ActiveState"], facts["NRestarts"]) == ("active", "0"), \
            f"the daemon did not start by itself: {facts}\n{self.guest.console()[-4000:]}"
        began, ready = (int(facts[name + "TimestampMonotonic"]) / 1e6 for name in ("ExecMainStart", "ActiveEnter"))
        self.wait_for("a 204", lambda: self.oracle.acknowledged_count() > before)
        self.starts.append({"ready_after_boot_seconds": round(ready, 2), "daemon_start_seconds": round(ready - began, 2),
                            "first_204_seconds": round(time.monotonic() - self.guest.began, 1),
                            "cpu_seconds": round(self.guest.cpu_seconds(), 1)})
        self.check()

    def check(self):
        status = self.guest.status()
        totals, queued = status["totals"], status["queue"]["messages"]
        if totals["accepted"] != queued + totals["delivered"] + totals["quarantined"] + totals["dropped"]:
            self.oracle.found("books", f"after start {self.guest.boots}: {totals}, queued {queued}")
        if status["state"] == "degraded":
            self.violations.append(f"degraded after start {self.guest.boots}: {json.dumps(status)[:1000]}")
        wrong, text = self.guest.sh("twinspool check --deep")
        if wrong:
            self.violations.append(f"check --deep after start {self.guest.boots}: {text}")

    # A round

    def round(self, number):
        """Load until the cut, and perhaps another cut of the start that follows."""
        cloud, disk = next(self.clouds), next(self.disks)
        seconds, turn = self.dice.uniform(*LOAD_SECONDS), self.dice.random()
        start_is_cut, moment = self.dice.random() < START_IS_CUT, self.dice.uniform(0.6, 1.1)
        start_disk = next(self.disks) if start_is_cut else None
        self.cloud_up(cloud in ("reachable", "goes away"))
        before = self.oracle.acknowledged_count()
        self.start()
        began = time.monotonic()
        self.load(seconds * turn, before, ACKNOWLEDGED_MIN * turn)
        self.cloud_up(cloud in ("reachable", "comes back"))
        self.load(seconds * (1 - turn), before, ACKNOWLEDGED_MIN)
        fates = self.cut(disk)
        acknowledged = self.oracle.acknowledged_count()
        self.rounds.append({"round": number, "disk": disk, "cloud": cloud, "load_seconds": round(time.monotonic() - began, 2),
                            "acknowledged": acknowledged - before, "acknowledged_in_all": acknowledged,
                            "waiting": acknowledged - self.oracle.delivered, **fates, **self.starts[-1]})
        self.say(progress(self.rounds[-1], self.arguments.rounds))
        if start_is_cut:
            self.cut_start(start_disk, moment)

    def load(self, seconds, before, least):
        self.look()
        until = time.monotonic() + seconds
        self.wait_for("load", lambda: time.monotonic() > until and self.oracle.acknowledged_count() - before >= least)

    def cut(self, disk):
        fates = self.guest.cut(disk, 0 if disk == "kept" else next(self.unflushed))
        self.repeats_max += CONNECTIONS + UNRECORDED_MAX
        time.sleep(0.2)  # clients read what had been sent to them
        self.arrivals.read_all()
        self.marks.append({name: len(twin.numbers) for name, twin in self.oracle.twins.items()})
        return fates

    def cut_start(self, disk, moment):
        """At a part of the time that starts have taken until the daemon was ready."""
        self.guest.boot(f"{self.arguments.seed}/{self.guest.boots}")
        self.guest.wait_until_mounted()
        lasting = sorted(start["first_204_seconds"] for start in self.starts)
        at = self.guest.began + moment * lasting[len(lasting) // 2]
        while time.monotonic() < at:
            self.look()
            time.sleep(0.01)
        fates = self.cut(disk)
        after = time.monotonic() - self.guest.began
        self.cuts_of_starts.append({"disk": disk, "after_seconds": round(after, 1), **fates})
        self.say(f"  its start is cut after {after:.1f} s; disk {disk}, {cache(fates)}")

    # The end

    def finish(self):
        """What waits is delivered, and the machine ends as it should."""
        self.say("the last start; the queue drains")
        self.cloud_up(True)
        self.start()
        begin = time.monotonic()
        for client in self.clients:
            client.stopping.set()
        self.wait_for("the last 204s", lambda: not any(client.is_alive() for client in self.clients))
        self.look()
        self.wait_for("an empty queue", lambda: self.guest.status()["queue"]["messages"] == 0)
        self.drain_seconds = time.monotonic() - begin
        self.check()
        status = self.guest.status()
        self.totals, self.queued = status["totals"], status["queue"]["messages"]
        if status["totals"]["quarantined"]:
            self.violations.append(f"{self.totals['quarantined']} in the quarantine, though the cloud refused nothing")
        wait_for("the records of what was delivered", lambda: self.arrivals.read() == 0 and
                 self.arrivals.count >= self.cloud.stats()["accepted"])
        self.guest.power_off()
        found = subprocess.run(["e2fsck", "-fn", self.guest.image], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            self.violations.append(f"the file system is not clean at the end: {found.stdout[-1000:]}")

    def run(self):
        try:
            self.prepare()
            for client in self.clients:
                client.start()
            for number in range(1, self.arguments.rounds + 1):
                self.round(number)
            self.finish()
            self.oracle.check_totals(self.totals, self.queued)
        except AssertionError as failure:  # the oracle then judges what there is
            self.violations.append(str(failure))
            self.abandon()

    def abandon(self):
        for client in self.clients:
            client.abandoned = True
            client.stopping.set()
        if self.guest:
            self.guest.close()
        for client in self.clients:
            if client.is_alive():
                client.join()
        self.arrivals.read_all()

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM):  # nothing interrupts the tidying up
            signal.signal(number, signal.SIG_IGN)
        self.abandon()
        self.cloud.kill()

    # What came of it

    def when(self, name):
        """The round in which that message was acknowledged."""
        twin, _, number = name.rpartition(":")
        place = self.oracle.twins[twin].numbers.index(int(number))
        cut = next((n for n, mark in enumerate(self.marks) if place < mark[twin]), len(self.marks))
        return f"{name} (acknowledged before cut {cut + 1} of {len(self.marks)})"

    def result(self):
        findings = self.oracle.verdict()
        if self.totals is None:  # it did not come to the end: what has not arrived may be on the disk
            findings = [finding for finding in findings if finding.promise not in ("lost", "never acknowledged")]
        for promise, count, examples in findings:
            shown = [self.when(example) for example in examples] if promise == "lost" else examples
            self.violations.append(f"{promise}: {count}, such as {'; '.join(shown)}")
        if self.oracle.repeats > self.repeats_max:
            self.violations.append(f"needless repeats: {self.oracle.repeats}, at most {self.repeats_max} could be")
        return {
            "seed": self.arguments.seed, "disk": self.arguments.disk, "lying_disk": self.arguments.lying_disk,
            "machine": machine(), "rounds": self.rounds, "starts": self.starts, "cuts_of_starts": self.cuts_of_starts,
            "acknowledged": self.oracle.acknowledged_count(), "delivered": self.oracle.delivered,
            "findings": {finding.promise: finding.count for finding in findings}, "totals": self.totals, "queued": self.queued,
            "repeats": self.oracle.repeats, "repeats_max": self.repeats_max, "drain_seconds": round(self.drain_seconds, 1),
            "violations": self.violations}

    def tell(self):
        result = self.result()
        out = self.arguments.out
        print(text_of(result), flush=True)
        with open(os.path.join(out, "report.txt"), "w", encoding="utf-8") as file:
            file.write(text_of(result) + "\n")
        with open(os.path.join(out, "powercuts.json"), "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
        print(f"\n  {out}/report.txt, powercuts.json")
        if self.violations:
            self.cloud.kill()
            where = os.path.join(out, f"failed-{self.arguments.seed}")
            shutil.rmtree(where, ignore_errors=True)
            subprocess.run(["cp", "-a", "--sparse=always", self.directory, where], check=True)
            print(f"  disk, console and records of this run: {where}")
        return 1 if self.violations else 0


def machine():
    done = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False)
    version = done.stdout.partition("version ")[2].split()[:1]
    return f"QEMU {''.join(version)}, {os.path.basename(image.kernel()).removeprefix('linux-image-')}, {os.cpu_count()} cores"


def cache(fates):
    return (f"{fates['unflushed']} writes not flushed: {fates['kept']} kept, {fates['torn']} torn, {fates['dropped']} lost")


def progress(shown, rounds):
    return (f"round {shown['round']} of {rounds}: ready {shown['ready_after_boot_seconds']:.1f} s after boot, "
            f"load for {shown['load_seconds']:.1f} s, {shown['acknowledged']} acknowledged (cloud {shown['cloud']}), "
            f"{shown['waiting']} waiting; cut, disk {shown['disk']}, {cache(shown)}")


def middle(starts, name):
    values = sorted(start[name] for start in starts)
    return f"{values[len(values) // 2]:.1f} s ({values[0]:.1f} to {values[-1]:.1f})" if values else "-"


def rounds_table(rounds):
    rows = [("unflushed writes", "cuts", "not flushed", "kept", "torn", "lost", "acknowledged", "waited, most")]
    for disk in DISKS:
        of_it = [each for each in rounds if each["disk"] == disk]
        if of_it:
            sums = [sum(each[name] for each in of_it) for name in ("unflushed", "kept", "torn", "dropped", "acknowledged")]
            rows.append((disk, len(of_it), *sums, max(each["waiting"] for each in of_it)))
    return table(rows) if len(rows) > 1 else ["  none"]


def text_of(result):
    starts, totals = result["starts"], result["totals"]
    lines = [f"powercuts: seed {result['seed']}, {len(result['rounds'])} cuts under load, "
             f"{len(result['cuts_of_starts'])} of starts, "
             f"then {result['drain_seconds']} s until the queue was empty ({result['machine']})", ""]
    lines += [*rounds_table(result["rounds"]), "", f"  acknowledged {result['acknowledged']}"]
    lines += [f"  {name} {sum(result['findings'].get(finding, 0) for finding in findings)}" for name, findings in PROMISES]
    if totals:
        sums = result["queued"] + sum(totals[name] for name in ("delivered", "quarantined", "dropped"))
        good = "=" if totals["accepted"] == sums else "is not"
        lines.append(f"  accepted {totals['accepted']} {good} queued {result['queued']} + delivered {totals['delivered']} + "
                     f"quarantined {totals['quarantined']} + dropped {totals['dropped']}")
    lines += [f"  sent to the cloud twice, with the same Message-Id: {result['repeats']} (answers not recorded before a cut; "
              f"at most {result['repeats_max']} could be)",
              f"  {len(starts)} starts: from power to the first 204 {middle(starts, 'first_204_seconds')}, which takes "
              f"{middle(starts, 'cpu_seconds')} of the host's processor;",
              f"  by the machine's clock from the kernel's start until the daemon was ready "
              f"{middle(starts, 'ready_after_boot_seconds')}, of it the daemon's own start "
              f"{middle(starts, 'daemon_start_seconds')}"]
    lines += ["", *[f"  FAILED: {line}" for line in result["violations"]]]
    if not result["violations"]:
        lines[-1:] = ["", "  every promise was kept"]
    return "\n".join(lines)


def package():
    found = sorted(glob.glob(os.path.join(DEBS, "twinspool_*_amd64.deb")), key=os.path.getmtime)
    assert found, f"{DEBS} has no package (scripts/package makes it)"
    return found[-1]


def rounds_count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def disks(text):
    names = text.split(",")
    for name in names:
        if name not in DISKS:
            raise argparse.ArgumentTypeError(f"there is no kind '{name}'; there are: {', '.join(DISKS)}")
    return names


def parse(words):
    if any(word in ("-h", "--help") for word in words):
        print(__doc__.strip())
        sys.exit(0)
    parser = argparse.ArgumentParser(prog="scripts/powercuts", add_help=False, allow_abbrev=False,
                                     usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--rounds", type=rounds_count, default=25)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32))
    parser.add_argument("--disk", type=disks, default=list(DISKS))
    parser.add_argument("--lying-disk", action="store_true")
    parser.add_argument("--out", default=os.path.join(ROOT, "run/powercuts"))
    parser.add_argument("--check-usage", action="store_true", help=argparse.SUPPRESS)  # scripts/powercuts, before it builds
    arguments = parser.parse_args(words)
    if arguments.check_usage:
        sys.exit(0)
    if arguments.lying_disk:
        arguments.disk = ["lost"]
    arguments.out = os.path.abspath(arguments.out)
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reason = image.why_not()
    if reason:
        print(f"powercuts: {reason}", file=sys.stderr)
        return 1
    os.makedirs(arguments.out, exist_ok=True)
    print(f"powercuts: seed {arguments.seed}, {arguments.rounds} rounds", flush=True)
    directory = tempfile.mkdtemp(prefix="ts-")  # short: a socket path has 107 bytes
    try:
        cuts = PowerCuts(arguments, directory)
        try:
            cuts.run()
            return cuts.tell()
        finally:
            cuts.close()
    except KeyboardInterrupt:
        print("powercuts: interrupted; everything is taken away again", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
