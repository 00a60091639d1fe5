"""A disk with a cache that forgets, for a virtual machine: what was written is in the image when the machine has flushed it.

It speaks NBD on a Unix socket, as a process of its own. Commands come on its standard input, a line each:

  off        it answers nothing any more, and what comes from now on never came
  off N      the same as soon as it has N writes that are not flushed; after 15 s at the latest
  end kept   the disk ends as a machine whose process was killed leaves it: all that it was given is in the image
  end lost   nothing is that was not flushed
  end some   any of the writes that were not flushed are, and of others some sectors

Each is answered with a line; `end` with what became of the writes, as JSON.
"""

import argparse
import json
import os
import random
import socket
import struct
import sys
import threading

SECTOR = 512
CACHE_BYTES_MAX = 32 << 20  # then all is written, as a disk does that has no room left
MOMENT_SECONDS_MAX = 15

NEWSTYLE, OPTION, REPLY = b"NBDMAGIC", 0x49484156454F5054, 0x3E889045565A9
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPT_ABORT, OPT_GO = 2, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, SEND_FLUSH = 1, 4
REQUEST_MAGIC, ANSWER_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
EINVAL = 22


class Cache:
    """The image, and the writes that only this disk knows of."""

    def __init__(self, path, lying=False):
        self.image = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.lying = lying  # flushes nothing and says that it has: there must be a test that finds it
        self.writes = []  # (offset, bytes), as they came
        self.bytes = 0
        self.newest = {}  # of those: by sector
        self.flushes = 0

    def read(self, offset, length):
        data = bytearray(os.pread(self.image, length, offset))
        if self.newest:
            for sector in range(offset // SECTOR, (offset + length) // SECTOR):
                if sector in self.newest:
                    at = sector * SECTOR - offset
                    data[at:at + SECTOR] = self.newest[sector]
        return data

    def write(self, offset, data):
        self.writes.append((offset, data))
        self.bytes += len(data)
        for at in range(0, len(data), SECTOR):
            self.newest[(offset + at) // SECTOR] = data[at:at + SECTOR]
        if self.bytes > CACHE_BYTES_MAX and not self.lying:
            self.destage()

    def destage(self):
        for offset, data in self.writes:
            os.pwrite(self.image, data, offset)
        self.writes, self.newest, self.bytes = [], {}, 0

    def flush(self):
        self.flushes += 1
        if not self.lying:
            self.destage()

    def end(self, what, dice):
        fates = {"flushes": self.flushes, "unflushed": len(self.writes), "kept": 0, "torn": 0, "dropped": 0}
        for offset, data in self.writes:
            fate = {"kept": "kept", "lost": "dropped"}.get(what) or dice.choice(("kept", "kept", "torn", "dropped"))
            fates[fate] += 1
            for at in range(0, len(data), SECTOR) if fate == "torn" else ():
                if dice.random() < 0.5:
                    os.pwrite(self.image, data[at:at + SECTOR], offset + at)
            if fate == "kept":
                os.pwrite(self.image, data, offset)
        return fates


class Disk(threading.Thread):
    def __init__(self, cache, listener):
        super().__init__(daemon=True)
        self.cache, self.listener = cache, listener
        self.on = True
        self.gone = threading.Event()
        self.off_at = None  # so many writes that are not flushed
        self.lock = threading.Lock()  # between two commands the power goes, never within one

    def run(self):
        self.connection = self.listener.accept()[0]
        try:
            self.negotiate()
            while self.serve():
                pass
        except (EOFError, OSError):
            pass  # the machine has ended

    def take(self, length):
        data = bytearray(length)
        view = memoryview(data)
        while view:
            got = self.connection.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return bytes(data)

    def negotiate(self):
        self.connection.sendall(NEWSTYLE + struct.pack(">QH", OPTION, FIXED_NEWSTYLE | NO_ZEROES))
        self.take(4)
        while True:
            _, option, length = struct.unpack(">QII", self.take(16))
            self.take(length)
            if option == OPT_GO:
                export = struct.pack(">HQH", 0, self.cache.size, HAS_FLAGS | SEND_FLUSH)
                self.reply(option, REP_INFO, export)
                self.reply(option, REP_ACK)
                return
            self.reply(option, REP_ACK if option == OPT_ABORT else REP_UNSUPPORTED)

    def reply(self, option, kind, data=b""):
        self.connection.sendall(struct.pack(">QIII", REPLY, option, kind, len(data)) + data)

    def serve(self):
        magic, _, command, handle, offset, length = struct.unpack(">IHHQQI", self.take(28))
        if magic != REQUEST_MAGIC or command == DISCONNECT:
            return False
        data = self.take(length) if command == WRITE else b""
        with self.lock:
            if not self.on:
                return False
            error, answer = self.do(command, offset, length, data)
            if self.off_at and len(self.cache.writes) >= self.off_at:
                self.go()
                return False
        self.connection.sendall(struct.pack(">IIQ", ANSWER_MAGIC, error, handle) + answer)
        return True

    def do(self, command, offset, length, data):
        if command == FLUSH:
            self.cache.flush()
        elif command not in (READ, WRITE) or offset % SECTOR or length % SECTOR or offset + length > self.cache.size:
            return EINVAL, b""
        elif command == WRITE:
            self.cache.write(offset, data)
        else:
            return 0, self.cache.read(offset, length)
        return 0, b""

    def go(self):
        self.on = False
        self.gone.set()

    def off(self, writes):
        """At once, or when there are so many writes to lose."""
        with self.lock:
            self.off_at = writes
        if writes:
            self.gone.wait(MOMENT_SECONDS_MAX)
        with self.lock:
            self.go()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--seed", default="")
    parser.add_argument("--lying", action="store_true")
    arguments = parser.parse_args()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(arguments.socket)
        listener.listen(1)
        disk = Disk(Cache(arguments.image, arguments.lying), listener)
        disk.start()
        print("on", flush=True)
        for line in sys.stdin:
            command, _, what = line.strip().partition(" ")
            disk.off(int(what) if command == "off" and what else 0)
            if command == "end":
                print(json.dumps(disk.cache.end(what, random.Random(arguments.seed))), flush=True)
                break
            print("off", flush=True)


if __name__ == "__main__":
    main()
