"""Reads what the benches print, draws the plots and writes the page of scripts/bench all."""

import os
import re
import subprocess
import tempfile

from all_targets import table

NUMBER = r"([\d.]+)"


def parse_store(text):
    keys = ("in_flight", "raw", "append", "of_raw", "per_commit", "append_bytes", "life", "life_bytes", "batch", "batch_of_raw")
    rows = [line.split() for line in text.splitlines()]
    return [dict(zip(keys, (int(row[0]), *map(float, row[1:])))) for row in rows if len(row) == len(keys) and row[0].isdigit()]


def parse_backlog(text):
    def numbers(pattern):
        return re.findall(pattern, text)

    def appends(where):
        return [{"in_flight": int(in_flight), "per_second": float(rate), "bytes": float(size)} for in_flight, rate, size in
                numbers(rf"appends {where} +(\d+) in flight +{NUMBER}/s +{NUMBER} bytes")]

    filled = numbers(rf"filled with (\d+) rows of \d+ twins +{NUMBER}/s +resident {NUMBER}")[0]
    return {"rows": int(filled[0]), "filled_per_second": float(filled[1]), "empty": appends("empty"), "on_top": appends("on top"),
            "starts": [{"kind": kind, **dict(zip(("ready_seconds", "first_stored_seconds", "read_mib", "rss_mib"), map(float, rest)))}
                       for kind, *rest in numbers(rf"start (\w+) +after a kill +ready in {NUMBER} s, first message stored at {NUMBER} s, "
                                                  rf"{NUMBER} MiB read, resident {NUMBER}")],
            "drain": [dict(zip(("percent", "per_second", "bytes", "rss_mib"), map(float, row)))
                      for row in numbers(rf"drain +(\d+) % +{NUMBER}/s +{NUMBER} bytes written each, resident {NUMBER}")]}


