"""GET /metrics: what Prometheus' own tools say to it, what is left of the counters after kill -9, and who may ask by TCP."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import unittest
import urllib.parse
import urllib.request

from harness import EndToEnd, call, wait_for

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ALERTS = os.path.join(SOURCES, "config", "prometheus-alerts.yaml")
ALERTS_TEST = os.path.join(SOURCES, "tests", "config", "prometheus-alerts-test.yaml")
DASHBOARD = os.path.join(SOURCES, "config", "grafana-dashboard.json")
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
SAMPLE = re.compile(r"^(twinspool_[a-z_]+)(?:\{([^}]*)\})? (\S+)$")

NAMES = {
    "queue_messages": "gauge", "queue_bytes": "gauge", "queue_oldest_age_seconds": "gauge", "queue_capacity_bytes": "gauge",
    "ingest_requests_total": "counter", "ingest_commit_duration_seconds": "histogram",
    "forward_request_duration_seconds": "histogram", "accepted_total": "counter", "duplicates_total": "counter",
    "delivered_total": "counter", "forward_failures_total": "counter", "quarantined_total": "counter",
    "quarantine_messages": "gauge", "dropped_total": "counter", "lanes": "gauge", "upstream_up": "gauge",
    "offline_seconds_total": "counter", "drain_eta_seconds": "gauge", "time_to_full_seconds": "gauge",
    "sync_total": "counter", "wal_bytes": "gauge", "disk_written_bytes_total": "counter", "disk_free_bytes": "gauge",
    "clock_synchronized": "gauge", "build_info": "gauge",
}


def parse(text):
    """{(name, labels): value}"""
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        samples[name.removeprefix("twinspool_"), labels or ""] = float(value)
    return samples


class Metrics(EndToEnd):
    def scrape(self):
        answer = call(self.daemon.admin, "GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return answer.body.decode()

    def total(self, samples, name):
        return sum(value for (found, _), value in samples.items() if found == name)

    def assert_metrics_reconcile(self, samples):
        self.assertEqual(self.total(samples, "accepted_total"),
                         self.total(samples, "queue_messages") + self.total(samples, "delivered_total") +
                         self.total(samples, "quarantined_total") + self.total(samples, "dropped_total"), samples)

    def some_of_everything(self):
        self.cloud.faults("400")
        self.daemon.send("pump")
        self.daemon.wait_for_status("a quarantined message", lambda s: s["totals"]["quarantined"] == 1)
        self.cloud.faults("503,503")
        for n in range(20):
            self.daemon.send(f"pump-{n % 3}", message_id=f"some-{n}")
        self.daemon.send("pump-1", message_id="some-1")
        self.daemon.send("pump", b"[]")
        self.daemon.wait_until_drained()

    def test_it_has_the_documented_names_and_types_and_no_others(self):
        self.daemon.start()
        self.some_of_everything()
        text = self.scrape()
        types = dict(re.findall(r"^# TYPE twinspool_(\S+) (\S+)$", text, re.MULTILINE))
        self.assertEqual(types, NAMES)
        samples = parse(text)
        self.assert_metrics_reconcile(samples)
        self.assertEqual(samples["accepted_total", ""], 21)
        self.assertEqual(samples["duplicates_total", ""], 1)
        self.assertEqual(samples["quarantined_total", ""], 1)
        self.assertEqual(samples["ingest_requests_total", 'code="204"'], 22)
        self.assertEqual(samples["ingest_requests_total", 'code="400"'], 1)
        self.assertEqual(samples["forward_failures_total", 'class="message"'], 1)
        self.assertEqual(samples["forward_failures_total", 'class="service"'], 2)
        self.assertGreater(samples["ingest_commit_duration_seconds_count", ""], 0)
        self.assertGreaterEqual(samples["forward_request_duration_seconds_count", ""], 23)
        self.assertGreaterEqual(samples["sync_total", ""], samples["ingest_commit_duration_seconds_count", ""])
        self.assertEqual(samples["upstream_up", ""], 1)

    @unittest.skipUnless(PROMTOOL, "SKIPPED: there is no promtool (Debian's prometheus)")
    def test_promtool_finds_nothing_to_complain_about(self):
        self.daemon.start()
        self.some_of_everything()
        result = subprocess.run([PROMTOOL, "check", "metrics"], input=self.scrape(), capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_it_reconciles_after_kills_under_load_and_no_counter_of_messages_falls(self):
        self.daemon.config["store"].update({"max_messages": 300, "when_full": "drop_oldest"})
        self.daemon.start()
        acknowledged, over = set(), threading.Event()
        lock = threading.Lock()

        def send(worker):
            n = 0
            while not over.is_set():
                n += 1
                message_id = f"{worker}-{n}"
                while not over.is_set():
                    try:
                        if self.daemon.send(f"twin-{worker}", message_id=message_id).status == 204:
                            with lock:
                                acknowledged.add(message_id)
                            break
                    except (OSError, http.client.HTTPException):
                        over.wait(0.01)  # it is being killed: again, with the same id

        workers = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        before = {}
        try:
            for round_ in range(6):
                if round_ % 3 == 1:
                    self.cloud.down()  # the queue fills, and the oldest go
                    wait_for("messages to be dropped", lambda: self.total(parse(self.scrape()), "dropped_total") > 20)
                if round_ % 3 == 2:
                    self.cloud.faults("400,400,400")
                    self.cloud.up()
                more = len(acknowledged) + 100
                wait_for("messages to be acknowledged", lambda: len(acknowledged) >= more)  # pylint: disable=cell-var-from-loop
                before = parse(self.scrape())
                self.daemon.restart()
                after = parse(self.scrape())
                self.assert_metrics_reconcile(after)
                for name in ("accepted_total", "delivered_total", "quarantined_total", "dropped_total"):
                    self.assertGreaterEqual(self.total(after, name), self.total(before, name), name)
        finally:
            over.set()
            for worker in workers:
                worker.join()
        self.daemon.restart()
        last = parse(self.scrape())
        self.assert_metrics_reconcile(last)
        self.assertGreaterEqual(self.total(last, "accepted_total"), len(acknowledged))
        self.assertGreater(self.total(last, "quarantined_total"), 0)
        self.assertGreater(last["dropped_total", 'reason="full"'], 20)
        self.assertEqual(last["dropped_total", 'reason="lost"'], 0)
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assert_metrics_reconcile(parse(self.scrape()))

    def test_a_reload_resets_no_counter(self):
        self.daemon.start()
        self.some_of_everything()
        before = parse(self.scrape())
        self.daemon.config["forward"]["connections"] = 3
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.reloaded")
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_for_status("the next forwarder to deliver", lambda s: s["totals"]["delivered"] == 21)
        after = parse(self.scrape())
        for key, value in before.items():
            if key[0].endswith("_total") or key[0].endswith("_count") or key[0].endswith("_bucket"):
                self.assertGreaterEqual(after[key], value, key)

    def test_an_outage_shows_and_ends(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_until_drained()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump"))
        down = wait_for("the outage", lambda: next(
            (samples for samples in [parse(self.scrape())] if samples["upstream_up", ""] == 0), None))
        self.assertEqual(down["queue_messages", ""], 1)
        self.cloud.up()
        self.daemon.wait_until_drained()
        up = parse(self.scrape())
        self.assertEqual(up["upstream_up", ""], 1)
        self.assertGreater(up["offline_seconds_total", ""], 0)


class ByTcp(EndToEnd):
    def start(self, address="127.0.0.1:0"):
        self.daemon.config["admin"]["http"] = address
        self.daemon.start()
        self.port = int(re.search(r"admin\.listening address=\S+ port=(\d+)", self.daemon.log()).group(1))

    def ask(self, method, target, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def test_it_is_for_reading(self):
        self.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_until_drained()
        for target in ("/metrics", "/status", "/health/live", "/health/ready"):
            status, headers, body = self.ask("GET", target)
            self.assertEqual(status, 200, body)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertNotIn("Access-Control-Allow-Origin", headers)
        for target in ("/pause", "/kick", "/quarantine/purge", "/snapshot", "/acknowledge"):
            status, headers, body = self.ask("POST", target)
            self.assertEqual((status, headers["Allow"]), (405, "GET"), body)
            self.assertIn("admin socket", json.loads(body)["error"]["message"])
        self.assertEqual(self.daemon.status()["state"], "idle")

    def test_pages_of_others_get_nothing(self):
        self.start()
        for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{self.port}"}, {"Origin": "http://evil.example"},
                        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}):
            status, _, body = self.ask("GET", "/status", **headers)
            self.assertEqual(status, 403, headers)
            self.assertNotIn(b"totals", body)
        self.assertEqual(self.ask("GET", "/status", Host=f"localhost:{self.port}")[0], 200)
        # `ssh -L` puts the socket itself on a loopback port, where pages reach it.
        rebound = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
        self.assertEqual(call(self.daemon.admin, "POST", "/pause", headers=rebound).status, 403)
        forged = {"Host": "localhost:8080", "Origin": "http://evil.example"}
        self.assertEqual(call(self.daemon.admin, "POST", "/pause", headers=forged).status, 403)
        self.assertEqual(self.daemon.status()["state"], "idle")
        own = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}
        self.assertEqual(call(self.daemon.admin, "POST", "/pause", headers=own).status, 200)
        self.assertEqual(self.daemon.status()["state"], "paused")

    def test_it_listens_on_loopback_only(self):
        for address in ("0.0.0.0:9464", "192.0.2.1:9464", ":9464", "[::]:9464", "127.0.0.1", "127.0.0.1:70000", "example:1"):
            self.daemon.config["admin"]["http"] = address
            self.daemon.write_config()
            self.daemon.spawn("--check-config", "--config", self.daemon.config_path)
            self.assertEqual(self.daemon.wait(), 78, address)
            self.assertIn("127.0.0.1:9464", self.daemon.log())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.daemon.config["admin"]["http"] = f"127.0.0.1:{port}"
            self.daemon.write_config()
            self.daemon.spawn("--config", self.daemon.config_path)
            self.assertEqual(self.daemon.wait(), 1)
            self.assertIn(f"admin.http: cannot listen on 127.0.0.1 port {port}", self.daemon.log())

    @unittest.skipUnless(PROMETHEUS, "SKIPPED: there is no prometheus")
    def test_a_real_prometheus_scrapes_it(self):
        self.start()
        for n in range(5):
            self.assert_accepted(self.daemon.send(f"pump-{n}"))
        self.daemon.wait_until_drained()
        shutil.copy(ALERTS, os.path.join(self.directory, "alerts.yaml"))
        with open(os.path.join(self.directory, "prometheus.yml"), "w", encoding="utf-8") as file:
            json.dump({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"},
                       "rule_files": ["alerts.yaml"],
                       "scrape_configs": [{"job_name": "twinspool",
                                           "static_configs": [{"targets": [f"127.0.0.1:{self.port}"]}]}]}, file)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(os.path.join(self.directory, "prometheus.log"), "wb") as log, subprocess.Popen(
                [PROMETHEUS, "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
                 "--storage.tsdb.path=tsdb"], cwd=self.directory, stdout=log, stderr=log) as prometheus:
            self.addCleanup(prometheus.kill)

            def ask(query):
                url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
                try:
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        result = json.load(answer)["data"]["result"]
                except OSError:
                    return None
                return [float(each["value"][1]) for each in result]

            wait_for("Prometheus to have scraped", lambda: ask("up") == [1.0] and ask("twinspool_accepted_total"))
            self.assertEqual(ask("twinspool_accepted_total - twinspool_delivered_total"), [0.0])
            self.assertEqual(ask("sum(twinspool_dropped_total)"), [0.0])
            self.assertEqual(len(ask("histogram_quantile(0.99, twinspool_ingest_commit_duration_seconds_bucket)")), 1)
            self.assertEqual(ask("count(twinspool_build_info)"), [1.0])
            prometheus.kill()


class Shipped(unittest.TestCase):
    """What config/ has for Prometheus and Grafana names no metric that there is not, and does what it says."""

    @staticmethod
    def names_in(path):
        with open(path, encoding="utf-8") as file:
            return set(re.findall(r"\btwinspool_([a-z_]+)", file.read()))

    def test_every_metric_that_is_named_exists(self):
        series = set(NAMES)
        for name, kind in NAMES.items():
            if kind == "histogram":
                series |= {name + suffix for suffix in ("_bucket", "_sum", "_count")}
        for path in (ALERTS, DASHBOARD):
            self.assertEqual(self.names_in(path) - series, set(), path)
            self.assertGreater(len(self.names_in(path)), 8, path)

    def test_the_dashboard_is_one_that_grafana_imports(self):
        with open(DASHBOARD, encoding="utf-8") as file:
            dashboard = json.load(file)
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        self.assertIn("DS_PROMETHEUS", [each["name"] for each in dashboard["__inputs"]])
        for panel in dashboard["panels"]:
            self.assertTrue(panel["title"])
            for query in panel["targets"]:
                self.assertEqual(query["datasource"]["uid"], "${DS_PROMETHEUS}", panel["title"])

    @unittest.skipUnless(PROMTOOL, "SKIPPED: there is no promtool (Debian's prometheus)")
    def test_the_alerts_are_sound_and_fire_when_they_should(self):
        for command in (["check", "rules", ALERTS], ["test", "rules", ALERTS_TEST]):
            result = subprocess.run([PROMTOOL, *command], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
