"""twinspool itself, with the clients that its peers get; what a consumer gets is what arrives at a stand-in cloud."""

import json
import os
import socket
import subprocess
import sys

from peers_load import body
from peers_server import Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import harness  # noqa: E402


class Http:
    def __init__(self, path, number):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.buffer, self.reply, self.sent, self.answered = b"", b"", 0, 0
        self.head = (f"POST /digitaltwins/twin-{number}/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\nMessage-Id: ").encode()

    def publish(self, message_id):
        self.sent += 1
        payload = body(message_id)
        return self.sent, b"%s%s\r\nContent-Length: %d\r\n\r\n%s" % (self.head, message_id.encode(), len(payload), payload)

    def acks(self, data):
        *answers, self.buffer = (self.buffer + data).split(b"\r\n\r\n")
        for answer in answers:
            if not answer.startswith(b"HTTP/1.1 204"):
                raise SystemExit(f"bench: twinspool refused a message: {answer!r}")
            self.answered += 1
            yield self.answered


class Twinspool(Server):
    name = "twinspool"
    settings = ["the defaults"]
    promise = "204: it is in the database and synced; a repeat with its Message-Id within 10 minutes is recognised"

    def __init__(self, directory):
        super().__init__(directory)
        self.socket = os.path.join(directory, "t.sock")
        self.config = {"listen": [{"path": self.socket, "mode": "0600", "group": ""}],
                       "admin": {"path": os.path.join(directory, "a.sock"), "mode": "0600", "group": ""},
                       "store": {"path": os.path.join(directory, "queue.db"), "min_free": "1MiB"}, "log": {"level": "error"}}

    @property
    def config_path(self):
        return os.path.join(self.directory, "twinspool.yaml")

    def command(self):
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(self.config, file)
        return [os.path.join(harness.BIN, "twinspoold"), "--config", self.config_path]

    def protocol(self, number):
        return Http(self.socket, number)

    def own_client(self, clients, in_flight, seconds):
        out = subprocess.run([os.path.join(harness.BIN, "twinspool"), "--config", self.config_path, "bench", "--yes", "--json",
                              "--clients", str(clients), "--in-flight", str(in_flight), "--seconds", str(seconds)],
                             capture_output=True, text=True, check=True).stdout
        return json.loads(out)["messages_per_second"]

    def consume(self, expected):
        self.stop()
        cloud = harness.Cloud(self.directory).start()
        try:
            self.config["forward"] = {"endpoint": cloud.endpoint, "tls": {"ca_file": cloud.ca_file}}
            self.start()
            harness.wait_for("the queue to be empty", lambda: json.loads(
                harness.call(self.config["admin"]["path"], "GET", "/status").body)["queue"]["messages"] == 0, 300)
            return [each["message_id"] for each in cloud.records()]
        finally:
            cloud.kill()
