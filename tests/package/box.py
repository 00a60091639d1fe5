"""A machine with a real systemd, in a container of systemd-nspawn, for one test at a time.

Its root is an overlay over a Debian that is made once (debootstrap) and kept in $TWINSPOOL_BOXES (build/package/boxes). It
shares the network of the host, so that a stand-in cloud on the loopback can be reached. Takes root.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BOXES = os.environ.get("TWINSPOOL_BOXES", os.path.join(ROOT, "build/package/boxes"))

# What twinspool depends on, so that installing it needs no network, and what the tests use.
PACKAGES = {
    "bookworm": "systemd systemd-sysv dbus adduser ca-certificates curl sqlite3 openssl libuv1 libssl3 libsqlite3-0 "
                "libstdc++6 procps gcc libc6-dev pkg-config".split(),
    "trixie": "systemd systemd-sysv dbus adduser ca-certificates curl sqlite3 openssl libuv1t64 libssl3t64 libsqlite3-0 "
              "libstdc++6 procps".split(),
}


def why_not():
    """A reason why no box can be made here; None where one can."""
    if os.geteuid() != 0:
        return "it takes root"
    for tool in ("systemd-nspawn", "debootstrap", "nsenter", "dpkg-deb"):
        if not shutil.which(tool):
            return f"{tool} is not installed (scripts/setup package)"
    return None


def run(*command, check=True, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def mirror():
    """The one that apt uses here; none: debootstrap knows one itself."""
    sites = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Codename: bookworm").stdout
    return sites.split()[:1]


def base_of(suite):
    base = os.path.join(BOXES, suite)
    os.makedirs(BOXES, exist_ok=True)
    with open(base + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits, and finds it
        make_base(suite, base)
    return base


def make_base(suite, base):
    if os.path.exists(os.path.join(base, ".complete")):
        return
    shutil.rmtree(base, ignore_errors=True)
    os.makedirs(os.path.join(base, "etc/dpkg/dpkg.cfg.d"))
    with open(os.path.join(base, "etc/dpkg/dpkg.cfg.d/unsynced"), "w", encoding="ascii") as file:
        file.write("force-unsafe-io\n")  # it can be made again, and syncs take most of the time
    run("debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES[suite]), suite, base, *mirror())
    shutil.rmtree(os.path.join(base, "var/cache/apt/archives"), ignore_errors=True)
    os.makedirs(os.path.join(base, "var/cache/apt/archives/partial"))
    with open(os.path.join(base, ".complete"), "w", encoding="utf-8"):
        pass


class Box:
    def __init__(self, suite="bookworm"):
        base = base_of(suite)
        self.directory = tempfile.mkdtemp(prefix="box-", dir=BOXES)
        self.root = os.path.join(self.directory, "root")
        for name in ("root", "upper", "work"):
            os.mkdir(os.path.join(self.directory, name))
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={self.directory}/upper,"
            f"workdir={self.directory}/work", self.root)
        self.process = None
        self.leader = None

    def start(self):
        """Boots, until systemd says that all is up."""
        name = "box-" + uuid.uuid4().hex  # an underscore is not allowed in it
        self.console = open(os.path.join(self.directory, "console"), "ab")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", "--directory=" + self.root, "--machine=" + name, "--register=no",
             "--keep-unit", "--resolv-conf=off", "--timezone=off", "--console=pipe", "--kill-signal=SIGRTMIN+3"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, stdin=subprocess.DEVNULL, stdout=self.console,
            stderr=subprocess.STDOUT, start_new_session=True)
        self.leader = self.wait_for("its first process", self.find_leader)
        self.wait_for("systemd", lambda: self.sh("systemctl is-system-running", check=False).stdout.strip()
                      in ("running", "degraded"))
        return self

    def find_leader(self):
        if self.process.poll() is not None:
            raise AssertionError("the box ended: " + self.console_text())
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="utf-8") as file:
            for pid in file.read().split():
                with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() == "systemd":
                        return pid
        return None

    def console_text(self):
        with open(os.path.join(self.directory, "console"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def wait_for(self, what, probe, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            found = probe()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds} s for {what} in vain")
            time.sleep(0.05)

    def sh(self, script, check=True, user=None, stdin=None):
        """A shell in the box, outside of its units: as root, or as `user` with the groups that it has there."""
        inside = ["/bin/sh", "-c", script]
        if user:
            inside = ["/usr/sbin/runuser", "-u", user, "--", *inside]
        return run("nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--pid", "--", "/usr/bin/env", "-i",
                   "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *inside,
                   check=check, input=stdin, timeout=300)

    def out(self, script, **options):
        return self.sh(script, **options).stdout.strip()

    def show(self, unit, what):
        return self.out(f"systemctl show -P {what} {unit}")

    def journal(self, unit="twinspoold"):
        return self.sh(f"journalctl -u {unit} --no-pager -o cat", check=False).stdout

    def path(self, inside):
        return self.root + inside

    def write(self, inside, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(inside), mode)

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.console.close()
        run("umount", "--lazy", self.root, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
