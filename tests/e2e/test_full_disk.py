"""A small disk of its own, filled to the last block: telemetry is refused, the drain goes on, and it opens again by itself."""

import json
import os
import sqlite3
import subprocess

from harness import EndToEnd, call, wait_for
from loop_disk import LoopDisk

class SmallDisk(EndToEnd):
    disk_mib = 48

    def setUp(self):
        super().setUp()
        self.disk = LoopDisk(self, self.disk_mib).mount_point
        self.daemon.database = os.path.join(self.disk, "queue.db")
        self.daemon.config["store"] = {"path": self.daemon.database, "min_free": 0}

    def fill(self, prefix):
        """Sends until the disk is full: the ids that were acknowledged."""
        body = json.dumps({"filler": "x" * 16000}).encode()
        accepted = []
        for n in range(10000):
            answer = self.daemon.send(f"twin-{n % 5}", body, message_id=f"{prefix}-{n}")
            if answer.status != 204:
                error = self.assert_error(answer, 507, "InsufficientStorage")
                self.assertIn("disk", error["message"])
                return accepted
            accepted.append(f"{prefix}-{n}")
        raise AssertionError("the disk never became full")

    def fill_up(self):
        """Another program takes all that is left."""
        hog = os.path.join(self.disk, "hog")
        subprocess.run(["dd", "if=/dev/zero", f"of={hog}", "bs=4096"], check=False, capture_output=True)
        return hog

    def assert_delivered(self, accepted):
        arrived = {record["message_id"] for record in self.cloud.records()}
        self.assertEqual([one for one in accepted if one not in arrived], [])


class FullDisk(SmallDisk):
    def test_a_full_disk_drains_and_opens_again_by_itself(self):
        self.daemon.start()
        self.cloud.down()
        accepted = self.fill("first")
        # What another program does to the last free blocks.
        hog = self.fill_up()
        self.assertEqual(self.daemon.send("twin-1").status, 507)
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assert_delivered(accepted)
        os.remove(hog)

        wait_for("telemetry to be accepted again", lambda: self.daemon.send("twin-1").status == 204)
        status = self.daemon.wait_until_drained()
        self.assert_reconciled(status)
        self.assertEqual(status["store"]["fault"], "")

    def test_a_drained_disk_takes_as_much_as_a_new_one(self):
        self.daemon.start()
        self.cloud.down()
        first = self.fill("first")
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.cloud.down()
        wait_for("telemetry to be accepted again", lambda: self.daemon.send("twin-1").status == 204)
        second = self.fill("second")
        self.assertGreater(len(second), len(first) * 3 // 4)
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assert_delivered(first + second)

    def test_a_daemon_killed_on_a_full_disk_starts_and_drains(self):
        self.daemon.start()
        self.cloud.down()
        accepted = self.fill("first")
        self.fill_up()
        self.daemon.kill()
        self.daemon.write_config()
        self.daemon.spawn("--config", self.daemon.config_path)
        wait_for("the daemon to run", lambda: "daemon.ready" in self.daemon.log() or not self.daemon.running())
        self.assertTrue(self.daemon.running(), self.daemon.log())
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assert_delivered(accepted)


class HeldLog(SmallDisk):
    disk_mib = 96

    def test_a_reader_that_holds_the_log_on_a_full_disk_stops_neither_the_drain_nor_a_start(self):
        """The index of the log (-shm) has to grow beyond 4,062 frames, and has no room to."""
        self.daemon.start()

        def hold_the_log():
            reader = sqlite3.connect(f"file:{self.daemon.database}?mode=ro", uri=True, isolation_level=None)
            self.addCleanup(reader.close)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM queue").fetchone()
            return reader

        body = json.dumps({"filler": "x" * 16000}).encode()
        reader = hold_the_log()
        while os.path.getsize(self.daemon.database + "-wal") < 20 << 20:
            self.assert_accepted(self.daemon.send("twin-1", body))
        reader.close()
        for _ in range(300):  # the log begins anew, in a file that keeps its size
            self.assert_accepted(self.daemon.send("twin-1", body))
        self.daemon.wait_until_drained()
        self.daemon.restart()  # its index begins anew, too, and is small
        self.cloud.down()
        for batch in range(80):
            lines = "".join(f'{{"twin":"t{n % 40}","messageId":"{batch}-{n}","telemetry":{{}}}}\n' for n in range(500))
            self.assertEqual(call(self.daemon.socket, "POST", "/telemetry:batch", lines.encode(),
                                  {"Content-Type": "application/x-ndjson"}).status, 204)
        self.assertEqual(os.path.getsize(self.daemon.database + "-shm"), 32768)
        hold_the_log()
        self.fill_up()
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.status()["store"]["fault"], "")
        self.daemon.restart()
