"""A small disk of a test's own: ext4 on a loop device. Takes root."""

import os
import subprocess


class LoopDisk:
    def __init__(self, test, mib):
        """Ends with the test's cleanups; skips the test where no such disk can be made."""
        self.mount_point = os.path.join(test.directory, "disk")
        image = os.path.join(test.directory, "image")
        os.mkdir(self.mount_point)
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        for command in (["mkfs.ext4", "-q", "-F", "-b", "4096", image],
                        ["mount", "-o", "loop", image, self.mount_point]):
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=60)
            except (OSError, subprocess.CalledProcessError) as error:
                test.skipTest(f"needs root and loop devices: {error}")
        # Cleanups run last to first: the processes end before the disk goes.
        test.addCleanup(subprocess.run, ["umount", self.mount_point], check=False)
        test.addCleanup(test.end_processes)

    def freeze(self):
        """From now on whoever writes to it waits."""
        subprocess.run(["fsfreeze", "--freeze", self.mount_point], check=True, timeout=60)

    def thaw(self):
        subprocess.run(["fsfreeze", "--unfreeze", self.mount_point], check=True, timeout=60)
