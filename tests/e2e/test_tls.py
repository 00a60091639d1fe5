import contextlib
import glob
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from certificates import CLIENT, Authority
from harness import EndToEnd, wait_for
from proxies import free_port, program
from raw_server import RawServer, cut_after, says, tls_context


FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


class TlsTest(EndToEnd):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o711)
        self.authority = Authority(os.path.join(self.directory, "pki"))
        self.sent = 0
        self.done = 0  # of them, delivered before

    def serve(self, files=None, **options):
        server = RawServer(tls_context(files or self.authority.issue("server"), **options))
        self.addCleanup(server.kill)
        return server

    def point_at(self, server, **forward):
        """The daemon's configuration; a running daemon reloads it."""
        settings = {"endpoint": f"https://127.0.0.1:{server.port}", "tls": {"ca_file": self.authority.ca_file}}
        self.daemon.config["forward"].update(settings, **forward)
        if self.daemon.running():
            self.reload()
        else:
            self.daemon.start()

    def reload(self):
        self.daemon.write_config()
        before = self.daemon.log().count("config.reloaded")
        self.daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.daemon.log().count("config.reloaded") > before)

    def send_one(self):
        self.sent += 1
        self.assert_accepted(self.daemon.send("pump", message_id=f"id-{self.sent}"))

    def assert_refused(self, server, *parts):
        """Nothing was handed over, the status says why, the message is still there."""
        self.daemon.wait_for_status(f"the status to say {parts}", lambda s: s["state"] == "waiting" and
                                    all(part in s["upstream"]["why"] for part in parts))
        self.assertEqual(server.requests, [])
        status = self.daemon.status()
        self.assertEqual((status["queue"]["messages"], status["totals"]["quarantined"]), (1, 0))

    def assert_drained(self, server):
        status = self.daemon.wait_until_drained()
        self.assertEqual(list(dict.fromkeys(server.delivered)), [f"id-{n + 1}" for n in range(self.done, self.sent)])
        self.assert_reconciled(status)


