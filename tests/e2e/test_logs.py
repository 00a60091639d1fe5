"""What the daemon logs, as a machine reads it: JSON, the journal's priorities, and nothing that is nobody's business."""

import json
import os
import re
import signal
import unittest

from harness import EndToEnd

BODY = b'{"secret-of-the-house": 4711}'


class Logs(EndToEnd):
    def go_through_a_bad_day(self):
        self.daemon.start()
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump", BODY))
        self.daemon.wait_for_status("a quarantined message", lambda s: s["totals"]["quarantined"] == 1)
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", BODY))
        self.daemon.wait_for_log("forward.waiting")
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.daemon.config["forward"]["connections"] = "nonsense"
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.refused")
        self.assertEqual(self.daemon.terminate(), 0)
        lines = self.daemon.log().splitlines()
        self.assertFalse([line for line in lines if "secret-of-the-house" in line])
        return lines

    def test_json_is_one_object_a_line_with_its_facts(self):
        self.daemon.config["log"] = {"format": "json"}
        events = {}
        for line in self.go_through_a_bad_day():
            event = json.loads(line)
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            events.setdefault(event["event"], []).append(event)
        self.assertEqual(events["daemon.ready"][0]["level"], "info")
        self.assertEqual(events["daemon.ready"][0]["queued"], 0)
        self.assertEqual(events["config.refused"][0]["level"], "error")
        self.assertIn("connections", events["config.refused"][0]["why"])
        self.assertEqual(len(events["forward.waiting"]), 1, "one line for a change of state")
        self.assertEqual(events["daemon.stopped"][0]["clean"], True)

    @unittest.skipIf(os.path.exists("/run/systemd/journal/socket"), "SKIPPED: here the journal takes entries with fields")
    def test_in_the_journal_every_line_has_its_priority(self):
        with open(self.daemon.log_path, "wb") as log:
            status = os.fstat(log.fileno())
        self.daemon.environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        lines = self.go_through_a_bad_day()
        self.assertTrue(all(re.match(r"^<[3-7]>[a-z_]+\.[a-z_]+( |$)", line) for line in lines), lines)
        priorities = {line[3:].split()[0]: line[:3] for line in lines}
        self.assertEqual(priorities["daemon.ready"], "<6>")
        self.assertEqual(priorities["forward.waiting"], "<4>")
        self.assertEqual(priorities["config.refused"], "<3>")


if __name__ == "__main__":
    unittest.main()
