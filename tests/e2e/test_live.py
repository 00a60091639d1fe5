"""twinspool drain and status --watch, in a real terminal (tmux) and in pipes."""

import json
import os
import re
import shutil
import signal
import subprocess
import unittest
import uuid

from harness import BIN, EndToEnd, wait_for


class Terminal:
    """80 columns, 24 rows, in a tmux server of its own."""

    number = 0

    def __init__(self, directory, command, **environment):
        Terminal.number += 1  # a server that ends still has its socket
        self.tmux = ["tmux", "-S", os.path.join(directory, f"tmux-{Terminal.number}.sock"), "-f", "/dev/null"]
        variables = {"LC_ALL": "C.UTF-8", **environment}
        assignments = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        # The shell stays afterwards, so that what the command left of the terminal can be seen.
        self.run("-u", "new-session", "-d", "-x", "80", "-y", "24", *assignments, "sh", "-c",
                 f"trap : INT; {command}; echo ended with $?; exec sleep 600")

    def run(self, *arguments):
        return subprocess.run([*self.tmux, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout

    def screen(self, colours=False):
        return self.run("capture-pane", "-p", *(["-e"] if colours else []))

    def wait_for(self, text):
        return wait_for(f"{text!r} on the screen", lambda: (lambda screen: screen if text in screen else "")(self.screen()))

    def press(self, key):
        self.run("send-keys", key)

    def resize(self, columns, rows):
        self.run("resize-window", "-x", str(columns), "-y", str(rows))

    def state(self):
        return self.run("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True, check=False)


class LiveCase(EndToEnd):
    def fill(self, count=20):
        self.cloud.down()
        self.daemon.start()
        for n in range(count):
            self.assert_accepted(self.daemon.send(f"pump-{n % 4}"))

    def spawn(self, *arguments):
        process = subprocess.Popen([os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def terminal(self, arguments, **environment):
        terminal = Terminal(self.directory, f"{BIN}/twinspool --config {self.daemon.config_path} {arguments}", **environment)
        self.addCleanup(terminal.close)
        return terminal


class InAPipe(LiveCase):
    def test_a_drain_in_a_pipe_tells_by_lines_and_ends_with_the_queue(self):
        self.fill()
        drain = self.spawn("drain")
        self.assertRegex(drain.stdout.readline(), r"^20\d\d-.*Z  20 messages wait, 0% drained; .*waiting: ")
        self.cloud.up()
        output, said = drain.communicate(timeout=60)
        self.assertEqual((drain.returncode, said), (0, ""))
        self.assertIn("the queue is empty after", output)
        self.assertNotIn("\033", output)
        self.assertEqual(self.daemon.command("drain").returncode, 0)

    def test_a_drain_that_runs_out_of_time_says_what_waits_and_why(self):
        self.fill()
        self.daemon.wait_for_status("the outage", lambda s: s["state"] == "waiting")
        result = self.daemon.command("drain", "--timeout", "100ms")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"^twinspool: 20 messages still wait, the oldest for .*; waiting: .")
        result = self.daemon.command("drain", "--timeout", "100ms", "--json")
        self.assertEqual(result.returncode, 1)
        report = json.loads(result.stdout)
        self.assertEqual((report["drained"], report["messages"], report["state"]), (False, 20, "waiting"))
        self.assertTrue(report["why"])
        self.daemon.command("pause")
        self.assertIn(b"paused: ", self.daemon.command("drain", "--timeout", "100ms").stderr)

    def test_ctrl_c_ends_a_drain_with_what_waits(self):
        self.fill()
        drain = self.spawn("drain")
        drain.stdout.readline()
        drain.send_signal(signal.SIGINT)
        _, said = drain.communicate(timeout=30)
        self.assertEqual(drain.returncode, 1)
        self.assertIn("20 messages still wait", said)

    def test_a_drain_waits_for_a_daemon_that_restarts(self):
        self.fill()
        drain = self.spawn("drain")
        drain.stdout.readline()
        self.daemon.kill()
        self.cloud.up()
        self.daemon.start()
        self.assertIn("the queue is empty", drain.communicate(timeout=60)[0])
        self.assertEqual(drain.returncode, 0)

    def test_a_watch_in_a_pipe_tells_by_lines_and_ends_with_its_reader(self):
        self.fill()
        watch = self.spawn("status", "--watch", "--every", "10ms")
        self.assertRegex(watch.stdout.readline(), r"^20\d\d-.*Z  \w+, 20 messages wait, the oldest for ")
        watch.stdout.close()
        self.assertEqual(watch.wait(30), 0)
        watch.stdout = None
        watch = self.spawn("status", "--watch", "--json", "--every", "10ms")
        for _ in range(3):
            self.assertEqual(json.loads(watch.stdout.readline())["queue"]["messages"], 20)
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(30), 0)


@unittest.skipUnless(shutil.which("tmux"), "SKIPPED: tmux is not installed")
class OnAScreen(LiveCase):
    def test_a_drain_is_drawn_and_leaves_the_terminal_as_it_was(self):
        self.fill()
        terminal = self.terminal("drain")
        screen = terminal.wait_for("Goes out    ▁")
        self.assertIn("Queue       20 messages", screen)
        self.assertRegex(screen, r"Drained     \[\.{38}\] 0%")
        self.assertIn("Why  ", screen)
        self.assertEqual(terminal.state(), "1 0")
        self.cloud.up()
        screen = terminal.wait_for("ended with 0")
        self.assertIn("the queue is empty after", screen)
        self.assertEqual(terminal.state(), "0 1")

    def test_a_watch_fits_the_screen_in_colour_or_without_and_ctrl_c_restores_it(self):
        self.fill()
        self.daemon.wait_for_status("the outage", lambda s: s["state"] == "waiting")
        for arguments, environment, coloured in (("status --watch", {}, True), ("status --watch --no-color", {}, False),
                                                 ("status --watch", {"NO_COLOR": "1"}, False)):
            terminal = self.terminal(arguments, **environment)
            screen = terminal.wait_for("Comes in    ▁")
            for label in ("twinspool ", "State ", "Queue ", "Oldest ", "Forecast ", "Upstream ", "Disk ", "Clock ", "Goes out "):
                self.assertRegex(screen, rf"(?m)^{label}")
            self.assertEqual(bool(re.search(r"\x1b\[[0-9;]*33m", terminal.screen(colours=True))), coloured)
            terminal.resize(40, 8)
            wait_for("the smaller frame", lambda: "Comes in" in terminal.screen() and len(terminal.screen().split("\n")) <= 9)
            terminal.press("C-c")
            terminal.wait_for("ended with 0")
            self.assertEqual(terminal.state(), "0 1")
            terminal.close()

    def test_an_import_and_an_export_draw_how_far_they_are_and_wipe_it(self):
        self.daemon.config["forward"]["endpoint"] = ""
        self.daemon.start()
        lines = os.path.join(self.directory, "lines")
        os.mkfifo(lines)  # so that the import is not over before it is looked at
        terminal = self.terminal(f"import {lines} --batch 1")
        with open(lines, "w", encoding="ascii") as feed:
            def feed_until(text):
                def fed():
                    for _ in range(20):
                        feed.write('{"twin":"pump","messageId":"%s","telemetry":{"n":1}}\n' % uuid.uuid4())
                    feed.flush()
                    return text in terminal.screen()

                wait_for(f"{text!r} on the screen", fed)

            feed_until("import ")
            self.assertRegex(terminal.screen(), r"line \d+, \d+ new, 0 known")
        screen = terminal.wait_for("ended with 0")
        self.assertNotRegex(screen, r"line \d+, \d+ new")  # the report is another text

    def test_the_status_of_a_daemon_in_every_trouble_fits_24_lines(self):
        self.daemon.config["store"].update({"max_messages": 3})
        self.fill(3)
        self.cloud.up()
        self.cloud.faults("400")
        self.daemon.wait_for_status("room, and a quarantined message", lambda s: s["quarantine"]["messages"] == 1)
        self.daemon.wait_until_drained()
        self.cloud.missing("ghost")
        for twin in ("ghost", "ghost", "ghost"):
            self.assert_accepted(self.daemon.send(twin))
        self.assertEqual(self.daemon.send("pump-9").status, 507)
        self.daemon.wait_for_status("a held twin", lambda s: s["lanes"]["held"] == 1)
        self.cloud.down()
        text = self.daemon.command("status").stdout.decode()
        self.assertLessEqual(len(text.splitlines()), 24, text)
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 80, text)
        for label in ("State", "Queue", "Oldest", "Forecast", "Quarantine", "Upstream", "Twins", "Disk", "Clock"):
            self.assertRegex(text, rf"(?m)^{label}")

    def test_without_utf8_only_ascii_is_drawn(self):
        self.fill()
        terminal = self.terminal("drain", LC_ALL="C")
        screen = terminal.wait_for("Goes out    _")
        self.assertTrue(screen.isascii(), screen)
        terminal.press("C-c")
        terminal.wait_for("ended with 1")
        self.assertIn("20 messages still wait", terminal.screen())
