"""The real daemon and the stand-in cloud, in a directory of their own, for one test at a time.

Whatever waits, waits for something that can be seen (a record at the cloud, a figure in the status, a line in the log, the
end of a process) and gives up after a deadline with what it saw last. The programs are found in $TWINSPOOL_BIN. With
TWINSPOOL_VALGRIND=1 the daemon runs under valgrind, and no test is good with what that finds.
"""

import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid

BIN = os.environ.get("TWINSPOOL_BIN", os.path.join(os.path.dirname(__file__), "../../build/dev/bin"))
DEADLINE_SECONDS = float(os.environ.get("TWINSPOOL_E2E_DEADLINE", "60"))
API_VERSION = "2023-10-31"
VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--track-fds=no", "--error-exitcode=99"]

Answer = collections.namedtuple("Answer", "status headers body")


def wait_for(what, probe, seconds=None):
    """Returns the first true result of `probe`; fails when the deadline passes."""
    seconds = seconds or DEADLINE_SECONDS
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}, in vain; last seen: {result!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, target, body=None, headers=None):
        self.request(method, target, body=body, headers=headers or {})
        response = self.getresponse()
        return Answer(response.status, response.headers, response.read())


def call(path, method, target, body=None, headers=None):
    """One request on a connection of its own."""
    connection = UnixConnection(path)
    try:
        return connection.call(method, target, body, headers)
    finally:
        connection.close()


def target(twin, component=None, api_version=API_VERSION):
    middle = f"/components/{component}" if component else ""
    return f"/digitaltwins/{twin}{middle}/telemetry?api-version={api_version}"


class Process:
    """A program of ours with its log in the test's directory."""

    def __init__(self, directory, program):
        self.directory = directory
        self.program = program
        self.log_path = os.path.join(directory, program + ".log")
        self.process = None
        self.environment = {}  # beside the test's own
        self.wrapper = []  # a command that becomes the program which follows it

    def spawn(self, *arguments):
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [*self.wrapper, os.path.join(BIN, self.program), *arguments],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment})

    def log(self):
        """What this start of the program has logged so far."""
        with open(self.log_path, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode("utf-8", "replace")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=None):
        """The exit status; negative: the signal that ended it."""
        try:
            return self.process.wait(seconds or DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.program} did not end; its log:\n{self.log()}") from None

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self.wait()


class Cloud(Process):
    def __init__(self, directory):
        super().__init__(directory, "standin-cloud")
        self.state = os.path.join(directory, "cloud")
        os.mkdir(self.state)
        self.control = os.path.join(self.state, "control.sock")
        self.port = 0

    def start(self, *arguments):
        """The first start chooses the port; later ones have the same port, certificates and records."""
        port_file = os.path.join(self.state, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        self.spawn("--dir", "cloud", "--port", str(self.port), *arguments)

        def listening():
            assert self.running(), f"the stand-in cloud ended:\n{self.log()}"
            return os.path.exists(port_file)

        wait_for("the stand-in cloud", listening)
        with open(port_file, encoding="ascii") as file:
            self.port = int(file.read())
        return self

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self):
        return os.path.join(self.state, "ca.pem")

    def steer(self, method, path, **parameters):
        query = urllib.parse.urlencode({name: str(value).lower() if isinstance(value, bool) else value
                                        for name, value in parameters.items()})
        answer = call(self.control, method, path + ("?" + query if query else ""))
        assert answer.status in (200, 204), answer
        return answer.body

    def faults(self, steps, **parameters):
        self.steer("POST", "/faults", steps=steps, **parameters)

    def clear_faults(self):
        self.steer("DELETE", "/faults")

    def missing(self, twin, **parameters):
        self.steer("POST", "/missing", twin=twin, **parameters)

    def appears(self, twin, **parameters):
        self.steer("DELETE", "/missing", twin=twin, **parameters)

    def require_token(self, token):
        self.steer("POST", "/token", value=token)

    def down(self):
        self.steer("POST", "/down")

    def up(self):
        self.steer("POST", "/up")

    def stats(self):
        return json.loads(self.steer("GET", "/stats"))

    def records(self):
        """All accepted messages in arrival order, read from the file: works while the stand-in is dead, too."""
        try:
            with open(os.path.join(self.state, "records.ndjson"), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in data[:data.rfind(b"\n") + 1].splitlines()]

    def wait_for_records(self, count):
        wait_for(f"{count} records at the cloud", lambda: self.stats()["accepted"] >= count)
        return self.records()


