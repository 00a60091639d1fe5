"""What is looked at while it runs: what arrives at the cloud, what the daemon takes of the machine, what recovers when."""

import collections
import email.utils
import http.client
import json
import os
import threading
import time

from harness import call

LOOK_SECONDS = 0.05
SAMPLE_SECONDS = 0.5
RECORDS_BYTES_MAX = 64 << 20  # the stand-in cloud reads them all at each start


class Arrivals:
    """Reads the stand-in cloud's records as they are written, whoever writes them: it is killed and started again."""

    def __init__(self, path, oracle):
        self.path, self.oracle = path, oracle
        self.offset = 0
        self.count = 0
        self.count_before = 0  # of them, in files that were put aside
        self.lock = threading.Lock()

    def read(self):
        with self.lock:
            return self.read_more()

    def read_more(self):
        """A line without its end is a cloud that was killed: the next start cuts it away."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(4 << 20)
        except FileNotFoundError:
            return 0
        whole = data[:data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self.oracle.arrived(json.loads(line))
            self.count += 1
        self.offset += len(whole)
        return len(whole)

    def read_all(self):
        while self.read():
            pass

    def put_aside(self):
        """While there is no cloud: it begins with a new file where the old one is large. The last one is kept."""
        self.read_all()
        with self.lock:
            if self.offset > RECORDS_BYTES_MAX:
                os.replace(self.path, self.path + ".before")
                self.offset, self.count_before = 0, self.count

    def count_of_this_file(self):
        return self.count - self.count_before


class Recovery:
    """How long it takes until something flows again, counted from the moment when nothing holds that path up any more."""

    def __init__(self, probes):
        self.probes = probes  # path: a count that rises with each that passes
        self.active = collections.Counter()
        self.waiting = {}  # path: [kinds that ended, since, the count then]
        self.seconds = collections.defaultdict(list)  # kind: of each fault
        self.lock = threading.Lock()

    def begin(self, paths):
        with self.lock:
            for path in paths:
                self.active[path] += 1

    def end(self, kind, paths):
        with self.lock:
            for path in paths:
                self.active[path] -= 1
                self.waiting.setdefault(path, [[], None, 0])[0].append(kind)
            self.look()

    def poll(self):
        with self.lock:
            self.look()

    def look(self):
        for path in list(self.waiting):
            kinds, since, count = self.waiting[path]
            if self.active[path] or (path == "twin" and self.active["deliver"]):
                self.waiting[path][1] = None
            elif since is None:
                self.waiting[path][1:] = [time.monotonic(), self.probes[path]()]
            elif self.probes[path]() > count:
                for kind in kinds:
                    self.seconds[kind].append(time.monotonic() - since)
                del self.waiting[path]

    def longest_wait(self):
        """Of what has nothing in its way and does not flow all the same: seconds and path."""
        with self.lock:
            now = time.monotonic()
            return max(((now - since, path) for path, (_, since, _) in self.waiting.items() if since), default=(0, ""))


class Watch(threading.Thread):
    def __init__(self, daemon, machine, oracle, arrivals, recovery):
        super().__init__(daemon=True)
        self.watched, self.machine, self.oracle = daemon, machine, oracle
        self.arrivals, self.recovery = arrivals, recovery
        self.start_time = time.monotonic()
        self.series = {name: [] for name in ("seconds", "acknowledged", "delivered", "backlog", "rss_kib", "descriptors")}
        self.peaks = collections.Counter()
        self.clock = [0, 0]  # the least and most that the daemon's clock was off
        self.stuck = (0, "")
        self.stopping = threading.Event()
        self.failure = None

    def seconds(self):
        return time.monotonic() - self.start_time

    def run(self):
        try:
            next_sample = 0
            while not self.stopping.wait(LOOK_SECONDS):
                self.arrivals.read()
                self.recovery.poll()
                self.stuck = max(self.stuck, self.recovery.longest_wait())
                if self.seconds() >= next_sample:
                    self.sample()
                    next_sample = self.seconds() + SAMPLE_SECONDS
        except Exception as failure:  # pylint: disable=broad-except  # the main thread reports it
            self.failure = f"the watch: {failure!r}"

    def sample(self):
        acknowledged, delivered = self.oracle.acknowledged_count(), self.oracle.delivered
        values = {"seconds": round(self.seconds(), 2), "acknowledged": acknowledged, "delivered": delivered,
                  "backlog": max(0, acknowledged - delivered), **self.of_the_process()}
        for name, value in values.items():
            self.series[name].append(value)
            self.peaks[name] = max(self.peaks[name], value or 0)
        self.look_at_the_clock()
        self.look_at_dead_connections()

    def of_the_process(self):
        try:
            where = f"/proc/{self.watched.process.pid}"
            with open(where + "/status", encoding="ascii") as file:
                text = file.read()
            self.peaks["rss_high_kib"] = max(self.peaks["rss_high_kib"], int(text.split("VmHWM:")[1].split()[0]))
            return {"rss_kib": int(text.split("VmRSS:")[1].split()[0]), "descriptors": len(os.listdir(where + "/fd"))}
        except (OSError, IndexError, AttributeError):  # it was just killed
            return {"rss_kib": None, "descriptors": None}

    def look_at_the_clock(self):
        try:
            date = call(self.watched.admin, "GET", "/health/live").headers["Date"]
            off = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
        except (OSError, http.client.HTTPException, TypeError):
            return
        self.clock = [min(self.clock[0], off), max(self.clock[1], off)]

    def look_at_dead_connections(self):
        seconds = self.machine.given_up_after()
        if seconds is not None:
            self.recovery.seconds["network half-open"].append(seconds)
        self.stuck = max(self.stuck, (self.machine.seconds_dead(), "end of the connections that are half-open"))

    def stop(self):
        self.stopping.set()
        self.join()
        self.arrivals.read_all()
