"""kill -9 again and again while applications send and the cloud comes and goes.

$TWINSPOOL_KILL_ROUNDS (20) kills, $TWINSPOOL_KILL_MESSAGES (200 a kill) acknowledged at least; a release has 2000 and 10000000.
Nothing is kept of a message that has arrived, so the length is not limited by memory.
"""

import collections
import http.client
import json
import os
import random
import threading
import time

from harness import EndToEnd, UnixConnection, target, wait_for

ROUNDS = int(os.environ.get("TWINSPOOL_KILL_ROUNDS", "20"))
MESSAGES = int(os.environ.get("TWINSPOOL_KILL_MESSAGES", "0")) or 200 * ROUNDS
SEED = int(os.environ.get("TWINSPOOL_SEED", "0")) or random.randrange(1, 1 << 32)
TWINS_PER_CLIENT = 3
LINES_MAX = min(1000, max(2, MESSAGES // ROUNDS // 40))  # of a batch: many to a kill
CONNECTIONS = 16
UNRECORDED_ACKS_MAX = 256  # the daemon records an answer with the next commit, of at most so many
REPEATED_WITHIN = 20000  # messages of a twin


def body(number):
    return json.dumps({"count": number, "pad": "x" * (number * 37 % 400)})


class Client(threading.Thread):
    """An application that does it right: each twin's messages one after the other, the same Message-Id until a 204."""

    def __init__(self, path, number):
        super().__init__(daemon=True)
        self.path = path
        self.dice = random.Random(f"{SEED}/{number}")
        self.acknowledged = {f"twin-{number}-{n}": 0 for n in range(TWINS_PER_CLIENT)}  # so many: 0, 1, 2, ...
        self.last_sequence = 0
        self.connection = None
        self.stopping = threading.Event()
        self.failure = None
        self.retries = 0

    def count(self):
        return sum(self.acknowledged.values())

    def run(self):
        try:
            while not self.stopping.is_set():
                self.send()
        except Exception as failure:  # pylint: disable=broad-except  # the main thread raises it
            self.failure = failure
        if self.connection is not None:
            self.connection.close()

    def send(self):
        twin = self.dice.choice(list(self.acknowledged))
        number = self.acknowledged[twin]
        answer = self.until_stored(target(twin), body(number),
                                   {"Content-Type": "application/json", "Message-Id": f"{twin}-{number}"})
        sequence = int(answer.headers["Twinspool-Sequence"])
        assert sequence > self.last_sequence, f"{twin}-{number} was given {sequence} after {self.last_sequence}"
        self.last_sequence = sequence
        self.acknowledged[twin] += 1

    def until_stored(self, where, content, headers):
        give_up = time.monotonic() + 120
        while True:
            try:
                self.connection = self.connection or UnixConnection(self.path)
                answer = self.connection.call("POST", where, content, headers)
                if answer.status == 204:
                    return answer
                assert answer.status == 503, f"{answer.status} {answer.body!r}"
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connection = None
            assert time.monotonic() < give_up, f"no 204 within 120 s: {where}"
            self.retries += 1
            self.stopping.wait(0.005)


class Batches(Client):
    def send(self):
        lines = []
        counts = collections.Counter(self.dice.choices(list(self.acknowledged), k=self.dice.randrange(1, LINES_MAX + 1)))
        for twin, count in counts.items():
            first = self.acknowledged[twin]
            lines += [f'{{"twin":"{twin}","messageId":"{twin}-{number}","telemetry":{body(number)}}}'
                      for number in range(first, first + count)]
        answer = self.until_stored("/telemetry:batch", "\n".join(lines), {"Content-Type": "application/x-ndjson"})
        accepted, duplicates = (int(answer.headers[f"Twinspool-{name}"]) for name in ("Accepted", "Duplicates"))
        assert (accepted, duplicates) in ((len(lines), 0), (0, len(lines))), f"{accepted} and {duplicates} of {len(lines)}"
        for twin, count in counts.items():
            self.acknowledged[twin] += count


class Arrivals:
    """Reads what the cloud got as it grows: of each twin 0, 1, 2, ..., byte for byte, and repeats like their first."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.next = collections.Counter()
        self.firsts = collections.defaultdict(dict)
        self.repeats = 0

    def read(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self.take(json.loads(line))

    def take(self, record):
        twin, message_id = record["twin"], record["message_id"]
        number = int(message_id.rpartition("-")[2])
        assert (message_id, record["body"]) == (f"{twin}-{number}", body(number)), f"altered or invented: {record}"
        rest = [record[name] for name in ("source_time", "component", "traceparent", "tracestate")]
        assert rest[0] and rest[1:] == ["", "", ""], f"altered: {record}"
        firsts = self.firsts[twin]
        if number < self.next[twin]:
            self.repeats += 1
            assert firsts.get(number) == rest, f"a repeat differs from its first: {record}"
            return
        assert number == self.next[twin], f"lost or reordered: {message_id} arrived where {twin}-{self.next[twin]} should"
        self.next[twin] += 1
        firsts[number] = rest
        firsts.pop(number - REPEATED_WITHIN, None)


class KillUnderLoad(EndToEnd):
    def test_kill_9_under_load_loses_nothing_and_keeps_the_order(self):
        print(f"seed {SEED}, {ROUNDS} rounds, {MESSAGES} messages (TWINSPOOL_SEED, _KILL_ROUNDS, _KILL_MESSAGES)")
        self.dice = random.Random(SEED)
        self.daemon.config["forward"]["connections"] = CONNECTIONS
        self.daemon.start()
        self.clients = [kind(self.daemon.socket, number) for number, kind in enumerate(4 * [Client] + 2 * [Batches])]
        self.arrivals = Arrivals(os.path.join(self.cloud.state, "records.ndjson"))
        self.cuts = 0
        down = False
        for client in self.clients:
            client.start()
        try:
            for number in range(ROUNDS):
                if self.dice.random() < 0.3:  # some rounds pile up a backlog, and the kill then meets its drain
                    down = not down
                    self.switch_cloud(down)
                self.one_kill()
                if (number + 1) % 100 == 0:
                    print(f"{number + 1} kills, {self.total()} acknowledged, {self.arrivals.repeats} repeats", flush=True)
            self.wait_for_messages(MESSAGES - self.total())
        finally:
            for client in self.clients:
                client.stopping.set()
            for client in self.clients:
                client.join(150)
        self.raise_failures()
        self.assertFalse(any(client.is_alive() for client in self.clients))
        if down:
            self.cloud.up()
        self.check(self.wait_until_delivered())

    def switch_cloud(self, down):
        if not down:
            self.cloud.up()
            return
        self.cloud.down()
        self.cuts += 1

    def one_kill(self):
        repeats = self.arrivals.repeats
        self.wait_for_messages(self.dice.randrange(1, max(2, 2 * MESSAGES // ROUNDS)))
        time.sleep(self.dice.random() * 0.01)  # anywhere in a commit, not only right behind a 204
        self.daemon.kill()
        self.arrivals.read()
        # Sent but not recorded when the daemon died the last time, or the time before if it did not come to it again in
        # between; and in flight when the cloud was cut off.
        self.assertLessEqual(self.arrivals.repeats - repeats, 2 * (UNRECORDED_ACKS_MAX + CONNECTIONS) + CONNECTIONS)
        self.daemon.start()
        self.assert_reconciled(self.daemon.status())

    def total(self):
        return sum(client.count() for client in self.clients)

    def raise_failures(self):
        for client in self.clients:
            if client.failure:
                raise client.failure

    def wait_for_messages(self, more):
        enough = self.total() + more

        def progress():
            self.raise_failures()
            self.arrivals.read()
            return self.total() >= enough

        wait_for(f"{more} more messages", progress, 600)

    def wait_until_delivered(self):
        def delivered():
            self.arrivals.read()
            status = self.daemon.status()
            return status if status["queue"]["messages"] == 0 else None

        # Each start delivers slowly at first, so that most of a long run may still wait.
        return wait_for("the queue to be empty", delivered, 600 + self.daemon.status()["queue"]["messages"] / 1000)

    def check(self, status):
        self.arrivals.read()
        total = self.total()
        # In the order sent, byte for byte, as arrivals were read; so many as were acknowledged; and nothing else.
        self.assertEqual(dict(self.arrivals.next), {twin: count for client in self.clients
                                                    for twin, count in client.acknowledged.items() if count})
        self.assertLessEqual(self.arrivals.repeats,
                             ROUNDS * (CONNECTIONS + UNRECORDED_ACKS_MAX) + self.cuts * CONNECTIONS)
        self.assert_reconciled(status)
        self.assertEqual(status["totals"]["accepted"], total)
        self.assertEqual(status["totals"]["delivered"], total)
        retries = sum(client.retries for client in self.clients)
        print(f"{ROUNDS} kills, {self.cuts} outages, {total} acknowledged, {retries} retries of clients: 0 lost, "
              f"0 reordered, {self.arrivals.repeats} doubled with the same Message-Id")
