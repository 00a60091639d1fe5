"""Bytes on a socket as the test wants them, answers as they come."""

import socket

from harness import Answer


class Folded(dict):
    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return super().__contains__(name.lower())


class RawConnection:
    """`path`: of a Unix socket, or (host, port)."""

    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_INET if isinstance(path, tuple) else socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def write(self, data):
        """A server may refuse before it has read all: then its answer counts, not our failure to go on."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def head(self):
        line = self.reader.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self.reader.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        return status, headers

    def answer(self):
        head = self.head()
        assert head, "the connection ended where an answer should be"
        status, headers = head
        body = b"" if status in (204, 100) else self.reader.read(int(headers["content-length"]))
        return Answer(status, Folded(headers), body)

    def ended(self):
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.reader.close()
        self.socket.close()
