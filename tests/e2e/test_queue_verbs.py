"""twinspool list, show, tail, export and import with the real programs."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys

from harness import BIN, Daemon, EndToEnd, wait_for

ROUND_TRIP = int(os.environ.get("TWINSPOOL_ROUND_TRIP", "20000"))
MEMORY_MAX_KIB = 64 << 10
# Linux counts the memory of the process that starts a program as the program's, so a small one does.
WITH_PEAK = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class QueueVerbs(EndToEnd):
    def done(self, *arguments, code=0, daemon=None, stdin=None):
        result = (daemon or self.daemon).command(*arguments, stdin=stdin)
        self.assertEqual(result.returncode, code, (arguments, result.stdout, result.stderr))
        return result.stdout.decode()

    def refusal(self, *arguments, code=1, stdin=None):
        result = self.daemon.command(*arguments, stdin=stdin)
        self.assertEqual(result.returncode, code, (arguments, result.stdout, result.stderr))
        return result.stderr.decode()

    def fill(self, count):
        self.cloud.down()
        self.daemon.start()
        for n in range(count):
            self.assert_accepted(self.daemon.send("pump" if n % 2 else "room%201", b'{ "n": %d }' % n, f"id-{n}",
                                                  component=None if n % 2 else "motor"))

    def follow(self, *arguments, **options):
        tail = subprocess.Popen([os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, "tail", *arguments],
                                cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(tail.communicate)
        self.addCleanup(tail.kill)
        return tail

    def second_daemon(self, **store):
        """Beside the first, in a directory of its own; it collects only."""
        directory = os.path.join(self.directory, "2")
        os.mkdir(directory)
        daemon = Daemon(directory, self.cloud)
        daemon.config["forward"] = {"endpoint": ""}
        daemon.config["store"].update(store)
        self.processes.append(daemon)
        return daemon.start()

    def test_list_shows_what_waits_with_and_without_a_daemon(self):
        self.fill(5)
        for _ in ("running", "down"):
            lines = self.done("list", "--limit", "3").splitlines()
            self.assertIn("MESSAGE-ID", lines[0])
            self.assertEqual([line.split()[0] for line in lines[1:4]], ["1", "2", "3"])
            self.assertIn("5 messages wait in all; go on with --after 3", lines[4])
            self.assertEqual([line.split()[-1] for line in self.done("list", "--twin", "pump").splitlines()[1:]],
                             ["id-1", "id-3"])
            rows = [json.loads(line) for line in self.done("list", "--after", "2", "--twin", "room 1", "--json").splitlines()]
            self.assertEqual([(row["sequence"], row["twin"], row["component"], row["body"]) for row in rows],
                             [(3, "room%201", "motor", '{ "n": 2 }'), (5, "room%201", "motor", '{ "n": 4 }')])
            self.assertEqual(self.done("list", "--twin", "nobody"), "nothing waits of that twin\n")
            if self.daemon.running():
                self.daemon.terminate()

    def test_what_is_wrong_is_said_with_a_remedy(self):
        self.daemon.write_config()
        self.assertIn("--store FILE", self.refusal("list"))
        self.assertIn("--store FILE", self.refusal("export"))
        self.assertIn("is not running", self.refusal("import", stdin=b'{"twin":"a","messageId":"b","telemetry":{}}\n', code=3))
        self.refusal("list", "--limit", "0", code=2)
        self.refusal("show", code=2)
        self.assertIn("count from 1", self.refusal("show", "0", code=2))
        with open(self.daemon.database, "wb") as file:
            file.write(b"no database at all, however long it is")
        self.assertIn("twinspool: ", self.refusal("list"))
        os.remove(self.daemon.database)

    def test_show_finds_a_message_wherever_it_is(self):
        self.daemon.config["store"]["keep_delivered"] = "1h"
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", b'{"n":1}', "delivered"))
        self.daemon.wait_until_drained()
        self.daemon.wait_for_status("it is recorded", lambda s: s["kept"]["messages"] == 1)
        self.cloud.faults("400")
        self.assert_accepted(self.daemon.send("pump", b'{"n":2}', "refused"))
        self.daemon.wait_for_status("a quarantined message", lambda s: s["quarantine"]["messages"] == 1)
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump", b'{"n":3}', "waiting"))
        for sequence, state in ((1, "delivered"), (2, "quarantined"), (3, "queued")):
            text = self.done("show", str(sequence))
            self.assertIn(f"state         {state}\n", text)
            self.assertIn(f'body          {{"n":{sequence}}}\n', text)
            shown = json.loads(self.done("show", str(sequence), "--json"))
            self.assertEqual((shown["state"], shown["body"]), (state, f'{{"n":{sequence}}}'))
        self.assertIn("4 is not known", self.refusal("show", "4"))

    def test_tail_follows_in_a_pipe_until_it_is_interrupted(self):
        self.fill(4)
        tail = self.follow("--json", "--lines", "2")
        self.assertEqual([json.loads(tail.stdout.readline())["sequence"] for _ in range(2)], [3, 4])
        self.cloud.up()
        self.daemon.wait_until_drained()
        for n in range(20):
            self.assert_accepted(self.daemon.send("pump", b'{"n": 1}', f"new-{n}"))
        found = [json.loads(tail.stdout.readline()) for _ in range(20)]
        self.assertEqual([message["message_id"] for message in found], [f"new-{n}" for n in range(20)])
        self.assertLessEqual({message["state"] for message in found}, {"queued", "delivered"})
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(30), 0)
        self.assertEqual(tail.stderr.read(), b"")

    def test_tail_ends_with_its_reader(self):
        self.fill(1)
        tail = self.follow("--lines", "1")
        self.assertIn(b"id-0", tail.stdout.readline())
        tail.stdout.close()
        self.assertEqual(tail.wait(30), 0)
        tail.stdout = None

    def test_an_export_comes_back_byte_for_byte_and_only_once(self):
        self.fill(50)
        file = os.path.join(self.directory, "backlog.ndjson")
        self.assertIn("50 messages, the last one 50", self.done("export", file))
        self.assertIn("overwrites nothing", self.refusal("export", file))
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o640)
        with open(file, "rb") as exported:
            text = exported.read()
        self.assertEqual(self.daemon.command("export", "-").stdout, text)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 50)
        self.daemon.terminate()
        self.assertEqual(self.daemon.command("export").stdout, text)
        summary = json.loads(self.done("export", file + ".2", "--after", "10", "--twin", "pump", "--json"))
        self.assertEqual(summary, {"messages": 20, "damaged": 0, "last_sequence": 50})

        second = self.second_daemon()
        self.assertIn("50 messages stored, 0 were there already", self.done("import", file, daemon=second))
        again = json.loads(self.done("import", "--batch", "7", "--json", daemon=second, stdin=text))
        self.assertEqual(again, {"accepted": 0, "duplicates": 50, "next_line": 51, "why": ""})
        for column in ("twin", "component", "message_id", "source_time", "body", "sequence"):
            statement = f"select {column} as it from queue order by sequence"
            self.assertEqual(second.sql(statement), self.daemon.sql(statement), column)

    def peak_of(self, daemon, *arguments):
        """The verb's peak resident memory in KiB."""
        command = [os.path.join(BIN, "twinspool"), "--config", daemon.config_path, *arguments]
        result = subprocess.run([sys.executable, "-c", WITH_PEAK, *command], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=1200, check=False)
        self.assertEqual(result.returncode, 0, (arguments, result.stdout, result.stderr))
        return int(result.stdout.splitlines()[-1])

    def test_many_messages_come_back_byte_for_byte_in_little_memory(self):
        lines, first, second = (os.path.join(self.directory, name) for name in ("lines", "first", "second"))
        with open(lines, "w", encoding="utf-8") as file:
            for n in range(ROUND_TRIP):
                message = {"twin": f"pump {n % 97}", "messageId": f"id-{n}", "telemetry": {"n": n, "text": "ä" * (n % 150)}}
                if n % 3 == 0:
                    message.update({"component": "motor", "sourceTime": f"2026-01-01T00:00:{n % 60:02}.5Z"})
                if n % 5 == 0:
                    message.update({"traceparent": f"00-{n:032x}-00f067aa0ba902b7-01", "tracestate": f"n={n}"})
                file.write(json.dumps(message, ensure_ascii=n % 2 == 0) + "\n")
        self.cloud.down()
        self.daemon.config["store"]["max_size"] = 0
        self.daemon.start()
        copy = self.second_daemon(max_size=0)
        peaks = [self.peak_of(self.daemon, "import", lines), self.peak_of(self.daemon, "export", first),
                 self.peak_of(copy, "import", first), self.peak_of(copy, "export", second)]
        self.assertEqual(self.daemon.status()["queue"]["messages"], ROUND_TRIP)
        with open(first, "rb") as one, open(second, "rb") as other:
            while block := one.read(1 << 20):
                self.assertEqual(block, other.read(len(block)))
            self.assertEqual(other.read(1), b"")
        # Whatever the queue shows of a message but when and by which socket it came here.
        columns = [row["name"] for row in self.daemon.sql("select name from pragma_table_info('queue')")]
        compared = [name for name in columns if name not in ("accepted_at", "age", "socket")]
        self.assertEqual(len(compared), len(columns) - 3)
        with sqlite3.connect(f"file:{self.daemon.database}?mode=ro", uri=True) as ours, \
                sqlite3.connect(f"file:{copy.database}?mode=ro", uri=True) as theirs:
            statement = f"select {', '.join(compared)} from queue order by sequence"
            found = 0
            for row, again in itertools.zip_longest(ours.execute(statement), theirs.execute(statement)):
                self.assertEqual(row, again)
                found += 1
        self.assertEqual(found, ROUND_TRIP)
        if "address" not in os.environ.get("TWINSPOOL_SANITIZE", ""):  # which keeps what was freed
            self.assertLess(max(peaks), MEMORY_MAX_KIB, peaks)
        if "TWINSPOOL_ROUND_TRIP" in os.environ:
            print(f"{ROUND_TRIP} messages; KiB at the peak of import, export, import, export: {peaks}")

    def test_a_damaged_message_is_left_out_of_an_export_and_that_is_said(self):
        self.fill(3)
        self.daemon.kill()
        subprocess.run(["sqlite3", self.daemon.database, "update messages set body = '{}' where sequence = 2"], check=True)
        result = self.daemon.command("export")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertIn(b"1 are damaged on disk and were left out", result.stderr)

    def test_an_import_stops_at_a_bad_line_and_goes_on_behind_it(self):
        self.cloud.down()
        self.daemon.start()
        lines = [b'{"twin":"pump","messageId":"id-%d","telemetry":{"n":%d}}' % (n, n) for n in range(1, 31)]
        lines[14] = b'{"twin":"pump","telemetry":{}}'
        text = b"\n".join(lines)
        said = self.refusal("import", "--batch", "10", stdin=text)
        self.assertIn("line 15: ", said)
        self.assertIn("go on with --from-line 11", said)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 10)
        lines[14] = b""
        self.done("import", "--from-line", "11", stdin=b"\n".join(lines))
        self.assertEqual(self.daemon.status()["queue"]["messages"], 29)
        self.assertIn("is longer than a message may be", self.refusal("import", stdin=b"x" * 3_000_000))

    def test_an_import_outlives_a_kill_of_the_daemon_and_a_full_queue(self):
        self.cloud.down()
        self.daemon.config["store"]["max_messages"] = 3000
        self.daemon.start()
        file = os.path.join(self.directory, "many.ndjson")
        with open(file, "w", encoding="ascii") as many:
            for n in range(5000):
                many.write(f'{{"twin":"pump-{n % 7}","messageId":"id-{n}","telemetry":{{"n":{n}}}}}\n')
        importing = subprocess.Popen([os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, "import", file,
                                      "--batch", "50"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(importing.communicate)
        self.addCleanup(importing.kill)
        self.daemon.wait_for_status("a part of it", lambda s: s["queue"]["messages"] >= 500)
        self.daemon.kill()
        self.daemon.config["store"]["max_messages"] = 4000
        self.daemon.start()
        self.daemon.wait_for_status("a full queue", lambda s: s["queue"]["messages"] == 4000)
        self.daemon.kill()
        self.daemon.config["store"]["max_messages"] = 0
        self.daemon.start()
        output, said = importing.communicate(timeout=120)
        self.assertEqual(importing.returncode, 0, said)
        rows = self.daemon.sql("select message_id as it from queue order by sequence")
        self.assertEqual([row["it"] for row in rows], [f"id-{n}" for n in range(5000)])
        self.assertIn(b"stored", output)
        self.assertIn(b"waiting, because", said)

    def test_an_interrupted_import_says_where_to_go_on(self):
        self.daemon.config["store"]["max_messages"] = 10
        self.cloud.down()
        self.daemon.start()
        importing = subprocess.Popen([os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, "import",
                                      "--batch", "5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(importing.kill)
        for n in range(20):
            importing.stdin.write(b'{"twin":"pump","messageId":"id-%d","telemetry":{"n":%d}}\n' % (n, n))
        importing.stdin.close()
        importing.stdin = None
        self.daemon.wait_for_status("a full queue", lambda s: s["queue"]["messages"] == 10)
        wait_for("it to wait", lambda: b"waiting, because" in importing.stderr.peek(1) or importing.stderr.readline())
        importing.send_signal(signal.SIGINT)
        _, said = importing.communicate(timeout=30)
        self.assertEqual(importing.returncode, 1)
        self.assertIn(b"go on with --from-line 11", said)
