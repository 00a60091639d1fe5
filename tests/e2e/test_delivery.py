import json
import uuid

from harness import EndToEnd, wait_for


def first_arrivals(records):
    """Records without the repeats, in order."""
    seen = set()
    first = []
    for record in records:
        key = (record["twin"], record["component"], record["message_id"])
        if key not in seen:
            seen.add(key)
            first.append(record)
    return first


class Delivery(EndToEnd):
    def test_a_message_arrives_byte_for_byte(self):
        self.daemon.start()
        body = '{ "temperature":21.50, "n": 1e2, "name":"\\u00e9 é \\n", "same":1,"same":2 }'.encode()
        answer = self.daemon.send("pump%201%2F%C3%A9", body, "id-1", Telemetry_Source_Time="01/01/01 0:00:00 +00:00",
                                  traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                  tracestate="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        self.assertEqual(self.assert_accepted(answer), 1)
        record = self.cloud.wait_for_records(1)[0]
        self.assertEqual(record["body"].encode(), body)
        self.assertEqual(record["twin"], "pump%201%2F%C3%A9")
        self.assertEqual(record["component"], "")
        self.assertEqual(record["message_id"], "id-1")
        self.assertEqual(record["source_time"], "01/01/01 0:00:00 +00:00")
        self.assertEqual(record["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        self.assertEqual(record["tracestate"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        status = self.daemon.wait_until_drained()
        self.assertEqual(status["totals"]["delivered"], 1)
        self.assert_reconciled(status)

    def test_a_component_s_telemetry_arrives_at_the_component(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", component="motor"))
        record = self.cloud.wait_for_records(1)[0]
        self.assertEqual((record["twin"], record["component"]), ("pump", "motor"))

    def test_a_message_without_source_time_gets_the_time_of_acceptance(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        record = self.cloud.wait_for_records(1)[0]
        self.assertRegex(record["source_time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$")

    def test_sequences_count_up_and_a_repeat_gets_the_first_one(self):
        self.daemon.start()
        sequences = [self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}")) for n in range(5)]
        self.assertEqual(sequences, [1, 2, 3, 4, 5])
        repeat = self.daemon.send("pump", message_id="id-2", Telemetry_Source_Time="2026-01-01T00:00:00Z")
        self.assertEqual(self.assert_accepted(repeat), 3)
        self.assertEqual(repeat.headers["Twinspool-Duplicate"], "true")
        status = self.daemon.wait_until_drained()
        self.assertEqual(status["totals"]["accepted"], 5)
        self.assertEqual(status["totals"]["duplicates"], 1)
        self.assertEqual([record["message_id"] for record in self.cloud.records()], [f"id-{n}" for n in range(5)])

    def test_the_same_id_with_another_body_is_refused(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", b'{"n":1}', "id"))
        error = self.assert_error(self.daemon.send("pump", b'{"n":2}', "id"), 400, "InvalidArgument")
        self.assertEqual(error["innererror"]["code"], "MessageIdReused")
        self.assert_accepted(self.daemon.send("valve", b'{"n":2}', "id"))  # another twin's ids are its own
        self.daemon.wait_until_drained()
        self.assertEqual([record["body"] for record in self.cloud.records()], ['{"n":1}', '{"n":2}'])

    def test_an_outage_delays_and_loses_nothing(self):
        self.daemon.start()
        twins = ["pump", "valve", "tank"]
        sent = []

        def send(count):
            for _ in range(count):
                for twin in twins:
                    message_id = str(uuid.uuid4())
                    self.assert_accepted(self.daemon.send(twin, json.dumps({"n": len(sent)}).encode(), message_id))
                    sent.append((twin, message_id))

        send(3)
        self.daemon.wait_until_drained()
        self.cloud.down()
        send(10)
        status = self.daemon.status()
        self.assertEqual(status["queue"]["messages"], 30)
        self.assert_reconciled(status)
        self.daemon.wait_for_status("the daemon to say that it waits", lambda s: s["state"] == "waiting" and s["why"])
        self.cloud.up()
        self.assert_reconciled(self.daemon.wait_until_drained())
        records = self.cloud.records()
        for twin in twins:
            self.assertEqual([r["message_id"] for r in records if r["twin"] == twin],
                             [message_id for name, message_id in sent if name == twin])

    def test_a_restart_in_an_outage_keeps_the_queue_and_its_order(self):
        self.daemon.start()
        self.cloud.down()
        for n in range(20):
            self.assert_accepted(self.daemon.send("pump", message_id=f"id-{n}"))
        for end in ("kill", "terminate"):
            getattr(self.daemon, end)()
            self.daemon.start()
            self.assertEqual(self.daemon.status()["queue"]["messages"], 20, end)
        repeat = self.daemon.send("pump", message_id="id-7")
        self.assertEqual(self.assert_accepted(repeat), 8)
        self.assertEqual(repeat.headers["Twinspool-Duplicate"], "true")
        self.assertEqual(self.assert_accepted(self.daemon.send("pump", message_id="id-20")), 21)
        self.cloud.up()
        status = self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(21)])
        self.assertEqual(status["totals"]["accepted"], 21)
        self.assert_reconciled(status)

    def test_a_delivered_message_is_recognised_after_a_restart(self):
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        self.daemon.wait_until_drained()
        self.assertEqual(self.daemon.terminate(), 0)
        self.daemon.start()
        repeat = self.daemon.send("pump", message_id="id-1")
        self.assertEqual(self.assert_accepted(repeat), 1)
        self.assertEqual(repeat.headers["Twinspool-Duplicate"], "true")
        self.assertEqual(len(self.cloud.records()), 1)

    def test_a_cloud_that_is_killed_and_comes_back_gets_everything_once_or_as_the_same_message(self):
        self.daemon.start()
        for n in range(50):
            self.assert_accepted(self.daemon.send("pump" if n % 2 else "valve", message_id=f"id-{n}"))
            if n == 25:
                self.cloud.kill()
            if n == 40:
                self.cloud.start()
        self.daemon.wait_until_drained()
        records = self.cloud.records()
        first = first_arrivals(records)
        for twin, odd in (("pump", 1), ("valve", 0)):
            self.assertEqual([r["message_id"] for r in first if r["twin"] == twin],
                             [f"id-{n}" for n in range(50) if n % 2 == odd])
        self.assertLessEqual(len(records), 52)  # one may have been in flight for each of the two twins

    def test_a_lost_answer_repeats_the_same_message(self):
        self.daemon.start()
        for kind in ("accept-reset", "cut", "cut-body"):
            before = len(self.cloud.records())
            self.cloud.faults(kind)
            self.assert_accepted(self.daemon.send("pump", b'{"kind": "' + kind.encode() + b'"}', f"id-{kind}"))
            records = self.cloud.wait_for_records(before + 2)[before:]
            self.daemon.wait_until_drained()
            for name in ("twin", "message_id", "source_time", "body"):
                self.assertEqual(records[0][name], records[1][name], kind)
            self.assertEqual(records[0]["message_id"], f"id-{kind}")

    def test_a_hanging_cloud_is_given_up_and_tried_again(self):
        self.daemon.config["forward"]["request_timeout"] = "500ms"
        self.daemon.start()
        self.cloud.faults("hang,reset")
        self.assert_accepted(self.daemon.send("pump", message_id="id-1"))
        self.assert_accepted(self.daemon.send("pump", message_id="id-2"))
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], ["id-1", "id-2"])

    def test_a_wrong_certificate_holds_everything(self):
        other = self.daemon.config["forward"]["tls"]
        other["server_name"] = "another.example"
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_for_status("a TLS failure in the status",
                                    lambda s: s["upstream"]["why"] and s["state"] == "waiting")
        self.assertEqual(self.cloud.records(), [])
        self.assertEqual(self.cloud.stats()["requests"], 0)
        del other["server_name"]
        self.daemon.restart()
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), 1)

    def test_many_twins_share_the_connections(self):
        self.daemon.start()
        self.cloud.down()
        for n in range(200):
            self.assert_accepted(self.daemon.send(f"twin-{n % 40}", message_id=f"id-{n}"))
        before = self.cloud.stats()["connections_total"]
        self.cloud.up()
        self.daemon.wait_until_drained()
        records = self.cloud.records()
        for twin in range(40):
            self.assertEqual([r["message_id"] for r in records if r["twin"] == f"twin-{twin}"],
                             [f"id-{n}" for n in range(200) if n % 40 == twin])
        self.assertLessEqual(self.cloud.stats()["connections_total"] - before, 16)
        wait_for("no request in flight", lambda: self.daemon.status()["lanes"]["in_flight"] == 0)
