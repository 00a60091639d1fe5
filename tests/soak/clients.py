"""Applications of several kinds. Each goes on with a message until it has its 204, and tells the oracle of that."""

import collections
import os
import random
import threading
import time

import messages
from harness import API_VERSION
from raw_http import RawConnection

LATER = (429, 503, 507)
BROKEN = (OSError, AssertionError, IndexError, KeyError, ValueError)  # what an answer that ends midway looks like
PATIENCE_SECONDS = 180  # without a 204 for one message, whatever happens: something is stuck


class Client(threading.Thread):
    """`send()` is one thing it does; between two of them it may rest."""

    answer_seconds = 30  # how long it waits for an answer
    one_at_a_time = True
    odd_names = False

    def __init__(self, seed, number, path, oracle, directory):
        super().__init__(daemon=True)
        self.name = f"{type(self).__name__.lower()}-{number}"
        # Which messages were acknowledged, for whoever looks into a run that failed.
        self.journal = open(os.path.join(directory, f"{self.name}.acknowledged"), "w", encoding="ascii")
        self.dice = random.Random(f"{seed}/{self.name}")
        self.path, self.oracle = path, oracle
        self.twins = [f"{self.name}-{n}" for n in range(3)] + ([f"{self.name}%2Fn"] if self.odd_names else [])
        for twin in self.twins:
            oracle.twin(twin, self.one_at_a_time)
        self.next_numbers = collections.Counter()
        self.connection = None
        self.stopping = threading.Event()
        self.failure = None
        self.abandoned = False  # the run has failed: nobody waits for a 204 any more
        self.answers = collections.Counter()  # by status; 0: none came

    def run(self):
        try:
            while not self.stopping.is_set():
                self.send()
        except Exception as failure:  # pylint: disable=broad-except  # the main thread reports it
            self.failure = f"{self.name}: {failure!r}"
        self.drop_connection()
        self.journal.close()

    def send(self):
        raise NotImplementedError

    def rest(self, seconds):
        self.stopping.wait(seconds)

    def new_message(self):
        twin = self.dice.choice(self.twins)
        number = self.next_numbers[twin]
        self.next_numbers[twin] += 1
        return twin, number

    def acknowledged(self, twin, number, sequence=0):
        self.oracle.acknowledged(twin, number, sequence)
        self.journal.write(f"{twin} {number} {sequence}\n")

    def drop_connection(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def exchange(self, requests):
        """What was answered, in order; it ends early where the connection does."""
        got = []
        try:
            if self.connection is None:
                self.connection = RawConnection(self.path, self.answer_seconds)
            self.connection.write(b"".join(requests))
            while len(got) < len(requests):
                answer = self.connection.answer()
                got.append(answer)
                self.answers[answer.status] += 1
        except BROKEN:
            self.answers[0] += 1
            self.drop_connection()
        return got

    def until_stored(self, request, told):
        """`told` is given the 204."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        failures = 0
        while True:
            for answer in self.exchange([request]):
                if answer.status == 204:
                    told(answer)
                    return
                self.must_be_for_later(answer)
            self.must_not_give_up(give_up)
            failures += 1
            self.back_off(failures)

    def must_not_give_up(self, when):
        assert not self.abandoned, "abandoned"
        assert time.monotonic() < when, f"no 204 within {PATIENCE_SECONDS} s; answers so far: {dict(self.answers)}"

    def must_be_for_later(self, answer):
        assert answer.status in LATER, f"refused: {answer.status} {answer.body!r}"
        assert "retry-after" in answer.headers, f"{answer.status} without Retry-After"

    def back_off(self, failures):
        time.sleep(min(0.5, 0.01 * 2 ** min(failures, 6)) * self.dice.uniform(0.5, 1))

    def send_one(self):
        twin, number = self.new_message()
        self.until_stored(messages.request(twin, number, API_VERSION),
                          lambda answer: self.acknowledged(twin, number, int(answer.headers["twinspool-sequence"])))


class Steady(Client):
    """The heartbeat: whatever is well again shows within a moment."""

    odd_names = True

    def send(self):
        self.send_one()
        self.rest(0.04)


class Bursts(Client):
    def send(self):
        for _ in range(self.dice.randrange(5, 600)):
            self.send_one()
            if self.stopping.is_set():
                return
        self.rest(self.dice.uniform(0.2, 5))


class Sdk(Client):
    """As an SDK: short of patience with an answer, then a new connection, the same Message-Id, and an exponential wait."""

    answer_seconds = 0.25

    def send(self):
        self.answer_seconds = Sdk.answer_seconds
        self.send_one()
        self.rest(self.dice.expovariate(1 / 0.02))

    def back_off(self, failures):
        self.answer_seconds = min(30, self.answer_seconds * 2)  # a slow machine answers at last
        time.sleep(min(5, 0.1 * 2 ** failures) * self.dice.uniform(0.8, 1))


class Pipelined(Client):
    """Several messages of a twin under way; what was not taken is sent again, in its order."""

    one_at_a_time = False

    def send(self):
        waiting = [self.new_message() for _ in range(self.dice.randrange(2, 40))]
        give_up = time.monotonic() + PATIENCE_SECONDS
        failures = 0
        while waiting:
            answers = self.exchange([messages.request(twin, number, API_VERSION) for twin, number in waiting])
            left = []
            for (twin, number), answer in zip(waiting, answers):
                if answer.status == 204:
                    self.acknowledged(twin, number, int(answer.headers["twinspool-sequence"]))
                else:
                    self.must_be_for_later(answer)
                    left.append((twin, number))
            waiting = left + waiting[len(answers):]
            self.must_not_give_up(give_up)
            if waiting:
                failures += 1
                self.back_off(failures)
        self.rest(self.dice.expovariate(1 / 0.1))


class Batches(Client):
    def send(self):
        lines = [self.new_message() for _ in range(self.dice.randrange(1, 150))]

        def told(answer):
            counts = [int(answer.headers[f"twinspool-{name}"]) for name in ("accepted", "duplicates")]
            assert sum(counts) == len(lines), f"a batch of {len(lines)}: accepted and duplicates are {counts}"
            for twin, number in lines:
                self.acknowledged(twin, number)

        self.until_stored(messages.batch(lines), told)
        self.rest(self.dice.expovariate(1 / 0.8))


KINDS = (Steady, Bursts, Bursts, Sdk, Sdk, Pipelined, Pipelined, Batches)


def all_kinds(seed, path, oracle, directory):
    return [kind(seed, number, path, oracle, directory) for number, kind in enumerate(KINDS)]
