import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

from harness import BIN, Daemon, EndToEnd, wait_for
from loop_disk import LoopDisk


class Lifecycle(EndToEnd):
    def check_config(self, path):
        return subprocess.run([os.path.join(BIN, "twinspoold"), "--check-config", "--config", path], cwd=self.directory,
                              capture_output=True, text=True, timeout=30, check=False)

    def test_a_clean_stop_says_what_remains_and_repeats_nothing(self):
        self.daemon.start()
        for n in range(5):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        self.cloud.wait_for_records(5)
        self.cloud.down()
        for n in range(5, 12):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        self.assertEqual(self.daemon.terminate(), 0)
        last = self.daemon.log().splitlines()[-1]
        self.assertRegex(last, r"daemon\.stopped")
        self.assertRegex(last, r"\bremaining=7\b", "the last line does not say that 7 messages remain")
        self.assertFalse(os.path.exists(self.daemon.socket))
        self.cloud.up()
        self.daemon.start()
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(12)])

    def test_a_clean_stop_under_delivery_records_every_answer(self):
        self.daemon.start()
        for cycle in range(5):
            for n in range(40):
                self.assert_accepted(self.daemon.send(f"twin-{n % 8}", message_id=f"id-{cycle}-{n}"))
            self.assertEqual(self.daemon.terminate(), 0)
            self.daemon.start()
        self.daemon.wait_until_drained()
        ids = [r["message_id"] for r in self.cloud.records()]
        self.assertEqual(sorted(ids), sorted(f"id-{cycle}-{n}" for cycle in range(5) for n in range(40)))

    def test_the_service_manager_hears_of_ready_reload_and_stop(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.directory, "notify.sock")
            manager.bind(path)
            manager.settimeout(30)
            os.environ["NOTIFY_SOCKET"] = path
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")
            self.daemon.start()
            self.assertEqual(manager.recv(1000), b"READY=1")
            self.assertEqual(manager.recv(1000), b"STATUS=idle; 0 messages are queued")
            self.daemon.signal(signal.SIGHUP)
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            self.assertEqual(manager.recv(1000), b"READY=1")
            self.cloud.down()
            self.assert_accepted(self.daemon.send("pump"))
            told = manager.recv(1000)
            if told.startswith(b"STATUS=delivering"):  # the look fell between the 204 and the first failure
                told = manager.recv(1000)
            self.assertRegex(told, rb"^STATUS=waiting: .+; 1 message is queued$")
            self.assertEqual(self.daemon.terminate(), 0)
            self.assertRegex(manager.recv(1000), rb"^STOPPING=1\n")

    def test_the_watchdog_is_fed_as_long_as_the_disk_answers(self):
        disk = LoopDisk(self, 64)
        self.daemon.config["store"]["path"] = os.path.join(disk.mount_point, "queue.db")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.directory, "notify.sock")
            manager.bind(path)
            manager.settimeout(30)
            self.daemon.environment.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="900000")
            self.daemon.start()

            def wait_until_fed():
                while manager.recv(1000) != b"WATCHDOG=1":
                    pass

            def unread():
                manager.setblocking(False)
                told = []
                with contextlib.suppress(BlockingIOError):
                    while True:
                        told.append(manager.recv(1000))
                manager.settimeout(30)
                return told

            for _ in range(3):
                wait_until_fed()
            disk.freeze()
            try:
                sending = concurrent.futures.ThreadPoolExecutor().submit(self.daemon.send, "pump")
                self.daemon.wait_for_log("daemon.no_progress")

                def unfed_for_six_looks():  # a busy machine may have been late with what came before the freeze
                    unread()
                    looks = self.daemon.status()["uptime_seconds"] + 2
                    wait_for("some time", lambda: self.daemon.status()["uptime_seconds"] > looks)
                    return b"WATCHDOG=1" not in unread()

                wait_for("the end of the feeding", unfed_for_six_looks)
            finally:
                disk.thaw()
            self.assert_accepted(sending.result(30))
            wait_until_fed()

    def test_a_second_daemon_on_the_same_database_refuses_to_start(self):
        self.daemon.start()
        os.mkdir(os.path.join(self.directory, "second"))
        second = Daemon(os.path.join(self.directory, "second"), self.cloud)
        second.config["store"]["path"] = self.daemon.database
        self.processes.append(second)
        second.write_config()
        second.spawn("--config", second.config_path)
        self.assertEqual(second.wait(), 1)
        self.assertIn("queue.db", second.log())
        self.assertRegex(second.log(), r"(?i)another|already|in use|lock|busy")
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_until_drained()

    def test_a_second_daemon_on_the_same_sockets_refuses_to_start(self):
        self.daemon.start()
        os.mkdir(os.path.join(self.directory, "second"))
        second = Daemon(os.path.join(self.directory, "second"), self.cloud)
        second.config["listen"][0]["path"] = self.daemon.socket
        self.processes.append(second)
        second.write_config()
        second.spawn("--config", second.config_path)
        self.assertEqual(second.wait(), 1)
        self.assertIn("twinspool.sock", second.log())
        self.assert_accepted(self.daemon.send("pump"))  # and the first one's socket is still there

    def test_a_stale_socket_of_a_killed_daemon_is_taken_over(self):
        self.daemon.start()
        self.daemon.kill()
        self.assertTrue(os.path.exists(self.daemon.socket))
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))

    def test_a_reload_takes_a_good_file_and_leaves_a_bad_one(self):
        self.daemon.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        with open(self.daemon.config_path, "w", encoding="utf-8") as file:
            file.write("forward:\n  endpoint: https://127.0.0.1:1\n  conections: 3\n")
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.refused")
        self.assertIn("conections", self.daemon.log())
        self.assert_accepted(self.daemon.send("pump", message_id="id-2"))
        self.daemon.config["log"] = {"level": "debug"}
        self.daemon.config["forward"]["connections"] = 4
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.reloaded")
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], ["id-1", "id-2"])

    def test_fresh_messages_flow_after_a_reload_of_an_idle_daemon(self):
        self.daemon.start()
        for n in range(4):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
            self.daemon.wait_until_drained()
            self.reload()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(4)])

    def test_reloads_and_a_stop_while_answers_are_awaited_end_cleanly(self):
        self.daemon.start()
        self.cloud.faults("slow", delay_ms=2000, repeat=True)
        for n in range(3):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        self.daemon.wait_for_status("a request under way", lambda s: s["upstream"]["in_flight"] == 1)
        self.reload()
        self.reload()
        self.assertEqual(self.daemon.terminate(), 0, self.daemon.log())
        self.cloud.clear_faults()
        self.daemon.start()
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(3)])

    def reload(self):
        before = self.daemon.log().count("config.reloaded")
        self.daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.daemon.log().count("config.reloaded") > before)

    def test_check_config_names_place_key_and_what_is_accepted(self):
        self.daemon.write_config()
        good = self.check_config(self.daemon.config_path)
        self.assertEqual(good.returncode, 0, good.stderr)
        bad_path = os.path.join(self.directory, "bad.yaml")
        with open(bad_path, "w", encoding="utf-8") as file:
            file.write("store:\n  path: /tmp/q.db\n  max_size: 4 parsecs\nforwrad: {}\n")
        bad = self.check_config(bad_path)
        self.assertEqual(bad.returncode, 78)
        self.assertRegex(bad.stderr, r"bad\.yaml:3:\d+: .*max_size")
        self.assertRegex(bad.stderr, r"bad\.yaml:4:\d+: .*forwrad")
        self.assertEqual(self.check_config(os.path.join(self.directory, "none.yaml")).returncode, 78)

    def test_a_bad_config_ends_the_start_with_78(self):
        with open(self.daemon.config_path, "w", encoding="utf-8") as file:
            file.write("listen: nothing\n")
        self.daemon.spawn("--config", self.daemon.config_path)
        self.assertEqual(self.daemon.wait(), 78)
        self.assertIn("listen", self.daemon.log())

    def test_the_shipped_configuration_is_good(self):
        shipped = os.path.join(os.path.dirname(__file__), "../../config/twinspool.yaml")
        result = self.check_config(os.path.abspath(shipped))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_status_command_tells_people_and_programs(self):
        self.daemon.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_for_status("the daemon to wait", lambda s: s["state"] == "waiting")
        text = self.daemon.command("status")
        self.assertEqual(text.returncode, 0, text.stderr)
        self.assertIn(b"waiting", text.stdout)
        self.assertNotIn(b"\x1b", text.stdout)  # colour only on a terminal
        status = json.loads(self.daemon.command("status", "--json").stdout)
        self.assertEqual(status["queue"]["messages"], 1)
        self.assertEqual(status["pid"], self.daemon.process.pid)
        for key in ("version", "state", "why", "since", "uptime_seconds", "totals", "quarantine", "upstream", "lanes",
                    "store", "ingest", "clock"):
            self.assertIn(key, status)

    def test_the_send_command_sends_files_and_pipes(self):
        self.daemon.start()
        body = os.path.join(self.directory, "body.json")
        with open(body, "w", encoding="ascii") as file:
            file.write('{"from": "a file"}')
        sent = self.daemon.command("send", "pump", "--id", "id-1", "--component", "motor", "--source-time",
                                   "2026-01-01T00:00:00Z", body)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        sent = self.daemon.command("send", "pump", "-", stdin=b'{"from": "a pipe"}')
        self.assertEqual(sent.returncode, 0, sent.stderr)
        records = self.cloud.wait_for_records(2)
        self.assertEqual([r["body"] for r in records], ['{"from": "a file"}', '{"from": "a pipe"}'])
        self.assertEqual((records[0]["message_id"], records[0]["component"], records[0]["source_time"]),
                         ("id-1", "motor", "2026-01-01T00:00:00Z"))
        self.assertTrue(records[1]["message_id"])
        refused = self.daemon.command("send", "pump", "-", stdin=b'[1]')
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"ValidationFailed", refused.stderr + refused.stdout)

    def test_the_command_s_exit_codes(self):
        self.daemon.write_config()
        self.assertEqual(self.daemon.command("status").returncode, 3)  # not reachable
        self.assertEqual(self.daemon.command("send", "pump", "-", stdin=b"{}").returncode, 3)
        self.assertEqual(self.daemon.command("no-such-verb").returncode, 2)
        self.assertEqual(self.daemon.command().returncode, 2)
        self.assertEqual(self.daemon.command("--help").returncode, 0)

    def test_versions(self):
        for program in ("twinspoold", "twinspool"):
            shown = subprocess.run([os.path.join(BIN, program), "--version"], capture_output=True, text=True,
                                   timeout=30, check=False)
            self.assertEqual(shown.returncode, 0)
            self.assertTrue(re.search(r"\d+\.\d+\.\d+", shown.stdout), shown.stdout)