class Daemon(Process):
    def __init__(self, directory, cloud):
        super().__init__(directory, "twinspoold")
        if os.environ.get("TWINSPOOL_VALGRIND"):
            self.wrapper = VALGRIND
        self.socket = os.path.join(directory, "twinspool.sock")
        self.admin = os.path.join(directory, "admin.sock")
        self.database = os.path.join(directory, "queue.db")
        self.config_path = os.path.join(directory, "twinspool.yaml")
        self.config = {
            "listen": [{"path": self.socket, "mode": "0600", "group": ""}],
            "admin": {"path": self.admin, "mode": "0600", "group": ""},
            "store": {"path": self.database, "min_free": "1MiB"},
            "forward": {
                "endpoint": cloud.endpoint,
                "connections": 16,
                "request_timeout": "5s",
                # Short, so that the end of an outage is noticed at once; what the defaults are is a unit test's matter.
                "retry": {"initial": "20ms", "max": "200ms", "multiplier": 2},
                "tls": {"ca_file": cloud.ca_file},
            },
        }

    def write_config(self):
        """YAML is a superset of JSON."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=1)

    def start(self):
        self.write_config()
        self.spawn("--config", self.config_path)
        wait_for("the daemon to be ready", self.ready)
        return self

    def ready(self):
        assert self.running(), f"the daemon ended with {self.process.returncode}:\n{self.log()}"
        try:
            return call(self.admin, "GET", "/health/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def restart(self):
        self.kill()
        return self.start()

    def status(self):
        answer = call(self.admin, "GET", "/status")
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def send(self, twin, body=b'{"temperature": 21.5}', message_id=None, component=None, **headers):
        """One message on a connection of its own; header names are written with _ for -."""
        fields = {"Content-Type": "application/json", "Message-Id": message_id or str(uuid.uuid4())}
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        return call(self.socket, "POST", target(twin, component), body, fields)

    def wait_until_drained(self, seconds=None):
        def drained():
            status = self.status()
            return status if status["queue"]["messages"] == 0 else None

        return wait_for("the queue to be empty", drained, seconds)

    def wait_for_status(self, what, predicate):
        def probe():
            status = self.status()
            return status if predicate(status) else None

        return wait_for(what, probe)

    def wait_for_log(self, text):
        wait_for(f"'{text}' in the log", lambda: text in self.log())

    def sql(self, statement):
        """What an operator sees with the sqlite3 shell."""
        result = subprocess.run(["sqlite3", "-readonly", "-json", self.database, statement], cwd=self.directory,
                                capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout) if result.stdout.strip() else []

    def command(self, *arguments, stdin=None):
        """The operator's command, against this daemon."""
        return subprocess.run([os.path.join(BIN, "twinspool"), "--config", self.config_path, *arguments],
                              cwd=self.directory, capture_output=True, input=stdin, timeout=DEADLINE_SECONDS, check=False)


class EndToEnd(unittest.TestCase):
    """Gives each test a running cloud, and a daemon that it starts when it has set it up."""

    longMessage = True
    maxDiff = 2000

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ts-")  # short: a socket path has 107 bytes
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.processes = []
        self.addCleanup(self.end_processes)
        self.cloud = Cloud(self.directory)
        self.processes.append(self.cloud)
        self.cloud.start()
        self.daemon = Daemon(self.directory, self.cloud)
        self.processes.append(self.daemon)

    def end_processes(self):
        for process in self.processes:
            process.kill()

    def tearDown(self):
        failed = not self._outcome.success
        if not failed and self.daemon.running():
            # Every test ends with a clean stop: in whatever state the daemon is, it must be able to.
            self.assertEqual(self.daemon.terminate(), 0, self.daemon.log())
        for process in self.processes:
            if process.process is None:
                continue
            with open(process.log_path, encoding="utf-8", errors="replace") as log:
                text = log.read()
            if failed:
                print(f"--- {process.program}, last lines of its log:\n" + "\n".join(text.splitlines()[-40:]))
            for mark in ("Sanitizer", "runtime error:", "ENSURE"):  # no test is good with that
                self.assertNotIn(mark, text, f"in the log of {process.program}")
            self.assertIsNone(re.search(r"^==\d+== ", text, re.MULTILINE), f"valgrind in the log of {process.program}:\n{text}")

    # What must hold whatever happened.

    def assert_reconciled(self, status):
        totals = status["totals"]
        self.assertEqual(totals["accepted"], status["queue"]["messages"] + totals["delivered"] + totals["quarantined"] +
                         totals["dropped"], f"the totals do not reconcile: {status}")

    def assert_accepted(self, answer):
        self.assertEqual(answer.status, 204, answer.body)
        self.assertRegex(answer.headers["Twinspool-Sequence"], r"^[1-9][0-9]*$")
        return int(answer.headers["Twinspool-Sequence"])

    def assert_error(self, answer, status, code=None):
        """The cloud's ErrorResponse, with a message for people, and Retry-After on what may be tried later only."""
        self.assertEqual(answer.status, status, answer.body)
        error = json.loads(answer.body)["error"]
        self.assertEqual(answer.headers["x-ms-error-code"], error["code"])
        self.assertTrue(error["message"])
        if code:
            self.assertEqual(error["code"], code, answer.body)
        self.assertEqual("Retry-After" in answer.headers, status in (429, 503, 507))
        return error
