"""rsyslog: RELP in (the receiver acknowledges), a queue, RELP out to a sink that is away and comes back."""

import os
import re
import socket
import time

from peers_load import body
from peers_server import Server, tcp

ID = re.compile(rb'"id":"([^"]+)"')
OFFER = b"relp_version=0\nrelp_software=bench\ncommands=syslog"


def frames(buffer):
    """Number, command and data of each whole frame, and what is left."""
    out, at = [], 0
    while True:
        parts = buffer[at:at + 64].split(b" ", 2)
        if len(parts) < 3:
            return out, buffer[at:]
        digits = re.match(rb"\d+(?=[ \n])", parts[2])
        if not digits:
            return out, buffer[at:]
        start = at + len(parts[0]) + len(parts[1]) + 2 + digits.end()
        size = int(digits.group())
        data_at = start + (1 if size else 0)
        if len(buffer) < data_at + size + 1:
            return out, buffer[at:]
        out.append((parts[0], parts[1], buffer[data_at:data_at + size]))
        at = data_at + size + 1


def frame(number, command, data):
    return b"%d %s %d%s%s\n" % (number, command, len(data), b" " if data else b"", data)


class Relp:
    def __init__(self, port):
        self.socket = tcp(port)
        self.buffer, self.reply, self.sent = b"", b"", 1
        self.socket.sendall(frame(1, b"open", OFFER))
        while 1 not in list(self.acks(self.receive())):
            pass

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data

    def publish(self, message_id):
        self.sent = self.sent % 999_999_999 + 1
        line = b"<134>1 2026-01-02T03:04:05.678Z gateway bench - - - " + body(message_id)
        return self.sent, frame(self.sent, b"syslog", line)

    def acks(self, data):
        answers, self.buffer = frames(self.buffer + data)
        for number, command, rest in answers:
            if command == b"serverclose":
                raise OSError("closed")
            if not rest.startswith(b"200"):
                raise SystemExit(f"bench: rsyslog refused a message: {rest!r}")
            yield int(number)


class Rsyslog(Server):
    name = "rsyslog"
    package = "rsyslog"
    settings = ["imrelp", "omrelp with action.resumeRetryCount -1", "main queue: in memory (default)"]
    promise = "RELP: rsyslog has it in its queue, in memory"
    queue = ""
    cannot_wait = "its queue in memory holds 50,000 messages by default; then its clients wait"

    def __init__(self, directory):
        super().__init__(directory)
        self.sink = socket.socket()  # bound, and deaf until somebody consumes: connections to it are refused
        self.sink.bind(("127.0.0.1", 0))

    def command(self):
        path = os.path.join(self.directory, "rsyslog.conf")
        queue = self.queue and f'{self.queue} queue.filename="queue" queue.spoolDirectory="{self.directory}"'
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""
global(workDirectory="{self.directory}" maxMessageSize="64k")
module(load="imrelp") module(load="omrelp")
template(name="whole" type="string" string="%msg%\\n")
input(type="imrelp" address="127.0.0.1" port="{self.port}" ruleset="out")
ruleset(name="out" {queue}) {{
  action(type="omrelp" target="127.0.0.1" port="{self.sink.getsockname()[1]}" template="whole"
         action.resumeRetryCount="-1" action.resumeInterval="1" action.resumeIntervalMax="1")
}}
""")
        return ["/usr/sbin/rsyslogd", "-n", "-f", path, "-i", f"{self.directory}/pid"]

    def protocol(self, number):
        return Relp(self.port)

    def consume(self, expected):
        """A sink in one thread: it acknowledges each message, until none has come for some seconds."""
        self.sink.listen(8)
        self.sink.settimeout(0.1)
        got, connections, last = [], {}, time.monotonic()
        begun = last
        while time.monotonic() - last < (4 if got else 15) and time.monotonic() - begun < 300:
            try:
                connection, _ = self.sink.accept()
                connection.settimeout(0.05)
                connections[connection] = b""
            except TimeoutError:
                pass
            for connection in list(connections):
                for _ in range(1000):
                    try:
                        data = connection.recv(1 << 18)
                    except TimeoutError:
                        break
                    except OSError:
                        data = b""
                    if not data:
                        del connections[connection]
                        break
                    found, connections[connection] = frames(connections[connection] + data)
                    answer = b""
                    for number, command, rest in found:
                        if command == b"syslog" and (message := ID.search(rest)):
                            got.append(message.group(1).decode())
                            last = time.monotonic()
                        answer += frame(int(number), b"rsp", b"200 OK" + (b"\n" + OFFER if command == b"open" else b""))
                    connection.sendall(answer)
        return got

    def end(self):
        super().end()
        self.sink.close()


class RsyslogDisk(Rsyslog):
    name = "rsyslog, disk queue"
    settings = [*Rsyslog.settings[:2], 'queue.type="disk"', "queue.size 100000000"]
    queue = 'queue.type="disk" queue.size="100000000"'
    promise = "RELP: it is in the queue's file, not synced"
    cannot_wait = ""


class RsyslogSynced(RsyslogDisk):
    name = "rsyslog, synced disk queue"
    settings = [*RsyslogDisk.settings, 'queue.syncqueuefiles="on"', 'queue.checkpointinterval="1"']
    queue = RsyslogDisk.queue + ' queue.syncqueuefiles="on" queue.checkpointinterval="1"'
    promise = "RELP: it is in the queue's file and synced, with the queue's own administration"
    fill_with = RsyslogDisk
