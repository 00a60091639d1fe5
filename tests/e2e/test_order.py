"""The order of what arrives: with a pipeline, with one lane for the whole queue, and how fast forward.rate lets it go."""

import contextlib
import datetime
import os
import signal
import socket

from certificates import Authority
from harness import EndToEnd, UnixConnection, target, wait_for
from raw_server import RawServer, field, tls_context
from test_delivery import first_arrivals

DEPTH = 8
THROTTLED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"


def message_id(request):
    return field(request[0], "Message-Id")


class HoldingServer(RawServer):
    """Reads `hold` requests of a connection before it answers the first of them, with `answer(connection, requests)`.

    What answer() returns: True, the connection goes on. It runs in the connection's thread, so what it sets counts for the
    next requests of that connection.
    """

    def __init__(self, context):
        super().__init__(context)
        self.hold = 1
        self.answer = self.deliver_all
        self.carriers = []  # of each request in `requests`: its connection

    def converse(self, secure):
        unanswered = []
        for request in self.requests_of(secure):
            with self.lock:
                self.requests.append(request)
                self.carriers.append(secure)
            unanswered.append(request)
            if len(unanswered) < self.hold:
                continue
            if not self.answer(secure, unanswered):
                return
            unanswered = []

    @staticmethod
    def requests_of(secure):
        """Heads and bodies; what comes behind a request in the same read belongs to the next one."""
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = secure.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            head = head.decode("latin-1")
            length = int(field(head, "Content-Length"))
            while len(data) < length:
                more = secure.recv(65536)
                if not more:
                    return
                data += more
            yield head, data[:length]
            data = data[length:]

    def deliver_all(self, connection, requests):
        for request in requests:
            self.deliver(connection, *request)
        return True


class Order(EndToEnd):
    def send_ids(self, ids, twin=lambda _: "pump"):
        connection = UnixConnection(self.daemon.socket)
        with contextlib.closing(connection):
            for number, name in enumerate(ids):
                self.assert_accepted(connection.call("POST", target(twin(number)), b'{"id": "%s"}' % name.encode(), {
                    "Content-Type": "application/json", "Message-Id": name}))


class Pipeline(Order):
    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.directory, "pki"))
        self.server = HoldingServer(tls_context(self.authority.issue("server")))
        self.addCleanup(self.server.kill)
        self.daemon.config["forward"].update(endpoint=f"https://127.0.0.1:{self.server.port}", connections=4, pipeline=DEPTH,
                                             request_timeout="60s",  # what the server holds, it holds until the test ends it
                                             retry={"initial": "5ms", "max": "40ms", "multiplier": 2},
                                             tls={"ca_file": self.authority.ca_file})
        self.daemon.start()
        # An endpoint that was just found gets 1, 2, 4 ... requests at once: these answers let it get DEPTH.
        self.send_ids([f"first-{n}" for n in range(2 * DEPTH)])
        self.daemon.wait_until_drained()
        self.before = len(self.server.requests)

    def send(self, count):
        ids = [f"id-{n}" for n in range(count)]
        self.send_ids(ids)
        return ids

    def requests(self):
        return self.server.requests[self.before:]

    def delivered(self):
        return self.server.delivered[self.before:]

    def test_a_twin_s_messages_arrive_in_order_on_one_connection_many_at_once(self):
        self.server.hold = DEPTH  # nobody is answered before so many are there: less under way would end in a deadlock
        ids = self.send(10 * DEPTH)
        status = self.daemon.wait_until_drained()
        self.assertEqual([message_id(request) for request in self.requests()], ids)
        self.assertEqual(self.delivered(), ids)
        self.assertEqual(len(set(self.server.carriers[self.before:])), 1)
        self.assert_reconciled(status)

    def test_what_a_cut_connection_left_unanswered_is_sent_again_in_order_with_the_same_bytes(self):
        def cut(connection, requests):
            self.server.hold, self.server.answer = 1, self.server.deliver_all
            socket.socket(fileno=connection.detach()).close()  # without a close_notify
            raise OSError("cut on purpose")

        self.server.hold, self.server.answer = DEPTH, cut
        ids = self.send(3 * DEPTH)
        status = self.daemon.wait_until_drained()
        requests = self.requests()
        self.assertEqual([message_id(request) for request in requests], ids[:DEPTH] + ids)
        self.assertEqual(requests[DEPTH:2 * DEPTH], requests[:DEPTH])
        self.assertNotEqual(self.server.carriers[self.before], self.server.carriers[self.before + DEPTH])
        self.assertEqual(self.delivered(), ids)
        self.assertEqual(status["totals"]["quarantined"], 0)
        self.assert_reconciled(status)

    def test_one_that_is_throttled_in_the_midst_arrives_after_those_behind_it_and_none_is_lost(self):
        refused = DEPTH // 2

        def throttle_one(connection, requests):
            self.server.hold, self.server.answer = 1, self.server.deliver_all
            for number, request in enumerate(requests):
                if number == refused:
                    connection.sendall(THROTTLED)
                else:
                    self.server.deliver(connection, *request)
            return True

        self.server.hold, self.server.answer = DEPTH, throttle_one
        ids = self.send(3 * DEPTH)
        status = self.daemon.wait_until_drained()
        self.assertEqual(sorted(self.delivered()), sorted(ids))
        sent = [message_id(request) for request in self.requests()]
        self.assertEqual(list(dict.fromkeys(sent)), ids)
        self.assertEqual([name for name in ids if sent.count(name) != 1], [ids[refused]])
        # Those under way may overtake it, and as many as were answered before the refusal was seen; nothing newer does.
        self.assertGreater(self.delivered().index(ids[refused]), DEPTH - 2)
        self.assertLess(self.delivered().index(ids[refused]), self.delivered().index(ids[DEPTH + refused]))
        self.assertEqual((status["totals"]["delivered"], status["totals"]["quarantined"]), (self.before + len(ids), 0))
        self.assert_reconciled(status)

    def test_a_quarantined_one_in_the_midst_delays_nothing(self):
        refused = DEPTH // 2

        def refuse_one(connection, requests):
            self.server.answer = self.server.deliver_all
            for number, request in enumerate(requests):
                if number == refused:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                else:
                    self.server.deliver(connection, *request)
            return True

        self.server.hold, self.server.answer = DEPTH, refuse_one
        ids = self.send(3 * DEPTH)
        status = self.daemon.wait_until_drained()
        self.assertEqual([message_id(request) for request in self.requests()], ids)
        self.assertEqual(self.delivered(), ids[:refused] + ids[refused + 1:])
        self.assertEqual(status["totals"]["quarantined"], 1)


