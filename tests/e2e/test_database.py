import json
import os
import stat
import subprocess
import threading

from harness import EndToEnd, UnixConnection, target


class Database(EndToEnd):
    """The views are an interface: what an operator finds with the sqlite3 shell."""

    def test_the_views_show_what_waits_in_readable_text(self):
        self.cloud.missing("unborn")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("unborn", b'{"n": 1}', "id-1", component="motor",
                                              Telemetry_Source_Time="2026-01-01T00:00:00Z", traceparent="00-t-s-01",
                                              tracestate="a=b"))
        self.assert_accepted(self.daemon.send("unborn", b'{"n": 2}', "id-2"))
        self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)
        rows = self.daemon.sql("select * from queue limit 5")
        self.assertEqual([row["sequence"] for row in rows], [1, 2])
        first = rows[0]
        self.assertEqual(
            {name: first[name] for name in ("twin", "component", "message_id", "source_time", "body", "traceparent",
                                            "tracestate")},
            {"twin": "unborn", "component": "motor", "message_id": "id-1", "source_time": "2026-01-01T00:00:00Z",
             "body": '{"n": 1}', "traceparent": "00-t-s-01", "tracestate": "a=b"})
        self.assertRegex(first["accepted_at"], r"^20\d\d-\d\d-\d\dT")
        for name in ("age", "bytes"):
            self.assertIn(name, first)
        lanes = self.daemon.sql("select * from lanes")
        self.assertEqual((lanes[0]["twin"], lanes[0]["depth"]), ("unborn", 2))
        self.assertEqual(len(self.daemon.sql("select * from summary")), 1)
        self.assertEqual(self.daemon.sql("select * from quarantine"), [])
        self.cloud.appears("unborn")
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.sql("select * from queue"), [])
        delivered = self.daemon.sql("select * from delivered order by sequence")
        self.assertEqual([row["message_id"] for row in delivered], ["id-1", "id-2"])
        self.assertIn("204", json.dumps(delivered[0]))

    def test_a_reader_never_stops_the_daemon_and_always_sees_whole_commits(self):
        self.daemon.start()
        self.cloud.down()
        done = threading.Event()
        failures = []

        def read():
            while not done.is_set():
                try:
                    rows = self.daemon.sql("select sequence from queue order by sequence")
                    numbers = [row["sequence"] for row in rows]
                    if numbers != list(range(1, len(numbers) + 1)):
                        failures.append(numbers)
                except AssertionError as failure:
                    failures.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for n in range(200):
                self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        finally:
            done.set()
            reader.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.daemon.sql("select count(*) as n from queue")[0]["n"], 200)

    def test_every_view_is_readable_under_load_and_the_summary_always_adds_up(self):
        self.daemon.config["store"].update({"max_messages": 60, "when_full": "drop_oldest", "keep_delivered": "1h"})
        self.daemon.start()
        over, accepted = threading.Event(), []

        def send(worker):
            connection = UnixConnection(self.daemon.socket)
            n = 0
            while not over.is_set():
                n += 1
                answer = connection.call("POST", target(f"twin-{worker}"), b'{"n": 1}',
                                         {"Content-Type": "application/json", "Message-Id": f"{worker}-{n}"})
                if answer.status == 204:
                    accepted.append(1)
            connection.close()

        senders = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
        for sender in senders:
            sender.start()
        try:
            for turn in range(6):  # queued, delivered, refused, dropped, and again
                (self.cloud.down, self.cloud.up)[turn % 2]()
                self.cloud.faults("400", repeat=turn % 3 == 0)
                before = len(accepted)
                self.daemon.wait_for_status("more of the load", lambda _, before=before: len(accepted) > before + 40)
                for view in ("queue", "lanes", "quarantine", "delivered", "kept", "sources"):
                    self.daemon.sql(f"select * from {view} limit 50")
                row = self.daemon.sql("select * from summary")[0]
                self.assertEqual(row["accepted"], row["queued_messages"] + row["delivered"] + row["quarantined"] + row["dropped"],
                                 row)
                # One statement sees one moment: the rows are as many as the figure says.
                counted = self.daemon.sql("select (select count(*) from queue) as rows, queued_messages as figure from summary")
                self.assertEqual(counted[0]["rows"], counted[0]["figure"])
        finally:
            over.set()
            for sender in senders:
                sender.join()
        self.assertGreaterEqual(self.daemon.status()["totals"]["accepted"], len(accepted))

    def test_the_queue_is_readable_while_running_after_a_stop_and_after_a_kill(self):
        self.daemon.start()
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        for end in (None, "terminate", "kill"):
            if end:
                getattr(self.daemon, end)()
            self.assertEqual(self.daemon.sql("select message_id from queue"), [{"message_id": "id-1"}], end)
            if end:
                self.daemon.start()
        check = subprocess.run(["sqlite3", "-readonly", self.daemon.database, "pragma integrity_check"],
                               capture_output=True, text=True, timeout=30, check=True)
        self.assertEqual(check.stdout.strip(), "ok")

    def test_files_are_not_for_everybody(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        for name in ("queue.db", "queue.db-wal"):
            mode = stat.S_IMODE(os.stat(os.path.join(self.directory, name)).st_mode)
            self.assertEqual(mode & 0o007, 0, f"{name} is {mode:o}")
