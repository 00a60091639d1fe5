import os
import signal
import socket
import threading
import unittest

from harness import Cloud, EndToEnd
from proxies import Squid, Tinyproxy, free_port, program
from test_auth import Identity
from test_auth import SECRET as CLIENT_SECRET

SECRET = "hunter2-secret"


class BadProxy:
    """A server on a port that does one thing to every connection."""

    def __init__(self, act):
        self.act = act
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            self.act(connection)
        except OSError:
            pass

    def kill(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            break
        head += more
    return head


def answer_with(answer, close=True):
    def act(connection):
        read_head(connection)
        connection.sendall(answer)
        if close:
            connection.close()

    return act


class ProxyTest(EndToEnd):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o711)  # squid leaves root behind
        self.proxies = []
        self.addCleanup(lambda: [proxy.kill() for proxy in self.proxies])

    def launch(self, kind, **options):
        if program(kind.name) is None:
            self.skipTest(f"SKIPPED: {kind.name} is not installed, so nothing is said about it (scripts/setup test)")
        self.proxies.append(kind(self.directory, **options))
        return self.proxies[-1]

    def misbehaving(self, act):
        self.proxies.append(BadProxy(act))
        return self.proxies[-1]

    def use(self, url, **forward):
        self.daemon.config["forward"].update(proxy=url, **forward)

    def reload(self, url, **forward):
        self.use(url, **forward)
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)

    def send_some(self, first, last):
        for n in range(first, last):
            for twin in ("pump", "valve"):
                self.assert_accepted(self.daemon.send(twin, message_id=f"id-{n}"))

    def ids(self, twin):
        return [r["message_id"] for r in self.cloud.records() if r["twin"] == twin]

    def assert_all_in_order(self, count):
        status = self.daemon.wait_until_drained()
        for twin in ("pump", "valve"):
            self.assertEqual(list(dict.fromkeys(self.ids(twin))), [f"id-{n}" for n in range(count)])
        self.assertEqual(status["totals"]["quarantined"], 0)
        self.assert_reconciled(status)

    def assert_waits(self, *parts):
        """The status says why nothing is delivered, and everything is kept."""
        queued = self.daemon.status()["queue"]["messages"]
        status = self.daemon.wait_for_status(
            f"the status to say {parts}",
            lambda s: s["state"] == "waiting" and all(part in s["upstream"]["why"] for part in parts))
        self.assertEqual(status["queue"]["messages"], queued)
        self.assertEqual(status["totals"]["quarantined"] + status["totals"]["dropped"], 0)
        return status["upstream"]["why"]

    def assert_no_secret(self):
        seen = [self.daemon.log(), str(self.daemon.status())]
        with open(f"/proc/{self.daemon.process.pid}/cmdline", encoding="utf-8") as file:
            seen.append(file.read())
        seen.append(self.daemon.command("status").stdout.decode())
        for text in seen:
            for secret in (SECRET, "Z2F0ZXdheTp"):  # the beginning of base64("gateway:...")
                self.assertNotIn(secret, text)


