"""scripts/bench peers: twinspool beside what Debian has for the same work: mosquitto, nats-server (JetStream) and rsyslog.

usage: scripts/bench peers [--seconds S] [--runs N] [--waiting N] [--rounds N] [--only NAME] [--quick]

The work: take a message of 300 bytes in, acknowledge it, keep it for a consumer that is away. For each: what an acknowledgement
promises, acknowledgements a second, bytes written a message, memory and start-up with a backlog, and what a consumer gets
after a kill -9 and after a power cut under load, against what was acknowledged. All have the same Python clients (they take a
share of the machine, which is printed); clients that were not answered send again under the same id, as each protocol has it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from peers_load import Load, Running, drive
from peers_mosquitto import Mosquitto, MosquittoOnChanges
from peers_nats import NatsServer
import peers_powercut
from peers_rsyslog import Rsyslog, RsyslogDisk, RsyslogSynced
from peers_twinspool import Twinspool

RESULTS = os.environ["TWINSPOOL_RESULTS"]
LOADS = ((1, 1), (8, 1), (64, 1), (8, 16))  # clients, requests in flight of each
PEERS = [Twinspool, Mosquitto, MosquittoOnChanges, NatsServer, Rsyslog, RsyslogDisk, RsyslogSynced]


def version(peer):
    if not peer.package:
        return "this checkout"
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", peer.package], capture_output=True, text=True, check=True).stdout


class Place:
    """A directory of its own for one server, removed with it."""

    def __init__(self, root, peer, disk=False):
        self.directory = tempfile.mkdtemp(prefix="p-", dir=root)
        self.disk = peers_powercut.Disk(self.directory) if disk else None
        data = os.path.join(self.disk.mounted if disk else self.directory, "data")
        os.mkdir(data)
        self.server = peer(data)

    def __enter__(self):
        return self.server

    def __exit__(self, *_):
        self.server.end()
        if self.disk:
            self.disk.unmount()
        shutil.rmtree(self.directory, ignore_errors=True)


def syncs(root, seconds):
    """What the disk does without anybody: appends of 300 bytes, each synced, a second."""
    with tempfile.TemporaryFile(dir=root, buffering=0) as file:
        begun, count = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            file.write(b"x" * 300)
            os.fdatasync(file.fileno())
            count += 1
    return count / seconds


def rate(root, peer, clients, in_flight, seconds):
    with Place(root, peer) as server:
        server.start()
        before = server.written()
        measured = server.send(clients, in_flight, seconds=seconds)
        sent = max(1, measured["total"])  # with the warm-up
        result = {key: measured[key] for key in ("per_second", "p50_ms", "p99_ms", "client_cpu_us", "client_busy", "stuck")}
        result["bytes_per_message"] = (server.written() - before) / sent
        result["bytes_per_message_with_stop"] = (server.stop() - before) / sent
    return result


def rates(root, peers, options, results):
    """All peers take turns, because a shared machine changes its mind."""
    for clients, in_flight in LOADS:
        runs = {peer: [] for peer in peers}
        for _ in range(options.runs):
            for peer in peers:
                runs[peer].append(rate(root, peer, clients, in_flight, options.seconds))
        for peer in peers:
            row = {key: statistics.median(run[key] or 0 for run in runs[peer]) for key in runs[peer][0]}
            spread = [run["per_second"] for run in runs[peer]]
            row.update(clients=clients, in_flight=in_flight, least=min(spread), most=max(spread),
                       stuck=any(run["stuck"] for run in runs[peer]))
            results["peers"][peer.name].setdefault("rates", []).append(row)
            print(f"{peer.name:28} {clients:3d} x {in_flight:2d} {row['per_second']:9.0f} {row['least']:7.0f}-{row['most']:<7.0f} "
                  f"{row['p50_ms']:7.2f} {row['p99_ms']:8.2f} {row['bytes_per_message']:8.0f} {row['bytes_per_message_with_stop']:10.0f} "
                  f"{row['client_cpu_us']:7.0f} {row['client_busy']:5.2f}" + ("   stuck: it stopped answering" if row["stuck"] else ""),
                  flush=True)
        if Twinspool in peers:
            with Place(root, Twinspool) as server:
                server.start()
                row = results["peers"][Twinspool.name]["rates"][-1]
                row["own_client_per_second"] = server.own_client(clients, in_flight, options.seconds)
            print(f"{'twinspool, its own client':28} {clients:3d} x {in_flight:2d} {row['own_client_per_second']:9.0f}", flush=True)


def waiting(root, peer, messages):
    """Memory and start-up with a backlog; a start is measured until a message is acknowledged, with its files out of the cache."""
    with Place(root, peer.fill_with or peer) as server:
        server.start()
        filled = server.send(8, 64, count=messages, seconds=0)
        if filled["stuck"] or filled["count"] < messages // 8 * 8:
            return {"failed": f"took in {filled['count']} of {messages}, then stopped answering"}
        took_in = server.memory()
        begun = time.monotonic()
        server.stop()
        stop_seconds = time.monotonic() - begun
        server.__class__ = peer
        server.forget_cache()
        clean = server.start()
        rss, pss = server.memory()
        server.kill()
        server.forget_cache()
        killed = server.start()
    return {"messages": messages, "filled_per_second": filled["per_second"], "rss_mib_when_filled": took_in[0], "rss_mib": rss,
            "pss_mib": pss, "stop_seconds": stop_seconds, "start_seconds": clean, "start_after_kill_seconds": killed}


def killed(root, peer, power_cut):
    """One round: what was acknowledged under load, and what a consumer gets after the end and a new start on the same files."""
    place = Place(root, peer, power_cut)
    with place as server:
        server.start()
        server.stop()  # what was set up is on the disk, and is no part of what is counted
        server.start()
        subprocess.run(["sync", "-f", server.directory], check=True)
        at_work = Running(server.protocol, Load(8, 4, seconds=60, keep=True))
        time.sleep(random.uniform(0.8, 1.6))
        if power_cut:
            server.process.send_signal(signal.SIGSTOP)  # nothing is acknowledged from here on
            place.disk.cut()
        server.kill()
        measured = at_work.result()
        if power_cut:
            place.disk.power_up()
        server.start()
        again = drive(server.protocol, Load(8, 4, keep=True, resend=measured["unacked"]))
        got = [each for each in server.consume(len(measured["acked"])) if not each.startswith("start-")]
    acked = set(measured["acked"]) | set(again["acked"])
    return {"acked": len(acked), "got": len(set(got)), "lost": len(acked - set(got)), "twice": len(got) - len(set(got)),
            "not_acked_again": sum(len(ids) for ids in again["unacked"].values())}


def rounds(root, peer, options, power_cut):
    total = {}
    for _ in range(options.rounds):
        for key, number in killed(root, peer, power_cut).items():
            total[key] = total.get(key, 0) + number
    total["rounds"] = options.rounds
    return total


def show_waiting(name, row):
    if "rss_mib" not in row:
        print(f"{name:28} {row.get('failed') or 'not measured: ' + row['skipped']}", flush=True)
        return
    print(f"{name:28} {row['filled_per_second']:9.0f} {row['rss_mib_when_filled']:10.1f} {row['rss_mib']:8.1f} {row['pss_mib']:8.1f} "
          f"{row['stop_seconds']:8.2f} {row['start_seconds']:8.3f} {row['start_after_kill_seconds']:10.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="of each rate")
    parser.add_argument("--runs", type=int, default=3, help="of each rate: medians")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="messages of the backlog")
    parser.add_argument("--rounds", type=int, default=3, help="kills and power cuts of each")
    parser.add_argument("--only", default="", help="those with this in their name")
    parser.add_argument("--quick", action="store_true", help="one run of 1.5 s, a backlog of 100,000, one round")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.runs, options.waiting, options.rounds = 1.5, 1, 100_000, 1
    peers = [peer for peer in PEERS if options.only in peer.name]
    root = os.path.abspath(tempfile.mkdtemp(prefix="ts-peers-", dir=RESULTS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is mounted and started is ended
    results = {"load_average": os.getloadavg(), "seconds": options.seconds, "runs": options.runs, "peers": {
        peer.name: {"version": version(peer), "settings": peer.settings, "promise": peer.promise} for peer in peers}}
    try:
        for peer in peers:
            print(f"{peer.name} ({version(peer)}): {'; '.join(peer.settings)}\n    acknowledged: {peer.promise}")
        results["syncs_per_second"] = statistics.median(syncs(root, options.seconds) for _ in range(options.runs))
        print(f"\nthe disk alone: {results['syncs_per_second']:.0f} appends of 300 bytes a second, each synced")
        print(f"\nacknowledged messages of 300 bytes; medians of {options.runs} x {options.seconds:g} s; times of an acknowledgement "
              "in ms; bytes written\na message while running, and with a clean stop; client: its own CPU in us a message, and of one core "
              "(near 1: it is the limit). twinspool on its Unix socket, the others on loopback TCP\n"
              f"{'':28} {'clients':>8} {'acks/s':>9} {'least-most':>15} {'p50':>7} {'p99':>8} {'bytes':>8} {'with stop':>10} {'CPU us':>7} "
              f"{'busy':>5}")
        rates(root, peers, options, results)
        print(f"\n{options.waiting} waiting; MiB; seconds from the start of the program until it has acknowledged a message, files not in "
              "the cache\n"
              f"{'':28} {'filled/s':>9} {'RSS filled':>10} {'RSS':>8} {'PSS':>8} {'stop s':>8} {'start s':>8} {'after kill':>10}")
        for peer in peers:
            row = {"skipped": peer.cannot_wait} if peer.cannot_wait else waiting(root, peer, options.waiting)
            results["peers"][peer.name]["waiting"] = row
            show_waiting(peer.name, row)
        no_disk = peers_powercut.available(os.path.join(root, "probe"))
        print(f"\nunder load of 8 clients, {options.rounds} rounds each: acknowledged, lost, delivered twice"
              + (f" (no power cuts here: {no_disk})" if no_disk else "")
              + f"\n{'':28} {'kill -9':>9} {'lost':>8} {'twice':>7} {'power cut':>10} {'lost':>8} {'twice':>7}")
        for peer in peers:
            results["peers"][peer.name]["kill"] = kill = rounds(root, peer, options, False)
            line = f"{peer.name:28} {kill['acked']:9d} {kill['lost']:8d} {kill['twice']:7d}"
            if not no_disk:
                results["peers"][peer.name]["power_cut"] = cut = rounds(root, peer, options, True)
                line += f" {cut['acked']:10d} {cut['lost']:8d} {cut['twice']:7d}"
            print(line, flush=True)
        with open(os.path.join(RESULTS, "peers.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        print("\nwritten: bench/results/peers.json; load average at the start: " + f"{results['load_average'][0]:.1f}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
