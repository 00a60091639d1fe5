"""What this machine lends the soak: a network of its own, a small disk, a clock for the daemon. What it cannot, it names.

The network and the mounts are this process's own namespaces: they are gone with the last of its processes, whatever ends it.
"""

import contextlib
import ctypes
import glob
import os
import shutil
import subprocess
import time

from test_network import CLONE_NEWNET, CLONE_NEWNS, nft, run

DISK_MIB = 96
SECONDS_OF_A_DAY = 86400
TABLE = "add table inet soak"
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


class Machine:
    """Made before any thread is: namespaces belong to threads."""

    def __init__(self, directory):
        self.directory = directory
        self.lacking = {}  # track: why it has no faults
        self.mount = None
        self.clock_file = None
        self.dead = None  # (since when, the cloud's port, the other ends) of connections that are half-open
        for track, attempt in (("network", self.own_network), ("disk", self.own_disk), ("clock", self.own_clock)):
            try:
                attempt()
            except (AssertionError, OSError) as error:
                self.lacking[track] = str(error).strip().replace("\n", "; ")

    # Network

    def own_network(self):
        assert os.geteuid() == 0, "only root may have a network namespace of its own"
        for name in ("ip", "nft"):
            assert shutil.which(name), f"{name} is not installed (scripts/setup test)"
        failed = ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS) != 0
        assert not failed, f"unshare: {os.strerror(ctypes.get_errno())}"
        run("ip", "link", "set", "lo", "up")
        run("mount", "--make-rprivate", "/")
        nft(TABLE)

    def cut(self, *rules):
        nft("add chain inet soak input { type filter hook input priority 0; }",
            *[f"add rule inet soak input {rule}" for rule in rules])

    def cut_half_open(self, port):
        """The connections that stand now are dead for good, and nobody is told; new ones pass. False: there are none."""
        ports = self.connections_to(port)
        if not ports:
            return False
        ends = ", ".join(ports)
        self.cut(f"tcp dport {port} tcp sport {{ {ends} }} drop", f"tcp sport {port} tcp dport {{ {ends} }} drop")
        self.dead = (time.monotonic(), port, set(ports))
        return True

    def given_up_after(self):
        """Seconds until the last dead connection was given up, once; else None."""
        dead = self.dead  # the main thread may replace it
        if dead is None or dead[2].intersection(self.connections_to(dead[1])) or self.dead is not dead:
            return None
        self.dead = None
        return time.monotonic() - dead[0]

    def seconds_dead(self):
        dead = self.dead
        return time.monotonic() - dead[0] if dead else 0

    def mend(self):
        self.dead = None
        nft("flush ruleset", TABLE)

    @staticmethod
    def connections_to(port):
        """The ports of their other ends."""
        text = subprocess.run(["ss", "-Htn", "state", "established", f"dport = :{port}"], capture_output=True, text=True,
                              timeout=30, check=True).stdout
        return [line.split()[2].rpartition(":")[2] for line in text.splitlines()]

    # Disk

    def own_disk(self):
        assert os.geteuid() == 0, "only root may mount a disk of its own"
        image = os.path.join(self.directory, "image")
        where = os.path.join(self.directory, "disk")
        os.mkdir(where)
        with open(image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        run("mkfs.ext4", "-q", "-F", "-b", "4096", image)
        run("mount", "-o", "loop", image, where)
        self.mount = where

    def fill_disk(self):
        """Takes every block that is free now."""
        handle = os.open(os.path.join(self.mount, "hog"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, 4096):
                try:
                    while os.write(handle, bytes(size)) == size:
                        pass
                except OSError:
                    pass
        finally:
            os.close(handle)

    def free_disk(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(self.mount, "hog"))

    # Clock

    def own_clock(self):
        assert FAKETIME, "libfaketime is not installed (scripts/setup test)"
        self.clock_file = os.path.join(self.directory, "clock")
        self.set_clock(0)

    def set_clock(self, offset_seconds):
        with open(self.clock_file + ".new", "w", encoding="ascii") as file:
            file.write(f"{offset_seconds:+d}\n")
        os.rename(self.clock_file + ".new", self.clock_file)

    def set_clock_to(self, kind):
        self.set_clock({"clock in 1970": 600 - int(time.time()), "clock a day back": -SECONDS_OF_A_DAY,
                        "clock a year ahead": 365 * SECONDS_OF_A_DAY}[kind])

    def environment(self):
        """Of a program whose clock this is; what is monotonic stays true."""
        if self.clock_file is None:
            return {}
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.clock_file, "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "TZ": "UTC",
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def close(self):
        """The processes that use it have ended."""
        if self.mount:
            subprocess.run(["umount", self.mount], check=False)
            self.mount = None
