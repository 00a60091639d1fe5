import json
import os
import time

from harness import EndToEnd, wait_for


class Faults(EndToEnd):
    """The answer table of the forwarder, row by row, with the real cloud's answers."""

    def ids(self, twin=None):
        return [r["message_id"] for r in self.cloud.records() if twin in (None, r["twin"])]

    def test_a_refused_message_goes_to_quarantine_and_the_lane_goes_on(self):
        self.daemon.start()
        for number, status in enumerate((400, 413, 415, 422)):
            self.cloud.faults(str(status), code="ValidationFailed" if status == 400 else "")
            self.assert_accepted(self.daemon.send("pump", message_id=f"bad-{status}"))
            self.assert_accepted(self.daemon.send("pump", message_id=f"good-{status}"))
            done = self.daemon.wait_until_drained()
            self.assertEqual(done["totals"]["quarantined"], number + 1)
        self.assertEqual(self.ids(), [f"good-{status}" for status in (400, 413, 415, 422)])
        self.assertEqual(done["quarantine"]["messages"], 4)
        self.assert_reconciled(done)
        rows = self.daemon.sql("select * from quarantine order by sequence")
        self.assertEqual([row["message_id"] for row in rows], [f"bad-{status}" for status in (400, 413, 415, 422)])
        self.assertIn("ValidationFailed", json.dumps(rows[0]))
        self.assertIn("400", json.dumps(rows[0]))
        self.assertEqual(rows[0]["body"], '{"temperature": 21.5}')
        self.daemon.restart()
        self.assertEqual(self.daemon.status()["quarantine"]["messages"], 4)

    def test_a_twin_that_does_not_exist_yet_is_held_and_the_others_flow(self):
        self.cloud.missing("unborn")
        self.cloud.missing("pump", component="nose")
        self.daemon.start()
        for n in range(5):
            self.assert_accepted(self.daemon.send("unborn", message_id=f"id-{n}"))
            self.assert_accepted(self.daemon.send("pump", message_id=f"nose-{n}", component="nose"))
            self.assert_accepted(self.daemon.send("valve", message_id=f"id-{n}"))
        wait_for("the other twin's messages", lambda: len(self.ids("valve")) == 5)
        status = self.daemon.wait_for_status("two held lanes", lambda s: s["lanes"]["held"] == 2)
        self.assertEqual(self.ids("unborn") + self.ids("pump"), [])
        self.assertEqual(status["totals"]["quarantined"], 0)
        self.daemon.restart()  # held lanes are still held, and are found again
        self.cloud.appears("unborn")
        wait_for("the twin's messages", lambda: len(self.ids("unborn")) == 5)
        self.cloud.appears("pump", component="nose")
        status = self.daemon.wait_until_drained()
        self.assertEqual(self.ids("unborn"), [f"id-{n}" for n in range(5)])
        self.assertEqual(self.ids("pump"), [f"nose-{n}" for n in range(5)])
        self.assert_reconciled(status)

    def test_a_twin_that_never_appears_is_quarantined_in_the_end(self):
        self.daemon.config["forward"]["not_found_hold"] = "1s"
        self.cloud.missing("unborn")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("unborn"))
        status = self.daemon.wait_until_drained()
        self.assertEqual(status["totals"]["quarantined"], 1)
        self.assertIn("DigitalTwinNotFound", json.dumps(self.daemon.sql("select * from quarantine")))

    def test_a_token_that_changes_on_disk_is_taken_up(self):
        token_file = os.path.join(self.directory, "token")

        def write_token(token):
            with open(token_file + ".new", "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)  # the daemon takes no secret that everybody may read
                file.write(token + "\n")
            os.rename(token_file + ".new", token_file)

        write_token("first")
        self.cloud.require_token("first")
        self.daemon.config["auth"] = {"kind": "token_file", "token_file": token_file}
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", message_id="id-0"))
        self.daemon.wait_until_drained()
        self.cloud.require_token("second")
        for n in range(1, 4):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        wait_for("a 401", lambda: self.cloud.stats()["answers"].get("401", 0) >= 1)
        self.daemon.wait_for_status("a word about the token", lambda s: s["upstream"]["last_status"] == 401)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 3)
        write_token("second")
        self.daemon.wait_until_drained()
        self.assertEqual(self.ids(), [f"id-{n}" for n in range(4)])
        log = self.daemon.log()
        for token in ("first", "second"):
            self.assertNotIn(token, log)  # no secret in the log

    def test_what_concerns_the_endpoint_holds_everything_and_drops_nothing(self):
        self.daemon.start()
        plans = [("403", {}), ("404", {}), ("302", {}), ("407", {}), ("200", {"html": True}), ("401", {}),
                 ("404", {"html": True}), ("400", {"html": True})]
        for number, (steps, parameters) in enumerate(plans):
            with self.subTest(steps=steps, **parameters):
                self.cloud.faults(steps, repeat=True, **parameters)
                self.assert_accepted(self.daemon.send("pump", message_id=f"id-{number}"))
                self.assert_accepted(self.daemon.send("valve", message_id=f"id-{number}"))
                self.daemon.wait_for_status(
                    "the status to say why", lambda s: s["state"] == "waiting" and s["why"] and
                    s["upstream"]["last_status"] == int(steps))
                self.assertEqual(self.daemon.status()["queue"]["messages"], 2)
                self.cloud.clear_faults()
                self.assertEqual(call_drained(self).get("quarantined"), 0)
        self.assertEqual(self.ids("pump"), self.ids("valve"))

    def test_a_service_in_trouble_gets_the_same_message_again(self):
        self.daemon.start()
        self.cloud.faults("500,502,503,504,408,429,501,reset,ok")
        self.assert_accepted(self.daemon.send("pump", b'{"n": 1}', "id-1"))
        self.assert_accepted(self.daemon.send("pump", b'{"n": 2}', "id-2"))
        status = self.daemon.wait_until_drained()
        self.assertEqual(self.ids(), ["id-1", "id-2"])
        self.assertEqual(status["totals"]["quarantined"], 0)
        self.assertEqual(self.cloud.stats()["answers"]["503"], 1)

    def test_retry_after_is_obeyed_and_pauses_the_whole_endpoint(self):
        self.daemon.start()
        for steps, parameters in (("429", {"retry_after": "2"}), ("503", {"header": "retry-after-ms: 2000"})):
            with self.subTest(steps=steps):
                self.cloud.faults(steps, **parameters)
                before = len(self.cloud.records())
                self.assert_accepted(self.daemon.send("pump"))
                self.daemon.wait_for_status("the pause", lambda s: s["upstream"]["last_status"] == int(steps))
                start = time.monotonic()
                self.assert_accepted(self.daemon.send("valve"))
                self.assertEqual(len(self.cloud.records()), before)
                self.cloud.wait_for_records(before + 2)
                # The lower bound is what was asked for, less the time it took to see the pause in the status.
                self.assertGreater(time.monotonic() - start, 1.0)

    def test_a_page_of_a_guest_network_is_no_delivery(self):
        self.daemon.start()
        self.cloud.faults("200,200,ok", html=True)
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        self.daemon.wait_until_drained()
        self.assertEqual(self.ids().count("id-1"), len(self.ids()))
        self.assertEqual(self.cloud.stats()["answers"].get("204"), 1)


def call_drained(test):
    return test.daemon.wait_until_drained()["totals"]
