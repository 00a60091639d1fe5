"""What can happen to the file of a queue and to the disk it lies on, with the real daemon; docs/operations.md has a recipe
for each."""

import os
import shutil
import sqlite3
import subprocess
import threading
import time

from harness import EndToEnd, wait_for

PAGE = 4096


class Store(EndToEnd):
    def setUp(self):
        super().setUp()
        self.sent = []

    def send(self, count, size=200):
        for _ in range(count):
            number = len(self.sent)
            answer = self.daemon.send(f"twin-{number % 5}", b'{"pad": "' + b"x" * size + b'"}', message_id=str(number))
            self.assert_accepted(answer)
            self.sent.append((f"twin-{number % 5}", str(number)))

    def stop_cleanly(self):
        self.assertEqual(self.daemon.terminate(), 0, self.daemon.log())
        os.remove(self.daemon.database + "-wal")  # all of it is in the database, where a test can damage it

    def trash(self, page):
        with open(self.daemon.database, "r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(os.urandom(PAGE))

    def assert_delivered(self, missing_max=0):
        """In order within each twin."""
        self.cloud.up()
        self.assert_reconciled(self.daemon.wait_until_drained())
        arrived = {}
        for record in self.cloud.records():
            order = arrived.setdefault(record["twin"], [])
            if record["message_id"] not in order:
                order.append(record["message_id"])
        missing = 0
        for twin in {twin for twin, _ in self.sent}:
            wanted = [message_id for name, message_id in self.sent if name == twin]
            got = [message_id for message_id in arrived.get(twin, []) if message_id in wanted]
            missing += len(wanted) - len(got)
            self.assertEqual(got, sorted(got, key=int), twin)
        self.assertLessEqual(missing, missing_max)

    def assert_refuses_to_start(self, *texts):
        self.daemon.write_config()
        self.daemon.spawn("--config", self.daemon.config_path)
        self.assertEqual(self.daemon.wait(), 1, self.daemon.log())
        for text in texts:
            self.assertIn(text, self.daemon.log())

    def kept(self, why="corrupt"):
        directory, name = os.path.split(self.daemon.database)
        return [one for one in os.listdir(directory) if one.startswith(f"{name}.{why}-") and not one.endswith("-wal")]


class Damage(Store):
    def start_with_queue(self, count=60, size=200):
        self.daemon.start()
        self.cloud.down()
        self.send(count, size)
        self.stop_cleanly()

    def test_a_corrupt_page_in_every_table(self):
        self.start_with_queue()
        roots = self.daemon.sql("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0 UNION SELECT 'schema', 1")
        original = os.path.join(self.directory, "original.db")
        shutil.copy(self.daemon.database, original)
        self.assertGreater(len(roots), 8)
        for root in roots:
            with self.subTest(table=root["name"]):
                for name in os.listdir(self.directory):
                    if name.startswith("queue.db"):
                        path = os.path.join(self.directory, name)
                        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
                shutil.copy(original, self.daemon.database)
                self.trash(root["rootpage"])
                self.daemon.start()
                # Some damage is met only by a message that needs the page.
                wait_for("telemetry to be accepted",
                         lambda: self.daemon.send("twin-new", message_id=f"after-{root['name']}").status == 204)
                self.daemon.wait_for_status("the end of the salvage", lambda s: not s["store"]["fault"])
                status = self.daemon.status()
                # 60 small rows stand on few leaves below an inner root page, or lane notes that nobody looks at.
                queued = status["queue"]["messages"]
                self.assertEqual(queued, 61, f"{root['name']}: {status['store']}")
                self.assertEqual(self.daemon.terminate(), 0)

    def test_a_damaged_file_is_kept_and_salvaged_until_somebody_acknowledges(self):
        self.start_with_queue()
        self.trash(1)
        with open(self.daemon.database, "rb") as file:
            damaged = file.read()
        self.assertEqual(self.daemon.command("check").returncode, 1)
        plan = self.daemon.command("repair", "--plan")
        self.assertEqual(plan.returncode, 0, plan.stdout + plan.stderr)
        self.assertIn(b"that can be carried over: 60", plan.stdout)
        self.daemon.start()
        self.assertEqual(len(self.kept()), 1)
        with open(os.path.join(self.directory, self.kept()[0]), "rb") as file:
            self.assertEqual(file.read(), damaged)
        status = self.daemon.status()
        self.assertEqual(status["state"], "degraded")
        self.assertIn("60 messages were salvaged", status["why"])
        self.assertEqual(self.daemon.command("repair", "--plan").returncode, 1)  # the daemon holds the lock
        self.assert_delivered()
        self.daemon.restart()
        self.assertEqual(self.daemon.status()["state"], "degraded")
        self.assertEqual(self.daemon.command("repair", "--acknowledge").returncode, 0)
        self.assertEqual(self.daemon.status()["state"], "idle")
        self.assertEqual(self.daemon.command("check", "--deep").returncode, 0)

    def test_a_page_that_goes_bad_under_the_running_daemon(self):
        self.start_with_queue(count=700, size=18000)  # more than is read ahead
        self.daemon.start()
        pages = os.path.getsize(self.daemon.database) // PAGE
        with open(self.daemon.database, "rb") as file:
            content = file.read()
        leaf = max(n for n in range(1, pages + 1) if content[(n - 1) * PAGE] == 13 and b"twin" not in content[(n - 1) * PAGE:n * PAGE])
        self.trash(leaf)
        self.assert_delivered(missing_max=20)
        status = self.daemon.status()
        self.assertEqual(status["state"], "degraded")
        self.assertEqual(len(self.kept()), 1)
        self.assert_accepted(self.daemon.send("twin-1"))

    def test_a_repair_by_hand(self):
        self.start_with_queue()
        self.trash(1)
        applied = self.daemon.command("repair", "--apply", "--json")
        self.assertEqual(applied.returncode, 0, applied.stdout + applied.stderr)
        self.assertIn(b'"messages":60', applied.stdout)
        self.assertEqual(self.daemon.command("check", "--deep").returncode, 0)
        self.daemon.start()
        self.assert_delivered()

    def test_an_empty_file_where_a_queue_was(self):
        self.start_with_queue()
        os.truncate(self.daemon.database, 0)
        self.daemon.start()
        status = self.daemon.status()
        self.assertEqual(status["state"], "degraded")
        self.assertIn("the file is empty", status["why"])
        self.sent = []
        self.send(5)
        self.assert_delivered()

    def test_a_missing_wal_after_a_kill_is_said(self):
        self.daemon.start()
        self.cloud.down()
        self.send(20)
        self.daemon.kill()
        os.remove(self.daemon.database + "-wal")
        self.daemon.start()
        status = self.daemon.status()
        self.assertEqual(status["state"], "degraded")
        self.assertIn("the WAL is missing", status["why"])
        self.sent = []

    def test_a_cut_wal_loses_its_end_only(self):
        self.daemon.start()
        self.cloud.down()
        self.send(40)
        self.daemon.kill()
        wal = self.daemon.database + "-wal"
        os.truncate(wal, os.path.getsize(wal) * 3 // 4)
        self.daemon.start()
        self.assertGreater(self.daemon.status()["queue"]["messages"], 15)
        self.assert_delivered(missing_max=25)

    def test_files_deleted_under_the_daemon(self):
        self.daemon.start()
        self.cloud.down()
        self.send(30)
        for suffix in ("", "-wal", "-shm"):
            os.remove(self.daemon.database + suffix)
        time.sleep(0.3)  # they are looked for four times a second at most, and only when something is written
        wait_for("telemetry to be accepted again", lambda: self.daemon.send("twin-1", message_id="next").status == 204)
        status = self.daemon.status()
        self.assertIn("removed or replaced", status["why"])
        self.daemon.kill()
        self.daemon.start()
        self.assert_delivered()

    def test_another_process_holds_a_lock(self):
        self.daemon.start()
        other = sqlite3.connect(self.daemon.database, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        answers = []
        sender = threading.Thread(target=lambda: answers.append(self.daemon.send("twin-1", message_id="waits")))
        sender.start()
        self.daemon.wait_for_log("store.commit_refused")
        other.execute("ROLLBACK")
        other.close()
        sender.join(60)
        self.assert_error(answers[0], 503, "Unavailable")
        wait_for("telemetry to be accepted again", lambda: self.daemon.send("twin-1", message_id="waits").status == 204)
        self.assertEqual(self.daemon.status()["store"]["fault"], "")


class NotOurs(Store):
    def test_a_newer_schema_is_refused_untouched(self):
        self.daemon.start()
        self.stop_cleanly()
        other = sqlite3.connect(self.daemon.database)
        newest = other.execute("PRAGMA user_version").fetchone()[0]
        other.execute(f"PRAGMA user_version = {newest + 1}")
        other.execute("CREATE TABLE what_the_future_brings(x)")
        other.commit()
        other.close()
        self.assert_refuses_to_start("a newer version wrote it", "install that version again")
        self.assertEqual(self.kept(), [])

    def test_a_database_of_another_program(self):
        other = sqlite3.connect(self.daemon.database)
        other.execute("CREATE TABLE theirs(x)")
        other.commit()
        other.close()
        with open(self.daemon.database, "rb") as file:
            before = file.read()
        self.assert_refuses_to_start("another program", "nothing was changed")
        with open(self.daemon.database, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_a_directory_in_the_file_s_place(self):
        os.mkdir(self.daemon.database)
        self.assert_refuses_to_start("not a regular file")

    def test_a_file_that_may_not_be_written(self):
        self.daemon.start()
        self.stop_cleanly()
        if subprocess.run(["chattr", "+i", self.daemon.database], check=False, capture_output=True).returncode != 0:
            self.skipTest("NOT TESTED: chattr +i needs root and ext4")
        self.addCleanup(subprocess.run, ["chattr", "-i", self.daemon.database], check=False)
        self.assert_refuses_to_start(self.daemon.database, "cannot be written")
        self.assertEqual(self.kept(), [])

    def test_a_queue_that_is_missing(self):
        self.daemon.start()
        self.stop_cleanly()
        os.remove(self.daemon.database)
        self.assert_refuses_to_start("is missing", "is the partition mounted?")


class Disk(Store):
    def make_disk(self, *options, mib=48, block=4096):
        self.disk = os.path.join(self.directory, "disk")
        self.image = os.path.join(self.directory, "image")
        os.mkdir(self.disk)
        with open(self.image, "wb") as file:
            file.truncate(mib << 20)
        for command in (["mkfs.ext4", "-q", "-F", "-b", str(block), *options, self.image],
                        ["mount", "-o", "loop,errors=remount-ro", self.image, self.disk]):
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=60)
            except (OSError, subprocess.CalledProcessError) as error:
                self.skipTest(f"NOT TESTED: needs root and loop devices: {error}")
        self.addCleanup(subprocess.run, ["umount", self.disk], check=False, capture_output=True)
        self.addCleanup(self.end_processes)
        self.daemon.database = os.path.join(self.disk, "queue.db")
        self.daemon.config["store"] = {"path": self.daemon.database, "min_free": 0}

    def test_small_blocks_are_refused(self):
        for block in (1024, 2048):
            with self.subTest(block=block):
                self.make_disk(block=block)
                self.assert_refuses_to_start(f"blocks of {block} bytes", "mkfs.ext4 -b 4096")
                subprocess.run(["umount", self.disk], check=True)
                os.rmdir(self.disk)

    def test_a_disk_that_is_full_at_the_start(self):
        self.make_disk()
        self.daemon.start()
        self.cloud.down()
        self.send(20)
        self.assertEqual(self.daemon.terminate(), 0)
        subprocess.run(["dd", "if=/dev/zero", f"of={self.disk}/hog", "bs=4096"], check=False, capture_output=True)
        self.daemon.write_config()
        self.daemon.spawn("--config", self.daemon.config_path)
        wait_for("the daemon to run", lambda: "daemon.ready" in self.daemon.log() or not self.daemon.running())
        self.assertTrue(self.daemon.running(), self.daemon.log())
        self.assert_delivered()
        os.remove(os.path.join(self.disk, "hog"))
        wait_for("telemetry to be accepted", lambda: self.daemon.send("twin-1").status == 204)

    def test_a_disk_without_a_free_inode(self):
        self.make_disk("-N", "64")
        self.daemon.start()
        self.cloud.down()
        self.send(20)
        try:
            for n in range(100):
                open(os.path.join(self.disk, f"hog-{n}"), "w").close()
            self.fail("the disk never ran out of inodes")
        except OSError:
            pass
        self.send(20)
        self.daemon.kill()
        self.daemon.start()
        self.send(5)
        self.assert_delivered()

    def test_a_disk_that_becomes_read_only(self):
        self.make_disk()
        self.daemon.start()
        self.cloud.down()
        self.send(20)
        loop = subprocess.run(["findmnt", "-no", "SOURCE", self.disk], check=True, capture_output=True, text=True).stdout
        trigger = f"/sys/fs/ext4/{os.path.basename(loop.strip())}/trigger_fs_error"
        if not os.path.exists(trigger):
            self.skipTest(f"NOT TESTED: no {trigger}")
        with open(trigger, "w", encoding="ascii") as file:
            file.write("test")
        wait_for("telemetry to be refused", lambda: self.daemon.send("twin-1", message_id="no").status == 503)
        status = self.daemon.wait_for_status("a rebuild that failed", lambda s: "tried again" in s["store"]["fault"])
        self.assertEqual(status["state"], "degraded")
        self.cloud.up()
        self.cloud.wait_for_records(20)  # what can be read is delivered
        self.daemon.kill()
        subprocess.run(["umount", self.disk], check=True)
        subprocess.run(["e2fsck", "-fy", self.image], check=False, capture_output=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.disk], check=True)
        self.daemon.start()
        self.send(5)
        self.assert_delivered()
