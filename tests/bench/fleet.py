"""scripts/bench fleet: what a cloud that takes so many requests a second is asked by 200 gateways after it was away for a
minute; beside the same fleet without jitter and ramp. Everything runs on loopback and in memory (/dev/shm).

usage: scripts/bench fleet [--gateways N] [--limit REQUESTS_A_SECOND] [--outage S] [--after S]

Each gateway is a daemon of its own, to which one message a second is sent for one of four twins. Both fleets run at the same
time, each before a stand-in cloud of its own: twinspoold, and fleet-at-once-bench, which is the same code asked for no jitter
and no ramp. A request beyond the limit of a second is answered 429 with Retry-After: 1. Prints the peak after the return
against the limit, and what was lost; plots bench/results/fleet.png.
"""

import argparse
import contextlib
import heapq
import http.client
import json
import os
import random
import resource
import selectors
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

BIN = os.environ["TWINSPOOL_BIN"]
RESULTS = os.environ["TWINSPOOL_RESULTS"]
TWINS = 4
BEFORE = 10  # seconds of calm


def call(path, method, target):
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(path)
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status not in (200, 204):
        sys.exit(f"bench: {method} {target}: {answer.status} {body!r}")
    return json.loads(body) if body else None


def wait_for(what, probe, seconds=60):
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            sys.exit(f"bench: waited {seconds} s for {what}, in vain")
        time.sleep(0.02)


