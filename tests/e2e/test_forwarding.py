import json
import os
import re

from harness import EndToEnd

# What `twinspool explain` is asked for each row of docs/forwarding.md, and words of that row which it must print.
ROWS = {
    "204, or another 2xx that is no HTML page": (("delivered",), ["204"], ["200"], ["202"]),
    "400, 413, 415, 422": (("this message", "quarantine", "status, code and text", "its twin goes on"),
                           ["400", "ValidationFailed"], ["413"], ["415"], ["422"]),
    "404 with `DigitalTwinNotFound` or `ComponentNotFound`": (
        ("this twin", "lane is held and tried again", "forward.not_found_hold", "oldest message goes to the quarantine"),
        ["404", "DigitalTwinNotFound"], ["404", "ComponentNotFound"]),
    "414, 431 without a page": (("this twin", "lane is held and tried again", "other twins flow"), ["414"], ["431"]),
    "401": (("token", "once at once, then with backoff", "everything", "waits"), ["401"]),
    "403, other 404, 3xx, 407, other 4xx, an HTML page": (
        ("somebody", "everything", "probed slowly", "nothing is dropped"), ["403"], ["404"], ["404", "SomethingElse"], ["301"],
        ["302"], ["307"], ["407"], ["405"], ["409"], ["451"], ["200", "--html"], ["400", "--html"], ["404", "--html"], ["431", "--html"]),
    "429, 503": (("everything waits as long as", "Retry-After", "a random while more", "probe"), ["429"], ["503"]),
    "408, other 5xx, without a page": (("again", "other twins flow", "in a row", "this request"), ["408"], ["500"], ["501"], ["502"], ["504"]),
    "no whole answer (reset, time-out, TLS, DNS)": ((),),  # it has no status to ask for
}


class Forwarding(EndToEnd):
    """An operator's hand on the delivery."""

    def verb(self, *arguments):
        return self.daemon.command(*arguments)

    def test_a_pause_keeps_everything_survives_a_reload_and_ends_with_the_daemon(self):
        self.daemon.start()
        self.assertEqual(self.verb("pause").returncode, 0)
        for n in range(5):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        paused = self.daemon.status()
        self.assertEqual(paused["state"], "paused")
        self.assertIn("resume", paused["why"])
        refused = self.verb("kick")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"resume", refused.stderr)

        self.daemon.signal(1)
        self.daemon.wait_for_log("config.reloaded")
        # Between the two forwarders there is none for a moment.
        self.daemon.wait_for_status("the pause, unchanged, after the reload",
                                    lambda status: (status["state"], status["since"]) == ("paused", paused["since"]))
        self.assertEqual(self.cloud.records(), [])

        answer = json.loads(self.verb("resume", "--json").stdout)
        self.assertNotEqual(answer["state"], "paused")
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(5)])

        self.assertEqual(self.verb("pause").returncode, 0)
        self.assert_accepted(self.daemon.send("pump", message_id="id-5"))
        self.assertEqual(self.daemon.terminate(), 0)
        self.daemon.start()
        self.daemon.wait_until_drained()
        self.assertEqual(self.cloud.records()[-1]["message_id"], "id-5")

    def test_a_kick_skips_the_wait_for_a_missing_twin(self):
        self.daemon.config["forward"]["retry"] = {"initial": "12h", "max": "12h"}  # without a kick it would wait for hours
        self.cloud.missing("ghost")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("ghost", message_id="id-1"))
        self.daemon.wait_for_status("the twin is held", lambda status: status["lanes"]["held"] == 1)
        self.cloud.appears("ghost")
        self.assertEqual(self.verb("kick").returncode, 0)
        self.daemon.wait_until_drained()

    def test_a_kick_skips_the_wait_of_the_whole_endpoint(self):
        self.daemon.config["forward"]["retry"] = {"initial": "12h", "max": "12h"}
        self.cloud.down()
        self.daemon.start()
        for n in range(3):
            self.assert_accepted(self.daemon.send(f"twin-{n}"))
        self.daemon.wait_for_status("the outage", lambda s: s["state"] == "waiting" and "refused" in s["upstream"]["why"])
        self.cloud.up()
        self.assertEqual(self.verb("kick").returncode, 0)
        self.assert_reconciled(self.daemon.wait_until_drained())
        self.assertEqual(len(self.cloud.records()), 3)

    def test_verbs_without_a_daemon_say_so_with_exit_code_3(self):
        self.daemon.write_config()
        for verb in ("pause", "resume", "kick"):
            self.assertEqual(self.verb(verb).returncode, 3)

    def test_explain_needs_no_daemon(self):
        self.daemon.write_config()
        held = self.verb("explain", "404", "DigitalTwinNotFound", "--json")
        self.assertEqual(held.returncode, 0)
        self.assertEqual(json.loads(held.stdout)["verdict"], "hold_lane")
        self.assertEqual(self.verb("explain", "42").returncode, 2)

    def test_explain_says_what_the_table_of_the_manual_says(self):
        self.daemon.write_config()
        with open(os.path.join(os.path.dirname(__file__), "../../docs/forwarding.md"), encoding="utf-8") as file:
            table = dict(re.findall(r"^\| (.*?) \| (.*) \|$", file.read(), re.MULTILINE)[2:])
        self.assertEqual(list(table), list(ROWS))
        for row, (words, *calls) in ROWS.items():
            for arguments in calls:
                with self.subTest(arguments):
                    result = self.verb("explain", *arguments)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    for word in words:
                        self.assertIn(word, " ".join(result.stdout.decode().split()), table[row])
