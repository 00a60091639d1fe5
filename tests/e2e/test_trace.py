import json
import os
import re
import sqlite3
import stat
import subprocess

from harness import EndToEnd, call

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "database.md")


class Trace(EndToEnd):
    """What operators learn of, and do with, messages that have left the queue."""

    def setUp(self):
        super().setUp()
        self.daemon.config["store"]["keep_delivered"] = "1h"

    def done(self, *arguments, code=0):
        result = self.daemon.command(*arguments)
        self.assertEqual(result.returncode, code, (arguments, result.stdout, result.stderr))
        return result.stdout.decode()

    def receipt(self, twin, message_id):
        answer = call(self.daemon.admin, "GET", f"/messages?twin={twin}&message_id={message_id}")
        self.assertEqual(answer.status, 200, answer.body)
        return json.loads(answer.body)

    def refused_message(self, message_id):
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump", b'{"n": 1}', message_id))
        return self.daemon.wait_for_status("a quarantined message", lambda s: s["quarantine"]["messages"] == 1)

    def test_a_replay_reaches_the_cloud_again_with_the_same_id_and_bytes(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump%2F1", b'{ "n": 1 }', "id-1", component="motor"))
        self.assert_accepted(self.daemon.send("valve", b'{"n":2}', "id-2"))
        self.daemon.wait_until_drained()
        self.daemon.wait_for_status("two records", lambda s: s["kept"]["messages"] == 2)
        self.assertIn("1 messages", self.done("replay", "--twin", "pump/1", "--since", "1h", code=2))
        self.assertEqual(len(self.cloud.records()), 2)
        self.assertIn("1 messages", self.done("replay", "--twin", "pump/1", "--since", "1h", "--yes"))
        self.cloud.wait_for_records(3)
        first, again = [r for r in self.cloud.records() if r["message_id"] == "id-1"]
        self.assertEqual({k: first[k] for k in ("twin", "component", "body")},
                         {k: again[k] for k in ("twin", "component", "body")})
        status = self.daemon.wait_for_status("the record", lambda s: s["totals"]["delivered"] == 3)
        self.assertEqual((status["totals"]["replayed"], status["totals"]["accepted"]), (1, 3))
        self.assert_reconciled(status)
        rows = self.daemon.sql("select sequence, replay_of from delivered order by sequence")
        self.assertEqual([row["replay_of"] for row in rows], [0, 0, 1])

    def test_a_replay_that_makes_no_sense_is_refused_with_what_is_accepted(self):
        self.daemon.start()
        for body in (b'{"twin":"pump"}', b'{"since":"yesterday"}', b'{"since":"1h","until":"2h"}', b"[]"):
            answer = call(self.daemon.admin, "POST", "/replay", body, {"Content-Type": "application/json"})
            self.assertEqual((answer.status, json.loads(answer.body)["error"]["code"]), (400, "InvalidArgument"))

    def test_a_receipt_follows_a_message_from_the_queue_to_its_end(self):
        self.daemon.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        queued = self.receipt("pump", "id-1")
        self.assertEqual((queued["state"], queued["sequence"]), ("queued", 1))
        self.cloud.up()
        self.daemon.wait_until_drained()
        delivered = self.receipt("pump", "id-1")
        self.assertEqual((delivered["state"], delivered["status"]), ("delivered", 204))
        self.assertRegex(delivered["at"], r"^20\d\d-")
        self.daemon.restart()
        self.assertEqual(self.receipt("pump", "id-1"), delivered)
        self.assertEqual(self.receipt("pump", "other"), {"state": "unknown"})
        self.assertEqual(self.receipt("nobody", "id-1"), {"state": "unknown"})
        self.assertIn("delivered", self.done("receipt", "pump", "id-1"))
        self.done("receipt", "pump", "other", code=1)
        self.assertEqual(json.loads(self.done("receipt", "pump", "id-1", "--json")), delivered)

    def assert_receipt(self, message_id, state, text, code=0, **wanted):
        """As people read it, as JSON, by its exit code, and as the admin socket has it."""
        said = self.done("receipt", "pump", message_id, code=code)
        self.assertRegex(said, text)
        self.assertEqual(len(said.splitlines()), 2 if state == "quarantined" else 1, said)
        shown = json.loads(self.done("receipt", "pump", message_id, "--json", code=code))
        self.assertEqual(shown, self.receipt("pump", message_id))
        self.assertEqual({key: shown.get(key) for key in wanted}, wanted)
        self.assertEqual(shown["state"], state)
        for key in ("accepted_at", "at"):
            if key in shown:
                self.assertIn(shown[key], said)

    def test_a_receipt_tells_every_end_that_a_message_may_have(self):
        time = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"
        self.daemon.config["store"].update({"max_messages": 3, "when_full": "drop_oldest", "max_age": "1h"})
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", message_id="taken"))
        self.daemon.wait_until_drained()
        self.refused_message("refused")
        self.cloud.down()
        for message_id in ("first", "second", "third", "fourth", "fifth"):  # one of which may be under way, and stays
            self.assert_accepted(self.daemon.send("pump", message_id=message_id))
        self.daemon.wait_for_status("what had no room", lambda s: s["totals"]["dropped"] == 2 and s["queue"]["messages"] == 3)
        dropped = [row["message_id"] for row in self.daemon.sql("select message_id from trace where outcome = 'dropped'")]
        waiting = [row["message_id"] for row in self.daemon.sql("select message_id from queue order by sequence")]
        self.assertEqual(sorted(dropped + waiting), ["fifth", "first", "fourth", "second", "third"])
        ends = [("taken", "delivered", rf"^delivered: sequence 1, accepted {time}, delivered {time}, HTTP 204\n$",
                 {"sequence": 1, "status": 204}),
                ("refused", "quarantined",
                 rf"^quarantined: sequence 2, accepted {time}, quarantined {time}, HTTP 400\n  refused: \w+ ",
                 {"sequence": 2, "status": 400, "reason": "refused"}),
                (dropped[0], "dropped", rf"^dropped: sequence \d+, accepted {time}, dropped {time}\n$", {})]
        queued = (waiting[-1], "queued", rf"^queued: sequence 7, since {time}\n$", {"sequence": 7})
        for message_id, state, text, wanted in [*ends, queued]:
            self.assert_receipt(message_id, state, text, **wanted)
        self.assert_receipt("other", "unknown", r"^unknown: never accepted, or it left longer ago than ", code=1)

        # Those that wait are two hours older.
        self.assertEqual(self.daemon.terminate(), 0)
        with sqlite3.connect(self.daemon.database) as database:
            database.execute("UPDATE messages SET uptime_ms = uptime_ms - 7200000, accepted_ms = accepted_ms - 7200000")
        database.close()
        self.daemon.start()
        status = self.daemon.wait_for_status("what was too old", lambda s: s["queue"]["messages"] == 0)
        self.assert_reconciled(status)
        ends.append((waiting[-1], "expired", rf"^expired: sequence 7, accepted {time}, expired {time}\n$", {"sequence": 7}))
        for message_id, state, text, wanted in ends:
            self.assert_receipt(message_id, state, text, **wanted)
        self.assertEqual(len(self.cloud.records()), 1)

    def test_the_quarantine_is_listed_exported_retried_and_purged(self):
        self.daemon.start()
        self.refused_message("bad-1")
        receipt = self.receipt("pump", "bad-1")
        self.assertEqual((receipt["state"], receipt["reason"], receipt["status"]), ("quarantined", "refused", 400))
        self.assertIn("bad-1", self.done("quarantine", "list"))
        self.assertIn('{"n": 1}', self.done("quarantine", "show", "1"))
        exported = json.loads(self.done("quarantine", "export"))
        self.assertEqual((exported["twin"], exported["messageId"], exported["telemetry"]), ("pump", "bad-1", {"n": 1}))
        self.done("quarantine", "retry", "1", code=2)
        self.assertEqual(len(self.daemon.sql("select * from quarantine")), 1)
        self.done("quarantine", "retry", "1", "--yes")
        self.cloud.wait_for_records(1)
        self.daemon.wait_until_drained()
        status = self.daemon.status()
        self.assertEqual((status["totals"]["retried"], status["quarantine"]["messages"]), (1, 0))
        self.assert_reconciled(status)
        after = self.receipt("pump", "bad-1")
        self.assertEqual((after["state"], after["retry_of"]), ("delivered", 1))
        self.refused_message("bad-2")
        self.done("quarantine", "purge", "--all", code=2)
        self.done("quarantine", "purge", "--all", "--yes")
        self.assertEqual(self.daemon.sql("select * from quarantine"), [])
        self.assertEqual(self.receipt("pump", "bad-2")["state"], "purged")
        self.assert_reconciled(self.daemon.status())

    def test_a_snapshot_of_a_live_and_of_a_stopped_queue_is_whole(self):
        self.daemon.start()
        self.cloud.down()
        for n in range(20):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        files = [os.path.join(self.directory, name) for name in ("live.db", "asked.db", "stopped.db")]
        self.assertIn("20 messages", self.done("snapshot", files[0]))
        answer = call(self.daemon.admin, "POST", "/snapshot", json.dumps({"file": files[1]}).encode(),
                      {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 200, answer.body)
        self.daemon.terminate()
        self.done("snapshot", files[2])
        for file in files:
            self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o640)
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as copy:
                self.assertEqual(copy.execute("select count(*) from queue").fetchone(), (20,))
                self.assertEqual(copy.execute("pragma integrity_check").fetchone(), ("ok",))
        before = os.stat(files[0])
        self.assertIn(b"never overwrites", self.daemon.command("snapshot", files[0]).stderr)
        self.assertEqual(os.stat(files[0]).st_mtime_ns, before.st_mtime_ns)
        self.assertEqual([name for name in os.listdir(self.directory) if ".part." in name], [])

    def test_every_recipe_of_the_documentation_works_while_the_daemon_runs(self):
        with open(DOCS, encoding="utf-8") as file:
            text = file.read()
        recipes = re.findall(r"\*\*([^*\n]+)\*\*[^\n]*\n```sql\n(.+?)\n```", text, re.S)
        self.assertEqual(len(recipes), 10)
        self.daemon.start()
        self.assert_accepted(self.daemon.send("valve", b'{"n":1}', "delivered-1"))
        self.daemon.wait_until_drained()
        self.refused_message("bad-1")
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump-1", b'{"n":2}', "waiting-1"))
        for title, statement in recipes:
            with self.subTest(title):
                result = subprocess.run(["sqlite3", "-readonly", self.daemon.database, statement], capture_output=True,
                                        text=True, timeout=60, check=False)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                holds = {"fills": "pump-1", "oldest": "waiting-1", "one twin": "waiting-1", "Export": "waiting-1",
                         "quarantine": "400", "each hour": "|1", "biggest": "waiting-1", "replayed": "valve"}
                wanted = [word for key, word in holds.items() if key in title]
                for word in wanted:
                    self.assertIn(word, result.stdout)

    def test_every_column_of_every_view_is_documented(self):
        with open(DOCS, encoding="utf-8") as file:
            text = file.read()
        self.daemon.start()
        for view in (row["name"] for row in self.daemon.sql("select name from sqlite_schema where type = 'view'")):
            section = re.search(rf"^\*\*{view}\*\*.*?(?=^\*\*|^## )", text, re.S | re.M)
            self.assertIsNotNone(section, view)
            for row in self.daemon.sql(f"select name from pragma_table_info('{view}')"):
                self.assertRegex(section.group(), rf"(?m)^\|[^|]*\b{row['name']}\b", f"{view}.{row['name']}")
        for row in self.daemon.sql("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'"):
            self.assertRegex(text, rf"(?m)^\|[^|]*\b{row['name']}\b")