class Versions(TlsTest):
    def test_both_versions_carry_messages_and_a_new_connection_resumes_the_session(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with self.subTest(name):
                server = self.serve(lowest=version, highest=version)
                server.act = server.deliver_and_close
                self.done = self.sent
                self.point_at(server)
                for _ in range(3):
                    self.send_one()
                    self.daemon.wait_until_drained()
                self.assert_drained(server)
                self.assertEqual({handshake[0] for handshake in server.handshakes}, {name})
                self.assertEqual([handshake[1] for handshake in server.handshakes], [False, True, True])

    def test_a_session_is_not_resumed_after_authority_key_or_host_changed(self):
        client = self.authority.issue("client", hosts=("gateway",), common_name="gateway")
        bundle = shutil.copy(self.authority.ca_file, os.path.join(self.directory, "bundle.pem"))
        server = self.serve()
        server.act = server.deliver_and_close
        self.point_at(server)
        for change in ({"tls": {"ca_file": bundle}},
                       {"tls": {"ca_file": bundle, "cert_file": client.cert_file, "key_file": client.key_file}},
                       {"tls": {"ca_file": bundle, "server_name": "localhost"}}):
            self.send_one()
            self.daemon.wait_until_drained()
            self.send_one()
            self.daemon.wait_until_drained()
            self.assertTrue(server.handshakes[-1][1], "no session was resumed before the change")
            self.daemon.config["forward"].update(change)
            self.reload()
            self.send_one()
            self.daemon.wait_until_drained()
            self.assertFalse(server.handshakes[-1][1], f"a session was resumed after {change}")
        self.assert_drained(server)

    def test_the_minimum_version_is_honoured(self):
        server = self.serve(highest=ssl.TLSVersion.TLSv1_2)
        self.point_at(server, tls={"ca_file": self.authority.ca_file, "min_version": "1.3"})
        self.send_one()
        self.assert_refused(server, "TLS handshake with 127.0.0.1 failed: ",
                            "knows no version that forward.tls.min_version allows")
        self.point_at(server)
        self.assert_drained(server)

    def test_a_server_that_knows_only_what_is_too_old_gets_nothing(self):
        old = self.serve(lowest=ssl.TLSVersion.TLSv1_1, highest=ssl.TLSVersion.TLSv1_1, weak=True)
        self.point_at(old)
        self.send_one()
        self.assert_refused(old, "TLS handshake with 127.0.0.1 failed: ",
                            "knows no version that forward.tls.min_version allows")


class Hostile(TlsTest):
    """Each bad certificate is refused with a text that says which fault it has, and nothing is handed over."""

    def check(self, files, *parts, ca_file=None, **options):
        server = self.serve(files, **options)
        self.point_at(server, tls={"ca_file": ca_file or self.authority.ca_file})
        self.send_one()
        self.assert_refused(server, *parts)
        good = tls_context(self.authority.issue("mended"))
        server.context = good  # once it is mended, everything flows by itself
        self.assert_drained(server)

    def test_expired(self):
        self.check(self.authority.issue("bad", valid=(-48, -1)), "expired at 20", "this gateway's clock says 20")

    def test_not_yet_valid(self):
        self.check(self.authority.issue("bad", valid=(1, 48)), "is not yet valid, it begins at 20",
                   "this gateway's clock says 20", "may be behind")

    @unittest.skipUnless(FAKETIME, "SKIPPED: libfaketime is not installed, so nothing is said about a gateway "
                         "whose clock was never set (scripts/setup test)")
    def test_a_clock_that_was_never_set(self):
        self.daemon.environment = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": "@1970-01-01 00:10:00", "TZ": "UTC",
                                   "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
                                   "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.daemon.start()
        self.send_one()
        status = self.daemon.wait_for_status("the fault of the clock", lambda s: "never set" in s["why"])
        for part in ("is not yet valid, it begins at 20", "this gateway's clock was never set, it says 1970-01-01T00:1",
                     "timedatectl", "nothing is lost"):
            self.assertIn(part, status["why"])
        self.assertIn("timedatectl", " ".join(self.daemon.command("status").stdout.decode().split()))
        self.assertEqual(self.cloud.stats()["accepted"], 0)
        self.daemon.terminate()
        self.daemon.environment = {}  # time has come
        self.daemon.start()
        self.cloud.wait_for_records(1)

    def test_another_host(self):
        self.check(self.authority.issue("bad", hosts=("elsewhere.example", "10.0.0.1")),
                   "is not for the host 127.0.0.1 but for elsewhere.example, 10.0.0.1", "forward.tls.server_name")

    def test_common_name_only(self):
        self.check(self.authority.issue("bad", hosts=(), common_name="127.0.0.1"),
                   "is not for the host 127.0.0.1 but for no name at all")

    def test_untrusted_authority(self):
        self.check(Authority(os.path.join(self.directory, "other"), "other").issue("bad"),
                   "is from an authority that is not trusted here", "Test authority other", "forward.tls.ca_file")

    def test_self_signed(self):
        self.check(self.authority.issue("bad", self_signed=True), "is from an authority that is not trusted here",
                   "self-signed", "forward.tls.ca_file")

    def test_a_chain_without_its_middle(self):
        middle = Authority(os.path.join(self.directory, "middle"), "middle", above=self.authority)
        self.check(middle.issue("bad", whole_chain=False), "is from an authority that is not trusted here",
                   "Test authority middle", "does not send the certificates between")

    def test_an_expired_authority_in_the_middle(self):
        middle = Authority(os.path.join(self.directory, "middle"), "middle", above=self.authority, valid=(-72, -1))
        self.check(middle.issue("bad"), "the authority's certificate (CN = Test authority middle, depth 1)", "expired at 20")

    def test_a_key_that_is_too_weak(self):
        self.check(self.authority.issue("bad", rsa_bits=1024), "the certificate of 127.0.0.1", "key too weak", weak=True)

    def test_a_certificate_that_is_not_for_servers(self):
        self.check(self.authority.issue("bad", usages=(CLIENT,)), "the certificate of 127.0.0.1",
                   "is not meant for a server")

    def test_revoked(self):
        files = self.authority.issue("bad")
        self.check(files, "the certificate of 127.0.0.1", "was revoked by its authority",
                   ca_file=self.authority.revocation_list(files))

    def test_a_revocation_list_that_is_out_of_date(self):
        bad = self.authority.issue("other")
        stale = self.authority.revocation_list(bad, valid=(-48, -24))
        server = self.serve()
        self.point_at(server, tls={"ca_file": stale})
        self.send_one()
        self.assert_refused(server, "may have been revoked", "CRL has expired", "forward.tls.ca_file")
        self.point_at(server, tls={"ca_file": self.authority.revocation_list(bad)})
        self.assert_drained(server)

    def test_wildcards_that_say_too_much(self):
        for names in (("*",), ("*.test",), ("c*.plant.test",), ("*.*.test",), ("*.gw.cloud.plant.test",)):
            with self.subTest(names):
                server = self.serve(self.authority.issue("bad", hosts=names))
                self.done = self.sent
                self.point_at(server, tls={"ca_file": self.authority.ca_file, "server_name": "cloud.plant.test"})
                self.send_one()
                self.assert_refused(server, "is not for the host cloud.plant.test but for " + names[0])
                server.context = tls_context(self.authority.issue("mended", hosts=("*.plant.test",)))
                self.assert_drained(server)

    def test_a_private_authority_and_a_whole_chain_are_accepted(self):
        middle = Authority(os.path.join(self.directory, "middle"), "middle", above=self.authority)
        server = self.serve(middle.issue("good"))
        self.point_at(server)
        self.send_one()
        self.assert_drained(server)


class ServerName(TlsTest):
    """A balancer that serves many hosts takes the certificate and the service from the name in the handshake (SNI)."""

    def names_seen(self, hosts, endpoint_host, **tls):
        context = tls_context(self.authority.issue("server", hosts=hosts))
        names = []
        context.sni_callback = lambda secure, name, _: names.append(name)
        server = RawServer(context)
        server.act = server.deliver_and_close
        self.addCleanup(server.kill)
        self.done = self.sent
        self.point_at(server, endpoint=f"https://{endpoint_host}:{server.port}", tls={"ca_file": self.authority.ca_file, **tls})
        for _ in range(2):  # also where the second handshake resumes the session of the first
            self.send_one()
            self.daemon.wait_until_drained()
        self.assert_drained(server)
        self.assertEqual([handshake[1] for handshake in server.handshakes], [False, True])
        return names

    def test_the_endpoint_s_host_where_it_is_a_name(self):
        self.assertEqual(self.names_seen(("localhost",), "localhost"), ["localhost"] * 2)

    def test_no_address(self):
        """RFC 6066 has names only; servers that are strict refuse an address."""
        self.assertEqual(self.names_seen(("127.0.0.1",), "127.0.0.1"), [None] * 2)

    def test_the_server_name_where_it_is_set(self):
        for host in ("localhost", "127.0.0.1"):
            with self.subTest(host):
                self.assertEqual(self.names_seen(("cloud.plant.test",), host, server_name="cloud.plant.test"),
                                 ["cloud.plant.test"] * 2)


class ClientCertificates(TlsTest):
    def test_a_server_that_wants_one_gets_it_and_a_changed_one_after_a_reload(self):
        server = self.serve(client_ca=self.authority.ca_file)
        self.point_at(server)
        self.send_one()
        self.daemon.wait_for_status("the refusal", lambda s: s["state"] == "waiting" and
                                    "certificate required" in s["upstream"]["why"])
        self.assertIn("forward.tls.cert_file", self.daemon.status()["upstream"]["why"])
        self.assertEqual(server.requests, [])
        client = self.authority.issue("client", hosts=("gateway",), common_name="gateway-one")
        self.point_at(server, tls={"ca_file": self.authority.ca_file, "cert_file": client.cert_file,
                                   "key_file": client.key_file})
        self.assert_drained(server)
        self.assertEqual(server.handshakes[-1][2], "gateway-one")
        self.authority.issue("client", hosts=("gateway",), common_name="gateway-two")  # the same files
        self.reload()
        self.send_one()
        self.assert_drained(server)
        self.assertEqual(server.handshakes[-1][2], "gateway-two")

    def test_a_key_that_others_may_read_is_refused_at_the_start_and_by_a_reload(self):
        server = self.serve(client_ca=self.authority.ca_file)
        client = self.authority.issue("client", hosts=("gateway",), common_name="gateway-one")
        self.point_at(server, tls={"ca_file": self.authority.ca_file, "cert_file": client.cert_file, "key_file": client.key_file})
        self.send_one()
        self.assert_drained(server)
        os.chmod(client.key_file, 0o644)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.refused")
        self.assertIn(f"chmod o= {client.key_file}", self.daemon.log())
        self.send_one()
        self.assert_drained(server)  # as before
        self.daemon.terminate()
        self.daemon.spawn("--config", self.daemon.config_path)
        self.assertNotEqual(self.daemon.wait(), 0)
        self.assertIn(f"forward.tls.key_file {client.key_file}: others than its owner and group may use it", self.daemon.log())

    def test_a_changed_authority_file_is_taken_up_on_reload_and_a_broken_one_changes_nothing(self):
        other = Authority(os.path.join(self.directory, "other"), "other")
        server = self.serve(other.issue("server"))
        trusted = shutil.copy(self.authority.ca_file, os.path.join(self.directory, "trusted.pem"))
        self.point_at(server, tls={"ca_file": trusted})
        self.send_one()
        self.assert_refused(server, "is from an authority that is not trusted here")
        with open(trusted, "wb") as file:
            file.write(b"no certificate\n")
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.refused")
        self.assertIn(trusted, self.daemon.log())
        self.assert_refused(server, "is from an authority that is not trusted here")
        shutil.copy(other.ca_file, trusted)
        self.reload()
        self.assert_drained(server)

    def test_nginx_that_wants_a_client_certificate(self):
        if program("nginx") is None:
            self.skipTest("SKIPPED: nginx is not installed, so nothing is said about it (scripts/setup test)")
        place = os.path.join(self.directory, "nginx")
        os.mkdir(place)
        files, port = self.authority.issue("server"), free_port()
        with open(os.path.join(place, "nginx.conf"), "w", encoding="ascii") as file:
            file.write(NGINX.format(place=place, port=port, cert=files.cert_file, key=files.key_file,
                                    ca=self.authority.ca_file, user="user root;" if os.geteuid() == 0 else ""))
        with open(os.path.join(place, "out.log"), "ab") as log:
            nginx = subprocess.Popen([program("nginx"), "-p", place, "-c", "nginx.conf", "-e", "error.log"], stdout=log,
                                     stderr=log)

        def stop():
            nginx.terminate()
            nginx.wait()

        self.addCleanup(stop)

        def listening():
            assert nginx.poll() is None, open(os.path.join(place, "error.log"), encoding="utf-8").read()
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return True
            except OSError:
                return False

        wait_for("nginx to listen", listening)

        def access():
            with open(os.path.join(place, "access.log"), encoding="utf-8") as log:
                return log.read().splitlines()

        server = type("Server", (), {"port": port})
        self.point_at(server)
        self.send_one()
        # It answers with a page and 400: that is no word about the message, which stays.
        self.daemon.wait_for_status("the refusal", lambda s: s["state"] == "waiting" and s["upstream"]["last_status"] == 400)
        self.assertEqual(self.daemon.status()["queue"]["messages"], 1)
        client = self.authority.issue("client", hosts=("gateway",), common_name="gateway-one")
        self.point_at(server, tls={"ca_file": self.authority.ca_file, "cert_file": client.cert_file,
                                   "key_file": client.key_file})
        self.daemon.wait_until_drained()
        for _ in range(2):
            self.send_one()
            self.daemon.wait_until_drained()
        last = [line for line in access() if line.startswith("204")]
        self.assertEqual(len(last), 3)
        self.assertTrue(all("CN=gateway-one" in line for line in last), last)
        self.assertEqual([line.split()[2] for line in last], [".", "r", "r"], "nginx saw no resumed session")


NGINX = """
{user}
daemon off;
pid {place}/nginx.pid;
worker_processes 1;
error_log {place}/error.log;
events {{ worker_connections 64; }}
http {{
  log_format mine '$status $ssl_protocol $ssl_session_reused $ssl_client_s_dn';
  access_log {place}/access.log mine;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  keepalive_requests 1;
  ssl_session_cache shared:sessions:1m;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_client_certificate {ca};
    ssl_verify_client on;
    location / {{ return 204; }}
  }}
}}
"""


class Ends(TlsTest):
    """What is cut is no delivery, wherever it is cut, and no deadline is counted by the byte."""

    def test_an_answer_that_lasts_to_the_end_needs_the_close_notify(self):
        server = self.serve()
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}"
        server.act = cut_after(answer)
        self.point_at(server)
        self.send_one()
        wait_for("two attempts", lambda: len(server.requests) >= 2)
        self.daemon.wait_for_status("the cause", lambda s: "without a TLS close_notify" in s["upstream"]["why"])
        self.assertEqual(self.daemon.status()["totals"]["delivered"], 0)
        server.act = says(answer)  # with close_notify
        self.assertEqual(self.daemon.wait_until_drained()["totals"]["delivered"], 1)

    def test_a_handshake_that_hangs_ends_at_the_deadline(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(0.1)
            self.point_at(type("Server", (), {"port": silent.getsockname()[1]}), connect_timeout="300ms")
            self.send_one()
            self.daemon.wait_for_status("the cause", lambda s: "the TLS handshake with 127.0.0.1 took longer than 300ms" in
                                        s["upstream"]["why"])
        server = self.serve()
        self.point_at(server)
        self.assert_drained(server)

    def test_a_peer_that_sends_a_byte_now_and_then_does_not_move_the_deadline(self):
        server = self.serve()

        def drip(connection, head, body):
            for byte in b"HTTP/1.1 204 No Content\r\nX-Filler: " + b"." * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)  # the fault itself: shorter than any deadline for a byte could be

        server.act = drip
        self.point_at(server, request_timeout="1s")
        self.send_one()
        self.daemon.wait_for_status("the cause", lambda s: "the answer did not come to its end in time" in
                                    s["upstream"]["why"])
        self.assertEqual(self.daemon.status()["totals"]["delivered"], 0)
        server.act = server.deliver
        self.assert_drained(server)

    def test_a_connection_cut_in_any_flight_loses_nothing(self):
        server = self.serve()
        relay = CuttingRelay(server.port, step=150)
        self.addCleanup(relay.kill)
        self.point_at(relay, connect_timeout="2s", request_timeout="2s")
        for n in range(3):
            self.send_one()
        self.assert_drained(server)
        self.assertGreater(relay.cuts, 5)
        # Handshakes were cut, and answers: at least once, in order, each with its own Message-Id.
        self.assertGreater(relay.connections, relay.cuts)


class CuttingRelay:
    """Leads connections to a server; the n-th is cut after n * step bytes of the server's, until nothing is cut."""

    def __init__(self, port, step):
        self.server_port, self.step = port, step
        self.connections = self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.lead, args=(connection, self.connections * self.step), daemon=True).start()

    def lead(self, client, left):
        server = socket.create_connection(("127.0.0.1", self.server_port))

        def there():
            try:
                while data := client.recv(65536):
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        threading.Thread(target=there, daemon=True).start()
        try:
            while data := server.recv(65536):
                client.sendall(data[:left])
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    break
        except OSError:
            pass
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # also wakes the thread that reads from it
            one.close()

    def kill(self):
        self.listener.close()
