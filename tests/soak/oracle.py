"""Holds what clients were promised against what the cloud got. Feed it, then ask verdict(): it names every broken promise.

A few bytes a message are kept, so that a run of hours fits into memory. Each twin is told of by one thread only; what
arrives is told by another.
"""

import array
import collections
import threading

import messages

EXAMPLES_MAX = 5

Finding = collections.namedtuple("Finding", "promise count examples")


class Twin:
    """`one_at_a_time`: its client has one message under way, so sequences must count up as the 204s come."""

    def __init__(self, one_at_a_time):
        self.one_at_a_time = one_at_a_time
        self.numbers = array.array("Q")  # as they were acknowledged
        self.sequences = array.array("Q")  # of each; 0: the answer has none (a batch)
        self.arrived = array.array("Q")  # numbers, as the cloud got them first
        self.seen = bytearray()  # of each number: has it arrived
        self.quarantined = set()  # ever: an operator puts them back at the tail, so their order is free
        self.stamps = {}  # source times that the daemon gave


class Oracle:
    def __init__(self):
        self.twins = {}
        self.lock = threading.Lock()
        self.repeats = 0  # arrivals of what had arrived before
        self.faulty = collections.defaultdict(list)  # promise: what broke it
        self.counts = collections.Counter()
        self.delivered = 0
        self.kept = set()  # (twin, number) of what the daemon still holds at the end, in its queue or in the quarantine

    def twin(self, name, one_at_a_time=True):
        self.twins[name] = Twin(one_at_a_time)

    def found(self, promise, example):
        with self.lock:
            self.counts[promise] += 1
            if len(self.faulty[promise]) < EXAMPLES_MAX:
                self.faulty[promise].append(example)

    def acknowledged(self, name, number, sequence=0):
        twin = self.twins[name]
        twin.numbers.append(number)
        twin.sequences.append(sequence)

    def acknowledged_count(self):
        return sum(len(twin.numbers) for twin in self.twins.values())

    def arrived(self, record):
        """One line of what the cloud accepted, in its order."""
        name = record["twin"]
        twin = self.twins.get(name)
        number = messages.number_of(name, record["message_id"]) if twin else None
        if number is None:
            self.found("invented", f"{name} {record['message_id']}")
            return
        wrong = messages.differs(name, number, record)
        if wrong is None and messages.message(name, number).source_time == messages.UNSTAMPED:
            if twin.stamps.setdefault(number, record["source_time"]) != record["source_time"]:
                wrong = "source_time of a repeat"
            if number % 64 == 0:  # repeats come soon, if ever
                twin.stamps = {n: t for n, t in twin.stamps.items() if n > number - 20000}
        if wrong is not None:
            self.found("altered", f"{record['message_id']}: {wrong} is {str(record.get(wrong, ''))[:80]!r}")
        if number >= len(twin.seen):
            twin.seen.extend(bytes(number + 4096 - len(twin.seen)))
        if twin.seen[number]:
            self.repeats += 1
            return
        twin.seen[number] = 1
        twin.arrived.append(number)
        self.delivered += 1

    def quarantined(self, name, message_id):
        number = messages.number_of(name, message_id) if name in self.twins else None
        if number is None:
            self.found("invented", f"in the quarantine: {name} {message_id}")
        else:
            self.twins[name].quarantined.add(number)
        return number

    def verdict(self):
        """The findings so far and those that only the end shows; none: every promise was kept."""
        for name, twin in self.twins.items():
            self.check_lost(name, twin)
            self.check_order(name, twin)
        return [Finding(promise, self.counts[promise], self.faulty[promise]) for promise in sorted(self.counts)]

    def check_lost(self, name, twin):
        acknowledged = set(twin.numbers)
        if len(acknowledged) != len(twin.numbers):
            self.found("oracle", f"{name}: a client told of one message twice")
        for number in acknowledged.difference(twin.arrived):
            if (name, number) not in (self.kept or ()):
                self.found("lost", messages.message_id(name, number))
        for number in set(twin.arrived).difference(acknowledged):
            self.found("never acknowledged", messages.message_id(name, number))

    def check_order(self, name, twin):
        ranks = {}
        last = 0
        holders = {}
        for place, (number, sequence) in enumerate(zip(twin.numbers, twin.sequences)):
            ranks[number] = sequence or place
            if sequence and holders.setdefault(sequence, number) != number:
                self.found("doubled", f"{name}: sequence {sequence} was given to {holders[sequence]} and {number}")
            if twin.one_at_a_time and sequence and number not in twin.quarantined:
                if sequence < last:
                    self.found("reordered", f"{messages.message_id(name, number)} was given {sequence} after {last}")
                last = max(last, sequence)
        furthest = -1
        for number in twin.arrived:
            if number in twin.quarantined or number not in ranks:
                continue
            if ranks[number] < furthest:
                self.found("reordered", f"{messages.message_id(name, number)} arrived behind a later one")
            furthest = max(furthest, ranks[number])

    def check_totals(self, totals, queued):
        """The daemon's own books, when the queue is empty and every client has its 204s."""
        if totals["accepted"] != queued + totals["delivered"] + totals["quarantined"] + totals["dropped"]:
            self.found("books", f"accepted is not queued + delivered + quarantined + dropped: {totals}, queued {queued}")
        if totals["dropped"]:
            self.found("dropped", f"{totals['dropped']} dropped, though no limit was set")
        stored = totals["accepted"] - totals["retried"]
        acknowledged = self.acknowledged_count()
        if stored > acknowledged:  # the same Message-Id was stored twice
            self.found("doubled", f"{stored} stored, {acknowledged} acknowledged")
        elif stored < acknowledged:
            self.found("books", f"{stored} stored, {acknowledged} acknowledged")