class Gateway:
    """A daemon, and the application beside it."""

    def __init__(self, fleet, number):
        self.fleet, self.number, self.sent = fleet, number, 0
        self.directory = f"{fleet.directory}/{number}"
        os.mkdir(self.directory)
        self.admin = f"{self.directory}/admin.sock"
        self.config = f"{self.directory}/twinspool.yaml"
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump({"listen": [{"path": f"{self.directory}/t.sock", "mode": "0600", "group": ""}],
                       "admin": {"path": self.admin, "mode": "0600", "group": ""},
                       "store": {"path": f"{self.directory}/queue.db", "min_free": "1MiB", "max_size": "64MiB"},
                       "forward": {"endpoint": fleet.endpoint, "connections": TWINS, "tls": {"ca_file": fleet.ca_file}},
                       "log": {"level": "error"}}, file)

    def start(self):
        with open(f"{self.directory}/log", "wb") as log:
            self.process = subprocess.Popen([f"{BIN}/{self.fleet.program}", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def ready(self):
        if self.process.poll() is not None:
            sys.exit(f"bench: a daemon ended: {open(f'{self.directory}/log', encoding='utf-8').read()}")
        try:
            call(self.admin, "GET", "/health/ready")
            return True
        except OSError:
            return False

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{self.directory}/t.sock")

    def send(self):
        self.sent += 1
        self.message_id = f"{self.number}-{self.sent}"
        body = f'{{"n":{self.sent}}}'
        self.socket.sendall((f"POST /digitaltwins/twin-{self.number}-{self.sent % TWINS}/telemetry?api-version=2023-10-31 HTTP/1.1\r\n"
                             f"Host: localhost\r\nContent-Type: application/json\r\nMessage-Id: {self.message_id}\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n{body}").encode())

    def answered(self):
        answer = self.socket.recv(65536)
        if not answer.startswith(b"HTTP/1.1 204 "):
            sys.exit(f"bench: a daemon answered {answer!r}")
        self.fleet.acknowledged.add(self.message_id)


class Fleet:
    def __init__(self, directory, name, program, arguments):
        self.directory, self.name, self.program = f"{directory}/{name}", name, program
        self.cloud = f"{self.directory}/cloud"
        self.acknowledged = set()
        os.makedirs(self.cloud)
        self.stand_in = subprocess.Popen([f"{BIN}/standin-cloud", "--dir", self.cloud], stdout=subprocess.DEVNULL)
        wait_for("the stand-in cloud", lambda: os.path.exists(f"{self.cloud}/port"))
        self.endpoint = "https://127.0.0.1:" + open(f"{self.cloud}/port", encoding="ascii").read().strip()
        self.ca_file = f"{self.cloud}/ca.pem"
        self.steer("POST", f"/limit?per_second={arguments.limit}&retry_after=1")
        self.gateways = [Gateway(self, number) for number in range(arguments.gateways)]
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            wait_for("a daemon", gateway.ready)
            gateway.connect()

    def steer(self, method, target):
        return call(f"{self.cloud}/control.sock", method, target)

    def accepted(self):
        with open(f"{self.cloud}/records.ndjson", encoding="utf-8") as file:
            return [json.loads(line)["message_id"] for line in file]

    def queued(self):
        ids = set()
        for gateway in self.gateways:
            with contextlib.closing(sqlite3.connect(f"file:{gateway.directory}/queue.db?mode=ro", uri=True)) as queue:
                ids.update(row[0] for row in queue.execute("SELECT message_id FROM queue"))
        return ids

    def end(self):
        for process in [gateway.process for gateway in self.gateways if hasattr(gateway, "process")] + [self.stand_in]:
            process.send_signal(signal.SIGKILL)
            process.wait()


def send_until(fleets, due, end):
    """One message a second to each gateway; `due` holds when the next is."""
    with selectors.DefaultSelector() as selector:
        for fleet in fleets:
            for gateway in fleet.gateways:
                selector.register(gateway.socket, selectors.EVENT_READ, gateway)
        unanswered = 0
        while due[0][0] < end or unanswered > 0:
            now = time.monotonic()
            while due[0][0] <= min(now, end):
                at, number, gateway = heapq.heappop(due)
                gateway.send()
                unanswered += 1
                heapq.heappush(due, (at + 1, number, gateway))
            for key, _ in selector.select(max(0, min(due[0][0] - time.monotonic(), 0.05))):
                key.data.answered()
                unanswered -= 1


def plot(path, series, limit, outage):
    data = f"{path}.dat"
    with open(data, "w", encoding="ascii") as file:
        for _, points in series:
            file.writelines(f"{second} {asked}\n" for second, asked in points)
            file.write("\n\n")
    lines = ", ".join(f"'{data}' index {i} using 1:2 with lines lw 2 title '{name}'" for i, (name, _) in enumerate(series))
    script = (f"set terminal png size 1100,600; set output '{path}'; set xlabel 'seconds since the cloud came back'; "
              f"set ylabel 'requests a second'; set yrange [0:*]; set key top right; set grid; "
              f"set title 'A fleet after {outage:g} s without the cloud'; "
              f"plot {lines}, {limit} with lines dt 2 lc rgb 'black' title 'limit of the cloud', "
              f"{1.5 * limit} with lines dt 3 lc rgb 'gray40' title '1.5 times the limit'")
    subprocess.run(["gnuplot", "-e", script], check=True)
    os.remove(data)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--gateways", type=int, default=200)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--outage", type=float, default=60)
    parser.add_argument("--after", type=int, default=130)
    arguments = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    directory = tempfile.mkdtemp(prefix="fleet-", dir="/dev/shm")
    results = {"gateways": arguments.gateways, "limit": arguments.limit, "outage_seconds": arguments.outage, "fleets": {}}
    fleets, series = [], []
    try:
        for name, program in (("jitter and ramp", "twinspoold"), ("neither", "fleet-at-once-bench")):
            fleets.append(Fleet(directory, name.replace(" ", "-"), program, arguments))
        start = time.monotonic()
        due = [(start + random.random(), (fleet.name, gateway.number), gateway) for fleet in fleets for gateway in fleet.gateways]
        heapq.heapify(due)
        send_until(fleets, due, start + BEFORE)
        for fleet in fleets:
            fleet.steer("POST", "/down")
        send_until(fleets, due, start + BEFORE + arguments.outage)
        returned = {}
        for fleet in fleets:
            fleet.steer("POST", "/up")
            returned[fleet.name] = time.clock_gettime(time.CLOCK_MONOTONIC)  # the stand-in's clock, too
        send_until(fleets, due, start + BEFORE + arguments.outage + arguments.after)
        print(f"{arguments.gateways} gateways, 1 message/s each; limit {arguments.limit} requests/s; away for {arguments.outage:g} s; "
              f"{arguments.after} s watched after that")
        print(f"{'':>16} {'peak/s':>7} {'of limit':>8} {'refused':>8} {'acknowledged':>12} {'at the cloud':>12} {'queued':>7} {'lost':>5} {'twice':>6}")
        for fleet in fleets:
            rates = {rate["second"] - int(returned[fleet.name]): rate for rate in fleet.steer("GET", "/rates")}
            after = range(0, arguments.after)
            peak = max(rates[second]["asked"] for second in after if second in rates)
            refused = sum(rates[second]["refused"] for second in after if second in rates)
            series.append((fleet.name, [(second, rates[second]["asked"] if second in rates else 0) for second in after]))
            queued = fleet.queued()
            accepted = fleet.accepted()  # after the queues were looked at
            lost = len(fleet.acknowledged - set(accepted) - queued)  # what left the queue since is at the cloud
            twice = len(accepted) - len(set(accepted))
            print(f"{fleet.name:>16} {peak:7d} {peak / arguments.limit:8.2f} {refused:8d} {len(fleet.acknowledged):12d} "
                  f"{len(set(accepted)):12d} {len(queued):7d} {lost:5d} {twice:6d}", flush=True)
            results["fleets"][fleet.name] = {"peak": peak, "of_limit": peak / arguments.limit, "refused": refused, "lost": lost,
                                             "acknowledged": len(fleet.acknowledged), "at_the_cloud": len(set(accepted)),
                                             "queued": len(queued), "twice": twice, "asked": series[-1][1]}
    finally:
        for fleet in fleets:
            fleet.end()
        shutil.rmtree(directory, ignore_errors=True)
    plot(os.path.join(RESULTS, "fleet.png"), series, arguments.limit, arguments.outage)
    with open(os.path.join(RESULTS, "fleet.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    print("written: bench/results/fleet.png and fleet.json")


main()
