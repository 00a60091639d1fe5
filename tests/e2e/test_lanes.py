"""`twinspool lanes`, GET /lanes and the view `lanes`: the twins that do not flow."""

import collections
import contextlib
import json
import signal
import time

from harness import EndToEnd, UnixConnection, call, target, wait_for


class Lanes(EndToEnd):
    def setUp(self):
        super().setUp()
        self.daemon.config["forward"]["retry"] = {"initial": "20ms", "max": "2s", "multiplier": 2}
        self.daemon.start()

    def lanes(self, query=""):
        answer = call(self.daemon.admin, "GET", "/lanes" + query)
        self.assertEqual(answer.status, 200, answer.body)
        return json.loads(answer.body)

    def command(self, *arguments, code=0):
        result = self.daemon.command("lanes", *arguments)
        self.assertEqual(result.returncode, code, (result.stdout, result.stderr))
        return result.stdout.decode()

    def wait_for_lanes(self, held, retrying):
        self.daemon.wait_for_status(f"{held} held and {retrying} retrying",
                                    lambda s: (s["lanes"]["held"], s["lanes"]["waiting"]) == (held, retrying))

    def listed(self, look):
        """Both lanes: one that is just being tried again does not wait, and is not listed."""
        seen = []

        def both():
            seen[:] = look()
            return len(seen) == 2

        wait_for("both lanes to wait", both)
        return list(seen)

    def test_a_held_twin_and_a_failing_one_are_listed_with_what_the_cloud_said(self):
        self.cloud.missing("ghost")
        self.cloud.faults("500", twin="sick", repeat=True)
        self.assert_accepted(self.daemon.send("sick"))
        self.assert_accepted(self.daemon.send("ghost"))
        self.assert_accepted(self.daemon.send("well"))
        self.cloud.wait_for_records(1)
        self.wait_for_lanes(1, 1)
        held, retrying = self.listed(lambda: self.lanes()["lanes"])  # the held one first, whatever waited longer
        self.assertEqual((held["twin"], held["state"], held["last_status"], held["last_code"]),
                         ("ghost", "held", 404, "DigitalTwinNotFound"))
        self.assertEqual((retrying["twin"], retrying["state"], retrying["last_status"]), ("sick", "retrying", 500))
        for lane in (held, retrying):
            self.assertGreaterEqual(lane["failures"], 1)
            self.assertGreater(lane["retry_at"], lane["since"])
        self.assertEqual(len(self.lanes("?limit=1")["lanes"]), 1)
        for limit in ("0", "-1", "many"):
            answer = call(self.daemon.admin, "GET", f"/lanes?limit={limit}")
            self.assertEqual((answer.status, json.loads(answer.body)["error"]["code"]), (400, "InvalidArgument"))

        text = "\n".join(self.listed(lambda: [line for line in self.command().splitlines() if "ghost" in line or "sick" in line]))
        self.assertIn("HTTP 404 DigitalTwinNotFound", text)
        self.assertLess(text.index("ghost"), text.index("sick"))
        wait_for("one of both to be left out", lambda: "... and 1 more" in self.command("--limit", "1"))
        shown = self.listed(lambda: json.loads(self.command("--json"))["lanes"])
        self.assertEqual([lane["twin"] for lane in shown], ["ghost", "sick"])

        def noted():
            return {row["twin"]: (row["state"], row["last_status"], row["last_code"], row["depth"])
                    for row in self.daemon.sql("select * from lanes")}

        expected = {lane["twin"]: (lane["state"], lane["last_status"], lane["last_code"], 1) for lane in (held, retrying)}
        self.daemon.wait_for_status("the view to say the same", lambda _: noted() == expected)

        self.cloud.appears("ghost")
        self.cloud.clear_faults()
        self.daemon.wait_until_drained()
        self.assertEqual(self.lanes()["lanes"], [])
        self.assertIn("no twin is held", self.command())

    def reload(self):
        before = self.daemon.log().count("config.reloaded")
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_status("the reload", lambda _: self.daemon.log().count("config.reloaded") > before)

    def test_a_twin_that_flows_again_after_a_reload_is_not_noted_as_held(self):
        self.cloud.missing("ghost")
        self.assert_accepted(self.daemon.send("ghost"))

        def noted():  # in the table: the view has only twins of which something waits
            return [row["state"] for row in self.daemon.sql(
                "select n.state from lane_notes n join twins t on t.number = n.twin where t.name = 'ghost'")]

        self.daemon.wait_for_status("the note", lambda _: noted() == ["held"])
        self.reload()
        self.cloud.appears("ghost")
        self.cloud.faults("500", twin="sick", repeat=True)  # something still waits: an empty queue ends all notes
        self.assert_accepted(self.daemon.send("sick"))
        self.daemon.wait_for_status("the delivery", lambda s: s["totals"]["delivered"] == 1)
        self.daemon.wait_for_status("the end of the note", lambda _: noted() == [])

    def test_a_reload_does_not_begin_the_hold_anew(self):
        self.daemon.terminate()
        self.daemon.config["forward"]["not_found_hold"] = "4s"
        self.daemon.start()
        self.cloud.missing("ghost")
        self.assert_accepted(self.daemon.send("ghost"))
        self.wait_for_lanes(1, 0)
        begun = time.monotonic()

        def reloaded_until_given_up(status):
            if status["totals"]["quarantined"] == 1:
                return True
            if time.monotonic() - begun < 60:
                self.reload()  # each would have begun the hold anew, which then never ended
            return False

        self.daemon.wait_for_status("the quarantine", reloaded_until_given_up)

    def test_one_held_twin_among_a_hundred_holds_up_none_of_the_others(self):
        twins = [f"twin-{n}" for n in range(99)]
        twins.insert(40, "ghost")
        self.cloud.missing("ghost")
        connection = UnixConnection(self.daemon.socket)
        with contextlib.closing(connection):
            for n in range(20):
                for twin in twins:
                    self.assert_accepted(connection.call("POST", target(twin), b'{"n": %d}' % n, {
                        "Content-Type": "application/json", "Message-Id": f"{twin}-{n}"}))

        def arrived():
            by_twin = collections.defaultdict(list)
            for record in self.cloud.records():
                by_twin[record["twin"]].append(record["message_id"])
            return by_twin

        expected = {twin: [f"{twin}-{n}" for n in range(20)] for twin in twins}
        ghosts = {"ghost": expected.pop("ghost")}
        status = self.daemon.wait_for_status("all but the ghost's to be delivered",
                                             lambda s: s["totals"]["delivered"] == 99 * 20)
        self.assertEqual(arrived(), expected)
        self.assertEqual((status["queue"]["messages"], status["totals"]["quarantined"]), (20, 0))
        self.wait_for_lanes(1, 0)
        self.assertEqual([lane["twin"] for lane in self.lanes()["lanes"]], ["ghost"])
        self.cloud.appears("ghost")
        self.assert_reconciled(self.daemon.wait_until_drained())
        self.assertEqual(arrived(), {**expected, **ghosts})

    def test_it_needs_the_daemon_and_explains_itself(self):
        help_text = self.command("--help")
        self.assertIn("--json", help_text)
        self.assertIn("Examples", help_text)
        self.command("--limit", "0", code=2)
        self.daemon.terminate()
        self.command(code=3)
        self.daemon.start()

    def test_a_daemon_that_only_collects_has_no_lanes(self):
        self.daemon.terminate()
        self.daemon.config["forward"]["endpoint"] = ""
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.assertEqual(self.lanes()["lanes"], [])