class WholeQueue(Order):
    """forward.order: queue."""

    def arrived(self):
        """Without what a kill doubles: the daemon may not have recorded an answer that it had."""
        return [record["message_id"] for record in first_arrivals(self.cloud.records())]

    def wait_for_more_refusals(self):
        before = self.cloud.stats()["answers"].get("404", 0)
        wait_for("the missing twin's message to be tried again",
                 lambda: self.cloud.stats()["answers"].get("404", 0) > before + 1)

    def test_all_twins_messages_arrive_in_one_order_and_a_missing_twin_holds_them_also_over_a_kill_and_a_reload(self):
        self.daemon.config["forward"]["order"] = "queue"
        self.cloud.missing("ghost")
        self.daemon.start()
        twins = ("pump", "pump", "ghost", "valve")
        ids = [f"id-{n}" for n in range(40)]
        self.send_ids(ids, lambda number: twins[number % len(twins)])
        self.wait_for_more_refusals()
        self.assertEqual(self.arrived(), ids[:2])
        self.daemon.wait_for_status("the queue to be held", lambda s: s["lanes"]["held"] == 1)

        self.daemon.restart()
        self.wait_for_more_refusals()
        self.assertEqual(self.arrived(), ids[:2])

        self.daemon.config["forward"]["connections"] = 7  # a new forwarder
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.reloaded")
        self.wait_for_more_refusals()
        self.assertEqual(self.arrived(), ids[:2])
        self.assertEqual(self.daemon.status()["queue"]["messages"], len(ids) - 2)

        self.cloud.appears("ghost")
        status = self.daemon.wait_until_drained()
        self.assertEqual(self.arrived(), ids)
        self.assertEqual((status["totals"]["quarantined"], status["totals"]["dropped"]), (0, 0))
        self.assert_reconciled(status)

    def test_a_kill_in_the_midst_of_the_drain_keeps_the_order(self):
        self.daemon.config["forward"]["order"] = "queue"
        self.cloud.down()
        self.daemon.start()
        ids = [f"id-{n}" for n in range(300)]
        self.send_ids(ids, lambda number: f"twin-{number % 3}")
        self.cloud.up()
        for part in (50, 150):
            self.cloud.wait_for_records(part)
            self.daemon.restart()
        self.assert_reconciled(self.daemon.wait_until_drained())
        self.assertEqual(self.arrived(), ids)


class Rate(Order):
    """forward.rate: the cloud's stamps say how long it took, of which a busy machine can only make more.

    The first request probes alone and is stamped before its answer, so before the second leaves.
    """

    def seconds_for(self, count, pad=0, **rate):
        self.daemon.config["forward"]["rate"] = rate
        self.cloud.down()
        self.daemon.start()
        for number in range(count):
            self.assert_accepted(self.daemon.send(f"twin-{number % 10}", b'{"pad": "%s"}' % (b"x" * pad)))
        self.cloud.up()
        self.assert_reconciled(self.daemon.wait_until_drained())
        stamps = [datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")) for record in self.cloud.records()]
        self.assertEqual(len(stamps), count)
        return (max(stamps) - min(stamps)).total_seconds()

    def test_messages_of_a_second(self):
        # 60 at 20/s; a burst of a tenth of a second passes at once.
        self.assertGreaterEqual(self.seconds_for(60, messages=20), 2)

    def test_bytes_of_a_second(self):
        # 30 bodies of 4 kB, 120 kB and their heads, at 40 kB/s: 3 s, less the probe, the burst and one in debt.
        self.assertGreaterEqual(self.seconds_for(30, pad=4000, bytes=40000), 2)
