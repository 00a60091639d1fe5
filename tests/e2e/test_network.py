"""The network itself fails: cut, dropped, refused, half-open, without names, led astray. In a network namespace of its own."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from certificates import Authority
from harness import EndToEnd, wait_for
from proxies import program
from raw_server import RawServer, says, tls_context

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
FIRST, SECOND, SIXTH = "10.77.0.1", "10.77.0.2", "fd77::1"
NAME = "cloud.plant.test"
FILES = {}


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"


def nft(*rules):
    for rule in rules:
        run("nft", rule)


def own_network():
    """Why there can be none, or None: from then on this process and its children are in a network of their own."""
    if os.geteuid() != 0:
        return "only root may have a network namespace of its own"
    for name in ("ip", "nft", "mount"):
        if program(name) is None:
            return f"{name} is not installed (scripts/setup test)"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    try:
        run("mount", "--make-rprivate", "/")
        for path in ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"):
            handle, FILES[path] = tempfile.mkstemp(prefix="ts-etc-")
            os.fchmod(handle, 0o644)
            os.close(handle)
            run("mount", "--bind", FILES[path], path)
        run("ip", "link", "set", "lo", "up")
        for address in (FIRST, SECOND):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        run("ip", "-6", "address", "add", f"{SIXTH}/128", "dev", "lo", "nodad")
        nft("add table inet twinspool")
    except AssertionError as error:
        return str(error)
    return None


def setUpModule():
    why = own_network()
    if why is not None:
        raise unittest.SkipTest(f"SKIPPED: no test of a failing network has run: {why}")


def tearDownModule():
    for path in FILES.values():
        os.remove(path)


def write_in_place(path, text):  # a new file would not be the one that is mounted
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class NameServer:
    """Answers every question for an address as it is told to: with FIRST, with a failure, or not at all."""

    def __init__(self):
        self.mode = "answer"
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.socket.settimeout(0.1)
        self.ended = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ended:
            try:
                query, peer = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            self.asked += 1
            if self.mode == "hang":
                continue
            end = query.index(b"\0", 12) + 5  # behind the question
            kind = struct.unpack("!H", query[end - 4:end - 2])[0]
            known = self.mode == "answer" and kind == 1
            code = {"answer": 0, "unknown": 3, "fail": 2}[self.mode]
            answer = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, known, 0, 0) + query[12:end]
            if known:
                answer += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(FIRST)
            self.socket.sendto(answer, peer)

    def kill(self):
        self.ended = True
        self.thread.join()
        self.socket.close()  # only now is the port free for the next one


class Network(EndToEnd):
    def setUp(self):
        super().setUp()
        self.heal()
        write_in_place("/etc/nsswitch.conf", "hosts: files dns\n")
        write_in_place("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.names("127.0.0.1 localhost")
        self.authority = Authority(os.path.join(self.directory, "pki"))
        self.files = self.authority.issue("server", hosts=(NAME, FIRST, SECOND, SIXTH))
        self.addCleanup(self.heal)
        self.sent = 0

    def names(self, *lines):
        write_in_place("/etc/hosts", "\n".join(lines) + "\n")

    def serve(self, host, port=0, files=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = RawServer(tls_context(files or self.files), address=(host, port), family=family)
        self.addCleanup(server.kill)
        return server

    def start(self, host, port, **forward):
        self.daemon.config["forward"].update(endpoint=f"https://{host}:{port}", tls={"ca_file": self.authority.ca_file},
                                             **forward)
        self.daemon.start()

    def heal(self):
        nft("flush ruleset", "add table inet twinspool")

    def on_input(self, *rules):
        nft("add chain inet twinspool input { type filter hook input priority 0; }",
            *[f"add rule inet twinspool input {rule}" for rule in rules])

    def cut(self, server):
        """Nothing passes any more, in either direction, and nobody is told."""
        self.on_input(f"tcp dport {server.port} drop", f"tcp sport {server.port} drop")

    def send_one(self):
        self.sent += 1
        self.assert_accepted(self.daemon.send("pump", message_id=f"id-{self.sent}"))

    def assert_waits(self, *parts, seconds=None):
        def says_so():
            status = self.daemon.status()
            why = status["upstream"]["why"]
            return status if status["state"] == "waiting" and all(part in why for part in parts) else None

        status = wait_for(f"the status to say {parts}; it says {self.daemon.status()['upstream']['why']!r}", says_so, seconds)
        self.assertEqual(status["totals"]["quarantined"] + status["totals"]["dropped"], 0)
        self.assertGreaterEqual(status["queue"]["messages"], 1)

    def assert_drained(self, *servers):
        status = self.daemon.wait_until_drained()
        delivered = [message_id for server in servers for message_id in server.delivered]
        self.assertEqual(list(dict.fromkeys(delivered)), [f"id-{n + 1}" for n in range(self.sent)])
        self.assert_reconciled(status)

    # Cuts

    def test_a_refused_path_is_named_and_heals(self):
        server = self.serve(FIRST)
        self.on_input(f"tcp dport {server.port} reject with tcp reset")
        self.start(FIRST, server.port)
        self.send_one()
        self.assert_waits(f"cannot reach {FIRST}: cannot connect to {FIRST}:{server.port}: connection refused",
                          "check the host and port of forward.endpoint, and the firewalls on the way")
        self.heal()
        self.assert_drained(server)

    def test_a_path_that_routers_refuse_is_named_and_heals(self):
        server = self.serve(FIRST)
        self.on_input(f"tcp dport {server.port} reject with icmp host-prohibited")
        self.start(FIRST, server.port)
        self.send_one()
        self.assert_waits(f"cannot connect to {FIRST}:{server.port}: host is unreachable", "the firewalls on the way")
        self.heal()
        self.assert_drained(server)

    def test_a_path_that_swallows_everything_is_named_and_heals(self):
        server = self.serve(FIRST)
        self.cut(server)
        self.start(FIRST, server.port, connect_timeout="500ms")
        self.send_one()
        self.assert_waits(f"connecting to {FIRST} ({FIRST}:{server.port}) took longer than 500ms",
                          "the firewalls on the way")
        self.heal()
        self.assert_drained(server)

    def test_a_pulled_cable_is_waited_for(self):
        server = self.serve(FIRST)
        self.start(FIRST, server.port, request_timeout="1s", connect_timeout="500ms")
        self.send_one()
        self.assert_drained(server)
        run("ip", "link", "set", "lo", "down")
        self.addCleanup(run, "ip", "-6", "address", "replace", f"{SIXTH}/128", "dev", "lo", "nodad")
        self.addCleanup(run, "ip", "link", "set", "lo", "up")
        self.send_one()
        self.assert_waits()
        self.send_one()
        run("ip", "link", "set", "lo", "up")
        self.assert_drained(server)

    # Half-open: the deadline of a request is far off, so only TCP itself can notice.

    def test_a_peer_that_vanished_is_noticed_while_a_message_is_under_way(self):
        server = self.serve(FIRST)
        self.start(FIRST, server.port, request_timeout="1h", connect_timeout="1s")
        self.send_one()
        self.assert_drained(server)
        self.cut(server)
        start = time.monotonic()
        self.send_one()
        self.assert_waits(seconds=90)
        print(f"half-open with a message under way: noticed after {time.monotonic() - start:.1f} s")
        self.heal()
        self.assert_drained(server)

    def test_a_peer_that_vanished_is_noticed_on_an_idle_connection(self):
        server = self.serve(FIRST)
        self.start(FIRST, server.port)
        self.send_one()
        self.assert_drained(server)
        self.assertEqual(self.daemon.status()["upstream"]["connections"], 1)
        self.cut(server)
        start = time.monotonic()
        # An idle connection is closed after 60 s in any case: TCP must be quicker.
        wait_for("the dead connection to be given up", lambda: self.daemon.status()["upstream"]["connections"] == 0, 50)
        print(f"half-open and idle: noticed after {time.monotonic() - start:.1f} s")
        self.heal()
        self.send_one()
        self.assert_drained(server)

    # Addresses

    def test_IPv6_alone(self):
        server = self.serve(SIXTH)
        self.start(f"[{SIXTH}]", server.port)
        self.send_one()
        self.assert_drained(server)
        self.assertIn(f"[{SIXTH}]:{server.port}", server.requests[0][0])

    def test_a_dead_address_among_several_is_passed_over(self):
        dead_first = self.serve(FIRST)
        for kind in ("drop", "reject with tcp reset"):
            for family, dead, living in (("ip6", SIXTH, FIRST), ("ip", FIRST, SIXTH)):
                with self.subTest(kind=kind, dead=dead):
                    server = self.serve(living, 0) if living != FIRST else dead_first
                    self.names("127.0.0.1 localhost", f"{dead} {NAME}", f"{living} {NAME}")
                    self.on_input(f"{family} daddr {dead} tcp dport {server.port} {kind}")
                    self.start(NAME, server.port)
                    before = len(server.delivered)
                    self.assert_accepted(self.daemon.send("pump"))
                    wait_for("the delivery", lambda: len(server.delivered) == before + 1)
                    self.assertEqual(self.daemon.terminate(), 0)
                    self.heal()

    def test_a_dead_address_leaves_time_for_the_next_within_a_short_time_limit(self):
        server = self.serve(SIXTH)
        self.names("127.0.0.1 localhost", f"{FIRST} {NAME}", f"{SIXTH} {NAME}")
        self.on_input(f"ip daddr {FIRST} tcp dport {server.port} drop")
        self.daemon.config["forward"]["connect_timeout"] = "800ms"
        self.start(NAME, server.port)
        self.send_one()
        self.assert_drained(server)

    def test_an_address_that_changes_while_the_daemon_runs_is_looked_up_again(self):
        old = self.serve(FIRST)
        new = self.serve(SECOND, old.port)
        self.names("127.0.0.1 localhost", f"{FIRST} {NAME}")
        self.start(NAME, old.port)
        self.send_one()
        self.assert_drained(old)
        self.names("127.0.0.1 localhost", f"{SECOND} {NAME}")
        old.kill()
        self.send_one()
        self.assert_drained(old, new)
        self.assertEqual(new.delivered, ["id-2"])

    # Names

    def test_a_resolver_that_fails_or_does_not_know_is_named_and_recovers(self):
        resolver = NameServer()
        self.addCleanup(resolver.kill)
        server = self.serve(FIRST)
        resolver.mode = "unknown"
        self.start(NAME, server.port)
        self.send_one()
        self.assert_waits(f"cannot look up '{NAME}': Name or service not known", "check forward.endpoint and this gateway's DNS")
        resolver.mode = "fail"
        self.assert_waits(f"cannot look up '{NAME}': Temporary failure in name resolution")
        resolver.mode = "answer"
        self.assert_drained(server)

    def test_a_resolver_that_hangs_blocks_neither_the_daemon_nor_its_stop(self):
        write_in_place("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")  # 150 s a look-up
        resolver = NameServer()
        self.addCleanup(resolver.kill)
        resolver.mode = "hang"
        server = self.serve(FIRST)
        self.start(NAME, server.port, connect_timeout="300ms")
        for _ in range(20):
            self.send_one()
        self.assert_waits(f"the look-up of '{NAME}' took longer than 300ms", "check this gateway's DNS")
        self.daemon.signal(signal.SIGHUP)  # a reload in the middle of it
        self.daemon.wait_for_log("config.reloaded")
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait(20), 0, self.daemon.log())
        resolver.mode = "answer"
        self.daemon.start()
        self.assert_drained(server)

    # Led astray

    def test_a_captive_portal_that_takes_every_connection_gets_nothing(self):
        server = self.serve(FIRST)
        portal_files = Authority(os.path.join(self.directory, "portal"), "portal").issue("portal", hosts=("login.portal",))
        portal = self.serve(SECOND, files=portal_files)
        portal.act = says(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
        plain = socket.create_server((SECOND, 0))
        self.addCleanup(plain.close)

        def serve_plain():
            while True:
                try:
                    connection, _ = plain.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://login.portal/\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve_plain, daemon=True).start()
        self.start(FIRST, server.port)
        for port, part in ((portal.port, "is from an authority that is not trusted here"),
                           (plain.getsockname()[1], "does not speak TLS")):
            with self.subTest(part):
                nft("add chain inet twinspool astray { type nat hook output priority -100; }",
                    f"add rule inet twinspool astray ip daddr {FIRST} tcp dport {server.port} dnat ip to {SECOND}:{port}")
                self.send_one()
                # A connection that stood before the portal came would go on.
                self.assert_waits(part)
                self.assertEqual(portal.requests, [])
                self.heal()
                self.assert_drained(server)
                self.assertEqual(self.daemon.terminate(), 0)
                self.daemon.start()


if __name__ == "__main__":
    unittest.main()
