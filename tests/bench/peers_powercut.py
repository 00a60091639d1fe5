"""A file system of its own on a loop device, whose power can be cut: what was not written to the device by then is gone.

ext4's own shutdown (the ioctl that file system tests use, without a flush of its log) ends all its writing at once; after an
unmount the image holds what a disk would hold after a power cut, except that a disk may also forget what it was not asked to
flush: the cut here is the kinder one. Needs root and a loop device.
"""

import fcntl
import os
import struct
import subprocess

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


class Disk:
    def __init__(self, directory, size="1G"):
        self.image, self.mounted = os.path.join(directory, "image"), os.path.join(directory, "disk")
        self.up = False
        os.mkdir(self.mounted)
        for command in (["truncate", "-s", size, self.image], ["mkfs.ext4", "-q", "-F", "-b", "4096", self.image]):
            subprocess.run(command, check=True, capture_output=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True, capture_output=True)
        self.up = True

    def cut(self):
        descriptor = os.open(self.mounted, os.O_RDONLY)
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(descriptor)

    def power_up(self):
        """On a copy of the image: the file system that was shut down may live on in another process's mounts."""
        self.unmount()
        again = self.image + ".again"
        subprocess.run(["cp", "--sparse=always", self.image, again], check=True)
        os.remove(self.image)
        self.image = again
        self.mount()

    def unmount(self):
        if self.up:
            subprocess.run(["umount", self.mounted], check=True, capture_output=True)
            self.up = False


def available(directory):
    if os.geteuid() != 0:
        return "needs root"
    os.mkdir(directory)
    try:
        disk = Disk(directory, "64M")
        disk.cut()
        disk.power_up()
        disk.unmount()
        return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", b"") or error)
