"""What docs/operations.md tells operators to type works as it stands, in its order."""

import os
import re
import subprocess

from harness import BIN, EndToEnd

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ALERTS = os.path.join(SOURCES, "config", "prometheus-alerts.yaml")
VERBS = re.compile(r"^  ([a-z]+) ", re.M)

with open(os.path.join(SOURCES, "docs", "operations.md"), encoding="utf-8") as document:
    TEXT = document.read()


class Operations(EndToEnd):
    def setUp(self):
        super().setUp()
        self.programs = os.path.join(self.directory, "bin")
        os.mkdir(self.programs)
        config = f'--config {self.daemon.config_path} "$@"'
        self.program("twinspool", f"exec {BIN}/twinspool {config}")
        self.program("twinspoold", f"exec {BIN}/twinspoold {config}")
        self.program("sudo", 'if [ "$1" = -u ]; then shift 2; fi\nexec "$@"')
        # What it is told is done by the test: it has the daemon in its hands.
        self.program("systemctl", f'echo "$*" >>{self.directory}/asked')

    def program(self, name, script):
        path = os.path.join(self.programs, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def obey(self):
        """Stops, starts and reloads, as systemctl was asked."""
        path = os.path.join(self.directory, "asked")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            asked = file.read().splitlines()
        os.remove(path)
        for command in asked:
            verb, unit = command.split()
            self.assertEqual(unit, "twinspoold")
            {"stop": self.daemon.terminate, "start": self.daemon.start, "reload": lambda: self.daemon.signal(1)}[verb]()
        return asked

    def run_block(self, script):
        environment = {**os.environ, "PATH": self.programs + ":" + os.environ["PATH"]}
        outputs = []
        for line in script.splitlines():  # one at a time, because systemctl has to be obeyed between them
            result = subprocess.run(["bash", "-c", line], cwd=self.directory, env=environment, capture_output=True, text=True,
                                    timeout=120, check=False)
            self.assertEqual(result.returncode, 0, f"{line}: {result.stdout}{result.stderr}")
            self.obey()
            outputs.append(result.stdout)
        return "".join(outputs)

    def test_every_command_works(self):
        blocks = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)
        self.assertGreater(len(blocks), 10)
        self.cloud.missing("twinspool-doctor-asks-for-no-twin")
        self.daemon.start()
        self.assertIn("first-reading", "".join(blocks))
        outputs = [self.run_block(block) for block in blocks]
        for block, output in zip(blocks, outputs):
            if "receipt" in block:
                self.assertRegex(output, "queued|delivered")
            if "doctor" in block:
                self.assertIn("Nothing is broken", output)
            if "drain" in block:
                self.assertIn("the queue is empty", output)
        if not self.daemon.running():
            self.daemon.start()

    def test_every_verb_that_is_named_exists(self):
        help_text = subprocess.run([f"{BIN}/twinspool", "--help"], capture_output=True, text=True, check=True).stdout
        verbs = set(VERBS.findall(help_text))
        named = set(re.findall(r"(?:^|`|sudo |-u twinspool |timeout 1 )twinspool ([a-z]+)", TEXT, re.M))
        self.assertGreater(len(named), 10)
        self.assertLessEqual(named, verbs | {"lanes"})

    def test_every_alert_rule_has_its_cause_and_remedy(self):
        if not os.path.exists(ALERTS):
            self.skipTest("SKIPPED: there are no alert rules in config/")
        with open(ALERTS, encoding="utf-8") as file:
            alerts = re.findall(r"alert: *(\w+)", file.read())
        self.assertTrue(alerts)
        for alert in alerts:
            row = re.search(rf"^\| {alert} \|([^|]+)\|([^|]+)\|([^|]+)\|$", TEXT, re.M)
            self.assertIsNotNone(row, alert)
            for cell in row.groups():
                self.assertTrue(cell.strip(), alert)
