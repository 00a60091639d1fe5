"""What README.md tells people to type works as it stands."""

import os
import re
import subprocess
import sys

from harness import BIN, EndToEnd

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
README = os.path.join(SOURCES, "README.md")
SANITIZE = [f"-fsanitize={os.environ['TWINSPOOL_SANITIZE']}"] if os.environ.get("TWINSPOOL_SANITIZE") else []


def section(title):
    with open(README, encoding="utf-8") as file:
        return re.search(rf"^## {title}\n(.*?)(?=^## )", file.read(), re.MULTILINE | re.DOTALL).group(1)


def blocks(title, language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    assert found, f"no {language} under {title}"
    return found


class Readme(EndToEnd):
    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.directory, "run"))
        os.symlink(self.daemon.socket, os.path.join(self.directory, "run", "twinspool.sock"))
        os.symlink(self.daemon.database, os.path.join(self.directory, "run", "queue.db"))
        with open(os.path.join(self.directory, "reading.json"), "w", encoding="utf-8") as file:
            file.write('{"temperature": 21.5}')
        # `twinspool` finds the sockets by the configuration that is named for all commands.
        os.mkdir(os.path.join(self.directory, "bin"))
        with open(os.path.join(self.directory, "bin", "twinspool"), "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {BIN}/twinspool --config {self.daemon.config_path} "$@"\n')
        os.chmod(os.path.join(self.directory, "bin", "twinspool"), 0o755)
        self.daemon.start()

    def run_here(self, *command, **options):
        environment = {**os.environ, "PATH": os.path.join(self.directory, "bin") + ":" + os.environ["PATH"]}
        result = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=60,
                                check=False, **options)
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def test_every_way_to_send_arrives(self):
        shell = blocks("Send", "sh")
        for number, script in enumerate(shell, 1):
            self.run_here("bash", "-euc", script)
            self.cloud.wait_for_records(number)
        self.assertIn("204", self.run_here(sys.executable, "-c", blocks("Send", "python")[0]))
        self.run_here("cc", "-Wall", "-Wextra", "-Werror", *SANITIZE, f"-I{SOURCES}/include", "-x", "c", "-o", "send", "-",
                      "-x", "none", f"{BIN}/../client/libtwinspool-client.a", input=blocks("Send", "c")[0])
        self.assertIn("TWINSPOOL_OK", self.run_here("./send"))
        records = self.cloud.wait_for_records(len(shell) + 2)
        self.assertEqual({record["twin"] for record in records}, {"pump-1"})

    def test_every_way_to_look_works_while_messages_wait(self):
        self.cloud.down()
        self.assert_accepted(self.daemon.send("pump-1"))
        for command in blocks("Look", "sh")[0].splitlines():
            self.run_here("bash", "-euc", command)
        self.assertIn("pump-1", self.run_here("sqlite3", "run/queue.db", "select * from queue limit 5"))

    def test_the_configurations_are_good(self):
        path = os.path.join(self.directory, "smallest.yaml")
        for configuration in blocks("Configure", "yaml"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(configuration)
            self.run_here(os.path.join(BIN, "twinspoold"), "--check-config", "--config", path)
