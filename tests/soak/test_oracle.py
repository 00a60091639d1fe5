"""The oracle finds what it is there for: each promise broken once, and a run without a fault."""

import unittest

import messages
from oracle import Oracle

TWIN = "pump"
COUNT = 50


def record(number, twin=TWIN, **changes):
    """As the stand-in cloud writes it."""
    fields = messages.message(twin, number)._asdict()
    return {"twin": twin, **fields, "source_time": fields["source_time"] or "2026-01-01T00:00:00.000Z", **changes}


class Fed(unittest.TestCase):
    def setUp(self):
        self.oracle = Oracle()
        self.oracle.twin(TWIN)

    def acknowledge(self, numbers=range(COUNT)):
        for number in numbers:
            self.oracle.acknowledged(TWIN, number, number + 100)

    def arrive(self, numbers=range(COUNT)):
        for number in numbers:
            self.oracle.arrived(record(number))

    def promises(self):
        return {finding.promise: (finding.count, finding.examples) for finding in self.oracle.verdict()}

    def assert_broken(self, promise, example, count=1):
        promises = self.promises()
        self.assertEqual(list(promises), [promise], promises)
        self.assertEqual(promises[promise][0], count)
        self.assertIn(example, promises[promise][1][0])


class Promises(Fed):
    def test_all_that_was_acknowledged_arrived_once_and_in_order(self):
        self.acknowledge()
        self.arrive()
        self.assertEqual(self.promises(), {})
        self.assertEqual((self.oracle.acknowledged_count(), self.oracle.delivered, self.oracle.repeats), (COUNT, COUNT, 0))

    def test_a_lost_message(self):
        self.acknowledge()
        self.arrive(number for number in range(COUNT) if number != 17)
        self.assert_broken("lost", "pump:17")

    def test_the_last_message_lost(self):
        self.acknowledge()
        self.arrive(range(COUNT - 1))
        self.assert_broken("lost", f"pump:{COUNT - 1}")

    def test_a_message_in_the_quarantine_is_not_lost_and_may_arrive_later(self):
        self.acknowledge()
        self.oracle.quarantined(TWIN, "pump:17")
        self.oracle.quarantined(TWIN, "pump:18")
        self.oracle.kept.add((TWIN, 18))
        self.arrive([*(number for number in range(COUNT) if number not in (17, 18)), 17])
        self.assertEqual(self.promises(), {})

    def test_a_message_that_left_the_quarantine_and_did_not_arrive_is_lost(self):
        self.acknowledge()
        self.oracle.quarantined(TWIN, "pump:17")
        self.arrive(number for number in range(COUNT) if number != 17)
        self.assert_broken("lost", "pump:17")

    def test_each_altered_field(self):
        for name in messages.COMPARED:
            with self.subTest(name):
                self.setUp()
                number = next(n for n in range(COUNT) if messages.message(TWIN, n).source_time)
                self.acknowledge()
                self.arrive(range(number))
                self.oracle.arrived(record(number, **{name: "other"}))
                self.arrive(range(number + 1, COUNT))
                self.assert_broken("altered", f"{messages.message_id(TWIN, number)}: {name}")

    def test_a_body_that_was_parsed_and_printed_again(self):
        self.acknowledge([0])
        self.oracle.arrived(record(0, body=record(0)["body"].replace(" : ", ":")))
        self.assert_broken("altered", "body")

    def test_a_repeat_with_another_stamp(self):
        number = next(n for n in range(1000) if not messages.message(TWIN, n).source_time)
        self.acknowledge([number])
        self.arrive([number])
        self.oracle.arrived(record(number, source_time="2027-01-01T00:00:00.000Z"))
        self.assert_broken("altered", "source_time of a repeat")

    def test_two_messages_reordered_on_the_way(self):
        self.acknowledge()
        self.arrive([0, 1, 3, 2, *range(4, COUNT)])
        self.assert_broken("reordered", "pump:2")

    def test_a_message_that_arrives_at_the_very_end(self):
        self.acknowledge()
        self.arrive([*range(1, COUNT), 0])
        self.assert_broken("reordered", "pump:0")

    def test_an_earlier_sequence_after_a_later_one(self):
        self.acknowledge([0, 1])
        self.oracle.acknowledged(TWIN, 2, 50)
        self.arrive([2, 0, 1])
        self.assert_broken("reordered", "was given 50 after 101")

    def test_a_pipeline_s_order_is_that_of_its_sequences(self):
        self.oracle.twin("valve", one_at_a_time=False)
        for number, sequence in ((0, 10), (2, 11), (1, 12)):  # 1 was refused at first
            self.oracle.acknowledged("valve", number, sequence)
        for number in (0, 2, 1):
            self.oracle.arrived(record(number, "valve"))
        self.assertEqual(self.promises(), {})
        self.oracle.acknowledged("valve", 3, 13)
        self.oracle.acknowledged("valve", 4, 14)
        for number in (4, 3):
            self.oracle.arrived(record(number, "valve"))
        self.assert_broken("reordered", "valve:3")

    def test_a_batch_has_no_sequences_and_its_lines_have_an_order(self):
        for number in range(4):
            self.oracle.acknowledged(TWIN, number)
        self.arrive([0, 2, 1, 3])
        self.assert_broken("reordered", "pump:1")

    def test_a_repeat_is_counted_and_breaks_nothing(self):
        self.acknowledge()
        self.arrive([0, 1, 1, 0, *range(2, COUNT)])
        self.assertEqual(self.promises(), {})
        self.assertEqual(self.oracle.repeats, 2)

    def test_one_sequence_for_two_messages(self):
        self.acknowledge([0, 1])
        self.oracle.acknowledged(TWIN, 2, 101)
        self.arrive(range(3))
        self.assert_broken("doubled", "sequence 101")

    def test_what_nobody_sent(self):
        self.acknowledge()
        self.arrive()
        self.oracle.arrived(record(0, "stranger"))
        self.oracle.arrived(record(0, message_id="pump:007"))
        self.assert_broken("invented", "stranger", count=2)

    def test_what_nobody_was_told_of(self):
        self.acknowledge()
        self.arrive(range(COUNT + 1))
        self.assert_broken("never acknowledged", f"pump:{COUNT}")


class Books(Fed):
    def check(self, queued=0, **changes):
        self.acknowledge()
        self.arrive()
        totals = {"accepted": COUNT, "delivered": COUNT, "quarantined": 0, "dropped": 0, "retried": 0, **changes}
        self.oracle.check_totals(totals, queued)

    def test_books_that_agree(self):
        self.check(accepted=COUNT + 3, quarantined=3, retried=3)
        self.assertEqual(self.promises(), {})

    def test_the_same_message_stored_twice(self):
        self.check(accepted=COUNT + 1, delivered=COUNT + 1)
        self.assert_broken("doubled", f"{COUNT + 1} stored, {COUNT} acknowledged")

    def test_one_that_was_not_counted(self):
        self.check(accepted=COUNT - 1, delivered=COUNT - 1)
        self.assert_broken("books", f"{COUNT - 1} stored, {COUNT} acknowledged")

    def test_totals_that_do_not_reconcile(self):
        self.check(delivered=COUNT - 1)
        self.assert_broken("books", "accepted is not")

    def test_a_message_that_was_dropped(self):
        self.check(delivered=COUNT - 1, dropped=1)
        self.assert_broken("dropped", "1 dropped")


if __name__ == "__main__":
    unittest.main()
