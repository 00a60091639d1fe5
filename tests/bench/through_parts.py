"""What scripts/bench through is made of: a cloud that notes when each message came, applications that send at a given rate
with the time at their source, and the daemon between them."""

import collections
import datetime
import json
import multiprocessing
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import harness  # noqa: E402

BODY = '{"temperature":21.5,"text":"' + "x" * 270 + '"}'
Seen = collections.namedtuple("Seen", "at message_id source_time")  # at: seconds of the epoch


def quantiles(seconds):
    """In ms."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0}
    pick = {"p50_ms": 0.5, "p99_ms": 0.99, "p99.9_ms": 0.999}
    return {"count": len(ordered), **{name: 1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in pick.items()},
            "max_ms": 1000 * ordered[-1]}


def commit_bounds(before, after):
    """Of the commits between two looks: the bound within which half, 99 % and all of them were, in ms."""
    counts = {bound: after[bound] - before.get(bound, 0) for bound in after}
    total = max(counts.values(), default=0)
    within = {name: next((bound for bound in sorted(counts) if counts[bound] >= share * total), None)
              for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))}
    return {"count": total, **{name: 1000 * bound for name, bound in within.items() if total and bound != float("inf")}}


class Cloud:
    """nginx with one worker: TLS 1.3, 204 for everything, a line in its log for each message."""

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.ca_file, self.log = f"{directory}/cert.pem", f"{directory}/seen.log"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-keyout", f"{directory}/key.pem", "-out", self.ca_file, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{directory}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(f"""
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format seen '$msec $http_message_id $http_telemetry_source_time'; access_log {self.log} seen buffer=64k flush=1s;
  keepalive_requests 1000000000; keepalive_timeout 600s; {temporary}
  server {{ listen 127.0.0.1:{self.port} ssl backlog=1024; ssl_certificate {self.ca_file}; ssl_certificate_key {directory}/key.pem;
            ssl_protocols TLSv1.3; location / {{ return 204; }} }}
}}""")

    def up(self):
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{self.directory}/nginx.conf"], stderr=subprocess.DEVNULL)
        harness.wait_for("nginx", self.listening)

    def listening(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def down(self):
        if self.process:
            self.process.terminate()  # at once; what is buffered of the log is written
            self.process.wait()
            self.process = None

    def seen(self):
        """All that came, once nginx is down."""
        with open(self.log, encoding="ascii") as file:
            for line in file:
                at, message_id, source_time = line.split(" ", 2)
                yield Seen(float(at), message_id, source_time.rstrip("\n"))


def source_to_cloud(seen):
    """Seconds. Source times here have a fraction of six digits and a Z."""
    return [each.at - datetime.datetime.fromisoformat(each.source_time.replace("Z", "+00:00")).timestamp() for each in seen]


def send_at_rate(path, name, twins, rate, stop, seconds, result):
    """One process: so many messages a second over the twins in turn, whether answers come or not, each with its source's time."""
    connections = []
    poll = select.epoll()
    for _ in range(min(16, twins)):
        each = socket.socket(socket.AF_UNIX)
        each.connect(path)
        poll.register(each, select.EPOLLIN)
        connections.append((each, collections.deque()))
    by_descriptor = {each.fileno(): [each, sent, b""] for each, sent in connections}
    latencies, sent, refused = [], 0, 0
    begun = time.monotonic()
    end = begun + seconds if seconds else float("inf")
    while True:
        now = time.monotonic()
        over = now >= end or stop.is_set()
        due = 0 if over else int((now - begun) * rate) - sent
        for _ in range(due):
            connection, times = connections[sent % len(connections)]
            source = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
            connection.sendall((f"POST /digitaltwins/{name}-{sent % twins}/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: x\r\n"
                                f"Content-Type: application/json\r\nMessage-Id: {name}-{sent}\r\nTelemetry-Source-Time: {source}\r\n"
                                f"Content-Length: {len(BODY)}\r\n\r\n{BODY}").encode())
            times.append(time.monotonic())
            sent += 1
        for descriptor, _ in poll.poll(min(0.002, 1 / rate)):
            entry = by_descriptor[descriptor]
            *answers, entry[2] = (entry[2] + entry[0].recv(65536)).split(b"\r\n\r\n")
            now = time.monotonic()
            for answer in answers:
                if answer.startswith(b"HTTP/1.1 204"):
                    latencies.append(now - entry[1].popleft())
                elif answer.startswith(b"HTTP/1.1 "):  # its body is the next part, and counts for nothing
                    entry[1].popleft()
                    refused += 1
        if over and (not any(times for _, times in connections) or now > end + 20):
            break
    result.send({"sent": sent, "refused": refused, "acknowledged": quantiles(latencies)})


class Application:
    def __init__(self, daemon, name, twins, rate, seconds=0):
        self.stopping = multiprocessing.Event()
        self.pipe, there = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=send_at_rate, daemon=True,
                                               args=(daemon.socket, name, twins, rate, self.stopping, seconds, there))
        self.process.start()

    def result(self):
        got = self.pipe.recv()
        self.process.join()
        return got

    def stop(self):
        self.stopping.set()
        return self.result()


class Gateway:
    """The daemon with its defaults and a store of its own on the disk that is measured, in front of a cloud."""

    def __init__(self, root, forward=None, store=None):
        self.directory = tempfile.mkdtemp(prefix="g-", dir=root)
        self.cloud = Cloud(self.directory)
        self.daemon = harness.Daemon(self.directory, type("Endpoint", (), {
            "endpoint": f"https://localhost:{self.cloud.port}", "ca_file": self.cloud.ca_file})())
        self.daemon.config["forward"] = {"endpoint": f"https://localhost:{self.cloud.port}", "tls": {"ca_file": self.cloud.ca_file},
                                         **(forward or {})}
        self.daemon.config["store"].update(store or {})
        self.daemon.config["log"] = {"level": "error"}

    def __enter__(self):
        self.daemon.start()
        return self

    def __exit__(self, *_):
        self.daemon.kill()
        self.cloud.down()
        shutil.rmtree(self.directory, ignore_errors=True)

    def twinspool(self, *arguments):
        done = subprocess.run([os.path.join(harness.BIN, "twinspool"), "--config", self.daemon.config_path, *arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: twinspool {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def bench(self, *arguments):
        return json.loads(self.twinspool("bench", "--yes", "--json", *arguments))

    def waiting(self):
        return self.daemon.status()["queue"]["messages"]

    def delivered(self):
        return self.daemon.status()["totals"]["delivered"]

    def commits(self):
        """How long commits took, checkpoints included: so many within each of the daemon's bounds, in seconds."""
        text = harness.call(self.daemon.admin, "GET", "/metrics").body.decode()
        prefix = 'twinspool_ingest_commit_duration_seconds_bucket{le="'
        pairs = [line[len(prefix):].split('"} ') for line in text.splitlines() if line.startswith(prefix)]
        return {float(bound.replace("+Inf", "inf")): int(count) for bound, count in pairs}

    def wait_until_at_most(self, messages, seconds=600):
        begun = time.monotonic()
        while self.waiting() > messages:
            if time.monotonic() - begun > seconds:
                sys.exit(f"bench: {self.waiting()} messages still wait after {seconds} s")
            time.sleep(0.02)
        return time.monotonic()
