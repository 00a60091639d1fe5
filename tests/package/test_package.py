"""The packages as a gateway has them: installed, run by a real systemd in its hardening, killed, upgraded, removed.

The packages are those of $TWINSPOOL_DEBS (build/package/ARCH, made by scripts/package), the stand-in cloud that of $TWINSPOOL_BIN.
"""

import glob
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../e2e"))

import box  # noqa: E402
from harness import Cloud, UnixConnection, target  # noqa: E402

ARCH = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False).stdout.strip()
DEBS = os.environ.get("TWINSPOOL_DEBS", os.path.join(box.ROOT, "build/package", ARCH))
SOCKET = "/run/twinspool/twinspool.sock"
QUEUE = "/var/lib/twinspool/queue.db"


def deb(name):
    found = sorted(glob.glob(os.path.join(DEBS, name + "_*.deb")))
    if not found:
        raise AssertionError(f"there is no package {name} in {DEBS}: scripts/package makes it")
    return found[-1]


def repacked(source, version, directory):
    """The same package under another version, as the next release or the one before."""
    tree = os.path.join(directory, "tree-" + version)
    box.run("dpkg-deb", "-R", source, tree)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control, encoding="utf-8") as file:
        lines = [f"Version: {version}\n" if line.startswith("Version:") else line for line in file]
    with open(control, "w", encoding="utf-8") as file:
        file.writelines(lines)
    made = os.path.join(directory, f"twinspool_{version}_{ARCH}.deb")
    box.run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, made)
    return made


class Sender(threading.Thread):
    """Sends one message after the other until it is stopped, each again with its id until there is a 204."""

    def __init__(self, socket_path, twin):
        super().__init__(daemon=True)
        self.socket_path = socket_path
        self.twin = twin
        self.acknowledged = []
        self.refused_connections = []
        self.over = threading.Event()

    def run(self):
        connection = UnixConnection(self.socket_path)
        message_id = str(uuid.uuid4())
        while not self.over.is_set():
            try:
                answer = connection.call("POST", target(self.twin), b'{"n": 1}',
                                         {"Content-Type": "application/json", "Message-Id": message_id})
                if answer.status == 204:
                    self.acknowledged.append(message_id)
                    message_id = str(uuid.uuid4())
            except (ConnectionRefusedError, FileNotFoundError) as error:
                self.refused_connections.append(repr(error))
                connection.close()
            except (OSError, http.client.HTTPException):  # the daemon was killed under this request: again
                connection.close()
        connection.close()

    def end(self):
        self.over.set()
        self.join(60)
        return self.acknowledged


def why_not():
    return box.why_not() or (None if glob.glob(os.path.join(DEBS, "*.deb")) else f"{DEBS} has no packages (scripts/package)")


