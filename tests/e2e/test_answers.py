"""Every answer that a server, a proxy on the way or a captive portal could give, over real TLS, byte by byte."""

import json
import os

from certificates import Authority
from harness import EndToEnd, wait_for
from raw_server import RawServer, cut_after, field, says, tls_context


def answer(status, *headers, body=b"", length=True, version="1.1"):
    lines = [f"HTTP/{version} {status} x", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(status, *headers, body=b"", piece=7):
    data = answer(status, "Transfer-Encoding: chunked", *headers, length=False)
    for at in range(0, len(body), piece):
        part = body[at:at + piece]
        data += f"{len(part):x}\r\n".encode() + part + b"\r\n"
    return data + b"0\r\n\r\n"


def error(code, message="no"):
    return json.dumps({"error": {"code": code, "message": message}}).encode()


JSON = "Content-Type: application/json; charset=utf-8"
HTML = "Content-Type: text/html"
PAGE = b"<!DOCTYPE html><html><body>Welcome to the guest network</body></html>"


class Answers(EndToEnd):
    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.directory, "pki"))
        self.server = RawServer(tls_context(self.authority.issue("server")))
        self.addCleanup(self.server.kill)
        self.daemon.config["forward"].update(endpoint=f"https://127.0.0.1:{self.server.port}", request_timeout="1s",
                                             retry={"initial": "5ms", "max": "40ms", "multiplier": 2},
                                             tls={"ca_file": self.authority.ca_file})
        self.daemon.start()
        self.count = 0

    def send_one(self, twin="pump"):
        self.count += 1
        self.assert_accepted(self.daemon.send(twin, message_id=f"id-{self.count}"))
        return f"id-{self.count}"

    def attempts(self, message_id):
        return sum(1 for head, _ in list(self.server.requests) if field(head, "Message-Id") == message_id)

    def check_delivered(self, act):
        before = self.daemon.status()["totals"]
        self.server.act = act
        message_id = self.send_one()
        after = self.daemon.wait_until_drained()["totals"]
        self.assertEqual(after["delivered"], before["delivered"] + 1)
        self.assertEqual(after["quarantined"], before["quarantined"])
        self.assertEqual(self.attempts(message_id), 1)

    def check_quarantined(self, act, status, code, text=None):
        self.server.act = act
        message_id = self.send_one()
        self.daemon.wait_until_drained()
        [row] = self.daemon.sql(f"select * from quarantine where message_id = '{message_id}'")
        self.assertIn(str(status), json.dumps(row))
        if code:
            self.assertIn(code, json.dumps(row))
        if text:
            self.assertIn(text, json.dumps(row))

    def check_kept(self, act, *why):
        """Not a delivery, not a loss: tried again with the same bytes until a real answer comes."""
        before = self.daemon.status()["totals"]
        self.server.act = act
        message_id = self.send_one()
        wait_for("three attempts", lambda: self.attempts(message_id) >= 3)
        if why:
            self.daemon.wait_for_status(f"the cause {why}",
                                        lambda s: all(part in s["upstream"]["why"] for part in why))
        now = self.daemon.status()
        self.assertEqual(now["queue"]["messages"], 1)
        self.assertEqual([now["totals"][name] for name in ("delivered", "quarantined", "dropped")],
                         [before[name] for name in ("delivered", "quarantined", "dropped")])
        self.server.act = self.server.deliver
        self.assert_reconciled(self.daemon.wait_until_drained())
        self.assertEqual(self.server.delivered[-1], message_id)
        sent = {(field(head, "Telemetry-Source-Time"), body) for head, body in self.server.requests
                if field(head, "Message-Id") == message_id}
        self.assertEqual(len(sent), 1, "an attempt differed from the one before")

    def test_what_is_a_delivery(self):
        for name, data, goes_on in (
                ("204", answer(204, length=False), True),
                ("204 with Content-Length: 0, as the cloud sends it", answer(204), True),
                ("204 with the cloud's headers", answer(204, "Strict-Transport-Security: max-age=2592000",
                                                        "traceresponse: 00-0-0-00"), True),
                ("200 with JSON", answer(200, JSON, body=b"{}"), True),
                ("202 without a body", answer(202), True),
                ("201, chunked", chunked(201, JSON, body=b'{"accepted": true}'), True),
                ("Connection: close", answer(204, "Connection: close"), False),
                ("HTTP/1.0", answer(204, version="1.0"), False),
                ("HTTP/1.0 with a body to the end", answer(200, JSON, body=b"{}", length=False, version="1.0"), False),
                ("100 Continue before it", answer(100, length=False) + answer(204), True),
                ("many 1xx before it", (answer(102, length=False) + answer(103, "Link: </a>", length=False)) * 5 +
                 answer(204), True),
                ("a head of 16 KiB", answer(204, *[f"X-Filler-{n}: {'.' * 200}" for n in range(75)]), True)):
            with self.subTest(name):
                self.check_delivered(says(data, goes_on))

    def test_an_answer_before_the_body_was_sent_counts(self):
        """The server answers at the head, without reading the body."""
        body = json.dumps({"filler": "." * 32000}).encode()

        def early(secure):
            data = b""
            while b"\r\n\r\n" not in data:
                data += secure.recv(200)
            self.server.requests.append((data.split(b"\r\n\r\n", 1)[0].decode(), b""))
            secure.sendall(answer(400, JSON, "Connection: close", body=error("ValidationFailed", "too much")))
            secure.unwrap()

        self.server.converse = early
        self.assert_accepted(self.daemon.send("pump", body, "id-1"))
        self.daemon.wait_until_drained()
        self.assertIn("ValidationFailed", json.dumps(self.daemon.sql("select * from quarantine")))

    def test_refused_messages_with_the_code_in_the_header_the_body_or_nowhere(self):
        code = "ValidationFailed"
        for status in (400, 413, 415, 422):
            with self.subTest(status):
                self.check_quarantined(says(answer(status, JSON, f"x-ms-error-code: {code}", body=error("Other", "why"))),
                                       status, code, "why")
                self.check_quarantined(says(answer(status, JSON, body=error(code, "the reason"))), status, code, "the reason")
                self.check_quarantined(says(answer(status, f"x-ms-error-code: {code}")), status, code)
                self.check_quarantined(says(answer(status)), status, None)
                self.check_quarantined(says(chunked(status, JSON, body=error(code))), status, code)
                self.check_quarantined(says(answer(status, JSON, body=b'{"error": "oh')), status, None)
        self.check_quarantined(says(answer(400, JSON, body=error(code, "." * 1_000_000))), 400, None)

    def test_twins_that_are_missing_with_the_code_in_the_header_or_the_body(self):
        for data in (answer(404, "x-ms-error-code: DigitalTwinNotFound"),
                     answer(404, JSON, body=error("DigitalTwinNotFound")),
                     chunked(404, JSON, body=error("ComponentNotFound"))):
            with self.subTest(data):
                self.server.act = says(data)
                self.send_one()
                status = self.daemon.wait_for_status("a held lane", lambda s: s["lanes"]["held"] == 1)
                self.assertEqual(status["queue"]["messages"], 1)
                self.server.act = self.server.deliver
                self.daemon.wait_until_drained()

    def test_what_a_portal_a_balancer_or_a_proxy_says_is_no_delivery(self):
        for name, data, why in (
                ("a portal: 200 with a page", answer(200, HTML, body=PAGE), "captive portal"),
                ("a portal without a type", answer(200, body=PAGE), "captive portal"),
                ("a portal with a byte order mark", answer(200, "Content-Type: text/plain", body=b"\xef\xbb\xbf " + PAGE),
                 "captive portal"),
                ("a portal, chunked", chunked(200, HTML, body=PAGE), "captive portal"),
                ("a portal, to the end", answer(200, HTML, body=PAGE, length=False), "captive portal"),
                ("a portal of one megabyte", answer(200, HTML, body=PAGE * 15000), "captive portal"),
                ("a redirect", answer(302, "Location: https://login.example/"), "login.example"),
                ("a redirect for ever", answer(301), "301"),
                ("a page with 400", answer(400, HTML, body=PAGE), "HTTP 400"),
                ("a page with 404", answer(404, HTML, body=PAGE), "HTTP 404"),
                ("404 of the instance", answer(404, JSON, body=error("Sub-Domain not found")), "HTTP 404"),
                ("403 without a body", answer(403), "HTTP 403"),
                ("401 of the cloud", answer(401, JSON, body=b'{"statusCode":401,"message":"Unauthorized"}'), "HTTP 401"),
                ("407 of somebody", answer(407), "HTTP 407"),
                ("451", answer(451), "HTTP 451"),
                ("a balancer with no back end: 502", answer(502, HTML, body=PAGE), "HTTP 502"),
                ("a balancer with no back end: 503", answer(503, HTML, body=PAGE), "HTTP 503"),
                ("a balancer with no back end: 504", answer(504, HTML, body=PAGE), "HTTP 504"),
                ("304, which nobody asked for", answer(304), "HTTP 304")):
            with self.subTest(name):
                self.check_kept(says(data), why)

    def test_what_is_no_answer_is_no_delivery(self):
        for name, data in (
                ("garbage", b"\x00\xff\x13garbage\r\n\r\n"),
                ("another protocol", b"220 mail.example ESMTP\r\n"),
                ("HTTP/2 in the clear", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                ("HTTP/0.9", b"<html>hello</html>\n"),
                ("HTTP/3.0", b"HTTP/3.0 204 x\r\n\r\n"),
                ("no status", b"HTTP/1.1 \r\n\r\n"),
                ("a status of two digits", b"HTTP/1.1 20 x\r\n\r\n"),
                ("a status of four digits", b"HTTP/1.1 2040 x\r\n\r\n"),
                ("101, which nobody asked for", b"HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
                ("a 204 with a body", answer(204, body=b"body")),
                ("a 204 that is chunked", chunked(204)),
                ("two lengths", b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
                ("length and chunks", b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
                ("a bad chunk", b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
                ("a bare LF", b"HTTP/1.1 204 x\n\n"),
                ("a folded header", b"HTTP/1.1 204 x\r\nA: b\r\n c\r\n\r\n"),
                ("a head of 40 KiB", answer(204, *[f"X-Filler-{n}: {'.' * 400}" for n in range(100)])),
                ("300 headers", answer(204, *[f"X-{n}: 1" for n in range(300)])),
                ("1xx for ever", answer(100, length=False) * 40 + answer(204)),
                ("nothing at all", b"")):
            with self.subTest(name):
                self.check_kept(says(data))
        self.check_kept(lambda connection, head, body: True, "no answer in time")  # says nothing, and stays

    def test_two_answers_to_one_request_deliver_one_message_only(self):
        """The second could otherwise be taken for the answer to the next request."""
        self.check_delivered(says(answer(204) + answer(204), goes_on=True))
        self.check_kept(says(answer(503)))
        self.server.act = says(answer(204) + answer(400, JSON, body=error("ValidationFailed")), goes_on=True)
        for _ in range(5):
            self.send_one()
        status = self.daemon.wait_until_drained()
        self.assertEqual(status["totals"]["quarantined"], 0)

    def test_an_answer_cut_at_any_byte_is_no_delivery(self):
        whole = answer(200, JSON, body=b'{"accepted": true}')
        chunks = chunked(200, JSON, body=b'{"a": 1}')
        plain = answer(204, "Server: x")
        before = self.daemon.status()["totals"]["delivered"]
        message_id = self.send_one()
        for data in (plain, whole, chunks):
            for end in range(len(data)):
                seen = self.attempts(message_id)
                self.server.act = (cut_after if end % 2 else says)(data[:end])
                self.daemon.command("kick")  # where there is one: the wait is not what is tested
                wait_for("another attempt", lambda: self.attempts(message_id) > seen)
        self.assertEqual(self.daemon.status()["totals"]["delivered"], before)
        self.assertEqual(self.server.delivered, [])
        self.server.act = self.server.deliver
        self.daemon.wait_until_drained()
        self.assertEqual(self.server.delivered, [message_id])