class Through(ProxyTest):
    """What every real proxy does, with each of them."""

    def check_delivery(self, proxy):
        self.use(proxy.url)
        self.daemon.start()
        self.send_some(0, 5)
        self.assert_all_in_order(5)
        proxy.kill()  # with connections that stand
        self.send_some(5, 10)
        self.assert_waits("the proxy localhost:", "check the host and port of forward.proxy")
        proxy.start()
        self.send_some(10, 12)
        self.assert_all_in_order(12)

    def test_tinyproxy_carries_everything_and_may_die_at_any_time(self):
        self.check_delivery(self.launch(Tinyproxy))

    def test_squid_carries_everything_and_may_die_at_any_time(self):
        self.check_delivery(self.launch(Squid))

    def check_credentials(self, proxy):
        self.use(proxy.url)
        os.environ["TWINSPOOL_TEST_PROXY_PASSWORD"] = SECRET
        self.addCleanup(os.environ.pop, "TWINSPOOL_TEST_PROXY_PASSWORD")
        self.daemon.start()
        self.send_some(0, 3)
        self.assert_waits(f"the proxy localhost:{proxy.port} refused CONNECT 127.0.0.1:{self.cloud.port}: HTTP 407",
                          "give it a user and password", "forward.proxy")
        self.reload(proxy.url_with(f"gateway:{SECRET}-not"))
        self.assert_waits("HTTP 40", "check the user and the password in forward.proxy")
        self.assert_no_secret()
        self.reload(proxy.url_with("gateway:${TWINSPOOL_TEST_PROXY_PASSWORD}"))
        self.assert_all_in_order(3)
        self.assert_no_secret()

    def test_tinyproxy_gets_user_and_password_and_nobody_else_does(self):
        self.check_credentials(self.launch(Tinyproxy, user="gateway", password=SECRET))

    def test_squid_gets_user_and_password_and_nobody_else_does(self):
        self.check_credentials(self.launch(Squid, user="gateway", password=SECRET))

    def check_forbidden(self, proxy):
        self.use(proxy.url)
        self.daemon.start()
        self.send_some(0, 2)
        self.assert_waits(f"the proxy localhost:{proxy.port} refused CONNECT 127.0.0.1:{self.cloud.port}: HTTP 403",
                          "the proxy's rules must allow CONNECT to this host and port")
        # A proxy that everybody may use: the daemon goes on by itself, at its slow pace.
        proxy.options = {}
        proxy.kill()
        proxy.start()
        self.assert_all_in_order(2)

    def test_tinyproxy_that_does_not_allow_the_port_is_named(self):
        self.check_forbidden(self.launch(Tinyproxy, connect_port=443))

    def test_squid_that_denies_is_named(self):
        self.check_forbidden(self.launch(Squid, allow=False))

    def check_unreachable_cloud(self, proxy):
        self.use(proxy.url)
        self.cloud.down()
        self.daemon.start()
        self.send_some(0, 2)
        self.assert_waits(f"the proxy localhost:{proxy.port} refused CONNECT", "HTTP 50", "it does not reach that host")
        self.cloud.up()
        self.assert_all_in_order(2)

    def test_a_cloud_that_tinyproxy_does_not_reach_is_told_as_that(self):
        self.check_unreachable_cloud(self.launch(Tinyproxy))

    def test_a_cloud_that_squid_does_not_reach_is_told_as_that(self):
        self.check_unreachable_cloud(self.launch(Squid))


class Around(ProxyTest):
    def test_hosts_of_no_proxy_are_reached_without_it(self):
        for entry in ("127.0.0.0/8", "127.0.0.1", "*"):
            with self.subTest(entry):
                self.use(f"http://localhost:{free_port()}", no_proxy=["elsewhere.example", entry])
                self.daemon.start()
                before = len(self.cloud.records())
                self.assert_accepted(self.daemon.send("pump"))
                self.cloud.wait_for_records(before + 1)
                self.assertEqual(self.daemon.terminate(), 0)

    def test_a_proxy_that_nobody_runs_is_named_with_what_to_check(self):
        port = free_port()
        self.use(f"http://gateway:{SECRET}@localhost:{port}")
        self.daemon.start()
        self.send_some(0, 1)
        self.assert_waits(f"cannot reach the proxy localhost:{port}", "connection refused",
                          "check the host and port of forward.proxy, and the firewalls on the way")
        self.reload("http://no-such-proxy.invalid:3128")
        self.assert_waits("cannot look up 'no-such-proxy.invalid'", "check forward.proxy and this gateway's DNS")
        self.reload("")
        self.assert_all_in_order(1)
        self.assert_no_secret()

    def test_a_bad_proxy_in_the_configuration_is_refused_and_changes_nothing(self):
        self.daemon.start()
        self.reload(f"http://gateway:{SECRET}@localhost")
        self.daemon.wait_for_log("config.refused")
        self.assertIn("the port is missing", self.daemon.log())
        self.send_some(0, 1)
        self.assert_all_in_order(1)
        self.assert_no_secret()


