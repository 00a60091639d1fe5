"""Real proxies for the end-to-end tests: tinyproxy and squid (Debian packages), each in the test's directory."""

import glob
import os
import pwd
import shutil
import socket
import subprocess

from harness import wait_for


def free_port(host="127.0.0.1"):
    """A port that was free a moment ago: neither proxy can be told to take one of the kernel's choice."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Proxy:
    """Started on construction, ready when the constructor returns."""

    name = None

    def __init__(self, directory, **options):
        self.directory = os.path.join(directory, self.name)
        os.makedirs(self.directory, exist_ok=True)
        self.port = free_port()
        self.options = options
        self.process = None
        self.start()

    def start(self):
        self.log_path = os.path.join(self.directory, "proxy.log")
        arguments = self.configure(**self.options)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([program(self.name), *arguments], cwd=self.directory, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_for(f"{self.name} to listen", self.listening)

    def listening(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def url(self):
        return f"http://localhost:{self.port}"

    def url_with(self, credentials):
        return f"http://{credentials}@localhost:{self.port}"

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path


class Tinyproxy(Proxy):
    name = "tinyproxy"

    def configure(self, connect_port=None, user=None, password=None):
        lines = [f"Port {self.port}", "Listen 127.0.0.1", "MaxClients 100", "Timeout 600", "LogLevel Connect"]
        if connect_port is not None:
            lines.append(f"ConnectPort {connect_port}")
        if user is not None:
            lines.append(f"BasicAuth {user} {password}")
        return ["-d", "-c", self.write("tinyproxy.conf", "\n".join(lines) + "\n")]


class Squid(Proxy):
    name = "squid"

    @property
    def service(self):
        """Squid's shared memory is called after it, and that of one that was killed stands in the next one's way."""
        return f"ts{self.port}"

    def kill(self):
        super().kill()
        for left in glob.glob(f"/dev/shm/{self.service}-*"):
            os.remove(left)

    def configure(self, allow=True, user=None, password=None):
        lines = [
            f"http_port 127.0.0.1:{self.port}", f"pid_filename {self.directory}/squid.pid",
            f"cache_log {self.directory}/cache.log", f"access_log stdio:{self.directory}/access.log", "cache deny all",
            "shutdown_lifetime 0 seconds", f"coredump_dir {self.directory}", "visible_hostname squid.test",
        ]
        if os.geteuid() == 0:
            lines.append("cache_effective_user proxy")
            owner = pwd.getpwnam("proxy")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        if user is not None:
            passwords = self.write("passwords", f"{user} {password}\n")
            helper = self.write("basic-auth.sh", AUTH_HELPER)
            os.chmod(helper, 0o755)
            lines += [f"auth_param basic program {helper} {passwords}", "auth_param basic children 2",
                      "auth_param basic realm plant", "acl known proxy_auth REQUIRED", "http_access deny !known"]
        lines.append("http_access allow all" if allow else "http_access deny all")
        return ["-N", "-n", self.service, "-f", self.write("squid.conf", "\n".join(lines) + "\n")]

    def log(self):
        text = super().log()
        for name in ("cache.log", "access.log"):
            path = os.path.join(self.directory, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as log:
                    text += log.read()
        return text


# Squid's protocol for such helpers: "user password" a line, escaped as in a URL; OK or ERR a line.
AUTH_HELPER = """#!/bin/sh
while read -r line; do
  if grep -qxF "$line" "$1"; then echo OK; else echo ERR; fi
done
"""
