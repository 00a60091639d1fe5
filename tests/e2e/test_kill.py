import json
import os
import random
import threading
import time
import http.client

from harness import EndToEnd, UnixConnection, target, wait_for
from test_delivery import first_arrivals

ROUNDS = int(os.environ.get("TWINSPOOL_KILL_ROUNDS", "20"))
SEED = int(os.environ.get("TWINSPOOL_SEED", "0")) or random.randrange(1, 1 << 32)
CLIENTS = 6
TWINS_PER_CLIENT = 3
CONNECTIONS = 16
UNRECORDED_ACKS_MAX = 256  # the daemon records an answer with the next commit, of at most so many


class Client(threading.Thread):
    """An application that does it right: each twin's messages one after the other, the same Message-Id until a 204."""

    def __init__(self, path, number):
        super().__init__(daemon=True)
        self.path = path
        self.twins = [f"twin-{number}-{n}" for n in range(TWINS_PER_CLIENT)]
        self.acknowledged = {twin: [] for twin in self.twins}  # (Message-Id, body, sequence) in the order of the 204s
        self.stopping = threading.Event()
        self.failure = None
        self.retries = 0

    def count(self):
        return sum(len(messages) for messages in self.acknowledged.values())

    def run(self):
        try:
            number = 0
            connection = UnixConnection(self.path)
            while not self.stopping.is_set():
                twin = self.twins[number % len(self.twins)]
                body = json.dumps({"count": number, "pad": "x" * (number * 37 % 400)})
                connection = self.send(connection, twin, f"{twin}-{number}", body)
                number += 1
            connection.close()
        except Exception as failure:  # pylint: disable=broad-except  # the main thread raises it
            self.failure = failure

    def send(self, connection, twin, message_id, body):
        headers = {"Content-Type": "application/json", "Message-Id": message_id}
        give_up = time.monotonic() + 120
        while True:
            try:
                connection = connection or UnixConnection(self.path)
                answer = connection.call("POST", target(twin), body, headers)
                if answer.status == 204:
                    self.acknowledged[twin].append((message_id, body, int(answer.headers["Twinspool-Sequence"])))
                    return connection
                assert answer.status == 503, f"{answer.status} {answer.body!r}"
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
            assert time.monotonic() < give_up, f"no 204 for {message_id}"
            self.retries += 1
            self.stopping.wait(0.005)


class KillUnderLoad(EndToEnd):
    def test_kill_9_under_load_loses_nothing_and_keeps_the_order(self):
        print(f"seed {SEED} ({ROUNDS} rounds; TWINSPOOL_SEED and TWINSPOOL_KILL_ROUNDS change that)")
        dice = random.Random(SEED)
        self.daemon.config["forward"]["connections"] = CONNECTIONS
        self.daemon.start()
        clients = [Client(self.daemon.socket, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        kills = []  # number of records at the cloud at each kill
        cuts = 0
        down = False
        try:
            for _ in range(ROUNDS):
                before = sum(client.count() for client in clients)
                more = dice.randrange(1, 400)

                def progress(before=before, more=more):
                    for client in clients:
                        if client.failure:
                            raise client.failure
                    return sum(client.count() for client in clients) >= before + more

                if dice.random() < 0.3:  # some rounds pile up a backlog, and the kill then meets its drain
                    if down:
                        self.cloud.up()
                    else:
                        self.cloud.down()
                        cuts += 1
                    down = not down
                wait_for(f"{more} more messages", progress)
                time.sleep(dice.random() * 0.01)  # anywhere in a commit, not only right behind a 204
                self.daemon.kill()
                kills.append(len(self.cloud.records()))
                self.daemon.start()
                self.assert_reconciled(self.daemon.status())
        finally:
            for client in clients:
                client.stopping.set()
            for client in clients:
                client.join(150)
        for client in clients:
            if client.failure:
                raise client.failure
            self.assertFalse(client.is_alive())
        if down:
            self.cloud.up()
        status = self.daemon.wait_until_drained()
        self.check(clients, status, kills, cuts)

    def check(self, clients, status, kills, cuts):
        records = self.cloud.records()
        first = first_arrivals(records)
        arrived = {}
        for record in first:
            arrived.setdefault(record["twin"], []).append(record)
        total = 0
        for client in clients:
            for twin, messages in client.acknowledged.items():
                total += len(messages)
                got = arrived.get(twin, [])
                # What was acknowledged is there, in the order sent, byte for byte; and nothing else is.
                self.assertEqual([(r["message_id"], r["body"]) for r in got], [(m[0], m[1]) for m in messages], twin)
                sequences = [m[2] for m in messages]
                self.assertEqual(sequences, sorted(set(sequences)), f"{twin}: sequences do not count up")
        self.assertEqual(total, len(first))
        by_id = {(r["twin"], r["message_id"]): r for r in first}
        for record in records:
            original = by_id[(record["twin"], record["message_id"])]
            for name in ("component", "source_time", "body", "traceparent", "tracestate"):
                self.assertEqual(record[name], original[name], "a repeat differs from its first")
        doubles = len(records) - len(first)
        # Sent but not recorded when the daemon died; and in flight when the cloud was cut off.
        self.assertLessEqual(doubles, len(kills) * (CONNECTIONS + UNRECORDED_ACKS_MAX) + cuts * CONNECTIONS)
        for number, start in enumerate(kills):
            end = kills[number + 1] if number + 1 < len(kills) else len(records)
            seen = {(r["twin"], r["message_id"]) for r in records[:start]}
            again = sum((r["twin"], r["message_id"]) in seen for r in records[start:end])
            self.assertLessEqual(again, (CONNECTIONS + UNRECORDED_ACKS_MAX) + CONNECTIONS, f"after kill {number}")
        self.assert_reconciled(status)
        self.assertEqual(status["totals"]["accepted"], total)
        self.assertEqual(status["totals"]["delivered"], total)
        retries = sum(client.retries for client in clients)
        print(f"{len(kills)} kills, {cuts} outages, {total} acknowledged, {retries} retries of clients: 0 lost, "
              f"0 reordered, {doubles} doubled with the same Message-Id")
