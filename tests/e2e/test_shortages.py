"""A kernel without memory to give: the daemon goes on where it can, ends where it must, says so once, and loses nothing.

For want of descriptors see test_abuse.py; for a full disk test_full_disk.py.
"""

import errno
import json
import mmap
import os
import re
import resource
import socket
import struct
import threading
import unittest

from harness import BIN, EndToEnd, call, target, wait_for
from raw_http import RawConnection

LIBRARY = os.path.join(BIN, "libaccept-faults.so")
BODY = b'{"n":1}'


def request(message_id):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nMessage-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        target("pump").encode(), message_id.encode(), len(BODY), BODY)


class NothingIsAccepted(EndToEnd):
    """accept(2) fails, for whatever reason, for all who come."""

    def setUp(self):
        super().setUp()
        if not os.path.exists(LIBRARY):
            self.skipTest(f"NOT TESTED: there is no {LIBRARY}")
        control = os.path.join(self.directory, "faults")
        with open(control, "wb") as file:
            file.write(bytes(8))
        with open(control, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), 8)
        self.daemon.environment = {
            "LD_PRELOAD": LIBRARY,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            "TWINSPOOL_ACCEPT_FAULTS": control,
        }

    def fail(self, number):
        self.control[:] = struct.pack("=2I", number, 0)

    def heal(self):
        self.control[0:4] = struct.pack("=I", 0)

    def failures(self):
        return struct.unpack("=2I", self.control[:])[1]

    def connect(self):
        connection = RawConnection(self.daemon.socket)
        self.addCleanup(connection.close)
        return connection

    def test_clients_wait_the_connected_are_served_and_it_is_said_once(self):
        self.daemon.start()
        served = self.connect()
        served.write(request("first"))
        self.assert_accepted(served.answer())
        for number in (errno.ENOMEM, errno.ENOBUFS, errno.ENFILE, errno.EMFILE):
            name = errno.errorcode[number]
            with self.subTest(name):
                told_before = self.daemon.log().count("net.accept_failed")
                again_before = self.daemon.log().count("net.accepting_again")
                self.fail(number)
                clients = [self.connect() for _ in range(50)]
                for n, client in enumerate(clients):
                    client.write(request(f"{name}-{n}"))
                wait_for("accept to have failed three times", lambda: self.failures() >= 3)
                for n in range(20):
                    served.write(request(f"{name}-served-{n}"))
                    self.assert_accepted(served.answer())
                self.heal()
                for client in clients:
                    self.assert_accepted(client.answer())
                wait_for("it to say that it accepts again",
                         lambda: self.daemon.log().count("net.accepting_again") == again_before + 1)
                self.assertEqual(self.daemon.log().count("net.accept_failed"), told_before + 1, self.daemon.log())
                self.assertIn(os.strerror(number), self.daemon.log())
        self.daemon.wait_until_drained()

    def send_if_there_is_room(self):
        try:
            return self.daemon.send("pump")
        except BlockingIOError:
            return None  # the kernel's backlog is full: a client with a time-out is told at once, and tries again

    def test_a_storm_that_meets_short_failures_costs_nobody_a_message(self):
        self.daemon.start()
        over = threading.Event()

        def flicker():
            while not over.is_set():
                self.fail(errno.ENOBUFS)
                over.wait(0.02)
                self.heal()
                over.wait(0.02)

        def come_and_go():
            for _ in range(1000):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
                    each.settimeout(30)
                    try:
                        each.connect(self.daemon.socket)
                    except BlockingIOError:
                        continue  # the backlog is full
                    each.send(b"POST")

        threads = [threading.Thread(target=work) for work in (flicker, come_and_go, come_and_go)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                self.assert_accepted(wait_for("room in the backlog", self.send_if_there_is_room))
        finally:
            over.set()
            for thread in threads:
                thread.join()
            self.heal()
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), 30)


@unittest.skipIf(os.environ.get("TWINSPOOL_SANITIZE"), "SKIPPED: a sanitizer needs the address space that this test takes away")
class NoMemory(EndToEnd):
    def test_without_memory_it_ends_with_one_clear_line_and_what_was_acknowledged_is_there(self):
        self.cloud.down()
        self.daemon.start()
        acknowledged = []
        for n in range(50):
            self.assert_accepted(self.daemon.send("pump", message_id=f"before-{n}"))
            acknowledged.append(f"before-{n}")
        pid = self.daemon.process.pid
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used, used))

        # Batches that never end make it want megabytes; a batch that is answered counts.
        for n in range(200):
            if not self.daemon.running():
                break
            lines = b"".join(json.dumps({"twin": "pump", "messageId": f"batch-{n}-{line}",
                                         "telemetry": {"pad": "x" * 4000}}).encode() + b"\n" for line in range(900))
            try:
                connection = RawConnection(self.daemon.socket)
                self.addCleanup(connection.close)
                connection.write(b"POST /telemetry:batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
                                 b"Content-Length: %d\r\n\r\n%s" % (len(lines), lines))
                answer = connection.answer()
            except (OSError, AssertionError):
                continue  # the connection could not be set up, or it was the last
            if answer.status == 204:
                acknowledged += [f"batch-{n}-{line}" for line in range(900)]
            else:
                self.assert_error(answer, 503, "Unavailable")
        self.assertEqual(self.daemon.wait(), 1, self.daemon.log())
        self.assertEqual(self.daemon.log().count("daemon.out_of_memory"), 1, self.daemon.log())
        last = self.daemon.log().splitlines()[-1]
        self.assertTrue(re.match(r"^\S+Z error daemon.out_of_memory .*remedy=", last), last)

        self.daemon.start()
        stored = {row["message_id"] for row in self.daemon.sql("select message_id from queue")}
        self.assertEqual([message for message in acknowledged if message not in stored], [])
        self.assertEqual(call(self.daemon.admin, "GET", "/health/ready").status, 200)
        self.assert_reconciled(self.daemon.status())


if __name__ == "__main__":
    unittest.main()
