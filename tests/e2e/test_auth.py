import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import unittest
import urllib.parse

from certificates import Authority
from harness import EndToEnd, call, wait_for
from raw_server import RawServer, tls_context

SECRET = "canary-s3cret~/+=&value"
FEDERATED = "canary-federated.token-1"
ARC_KEYS = "/var/opt/azcmagent/tokens"


class Identity:
    """The stand-in's issuer of tokens, steered."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.control = os.path.join(cloud.state, "identity.sock")

    def start(self):
        """A cloud that only takes tokens that this issuer gave out, and that have not ended."""
        self.cloud.kill()
        self.cloud.start("--identity")
        with open(os.path.join(self.cloud.state, "identity-ports"), encoding="ascii") as file:
            self.port, self.plain_port = file.read().split()
        self.steer("POST", "/require", issued="true")
        self.steer("POST", "/settings", client_secret=SECRET, federated_token=FEDERATED)
        return self

    @property
    def authority(self):
        return f"https://localhost:{self.port}"

    def steer(self, method, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        answer = call(self.control, method, path + ("?" + query if query else ""))
        assert answer.status in (200, 204), answer
        return answer.body

    def settings(self, **parameters):
        self.steer("POST", "/settings", **parameters)

    def faults(self, steps, **parameters):
        self.steer("POST", "/faults", steps=steps, **parameters)

    def clear_faults(self):
        self.steer("DELETE", "/faults")

    def stats(self):
        return json.loads(self.steer("GET", "/stats"))


class Auth(EndToEnd):
    """Every auth.kind against an issuer that checks what it is sent, fails, hangs and lies."""

    def setUp(self):
        super().setUp()
        self.issuer = Identity(self.cloud).start()
        self.environment = {}

    def tearDown(self):
        for name in self.environment:
            os.environ.pop(name, None)
        self.assert_no_secret_is_shown()
        super().tearDown()

    def assert_no_secret_is_shown(self):
        """Neither log nor status, no answer of the admin socket, and not the queue's files, whatever happened in the test."""
        shown = ""
        if os.path.exists(self.daemon.log_path):
            with open(self.daemon.log_path, encoding="utf-8", errors="replace") as log:
                shown = log.read()
        if self.daemon.running():
            shown += json.dumps(self.daemon.status()) + self.daemon.command("status").stdout.decode()
            for path in ("/metrics", "/lanes", "/quarantine"):
                answer = call(self.daemon.admin, "GET", path)
                self.assertEqual(answer.status, 200, path)
                shown += answer.body.decode()
        for path in (self.daemon.database, self.daemon.database + "-wal"):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    shown += file.read().decode("latin-1")
        for canary in ("canary-", urllib.parse.quote("s3cret~/+=&value", safe="~"), "issued-token-",
                       "eyJhbGci", "eyJ0eXAi"):  # a JWT begins so, with its "alg" or "typ"
            self.assertNotIn(canary, shown)

    def set_environment(self, **variables):
        self.environment.update(variables)
        os.environ.update(variables)  # the daemon inherits it

    def write_secret(self, name, text, mode=0o640):
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def use(self, kind, **keys):
        auth = {"kind": kind, **keys}
        if kind != "managed_identity":
            auth = {"tenant": "stand-in-tenant", "client_id": "stand-in-client", "authority": self.issuer.authority, **auth}
        self.daemon.config["auth"] = auth

    def use_client_secret(self, secret=SECRET, **keys):
        self.use("client_secret", client_secret_file=self.write_secret("secret", secret + "\n"), **keys)

    def send_some(self, count=4, twin="pump"):
        for _ in range(count):
            self.assert_accepted(self.daemon.send(twin))

    def deliver(self, count=4):
        before = len(self.cloud.records())
        self.send_some(count)
        status = self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), before + count)
        self.assert_reconciled(status)
        self.assertEqual(status["totals"]["quarantined"] + status["totals"]["dropped"], 0)
        return status

    def wait_for_token_error(self, text):
        return self.daemon.wait_for_status(
            f"'{text}' as the token's error", lambda s: text in s["token"]["last_error"])

    def wait_for_why(self, text):
        """The whole state is about the token: it waits, and says why."""
        return self.daemon.wait_for_status(
            f"'{text}' as the reason to wait", lambda s: s["state"] == "waiting" and text in s["why"])

    # --- each kind delivers ---

    def test_client_secret(self):
        self.use_client_secret()
        self.daemon.start()
        token = self.deliver()["token"]
        self.assertEqual((token["kind"], token["state"], token["last_error"]), ("client_secret", "valid", ""))
        self.assertGreater(token["expires_in_seconds"], 3000)
        self.assertEqual(self.issuer.stats()["tokens"], 1)

    def test_client_secret_from_a_systemd_credential(self):
        os.mkdir(os.path.join(self.directory, "credentials"))
        self.write_secret("credentials/adt", SECRET, 0o400)
        self.set_environment(CREDENTIALS_DIRECTORY=os.path.join(self.directory, "credentials"))
        self.use("client_secret", client_secret_file="${CREDENTIALS_DIRECTORY}/adt")
        self.daemon.start()
        self.deliver()

    def test_client_certificate(self):
        self.use("client_certificate", cert_file=os.path.join(self.cloud.state, "application.pem"),
                 key_file=os.path.join(self.cloud.state, "application.key"))
        self.issuer.settings(lifetime="2")  # several assertions: each must have an id of its own
        self.daemon.start()
        self.assertEqual(self.deliver()["token"]["kind"], "client_certificate")
        wait_for("two more tokens", lambda: self.issuer.stats()["tokens"] >= 3)
        self.deliver()
        self.assertEqual(self.issuer.stats()["last_refusal"], "")

    def test_a_certificate_that_the_application_does_not_know(self):
        for name in ("pem", "key"):
            shutil.copy(os.path.join(self.cloud.state, f"server.{name}"), os.path.join(self.directory, f"own.{name}"))
        own = {"cert_file": os.path.join(self.directory, "own.pem"), "key_file": os.path.join(self.directory, "own.key")}
        self.use("client_certificate", **own)
        self.daemon.start()
        self.wait_for_token_error("an RSA key of 2048 bits or more is accepted")  # the server's is an EC key
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own", "-days", "2",
                        "-out", own["cert_file"], "-keyout", own["key_file"]], check=True, capture_output=True)
        self.wait_for_token_error("upload the certificate of auth.cert_file")
        shutil.copy(os.path.join(self.cloud.state, "application.key"), own["key_file"])
        self.wait_for_token_error("does not belong to the certificate")
        os.chmod(own["key_file"], 0o644)
        self.wait_for_token_error("chmod o= " + own["key_file"])
        os.chmod(own["key_file"], 0o600)
        shutil.copy(os.path.join(self.cloud.state, "application.pem"), own["cert_file"])
        self.deliver()

    def test_workload_identity_from_the_environment(self):
        file = self.write_secret("federated", FEDERATED, 0o644)  # as Kubernetes projects it
        self.set_environment(AZURE_TENANT_ID="stand-in-tenant", AZURE_CLIENT_ID="stand-in-client",
                             AZURE_FEDERATED_TOKEN_FILE=file, AZURE_AUTHORITY_HOST=self.issuer.authority + "/")
        self.daemon.config["auth"] = {"kind": "workload_identity"}
        self.issuer.settings(lifetime="2")
        self.daemon.start()
        self.deliver()
        # The other issuer renews its token, and this one takes the new one only.
        renewed = FEDERATED.replace("-1", "-2")
        self.issuer.settings(federated_token=renewed)
        self.wait_for_token_error("AADSTS70021")
        self.write_secret("federated", renewed, 0o644)
        self.deliver()

    def test_managed_identity_of_a_virtual_machine(self):
        self.set_environment(IMDS_ENDPOINT=f"http://127.0.0.1:{self.issuer.plain_port}")
        self.use("managed_identity")
        self.daemon.start()
        self.assertEqual(self.deliver()["token"]["kind"], "managed_identity")

    def test_user_assigned_identity_of_a_virtual_machine(self):
        self.set_environment(IMDS_ENDPOINT=f"http://127.0.0.1:{self.issuer.plain_port}")
        self.issuer.settings(user_assigned="0f1e2d3c-user")
        self.use("managed_identity")
        self.daemon.start()
        self.wait_for_token_error("Identity not found")
        self.daemon.config["auth"]["client_id"] = "0f1e2d3c-user"
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.deliver()

    def test_managed_identity_of_an_arc_machine(self):
        made = [path for path in ("/var/opt/azcmagent", ARC_KEYS) if not os.path.exists(path)]
        try:
            os.makedirs(ARC_KEYS, exist_ok=True)
            if not os.access(ARC_KEYS, os.W_OK):
                raise PermissionError
        except PermissionError:
            print(f"\nSKIPPED: {ARC_KEYS} cannot be written: Arc's challenge is not tested end to end")
            self.skipTest(f"{ARC_KEYS} cannot be written")
        keys_before = set(glob.glob(ARC_KEYS + "/*"))
        try:
            self.issuer.settings(arc_key_directory=ARC_KEYS, lifetime="2")
            base = f"http://localhost:{self.issuer.plain_port}"
            self.set_environment(IDENTITY_ENDPOINT=base + "/metadata/identity/oauth2/token", IMDS_ENDPOINT=base)
            self.use("managed_identity")
            self.issuer.faults("evil_path")
            self.daemon.start()
            self.daemon.wait_for_log("its challenge names a file")  # what came of it is over at once
            self.deliver()
            wait_for("another challenge and token", lambda: self.issuer.stats()["tokens"] >= 3)
            self.deliver()
        finally:
            for path in set(glob.glob(ARC_KEYS + "/*")) - keys_before:
                os.remove(path)
            for path in reversed(made):
                os.rmdir(path)

    # --- time ---

    def test_tokens_that_live_for_seconds_are_renewed_without_a_refused_message(self):
        self.issuer.settings(lifetime="2")
        self.use_client_secret()
        self.daemon.start()
        sent = 0
        while self.issuer.stats()["tokens"] < 5:  # several lives, with messages all the time
            self.send_some(1, twin=f"twin-{sent % 7}")
            sent += 1
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), sent)
        self.assertNotIn("401", self.cloud.stats()["answers"])
        self.assertEqual(self.issuer.stats()["requests"], self.issuer.stats()["tokens"])

    def test_a_good_token_is_used_while_its_renewal_fails(self):
        self.issuer.settings(lifetime="3600", refresh_in="1")
        self.use_client_secret()
        self.daemon.start()
        self.deliver()
        self.issuer.faults("500", repeat="true")
        status = self.wait_for_token_error("AADSTS90033")
        self.assertEqual(status["token"]["state"], "valid")
        self.deliver()
        self.assertNotIn("401", self.cloud.stats()["answers"])

    def test_an_idle_daemon_does_not_hammer_a_token_endpoint_that_refuses(self):
        self.daemon.config["forward"]["retry"] = {"initial": "500ms", "max": "60s"}
        self.use_client_secret("canary-wrong")
        self.daemon.start()
        self.wait_for_token_error("AADSTS7000215")
        next_try = self.daemon.status()["token"]["next_fetch_in_seconds"]
        self.assertGreater(next_try, 5)  # only a person can mend it: half a minute to a minute
        self.assertEqual(self.issuer.stats()["requests"], 1)

    def test_retry_after_of_the_token_endpoint_is_obeyed(self):
        self.issuer.faults("429", retry_after="1800")
        self.use_client_secret()
        self.daemon.start()
        status = self.wait_for_token_error("HTTP 429")
        self.assertGreater(status["token"]["next_fetch_in_seconds"], 1000)
        self.assertEqual(status["token"]["state"], "failing")

    # --- what goes wrong, and ends ---

    def test_a_token_endpoint_in_trouble_keeps_the_queue_and_ends_by_itself(self):
        self.daemon.config["forward"]["request_timeout"] = "500ms"  # ends the hanging ones
        self.use_client_secret()
        self.issuer.faults("500", repeat="true")
        self.daemon.start()
        troubles = [("500", "HTTP 500"), ("hang", "no answer in time"), ("reset", "connection"),
                    ("html", "HTML page"), ("junk", "not JSON"), ("empty", "without a body"),
                    ("no_token", "no access_token"), ("negative_life", "expires_in of -3600"),
                    ("zero_life", "expires_in of 0"), ("line_break", "not one line"), ("wrong_type", "token_type"),
                    ("echo", "AADSTS9000")]
        for steps, text in troubles:
            with self.subTest(steps=steps):
                self.issuer.faults(steps, repeat="true")
                self.issuer.steer("POST", "/revoke")
                self.send_some(2)
                self.wait_for_why(text)
                self.assertEqual(self.daemon.status()["queue"]["messages"], 2)
                self.issuer.clear_faults()
                status = self.daemon.wait_until_drained()
                self.assertEqual(status["totals"]["quarantined"] + status["totals"]["dropped"], 0)
        self.assertEqual(len(self.cloud.records()), 2 * len(troubles))

    def test_strange_lives_are_lived_with(self):
        self.use_client_secret()
        self.issuer.faults("huge_life")
        self.daemon.start()
        self.assertLessEqual(self.deliver()["token"]["expires_in_seconds"], 24 * 3600)
        self.issuer.faults("no_life")
        self.issuer.steer("POST", "/revoke")
        self.assertLessEqual(self.deliver()["token"]["expires_in_seconds"], 300)

    def test_a_token_endpoint_that_is_down(self):
        self.issuer.steer("POST", "/down")
        self.use_client_secret()
        self.daemon.start()
        self.send_some(3)
        status = self.wait_for_why("the token endpoint localhost:" + self.issuer.port)
        self.assertIn("auth.authority", status["why"])
        self.assertEqual(status["queue"]["messages"], 3)
        self.daemon.restart()
        self.wait_for_why("connection refused")
        self.issuer.steer("POST", "/up")
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), 3)

    def test_a_wrong_secret_and_its_mending(self):
        self.use_client_secret("canary-wrong")
        self.daemon.start()
        self.send_some()
        status = self.wait_for_why("AADSTS7000215")
        self.assertIn("write the secret's value, not its id, into auth.client_secret_file", status["why"])
        self.assertEqual(status["token"]["state"], "failing")
        self.assertIsNone(status["token"]["expires_in_seconds"])
        self.write_secret("secret", SECRET)  # nothing else: no restart, no reload
        self.daemon.wait_until_drained()
        self.assertEqual(len(self.cloud.records()), 4)

    def test_a_token_that_somebody_on_the_way_sends_back_is_not_shown(self):
        self.use_client_secret()
        authority = Authority(os.path.join(self.directory, "echo"), "echo")
        both = os.path.join(self.directory, "both.pem")
        with open(both, "w", encoding="ascii") as file:
            for one in (self.cloud.ca_file, authority.ca_file):
                with open(one, encoding="ascii") as ca:
                    file.write(ca.read())
        self.daemon.config["forward"]["tls"] = {"ca_file": both}
        for status in (403, 400):
            with self.subTest(status):
                def echo(connection, head, _body, status=status):
                    body = head.encode() if status == 403 else json.dumps({"error": {"code": "x", "message": head}}).encode()
                    connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
                    return True

                server = RawServer(tls_context(authority.issue("server")), echo)
                self.addCleanup(server.kill)
                self.daemon.config["forward"]["endpoint"] = f"https://127.0.0.1:{server.port}"
                self.daemon.start()
                self.assert_accepted(self.daemon.send("pump"))
                if status == 403:
                    why = self.daemon.wait_for_status("the refusal", lambda s: "403" in s["upstream"]["why"])["upstream"]["why"]
                    self.assertIn("Bearer [secret]", why)
                else:
                    self.daemon.wait_for_status("the quarantine", lambda s: s["totals"]["quarantined"] > 0)
                    self.assertIn(b"Bearer [secret]", call(self.daemon.admin, "GET", "/quarantine").body)
                self.assertTrue([head for head, _ in server.requests if "issued-token-" in head])
                self.assert_no_secret_is_shown()
                self.assertEqual(self.daemon.terminate(), 0)

    def test_a_secret_that_others_may_read_is_refused(self):
        self.use_client_secret()
        path = self.write_secret("secret", SECRET, 0o644)
        self.daemon.start()
        self.send_some(1)
        self.wait_for_why("chmod o= " + path)
        self.assertEqual(self.issuer.stats()["requests"], 0)
        os.chmod(path, 0o640)
        self.daemon.wait_until_drained()

    def test_a_token_endpoint_of_an_unknown_authority_gets_no_secret(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "2",
                        "-out", os.path.join(self.directory, "other.pem"), "-keyout", "/dev/null"], check=True,
                       capture_output=True)
        self.daemon.config["forward"]["tls"]["ca_file"] = os.path.join(self.directory, "other.pem")
        self.use_client_secret()
        self.daemon.start()
        self.wait_for_token_error("not trusted")
        self.assertEqual(self.issuer.stats()["requests"], 0)

    def test_a_401_leads_to_one_new_token_at_once(self):
        self.daemon.config["forward"]["retry"] = {"initial": "30s", "max": "60s"}  # only what is immediate counts
        self.use_client_secret()
        self.daemon.start()
        self.deliver()
        self.issuer.steer("POST", "/revoke")
        self.deliver()
        self.assertEqual(self.issuer.stats()["tokens"], 2)
        self.assertEqual(self.cloud.stats()["answers"]["401"], 1)
        self.assertIn("token.refused", self.daemon.log())

    def test_a_cloud_that_refuses_every_token_is_not_hammered(self):
        self.daemon.config["forward"]["retry"] = {"initial": "20s", "max": "60s"}
        self.cloud.faults("401", repeat=True)
        self.use_client_secret()
        self.daemon.start()
        self.send_some()
        status = self.wait_for_why("HTTP 401")
        self.assertEqual(status["queue"]["messages"], 4)
        self.assertLessEqual(self.cloud.stats()["answers"]["401"], 4)
        self.assertLessEqual(self.issuer.stats()["tokens"], 3)
        self.cloud.clear_faults()
        self.daemon.config["forward"]["retry"] = {"initial": "20ms", "max": "200ms"}
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_until_drained()

    def test_a_reload_while_the_token_endpoint_is_down_goes_on_with_the_good_token(self):
        self.use_client_secret()
        self.daemon.start()
        self.deliver()
        self.issuer.steer("POST", "/down")
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.reloaded")
        self.assertEqual(self.deliver()["token"]["state"], "valid")
        self.assertEqual(self.issuer.stats()["tokens"], 1)

    def test_a_token_that_ends_while_its_renewal_fails_is_used_no_more(self):
        self.issuer.settings(lifetime="2")
        self.use_client_secret()
        self.daemon.start()
        self.deliver()
        self.issuer.steer("POST", "/down")
        self.daemon.wait_for_status("the token to end", lambda s: s["token"]["state"] == "failing" and
                                    s["token"]["expires_in_seconds"] is None)
        requests = self.cloud.stats()["requests"]
        self.send_some(3)
        status = self.wait_for_why("no token: ")
        self.assertIn("the token endpoint localhost:" + self.issuer.port, status["why"])
        self.assertEqual(status["queue"]["messages"], 3)
        self.assertEqual(self.cloud.stats()["requests"], requests)
        self.issuer.steer("POST", "/up")
        self.assert_reconciled(self.daemon.wait_until_drained())
        self.assertEqual(len(self.cloud.records()), 7)
        self.assertNotIn("401", self.cloud.stats()["answers"])

    # --- configuration, and what must not be seen ---

    def test_a_reload_changes_the_kind(self):
        self.use("token_file", token_file=self.write_secret("token", "canary-no-good"))
        del self.daemon.config["auth"]["tenant"], self.daemon.config["auth"]["client_id"]
        self.daemon.start()
        self.send_some(2)
        self.wait_for_why("HTTP 401")
        self.use_client_secret()
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.assertEqual(self.daemon.wait_until_drained()["token"]["kind"], "client_secret")
        del self.daemon.config["auth"]["tenant"]
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_log("config.refused")
        self.assertIn("auth.tenant: empty, but auth.kind client_secret needs it", self.daemon.log())
        self.deliver()

    def test_no_secret_gets_into_a_core_dump(self):
        self.use_client_secret()
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))  # as much as may be; the daemon inherits it
        self.daemon.start()
        self.deliver()
        proc = f"/proc/{self.daemon.process.pid}"
        with open(proc + "/limits", encoding="ascii") as file:
            self.assertRegex(file.read(), r"Max core file size +0 +0 ")
        with open(proc + "/coredump_filter", encoding="ascii") as file:
            self.assertEqual(int(file.read(), 16), 0)
        self.daemon.signal(signal.SIGABRT)
        self.assertEqual(self.daemon.wait(), -signal.SIGABRT)
        self.assertEqual(glob.glob(os.path.join(self.directory, "core*")), [])
        self.daemon.start()
        self.deliver()

    def test_the_canaries_are_seen_where_they_are(self):
        """The search for secrets would find one."""
        self.use_client_secret()
        self.daemon.start()
        with open(self.daemon.log_path, "a", encoding="ascii") as log:
            log.write(SECRET + "\n")
        with self.assertRaises(AssertionError):
            self.assert_no_secret_is_shown()
        with open(self.daemon.log_path, "w", encoding="ascii"):
            pass
        self.assert_no_secret_is_shown()
        # An application's own words are in the queue's files: they are searched indeed.
        self.assert_accepted(self.daemon.send("pump", b'{"text": "canary-in-the-queue"}'))
        with self.assertRaises(AssertionError):
            self.assert_no_secret_is_shown()
        self.daemon.kill()
        for path in glob.glob(self.daemon.database + "*"):
            os.remove(path)


if __name__ == "__main__":
    unittest.main()
