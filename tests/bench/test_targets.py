"""The figures and who decides whether they are held; `python3 -m unittest test_targets` here."""

import unittest

from all_report import parse_backlog, parse_store
from all_targets import FIGURES, Figure, judge, table


def held(relation, limit, value):
    return judge({}, [Figure("a figure", relation, limit, lambda results: value)])[0].held


class Targets(unittest.TestCase):
    def test_a_limit_itself_is_within_at_least_and_at_most_but_not_below(self):
        self.assertTrue(held("at least", 0.45, 0.45))
        self.assertFalse(held("at least", 0.45, 0.449))
        self.assertTrue(held("at most", 0, 0))
        self.assertFalse(held("at most", 0, 4096))
        self.assertTrue(held("below", 1, 0.99))
        self.assertFalse(held("below", 1, 1))

    def test_several_values_are_as_good_as_the_worst(self):
        self.assertFalse(held("at least", 0.95, [1.4, 0.94, 1.0]))
        self.assertTrue(held("at least", 0.95, [1.4, 0.96]))
        self.assertFalse(held("at most", 24, [10, 25]))

    def test_what_was_not_measured_is_neither_held_nor_not(self):
        self.assertIsNone(held("at least", 1, None))
        self.assertIsNone(held("at least", 1, []))
        verdicts = judge({})
        self.assertEqual([verdict.held for verdict in verdicts], [None] * len(FIGURES))
        self.assertEqual({line[3] for line in table(verdicts)[1:]}, {"not measured"})

    def test_a_bench_that_failed_takes_no_other_figure_with_it(self):
        results = {"fleet": {"fleets": {"jitter and ramp": {"of_limit": 1.28, "lost": 0}}}, "footprint": {"idle": {"rss_mib": 14.5}}}
        by_name = {verdict.figure.name: verdict.held for verdict in judge(results)}
        self.assertTrue(by_name["fleet after an outage: peak, of the cloud's limit"])
        self.assertFalse(by_name["resident memory, idle"])
        self.assertIsNone(by_name["wake-ups a second, idle"])

    def test_the_backlog_is_allowed_what_the_window_takes(self):
        def footprint(messages, rss):
            moments = {when: {"rss_mib": rss} for when in ("filled", "started", "draining")}
            return {"footprint": {"waiting": {"messages": messages, **moments}}}

        figure = [each for each in FIGURES if each.name == "resident memory with a backlog, beside the window"]
        self.assertTrue(judge(footprint(100_000, 29), figure)[0].held)
        self.assertFalse(judge(footprint(100_000, 30), figure)[0].held)
        self.assertFalse(judge(footprint(10_000_000, 78), figure)[0].held)  # the window has its own bound
        self.assertTrue(judge(footprint(10_000_000, 77), figure)[0].held)

    def test_names_are_told_apart(self):
        self.assertEqual(len({figure.name for figure in FIGURES}), len(FIGURES))


class Printed(unittest.TestCase):
    """What two of the programs print is read back."""

    def test_the_table_of_the_store(self):
        rows = parse_store("in flight    raw msg/s  append msg/s  ratio per commit  bytes/msg  +deliver msg/s  bytes/msg batch msg/s  ratio\n"
                           "        1         1864         1650   0.89        1.0      14356           1822      14911        1700   0.91\n"
                           "       64       151580        66046   0.45       64.0       1249          53562       1471      104000   0.69\n")
        self.assertEqual([row["in_flight"] for row in rows], [1, 64])
        self.assertEqual((rows[1]["of_raw"], rows[1]["life_bytes"], rows[1]["batch_of_raw"]), (0.45, 1471, 0.69))

    def test_the_steps_of_a_backlog(self):
        facts = parse_backlog("appends empty         1 in flight        378/s   21854 bytes written each\n"
                              "appends empty        64 in flight      11963/s    1477 bytes written each\n"
                              "filled with 300000 rows of 10000 twins      27473/s  resident 42.3 MiB\n"
                              "2026-11-30T07:25:20.221Z info store.adopt wal_bytes=5533192 io_error=false\n"
                              "start cold  after a kill  ready in 0.776 s, first message stored at 0.784 s, 78.4 MiB read, "
                              "resident 26.9 MiB\n"
                              "appends on top        1 in flight        422/s   14889 bytes written each\n"
                              "appends on top       64 in flight      15046/s    1160 bytes written each\n"
                              "drain  10 %      54372/s    778 bytes written each, resident 49.2 MiB\n"
                              "drain 100 %      53449/s    779 bytes written each, resident 49.3 MiB\n"
                              "drained: 0 left\n")
        self.assertEqual(facts["rows"], 300000)
        self.assertEqual([each["per_second"] for each in facts["on_top"]], [422, 15046])
        self.assertEqual(facts["starts"], [{"kind": "cold", "ready_seconds": 0.776, "first_stored_seconds": 0.784, "read_mib": 78.4,
                                            "rss_mib": 26.9}])
        self.assertEqual([each["percent"] for each in facts["drain"]], [10, 100])


if __name__ == "__main__":
    unittest.main()
