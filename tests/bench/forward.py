"""scripts/bench forward: the forwarder beside wrk and h2load on one nginx that answers 204 over TLS, on loopback and through
a relay that makes a round trip of 50 ms. Rates are medians; compare the ratios of one run.

usage: scripts/bench forward [--seconds S] [--runs N]
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BIN = os.environ["TWINSPOOL_BIN"]
RESULTS = os.environ["TWINSPOOL_RESULTS"]
PORT = 18443
BODY = '{"v":"' + "x" * 192 + '"}'
ROUND_TRIP = 0.05


def start_nginx(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    with open(f"{directory}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(f"""
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{
    listen 127.0.0.1:{PORT} ssl backlog=1024; ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
    ssl_protocols TLSv1.3;
    location /digitaltwins/ghost/ {{
      default_type application/json; add_header x-ms-error-code DigitalTwinNotFound always;
      return 404 '{{"error":{{"code":"DigitalTwinNotFound","message":"no such twin"}}}}';
    }}
    location / {{ return 204; }}
  }}
}}""")
    nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{directory}/nginx.conf"], stderr=subprocess.DEVNULL)
    for _ in range(100):
        if subprocess.run(["curl", "-sk", f"https://127.0.0.1:{PORT}/"], capture_output=True, check=False).returncode == 0:
            return nginx
        if nginx.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit("bench: nginx did not start: " + open(f"{directory}/error.log", encoding="utf-8").read())


def wrk(directory, connections, seconds):
    script = f"{directory}/post.lua"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"wrk.method='POST'; wrk.body='{BODY}'; wrk.headers['Content-Type']='application/json'\n"
                   "wrk.headers['Message-Id']='0b7b1c2e-6f0d-4c56-9d1e-100000000000'\n")
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
                          f"https://127.0.0.1:{PORT}/digitaltwins/twin-1/telemetry?api-version=2023-10-31"],
                         capture_output=True, text=True, check=True).stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def h2load(directory, connections, seconds):
    with open(f"{directory}/data", "w", encoding="utf-8") as file:
        file.write(BODY)
    out = subprocess.run(["h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", "-d", f"{directory}/data",
                          "-H", "Content-Type: application/json",
                          f"https://127.0.0.1:{PORT}/digitaltwins/twin-1/telemetry?api-version=2023-10-31"],
                         capture_output=True, text=True, check=True).stdout
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", out).group(1))


def forwarder(directory, seconds, port=PORT, **options):
    command = [f"{BIN}/forward-bench", "--endpoint", f"https://127.0.0.1:{port}", "--ca", f"{directory}/cert.pem",
               "--seconds", str(seconds)]
    for name, value in options.items():
        command += [f"--{name}"] + ([] if value is True else [str(value)])
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode != 0:
        sys.exit(f"bench: forward-bench failed: {out.stderr}{out.stdout}")
    return json.loads(out.stdout)


def through_the_daemon(directory, connections, twins=200, each=300):
    """twinspoold itself, with its store, from a backlog: messages a second from its first delivery to the last."""
    home = tempfile.mkdtemp(prefix="daemon-", dir=directory)
    config = {"listen": [{"path": f"{home}/m.sock", "mode": "0600", "group": ""}],
              "admin": {"path": f"{home}/a.sock", "mode": "0600", "group": ""}, "store": {"path": f"{home}/queue.db"},
              "log": {"level": "error"}, "forward": {"endpoint": "", "connections": connections,
                                                     "tls": {"ca_file": f"{directory}/cert.pem"}}}

    def twinspool(*arguments, **options):
        return subprocess.run([f"{BIN}/twinspool", "--config", f"{home}/c.yaml", *arguments], capture_output=True, text=True,
                              check=False, **options)

    def start():
        with open(f"{home}/c.yaml", "w", encoding="utf-8") as file:
            json.dump(config, file)
        daemon = subprocess.Popen([f"{BIN}/twinspoold", "--config", f"{home}/c.yaml"])
        while twinspool("status").returncode != 0:
            if daemon.poll() is not None:
                sys.exit("bench: the daemon did not start")
            time.sleep(0.01)
        return daemon

    def delivered():
        return json.loads(twinspool("status", "--json").stdout)["totals"]["delivered"]

    daemon = start()
    try:
        filled = twinspool("bench", "--clients", str(twins), "--count", str(twins * each), "--size", "200", "--yes")
        if filled.returncode != 0:
            sys.exit(f"bench: cannot fill the queue: {filled.stderr}")
        daemon.terminate()
        daemon.wait()
        config["forward"]["endpoint"] = f"https://localhost:{PORT}"
        daemon = start()
        while delivered() == 0:
            pass
        before, begun = delivered(), time.monotonic()
        while (now := delivered()) < twins * each:
            time.sleep(0.02)
        return (now - before) / (time.monotonic() - begun)
    finally:
        daemon.kill()
        daemon.wait()
        shutil.rmtree(home, ignore_errors=True)


def median(runs, measure):
    return statistics.median(measure() for _ in range(runs))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    seconds, runs = arguments.seconds, arguments.runs
    directory = tempfile.mkdtemp(prefix="twinspool-bench-")
    os.chmod(directory, 0o755)
    nginx = relay = None
    results = {"load_average": os.getloadavg(), "loopback": [], "daemon": [], "round_trip_50_ms": []}
    try:
        nginx = start_nginx(directory)
        print("loopback TLS, one nginx worker, 200-byte bodies, medians of", runs)
        print(f"{'connections':>11} {'wrk/s':>9} {'h2load/s':>9} {'ours/s':>9} {'of wrk':>7} {'of h2load':>9} {'CPU us/msg':>10}")
        for connections in (1, 8, 64):
            rows = [(wrk(directory, connections, seconds), h2load(directory, connections, seconds),
                     forwarder(directory, seconds, connections=connections)) for _ in range(runs)]
            theirs, h2 = (statistics.median(row[i] for row in rows) for i in (0, 1))
            ours = statistics.median(row[2]["per_second"] for row in rows)
            cpu = statistics.median(row[2]["cpu_us_per_message"] for row in rows)
            print(f"{connections:11d} {theirs:9.0f} {h2:9.0f} {ours:9.0f} {ours / theirs:7.2f} {ours / h2:9.2f} {cpu:10.1f}", flush=True)
            results["loopback"].append({"connections": connections, "wrk": theirs, "h2load": h2, "ours": ours,
                                        "of_wrk": ours / theirs, "of_h2load": ours / h2, "cpu_us_per_message": cpu})
        for connections in (8, 64):
            ours = median(runs, lambda: through_the_daemon(directory, connections))
            print(f"the daemon, from a backlog of 60,000 in its store, {connections} connections: {ours:.0f}/s", flush=True)
            results["daemon"].append({"connections": connections, "per_second": ours})
        rows = [(forwarder(directory, seconds, connections=64, twins=99)["per_second"],
                 forwarder(directory, seconds, connections=64, twins=100, held=True)["per_second"]) for _ in range(runs)]
        alone, beside = (statistics.median(row[i] for row in rows) for i in (0, 1))
        print(f"\n99 twins: {alone:.0f}/s; beside one that is held: {beside:.0f}/s, {beside / alone:.3f}", flush=True)
        results["one_held_in_a_hundred"] = {"without": alone, "beside": beside, "ratio": beside / alone}
        relay = subprocess.Popen([f"{BIN}/forward-relay-bench", str(PORT), str(ROUND_TRIP * 500)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        port = int(relay.stdout.readline())
        print("\nround trip 50 ms")
        print(f"{'connections':>11} {'twins':>6} {'pipeline':>8} {'ours/s':>9} {'of the limit':>12}   limit: connections x pipeline / RTT")
        for connections, twins, pipeline in ((1, 2, 1), (8, 16, 1), (64, 128, 1), (1, 1, 1), (1, 1, 16)):
            limit = connections * pipeline / ROUND_TRIP
            ours = median(runs, lambda: forwarder(directory, seconds, port, connections=connections, twins=twins,
                                                  pipeline=pipeline)["per_second"])
            print(f"{connections:11d} {twins:6d} {pipeline:8d} {ours:9.1f} {ours / limit:12.3f}", flush=True)
            results["round_trip_50_ms"].append({"connections": connections, "twins": twins, "pipeline": pipeline,
                                                "ours": ours, "of_limit": ours / limit})
        with open(os.path.join(RESULTS, "forward.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        print("\nwritten: bench/results/forward.json; load average at the start:", results["load_average"])
    finally:
        for process in (relay, nginx):
            if process:
                process.terminate()
                process.wait()
        shutil.rmtree(directory, ignore_errors=True)


main()
