"""scripts/bench abuse: what well-behaved clients notice of hostile ones. A daemon that only collects, 1,000 messages a second from
8 clients, and the time to their 204 beside each kind of abuse; the ratios are to the same load of the same round alone, and
to the same load beside a process that does nothing but burn one core, because abuse that costs its sender a core costs
everybody on a small machine as much.

usage: scripts/bench abuse [--seconds S] [--rounds N]
"""

import argparse
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BIN = os.environ["TWINSPOOL_BIN"]
RESULTS = os.environ["TWINSPOOL_RESULTS"]
TARGET = b"/digitaltwins/abuser/telemetry?api-version=2023-10-31"
HEAD = b"POST " + TARGET + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BAD = HEAD + b"Content-Length: 2\r\n\r\n{}"  # no Message-Id: refused at once
IDLE = 5000


def connect(path, timeout=30):
    each = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    each.settimeout(timeout)
    each.connect(path)
    return each


def again_and_again(path, ready, data, reads=True):
    """As fast as one process can: a connection, the bytes, the answer, the end."""
    ready.set()
    while True:
        try:
            with connect(path) as each:
                each.sendall(data)
                if reads:
                    each.recv(4096)
        except OSError:
            pass


def busy(_, ready):
    ready.set()
    while True:
        pass


def idle(path, ready):
    held = [connect(path) for _ in range(IDLE)]
    ready.set()
    time.sleep(len(held))


def drip(path, ready, start):
    """200 clients that send a byte every tenth of a second."""
    held = []
    for _ in range(200):
        held.append(connect(path))
        held[-1].sendall(start)
    ready.set()
    while True:
        for number, each in enumerate(held):
            try:
                each.send(b"x")
            except OSError:  # its time was up
                held[number] = connect(path)
                held[number].sendall(start)
        time.sleep(0.1)


def unread(path, ready):
    """50 clients that fill their pipelines with requests and read no answer."""
    held = [connect(path) for _ in range(50)]
    for each in held:
        each.setblocking(False)
    ready.set()
    while True:
        for each in held:
            try:
                while each.send(BAD * 100):
                    pass
            except BlockingIOError:
                pass
        time.sleep(0.05)


def batches(path, ready):
    """20 clients in whose batches the last byte never comes."""
    held = []
    for _ in range(20):
        each = connect(path)
        each.sendall(b"POST /telemetry:batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 4194304\r\n"
                     b"Expect: 100-continue\r\n\r\n")
        if each.recv(4096).startswith(b"HTTP/1.1 100"):
            each.sendall(b" " * 4194303)
        held.append(each)
    ready.set()
    time.sleep(len(held) * 1000)


def with_body(body):
    return HEAD + b"Message-Id: abuse\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def loop(data, reads=True):
    return lambda path, ready: again_and_again(path, ready, data, reads)


# Whether it is to be compared with a busy process, and what is done.
KINDS = {
    "a process that burns a core": (False, busy),
    f"{IDLE} idle connections": (False, idle),
    "200 slow heads": (False, lambda path, ready: drip(path, ready, HEAD + b"X: ")),
    "200 slow bodies": (False, lambda path, ready: drip(path, ready, HEAD + b"Message-Id: s\r\nContent-Length: 30000\r\n\r\n")),
    "50 pipelines that nobody reads": (False, unread),
    "20 batches that never end": (False, batches),
    "a storm of connections": (True, loop(b"", reads=False)),
    "a storm of endless heads": (True, loop(HEAD + b"X: " + b"y" * 20000 + b"\r\n\r\n")),
    "a storm of lost framing": (True, loop(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}")),
    "a storm of bodies nested 10,000 deep": (True, loop(with_body(b'{"a":' * 5000 + b"{}" + b"}" * 5000))),
    "a storm of bodies of 1 MB": (True, loop(with_body(b"x" * 1000000))),
    "a storm of huge numbers": (True, loop(with_body(b'{"a":' + b"9" * 30000 + b"}x"))),
}


def load(config, seconds):
    out = subprocess.run([f"{BIN}/twinspool", "--config", config, "bench", "--yes", "--json", "--clients", "8", "--in-flight", "4",
                          "--rate", "1000", "--seconds", str(seconds)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)["latency_us"]


def beside(kind, path, config, seconds):
    ready = multiprocessing.Event()
    abuser = multiprocessing.Process(target=kind, args=(path, ready), daemon=True)
    abuser.start()
    ready.wait()
    try:
        return load(config, seconds)
    finally:
        abuser.kill()
        abuser.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are taken")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * IDLE), hard))
    with tempfile.TemporaryDirectory(prefix="ts-abuse-", dir=".") as directory:
        path, config = f"{directory}/t.sock", f"{directory}/twinspool.yaml"
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"listen": [{"path": os.path.abspath(path), "mode": "0600", "group": ""}],
                       "admin": {"path": os.path.abspath(f"{directory}/admin.sock"), "mode": "0600", "group": ""},
                       "ingest": {"connections_max": IDLE + 1000},
                       "store": {"path": os.path.abspath(f"{directory}/queue.db")}, "log": {"level": "error"}}, file)
        daemon = subprocess.Popen([f"{BIN}/twinspoold", "--config", config])
        try:
            while subprocess.run([f"{BIN}/twinspool", "--config", config, "status"], capture_output=True, check=False).returncode:
                if daemon.poll() is not None:
                    sys.exit("bench: the daemon did not start")
                time.sleep(0.05)
            report(measure(path, config, options), options)
        finally:
            daemon.terminate()
            daemon.wait()


def measure(path, config, options):
    rows = {name: [] for name in ("nobody else", *KINDS)}
    load(config, 1)
    for _ in range(options.rounds):
        alone = load(config, options.seconds)
        rows["nobody else"].append((alone, 1.0, 1.0))
        core = None
        for name, (costs_a_core, kind) in KINDS.items():
            got = beside(kind, path, config, options.seconds)
            core = core or got
            rows[name].append((got, got["p99"] / alone["p99"],
                               got["p99"] / core["p99"] if costs_a_core else got["p99"] / alone["p99"]))
    return rows


def report(rows, options):
    print(f"1,000 messages/s from 8 clients beside each; medians of {options.rounds} rounds of {options.seconds:g} s; times in ms\n")
    print(f"{'':40} {'p50':>7} {'p99':>7} {'of p99 alone':>13} {'of a core':>10}")
    results = []
    for name, measured in rows.items():
        p50, p99 = (statistics.median(each[0][key] for each in measured) / 1000 for key in ("p50", "p99"))
        alone, core = (statistics.median(each[n] for each in measured) for n in (1, 2))
        compared = f"{core:10.2f}" if KINDS.get(name, (False,))[0] else f"{'':>10}"
        print(f"{name:40} {p50:7.2f} {p99:7.2f} {alone:13.2f} {compared}")
        results.append({"name": name, "p50_ms": p50, "p99_ms": p99, "of_p99_alone": alone, "of_a_core": core})
    with open(os.path.join(RESULTS, "abuse.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
