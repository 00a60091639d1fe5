"""mosquitto: MQTT 3.1.1, QoS 1, for a subscriber with a persistent session that is away."""

import os
import re
import struct
import time

from peers_load import body
from peers_server import Server, tcp

TOPIC = "telemetry"
ID = re.compile(rb'"id":"([^"]+)"')


def packet(kind, rest):
    length, size = b"", len(rest)
    while True:
        size, seven = size >> 7, size & 127
        length += bytes([seven | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + rest


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


class Mqtt:
    def __init__(self, port, client_id, clean):
        self.socket = tcp(port)
        self.buffer, self.reply, self.sent = b"", b"", 0
        self.socket.sendall(packet(0x10, text("MQTT") + bytes([4, 2 if clean else 0]) + struct.pack(">H", 0) + text(client_id)))
        while not (packets := list(self.packets(self.receive()))):
            pass
        if packets[0][0] != 0x20 or packets[0][1][1] != 0:
            raise OSError(f"connection refused: {packets[0]}")
        self.early = packets[1:]

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data

    def packets(self, data):
        self.buffer += data
        buffer, at = self.buffer, 0
        while len(buffer) - at >= 2:
            size, shift, after = 0, 0, at + 1
            while after < len(buffer):
                seven = buffer[after]
                size |= (seven & 127) << shift
                shift += 7
                after += 1
                if seven < 128:
                    break
            else:
                break
            if len(buffer) < after + size:
                break
            yield buffer[at], buffer[after:after + size]
            at = after + size
        self.buffer = buffer[at:]

    def publish(self, message_id):
        self.sent = self.sent % 65535 + 1
        return self.sent, packet(0x32, text(f"{TOPIC}/{message_id.split('-')[0]}") + struct.pack(">H", self.sent) + body(message_id))

    def acks(self, data):
        for kind, rest in self.packets(data):
            if kind == 0x40:
                yield struct.unpack(">H", rest[:2])[0]


class Mosquitto(Server):
    name = "mosquitto"
    package = "mosquitto"
    settings = ["persistence true", "max_queued_messages 0", "set_tcp_nodelay true"]
    promise = ("QoS 1: the broker has it, in memory; the database is saved every autosave_interval (1,800 s) and at a clean stop. "
               "max_queued_messages 0, because the default keeps 1,000 messages for a subscriber that is away and drops the rest, "
               "acknowledged like the others")

    def command(self):
        path = os.path.join(self.directory, "mosquitto.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root", "log_dest none",
                                  f"persistence_location {self.directory}/", *self.settings]) + "\n")
        return ["/usr/sbin/mosquitto", "-c", path]

    def protocol(self, number):
        return Mqtt(self.port, f"client-{number}", True)

    def prepare(self):
        consumer = Mqtt(self.port, "consumer", False)
        consumer.socket.sendall(packet(0x82, struct.pack(">H", 1) + text(f"{TOPIC}/#") + b"\x01"))
        while not any(kind == 0x90 for kind, _ in consumer.packets(consumer.receive())):
            pass
        consumer.socket.sendall(packet(0xE0, b""))
        consumer.socket.close()

    def consume(self, expected):
        consumer = Mqtt(self.port, "consumer", False)
        consumer.socket.settimeout(3)
        got, packets, last = [], consumer.early, time.monotonic()
        while True:
            answer = b""
            for kind, rest in packets:
                if kind & 0xF0 == 0x30:
                    topic = struct.unpack(">H", rest[:2])[0]
                    got.append(ID.search(rest).group(1).decode())
                    answer += packet(0x40, rest[2 + topic:4 + topic])
                    last = time.monotonic()
            if answer:
                consumer.socket.sendall(answer)
            if time.monotonic() - last > 3:
                return got
            try:
                packets = list(consumer.packets(consumer.receive()))
            except TimeoutError:
                return got


class MosquittoOnChanges(Mosquitto):
    name = "mosquitto, saved on changes"
    settings = [*Mosquitto.settings, "autosave_on_changes true", "autosave_interval 1"]
    promise = "as above, and the whole database is written again after each change; the manual does not say that an acknowledgement waits"
    cannot_wait = "each message writes the whole backlog again"