@unittest.skipIf(why_not(), f"no box: {why_not()}")
class Packaged(unittest.TestCase):
    suite = "bookworm"

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="ts-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.cloud = Cloud(cls.directory)
        cls.addClassCleanup(cls.cloud.kill)
        cls.cloud.start("--token", "cloud-token")
        cls.box = box.Box(cls.suite)
        cls.addClassCleanup(cls.box.close)
        cls.box.start()
        cls.box.sh("useradd --system app; useradd --system keeper; useradd --system stranger")
        cls.install(deb("twinspool"))
        cls.box.sh("usermod -aG twinspool-app app; usermod -aG twinspool keeper")
        shutil.copy(cls.cloud.ca_file, cls.box.path("/etc/twinspool/cloud-ca.pem"))
        os.chmod(cls.box.path("/etc/twinspool/cloud-ca.pem"), 0o644)
        cls.box.write("/etc/credstore/twinspool.client-secret", "app-secret\n", 0o600)
        cls.configure()

    @classmethod
    def install(cls, path, check=True):
        name = os.path.basename(path)
        shutil.copy(path, cls.box.path("/root/" + name))
        return cls.box.sh(f"dpkg --install /root/{name}", check=check)

    @classmethod
    def configure(cls, **more):
        cls.configuration = {
            "forward": {"endpoint": cls.cloud.endpoint, "retry": {"initial": "20ms", "max": "200ms"},
                        "tls": {"ca_file": "/etc/twinspool/cloud-ca.pem"}},
            "auth": {"kind": "token_file", "token_file": "/etc/twinspool/token"}, **more}
        cls.box.write("/etc/twinspool/token", "cloud-token", 0o640)
        cls.box.sh("chgrp twinspool /etc/twinspool/token")
        cls.box.write("/etc/twinspool/twinspool.yaml", json.dumps(cls.configuration))

    def setUp(self):
        self.addCleanup(self.show_journal)

    def show_journal(self):
        if not self._outcome.success:
            print("--- the daemon's journal:\n" + "\n".join(self.box.journal().splitlines()[-40:]))

    @property
    def socket(self):
        return f"/proc/{self.box.leader}/root{SOCKET}"

    def curl(self, user, twin, message_id=None, check=True):
        return self.box.sh(
            f"curl -sS -o /dev/null -w '%{{http_code}}' --unix-socket {SOCKET} -H 'Content-Type: application/json' "
            f"-H 'Message-Id: {message_id or uuid.uuid4()}' -d '{{\"a\": 1}}' 'http://g{target(twin)}'",
            check=check, user=user)

    def status(self):
        return json.loads(self.box.out("twinspool status --json"))

    def wait_until_ready(self):
        self.box.wait_for("the daemon", lambda: self.box.show("twinspoold", "SubState") == "running")

    def wait_until_drained(self):
        self.box.wait_for("an empty queue", lambda: self.status()["queue"]["messages"] == 0)

    def assert_delivered(self, ids):
        self.wait_until_drained()
        arrived = [record["message_id"] for record in self.cloud.records()]
        self.assertEqual([one for one in ids if one not in set(arrived)], [], "acknowledged, and not at the cloud")


@unittest.skipIf(why_not(), f"no packages: {why_not()}")
class Lint(unittest.TestCase):
    def test_lintian_finds_nothing(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed (scripts/setup package)")
        found = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", deb("twinspool"),
                                deb("libtwinspool-client-dev")], capture_output=True, text=True, check=False)
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)


