"""A start that fails is tried again every two seconds, for days if nobody looks: it leaves nothing and wears out nothing."""

import os
import resource
import shutil
import socket
import sqlite3
import unittest

from harness import Daemon, EndToEnd, call

STARTS = 4
BLOCK = 512  # of ru_oublock


class FailedStarts(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.daemon.start()
        for n in range(20):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        self.daemon.kill()

    def files(self):
        """Names and sizes, but of what programs say."""
        found = {}
        for at, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(at, name)
                if not name.endswith(".log") and not path.startswith(self.cloud.state):
                    found[os.path.relpath(path, self.directory)] = os.lstat(path).st_size
        return found

    def start_in_vain(self, *said):
        self.daemon.write_config()
        self.daemon.spawn("--config", self.daemon.config_path)
        self.assertEqual(self.daemon.wait(), 1, self.daemon.log())
        for text in said:
            self.assertIn(text, self.daemon.log())

    def start_again_and_again(self, *said):
        """The first may tidy up after the kill; whatever comes then changes no file."""
        self.start_in_vain(*said)
        after_the_first = self.files()
        for _ in range(STARTS - 1):
            self.start_in_vain(*said)
            self.assertEqual(self.files(), after_the_first)
        return after_the_first

    def assert_nothing_is_lost(self):
        self.daemon.start()
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assertEqual([record["message_id"] for record in self.cloud.records()], [f"id-{n}" for n in range(20)])

    def test_a_socket_that_cannot_be_made(self):
        for change, said in (({"group": "no-such-group"}, "there is no group 'no-such-group'"),
                             ({"path": os.path.join(self.directory, "none/a.sock")}, "No such file or directory"),
                             ({"path": self.directory}, "is not a socket")):
            with self.subTest(said):
                good = dict(self.daemon.config["listen"][0])
                self.daemon.config["listen"][0].update(change)
                self.start_again_and_again(said)
                self.daemon.config["listen"][0] = good
        self.assert_nothing_is_lost()

    def test_the_sockets_before_the_one_that_cannot_be_made_are_gone(self):
        first = self.daemon.config["listen"][0]
        second = {**first, "path": os.path.join(self.directory, "second.sock"), "group": "no-such-group"}
        self.daemon.config["listen"].append(second)
        left = self.start_again_and_again("there is no group")
        self.assertFalse({"twinspool.sock", "second.sock"}.intersection(left), left)
        self.daemon.config["listen"].pop()
        self.assert_nothing_is_lost()

    def test_an_admin_socket_or_port_that_somebody_else_has(self):
        os.remove(self.daemon.admin)
        with socket.socket(socket.AF_UNIX) as other, socket.socket() as port:
            other.bind(self.daemon.admin)
            other.listen(1)
            left = self.start_again_and_again("somebody else listens on")
            self.assertIn("admin.sock", left, "the other's socket was removed")
            self.assertNotIn("twinspool.sock", left)
            port.bind(("127.0.0.1", 0))
            port.listen(1)
            self.daemon.config["admin"] = {"path": os.path.join(self.directory, "mine.sock"), "group": "",
                                           "http": f"127.0.0.1:{port.getsockname()[1]}"}
            left = self.start_again_and_again("Address already in use")
            self.assertNotIn("mine.sock", left)
        self.daemon.config["admin"] = {"path": self.daemon.admin, "mode": "0600", "group": ""}
        self.assert_nothing_is_lost()

    def test_a_database_that_another_daemon_has(self):
        os.mkdir(os.path.join(self.directory, "other"))
        other = Daemon(os.path.join(self.directory, "other"), self.cloud)
        other.config["store"]["path"] = self.daemon.database
        self.processes.append(other)
        other.start()
        self.start_again_and_again("in use by another twinspoold")
        self.assertEqual(other.status()["queue"]["messages"], 20)
        self.assertEqual(other.terminate(), 0)
        self.assert_nothing_is_lost()

    def test_a_database_of_a_newer_version_or_of_another_program(self):
        kept = os.path.join(self.directory, "kept.db")
        with sqlite3.connect(self.daemon.database) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.start_again_and_again("schema 99")
        with sqlite3.connect(self.daemon.database) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        shutil.move(self.daemon.database, kept)
        with sqlite3.connect(self.daemon.database) as connection:
            connection.execute("CREATE TABLE theirs(x)")
        connection.close()
        self.start_again_and_again("of another program")
        os.replace(kept, self.daemon.database)
        self.assert_nothing_is_lost()

    def test_a_certificate_authority_that_cannot_be_read(self):
        self.daemon.config["forward"]["tls"] = {"ca_file": os.path.join(self.directory, "none.pem")}
        before = self.files()
        self.start_again_and_again("cannot read the CA file")
        self.assertEqual({**before, "twinspool.yaml": 0}, {**self.files(), "twinspool.yaml": 0})
        self.daemon.config["forward"]["tls"] = {"ca_file": self.cloud.ca_file}
        self.assert_nothing_is_lost()

    def written_by(self, what):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
        what()
        return (resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before) * BLOCK

    def test_a_start_that_fails_again_writes_next_to_nothing(self):
        self.daemon.start()
        pad = "x" * 900
        batch = "".join(f'{{"twin": "t", "messageId": "b-{n}", "telemetry": {{"pad": "{pad}"}}}}\n' for n in range(1500))
        answer = call(self.daemon.socket, "POST", "/telemetry:batch", batch.encode(), {"Content-Type": "application/x-ndjson"})
        self.assertEqual(answer.status, 204, answer.body)
        self.daemon.kill()
        self.assertGreater(os.path.getsize(self.daemon.database + "-wal"), 1 << 20)
        self.daemon.config["listen"][0]["group"] = "no-such-group"
        self.start_in_vain()
        self.assertLess(self.written_by(self.start_in_vain), 64 << 10)


if __name__ == "__main__":
    unittest.main()