def bars(path, title, label, groups, series, logarithmic=False):
    """Groups of bars; `series` is a list of (name, values), None where there is nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".dat", encoding="utf-8") as data:
        for number, group in enumerate(groups):
            cells = [f'"{group}"'] + ["NaN" if values[number] is None else f"{values[number]:.6g}" for _, values in series]
            data.write(" ".join(cells) + "\n")
        data.flush()
        plots = ", ".join(f"'{data.name}' using {column + 2}:xtic(1) title '{name}'" for column, (name, _) in enumerate(series))
        script = (f"set terminal pngcairo size 860,380 font 'sans,9'; set bmargin 4; set xrange [-0.6:{len(groups) - 0.4}]; "
                  f"set output '{path}'; set title '{title}'; set ylabel '{label}'; "
                  "set style data histograms; set style histogram clustered gap 1; set style fill solid 0.8 noborder; set grid ytics; "
                  "set key outside right top; set datafile missing 'NaN'; "
                  + ("set logscale y; set yrange [1:*]; " if logarithmic else "set yrange [0:*]; ") + f"plot {plots}")
        subprocess.run(["gnuplot", "-e", script], check=True)


def plot_ingest(results, path):
    rows = [row for row in results["ingest"]["scenarios"] if re.fullmatch(r"\d+ clients?", row["name"])]
    bars(path, "Messages taken in, 300 bytes, acknowledged when synced", "messages/s", [row["name"] for row in rows],
         [(name, [row[key]["messages_per_second"] for row in rows])
          for key, name in (("raw", "append and sync"), ("stored", "twinspool"), ("no_store", "without a store"))], True)


def plot_store(results, path):
    rows = results["store"]
    bars(path, "Bytes written a message of 300 bytes", "bytes", [f"{row['in_flight']} in flight" for row in rows],
         [("stored", [row["append_bytes"] for row in rows]), ("stored and delivered", [row["life_bytes"] for row in rows])], True)


def plot_backlog(results, path):
    rows = sorted(results["backlog"], key=lambda each: each["rows"])

    def rate(each, where, in_flight):
        return next((one["per_second"] for one in each[where] if one["in_flight"] == in_flight), None)

    bars(path, "Appends beside a backlog, 512 in flight, and its drain", "messages/s", [f"{each['rows']:,} rows" for each in rows],
         [("empty", [rate(each, "empty", 512) for each in rows]), ("on top of them", [rate(each, "on_top", 512) for each in rows]),
          ("drain", [sum(one["per_second"] for one in each["drain"]) / max(1, len(each["drain"])) for each in rows])])


def plot_forward(results, path):
    rows = results["forward"]["loopback"]
    bars(path, "POSTs over TLS to one nginx", "messages/s", [f"{row['connections']} connections" for row in rows],
         [(name, [row[key] for row in rows]) for key, name in (("wrk", "wrk"), ("h2load", "h2load"), ("ours", "twinspool"))])


def plot_through(results, path):
    rows = results["through"]["steady"]
    bars(path, "From the source to the cloud", "ms", [f"{row['rate']} messages/s" for row in rows],
         [(f"{name} {quantile}", [row[key].get(f"{quantile}_ms") for row in rows])
          for key, name in (("acknowledged", "204"), ("source_to_cloud", "cloud")) for quantile in ("p50", "p99")])


def plot_footprint(results, path):
    footprint = results["footprint"]
    rows = [("idle", footprint["idle"]), ("100/s", footprint["at_100"]), ("full rate", footprint["at_full_rate"]),
            (f"{footprint['waiting']['messages']:,} waiting", footprint["waiting"]["filled"])]
    bars(path, "Memory of the daemon", "MiB", [name for name, _ in rows],
         [(name, [facts[key] for _, facts in rows])
          for key, name in (("rss_mib", "resident"), ("pss_mib", "proportional"), ("anonymous_mib", "its own"))])


def plot_peers(results, path):
    peers = results["peers"]["peers"]
    loads = [(row["clients"], row["in_flight"]) for row in next(iter(peers.values()))["rates"]]
    bars(path, "Acknowledged messages of 300 bytes (what that promises differs)", "messages/s",
         [f"{clients} client{'s' * (clients > 1)}" + f", {in_flight} in flight" * (in_flight > 1) for clients, in_flight in loads],
         [(name, [row["per_second"] for row in peer["rates"]]) for name, peer in peers.items()], True)


def plot_lost(results, path):
    peers = results["peers"]["peers"]
    labels = [name.replace(", ", ",\\n").replace(" on changes", "\\non changes").replace(" disk", "\\ndisk") for name in peers]
    bars(path, "Acknowledged messages lost under load", "%", labels,
         [(name, [100 * peer[key]["lost"] / max(1, peer[key]["acked"]) if key in peer else None for peer in peers.values()])
          for key, name in (("kill", "kill -9"), ("power_cut", "power cut"))])


PLOTS = [("ingest", plot_ingest, "ingest"), ("store", plot_store, "store"), ("backlog", plot_backlog, "backlog"),
         ("forward", plot_forward, "forward"), ("through", plot_through, "through"), ("footprint", plot_footprint, "footprint"),
         ("peers", plot_peers, "peers"), ("peers-lost", plot_lost, "peers")]


def plot(results, directory):
    """The names of the plots that were drawn: those whose bench has a result."""
    os.makedirs(directory, exist_ok=True)
    drawn = []
    for name, draw, bench in PLOTS:
        if bench in results:
            draw(results, os.path.join(directory, f"{name}.png"))
            drawn.append(name)
    return drawn


def page(date, machine, verdicts, drawn, texts):
    lines = [f"# Figures of {date}", "", ", ".join(f"{key}: {value}" for key, value in machine.items()) + ".", ""]
    header, *rows = table(verdicts)
    lines += ["| " + " | ".join(header) + " |", "| --- | --- | --- | --- |", *("| " + " | ".join(row) + " |" for row in rows), ""]
    lines += [f"![{name}](plots/{name}.png)" for name in drawn] + [""]
    for name, text in texts.items():
        lines += [f"## {name}", "", "```", text.rstrip(), "```", ""]
    return "\n".join(lines)
