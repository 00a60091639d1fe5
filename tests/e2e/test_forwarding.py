import json

from harness import EndToEnd


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
