"""scripts/bench wear: what store.commit_delay saves of flash, and what it adds to the wait for a 204.

usage: scripts/bench wear [--rates N,...] [--delays D,...] [--seconds S]

Applications send so many messages a second (300 bytes, 16 connections, each message when it is due), and all of it is delivered to nginx on
loopback with TLS. Written is what the kernel counts for the daemon (write_bytes of /proc/PID/io) with checkpoints and the records of
deliveries; a year is at that rate day and night.
"""

import argparse
import json
import os
import shutil
import tempfile

from footprint import Sample
from through_parts import Application, Gateway

RESULTS = os.environ["TWINSPOOL_RESULTS"]
WARM_SECONDS = 1
SECONDS_A_YEAR = 365 * 86_400


def commits(gateway):
    return gateway.commits()[float("inf")]


def measure(root, rate, delay, seconds):
    with Gateway(root, {"retry": {"initial": "5ms"}}, {"commit_delay": delay}) as gateway:
        gateway.cloud.up()
        Application(gateway.daemon, "steady", 64, rate, WARM_SECONDS).result()
        gateway.wait_until_at_most(0)
        pid = gateway.daemon.process.pid
        first, commits_before = Sample(pid), commits(gateway)
        sent = Application(gateway.daemon, "wear", 64, rate, seconds).result()
        gateway.wait_until_at_most(0)
        last, commits_after = Sample(pid), commits(gateway)
    bytes_each = (last.written - first.written) / sent["sent"]
    return {"rate": rate, "commit_delay": delay, "sent": sent["sent"], "refused": sent["refused"], "bytes_per_message": bytes_each,
            "commits_per_message": (commits_after - commits_before) / sent["sent"], **sent["acknowledged"],
            "gib_a_year": bytes_each * rate * SECONDS_A_YEAR / (1 << 30)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="10,100,1000", help="messages a second, with commas between")
    parser.add_argument("--delays", default="0ms,10ms,50ms,200ms,1s", help="of store.commit_delay, with commas between")
    parser.add_argument("--seconds", type=float, default=10, help="of each")
    options = parser.parse_args()
    root = os.path.abspath(tempfile.mkdtemp(prefix="ts-wear-", dir=RESULTS))
    rows = []
    try:
        print(f"{'messages/s':>10} {'commit_delay':>13} {'bytes each':>11} {'GiB a year':>11} {'commits each':>13} {'204 p50, ms':>12} {'p99':>8}")
        for rate in map(int, options.rates.split(",")):
            for delay in options.delays.split(","):
                row = measure(root, rate, delay, options.seconds)
                rows.append(row)
                print(f"{rate:10} {delay:>13} {row['bytes_per_message']:11.0f} {row['gib_a_year']:11.0f} {row['commits_per_message']:13.2f} "
                      f"{row['p50_ms']:12.1f} {row['p99_ms']:8.1f}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    with open(os.path.join(RESULTS, "wear.json"), "w", encoding="utf-8") as file:
        json.dump({"seconds": options.seconds, "load_average": os.getloadavg(), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
