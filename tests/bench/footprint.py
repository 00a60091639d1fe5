"""scripts/bench footprint: what the daemon takes of a gateway: memory, CPU, wake-ups and writes, idle, at 100 messages a second, at
full rate, and with many waiting. The cloud is nginx on loopback with TLS.

usage: scripts/bench footprint [--idle S] [--seconds S] [--waiting N] [--quick]

Resident memory (VmRSS, and its part that belongs to no file) and proportional memory (PSS) from /proc/PID; wake-ups are the context
switches of all its threads, of which those that are not voluntary are other programs that take the core away; written is what the
kernel counts as written for it (/proc/PID/io).
"""

import argparse
import glob
import json
import os
import shutil
import sys
import tempfile
import time

from through_parts import Application, Gateway

RESULTS = os.environ["TWINSPOOL_RESULTS"]
TICKS = os.sysconf("SC_CLK_TCK")


def fields(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return {line.split(":")[0]: line.split(":")[1].split()[0] for line in file if ":" in line and line.split(":")[1].split()}


class Sample:
    """What /proc says of a process at one moment."""

    def __init__(self, pid):
        self.at = time.monotonic()
        status, smaps = fields(f"/proc/{pid}/status"), fields(f"/proc/{pid}/smaps_rollup")
        self.rss_mib, self.anonymous_mib, self.peak_mib = (int(status[key]) / 1024 for key in ("VmRSS", "RssAnon", "VmHWM"))
        self.pss_mib = int(smaps["Pss"]) / 1024
        self.written = int(fields(f"/proc/{pid}/io")["write_bytes"])
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            user, system = file.read().rsplit(") ", 1)[1].split()[11:13]
        self.cpu = (int(user) + int(system)) / TICKS
        self.switches = self.voluntary = 0
        for task in glob.glob(f"/proc/{pid}/task/*/status"):
            each = fields(task)
            self.voluntary += int(each["voluntary_ctxt_switches"])
            self.switches += int(each["voluntary_ctxt_switches"]) + int(each["nonvoluntary_ctxt_switches"])


def between(first, last, messages=0):
    seconds = last.at - first.at
    facts = {"seconds": seconds, "rss_mib": last.rss_mib, "anonymous_mib": last.anonymous_mib, "pss_mib": last.pss_mib,
             "peak_mib": last.peak_mib, "cpu_percent": 100 * (last.cpu - first.cpu) / seconds,
             "wake_ups_per_second": (last.switches - first.switches) / seconds,
             "voluntary_per_second": (last.voluntary - first.voluntary) / seconds,
             "written_per_minute": 60 * (last.written - first.written) / seconds, "messages_per_second": messages / seconds}
    if messages:
        facts.update(cpu_us_per_message=1e6 * (last.cpu - first.cpu) / messages,
                     written_per_message=(last.written - first.written) / messages,
                     wake_ups_per_message=(last.switches - first.switches) / messages)
    return facts


def show(name, facts):
    print(f"{name:34} {facts['messages_per_second']:9.0f} {facts['rss_mib']:7.1f} {facts['anonymous_mib']:7.1f} {facts['pss_mib']:7.1f} "
          f"{facts['peak_mib']:7.1f} {facts['cpu_percent']:7.2f} {facts['wake_ups_per_second']:10.2f} "
          f"{facts['voluntary_per_second']:9.2f} "
          f"{facts['written_per_minute'] / 1024:11.1f}", flush=True)
    return facts


def over(gateway, seconds, work=None):
    """`work` gives the messages that were sent meanwhile."""
    pid = gateway.daemon.process.pid
    first = Sample(pid)
    messages = work() if work else time.sleep(seconds) or 0
    return between(first, Sample(pid), messages)


def settle(gateway):
    """Drained, and what was done for it is recorded; then nothing is written for three seconds."""
    gateway.wait_until_at_most(0)
    quiet, last = 0, None
    while quiet < 6:
        time.sleep(0.5)
        written = Sample(gateway.daemon.process.pid).written
        quiet, last = (quiet + 1 if written == last else 0), written


def quiet(gateway, seconds=60):
    """After a start the deduplication window is read behind the scenes: until hardly anything turns any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        first = Sample(gateway.daemon.process.pid)
        time.sleep(1)
        if Sample(gateway.daemon.process.pid).switches - first.switches < 10:
            return


def working(root, options):
    results = {}
    with Gateway(root, {"retry": {"initial": "5ms"}}) as gateway:
        gateway.cloud.up()
        Application(gateway.daemon, "warm", 64, 200, 1).result()
        settle(gateway)
        results["idle"] = show(f"idle, for {options.idle:g} s", over(gateway, options.idle))
        results["at_100"] = show("100 messages/s, in and out", over(
            gateway, 0, lambda: Application(gateway.daemon, "slow", 64, 100, options.seconds).result()["sent"]))
        results["at_full_rate"] = show("64 clients at full rate, in and out", over(
            gateway, 0, lambda: gateway.bench("--clients", "64", "--seconds", str(options.seconds))["messages"]))
        settle(gateway)
        results["idle_again"] = show("idle after that", over(gateway, min(options.idle, 10)))
    return results


def waiting(root, messages, seconds):
    with Gateway(root, store={"max_size": "64GiB"}) as gateway:
        begun = time.monotonic()
        gateway.bench("--clients", "8", "--batch", "100", "--count", str(messages))
        filled = messages / (time.monotonic() - begun)
        results = {"messages": messages, "filled_per_second": filled}
        results["filled"] = show(f"{messages} waiting, just taken in", over(gateway, seconds))
        gateway.daemon.kill()
        begun = time.monotonic()
        gateway.daemon.start()
        results["start_seconds"] = time.monotonic() - begun
        quiet(gateway)
        results["started"] = show(f"{messages} waiting, after a kill -9", over(gateway, seconds))
        gateway.cloud.up()
        gateway.twinspool("kick")
        time.sleep(8)  # slowly at first
        before = gateway.delivered()
        results["draining"] = show("    and on their way out", over(
            gateway, 0, lambda: time.sleep(seconds) or gateway.delivered() - before))
    print(f"\nthe start with them waiting, after the kill: ready in {results['start_seconds']:.3f} s", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=float, default=60, help="seconds of idling")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="messages that wait; 10 million take 6 GiB of disk")
    parser.add_argument("--quick", action="store_true", help="20 s of idling, loads of 3 s, 200,000 waiting")
    options = parser.parse_args()
    if options.quick:
        options.idle, options.seconds, options.waiting = 20, 3, 200_000
    root = os.path.abspath(tempfile.mkdtemp(prefix="ts-foot-", dir=RESULTS))
    if shutil.disk_usage(root).free < options.waiting * 800:
        sys.exit(f"bench: too little space here for {options.waiting} messages")
    try:
        print("MiB; CPU in percent of a core; wake-ups a second; written in KiB a minute\n"
              f"{'':34} {'messages/s':>9} {'RSS':>6} {'of own':>7} "
              f"{'PSS':>7} {'peak':>7} {'CPU %':>7} {'wake-ups/s':>10} {'voluntary':>9} {'KiB/min':>11}")
        results = {"load_average": os.getloadavg(), **working(root, options), "waiting": waiting(root, options.waiting, options.seconds)}
        with open(os.path.join(RESULTS, "footprint.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        print("\nwritten: bench/results/footprint.json")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
