"""How every verb of the command ends: 0 done, 1 failed, 2 usage, 3 the daemon is not reachable; what it says; and its JSON."""

import json
import os
import socketserver
import subprocess
import threading
import unittest

from harness import BIN, EndToEnd
from test_manuals import every_verb, help_of

# What ends with 0 on a daemon that has one message of each kind (see below), in an order that can be run from top to bottom.
DONE = {
    ("status",): [],
    ("list",): [],
    ("show",): ["1"],
    ("export",): ["{new}"],
    ("check",): ["--deep"],
    ("repair",): ["--acknowledge"],
    ("doctor",): [],
    ("selftest", "storage"): ["--seconds", "0.05", "--rate", "1"],
    ("snapshot",): ["{new}"],
    ("lanes",): [],
    ("explain",): ["404", "DigitalTwinNotFound"],
    ("receipt",): ["pump", "delivered"],
    ("replay",): ["--twin", "pump", "--since", "1h", "--yes"],
    ("quarantine", "list"): [],
    ("quarantine", "show"): ["2"],
    ("quarantine", "export"): [],
    ("quarantine", "retry"): ["2", "--yes"],
    ("quarantine", "purge"): ["--all", "--yes"],
    ("pause",): [],
    ("resume",): [],
    ("kick",): [],
    ("send",): ["pump", "{message}"],
    ("import",): ["{lines}"],
    ("bench",): ["--count", "3", "--twin", "pump-", "--yes"],
    ("tail",): ["--lines", "1"],  # until it is interrupted
    ("drain",): ["--timeout", "5m"],
}

# What ends with 1, and a part of what it says. With REFUSING a daemon answers 500 to whatever it is asked.
REFUSING = ["--admin", "{refusing}", "--socket", "{refusing}"]
FAILED = {
    ("status",): (REFUSING, [], "is out of order"),
    ("drain",): ([], ["--timeout", "50ms"], "wait"),
    ("send",): ([], ["pump", "{nothing}"], "{nothing}"),
    ("list",): ([], ["--store", "{nothing}"], "{nothing}"),
    ("show",): ([], ["999"], "999 is not known"),
    ("tail",): ([], ["--store", "{nothing}"], "{nothing}"),
    ("export",): ([], ["{message}"], "overwrites nothing"),
    ("import",): ([], ["{message}"], "line 1"),
    ("check",): ([], ["{nothing}"], "{nothing}"),
    ("repair",): ([], ["--plan"], "stop it first"),
    ("selftest", "storage"): ([], ["--directory", "/proc"], "/proc"),
    ("bench",): ([], ["--count", "3", "--twin", "x" * 1100, "--yes"], "3 requests were refused with 400"),
    ("pause",): (REFUSING, [], "is out of order"),
    ("resume",): (REFUSING, [], "is out of order"),
    ("kick",): (REFUSING, [], "is out of order"),
    ("lanes",): (REFUSING, [], "is out of order"),
    ("receipt",): ([], ["pump", "other"], "unknown"),
    ("replay",): ([], ["--twin", "pump", "--since", "yesterday", "--yes"], "since"),
    ("quarantine", "list"): (REFUSING, [], "is out of order"),
    ("quarantine", "show"): ([], ["999"], "999"),
    ("quarantine", "export"): (REFUSING, [], "is out of order"),
    ("quarantine", "retry"): (REFUSING, ["2", "--yes"], "is out of order"),
    ("quarantine", "purge"): (REFUSING, ["2", "--yes"], "is out of order"),
    ("snapshot",): ([], ["{message}"], "never overwrites"),
    ("doctor",): ([], [], "The first broken step is"),  # with the cloud down
}
ANSWERS = {("doctor",), ("bench",), ("receipt",)}  # 1 is one of their answers, and stands where the others do
CANNOT_FAIL = {("explain",)}

# What ends with 2 beside an option that there is not.
USAGE = {
    ("status",): ["--every", "soon"],
    ("drain",): ["--timeout", "soon"],
    ("send",): [],
    ("list",): ["--limit", "0"],
    ("show",): ["0"],
    ("tail",): ["--lines", "1001"],
    ("export",): ["--after", "soon"],
    ("import",): ["--batch", "0"],
    ("check",): ["{message}", "{message}"],
    ("repair",): [],
    ("doctor",): ["--twin"],
    ("selftest", "storage"): ["--seconds", "0"],
    ("bench",): ["--count", "3"],
    ("pause",): ["now"],
    ("resume",): ["now"],
    ("kick",): ["now"],
    ("lanes",): ["--limit", "0"],
    ("explain",): ["99"],
    ("receipt",): ["pump"],
    ("replay",): ["--twin", "pump", "--since", "1h"],
    ("quarantine", "list"): ["2"],
    ("quarantine", "show"): [],
    ("quarantine", "export"): ["2"],
    ("quarantine", "retry"): ["2"],
    ("quarantine", "purge"): ["--all"],
    ("snapshot",): [],
}

# What needs no daemon; all others end with 3 without one.
NEEDS_NONE = {("list",), ("show",), ("tail",), ("export",), ("check",), ("doctor",), ("selftest", "storage"), ("explain",),
              ("snapshot",)}

NO_JSON = {("quarantine", "export")}  # it is NDJSON itself