class Tokens(ProxyTest):
    """The token endpoint is reached by the same rules as the cloud."""

    def setUp(self):
        super().setUp()
        self.issuer = Identity(self.cloud).start()
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(CLIENT_SECRET)
        self.daemon.config["auth"] = {"kind": "client_secret", "tenant": "stand-in-tenant", "client_id": "stand-in-client",
                                      "client_secret_file": secret, "authority": self.issuer.authority}

    def test_tokens_are_fetched_through_the_proxy_too(self):
        proxy = self.launch(Tinyproxy, user="gateway", password=SECRET)
        self.use(proxy.url_with("gateway:wrong-" + SECRET))
        self.daemon.start()
        self.send_some(0, 2)
        # The token comes first: it is what waits for the proxy.
        self.daemon.wait_for_status("the token to wait for the proxy", lambda s: s["state"] == "waiting" and
                                    f"the proxy localhost:{proxy.port} refused CONNECT localhost:{self.issuer.port}" in
                                    s["why"] and "check the user and the password in forward.proxy" in s["why"])
        self.assertEqual(self.cloud.records(), [])
        self.assert_no_secret()
        self.reload(proxy.url_with(f"gateway:{SECRET}"))
        self.assert_all_in_order(2)
        self.assertIn(f"CONNECT localhost:{self.issuer.port}", proxy.log())
        self.assertIn(f"CONNECT 127.0.0.1:{self.cloud.port}", proxy.log())
        self.assert_no_secret()

    def test_a_token_endpoint_of_no_proxy_is_reached_without_it(self):
        proxy = self.launch(Tinyproxy)
        self.use(proxy.url, no_proxy=["localhost"])
        self.daemon.start()
        self.send_some(0, 2)
        self.assert_all_in_order(2)
        self.assertNotIn("CONNECT localhost:", proxy.log())
        self.assertIn(f"CONNECT 127.0.0.1:{self.cloud.port}", proxy.log())


class Misbehaving(ProxyTest):
    """Proxies that no package provides: each is told by its step, and all is delivered once it is gone."""

    def check(self, act, *parts, **forward):
        proxy = self.misbehaving(act)
        self.use(f"http://gateway:{SECRET}@127.0.0.1:{proxy.port}", **forward)
        self.daemon.start()
        self.send_some(0, 2)
        self.assert_waits(f"127.0.0.1:{proxy.port}", *parts)
        self.assert_no_secret()
        self.reload("", connect_timeout="10s")
        self.assert_all_in_order(2)

    def test_one_that_hangs(self):
        self.check(lambda connection: None, "the answer of the proxy", "to CONNECT", "took longer than 300ms",
                   connect_timeout="300ms")

    def test_one_that_sends_a_page(self):
        self.check(answer_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
                   "with a page instead of a tunnel", "captive portal")

    def test_one_that_sends_a_page_of_unknown_length(self):
        self.check(answer_with(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>Welcome</body></html>"),
                   "(through the proxy 127.0.0.1:")

    def test_one_that_is_a_web_server(self):
        self.check(answer_with(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"),
                   "HTTP 405", "an HTTP proxy that knows CONNECT")

    def test_one_that_speaks_something_else(self):
        self.check(answer_with(b"220 mail.example ESMTP\r\n"), "is not HTTP", "forward.proxy must name an HTTP proxy")

    def test_one_that_hangs_up_at_once(self):
        self.check(lambda connection: connection.close(), "the proxy 127.0.0.1:", "before it answered CONNECT")

    def test_one_that_dies_in_its_answer(self):
        self.check(answer_with(b"HTTP/1.1 200 Conn"), "in the middle of its answer to CONNECT")

    def test_one_that_dies_in_the_handshake_behind_it(self):
        def act(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            connection.recv(100)  # the beginning of the client's first flight
            connection.close()

        self.check(act, "the TLS handshake with 127.0.0.1 (through the proxy 127.0.0.1:")

    def test_one_that_intercepts_TLS_with_an_authority_of_its_own(self):
        """Its certificate is not trusted: nothing is handed over, and the remedy is named."""
        place = os.path.join(self.directory, "other")
        os.mkdir(place)
        other = Cloud(place)
        self.processes.append(other)
        other.start()

        def act(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", other.port)) as behind:
                def back():
                    try:
                        while data := behind.recv(65536):
                            connection.sendall(data)
                    except OSError:
                        pass
                thread = threading.Thread(target=back, daemon=True)
                thread.start()
                while data := connection.recv(65536):
                    behind.sendall(data)

        self.check(act, "is from an authority that is not trusted here", "forward.tls.ca_file",
                   "(through the proxy 127.0.0.1:")
        self.assertEqual(other.records(), [])


if __name__ == "__main__":
    unittest.main()
