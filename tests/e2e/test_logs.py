"""What the daemon logs, as a machine reads it: JSON, the journal's priorities, and nothing that is nobody's business."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import unittest

from harness import EndToEnd, wait_for

BODY = b'{"secret-of-the-house": 4711}'


class Journal:
    """What takes the place of systemd's: a socket for entries in its native protocol."""

    def __init__(self, directory):
        os.makedirs(os.path.join(directory, "journal"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(directory, "journal", "socket"))
        self.raw = []
        self.receiver = threading.Thread(target=self.receive, daemon=True)
        self.receiver.start()  # which takes at once: what a full socket does not take goes to stderr

    def receive(self):
        while datagram := self.socket.recv(1 << 20):
            self.raw.append(datagram)

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.receiver.join()
        self.socket.close()

    def entries(self):
        return [self.parsed(datagram) for datagram in list(self.raw)]

    @staticmethod
    def parsed(datagram):
        """NAME=value and a line feed, or NAME, a line feed, the length in 8 bytes, the value, a line feed."""
        fields = {}
        while datagram:
            line, datagram = datagram.split(b"\n", 1)
            name, equals, value = line.partition(b"=")
            if not equals:
                length, datagram = int.from_bytes(datagram[:8], "little"), datagram[8:]
                value, end, datagram = datagram[:length], datagram[length:length + 1], datagram[length + 1:]
                assert end == b"\n", (name, value)
            assert name not in fields, name
            fields[name.decode()] = value.decode()
        return fields


class Logs(EndToEnd):
    def wait_for_event(self, event):
        self.daemon.wait_for_log(event)

    def go_through_a_bad_day(self):
        self.daemon.start()
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump", BODY))
        self.daemon.wait_for_status("a quarantined message", lambda s: s["totals"]["quarantined"] == 1)
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", BODY))
        self.wait_for_event("forward.waiting")
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.daemon.config["forward"]["connections"] = "nonsense"
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.wait_for_event("config.refused")
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

    def stderr_s_name(self):
        """As systemd says it in JOURNAL_STREAM."""
        with open(self.daemon.log_path, "wb") as log:
            status = os.fstat(log.fileno())
        return f"{status.st_dev}:{status.st_ino}"

    @unittest.skipIf(os.path.exists("/run/systemd/journal/socket"), "SKIPPED: here the journal takes entries with fields")
    def test_in_the_journal_every_line_has_its_priority(self):
        self.daemon.environment = {"JOURNAL_STREAM": self.stderr_s_name()}
        lines = self.go_through_a_bad_day()
        self.assertTrue(all(re.match(r"^<[3-7]>[a-z_]+\.[a-z_]+( |$)", line) for line in lines), lines)
        priorities = {line[3:].split()[0]: line[:3] for line in lines}
        self.assertEqual(priorities["daemon.ready"], "<6>")
        self.assertEqual(priorities["forward.waiting"], "<4>")
        self.assertEqual(priorities["config.refused"], "<3>")

    def test_the_journal_gets_entries_with_fields_and_stderr_nothing_of_them(self):
        # In a mount namespace of its own the daemon finds the test's directory where systemd has its sockets.
        place = os.path.join(self.directory, "systemd")
        wrapper = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /run/systemd && exec "$@"', place]
        journal = Journal(place)
        self.addCleanup(journal.end)
        tried = subprocess.run([*wrapper, "true"], capture_output=True, check=False)
        if tried.returncode != 0:
            self.skipTest(f"NOT TESTED: needs root and a /run/systemd: {tried.stderr!r}")
        self.daemon.wrapper = wrapper
        self.daemon.environment = {"JOURNAL_STREAM": self.stderr_s_name()}
        self.wait_for_event = lambda event: wait_for(
            event, lambda: [entry for entry in journal.entries() if entry["TWINSPOOL_EVENT"] == event])
        self.assertEqual(self.go_through_a_bad_day(), [])
        self.wait_for_event("daemon.stopped")
        entries = journal.entries()
        for entry in entries:
            self.assertEqual(entry["SYSLOG_IDENTIFIER"], "twinspoold")
            self.assertRegex(entry["PRIORITY"], r"^[3-7]$")
            self.assertRegex(entry["TWINSPOOL_EVENT"], r"^[a-z_]+\.[a-z_]+$")
            self.assertRegex(entry["MESSAGE"], rf"^{re.escape(entry['TWINSPOOL_EVENT'])}( |$)")
            self.assertTrue(all(re.match(r"^[A-Z][A-Z0-9_]*$", name) for name in entry), entry)
        self.assertFalse([datagram for datagram in journal.raw if b"secret-of-the-house" in datagram])
        by_event = {entry["TWINSPOOL_EVENT"]: entry for entry in entries}
        self.assertEqual({event: by_event[event]["PRIORITY"] for event in ("daemon.ready", "forward.waiting", "config.refused")},
                         {"daemon.ready": "6", "forward.waiting": "4", "config.refused": "3"})
        self.assertEqual(by_event["daemon.ready"]["TWINSPOOL_STORE"], self.daemon.database)
        self.assertIn("connections", by_event["config.refused"]["TWINSPOOL_WHY"])
        self.assertEqual(len([entry for entry in entries if entry["TWINSPOOL_EVENT"] == "forward.waiting"]), 1)


if __name__ == "__main__":
    unittest.main()
