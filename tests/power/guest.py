"""A virtual machine of QEMU on a disk that forgets, whose power is cut by SIGKILL.

Applications reach it through a port on the loopback, and this test's shell through a serial port; it reaches the host's
loopback as 10.0.2.2. It has no hardware to help it: a second of its takes several of the host's.
"""

import json
import os
import random
import socket
import subprocess
import sys
import time

from harness import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = "10.0.2.2"  # as the guest sees it
BOOT_SECONDS_MAX = 1800  # the host may be so busy, or all of this stopped for a while
ANSWER_SECONDS_MAX = 1800
MOUNTED = "powercuts: the disk is mounted"
DIE_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


def free_port():
    """Not one that the kernel gives to others while the machine is off."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Guest:
    def __init__(self, directory, kernel, first_system, image, lying=False):
        self.directory, self.image, self.lying = directory, image, lying
        self.kernel, self.first_system = kernel, first_system
        self.console_path = os.path.join(directory, "console")  # of all boots
        self.console_start = 0
        self.port = free_port()
        self.machine = self.disk = self.shell = None
        self.boots = 0
        self.began = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def boot(self, seed):
        self.boots += 1
        for name in ("disk.sock", "shell.sock", "monitor.sock"):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        self.disk = subprocess.Popen(
            [*DIE_WITH_US, sys.executable, "-B", os.path.join(HERE, "disk.py"), "--image", self.image, "--socket",
             self.path("disk.sock"), "--seed", seed, *(["--lying"] if self.lying else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.disk.stdout.readline() == "on\n", "the disk did not start"
        self.console_start = os.path.getsize(self.console_path) if os.path.exists(self.console_path) else 0
        self.began = time.monotonic()
        with open(self.path("qemu.log"), "ab") as log:
            self.machine = subprocess.Popen([*DIE_WITH_US, *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.shell = self.connect("shell.sock")

    def command(self):
        return ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                "-machine", "pc,accel=tcg,usb=off", "-cpu", "max", "-smp", "1", "-m", "512",
                "-kernel", self.kernel, "-initrd", self.first_system,
                "-append", "console=ttyS0 quiet mitigations=off nopti panic=-1 systemd.show_status=false random.trust_cpu=on "
                           "tsc=reliable no_timer_check nowatchdog audit=0",
                "-chardev", f"file,id=console,append=on,path={self.console_path}", "-serial", "chardev:console",
                "-blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={self.path('disk.sock')}",
                "-device", "virtio-blk-pci,drive=disk,write-cache=on",
                "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
                "-chardev", f"socket,id=shell,path={self.path('shell.sock')},server=on,wait=off",
                "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell,nr=1",
                "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
                "-chardev", f"socket,id=monitor,path={self.path('monitor.sock')},server=on,wait=off", "-mon", "chardev=monitor"]

    def connect(self, name):
        connection = socket.socket(socket.AF_UNIX)

        def connected():
            self.must_run()
            try:
                connection.connect(self.path(name))
                return True
            except OSError:
                return False

        wait_for("QEMU", connected, BOOT_SECONDS_MAX)
        connection.settimeout(ANSWER_SECONDS_MAX)
        return connection

    def cpu_seconds(self):
        """What it has cost the host since its boot, however busy that is."""
        with open(f"/proc/{self.machine.pid}/stat", encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def must_run(self):
        if self.machine.poll() is None:
            return
        with open(self.path("qemu.log"), encoding="utf-8", errors="replace") as file:
            raise AssertionError(f"the machine ended with {self.machine.returncode}: {file.read()[-2000:]}\n{self.console()}")

    def console(self):
        """What it has said since its boot."""
        with open(self.console_path, "rb") as file:
            file.seek(self.console_start)
            return file.read().decode("utf-8", "replace")

    def wait_for(self, what, probe):
        """While it runs; looks often, because cuts are timed by it."""
        give_up = time.monotonic() + BOOT_SECONDS_MAX
        while not probe():
            self.must_run()
            assert time.monotonic() < give_up, f"waited {BOOT_SECONDS_MAX} s for {what}; its console:\n{self.console()[-4000:]}"
            time.sleep(0.02)

    def wait_until_mounted(self):
        """Applications may come from now on: systemd makes the sockets before anything else."""
        self.wait_for("the disk", lambda: MOUNTED in self.console())
        with self.connect("monitor.sock") as monitor:
            monitor.sendall(f"hostfwd_add net tcp:127.0.0.1:{self.port}-10.0.2.15:7001\n".encode())
            text = b""
            while text.count(b"(qemu)") < 2:
                text += monitor.recv(4096)
        assert b"could not" not in text, text

    def wait_until_up(self):
        """The daemon is ready, or could not be started."""
        self.shell.settimeout(BOOT_SECONDS_MAX)
        try:
            self.read_until(b"<up>\n")
        except AssertionError as failure:
            raise AssertionError(f"{failure}; its console:\n{self.console()[-4000:]}") from None
        self.shell.settimeout(ANSWER_SECONDS_MAX)

    def read_until(self, end):
        text = b""
        while end not in text or not text.endswith(b"\n"):
            try:
                part = self.shell.recv(1 << 16)
            except TimeoutError:
                part = b""
            assert part, f"no answer from the machine; the last was {text[-1000:]!r}"
            text += part
        return text.decode("utf-8", "replace")

    def sh(self, script):
        """Its exit status, and what it printed; the script is one line."""
        self.shell.sendall(script.encode() + b"\n")
        text, _, status = self.read_until(b"<end ").rpartition("<end ")
        return int(status.strip(">\n")), text

    def must(self, script):
        """What it printed. A busy host is no failure of its machine."""
        give_up = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            status, text = self.sh(script)
            if status == 0:
                return text
            assert "no answer in time" in text and time.monotonic() < give_up, \
                f"`{script}` in the machine ended with {status}: {text[-2000:]}"

    def status(self):
        return json.loads(self.must("twinspool status --json"))

    def cut(self, disk, writes):
        """`disk`: what becomes of what it was not asked to flush, `writes`: of how many (disk.py). Tells how it ended."""
        if disk != "kept":  # the disk first, so that nobody is told of what it then forgets
            self.tell_disk(f"off {writes}" if writes else "off")
        self.machine.kill()
        self.machine.wait()
        return self.end_disk(disk)

    def tell_disk(self, command):
        self.disk.stdin.write(command + "\n")
        self.disk.stdin.flush()
        return self.disk.stdout.readline()

    def end_disk(self, what):
        fates = json.loads(self.tell_disk("end " + what))
        self.disk.wait()
        self.shell.close()
        return fates

    def power_off(self):
        """A clean one, of the daemon, too."""
        self.must("systemctl stop twinspoold.socket twinspoold-admin.socket twinspoold.service")
        self.shell.sendall(b"systemctl poweroff\n")
        self.machine.wait(BOOT_SECONDS_MAX)
        return self.end_disk("kept")

    def close(self):
        for process in (self.machine, self.disk):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if self.shell:
            self.shell.close()
