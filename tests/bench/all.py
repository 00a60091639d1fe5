"""scripts/bench all: every bench in a short form on one machine in one go (under 30 minutes), and whether the figures are held.

usage: scripts/bench [all] [--only NAME,...] [--rows N,...] [--minutes M] [--docs]

Writes bench/results/<date>.json with the result of each bench, bench/results/<date>.md, a page with what they printed, plots
(bench/results/plots/*.png) and the table of the figures to reach, which is also printed last.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import time

from all_report import page, parse_backlog, parse_store, plot
from all_targets import judge, table

HERE = os.path.dirname(os.path.abspath(__file__))
BIN, RESULTS = os.environ["TWINSPOOL_BIN"], os.environ["TWINSPOOL_RESULTS"]
ROWS = "100000,1000000,10000000"
BYTES_PER_ROW = 700
SHORT = {  # of each bench, in this order: its arguments
    "ingest": ["--dir", RESULTS, "--seconds", "1.5", "--rounds", "1"],
    "store": ["--directory", RESULTS, "--scale", "0.3"],
    "forward": ["--seconds", "2", "--runs", "1"],
    "through": ["--quick"],
    "footprint": ["--quick"],
    "abuse": ["--seconds", "1", "--rounds", "1"],
    "fleet": ["--gateways", "100", "--limit", "200", "--outage", "30", "--after", "90"],
    "peers": ["--quick"],
    "backlog": ["--directory", RESULTS],  # last, and once for each number of rows as long as the time suffices
}


def run(name, arguments):
    """What it printed, shown as it comes; None if it failed."""
    script = os.path.join(HERE, f"{name}.py")
    command = [sys.executable, "-B", script] if os.path.exists(script) else [os.path.join(BIN, f"{name}-bench")]
    print(f"\n== {name} {' '.join(arguments)}", flush=True)
    printed, begun = [], time.monotonic()
    try:
        with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                printed.append(line)
                print(line, end="", flush=True)
    except OSError as error:
        print(f"bench: {error}", file=sys.stderr)
        return None
    print(f"-- {time.monotonic() - begun:.0f} s", flush=True)
    return "".join(printed) if process.returncode == 0 else None


def backlogs(rows, end):
    """One after the other, if it can be done by `end` (of the monotonic clock): what was printed, and the results."""
    texts, results, a_row = [], [], 0
    for number in rows:
        begun = time.monotonic()
        if a_row and begun + number * a_row > end:
            print(f"bench: a backlog of {number} rows would take another {number * a_row / 60:.0f} minutes here: left out "
                  "(scripts/bench backlog; --minutes)", file=sys.stderr)
            continue
        if shutil.disk_usage(".").free < number * BYTES_PER_ROW + (1 << 30):
            print(f"bench: too little space here for a backlog of {number} rows", file=sys.stderr)
            continue
        text = run("backlog", [*SHORT["backlog"], "--rows", str(number)])
        if text is None:
            return None, results
        texts.append(text)
        results.append(parse_backlog(text))
        a_row = (time.monotonic() - begun) / number
    return "\n".join(texts), results


def result_of(name, text):
    if name == "store":
        return parse_store(text)
    with open(os.path.join(RESULTS, f"{name}.json"), encoding="utf-8") as file:
        return json.load(file)


def measure(names, rows, end):
    results, texts, failed = {}, {}, []
    for name in names:
        if name == "backlog":
            text, found = backlogs(rows, end)
            if found:
                results[name] = found
        else:
            text = run(name, SHORT[name])
            if text is not None:
                results[name] = result_of(name, text)
        if text is None:
            failed.append(name)
            print(f"bench: {name} failed", file=sys.stderr, flush=True)
        else:
            texts[name] = text
    return results, texts, failed


def machine():
    def output(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return {"cores": os.cpu_count(), "kernel": platform.release(), "file system": output("stat", "-f", "-c", "%T", "."),
            "commit": output("git", "rev-parse", "--short", "HEAD") or "unknown",
            "load average at the start": " ".join(f"{each:.1f}" for each in os.getloadavg())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SHORT), help="these benches, with commas between")
    parser.add_argument("--rows", default=ROWS, help="of the backlogs; the largest stands for the figures")
    parser.add_argument("--minutes", type=float, default=30, help="a backlog that would take longer in all is left out")
    parser.add_argument("--docs", action="store_true", help="also puts the plots into docs/performance/")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in SHORT]:
        parser.error(f"there is no bench {', '.join(unknown)} here; there are: {', '.join(SHORT)}")
    date, begun, where = datetime.date.today().isoformat(), time.monotonic(), machine()
    if names != list(SHORT):
        date += "-" + "-".join(names)  # a part takes nothing from the whole
    results, texts, failed = measure(names, [int(number) for number in options.rows.split(",")], begun + 60 * options.minutes)
    verdicts = judge(results)
    plots = os.path.join(RESULTS, "plots")
    drawn = plot(results, plots)
    with open(os.path.join(RESULTS, f"{date}.json"), "w", encoding="utf-8") as file:
        json.dump({"date": date, "machine": where, "minutes": (time.monotonic() - begun) / 60, "failed": failed, "results": results,
                   "figures": [{"name": each.figure.name, "to_reach": f"{each.figure.relation} {each.limit:g}{each.figure.unit}",
                                "measured": each.measured, "held": each.held} for each in verdicts]}, file, indent=1)
    with open(os.path.join(RESULTS, f"{date}.md"), "w", encoding="utf-8") as file:
        file.write(page(date, where, verdicts, drawn, texts))
    if options.docs:
        for name in drawn:
            shutil.copy(os.path.join(plots, f"{name}.png"), os.path.join(HERE, "../../docs/performance", f"{name}.png"))
    print()
    for name, to_reach, measured, held in table(verdicts):
        print(f"{name:66} {to_reach:>18} {measured:>12}  {held}")
    print(f"\n{(time.monotonic() - begun) / 60:.1f} minutes; written: bench/results/{date}.json, {date}.md and plots/"
          + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
