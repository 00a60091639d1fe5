import io
import json
import socket

from harness import API_VERSION, EndToEnd, target
from raw_http import RawConnection

BODY = b'{"n": 1}'
PATH = target("pump")


def request(path=PATH, body=BODY, method="POST", **headers):
    """A whole request; a header of None is left out, _ in a name stands for -."""
    fields = {"Host": "localhost", "Content-Type": "application/json", "Message-Id": "id",
              "Content-Length": None if body is None else str(len(body))}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = f"{method} {path} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return head.encode("latin-1") + b"\r\n" + (body or b"")


class LocalApi(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.daemon.start()
        self.count = 0

    def connect(self):
        connection = RawConnection(self.daemon.socket)
        self.addCleanup(connection.close)
        return connection

    def good(self, **changes):
        self.count += 1
        return request(**{"Message_Id": f"good-{self.count}", **changes})

    def assert_alive(self, connection):
        connection.write(self.good())
        self.assert_accepted(connection.answer())

    def test_every_refusal_says_why_and_leaves_the_connection_alive(self):
        long_id = "x" * 1025
        deep = b'{"a":' * 5 + b"1" + b"}" * 5
        cases = [
            ("no message id", request(Message_Id=None), 400, "InvalidArgument"),
            ("empty message id", request(Message_Id=""), 400, "InvalidArgument"),
            ("no api-version", request("/digitaltwins/pump/telemetry"), 400, "InvalidArgument"),
            ("unknown api-version", request(target("pump", api_version="2019-01-01")), 400, "InvalidArgument"),
            ("empty api-version", request(target("pump", api_version="")), 400, "InvalidArgument"),
            ("bad percent-encoding", request(target("pump%2")), 400, "InvalidArgument"),
            ("bad percent-encoding", request(target("pump%zz")), 400, "InvalidArgument"),
            ("no UTF-8", request(target("pump%ff")), 400, "InvalidArgument"),
            ("overlong UTF-8", request(target("pump%c0%80")), 400, "InvalidArgument"),
            ("a control character", request(target("pump%0A")), 400, "InvalidArgument"),
            ("a null", request(target("pump%00")), 400, "InvalidArgument"),
            ("a long twin id", request(target(long_id)), 400, "InvalidArgument"),
            ("a long component", request(target("pump", long_id)), 400, "InvalidArgument"),
            ("a bad component", request(target("pump", "%ff")), 400, "InvalidArgument"),
            ("an array", request(body=b"[1]"), 400, "ValidationFailed"),
            ("a string", request(body=b'"{}"'), 400, "ValidationFailed"),
            ("null", request(body=b"null"), 400, "ValidationFailed"),
            ("no JSON", request(body=b"{temperature: 1}"), 400, "ValidationFailed"),
            ("half an object", request(body=b'{"n":'), 400, "ValidationFailed"),
            ("two objects", request(body=b"{}{}"), 400, "ValidationFailed"),
            ("bad UTF-8", request(body=b'{"n":"\xff"}'), 400, "ValidationFailed"),
            ("nothing", request(body=b""), 400, "ValidationFailed"),
            ("an unknown path", request("/digitaltwins/pump"), 404, None),
            ("an unknown path", request("/"), 404, None),
            ("an empty twin", request(f"/digitaltwins//telemetry?api-version={API_VERSION}"), None, None),
            ("another method", request(method="PUT"), 405, None),
            ("another method", request(method="GET", body=None), 405, None),
            ("no length", request(body=None), 411, None),
            ("a big body", request(body=b'{"n":"' + b"x" * 32761 + b'"}'), 413, None),
            ("a form", request(Content_Type="application/x-www-form-urlencoded"), 415, None),
            ("text", request(Content_Type="text/plain"), 415, None),
        ]
        connection = self.connect()
        for name, data, status, code in cases:
            with self.subTest(name, request=data[:80]):
                connection.write(data)
                answer = connection.answer()
                self.assert_error(answer, status or answer.status, code)
                self.assertIn(answer.status, (400, 404) if status is None else (status,))
                if answer.status == 405:
                    self.assertEqual(answer.headers["Allow"], "POST")
                self.assert_alive(connection)
        connection.write(self.good(body=deep))
        self.assert_accepted(connection.answer())
        status = self.daemon.status()
        self.assertEqual(status["totals"]["accepted"], len(cases) + 1)
        self.assertEqual(status["queue"]["messages"], len(cases) + 1)
        counted = {int(entry["code"]): entry["count"] for entry in status["ingest"]["requests"]}
        for code in (400, 404, 405, 411, 413, 415):
            self.assertGreaterEqual(counted.get(code, 0), 1)

    def test_limits_hold_to_the_byte(self):
        connection = self.connect()
        for size, status in ((32768, 204), (32769, 413)):
            connection.write(self.good(body=b'{"n":"' + b"x" * (size - 8) + b'"}'))
            self.assertEqual(connection.answer().status, status, size)
        for size, status in ((1024, 204), (1025, 400)):
            connection.write(self.good(path=target("x" * size)))
            self.assertEqual(connection.answer().status, status, size)

    def test_what_loses_the_framing_is_answered_and_closed(self):
        cases = [
            ("two lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("length and chunked",
             b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("a folded header", b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", 400),
            ("a space before the colon", b"POST / HTTP/1.1\r\nHost : x\r\nContent-Length: 0\r\n\r\n", 400),
            ("another coding", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
            ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
            ("a bad chunk", b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nMessage-Id: a\r\nContent-Type: "
             b"application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            ("large headers", request(X_Large="x" * 20000), 431),
            ("many headers", request(**{f"X_{n}": "x" for n in range(500)}), 431),
        ]
        for name, data, status in cases:
            with self.subTest(name):
                connection = self.connect()
                connection.write(data)
                answer = connection.answer()
                self.assert_error(answer, status)
                self.assertEqual(answer.headers["Connection"].lower(), "close")
                self.assertTrue(connection.ended())
        self.assert_alive(self.connect())
        self.assertEqual(self.daemon.status()["totals"]["accepted"], 1)

    def test_pipelined_requests_are_answered_in_their_order(self):
        connection = self.connect()
        data = b""
        for n in range(100):
            data += self.good(path=target(f"twin-{n % 7}")) if n % 10 else request(body=b"[]")
        connection.write(data)
        sequence = 0
        for n in range(100):
            answer = connection.answer()
            if n % 10:
                sequence += 1
                self.assertEqual(self.assert_accepted(answer), sequence)
            else:
                self.assert_error(answer, 400, "ValidationFailed")

    def test_the_end_of_sending_does_not_lose_the_answers(self):
        connection = self.connect()
        connection.write(self.good() + self.good())
        connection.socket.shutdown(socket.SHUT_WR)
        self.assert_accepted(connection.answer())
        self.assert_accepted(connection.answer())
        self.assertTrue(connection.ended())

    def test_any_split_of_the_bytes_is_the_same_request(self):
        connection = self.connect()
        for byte in self.good(body=b'{"temperature": 21.5}'):
            connection.write(bytes([byte]))
        self.assert_accepted(connection.answer())
        self.assertEqual(self.daemon.sql("select body from queue")[0]["body"], '{"temperature": 21.5}')

    def test_chunked_bodies_are_taken_together(self):
        connection = self.connect()
        connection.write(self.good(body=None, Transfer_Encoding="chunked") +
                         b'4\r\n{"n"\r\n1;x=y\r\n:\r\n2\r\n1}\r\n0\r\nTrailer: x\r\n\r\n')
        self.assert_accepted(connection.answer())
        self.assertEqual(self.daemon.sql("select body from queue")[0]["body"], '{"n":1}')
        connection.write(self.good(body=None, Transfer_Encoding="chunked"))
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        connection.write(chunk * 9 + b"0\r\n\r\n")
        self.assert_error(connection.answer(), 413)
        self.assert_alive(connection)

    def test_expect_100_continue_asks_before_the_body_is_sent(self):
        connection = self.connect()
        data = self.good(body=BODY, Expect="100-continue")
        connection.write(data[:-len(BODY)])
        self.assertEqual(connection.answer().status, 100)
        connection.write(BODY)
        self.assert_accepted(connection.answer())
        # What is refused by its head alone is refused without asking for the body.
        connection = self.connect()
        connection.write(self.good(body=None, Content_Length="40000", Expect="100-continue"))
        self.assert_error(connection.answer(), 413)

    def test_keep_alive_and_close_are_what_was_asked_for(self):
        connection = self.connect()
        for _ in range(3):
            self.assert_alive(connection)
        connection.write(self.good(Connection="close"))
        self.assert_accepted(connection.answer())
        self.assertTrue(connection.ended())

    def test_every_known_api_version_is_taken(self):
        connection = self.connect()
        for version in ("2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"):
            connection.write(self.good(path=target("pump", api_version=version)))
            self.assert_accepted(connection.answer())
        self.cloud.up()
        self.assertEqual(len(self.cloud.wait_for_records(4)), 4)

    def test_content_type_may_name_a_charset_and_content_may_be_any_object(self):
        connection = self.connect()
        for content_type in ("application/json; charset=utf-8", "Application/JSON"):
            connection.write(self.good(Content_Type=content_type, body=b" {} "))
            self.assert_accepted(connection.answer())

    def test_a_strict_source_time_rule_refuses_what_is_no_rfc_3339(self):
        self.daemon.config["ingest"] = {"source_time": "rfc3339"}
        self.daemon.restart()
        connection = self.connect()
        for value, good in (("2026-11-23T20:20:41Z", True), ("2026-11-23T20:20:41.123456+01:00", True),
                            ("01/01/01 0:00:00 +00:00", False), ("yesterday", False)):
            connection.write(self.good(Telemetry_Source_Time=value))
            answer = connection.answer()
            if good:
                self.assert_accepted(answer)
            else:
                self.assert_error(answer, 400, "InvalidArgument")

    def test_the_admin_socket_answers_health_and_status(self):
        from harness import call
        for path in ("/health/live", "/health/ready"):
            self.assertEqual(call(self.daemon.admin, "GET", path).status, 200)
        status = json.loads(call(self.daemon.admin, "GET", "/status").body)
        self.assertGreater(status["queue"]["capacity_bytes"], 0)
        self.assertEqual(call(self.daemon.admin, "GET", "/nowhere").status, 404)
        self.assertEqual(call(self.daemon.admin, "POST", "/status").status, 405)
        self.assertEqual(call(self.daemon.admin, "POST", PATH, BODY, {"Message-Id": "x"}).status, 404)


class LocalApiWithoutACloud(EndToEnd):
    def test_without_an_endpoint_the_daemon_only_collects(self):
        del self.daemon.config["forward"]
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.assertEqual(self.daemon.status()["queue"]["messages"], 1)
        self.assertEqual(io.StringIO(self.daemon.log()).read().count(" error "), 0)
