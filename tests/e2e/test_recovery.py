"""The end of an outage: one probe, then everything; and when it is tried again where the cloud says when."""

import collections
import datetime
import email.utils
import itertools
import os
import socket
import threading
import time

from certificates import Authority
from harness import EndToEnd, wait_for
from raw_server import RawServer, tls_context

TWINS, EACH = 30, 10


class RecoveryTest(EndToEnd):
    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.directory, "pki"))
        self.files = self.authority.issue("server")
        # Bound, so that nobody else gets the port, but nobody listens: connections are refused until serve().
        self.place = socket.socket()
        self.addCleanup(self.place.close)
        self.place.bind(("127.0.0.1", 0))
        self.port = self.place.getsockname()[1]
        self.daemon.config["forward"].update(endpoint=f"https://127.0.0.1:{self.port}", request_timeout="5m",
                                             tls={"ca_file": self.authority.ca_file})

    def serve(self, act=None):
        self.place.close()
        server = RawServer(tls_context(self.files), act, address=("127.0.0.1", self.port))
        self.addCleanup(server.kill)
        return server


class Recovery(RecoveryTest):
    def send_to_all(self, numbers):
        for number in numbers:
            for twin in range(TWINS):
                self.assert_accepted(self.daemon.send(f"twin-{twin}", message_id=f"{twin}-{number}"))

    def assert_all_in_order(self, server, each):
        arrived = collections.defaultdict(list)
        for name in server.delivered:
            twin, number = name.split("-")
            arrived[int(twin)].append(int(number))
        self.assertEqual(dict(arrived), {twin: list(range(each)) for twin in range(TWINS)})

    def outage_and_return(self, refusals):
        """The queue fills, the cloud comes back, refuses that many probes, and then takes what comes."""
        self.daemon.start()
        self.send_to_all(range(EACH))
        self.daemon.wait_for_status("the outage", lambda s: s["state"] == "waiting" and "refused" in s["upstream"]["why"])
        answering = threading.Semaphore(0)
        numbers = itertools.count()

        def act(connection, head, body):
            number = next(numbers)
            if number <= refusals:
                answering.acquire(timeout=300)
            if number < refusals:
                connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                return True
            return server.deliver(connection, head, body)

        server = self.serve(act)
        for number in range(refusals + 1):
            wait_for("the probe", lambda number=number: len(server.requests) > number)
            self.send_to_all([EACH + number])  # each of them lets the daemon look whether it may send more
            self.assertEqual(len(server.requests), number + 1)
            self.assertEqual(self.daemon.status()["totals"]["delivered"], 0)
            answering.release()
        status = self.daemon.wait_until_drained()
        each = EACH + refusals + 1
        self.assert_all_in_order(server, each)
        self.assertEqual(len(server.requests), TWINS * each + refusals)  # and nothing twice
        self.assert_reconciled(status)

    def test_one_request_probes_and_nothing_else_is_sent_until_it_is_answered(self):
        self.outage_and_return(refusals=0)

    def test_a_probe_that_is_refused_is_followed_by_one_more_probe(self):
        self.outage_and_return(refusals=3)


class AskedToWait(RecoveryTest):
    """What the server's clock of requests says is the least that was asked for: a busy machine can only add to it."""

    def setUp(self):
        super().setUp()
        self.server = self.serve(lambda *request: self.refuse_once(*request))
        self.stamps = []
        self.headers = lambda: ()
        self.status = 503

    def refuse_once(self, connection, head, body):
        self.stamps.append(time.monotonic())
        if len(self.stamps) > 1:
            return self.server.deliver(connection, head, body)
        lines = [f"HTTP/1.1 {self.status} x", "Content-Length: 0", *self.headers()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return True

    def seconds_until_it_is_tried_again(self, status, headers):
        self.stamps, self.headers, self.status = [], headers, status
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.stamps), 2)
        return self.stamps[1] - self.stamps[0]

    def test_a_cloud_that_asks_for_an_hour_gets_what_retry_after_max_allows(self):
        self.daemon.config["forward"]["retry"]["retry_after_max"] = "1s"
        self.daemon.start()
        for status in (429, 503):
            for header in ("Retry-After: 3600", "x-ms-retry-after-ms: 3600000"):
                with self.subTest(status=status, header=header):  # the deadline of every wait is far below an hour
                    self.assertGreaterEqual(self.seconds_until_it_is_tried_again(status, lambda h=header: [h]), 0.9)

    def test_milliseconds(self):
        self.daemon.start()
        for status in (429, 503):
            with self.subTest(status=status):
                seconds = self.seconds_until_it_is_tried_again(status, lambda: ["x-ms-retry-after-ms: 1500"])
                self.assertGreaterEqual(seconds, 1.4)

    def test_an_http_date_by_the_gateway_s_clock(self):
        self.daemon.start()
        # A date has whole seconds: what is asked for is between 2 and 3 seconds, and we count from whole seconds, too.
        self.assertGreaterEqual(self.seconds_until_it_is_tried_again(
            429, lambda: ["Retry-After: " + email.utils.formatdate(time.time() + 3, usegmt=True)]), 1)

    def test_an_http_date_by_the_server_s_clock_where_it_shows_it(self):
        self.daemon.start()
        then = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)  # years behind the gateway's

        def dates():
            return ["Date: " + email.utils.format_datetime(then, usegmt=True),
                    "Retry-After: " + email.utils.format_datetime(then + datetime.timedelta(seconds=2), usegmt=True)]

        self.assertGreaterEqual(self.seconds_until_it_is_tried_again(503, dates), 1.9)
