"""What operators ask of the daemon in the midst of it all, from a thread of its own, so that kills meet it, too."""

import collections
import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
import time

import messages
from harness import BIN, DEADLINE_SECONDS

KNOWN = ("queued", "delivered", "quarantined")


class Operator(threading.Thread):
    def __init__(self, daemon, faults, oracle, dice):
        super().__init__(daemon=True)
        self.asked, self.faults, self.oracle, self.dice = daemon, faults, oracle, dice
        # The daemon's own is a bad one for a moment now and then.
        self.config_path = shutil.copy(daemon.config_path, os.path.join(daemon.directory, "operator.yaml"))
        self.orders = queue.Queue(maxsize=2)
        self.stopping = False
        self.counts = collections.Counter()
        self.interrupted = 0  # commands whose daemon was killed meanwhile, or whose queue was refused for now
        self.broken = []
        self.deck = []
        self.verbs = {"status": self.status, "list": self.list, "lanes": self.lanes, "kick": self.kick, "check": self.check,
                      "snapshot": self.snapshot, "receipt": self.receipt, "quarantine list": self.list_quarantine,
                      "quarantine retry": self.retry_quarantine}

    def run(self):
        while self.orders.get() and not self.stopping:
            if not self.deck:
                self.deck = self.dice.sample(sorted(self.verbs), len(self.verbs))
            verb = self.deck.pop()
            try:
                self.verbs[verb]()
                self.counts[verb] += 1
            except Exception as failure:  # pylint: disable=broad-except
                self.broken.append(f"{verb}: {failure!r}")

    def order(self):
        """One more command, unless it is behind anyway."""
        with contextlib.suppress(queue.Full):
            self.orders.put_nowait(True)

    def stop(self):
        self.stopping = True
        self.order()
        self.join()

    def ask(self, *arguments, accepted=(0,)):
        """Its output; None where the daemon that was asked was not there all the time."""
        before = self.asked.process
        done = subprocess.run([os.path.join(BIN, "twinspool"), "--config", self.config_path, *arguments],
                              cwd=self.asked.directory, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
        if done.returncode in accepted:
            return done.stdout.decode()
        if self.asked.process is not before or self.faults.ended_on_purpose or done.returncode == 3:
            self.interrupted += 1
            return None
        self.broken.append(f"twinspool {' '.join(arguments)}: exit {done.returncode}: "
                           f"{(done.stdout + done.stderr).decode(errors='replace')[-500:]}")
        return None

    def status(self):
        text = self.ask("status", "--json")
        if text is not None:
            totals, queued = json.loads(text)["totals"], json.loads(text)["queue"]["messages"]
            if totals["accepted"] != queued + totals["delivered"] + totals["quarantined"] + totals["dropped"]:
                self.oracle.found("books", f"in the midst: {totals}, queued {queued}")

    def list(self):
        text = self.ask("list", "--limit", "200", "--json")
        for line in (text or "").splitlines():
            shown = json.loads(line)
            number = messages.number_of(shown["twin"], shown["message_id"])
            if number is None or shown["body"] != messages.message(shown["twin"], number).body:
                self.oracle.found("altered", f"in list: {line[:200]}")

    def lanes(self):
        self.ask("lanes", "--json")

    def kick(self):
        self.ask("kick", accepted=(0, 1))  # 1: it is paused

    def check(self):
        self.ask("check", "--deep")

    def snapshot(self):
        path = os.path.join(self.asked.directory, f"snapshot-{time.monotonic_ns()}.db")
        try:
            if self.ask("snapshot", path) is not None:
                self.ask("check", "--deep", path)
        finally:
            if os.path.exists(path):
                os.remove(path)

    def receipt(self):
        """Of a message that was acknowledged lately: the daemon knows where it is."""
        name, twin = self.dice.choice([(name, twin) for name, twin in list(self.oracle.twins.items()) if "%" not in name])
        if not twin.numbers:
            return
        number = twin.numbers[-1]
        component = messages.message(name, number).component
        text = self.ask("receipt", name, messages.message_id(name, number), "--json",
                        *(["--component", component] if component else []), accepted=(0, 1))
        if text is not None and text and json.loads(text).get("state") not in KNOWN:
            self.oracle.found("lost", f"the receipt of {messages.message_id(name, number)}: {text}")

    def list_quarantine(self):
        """Their sequences. What the oracle is not told of here is not put back."""
        sequences = []
        for page in (self.ask("quarantine", "list", "--json") or "").splitlines():
            for shown in json.loads(page)["messages"]:
                self.oracle.quarantined(shown["twin"], shown["message_id"])
                sequences.append(str(shown["sequence"]))
        return sequences

    def retry_quarantine(self):
        sequences = self.list_quarantine()
        if sequences:
            self.ask("quarantine", "retry", "--yes", *sequences[:500], accepted=(0, 1))
