"""A disk whose writes or syncs fail under the real daemon, and then a power cut: only what was synced is still there.

The preloaded library (io_faults.cpp) fails the calls and keeps the disk's view; the daemon that starts on that view is
one after a reboot.
"""

import mmap
import os
import shutil
import struct
import time

from harness import BIN, EndToEnd, wait_for

LIBRARY = os.path.join(BIN, "libio-faults.so")
WRITES, SYNCS = 1, 2


class BadDisk(EndToEnd):
    def setUp(self):
        super().setUp()
        if not os.path.exists(LIBRARY):
            self.skipTest(f"NOT TESTED: there is no {LIBRARY}")
        self.store = os.path.join(self.directory, "store")
        self.shadow = os.path.join(self.directory, "shadow")
        os.mkdir(self.store)
        os.mkdir(self.shadow)
        self.daemon.database = os.path.join(self.store, "queue.db")
        self.daemon.config["store"] = {"path": self.daemon.database, "min_free": 0}
        control = os.path.join(self.directory, "faults")
        with open(control, "wb") as file:
            file.write(bytes(16))
        with open(control, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), 16)
        self.daemon.environment = {
            "LD_PRELOAD": LIBRARY,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            "TWINSPOOL_IO_FAULTS": control,
            "TWINSPOOL_IO_STORE": self.store,
            "TWINSPOOL_IO_SHADOW": self.shadow,
            "TWINSPOOL_BOOT_ID": "the-first-boot",
        }
        self.acknowledged = []
        self.number = 0

    def fail(self, calls, after=0, for_ever=False):
        self.control[:] = struct.pack("=4I", 0, after, int(for_ever), 0)
        self.control[0:4] = struct.pack("=I", calls)

    def heal(self):
        self.control[0:4] = struct.pack("=I", 0)

    def failures(self):
        return struct.unpack("=4I", self.control[:])[3]

    def send(self, size=200):
        twin = f"twin-{self.number % 5}"
        message_id = f"{self.number}"
        self.number += 1
        answer = self.daemon.send(twin, b'{"pad": "' + b"x" * size + b'"}', message_id=message_id)
        if answer.status == 204:
            self.acknowledged.append((twin, message_id))
        else:
            self.assert_error(answer, 503, "Unavailable")
        return answer.status == 204

    def send_until_accepted(self):
        wait_for("telemetry to be accepted again", self.send)

    def cut_power(self):
        """The daemon dies, and the disk has what was synced; the next start is that of another boot."""
        self.daemon.kill()
        for directory, _, names in os.walk(self.store):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.islink(path):
                    continue
                if name.endswith("-shm"):
                    os.remove(path)
                    continue
                synced = os.path.join(self.shadow, str(os.stat(path).st_ino))
                if os.path.exists(synced):
                    with open(synced, "rb") as file:
                        content = file.read()
                    with open(path, "r+b") as file:  # the same inode, so that links stay links
                        file.truncate(0)
                        file.write(content)
                else:
                    os.truncate(path, 0)
        self.daemon.environment = {"TWINSPOOL_BOOT_ID": "the-second-boot"}

    def assert_nothing_lost(self):
        self.cut_power()
        self.daemon.start()
        self.cloud.up()
        status = self.daemon.wait_until_drained()
        self.assert_reconciled(status)
        first = {}
        for record in self.cloud.records():
            order = first.setdefault(record["twin"], [])
            if record["message_id"] not in order:
                order.append(record["message_id"])
        for twin in {twin for twin, _ in self.acknowledged}:
            wanted = [message_id for name, message_id in self.acknowledged if name == twin]
            # What was refused may have been stored all the same; what was acknowledged is there, and in its order.
            got = [message_id for message_id in first.get(twin, []) if message_id in wanted]
            self.assertEqual(got, wanted, twin)

    def fault_once(self, calls, after, size):
        self.daemon.start()
        self.cloud.down()
        for _ in range(10):
            self.assertTrue(self.send(size))
        self.fail(calls, after)
        for _ in range(600):
            if self.failures() > 0:
                break
            self.send(size)
        self.assertGreater(self.failures(), 0, "the fault was never met")
        self.send_until_accepted()
        status = self.daemon.status()
        self.assertEqual(status["store"]["fault"], "")
        for _ in range(10):
            self.assertTrue(self.send(size))
        self.assertEqual(status["state"], "degraded", status)
        self.assertIn("a write to the disk failed", status["why"])
        self.assert_nothing_lost()

    def test_a_failed_sync_of_a_commit(self):
        self.fault_once(SYNCS, 0, 200)

    def test_a_failed_write_of_a_commit(self):
        self.fault_once(WRITES, 1, 200)

    def test_a_failed_write_in_the_middle_of_a_large_commit(self):
        self.fault_once(WRITES, 9, 20000)

    def test_a_failed_sync_anywhere_with_checkpoints(self):
        # A checkpoint is due after 1,000 pages: some 200 of these messages, and its syncs are among these.
        self.fault_once(SYNCS, 190, 20000)

    def test_a_failed_write_of_a_checkpoint(self):
        self.fault_once(WRITES, 2400, 20000)

    def test_the_rebuild_meets_the_next_fault(self):
        self.daemon.start()
        self.cloud.down()
        for _ in range(20):
            self.assertTrue(self.send())
        self.fail(SYNCS | WRITES, 0, for_ever=True)
        self.assertFalse(self.send())
        status = self.daemon.wait_for_status("a rebuild that failed", lambda s: "tried again" in s["store"]["fault"])
        self.assertEqual(status["state"], "degraded")
        self.assertFalse(self.send())
        self.heal()
        self.send_until_accepted()
        self.assertEqual(self.daemon.status()["store"]["fault"], "")
        self.assert_nothing_lost()

    def test_what_can_be_read_is_delivered_while_the_disk_is_out_of_order(self):
        self.daemon.start()
        self.cloud.down()
        for _ in range(20):
            self.assertTrue(self.send())
        self.fail(SYNCS | WRITES, 0, for_ever=True)
        self.assertFalse(self.send())
        self.cloud.up()
        self.cloud.wait_for_records(20)
        self.heal()
        self.send_until_accepted()
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.status()["totals"]["delivered"], len(self.acknowledged))
        self.assert_nothing_lost()

    def test_a_restart_of_the_same_boot_trusts_nothing_it_has_not_copied(self):
        self.daemon.start()
        self.cloud.down()
        for _ in range(20):
            self.assertTrue(self.send())
        self.fail(SYNCS, 0, for_ever=True)
        self.assertFalse(self.send())
        self.daemon.kill()
        self.heal()
        self.daemon.start()
        for _ in range(10):
            self.assertTrue(self.send())
        self.assert_nothing_lost()

    def test_an_operator_acknowledges(self):
        self.daemon.start()
        self.assertTrue(self.send())
        self.fail(SYNCS)
        self.assertFalse(self.send())
        self.send_until_accepted()
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.status()["state"], "degraded")
        done = self.daemon.command("repair", "--acknowledge")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"a write to the disk failed", done.stdout)
        self.assertNotEqual(self.daemon.status()["state"], "degraded")
        self.assert_nothing_lost()

    def test_a_sweep_of_faults(self):
        """TWINSPOOL_IO_SWEEP=N: the n-th call fails, for n below N."""
        count = int(os.environ.get("TWINSPOOL_IO_SWEEP", "6"))
        print(f"{2 * count} runs (TWINSPOOL_IO_SWEEP changes that)")
        begun = time.monotonic()
        for after in range(count):
            for calls in (WRITES, SYNCS):
                with self.subTest(after=after, calls=calls):
                    self.tearDown()
                    self.end_processes()
                    self.doCleanups()
                    self.setUp()
                    self.daemon.start()
                    self.cloud.down()
                    for _ in range(3):
                        self.assertTrue(self.send())
                    self.fail(calls, after)
                    for _ in range(40):
                        if self.failures() > 0:
                            break
                        self.send()
                    self.send_until_accepted()
                    self.assert_nothing_lost()
        print(f"{time.monotonic() - begun:.0f} s")
