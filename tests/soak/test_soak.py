"""The soak itself: a run of $TWINSPOOL_SOAK_MINUTES (2), what it leaves behind, and that it sees what it must not miss."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../e2e"))

from harness import BIN, wait_for  # pylint: disable=wrong-import-position
from messages import message
import schedule

MINUTES = os.environ.get("TWINSPOOL_SOAK_MINUTES", "2")
OUT = os.path.abspath(os.path.join(BIN, "../soak"))  # kept for whoever looks into a failure


def children_of(pid):
    """Command lines, by their process."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(path.replace("stat", "cmdline"), encoding="utf-8", errors="replace") as file:
                words = file.read().split("\0")
        except OSError:
            continue  # it has ended
        if parent == pid:
            found[int(path.split("/")[2])] = words
    return found


class Schedule(unittest.TestCase):
    def test_a_seed_is_a_schedule_and_a_longer_run_begins_with_the_shorter_one_s(self):
        long, again, other = (schedule.as_json(schedule.schedule(seed, 600)) for seed in (7, 7, 8))
        self.assertEqual(long, again)
        self.assertNotEqual(long, other)
        short = schedule.as_json(schedule.schedule(7, 300))
        self.assertEqual(short, [fault for fault in long if fault["end"] <= 300][:len(short)])

    def test_two_minutes_see_a_fault_of_every_track_and_ten_every_kind(self):
        for seed in range(20):
            tracks = {schedule.KINDS[fault.kind].track for fault in schedule.schedule(seed, 120)}
            self.assertEqual(tracks, set(schedule.GAPS))
            self.assertEqual({fault.kind for fault in schedule.schedule(seed, 600)}, set(schedule.KINDS))


class Run(unittest.TestCase):
    def setUp(self):
        self.out = tempfile.mkdtemp(prefix="soak-out-")
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)

    def start(self, *arguments):
        process = subprocess.Popen([sys.executable, "-B", os.path.join(HERE, "soak.py"), "--out", self.out, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def running(self, process):
        """The directory of a run that has begun to make faults, and its processes."""
        def daemon():
            assert process.poll() is None, process.stdout.read()
            return [words for words in children_of(process.pid).values() if words[0].endswith("twinspoold")]

        words = wait_for("the daemon", daemon)[0]
        directory = os.path.dirname(words[words.index("--config") + 1])
        wait_for("records at the cloud", lambda: os.path.exists(os.path.join(directory, "cloud/records.ndjson")) and
                 os.path.getsize(os.path.join(directory, "cloud/records.ndjson")))
        return directory, list(children_of(process.pid))

    def assert_nothing_left(self, directory, processes):
        self.assertFalse(os.path.exists(directory))
        with open("/proc/self/mounts", encoding="utf-8") as file:
            self.assertNotIn(directory, file.read())
        for pid in processes:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_every_promise_is_kept(self):
        self.out = OUT
        process = self.start("--minutes", MINUTES)
        text = process.communicate()[0]
        print(text)
        self.assertEqual(process.returncode, 0, text)
        for promise in ("lost", "altered", "reordered within a twin", r"doubled \(after Message-Id\)", "invented"):
            self.assertRegex(text, rf"(?m)^  {promise} 0$")
        with open(os.path.join(OUT, "soak.json"), encoding="utf-8") as file:
            result = json.load(file)
        self.assertGreater(result["acknowledged"], 100)
        self.assertEqual(result["acknowledged"], result["delivered"])
        self.assertGreater(result["faults_count"], 5)
        self.assertEqual(len(result["series"]["seconds"]), len(result["series"]["backlog"]))
        if shutil.which("gnuplot"):
            with open(os.path.join(OUT, "soak.png"), "rb") as file:
                self.assertTrue(file.read().startswith(b"\x89PNG"))

    def test_what_the_cloud_got_and_nobody_sent_or_sent_otherwise_fails_the_run_and_its_data_is_kept(self):
        process = self.start("--minutes", "0.05", "--without", "daemon,cloud,disk")
        directory, processes = self.running(process)
        line = {**message("steady-0-0", 0)._asdict(), "twin": "steady-0-0", "body": '{"n": "another"}'}
        with open(os.path.join(directory, "cloud/records.ndjson"), "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n" + json.dumps({**line, "twin": "stranger"}) + "\n")
        text = process.communicate()[0]
        self.assertEqual(process.returncode, 1, text)
        self.assertRegex(text, r"(?m)^  FAILED: altered: 1, such as steady-0-0:0: body is ")
        self.assertRegex(text, r"(?m)^  FAILED: invented: 1, such as stranger ")
        kept = re.search(r"(?m)^  logs, database and schedule of this run: (.*)$", text).group(1)
        for name in ("twinspoold.log", "standin-cloud.log", "schedule.json", "cloud/records.ndjson",
                     "steady-0.acknowledged"):
            self.assertTrue(os.path.exists(os.path.join(kept, name)), name)
        self.assertTrue(glob.glob(os.path.join(kept, "**/queue.db"), recursive=True))
        self.assert_nothing_left(directory, processes)

    def test_a_daemon_that_dies_by_itself_fails_the_run(self):
        process = self.start("--minutes", "1", "--without", "daemon")
        directory, processes = self.running(process)
        for pid, words in children_of(process.pid).items():
            if words[0].endswith("twinspoold"):
                os.kill(pid, signal.SIGABRT)
        text = process.communicate()[0]
        self.assertEqual(process.returncode, 1, text)
        self.assertRegex(text, r"(?m)^  FAILED: the daemon ended with -6:")
        self.assertRegex(text, r"(?m)^  lost 0$")  # what has not arrived is in the database
        self.assert_nothing_left(directory, processes)

    def test_an_interrupted_run_leaves_nothing_behind(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.start("--minutes", "5")
            directory, processes = self.running(process)
            process.send_signal(number)
            text = process.communicate()[0]
            self.assertEqual(process.returncode, code, text)
            self.assert_nothing_left(directory, processes)

    def test_a_run_that_is_killed_takes_its_programs_and_its_mounts_along(self):
        process = self.start("--minutes", "5")
        directory, processes = self.running(process)
        process.kill()
        process.wait()
        wait_for("the programs to end", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in processes))
        shutil.rmtree(directory)  # nothing is mounted there

    def test_usage(self):
        for arguments in (["--minutes", "0"], ["--minutes", "x"], ["--hours", "1", "--minutes", "1"], ["--nonsense"],
                          ["--without", "rain"], ["more"]):
            process = self.start(*arguments)
            self.assertIn("usage: scripts/soak", process.communicate()[0])
            self.assertEqual(process.returncode, 2)
        process = self.start("--help")
        self.assertIn("Exit codes:", process.communicate()[0])
        self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
