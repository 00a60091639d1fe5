"""The disk that forgets, and a short run: two cuts and what must hold behind them, and one that must be found to lose."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(HERE, "..", name) for name in ("package", "e2e"))]

# pylint: disable=wrong-import-position
import disk
import image
from harness import BIN

ROUNDS = os.environ.get("TWINSPOOL_POWER_ROUNDS", "2")
OUT = os.path.abspath(os.path.join(BIN, "../powercuts"))  # kept for whoever looks into a failure
A, B, C = (letter * disk.SECTOR * 4 for letter in (b"a", b"b", b"c"))


class Disk(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.truncate(1 << 20)
        self.path = file.name
        self.addCleanup(os.remove, self.path)
        self.cache = disk.Cache(self.path)
        self.addCleanup(os.close, self.cache.image)

    def on_the_image(self, length=len(A)):
        with open(self.path, "rb") as file:
            return file.read(length)

    def end(self, what, seed=0):
        return self.cache.end(what, random.Random(seed))

    def test_what_was_written_is_read_and_is_in_the_image_when_it_was_flushed(self):
        self.cache.write(0, A)
        self.assertEqual(self.cache.read(0, len(A)), A)
        self.assertEqual(self.on_the_image(), bytes(len(A)))
        self.cache.flush()
        self.assertEqual(self.on_the_image(), A)
        self.assertEqual(self.cache.read(0, len(A)), A)

    def test_a_read_sees_the_newest_of_each_sector(self):
        self.cache.write(0, A)
        self.cache.flush()
        self.cache.write(disk.SECTOR, B[:disk.SECTOR * 2])
        self.cache.write(disk.SECTOR * 2, C[:disk.SECTOR])
        self.assertEqual(self.cache.read(0, len(A)), A[:disk.SECTOR] + B[:disk.SECTOR] + C[:disk.SECTOR] + A[:disk.SECTOR])

    def test_what_was_not_flushed_is_kept_or_lost(self):
        for what, left in (("kept", B), ("lost", A)):
            self.cache.write(0, A)
            self.cache.flush()
            self.cache.write(0, B)
            fates = self.end(what)
            self.assertEqual(self.on_the_image(), left)
            self.assertEqual(fates["unflushed"], 1)
            self.cache.destage()

    def test_any_part_of_what_was_not_flushed_may_be_kept_and_nothing_else(self):
        seen, torn = set(), 0
        for seed in range(200):
            self.cache.write(0, A + A)
            self.cache.flush()
            self.cache.write(0, B)
            self.cache.write(len(A), C)
            fates = self.end("some", seed)
            torn += fates["torn"]
            self.cache.writes, self.cache.newest, self.cache.bytes = [], {}, 0
            first, second = self.on_the_image(), self.on_the_image(2 * len(A))[len(A):]
            self.assertLessEqual(set(first), set(A + B))
            self.assertLessEqual(set(second), set(A + C))
            seen.add((first == A, first == B, second == A, second == C))
        self.assertEqual(len(seen), 9, seen)  # each old, new or torn, beside each of the other
        self.assertGreater(torn, 50)

    def test_a_full_cache_is_written(self):
        self.cache.write(0, A)
        self.cache.bytes = disk.CACHE_BYTES_MAX
        self.cache.write(len(A), B)
        self.assertEqual(self.on_the_image(2 * len(A)), A + B)

    def test_a_lying_disk_flushes_nothing(self):
        self.cache.lying = True
        self.cache.write(0, A)
        self.cache.flush()
        self.assertEqual(self.end("lost")["dropped"], 1)
        self.assertEqual(self.on_the_image(), bytes(len(A)))


def run_with(*arguments):
    return subprocess.run([sys.executable, "-B", "powercuts.py", *arguments], cwd=HERE, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Usage(unittest.TestCase):
    def test_usage(self):
        for arguments in (["--rounds", "0"], ["--rounds", "x"], ["--disk", "rain"], ["--nonsense"], ["more"]):
            done = run_with(*arguments)
            self.assertIn("usage: scripts/powercuts", done.stdout)
            self.assertEqual(done.returncode, 2)
        done = run_with("--help")
        self.assertIn("Exit codes:", done.stdout)
        self.assertEqual(done.returncode, 0)


@unittest.skipUnless(os.environ.get("TWINSPOOL_FULL"), "TWINSPOOL_FULL is not set: no power is cut")
@unittest.skipIf(image.why_not(), f"no virtual machine: {image.why_not()}")
class Run(unittest.TestCase):
    def test_nothing_is_lost_where_the_power_is_cut(self):
        shutil.rmtree(OUT, ignore_errors=True)
        done = run_with("--rounds", ROUNDS, "--out", OUT)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        for promise in ("lost", "altered", "reordered within a twin", r"doubled \(after Message-Id\)", "invented"):
            self.assertRegex(done.stdout, rf"(?m)^  {promise} 0$")
        with open(os.path.join(OUT, "powercuts.json"), encoding="utf-8") as file:
            result = json.load(file)
        self.assertEqual(len(result["rounds"]), int(ROUNDS))
        self.assertGreater(result["acknowledged"], 100)
        self.assertEqual(result["acknowledged"], result["delivered"])

    def test_a_disk_that_only_says_that_it_has_flushed_is_found_to_lose(self):
        done = run_with("--rounds", "1", "--lying-disk", "--out", OUT + "-lying")
        self.addCleanup(shutil.rmtree, OUT + "-lying", ignore_errors=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertTrue(re.search(r"(?m)^  FAILED: lost: .* \(acknowledged before cut 1 of 1\)", done.stdout), done.stdout)


if __name__ == "__main__":
    unittest.main()
