"""Makes each fault of the schedule, and ends it. What cannot be done at that moment (the cloud is dead) is left out.

Everything here runs on the main thread: the programs die with the thread that started them.
"""

import collections
import os
import signal
import sqlite3
import time

from harness import wait_for

CONNECTIONS_MAX = 24
UNRECORDED_MAX = 256  # answers that the daemon may have, and not yet have recorded (ARCHITECTURE.md)
BAD_FILES = ("forward: {endpoint: 7, nonsense: [", "store: {no_such_key: 1}\n", "forward: {request_timeout: 5 parsecs}\n")
STEPS = {
    "answers 5xx": (("500", "502", "504", "503"), {}),
    "answers lost": (("accept-reset", "ok", "ok", "accept-hang", "ok"), {}),
    "answers cut": (("cut", "ok", "ok", "cut-body", "reset"), {}),
    "answers late": (("slow", "hang", "slow", "ok"), {"delay_ms": 1500}),
    "answers 400": (("ok", "400", "ok", "413"), {"count": 12}),
}


class NotNow(Exception):
    """The fault cannot be made at this moment."""


class Faults:
    def __init__(self, machine, cloud, daemon, arrivals, recovery, missing_twin):
        self.machine, self.cloud, self.daemon = machine, cloud, daemon
        self.arrivals, self.recovery = arrivals, recovery
        self.missing_twin = missing_twin
        self.missing = False
        self.token = 0
        self.token_file = os.path.join(daemon.directory, "token")
        self.counts = collections.Counter()
        self.left_out = collections.Counter()
        self.repeats_max = 0  # how often the cloud may have got something twice because of what was done
        self.starts = []  # seconds until the daemon was ready
        self.broken = []  # what the daemon did that it must not
        self.ended_on_purpose = False  # the daemon is down because of us
        self.reader = None
        self.done = []  # (kind, begin, end) by the clock of time.monotonic()
        self.write_token()

    # Programs

    def write_token(self):
        with open(self.token_file + ".new", "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(f"token-{self.token}\n")
        os.rename(self.token_file + ".new", self.token_file)

    def start_cloud(self):
        missing = ["--missing", self.missing_twin] if self.missing else []
        self.cloud.start("--token", f"token-{self.token}", *missing)

    def start_daemon(self):
        """Ready is what the log says: with a full disk it is not ready to take messages."""
        self.daemon.write_config()
        begin = time.monotonic()
        self.daemon.spawn("--config", self.daemon.config_path)
        wait_for("the daemon to be ready", lambda: "daemon.ready" in self.daemon.log() or not self.daemon.running())
        self.ended_on_purpose = False
        assert self.daemon.running(), f"the daemon ended at its start:\n{self.daemon.log()}"
        self.starts.append(time.monotonic() - begin)

    # Beginning and ending

    def begin(self, fault):
        try:
            self.handler("begin", fault.kind)(fault)
        except (NotNow, OSError):
            self.left_out[fault.kind] += 1
            return False
        fault.began = time.monotonic()
        self.counts[fault.kind] += 1
        self.recovery.begin(fault.paths)
        return True

    def end(self, fault):
        try:
            self.handler("end", fault.kind)(fault)
        except (NotNow, OSError):
            pass  # it ended with the cloud
        self.recovery.end(fault.kind, fault.paths)
        self.done.append((fault.kind, fault.began, time.monotonic()))

    def handler(self, what, kind):
        track = kind.split()[0]
        return getattr(self, f"{what}_{track}", self.nothing)

    def nothing(self, fault):
        pass

    # daemon: killed, or stopped

    def begin_daemon(self, fault):
        self.ended_on_purpose = True
        if fault.kind == "daemon stopped":
            status = self.daemon.terminate()
            if status != 0:
                self.broken.append(f"a clean stop ended with {status}: {self.daemon.log()[-600:]}")
            self.repeats_max += CONNECTIONS_MAX
            return
        self.daemon.kill()
        self.repeats_max += CONNECTIONS_MAX + UNRECORDED_MAX

    def end_daemon(self, fault):
        if fault.kind == "daemon kill -9 while it starts":
            for _ in range(fault.dice.randrange(1, 4)):
                self.daemon.write_config()
                self.daemon.spawn("--config", self.daemon.config_path)
                time.sleep(fault.dice.uniform(0, 0.06))  # anywhere in its start, and shortly behind it
                self.daemon.kill()
                self.repeats_max += CONNECTIONS_MAX + UNRECORDED_MAX
        self.start_daemon()

    # cloud

    def begin_cloud(self, _):
        self.cloud.kill()
        self.repeats_max += CONNECTIONS_MAX

    def end_cloud(self, _):
        self.arrivals.put_aside()
        self.start_cloud()

    # network

    def begin_network(self, fault):
        port = self.cloud.port
        both = (f"tcp dport {port}", f"tcp sport {port}")
        kind = fault.kind.removeprefix("network ")
        self.repeats_max += CONNECTIONS_MAX * 2
        if kind == "dropped":
            self.machine.cut(*[f"{way} drop" for way in both])
        elif kind == "refused (RST)":
            self.machine.cut(f"tcp dport {port} reject with tcp reset")
        elif kind == "refused (ICMP)":
            self.machine.cut(f"tcp dport {port} reject with icmp host-prohibited")
        else:
            self.machine.mend()
            if not self.machine.cut_half_open(port):
                raise NotNow

    def end_network(self, fault):
        if fault.kind != "network half-open":  # that stays until the next cut
            self.machine.mend()

    # answers of the cloud

    def steer(self, what, *arguments, **parameters):
        if not self.cloud.running():
            raise NotNow
        what(*arguments, **parameters)

    def begin_answers(self, fault):
        kind = fault.kind.removeprefix("answers ")
        if kind == "401":
            self.steer(self.cloud.require_token, f"token-{self.token + 1}")
            self.token += 1
        elif kind in ("429", "503"):
            wait = str(fault.dice.randrange(1, 3))
            self.steer(self.cloud.faults, kind, repeat=True, retry_after=wait)
        elif kind == "5xx":
            self.steer(self.cloud.faults, ",".join(fault.dice.choices(STEPS[fault.kind][0], k=50)), repeat=True)
        else:
            names, parameters = STEPS[fault.kind]
            parameters = dict(parameters)
            steps = fault.dice.choices(names, k=parameters.pop("count", 60))
            self.steer(self.cloud.faults, ",".join(steps), **parameters)
            self.repeats_max += len(steps)

    def end_answers(self, fault):
        if fault.kind == "answers 401":
            self.write_token()
        else:
            self.steer(self.cloud.clear_faults)

    def begin_twin(self, _):
        self.steer(self.cloud.missing, self.missing_twin)
        self.missing = True

    def end_twin(self, _):
        self.missing = False
        self.steer(self.cloud.appears, self.missing_twin)

    # the machine

    def begin_disk(self, _):
        self.machine.fill_disk()

    def end_disk(self, _):
        self.machine.free_disk()

    def begin_clock(self, fault):
        self.machine.set_clock_to(fault.kind)

    def end_clock(self, _):
        self.machine.set_clock(0)

    # what operators do

    def begin_reload(self, fault):
        if not self.daemon.running():
            raise NotNow
        if fault.kind == "reload of a bad file":
            with open(self.daemon.config_path, "w", encoding="utf-8") as file:
                file.write(fault.dice.choice(BAD_FILES))
            self.hang_up("config.refused")
            self.daemon.write_config()
            return
        forward = self.daemon.config["forward"]
        forward["connections"] = fault.dice.choice((4, 16, CONNECTIONS_MAX))
        forward["request_timeout"] = fault.dice.choice(("3s", "5s"))
        forward["retry"]["max"] = fault.dice.choice(("1s", "2s"))
        self.daemon.config["store"]["commit_delay"] = fault.dice.choice(("0ms", "1ms"))
        self.daemon.write_config()
        self.hang_up("config.reloaded")
        self.repeats_max += CONNECTIONS_MAX

    def hang_up(self, event):
        before = self.daemon.log().count(event)
        self.daemon.signal(signal.SIGHUP)
        wait_for(f"'{event}' in the log", lambda: self.daemon.log().count(event) > before or not self.daemon.running())

    def begin_reader(self, _):
        """An operator's query that stays open: the write-ahead log cannot begin anew meanwhile."""
        reader = None
        try:
            reader = sqlite3.connect(f"file:{self.daemon.database}?mode=ro", uri=True, isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM queue").fetchone()
        except sqlite3.Error as error:
            if reader:
                reader.close()
            raise NotNow from error
        self.reader = reader

    def end_reader(self, _=None):
        if self.reader:
            self.reader.close()
            self.reader = None

    def begin_pause(self, _):
        if not self.daemon.running() or self.daemon.command("pause").returncode != 0:
            raise NotNow

    def end_pause(self, _):
        if self.daemon.running():
            self.daemon.command("resume")