@unittest.skipIf(why_not(), f"no packages: {why_not()}")
class Hardening(unittest.TestCase):
    """What the compiler and the linker were told to do against those who find a bug before we do."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="ts-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        box.run("dpkg-deb", "-x", deb("twinspool"), cls.directory)

    def test_the_programs_are_hardened(self):
        for program in ("usr/sbin/twinspoold", "usr/bin/twinspool"):
            with self.subTest(program=program):
                path = os.path.join(self.directory, program)
                header = box.run("readelf", "-hldW", path).stdout
                self.assertRegex(header, r"Type:\s+DYN \(Position-Independent Executable file\)")
                self.assertIn("GNU_RELRO", header)
                self.assertRegex(header, r"FLAGS\)\s+BIND_NOW")
                self.assertRegex(header, r"GNU_STACK .* RW +0x")  # not executable
                self.assertNotRegex(header, r"\(RPATH\)|TEXTREL")
                symbols = box.run("readelf", "--dyn-syms", "-W", path).stdout
                self.assertIn("__stack_chk_fail", symbols)
                self.assertRegex(symbols, r"__\w+_chk@GLIBC")  # _FORTIFY_SOURCE


class Service(Packaged):
    def test_the_package_starts_the_daemon_and_its_sockets(self):
        self.assertEqual(self.box.show("twinspoold", "Type"), "notify")
        self.assertEqual(self.box.show("twinspoold", "ActiveState"), "active")
        self.assertRegex(self.box.show("twinspoold", "StatusText"), r"^(idle|waiting|delivering)\b")
        for unit in ("twinspoold.service", "twinspoold.socket", "twinspoold-admin.socket"):
            self.assertEqual(self.box.out(f"systemctl is-enabled {unit}"), "enabled")
        owners = self.box.out("stat -c '%a %G %n' /run/twinspool/*.sock /var/lib/twinspool /var/lib/twinspool/queue.db "
                              "/var/lib/twinspool/queue.db-shm /var/lib/twinspool/queue.db-wal")
        self.assertEqual(owners.splitlines(), [
            "660 twinspool /run/twinspool/admin.sock", "660 twinspool-app /run/twinspool/twinspool.sock",
            "750 twinspool /var/lib/twinspool", "640 twinspool /var/lib/twinspool/queue.db",
            "640 twinspool /var/lib/twinspool/queue.db-shm", "640 twinspool /var/lib/twinspool/queue.db-wal"])
        self.assertEqual(self.box.out("ps -o user= -C twinspoold"), "twinspool")
        self.assertEqual(self.box.journal().count("net.inherited_unused"), 0)

    def test_applications_send_and_others_do_not(self):
        self.box.sh("systemctl reload twinspoold")
        sent = str(uuid.uuid4())
        self.assertEqual(self.curl("app", "pump", sent).stdout, "204")
        self.assertNotEqual(self.curl("stranger", "pump", check=False).returncode, 0)
        self.assert_delivered([sent])  # by TLS, from inside the sandbox

    def test_operators_look_with_the_command_and_with_sqlite3_in_whatever_state_the_daemon_is(self):
        look = f"sqlite3 -readonly {QUEUE} 'SELECT accepted FROM summary'"
        self.curl("app", "pump")
        self.assertEqual(self.box.sh("twinspool status", user="keeper").returncode, 0)
        refused = self.box.sh("twinspool status", user="stranger", check=False)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("be in the group twinspool", refused.stderr)
        self.assertGreater(int(self.box.out(look, user="keeper")), 0)
        self.box.sh("systemctl stop twinspoold.service")
        self.assertGreater(int(self.box.out(look, user="keeper")), 0)
        self.box.sh("systemctl start twinspoold.service")
        self.box.sh("systemctl kill --signal=KILL twinspoold.service; systemctl stop twinspoold.service")
        self.assertGreater(int(self.box.out(look, user="keeper")), 0)
        self.assertNotEqual(self.box.sh(f"sqlite3 {QUEUE} 'DELETE FROM messages'", user="keeper", check=False).returncode, 0)
        self.assertNotEqual(self.box.sh(look, user="stranger", check=False).returncode, 0)
        self.box.sh("systemctl start twinspoold.service")

    def test_who_sends_before_the_daemon_is_up_waits_and_is_answered(self):
        self.box.sh("systemctl stop twinspoold.service")
        self.assertEqual(self.box.show("twinspoold.service", "ActiveState"), "inactive")
        self.assertEqual(self.curl("app", "pump").stdout, "204")
        self.assertEqual(self.box.show("twinspoold.service", "ActiveState"), "active")

    def test_kill_9_under_load_loses_nothing_and_refuses_nobody(self):
        senders = [Sender(self.socket, f"kill-{n}") for n in range(4)]
        for sender in senders:
            sender.start()
        for _ in range(3):
            seen = sum(len(sender.acknowledged) for sender in senders)
            self.box.wait_for("messages", lambda: sum(len(s.acknowledged) for s in senders) > seen + 50)
            pid = self.box.show("twinspoold", "MainPID")
            self.box.sh("systemctl kill --signal=KILL twinspoold.service")
            self.box.wait_for("its restart", lambda: self.box.show("twinspoold", "MainPID") not in (pid, "0"))
        for sender in senders:
            self.assertGreater(len(sender.end()), 0)
            self.assertEqual(sender.refused_connections, [])
        self.assert_delivered([one for sender in senders for one in sender.acknowledged])
        for sender in senders:
            arrived = [r["message_id"] for r in self.cloud.records() if r["twin"] == sender.twin]
            order = list(dict.fromkeys(arrived))
            self.assertEqual([one for one in order if one in set(sender.acknowledged)], sender.acknowledged)

    def test_a_reload_takes_a_good_file_and_leaves_a_bad_one(self):
        self.configure(log={"level": "debug"})
        self.box.sh("systemctl reload twinspoold")
        self.assertIn("config.reloaded", self.box.journal())
        self.box.write("/etc/twinspool/twinspool.yaml", "forwrad: {}\n")
        self.box.sh("systemctl reload twinspoold")
        self.box.wait_for("the refusal", lambda: "config.refused" in self.box.journal())
        self.assertEqual(self.box.show("twinspoold", "ActiveState"), "active")
        self.assertEqual(self.curl("app", "pump").stdout, "204")
        self.configure()
        self.box.sh("systemctl reload twinspoold")

    def test_a_bad_configuration_at_a_start_says_what_is_wrong_and_does_not_loop(self):
        self.box.sh("systemctl stop twinspoold.service")
        self.box.write("/etc/twinspool/twinspool.yaml", "forward: {conections: 3}\n")
        self.box.sh("systemctl start twinspoold.service", check=False)
        self.assertEqual(self.box.show("twinspoold", "ExecMainStatus"), "78")
        self.assertEqual(self.box.show("twinspoold", "ActiveState"), "failed")
        self.assertIn("conections", self.box.journal())
        self.configure()
        self.box.sh("systemctl start twinspoold.socket twinspoold-admin.socket twinspoold.service")
        self.assertEqual(self.curl("app", "pump").stdout, "204")

    def test_a_daemon_that_hangs_is_restarted_by_the_watchdog(self):
        self.box.write("/etc/systemd/system/twinspoold.service.d/quick.conf", "[Service]\nWatchdogSec=2s\n")
        self.box.sh("systemctl daemon-reload; systemctl restart twinspoold.service")
        self.addCleanup(self.box.sh, "rm /etc/systemd/system/twinspoold.service.d/quick.conf; systemctl daemon-reload; "
                                     "systemctl restart twinspoold.service")
        pid = self.box.show("twinspoold", "MainPID")
        fed_since = time.monotonic()
        self.box.wait_for("twice its time: whoever is fed lives on", lambda: time.monotonic() > fed_since + 4)
        self.assertEqual(self.box.show("twinspoold", "MainPID"), pid)
        self.box.sh(f"kill -STOP {pid}")
        self.assertEqual(self.curl("app", "pump").stdout, "204")  # waits in the socket until the next daemon takes it
        self.assertNotEqual(self.box.show("twinspoold", "MainPID"), pid)
        self.assertIn("atchdog timeout", self.box.out("journalctl --no-pager -o cat"))

    def test_secrets_come_as_credentials_that_only_the_daemon_can_read(self):
        port = self.cloud.endpoint
        self.configure(auth={"kind": "client_secret", "tenant": "tenant-1", "client_id": "client-1", "authority": port,
                             "client_secret_file": "${CREDENTIALS_DIRECTORY}/client-secret"})
        self.box.sh("systemctl restart twinspoold.service")
        self.addCleanup(self.box.sh, "systemctl restart twinspoold.service")
        self.addCleanup(self.configure)
        sent = str(uuid.uuid4())
        self.assertEqual(self.curl("app", "pump", sent).stdout, "204")
        self.assert_delivered([sent])
        self.assertNotIn("app-secret", self.box.journal())
        self.assertNotEqual(self.box.sh("cat /run/credentials/twinspoold.service/client-secret", user="keeper",
                                        check=False).returncode, 0)

    def test_the_unit_is_hardened(self):
        self.box.sh("systemd-analyze security --offline=true --threshold=12 /lib/systemd/system/twinspoold.service")
        verified = self.box.sh("systemd-analyze verify --man=no twinspoold.service twinspoold.socket twinspoold-admin.socket")
        self.assertEqual(verified.stdout + verified.stderr, "")
        self.assertEqual(self.box.show("twinspoold", "LimitCORE"), "0")


class Upgrades(Packaged):
    def test_an_upgrade_keeps_queue_configuration_and_sockets(self):
        self.box.sh("systemctl restart twinspoold.service")
        self.cloud.down()
        self.addCleanup(self.cloud.up)
        inode = self.box.out(f"stat -c %i {SOCKET}")
        sender = Sender(self.socket, "upgraded")
        sender.start()
        self.box.wait_for("messages", lambda: len(sender.acknowledged) > 20)
        pid = self.box.show("twinspoold", "MainPID")
        self.install(repacked(deb("twinspool"), "9.0.0", self.directory))
        self.assertNotEqual(self.box.show("twinspoold", "MainPID"), pid)
        self.assertEqual(self.box.out(f"stat -c %i {SOCKET}"), inode)
        self.assertEqual(json.loads(self.box.out("cat /etc/twinspool/twinspool.yaml")), self.configuration)
        seen = len(sender.acknowledged)
        self.box.wait_for("messages", lambda: len(sender.acknowledged) > seen + 20)
        sent = sender.end()
        self.assertEqual(sender.refused_connections, [])
        self.assertGreaterEqual(self.status()["queue"]["messages"], len(sent))
        self.cloud.up()
        self.assert_delivered(sent)

    def test_a_downgrade_over_a_newer_schema_is_refused_with_the_way_out(self):
        self.box.sh("systemctl stop twinspoold.service")
        self.box.sh(f"sqlite3 {QUEUE} 'PRAGMA user_version = 99'; sqlite3 {QUEUE} 'PRAGMA wal_checkpoint(TRUNCATE)'")
        refused = self.install(repacked(deb("twinspool"), "0.0.9", self.directory), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("written by a newer twinspool (schema 99", refused.stderr + refused.stdout)
        self.assertIn("twinspool export", refused.stderr + refused.stdout)
        self.assertNotEqual(self.box.out("dpkg-query -W -f '${Version}' twinspool"), "0.0.9")
        self.assertEqual(self.box.out("dpkg-query -W -f '${db:Status-Status}' twinspool"), "installed")
        self.box.sh(f"sqlite3 {QUEUE} 'PRAGMA user_version = {self.schema()}'")
        self.box.sh("systemctl start twinspoold.service")

    def schema(self):
        return int(self.box.out("sed -n 's/^newest_schema=\\([0-9]*\\).*/\\1/p' /var/lib/dpkg/info/twinspool.preinst"))

    def test_the_package_knows_the_schema_of_its_daemon(self):
        self.box.sh("systemctl start twinspoold.service")
        self.assertEqual(self.box.out(f"sqlite3 -readonly {QUEUE} 'PRAGMA user_version'"), str(self.schema()))


class Removal(Packaged):
    def test_removing_keeps_the_queue_and_purging_removes_it_without_a_question(self):
        self.cloud.down()
        self.addCleanup(self.cloud.up)
        self.box.sh("systemctl restart twinspoold.service")
        self.assertEqual(self.curl("app", "pump", "kept-1").stdout, "204")
        self.box.sh("apt-get remove -y twinspool")
        self.assertEqual(self.box.out("pgrep twinspoold", check=False), "")
        self.assertEqual(self.box.out(f"ls {SOCKET} 2>/dev/null", check=False), "")
        self.assertEqual(self.box.out(f"sqlite3 -readonly {QUEUE} 'SELECT message_id FROM queue'"), "kept-1")
        self.install(deb("twinspool"))
        self.cloud.up()
        self.assert_delivered(["kept-1"])
        self.box.sh("apt-get purge -y twinspool </dev/null")
        self.assertFalse(os.path.exists(self.box.path("/var/lib/twinspool")))
        self.assertEqual(self.box.out("systemctl list-unit-files 'twinspoold*' --no-legend", check=False), "")
        self.assertNotEqual(self.box.out("getent passwd twinspool"), "")


class Developers(Packaged):
    def test_an_application_is_built_with_the_client_library_and_sends(self):
        self.install(deb("libtwinspool-client-dev"))
        self.box.sh("systemctl restart twinspoold.service")
        self.box.sh("cd /tmp && cp /usr/share/doc/libtwinspool-client-dev/examples/send.c . && "
                    "cc -Wall -o send send.c $(pkg-config --cflags --libs twinspool-client) && chmod 755 send")
        before = self.status()["totals"]["accepted"]
        self.box.sh("echo '{\"a\": 1}' | runuser -u app -- /tmp/send pump")
        self.assertEqual(self.status()["totals"]["accepted"], before + 1)


@unittest.skipUnless(os.environ.get("TWINSPOOL_FULL"), "TWINSPOOL_FULL is not set: no Debian 13 is made")
class NextDebian(Packaged):
    suite = "trixie"

    def test_the_same_package_runs_on_debian_13(self):
        self.box.sh("systemctl restart twinspoold.service")
        sent = str(uuid.uuid4())
        self.assertEqual(self.curl("app", "pump", sent).stdout, "204")
        self.assert_delivered([sent])
        self.box.sh("apt-get purge -y twinspool </dev/null")


if __name__ == "__main__":
    unittest.main()
