"""nats-server with JetStream: a work queue in a file, messages with an id (Nats-Msg-Id), so that repeats are recognised."""

import json
import os
import re

from peers_load import body
from peers_server import Server, tcp

ID = re.compile(rb'"id":"([^"]+)"')


class Nats:
    def __init__(self, port, number):
        self.socket = tcp(port)
        self.buffer, self.reply, self.sent = b"", b"", 0
        self.inbox = f"_INBOX.{number}"
        self.subject = f"telemetry.{number}"
        while b"\r\n" not in self.buffer:
            self.buffer += self.receive()
        self.buffer = b""  # INFO
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"python","version":"1"}\r\n'
                            + f"SUB {self.inbox}.* 1\r\nPING\r\n".encode())
        while b"PONG\r\n" not in self.buffer:
            self.buffer += self.receive()
        self.buffer = b""

    def receive(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError
        return data

    def messages(self, data):
        """Subject, reply subject and payload (with headers, if any) of each message."""
        buffer, at = self.buffer + data, 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            words = buffer[at:end].split()
            if words and words[0] in (b"MSG", b"HMSG"):
                after = end + 2 + int(words[-1])
                if len(buffer) < after + 2:
                    break
                replies = len(words) == (5 if words[0] == b"MSG" else 6)
                yield words[1], words[3] if replies else b"", buffer[end + 2:after]
                at = after + 2
                continue
            if words and words[0] == b"PING":
                self.reply += b"PONG\r\n"
            elif words and words[0] == b"-ERR":
                raise OSError(buffer[at:end])
            at = end + 2
        self.buffer = buffer[at:]

    def publish(self, message_id):
        self.sent += 1
        header = f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n\r\n".encode()
        payload = body(message_id)
        return self.sent, b"HPUB %s %s.%d %d %d\r\n%s%s\r\n" % (self.subject.encode(), self.inbox.encode(), self.sent, len(header),
                                                                len(header) + len(payload), header, payload)

    def acks(self, data):
        for subject, _, payload in self.messages(data):
            if b'"seq"' not in payload:
                raise SystemExit(f"bench: nats-server refused a message: {payload!r}")
            yield int(subject.rsplit(b".", 1)[1])

    def ask(self, subject, payload):
        self.socket.sendall(f"PUB {subject} {self.inbox}.api {len(payload)}\r\n{payload}\r\n".encode())
        while not (answers := list(self.messages(self.receive()))):
            pass
        answer = json.loads(answers[0][2])
        if "error" in answer:
            raise SystemExit(f"bench: nats-server: {answer['error']}")
        return answer


class NatsServer(Server):
    name = "nats-server"
    package = "nats-server"
    settings = ["jetstream { store_dir }", 'stream: storage "file", retention "workqueue", num_replicas 1',
                "messages with Nats-Msg-Id; duplicate_window 2m (default)"]
    promise = ("the stream's leader has it, written to its file but not synced: synced every 2 minutes. This version has no "
               "`sync_interval: always` (it refuses the key)")

    def command(self):
        path = os.path.join(self.directory, "nats.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.directory}/jetstream" }}\n')
        return ["/usr/sbin/nats-server", "-c", path]

    def protocol(self, number):
        return Nats(self.port, number)

    def prepare(self):
        nats = self.protocol("setup")
        nats.ask("$JS.API.STREAM.CREATE.T", json.dumps({"name": "T", "subjects": ["telemetry.>"], "storage": "file",
                                                        "retention": "workqueue", "num_replicas": 1}))
        nats.socket.close()

    def consume(self, expected):
        nats = self.protocol("consumer")
        nats.ask("$JS.API.CONSUMER.DURABLE.CREATE.T.C",
                 json.dumps({"stream_name": "T", "config": {"durable_name": "C", "ack_policy": "explicit", "max_ack_pending": 10000}}))
        got = []
        while True:
            want = json.dumps({"batch": 1000, "no_wait": True})
            nats.socket.sendall(f"PUB $JS.API.CONSUMER.MSG.NEXT.T.C {nats.inbox}.next {len(want)}\r\n{want}\r\n".encode())
            batch = 0
            while batch < 1000:
                acknowledged = b""
                end = False
                for _, reply, payload in nats.messages(nats.receive()):
                    if payload.startswith(b"NATS/1.0 4"):  # no more: 404 or 408
                        end = True
                        continue
                    got.append(ID.search(payload).group(1).decode())
                    acknowledged += b"PUB %s 4\r\n+ACK\r\n" % reply
                    batch += 1
                if acknowledged:
                    nats.socket.sendall(acknowledged)
                if end:
                    if not batch:
                        return got
                    break
