"""scripts/bench through: from the application through the daemon to the cloud (nginx, TLS, 204), all on loopback.

usage: scripts/bench through [--seconds S] [--backlog N] [--quick]

  steady    so many messages a second: time to the 204, and from the source to the cloud
  both      taking in alone, delivering alone, and both at once as fast as they go
  catch up  a backlog of busy twins after an outage, while they and idle twins go on sending: the rate, and how long the
            messages of the idle twins take beside it (with fewer and with more busy twins than connections)

After an outage or a start the daemon sends slowly at first, for the sake of fleets: 7 seconds with the defaults. The figures
are taken without (forward.retry.initial: 5ms makes it 70 ms), but for the one that says so.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time

from through_parts import Application, Gateway, commit_bounds, quantiles, source_to_cloud

RESULTS = os.environ["TWINSPOOL_RESULTS"]
AT_ONCE = {"retry": {"initial": "5ms"}}


def row(name, facts):
    def shown(part):
        if not part.get("count"):
            return f"{'-':>8} {'-':>8} {'-':>9}"
        return f"{part['p50_ms']:8.1f} {part['p99_ms']:8.1f} {part['max_ms']:9.1f}"

    print(f"{name:52} {facts['per_second']:9.0f} {shown(facts['acknowledged'])} {shown(facts['source_to_cloud'])}", flush=True)


def steady(root, rate, seconds):
    with Gateway(root, AT_ONCE) as gateway:
        gateway.cloud.up()
        Application(gateway.daemon, "warm", 64, 200, 1).result()
        gateway.wait_until_at_most(0)
        sent = Application(gateway.daemon, "steady", 64, rate, seconds).result()
        gateway.wait_until_at_most(0)
        gateway.cloud.down()
        seen = [each for each in gateway.cloud.seen() if each.message_id.startswith("steady-")]
    facts = {"rate": rate, "sent": sent["sent"], "refused": sent["refused"], "arrived": len({each.message_id for each in seen}),
             "per_second": sent["sent"] / seconds, "acknowledged": sent["acknowledged"],
             "source_to_cloud": quantiles(source_to_cloud(seen))}
    row(f"{rate} messages/s", facts)
    return facts


class Watch:
    """Deliveries while something else goes on."""

    def __init__(self, gateway):
        self.gateway, self.points, self.over = gateway, [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over:
            status = self.gateway.daemon.status()
            self.points.append((time.monotonic(), status["totals"]["delivered"], status["queue"]["messages"]))
            time.sleep(0.05)

    def stop(self):
        """Messages a second delivered, without the first half second."""
        self.over = True
        self.thread.join()
        points = [each for each in self.points if each[0] > self.points[0][0] + 0.5] or self.points
        return (points[-1][1] - points[0][1]) / max(0.001, points[-1][0] - points[0][0])


def both(root, seconds):
    arguments = ("--clients", "64", "--seconds", str(seconds))
    with Gateway(root, AT_ONCE) as gateway:
        gateway.cloud.up()
        gateway.bench("--clients", "64", "--seconds", "0.5")
        gateway.wait_until_at_most(0)
        gateway.twinspool("pause")
        alone = gateway.bench(*arguments)["messages_per_second"]
        gateway.twinspool("resume")
        watch = Watch(gateway)
        gateway.wait_until_at_most(2000)
        out = watch.stop()
        watch, commits = Watch(gateway), gateway.commits()
        in_at_once = gateway.bench(*arguments)["messages_per_second"]
        out_at_once = watch.stop()
        left, commits = gateway.waiting(), commit_bounds(commits, gateway.commits())
        gateway.wait_until_at_most(0)
    facts = {"in_alone": alone, "out_alone": out, "in_at_once": in_at_once, "out_at_once": out_at_once, "left": left, "commits": commits,
             "in_ratio": in_at_once / alone, "out_ratio": out_at_once / out}
    print(f"\n64 clients, as fast as they go     in {alone:.0f}/s alone, out {out:.0f}/s alone; at once in {in_at_once:.0f}/s "
          f"({in_at_once / alone:.2f}), out {out_at_once:.0f}/s ({out_at_once / out:.2f}); {left} waited at the end; "
          f"{commits['count']} commits, half within {commits.get('p50_ms', 0):g} ms, 99 % within {commits.get('p99_ms', 0):g} ms, "
          f"all within {commits.get('max_ms', float('inf')):g} ms", flush=True)
    return facts


def catch_up(root, backlog, twins, forward, name):
    with Gateway(root, forward) as gateway:
        gateway.cloud.up()
        Application(gateway.daemon, "warm", 16, 100, 0.5).result()
        gateway.wait_until_at_most(0)
        gateway.cloud.down()
        gateway.bench("--twin", "busy-", "--clients", str(twins), "--in-flight", "4", "--count", str(backlog), "--size", "300")
        fresh = Application(gateway.daemon, "idle", 10, 50)
        busy = Application(gateway.daemon, "busy", twins, 200)
        time.sleep(1)
        waited = gateway.waiting()
        gateway.cloud.up()
        gateway.twinspool("kick")
        back_at, begun, before = time.time(), time.monotonic(), gateway.delivered()
        caught_up = gateway.wait_until_at_most(200) - begun
        rate = (gateway.delivered() - before) / caught_up
        fresh_sent, busy_sent = fresh.stop(), busy.stop()
        gateway.wait_until_at_most(0)
        gateway.cloud.down()
        seen = [each for each in gateway.cloud.seen() if each.message_id.startswith("idle-")]
    through = source_to_cloud(seen)
    while_catching_up = [took for each, took in zip(seen, through) if back_at < each.at - took < back_at + caught_up]
    facts = {"backlog": waited, "twins": twins, "slowly_at_first": forward is None, "seconds": caught_up, "per_second": rate,
             "refused": fresh_sent["refused"] + busy_sent["refused"], "acknowledged": fresh_sent["acknowledged"],
             "source_to_cloud": quantiles(while_catching_up)}
    facts["of_the_way"] = facts["source_to_cloud"].get("p50_ms", 0) / 1000 / caught_up  # 1: as late as the backlog itself
    row(f"{name}: {caught_up:.1f} s", facts)
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each steady load")
    parser.add_argument("--backlog", type=int, default=500_000, help="messages to catch up from")
    parser.add_argument("--quick", action="store_true", help="3 s each, a backlog of 100,000")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.backlog = 3, 100_000
    root = os.path.abspath(tempfile.mkdtemp(prefix="ts-thr-", dir=RESULTS))
    results = {"load_average": os.getloadavg(), "seconds": options.seconds}
    try:
        print(f"messages of 300 bytes, loads of {options.seconds:g} s; times in ms: to the 204, and from the source to the cloud "
              "(whole ms)\n"
              f"{'':52} {'msg/s':>9} {'204 p50':>8} {'p99':>8} {'max':>9} {'through':>8} {'p99':>8} {'max':>9}")
        results["steady"] = [steady(root, rate, options.seconds) for rate in (100, 1000, 5000)]
        results["both"] = both(root, options.seconds)
        print(f"\ncatching up from {options.backlog} messages, 64 connections; the times are those of 50 messages/s of 10 idle twins "
              "meanwhile, while the busy ones go on with 200/s")
        results["catch_up"] = [catch_up(root, options.backlog, 32, AT_ONCE, "32 busy twins"),
                               catch_up(root, options.backlog, 1000, AT_ONCE, "1000 busy twins"),
                               catch_up(root, options.backlog, 32, None, "32 busy twins, slowly at first")]
        with open(os.path.join(RESULTS, "through.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        print("\nwritten: bench/results/through.json")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
