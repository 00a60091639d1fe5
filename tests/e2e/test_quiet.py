"""What is shown on a gateway where nothing else happens: no message comes, and none goes."""

import os
import subprocess
import unittest

from harness import EndToEnd, call, wait_for
from test_metrics import parse


class Quiet(EndToEnd):
    def scrape(self):
        return parse(call(self.daemon.admin, "GET", "/metrics").body.decode())

    def test_a_held_twin_is_named_although_no_other_message_comes(self):
        self.cloud.missing("unborn")
        self.cloud.missing("twinspool-doctor-asks-for-no-twin")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("unborn"))
        self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)
        wait_for("the view to say it", lambda: self.daemon.sql("select state from lanes")[0]["state"] != "ready")
        doctor = self.daemon.command("doctor")
        self.assertEqual(doctor.returncode, 1, doctor.stdout)
        self.assertIn(b"unborn", doctor.stdout)

    def test_a_disk_that_others_fill_is_seen(self):
        disk = os.path.join(self.directory, "disk")
        os.mkdir(disk)
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", disk], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"NOT TESTED: needs root: {error}")
        self.addCleanup(subprocess.run, ["umount", disk], check=False, capture_output=True)
        self.addCleanup(self.end_processes)  # before the disk goes
        self.daemon.database = os.path.join(disk, "queue.db")
        self.daemon.config["store"]["path"] = self.daemon.database
        self.daemon.start()
        before = self.scrape()["disk_free_bytes", ""]
        with open(os.path.join(disk, "hog"), "wb") as hog:
            os.posix_fallocate(hog.fileno(), 0, 60 << 20)
        wait_for("the metric to fall", lambda: self.scrape()["disk_free_bytes", ""] < before - (50 << 20))
        self.assertLess(self.daemon.status()["store"]["disk_free_bytes"], before - (50 << 20))

    def test_refusals_are_counted_from_0_so_that_the_first_is_a_rise(self):
        self.daemon.start()
        samples = self.scrape()
        for code in (503, 507):
            self.assertEqual(samples.get(("ingest_requests_total", f'code="{code}"')), 0, code)


if __name__ == "__main__":
    unittest.main()
