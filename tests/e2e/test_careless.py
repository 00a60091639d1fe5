"""What the daemon makes of an operator who writes to its queue, or holds it, with sqlite3. docs/database.md has a table."""

import json
import subprocess
import threading
import unittest

from harness import EndToEnd, call, wait_for

HELD = 30


class Shell:
    """sqlite3 on the queue, with a person before it who types one line after the other."""

    def __init__(self, database):
        self.process = subprocess.Popen(["sqlite3", "-interactive", "-batch", database], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = 0
        self.type(".timeout 20000")

    @property
    def pid(self):
        return self.process.pid

    def type(self, text):
        """What it answers."""
        self.lines += 1
        mark = f"line {self.lines} is done"
        self.process.stdin.write(f"{text}\nselect '{mark}';\n".encode())
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            said.append(line.decode())
            if mark in said[-1] and "select" not in said[-1]:
                return "".join(said[:-1])
        raise AssertionError(f"the shell ended: {said}")

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Careless(EndToEnd):
    def start(self, **store):
        """Some messages wait because their twin does not exist; some senders send all the time, and what they send flows."""
        self.daemon.config["store"].update(store)
        self.cloud.missing("held")
        self.daemon.start()
        self.acknowledged = {"held": []}
        self.refused = {}  # status: how many
        self.lock = threading.Lock()
        self.over = threading.Event()
        for n in range(HELD):
            self.assert_accepted(self.daemon.send("held", message_id=f"held-{n}"))
            self.acknowledged["held"].append(f"held-{n}")
        self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)
        self.senders = [threading.Thread(target=self.send, args=(f"pump-{n}",)) for n in range(3)]
        self.addCleanup(self.stop_senders)
        for sender in self.senders:
            sender.start()
        self.wait_for_more()

    def send(self, twin):
        acknowledged = []
        with self.lock:
            self.acknowledged[twin] = acknowledged
        while not self.over.is_set():
            message_id = f"{twin}-{len(acknowledged)}"
            status = self.daemon.send(twin, message_id=message_id).status  # after a refusal the same one again
            with self.lock:
                if status == 204:
                    acknowledged.append(message_id)
                else:
                    self.refused[status] = self.refused.get(status, 0) + 1
            self.over.wait(0.002 if status == 204 else 0.05)

    def sent(self):
        with self.lock:
            return sum(len(ids) for ids in self.acknowledged.values())

    def wait_for_more(self, count=60):
        wanted = self.sent() + count
        wait_for("more messages to be acknowledged", lambda: self.sent() >= wanted)

    def stop_senders(self):
        self.over.set()
        for sender in self.senders:
            sender.join()

    def shell(self):
        shell = Shell(self.daemon.database)
        self.addCleanup(shell.kill)
        return shell

    def run_sqlite(self, statement):
        """In one go, as `sqlite3 queue.db '...'`: what it said."""
        result = subprocess.run(["sqlite3", self.daemon.database, ".timeout 20000", statement], capture_output=True, text=True,
                                timeout=60, check=False)
        return result.stdout + result.stderr

    def check(self):
        result = self.daemon.command("check", "--deep", "--json")
        return result.returncode, json.loads(result.stdout)["findings"]

    def finish(self, gone=()):
        """Nothing that was acknowledged is missing but `gone`, nothing came twice or out of order."""
        if not self.over.is_set():
            self.wait_for_more()
        self.stop_senders()
        self.assertEqual(set(self.refused) - {503}, set())
        self.cloud.appears("held")
        call(self.daemon.admin, "POST", "/kick")
        status = self.daemon.wait_until_drained()
        arrived = {twin: [] for twin in self.acknowledged}
        for record in self.cloud.records():
            arrived[record["twin"]].append(record["message_id"])
        for twin, ids in self.acknowledged.items():
            self.assertEqual(arrived[twin], [one for one in ids if one not in gone], twin)
        self.assert_reconciled(status)
        self.assertEqual(self.check(), (0, []))
        return status

    def assert_nothing_happened(self):
        status = self.finish()
        self.assertEqual((status["state"], status["store"]["fault"], self.refused), ("idle", "", {}))
        self.assertEqual(status["totals"]["accepted"], self.sent())
        self.assertNotIn("store.", self.daemon.log())

    def test_an_open_write_transaction_holds_up_the_senders_until_it_ends(self):
        self.start()
        shell = self.shell()
        shell.type("begin immediate; update messages set tracestate = 'by hand';")
        self.daemon.wait_for_log("store.commit_refused")
        self.assertIn("database is locked", self.daemon.log())
        wait_for("a sender to be told", lambda: self.refused.get(503))
        shell.kill()
        status = self.finish()
        self.assertIn("store.commits_again", self.daemon.log())
        self.assertEqual((status["state"], status["store"]["fault"]), ("idle", ""))
        # What it wrote went with it.
        self.assertFalse([record for record in self.cloud.records() if "by hand" in json.dumps(record)])

    def test_a_shell_that_is_killed_within_its_transaction_leaves_nothing_behind(self):
        self.start()
        for n in range(5):
            shell = self.shell()
            shell.type(f"begin immediate; delete from messages where sequence % 5 = {n}; update figures set dropped = 99;")
            shell.kill()
            self.wait_for_more(20)
        status = self.finish()
        self.assertEqual((status["state"], status["totals"]["dropped"]), ("idle", 0))

    def test_a_view_cannot_be_written_to(self):
        self.start()
        for view in ("queue", "lanes", "quarantine", "delivered", "kept", "sources", "summary"):
            self.assertIn(f"cannot modify {view} because it is a view", self.run_sqlite(f"delete from {view};"))
        self.assert_nothing_happened()

    def test_deleted_rows_are_missed_told_and_counted_as_lost(self):
        self.start()
        gone = ["held-3", "held-4", "held-20"]
        named = ", ".join(f"'{one}'" for one in gone)
        self.assertEqual(self.run_sqlite(f"delete from messages where message_id in ({named});"), "")
        self.wait_for_more()  # which nobody notices yet
        self.stop_senders()
        self.assertEqual(self.daemon.wait_for_status("what flows", lambda s: s["queue"]["messages"] <= HELD)["state"], "waiting")
        self.assertEqual(self.daemon.terminate(), 0)
        self.assertEqual(self.check(), (1, ["the table messages has 27 rows, and the figures say 30"]))
        self.daemon.start()
        status = self.finish(gone)
        self.assertEqual((status["state"], status["totals"]["dropped"]), ("degraded", 3))
        self.assertIn("3 messages should be queued, and the table shows none", status["why"])
        self.assertIn("3 were lost", status["why"])
        self.assertEqual(self.daemon.command("repair", "--acknowledge").returncode, 0)
        self.assertEqual(self.daemon.status()["state"], "idle")

    def test_a_vacuum_changes_nothing(self):
        self.start()
        self.assertEqual(self.run_sqlite("vacuum;"), "")
        self.assert_nothing_happened()

    def test_a_checkpoint_changes_nothing(self):
        self.start()
        for mode in ("truncate", "restart", "full", "passive"):
            self.run_sqlite(f"pragma wal_checkpoint({mode});")
            self.wait_for_more(20)
        self.assert_nothing_happened()

    def test_another_journal_mode_is_refused(self):
        self.start()
        for mode in ("delete", "truncate", "off"):
            self.assertIn("database is locked", self.run_sqlite(f"pragma journal_mode={mode};"))
        self.assertIn("wal", self.run_sqlite("pragma journal_mode;"))
        self.assert_nothing_happened()

    def test_a_reader_that_stays_is_named_and_stops_the_intake_before_its_log_eats_the_disk(self):
        self.start(max_size="128MiB")  # a quarter of it is less than 64 MiB, which is the least
        reader = self.shell()
        self.assertIn("30", reader.type("begin; select count(*) from queue where twin = 'held';"))
        self.acknowledged["bulk"] = []
        filler = "x" * 30000
        for batch in range(100):
            ids = [f"bulk-{batch}-{n}" for n in range(50)]
            lines = "\n".join(json.dumps({"twin": "bulk", "messageId": one, "telemetry": {"filler": filler}}) for one in ids)
            answer = call(self.daemon.socket, "POST", "/telemetry:batch", lines.encode(),
                          {"Content-Type": "application/x-ndjson"})
            if answer.status == 503:
                break
            self.assertEqual(answer.status, 204, answer.body)
            self.acknowledged["bulk"] += ids
            self.daemon.wait_for_status("room for the next", lambda s: s["queue"]["bytes"] < 64 << 20)
        self.assertIn(f"the process with pid {reader.pid} reads", self.assert_error(answer, 503, "Unavailable")["message"])
        self.daemon.wait_for_log(f"store.wal_held pid={reader.pid} program=sqlite3")
        self.daemon.wait_for_log("store.wal_full")
        self.assertEqual(self.daemon.status()["store"]["wal_held_by_pid"], reader.pid)
        self.assertIn(f"process {reader.pid}".encode(), self.daemon.command("status").stdout)
        wait_for("a sender to be told", lambda: self.refused.get(503))
        # Deliveries go on, and are recorded.
        self.cloud.appears("held")
        call(self.daemon.admin, "POST", "/kick")
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.status()["store"]["wal_held_by_pid"], reader.pid)
        self.assertEqual(self.daemon.sql("select count(*) as n from queue")[0]["n"], 0)
        self.assertIn("30", reader.type("select count(*) from queue where twin = 'held';"))  # as it was when it began
        reader.type("commit;")
        status = self.finish()
        self.daemon.wait_for_log("store.wal_restarted")
        status = self.daemon.wait_for_status("the WAL to be free", lambda s: s["store"]["wal_held_by_pid"] == 0)
        self.assertEqual((status["state"], status["store"]["fault"]), ("idle", ""))


if __name__ == "__main__":
    unittest.main()