class Refusing(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A daemon that has something against everything."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            body = b'{"error":{"code":"InternalError","message":"it is out of order"}}'
            self.wfile.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
                             b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def __init__(self, path):
        super().__init__(path, self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Verbs(EndToEnd):
    def setUp(self):
        super().setUp()
        self.names = {name: os.path.join(self.directory, name) for name in ("nothing", "message", "lines", "refusing")}
        self.fresh = 0
        with open(self.names["message"], "w", encoding="ascii") as file:
            file.write('{"n":1}\n')
        with open(self.names["lines"], "w", encoding="ascii") as file:
            file.write('{"twin":"pump","messageId":"imported","telemetry":{"n":1}}\n')
        self.cloud.missing("twinspool-doctor-asks-for-no-twin")

    def start(self):
        """With one message delivered, one quarantined and one that waits."""
        self.daemon.config["store"]["keep_delivered"] = "1h"
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", message_id="delivered"))
        self.daemon.wait_for_status("it is kept", lambda s: s["kept"]["messages"] == 1)
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump", message_id="refused"))
        self.daemon.wait_for_status("a quarantined message", lambda s: s["quarantine"]["messages"] == 1)
        self.cloud.missing("unborn")
        self.assert_accepted(self.daemon.send("unborn", message_id="waiting"))
        self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)

    def filled(self, words):
        self.fresh += 1
        return [word.format(new=os.path.join(self.directory, f"new-{self.fresh}"), **self.names) for word in words]

    def run_verb(self, path, arguments, before=()):
        return self.daemon.command(*self.filled(before), *path, *self.filled(arguments), stdin=b"")

    def interrupted(self, path, arguments):
        """tail ends when it is told to."""
        tail = subprocess.Popen([os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, *path, *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(tail.kill)
        first = tail.stdout.readline()
        tail.send_signal(2)
        rest, said = tail.communicate(timeout=60)
        return subprocess.CompletedProcess(path, tail.returncode, first + rest, said)

    def assert_says(self, result, code, path, part=""):
        said = result.stderr.decode() + result.stdout.decode()
        self.assertEqual(result.returncode, code, (path, said))
        self.assertIn(self.filled([part])[0], said, path)
        return said

    def test_the_tables_have_every_verb(self):
        verbs = set(every_verb())
        self.assertEqual(set(DONE), verbs)
        self.assertEqual(set(FAILED) | CANNOT_FAIL, verbs)
        self.assertEqual(set(USAGE), verbs)
        self.assertLessEqual(NEEDS_NONE, verbs)

    def all_are_done(self, *options):
        self.start()
        for path in sorted(DONE, key=lambda path: path == ("doctor",)):  # last: a twin that is held is a broken step
            arguments = DONE[path]
            if path == ("drain",):
                self.cloud.appears("unborn")
                self.assertEqual(self.daemon.command("kick").returncode, 0)
            run = self.interrupted if path == ("tail",) else self.run_verb
            more = [] if path in NO_JSON else list(options)
            result = run(path, [*arguments, *more])
            self.assert_says(result, 0, path)
            yield path, result

    def test_done_is_0_and_nothing_on_stderr(self):
        for path, result in self.all_are_done():
            self.assertTrue(result.stdout, path)
            if path not in (("import",), ("drain",)):  # which tell there how far they are
                self.assertEqual(result.stderr, b"", path)

    def test_json_parses(self):
        for path, result in self.all_are_done("--json"):
            self.assertEqual("--json" in help_of(*path), path not in NO_JSON, path)
            try:  # one document, or one a line
                json.loads(result.stdout)
            except ValueError:
                self.assertTrue([json.loads(line) for line in result.stdout.splitlines()], path)

    def test_failed_is_1_and_says_why(self):
        self.start()
        server = Refusing(self.names["refusing"])
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        for path, (before, arguments, part) in FAILED.items():
            if path == ("doctor",):
                self.cloud.down()
            result = self.run_verb(path, arguments, before)
            self.assert_says(result, 1, path, part)
            if path not in ANSWERS:
                self.assertTrue(result.stderr.startswith(b"twinspool: "), (path, result))

    def test_a_wrong_command_line_is_2_and_says_what_is_right(self):
        self.start()
        for path, arguments in USAGE.items():
            for wrong in (arguments, ["--no-such-option"]):
                result = self.run_verb(path, wrong)
                self.assert_says(result, 2, path)
                self.assertTrue(result.stderr, (path, wrong))
        self.assertEqual(self.daemon.status()["totals"]["accepted"], 3)

    def test_without_a_daemon_it_is_3_and_names_the_remedy(self):
        self.start()
        self.assertEqual(self.daemon.terminate(), 0)
        for path, arguments in DONE.items():
            if path in NEEDS_NONE:
                continue
            result = self.run_verb(path, arguments)
            self.assert_says(result, 3, path, "systemctl status twinspoold")
            self.assertTrue(result.stderr, path)

    def test_without_a_daemon_the_others_do_what_they_can(self):
        self.start()
        self.assertEqual(self.daemon.terminate(), 0)
        for path in sorted(NEEDS_NONE):
            run = self.interrupted if path == ("tail",) else self.run_verb
            # The twin that does not exist is what is broken, and stands in the queue's file.
            self.assert_says(run(path, DONE[path]), 1 if path == ("doctor",) else 0, path)


if __name__ == "__main__":
    unittest.main()
