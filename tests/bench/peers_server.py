"""What every peer of scripts/bench peers is: a program with a directory, started, stopped and killed, and what it costs."""

import os
import signal
import socket
import subprocess
import time

from peers_load import Load, drive


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tcp(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Server:
    name = ""
    package = ""  # Debian's, for the version
    settings = []  # what is set, as it is documented
    promise = ""  # of an acknowledgement, by its documents
    fill_with = None  # another class with the same files, which takes a backlog in faster
    cannot_wait = ""  # why it cannot be asked to hold the backlog

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        self.port = free_port()
        self.started_before = False

    # What a peer says for itself.

    def command(self):
        raise NotImplementedError

    def protocol(self, number):
        """A connection that is ready to publish."""
        raise NotImplementedError

    def prepare(self):
        """Once, after the first start: a stream, a session that is to get what is published."""

    def consume(self, expected):
        """The ids that a consumer gets, in order; called on a server that runs."""
        raise NotImplementedError

    # What is the same for all.

    def start(self):
        """Gives the seconds from the start of the program to its first acknowledged message (at the first start: to its answer)."""
        begun = time.monotonic()
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        while True:
            try:
                protocol = self.protocol(9999)
                break
            except (OSError, EOFError):
                if self.process.poll() is not None or time.monotonic() - begun > 120:
                    raise SystemExit(f"bench: {self.name} did not start: "
                                     + open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace").read()[-2000:])
                time.sleep(0.002)
        if not self.started_before:
            self.started_before = True
            self.prepare()
        else:
            token, frame = protocol.publish(f"start-{time.monotonic_ns()}")
            protocol.socket.sendall(frame)
            while token not in list(protocol.acks(protocol.socket.recv(65536))):
                pass
        took = time.monotonic() - begun
        protocol.socket.close()
        return took

    def stop(self):
        """A clean stop; gives the bytes that the program has written since it was started, as the kernel counts them."""
        self.process.terminate()
        return self.reap()

    def kill(self):
        self.process.kill()
        self.reap()

    def reap(self):
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process = None
        return usage.ru_oublock * 512

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.kill()

    def written(self):
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])

    def memory(self):
        """Resident and proportional MiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            fields = {line.split(":")[0]: line.split() for line in file.read().splitlines()[1:]}
        return int(fields["Rss"][1]) / 1024, int(fields["Pss"][1]) / 1024

    def forget_cache(self):
        """The next start reads its files from the disk."""
        for folder, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        os.fsync(file.fileno())
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def send(self, clients, in_flight, **load):
        return drive(self.protocol, Load(clients, in_flight, **load))
