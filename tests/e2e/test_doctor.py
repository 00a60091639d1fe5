"""`twinspool doctor` against broken set-ups: it names the step that is broken, and what to do."""

import glob
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

import certificates
from harness import BIN, EndToEnd
from proxies import Tinyproxy, free_port, program
from test_auth import Identity

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
MADE_UP = "twinspool-doctor-asks-for-no-twin"


class Doctor(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.missing(MADE_UP)  # as in any cloud

    def examine(self, *arguments, prefix=(), **environment):
        """The document, after both forms were looked at."""
        if not self.daemon.running():
            self.daemon.write_config()
        command = [*prefix, os.path.join(BIN, "twinspool"), "--config", self.daemon.config_path, "doctor", *arguments]

        def run(*more):
            return subprocess.run([*command, *more], cwd=self.directory, capture_output=True, text=True, timeout=120,
                                  check=False, env={**os.environ, **environment})

        result = run("--json")
        document = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0 if document["healthy"] else 1, result.stdout + result.stderr)
        self.text = run().stdout
        for line in self.text.splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertIn(f"The first broken step is {document['broken']}." if document["broken"] else "Nothing is broken",
                      self.text)
        return document

    def assert_broken(self, document, step, text, remedy):
        found = next(one for one in document["steps"] if one["result"] == "broken")
        self.assertEqual((document["broken"], found["step"]), (step, step), document)
        self.assertIn(text, found["text"])
        self.assertIn(remedy, found["remedy"])

    def results(self, document):
        return {one["step"]: one["result"] for one in document["steps"]}

    def test_a_sound_gateway_is_found_sound_with_and_without_a_daemon(self):
        document = self.examine()
        self.assertTrue(document["healthy"], document)
        self.assertEqual(self.results(document)["daemon"], "warning")
        self.daemon.start()
        document = self.examine()
        results = self.results(document)
        self.assertEqual([results[step] for step in ("config", "daemon", "store", "disk", "dns", "tcp", "tls", "token", "probe")],
                         ["ok"] * 9, document)
        self.assertEqual(self.cloud.records(), [])
        self.assertTrue(self.examine("--twin", "pump")["healthy"])
        self.assertEqual({record["twin"] for record in self.cloud.records()}, {"pump"})

    def test_a_bad_configuration(self):
        self.daemon.config["forward"]["connexions"] = 3
        self.assert_broken(self.examine(), "config", "connexions", "--check-config")

    def test_wrong_host(self):
        """Somebody answers there, with a good certificate for another name."""
        authority = certificates.Authority(self.directory)
        files = authority.issue("server", hosts=("other.example",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert_file, files.key_file)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                    with context.wrap_socket(peer, server_side=True) as secured:
                        secured.recv(1)
                except (ssl.SSLError, ConnectionError):
                    pass
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        self.daemon.config["forward"].update(endpoint=f"https://localhost:{listener.getsockname()[1]}",
                                             tls={"ca_file": authority.ca_file})
        document = self.examine()
        self.assertEqual(self.results(document)["tcp"], "ok")
        self.assert_broken(document, "tls", "other.example", "forward.endpoint")

    def test_no_such_host(self):
        self.daemon.config["forward"]["endpoint"] = "https://no-such-instance.invalid"
        document = self.examine()
        self.assert_broken(document, "dns", "no-such-instance.invalid", "forward.endpoint")
        self.assertEqual([self.results(document)[step] for step in ("tcp", "tls", "token", "probe")], ["skipped"] * 4)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "SKIPPED: a network namespace needs root")
    def test_no_dns(self):
        self.daemon.config["forward"]["endpoint"] = "https://name.api.weu.digitaltwins.azure.net"
        self.assert_broken(self.examine(prefix=("unshare", "--net")), "dns", "name.api.weu.digitaltwins.azure.net", "DNS")

    def test_closed_port(self):
        self.daemon.config["forward"]["endpoint"] = f"https://127.0.0.1:{free_port()}"
        document = self.examine()
        self.assertEqual(self.results(document)["dns"], "ok")
        self.assert_broken(document, "tcp", "refused", "firewalls")

    @unittest.skipUnless(program("tinyproxy"), "SKIPPED: tinyproxy is not installed")
    def test_proxy_needs_a_password(self):
        proxy = Tinyproxy(self.directory, user="plant", password="secret")
        self.addCleanup(proxy.kill)
        self.daemon.config["forward"]["proxy"] = proxy.url
        document = self.examine()
        self.assertEqual([self.results(document)[step] for step in ("dns", "tcp")], ["ok", "ok"])
        self.assert_broken(document, "proxy", "407", "user and password")
        self.daemon.config["forward"]["proxy"] = proxy.url_with("plant:secret")
        document = self.examine()
        self.assertTrue(document["healthy"], document)
        self.assertNotIn("secret", self.text)

    def test_untrusted_authority(self):
        self.daemon.config["forward"]["tls"] = {"ca_file": certificates.Authority(self.directory, "other").ca_file}
        self.assert_broken(self.examine(), "tls", "certificate", "ca_file")

    @unittest.skipUnless(FAKETIME, "SKIPPED: libfaketime is not installed")
    def test_clock_in_1970(self):
        document = self.examine(LD_PRELOAD=FAKETIME, FAKETIME="1970-01-01 00:05:00", FAKETIME_DONT_FAKE_MONOTONIC="1",
                                ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        self.assert_broken(document, "clock", "1970-01-01", "systemd-timesyncd")
        self.assertEqual(self.results(document)["tls"], "broken")

    @unittest.skipUnless(FAKETIME, "SKIPPED: libfaketime is not installed")
    def test_a_clock_that_is_an_hour_off_shows_beside_the_clouds(self):
        document = self.examine(LD_PRELOAD=FAKETIME, FAKETIME="+1h", FAKETIME_DONT_FAKE_MONOTONIC="1",
                                ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        self.assert_broken(document, "clock", "ahead of", "systemd-timesyncd")

    def test_bad_secret(self):
        issuer = Identity(self.cloud).start()
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("canary-wrong")
        self.daemon.config["auth"] = {"kind": "client_secret", "tenant": "stand-in-tenant", "client_id": "stand-in-client",
                                      "authority": issuer.authority, "client_secret_file": secret}
        document = self.examine()
        self.assertEqual(self.results(document)["tls"], "ok")
        self.assert_broken(document, "token", "AADSTS7000215", "auth.client_secret_file")
        self.assertNotIn("canary", json.dumps(document) + self.text)

    def test_role_missing(self):
        self.cloud.faults("403", repeat=True)
        document = self.examine()
        self.assertEqual(self.results(document)["token"], "ok")
        self.assert_broken(document, "probe", "403", "Azure Digital Twins Data Owner")

    def test_twin_missing(self):
        self.cloud.missing("pump")
        self.assert_broken(self.examine("--twin", "pump"), "probe", "DigitalTwinNotFound", "create it")
        self.daemon.start()
        self.assert_accepted(self.daemon.send("pump"))
        self.daemon.wait_for_status("a held twin", lambda s: s["lanes"]["held"] == 1)
        self.daemon.terminate()
        document = self.examine()
        self.assertEqual(self.results(document)["probe"], "ok")
        self.assert_broken(document, "twins", "pump (404 DigitalTwinNotFound)", "create the twin")

    @unittest.skipIf(shutil.disk_usage("/tmp").free > 2**40, "SKIPPED: this disk has more free than store.min_free may be")
    def test_disk_nearly_full(self):
        self.daemon.config["store"]["min_free"] = "1TiB"
        self.assert_broken(self.examine(), "disk", "refused with 507", "free space")

    def test_a_damaged_store_and_a_paused_daemon(self):
        with open(self.daemon.database, "wb") as file:
            file.write(b"no database at all" * 300)
        self.assert_broken(self.examine(), "store", "queue.db", "")
        os.remove(self.daemon.database)
        self.daemon.start()
        self.daemon.command("pause")
        daemon = next(one for one in self.examine()["steps"] if one["step"] == "daemon")
        self.assertEqual((daemon["result"], daemon["remedy"]), ("warning", "twinspool resume"))


class Storage(EndToEnd):
    def test_the_selftest_leaves_nothing_and_counts_what_is_written(self):
        self.daemon.start()
        before = set(os.listdir(self.directory))
        result = self.daemon.command("selftest", "storage", "--seconds", "0.2", "--rate", "10", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual([rate["in_flight"] for rate in report["rates"]], [1, 8, 64])
        for rate in report["rates"]:
            self.assertGreater(rate["messages_per_second"], 0)
        self.assertGreater(report["syncs"], 0)
        self.assertLessEqual(report["sync_p50_ms"], report["sync_p99_ms"])
        wear = report["wear"]
        self.assertAlmostEqual(wear["bytes_per_day"], 10 * 86400 * wear["bytes_per_message"], delta=1)
        self.assertEqual(set(os.listdir(self.directory)), before)
        text = self.daemon.command("selftest", "storage", "--seconds", "0.1").stdout.decode()
        self.assertIn("stored and delivered", text)
        self.assertRegex(text, "(--rate N says|a day are written)")

    def test_where_it_may_not_write_it_says_what_to_do(self):
        self.daemon.write_config()
        result = self.daemon.command("selftest", "storage", "--directory", "/proc")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"sudo -u twinspool", result.stderr)
        self.assertEqual(self.daemon.command("selftest").returncode, 2)
