"""Each alert rule of config/prometheus-alerts.yaml fires on what a real daemon shows when it is in that trouble, and not before.

The daemon's own figures are scraped before the trouble and in it, and promtool is told that they stood like that for as long as
the rule wants to see them: so nothing waits for an hour, and no rule is content with a metric that the daemon does not give.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import unittest

from harness import EndToEnd, call, wait_for
from test_auth import Identity
from test_metrics import ALERTS, PROMTOOL, SAMPLE, parse

with open(ALERTS, encoding="utf-8") as shipped:
    RULES = {name: rule for name, rule in re.findall(r"- alert: (\w+)\n((?:        .*\n?)+)", shipped.read())}
HEALTHY_MINUTES = 70  # longer than any range in a rule
PROVOKED = {}  # alert: the test that provokes it
UP = "up", ""


def provokes(alert):
    def remember(test):
        PROVOKED[alert] = test.__name__
        return test

    return remember


def minutes_of(rule):
    """How long its condition must last."""
    found = re.search(r"^ *for: (\d+)([mh])$", rule, re.M)
    return int(found[1]) * {"m": 1, "h": 60}[found[2]] if found else 0


def series_name(key):
    name, labels = key
    full = name if key == UP else "twinspool_" + name
    return f'{full}{{{labels}{"," if labels else ""}instance="gateway",job="twinspool"}}'


def number(value):
    return "_" if value is None else {"inf": "Inf", "nan": "NaN"}.get(str(value), repr(value))


@unittest.skipUnless(PROMTOOL, "SKIPPED: there is no promtool (Debian's prometheus)")
class Alarms(EndToEnd):
    def scrape(self):
        """What Prometheus would have now; without a daemon, only that there was no answer."""
        if not self.daemon.running():
            return {UP: 0}
        answer = call(self.daemon.admin, "GET", "/metrics")
        self.assertEqual(answer.status, 200)
        return {UP: 1, **parse(answer.body.decode())}

    def scrape_when(self, what, predicate):
        return wait_for(what, lambda: next((samples for samples in [self.scrape()] if predicate(samples)), None))

    def fires_at(self, alert, scrapes, evaluated):
        """By promtool: at which minutes of `evaluated` it fires. `scrapes`: [(minute, samples)], each holds until the next."""
        end = max(evaluated) + 1
        held = []
        for (minute, samples), (until, _) in zip(scrapes, [*scrapes[1:], (end + 1, None)]):
            held += [samples] * (until - minute)
        series = [{"series": series_name(key), "values": " ".join(number(samples.get(key)) for samples in held)}
                  for key in sorted({key for _, samples in scrapes for key in samples})]
        fired = []
        for minute in evaluated:
            document = {"rule_files": [ALERTS], "evaluation_interval": "1m", "tests": [{
                "interval": "1m", "input_series": series, "promql_expr_test": [{
                    "eval_time": f"{minute}m", "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                    "exp_samples": [{"labels": "{}", "value": 1}]}]}]}
            path = os.path.join(self.directory, "rules-test.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(document, file)
            result = subprocess.run([PROMTOOL, "test", "rules", path], capture_output=True, text=True, timeout=120, check=False)
            said = result.stdout + result.stderr
            # It found none, or something is wrong with what it was given.
            self.assertTrue(result.returncode == 0 or re.search(r"got: *nil", said), said[-2000:])
            if result.returncode == 0:
                fired.append(minute)
        return fired

    def assert_fires(self, alert, healthy, *troubled):
        """`troubled`: scrapes, the last of which holds; or (minutes since the trouble began, scrape)."""
        troubled = [each if isinstance(each, tuple) else (n, each) for n, each in enumerate(troubled)]
        scrapes = [(0, healthy), *((HEALTHY_MINUTES + minute, samples) for minute, samples in troubled)]
        lasts = minutes_of(RULES[alert])
        fires = HEALTHY_MINUTES + lasts + 1
        before = [HEALTHY_MINUTES - 1] + ([HEALTHY_MINUTES + lasts - 1] if lasts else [])
        named = {series_name(key): value for key, value in troubled[-1][1].items() if key != UP and key[0] in RULES[alert]}
        self.assertEqual(self.fires_at(alert, scrapes, [*before, fires]), [fires], f"{RULES[alert]}\n{named}")

    def start(self, **store):
        self.daemon.config["store"].update(store)
        self.daemon.start()
        return self.scrape()

    def batch(self, prefix, count, size, twin="pump"):
        """Many at once: its answer."""
        filler = "x" * size
        lines = "\n".join(json.dumps({"twin": twin, "messageId": f"{prefix}-{n}", "telemetry": {"filler": filler}})
                          for n in range(count))
        return call(self.daemon.socket, "POST", "/telemetry:batch", lines.encode(), {"Content-Type": "application/x-ndjson"})

    def test_every_rule_is_provoked_by_a_test(self):
        with open(ALERTS, encoding="utf-8") as file:
            names = re.findall(r"^ *- alert: (\w+)$", file.read(), re.M)
        self.assertEqual(sorted(RULES), sorted(names), "a rule is written otherwise than this test reads them")
        self.assertEqual(sorted(PROVOKED), sorted(names))

    @provokes("TwinspoolDown")
    def test_down(self):
        healthy = self.start()
        self.daemon.kill()
        self.assert_fires("TwinspoolDown", healthy, self.scrape())

    @provokes("TwinspoolOffline")
    def test_offline(self):
        healthy = self.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump"))
        self.assert_fires("TwinspoolOffline", healthy, self.scrape_when("the outage", lambda s: s["upstream_up", ""] == 0))

    @provokes("TwinspoolFallsBehind")
    def test_falls_behind(self):
        self.cloud.missing("unborn")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("unborn"))
        self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)
        healthy = self.scrape()  # it waits, but not for long yet
        self.assertEqual(self.daemon.terminate(), 0)
        with sqlite3.connect(self.daemon.database) as database:  # what two hours do to it
            database.execute("UPDATE messages SET accepted_ms = accepted_ms - 7200000")
        database.close()
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.assert_fires("TwinspoolFallsBehind", healthy, self.scrape_when(
            "a delivery beside the old message", lambda s: s["delivered_total", ""] == 1 and s["upstream_up", ""] == 1))

    @provokes("TwinspoolQueueFillsUp")
    def test_queue_fills_up(self):
        healthy = self.start(max_size="64MiB")
        self.assertEqual(healthy["time_to_full_seconds", ""], float("inf"))
        self.cloud.down()
        rounds = iter(range(1000))

        def forecast():  # it wants to have seen arrivals for a while
            self.assertEqual(self.batch(f"round-{next(rounds)}", 2, 10000).status, 204)
            samples = self.scrape()
            return samples if samples["time_to_full_seconds", ""] < 6 * 3600 else None

        self.assert_fires("TwinspoolQueueFillsUp", healthy, wait_for("a forecast", forecast))

    @provokes("TwinspoolQueueNearlyFull")
    def test_queue_nearly_full(self):
        healthy = self.start(max_size="1MiB")
        self.cloud.down()
        for n in range(200):
            if self.daemon.send("pump", b'{"filler": "%s"}' % (b"x" * 10000), f"id-{n}").status == 507:
                break
        self.assert_fires("TwinspoolQueueNearlyFull", healthy, self.scrape())

    @provokes("TwinspoolRefusesTelemetry")
    def test_refuses_telemetry_to_one_sender_that_obeys_retry_after(self):
        self.start(max_messages=10)
        self.cloud.down()
        for n in range(10):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        refused = []
        for _ in range(6):
            answer = self.daemon.send("pump", message_id="one-more")
            self.assert_error(answer, 507)
            # Ten minutes is the longest that it says: behind a queue that drains slowly.
            self.assertLessEqual(int(answer.headers["Retry-After"]), 600)
            refused.append(self.scrape())
        # Healthy, with a refusal long ago.
        healthy, *refused = refused
        self.assert_fires("TwinspoolRefusesTelemetry", healthy, *((10 * n, samples) for n, samples in enumerate(refused)))
        # A refusal that has passed is normal.
        passed = [(0, healthy), (HEALTHY_MINUTES, refused[0])]
        self.assertEqual(self.fires_at("TwinspoolRefusesTelemetry", passed, range(HEALTHY_MINUTES, HEALTHY_MINUTES + 30, 3)), [])

    @provokes("TwinspoolDropsMessages")
    def test_drops_messages(self):
        healthy = self.start(max_messages=10, when_full="drop_oldest")
        self.cloud.down()
        for n in range(40):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        self.assert_fires("TwinspoolDropsMessages", healthy,
                          self.scrape_when("dropped messages", lambda s: s["dropped_total", 'reason="full"'] > 0))

    @provokes("TwinspoolLostMessages")
    def test_lost_messages(self):
        page = 4096
        healthy = self.start()
        self.cloud.down()
        for n in range(8):
            self.assertEqual(self.batch(f"round-{n}", 100, 18000).status, 204)
        self.assertEqual(self.daemon.terminate(), 0)
        os.remove(self.daemon.database + "-wal")  # all of it is in the database now
        # A page that rows begin on, behind what is read ahead.
        with open(self.daemon.database, "r+b") as file:
            content = file.read()
            root = self.daemon.sql("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'")[0]["rootpage"]
            leaves = [n for n in range(1, len(content) // page + 1) if content[(n - 1) * page] == 13 and n != root
                      and b'{"filler' in content[(n - 1) * page:n * page]]
            self.assertGreater(len(leaves), 4)
            file.seek((leaves[-2] - 1) * page)
            file.write(os.urandom(page))
        self.daemon.start()
        self.cloud.up()
        self.assert_fires("TwinspoolLostMessages", healthy,
                          self.scrape_when("lost messages", lambda s: s["dropped_total", 'reason="lost"'] > 0))

    @provokes("TwinspoolQuarantines")
    def test_quarantines(self):
        healthy = self.start()
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump"))
        self.assert_fires("TwinspoolQuarantines", healthy,
                          self.scrape_when("a quarantined message", lambda s: s["quarantined_total", ""] == 1))

    @provokes("TwinspoolTwinsHeld")
    def test_twins_held(self):
        self.cloud.missing("unborn")
        healthy = self.start()
        self.assert_accepted(self.daemon.send("unborn"))
        self.assert_fires("TwinspoolTwinsHeld", healthy,
                          self.scrape_when("a held twin", lambda s: s["lanes", 'state="held"'] == 1))

    @provokes("TwinspoolTokenFails")
    def test_token_fails(self):
        issuer = Identity(self.cloud).start()
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("one that has ended\n")
        self.daemon.config["auth"] = {"kind": "client_secret", "tenant": "stand-in-tenant", "client_id": "stand-in-client",
                                      "authority": issuer.authority, "client_secret_file": secret}
        self.daemon.config["forward"]["endpoint"] = ""  # which asks for no token yet
        healthy = self.start()
        self.daemon.config["forward"]["endpoint"] = self.cloud.endpoint
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.assert_accepted(self.daemon.send("pump"))
        self.assert_fires("TwinspoolTokenFails", healthy, self.scrape_when(
            "no token", lambda s: s["forward_failures_total", 'class="token"'] > 6))

    @provokes("TwinspoolSlowDisk")
    @unittest.skipUnless(shutil.which("strace"), "SKIPPED: there is no strace to slow the disk down with")
    def test_slow_disk(self):
        healthy = self.start()
        strace = subprocess.Popen(["strace", "-f", "-qq", "-o", os.path.join(self.directory, "trace"),
                                   "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=2000000",
                                   "-p", str(self.daemon.process.pid)], stderr=subprocess.PIPE)
        self.addCleanup(strace.communicate)
        self.addCleanup(strace.kill)

        def traced():
            if strace.poll() is not None:
                self.skipTest(f"NOT TESTED: no process may be traced here: {strace.stderr.read()!r}")
            with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as file:
                return "TracerPid:\t0\n" not in file.read()

        wait_for("strace to be there", traced)
        slow = []
        for n in range(2):
            self.assert_accepted(self.daemon.send("pump", message_id=f"slow-{n}"))
            slow.append(self.scrape())
        strace.terminate()  # the daemon goes on without it
        strace.wait(60)
        # The next minutes go on as these two.
        growth = {key: slow[1][key] - slow[0][key] for key in slow[1] if key[0].startswith("ingest_commit_duration")}
        later = [{key: slow[1][key] + minute * growth[key] for key in growth} for minute in range(1, 40)]
        self.assert_fires("TwinspoolSlowDisk", healthy, *slow, *later)

    def mount(self, mib):
        """A small disk of its own, where the test may have one."""
        disk = os.path.join(self.directory, "disk")
        os.mkdir(disk)
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", disk], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"NOT TESTED: needs root: {error}")
        self.addCleanup(subprocess.run, ["umount", disk], check=False, capture_output=True)
        self.addCleanup(self.end_processes)  # before the disk goes
        return disk

    @provokes("TwinspoolDiskNearlyFull")
    def test_disk_nearly_full(self):
        healthy = self.start()
        self.assertGreater(healthy["disk_free_bytes", ""], 1 << 28, "the machine's own disk is nearly full")
        self.assertEqual(self.daemon.terminate(), 0)
        disk = self.mount(128)
        self.daemon.database = os.path.join(disk, "queue.db")
        self.assert_fires("TwinspoolDiskNearlyFull", healthy, self.start(path=self.daemon.database))

    @provokes("TwinspoolWalGrows")
    def test_wal_grows(self):
        healthy = self.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump"))
        reader = sqlite3.connect(f"file:{self.daemon.database}?mode=ro", uri=True, isolation_level=None)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        rounds = iter(range(1000))

        def grown():  # it looks at the file when something is written
            self.assertEqual(self.batch(f"round-{next(rounds)}", 100, 30000).status, 204)
            samples = self.scrape()
            return samples if samples["wal_bytes", ""] > 64 << 20 else None

        samples = wait_for("a large WAL", grown)
        self.assert_fires("TwinspoolWalGrows", healthy, samples)
        reader.execute("ROLLBACK")

    @provokes("TwinspoolClockNotSynchronized")
    def test_clock_not_synchronized(self):
        # The machine's clock is nobody's to touch here, so one of the two figures may be made up: the daemon's own is the one
        # that this machine happens to give.
        samples = self.start()
        self.assertIn(samples["clock_synchronized", ""], (0, 1))
        self.assert_fires("TwinspoolClockNotSynchronized", {**samples, ("clock_synchronized", ""): 1.0},
                          {**samples, ("clock_synchronized", ""): 0.0})


if __name__ == "__main__":
    unittest.main()
