"""`twinspool bench` against the real daemon."""

import json

from harness import EndToEnd


class Bench(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.daemon.start()

    def bench(self, *arguments):
        result = self.daemon.command("bench", *arguments, "--json", "--yes")
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_it_stores_nothing_before_it_is_allowed_to(self):
        result = self.daemon.command("bench", "--count", "10")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"--yes", result.stderr)
        self.assertIn(b"10 messages", result.stderr)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 0)

    def test_what_it_counts_is_what_is_stored(self):
        figures = self.bench("--clients", "8", "--in-flight", "4", "--count", "400", "--size", "100")
        self.assertEqual(figures["messages"], 400)
        self.assertEqual(figures["refused"], {})
        self.assertGreater(figures["messages_per_second"], 0)
        self.assertLessEqual(figures["latency_us"]["p50"], figures["latency_us"]["p99.9"])
        self.assertEqual(self.bench("--clients", "2", "--batch", "50", "--count", "200")["messages"], 200)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 600)
        rows = self.daemon.sql("select count(distinct message_id) as ids, count(distinct twin) as twins from queue")
        self.assertEqual(rows, [{"ids": 600, "twins": 8}])
        sizes = self.daemon.sql("select distinct length(body) as size from queue where twin = 'bench-7'")
        self.assertEqual(sizes, [{"size": 100}])

    def test_it_goes_on_for_a_time_at_a_given_rate(self):
        figures = self.bench("--clients", "4", "--seconds", "0.5", "--rate", "200")
        self.assertGreater(figures["messages"], 0)
        self.assertLessEqual(figures["messages"], 101)

    def test_refusals_are_counted_and_shown(self):
        result = self.daemon.command("bench", "--count", "3", "--size", "100", "--twin", "x" * 1100, "--yes")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(b"3 requests were refused with 400", result.stdout)

    def test_without_a_daemon_it_says_so(self):
        self.daemon.terminate()
        result = self.daemon.command("bench", "--count", "3", "--yes")
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"not reachable", result.stderr)
        self.daemon.start()
