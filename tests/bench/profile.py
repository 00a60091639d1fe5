"""scripts/bench profile: where the daemon's time goes at full rate, by thread, library and function (perf's samples of its CPU clock).

usage: scripts/bench profile [--clients N] [--in-flight N] [--seconds S] [--rows N] [--docs]

The load is that of `twinspool bench`, and all of it is delivered meanwhile to nginx on loopback with TLS. Writes
bench/results/profile.json and plots/profile.png; --docs puts the plot into docs/performance/. Functions have names where their
library has symbols: those of Debian's libraries that it does not export are [unknown].
"""

import argparse
import collections
import json
import os
import shutil
import subprocess
import tempfile

from all_report import bars
from through_parts import Gateway

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.environ["TWINSPOOL_RESULTS"]
PARTS = (("[kernel", "kernel"), ("libsqlite3", "SQLite"), ("libcrypto", "OpenSSL"), ("libssl", "OpenSSL"), ("libuv", "libuv"),
         ("libsimdjson", "simdjson"), ("libc.so", "C and C++ library"), ("libstdc++", "C and C++ library"),
         ("libm.so", "C and C++ library"), ("[vdso", "kernel"), ("twinspoold", "twinspool"))


def part_of(library):
    return next((name for start, name in PARTS if library.startswith(start)), "other")


def sample(gateway, options, data):
    recorder = subprocess.Popen(["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "1999", "--output", data,
                                 "--pid", str(gateway.daemon.process.pid)])
    before = gateway.delivered()
    load = gateway.bench("--clients", str(options.clients), "--in-flight", str(options.in_flight), "--seconds", str(options.seconds))
    delivered = gateway.delivered() - before
    recorder.send_signal(2)  # perf writes its file and ends
    recorder.wait()
    return {"messages_per_second": load["messages_per_second"], "delivered_per_second": delivered / options.seconds}


def read(data):
    """{(thread, library, function): samples}"""
    report = subprocess.run(["perf", "script", "--input", data, "--fields", "comm,ip,sym,dso"], check=True, capture_output=True,
                            text=True, errors="replace").stdout
    counts = collections.Counter()
    for line in report.splitlines():
        head, _, library = line.rstrip().rpartition(" (")
        words = head.split()
        if not library.endswith(")") or len(words) < 3:
            continue
        address = next((n for n, word in enumerate(words) if n and all(c in "0123456789abcdef" for c in word)), None)
        if address is None:
            continue
        counts[" ".join(words[:address]), os.path.basename(library[:-1]), " ".join(words[address + 1:])] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=1, help="of each client")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rows", type=int, default=20, help="functions to print")
    parser.add_argument("--docs", action="store_true", help="also puts the plot into docs/performance/")
    options = parser.parse_args()
    root = os.path.abspath(tempfile.mkdtemp(prefix="ts-prof-", dir=RESULTS))
    data = os.path.join(root, "perf.data")
    try:
        with Gateway(root) as gateway:
            gateway.cloud.up()
            gateway.bench("--clients", str(options.clients), "--seconds", "1")
            gateway.wait_until_at_most(0)
            rates = sample(gateway, options, data)
        counts = read(data)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    every = sum(counts.values())
    if not every:
        raise SystemExit("profile: perf took no sample (is kernel.perf_event_paranoid above 2?)")
    by_thread, by_part = collections.Counter(), collections.Counter()
    for (thread, library, _), count in counts.items():
        by_thread[thread] += count
        by_part[thread, part_of(library)] += count
    threads = [thread for thread, count in by_thread.most_common() if count > every / 100]
    parts = sorted({part for _, part in by_part}, key=lambda part: -sum(by_part[thread, part] for thread in threads))
    print(f"{options.clients} clients, {options.in_flight} in flight each: {rates['messages_per_second']:.0f} messages/s taken in, "
          f"{rates['delivered_per_second']:.0f}/s delivered; {every} samples\n\n"
          f"{'% of all':20}" + "".join(f"{thread[:15]:>16}" for thread in threads))
    for part in parts:
        print(f"{part:20}" + "".join(f"{100 * by_part[thread, part] / every:16.1f}" for thread in threads))
    print(f"{'':20}" + "".join(f"{100 * by_thread[thread] / every:16.1f}" for thread in threads) + "\n\nthe largest")
    top = counts.most_common(options.rows)
    for (thread, library, function), count in top:
        print(f"{100 * count / every:6.1f} %  {thread[:15]:15} {library[:24]:24} {function[:80]}")
    plots = os.path.join(RESULTS, "plots")
    os.makedirs(plots, exist_ok=True)
    picture = os.path.join(plots, "profile.png")
    bars(picture, f"Where the time goes, {options.clients} clients: {rates['messages_per_second']:.0f} messages/s", "% of all samples",
         parts, [(thread, [100 * by_part[thread, part] / every for part in parts]) for thread in threads])
    if options.docs:
        shutil.copy(picture, os.path.join(HERE, "../../docs/performance/profile.png"))
    with open(os.path.join(RESULTS, "profile.json"), "w", encoding="utf-8") as file:
        json.dump({**rates, "clients": options.clients, "in_flight": options.in_flight, "samples": every,
                   "parts": [{"thread": thread, "part": part, "percent": 100 * count / every}
                             for (thread, part), count in by_part.most_common()],
                   "functions": [{"thread": thread, "library": library, "function": function, "percent": 100 * count / every}
                                 for (thread, library, function), count in top]}, file, indent=1)


if __name__ == "__main__":
    main()
