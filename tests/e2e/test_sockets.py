"""Sockets of their own rules: batches, quotas, peers, twins; inherited ones; stale and live files."""

import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import unittest
import uuid

from harness import BIN, EndToEnd, call, target, wait_for

UNITS = os.path.join(os.path.dirname(__file__), "../../systemd")

# What the service manager does: the sockets become descriptors from 3 on, told by variables for this very process.
ACTIVATE = """
import os, sys
given = [int(n) for n in sys.argv[1].split(",")]
for n, descriptor in enumerate(given): os.dup2(descriptor, 50 + n)
for n in range(len(given)): os.dup2(50 + n, 3 + n)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def line(twin, message_id, telemetry=None, **more):
    return json.dumps({"twin": twin, "messageId": message_id, "telemetry": telemetry or {"n": 1}, **more}) + "\n"


def batch(path, body):
    return call(path, "POST", "/telemetry:batch", body, {"Content-Type": "application/x-ndjson"})


class Batches(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.daemon.start()

    def test_a_batch_is_on_disk_as_a_whole_when_it_is_answered(self):
        body = "".join(line(f"twin-{n % 3}", f"id-{n}") for n in range(500))
        answer = batch(self.daemon.socket, body)
        self.assertEqual(answer.status, 204, answer.body)
        self.assertEqual((answer.headers["Twinspool-Accepted"], answer.headers["Twinspool-Duplicates"]), ("500", "0"))
        self.daemon.restart()  # kill -9
        self.assertEqual(self.daemon.status()["queue"]["messages"], 500)
        answer = batch(self.daemon.socket, body + line("twin-0", "new"))
        self.assertEqual((answer.headers["Twinspool-Accepted"], answer.headers["Twinspool-Duplicates"]), ("1", "500"))
        self.cloud.up()
        records = self.cloud.wait_for_records(501)
        self.daemon.wait_until_drained()
        for n in range(3):
            ids = [record["message_id"] for record in records if record["twin"] == f"twin-{n}"]
            self.assertEqual([i for i in ids if i != "new"], [f"id-{m}" for m in range(n, 500, 3)])

    def test_one_bad_line_and_nothing_is_stored(self):
        answer = batch(self.daemon.socket, line("pump", "a") + "[]\n" + line("pump", "", {}) + line("pump", "d"))
        error = self.assert_error(answer, 400, "ValidationFailed")
        self.assertEqual([detail["line"] for detail in error["details"]], [2, 3])
        self.assertEqual([detail["code"] for detail in error["details"]], ["ValidationFailed", "InvalidArgument"])
        self.assertIn("2 of 4 lines are bad", error["message"])
        self.assertEqual(self.daemon.status()["queue"]["messages"], 0)

    def test_a_reused_id_refuses_the_batch_and_names_its_lines(self):
        self.assert_accepted(self.daemon.send("pump", b'{"n":1}', "a"))
        body = line("pump", "b") + '{"twin":"pump","messageId":"a","telemetry":{"n":2}}\n' + line("pump", "b", {"n": 9})
        error = self.assert_error(batch(self.daemon.socket, body), 400, "InvalidArgument")
        self.assertEqual(error["innererror"]["code"], "MessageIdReused")
        self.assertEqual([detail["line"] for detail in error["details"]], [2, 3])
        self.assertEqual(self.daemon.status()["queue"]["messages"], 1)

    def test_a_twin_is_the_same_lane_by_either_call_and_its_bytes_are_kept(self):
        self.assert_accepted(self.daemon.send("Halle%20S%C3%BCd", b"{}", "a"))
        raw = '{"messageId":"b","telemetry":{ "t" : 1.50, "n":1e400 },"twin":"Halle S\\u00fcd"}'
        self.assertEqual(batch(self.daemon.socket, raw).status, 204)
        rows = self.daemon.sql("select twin, body from queue order by sequence")
        self.assertEqual(rows[1], {"twin": "Halle%20S%C3%BCd", "body": '{ "t" : 1.50, "n":1e400 }'})
        self.assertEqual(self.daemon.sql("select twin, depth from lanes"), [{"twin": "Halle%20S%C3%BCd", "depth": 2}])
        self.cloud.up()
        self.assertEqual(self.cloud.wait_for_records(2)[1]["body"], '{ "t" : 1.50, "n":1e400 }')

    def test_limits_of_a_batch_are_answered(self):
        self.assert_error(batch(self.daemon.socket, ""), 400)
        self.assert_error(batch(self.daemon.socket, line("p", "x") * 10001), 413)
        self.assert_error(batch(self.daemon.socket, " " * (4 * 1024 * 1024 + 1)), 413)
        full = line("p", "x", {"a": "y" * 30000})
        body = "".join(line("p", f"id-{n}", {"a": "y" * 30000}) for n in range(4 * 1024 * 1024 // (len(full) + 3)))
        self.assertEqual(batch(self.daemon.socket, body).status, 204)
        self.assert_error(call(self.daemon.socket, "GET", "/telemetry:batch"), 405)
        self.assert_error(call(self.daemon.socket, "POST", "/telemetry:batch", "{}",
                               {"Content-Type": "application/json"}), 415)


class Rules(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.quiet = os.path.join(self.directory, "quiet.sock")
        self.daemon.config["listen"].append({"path": self.quiet, "mode": "0666", "group": ""})
        self.noisy_rules, self.quiet_rules = self.daemon.config["listen"]

    def send(self, path, twin="pump"):
        return call(path, "POST", target(twin), b'{"n": 1}',
                    {"Content-Type": "application/json", "Message-Id": str(uuid.uuid4())})

    def test_a_quota_keeps_one_socket_from_filling_the_queue_through_restarts_and_kills(self):
        self.noisy_rules["quota"] = {"messages": 5}
        self.daemon.start()
        for _ in range(5):
            self.assert_accepted(self.send(self.daemon.socket))
        for stop in (None, self.daemon.terminate, self.daemon.kill):
            if stop:
                stop()
                self.daemon.start()
            error = self.assert_error(self.send(self.daemon.socket), 429, "QuotaExceeded")
            self.assertIn(f"the quota of {self.daemon.socket} is 5 messages", error["message"])
            self.assert_accepted(self.send(self.quiet))
        self.assertEqual([(row["messages"], row["bytes"] > 0) for row in self.daemon.sql("select * from sources")],
                         [(5, True), (3, True)])
        sockets = self.daemon.status()["ingest"]["sockets"]
        self.assertEqual([(each["path"], each["queued_messages"], each["quota_messages"]) for each in sockets],
                         [(self.daemon.socket, 5, 5), (self.quiet, 3, 0)])
        self.assertEqual(batch(self.daemon.socket, "".join(line("p", f"{n}") for n in range(6))).status, 413)
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assert_accepted(self.send(self.daemon.socket))
        self.assert_reconciled(self.daemon.status())

    def test_a_refused_message_makes_room_in_the_quota_when_it_is_set_aside(self):
        self.noisy_rules["quota"] = {"messages": 1}
        self.daemon.start()
        self.assert_accepted(self.send(self.daemon.socket, "poison"))
        self.assert_error(self.send(self.daemon.socket), 429)
        self.cloud.up()
        self.cloud.faults("400")
        wait_for("the quarantine", lambda: self.daemon.status()["quarantine"]["messages"] == 1)
        self.cloud.down()
        self.assert_accepted(self.send(self.daemon.socket))
        self.assertEqual(self.daemon.sql("select socket from quarantine"), [{"socket": self.daemon.socket}])

    def test_a_socket_takes_messages_of_its_twins_only(self):
        self.noisy_rules["twins"] = ["line-1-*", "Halle Süd"]
        self.daemon.start()
        for twin in ("line-1-pump", "line%2D1%2D", "Halle%20S%C3%BCd"):
            self.assert_accepted(self.send(self.daemon.socket, twin))
        error = self.assert_error(self.send(self.daemon.socket, "line-2-pump"), 403, "Forbidden")
        self.assertIn("line-1-*", error["message"])
        self.assertIn("'line-2-pump'", error["message"])
        error = self.assert_error(batch(self.daemon.socket, line("line-1-a", "1") + line("boiler", "2")), 403)
        self.assertEqual(error["details"][0]["line"], 2)
        self.assert_accepted(self.send(self.quiet, "line-2-pump"))
        self.assertEqual(self.daemon.status()["queue"]["messages"], 4)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: only root can send as other users")
    def test_peers_are_known_by_the_kernel_and_refused_with_who_they_are(self):
        os.chmod(self.directory, 0o755)
        self.quiet_rules["allow_users"] = ["root", "54321"]
        self.quiet_rules["allow_groups"] = ["daemon"]
        self.daemon.start()
        self.assert_accepted(self.send(self.quiet))

        def status_as(uid, gid, groups):
            script = ("import sys; sys.path.insert(0, sys.argv[1]); from harness import call, target; "
                      "a = call(sys.argv[2], 'POST', target('pump'), b'{}', {'Content-Type': 'application/json', "
                      "'Message-Id': sys.argv[3]}); print(a.status, a.body.decode())")
            tests = os.path.dirname(os.path.abspath(__file__))
            visible = os.path.join(self.directory, "harness.py")  # the checkout may be closed to others
            shutil.copy(os.path.join(tests, "harness.py"), visible)
            os.chmod(visible, 0o644)
            python = shutil.which("python3", path="/usr/bin") or sys.executable  # one that others may run, too
            result = subprocess.run([python, "-B", "-c", script, self.directory, self.quiet, str(uuid.uuid4())],
                                    user=uid, group=gid, extra_groups=groups, capture_output=True, text=True, cwd="/",
                                    check=True)
            status, _, body = result.stdout.partition(" ")
            return int(status), body

        self.assertEqual(status_as(54321, 54321, [])[0], 204)
        self.assertEqual(status_as(54322, 1, [])[0], 204)  # daemon's group is 1 on Debian
        self.assertEqual(status_as(54322, 54322, [54323, 1])[0], 204)
        status, body = status_as(54322, 54324, [54323])
        self.assertEqual(status, 403)
        self.assertIn("you are seen as uid 54322, gid 54324, groups 54323, pid ", body)
        self.assertIn("user root (0), user 54321, group daemon (1)", body)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: only root can give a socket to another group")
    def test_each_socket_has_its_own_mode_and_group(self):
        self.quiet_rules.update(mode="0620", group="daemon")
        self.daemon.start()
        seen = os.stat(self.quiet)
        self.assertEqual((stat.S_IMODE(seen.st_mode), seen.st_gid), (0o620, 1))
        self.assertEqual(stat.S_IMODE(os.stat(self.daemon.socket).st_mode), 0o600)

    def check_config(self):
        self.daemon.write_config()
        return subprocess.run([os.path.join(BIN, "twinspoold"), "--config", self.daemon.config_path, "--check-config"],
                              capture_output=True, text=True, check=False)

    def test_bad_rules_are_refused_before_anything_runs(self):
        self.quiet_rules["path"] = "/run/" + "x" * 103  # 108 bytes
        result = self.check_config()
        self.assertEqual(result.returncode, 78)
        self.assertIn("listen[1].path: the path has 108 bytes; a Unix socket's may have 107", result.stderr)
        self.quiet_rules["path"] = "/run/" + "x" * 102
        self.assertEqual(self.check_config().returncode, 0)
        self.quiet_rules.update(path=self.quiet, allow_users=["nobody-has-this-name"])
        self.daemon.write_config()
        self.daemon.spawn("--config", self.daemon.config_path)
        self.assertEqual(self.daemon.wait(), 1)
        self.assertIn("there is no user nobody-has-this-name", self.daemon.log())

    def test_a_stale_socket_file_is_replaced_and_a_live_one_is_not(self):
        self.daemon.start()
        self.daemon.kill()
        self.assertTrue(stat.S_ISSOCK(os.stat(self.daemon.socket).st_mode))  # left behind
        self.daemon.start()
        self.assert_accepted(self.send(self.daemon.socket))
        other = dict(self.daemon.config, store={"path": os.path.join(self.directory, "other.db"), "min_free": "1MiB"})
        path = os.path.join(self.directory, "other.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(other, file)
        second = subprocess.run([os.path.join(BIN, "twinspoold"), "--config", path], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"somebody else listens on {self.daemon.socket}", second.stderr)
        self.assert_accepted(self.send(self.daemon.socket))


class Inherited(EndToEnd):
    """The test is the service manager: it holds the sockets, and starts the daemon with them."""

    def setUp(self):
        super().setUp()
        self.held = [self.listen(self.daemon.socket), self.listen(self.daemon.admin)]

    def listen(self, path):
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(held.close)
        held.bind(path)
        held.listen(1024)
        return held

    def start(self):
        daemon = self.daemon
        daemon.write_config()
        descriptors = [held.fileno() for held in self.held]
        with open(daemon.log_path, "ab") as log:
            daemon.log_start = log.tell()
            daemon.process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, ",".join(map(str, descriptors)), os.path.join(BIN, "twinspoold"),
                 "--config", daemon.config_path],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=descriptors)
        wait_for("the daemon to be ready", daemon.ready)

    def test_no_client_is_refused_while_the_daemon_restarts(self):
        inode = os.stat(self.daemon.socket).st_ino
        ended = threading.Event()
        sent = []
        problems = []

        def client(number):
            count = 0
            while not ended.is_set():
                message = f"{number}-{count}"
                try:
                    answer = call(self.daemon.socket, "POST", target(f"twin-{number}"), b'{"n": 1}',
                                  {"Content-Type": "application/json", "Message-Id": message})
                except (ConnectionRefusedError, FileNotFoundError) as error:
                    problems.append(repr(error))
                    return
                except (OSError, http.client.HTTPException):
                    continue  # it was cut while it was answered: the same message again
                if answer.status == 204:
                    sent.append(message)
                    count += 1
                elif answer.status != 503:
                    problems.append(f"{answer.status} {answer.body}")

        clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in clients:
            thread.start()  # before there is a daemon
        try:
            for stop in (self.daemon.terminate, self.daemon.kill, self.daemon.terminate):
                self.start()
                count = len(sent)
                wait_for("messages to be taken", lambda: problems or len(sent) > count + 50)
                stop()
                self.assertEqual(os.stat(self.daemon.socket).st_ino, inode)
            self.start()
            count = len(sent)
            wait_for("messages to be taken", lambda: problems or len(sent) > count + 50)
        finally:
            ended.set()
            for thread in clients:
                thread.join()
        self.assertEqual(problems, [])
        self.daemon.wait_until_drained()
        records = [record["message_id"] for record in self.cloud.records()]
        self.assertEqual(set(sent) - set(records), set())
        self.assertIn("inherited=true", self.daemon.log())

    def test_an_inherited_socket_that_is_not_in_the_configuration_is_told(self):
        stray = os.path.join(self.directory, "stray.sock")
        self.held.append(self.listen(stray))
        self.start()
        self.daemon.wait_for_log(f"net.inherited_unused socket={stray}")
        self.assert_accepted(self.daemon.send("pump"))

    def test_a_socket_of_the_configuration_that_was_not_inherited_is_made(self):
        other = os.path.join(self.directory, "other.sock")
        self.daemon.config["listen"].append({"path": other, "mode": "0600", "group": ""})
        self.start()
        answer = call(other, "POST", target("pump"), b"{}", {"Content-Type": "application/json", "Message-Id": "a"})
        self.assert_accepted(answer)
        self.daemon.terminate()
        self.assertFalse(os.path.exists(other))
        self.assertTrue(os.path.exists(self.daemon.socket))
        self.start()


class Units(unittest.TestCase):
    def read(self, name):
        with open(os.path.join(UNITS, name), encoding="utf-8") as file:
            return [text.strip() for text in file if text.strip() and not text.startswith("#")]

    def test_the_socket_units_hold_the_default_paths_for_the_right_groups(self):
        for unit, path, group in (("twinspoold.socket", "/run/twinspool/twinspool.sock", "twinspool-app"),
                                  ("twinspoold-admin.socket", "/run/twinspool/admin.sock", "twinspool")):
            with self.subTest(unit):
                lines = self.read(unit)
                for wanted in (f"ListenStream={path}", f"SocketGroup={group}", "SocketMode=0660", "SocketUser=root"):
                    self.assertIn(wanted, lines)
        service = self.read("twinspoold.service")
        self.assertIn("Sockets=twinspoold.socket twinspoold-admin.socket", service)
        self.assertFalse([text for text in service if text.startswith("RuntimeDirectory=")])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "SKIPPED: systemd-analyze is missing")
    def test_systemd_takes_the_units_without_a_word(self):
        import tempfile
        with tempfile.TemporaryDirectory() as directory:
            names = ["twinspoold.service", "twinspoold.socket", "twinspoold-admin.socket"]
            for name in names:
                with open(os.path.join(UNITS, name), encoding="utf-8") as file:
                    text = file.read().replace("/usr/sbin/twinspoold", "/bin/true")
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write(text)
            result = subprocess.run(["systemd-analyze", "verify", "--man=no"] +
                                    [os.path.join(directory, name) for name in names],
                                    capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))
