"""What was seen, for people and for programs."""

import json
import os

from schedule import KINDS

# Its name, and the findings of the oracle that break it.
PROMISES = (("lost", ("lost",)), ("altered", ("altered",)), ("reordered within a twin", ("reordered",)),
            ("doubled (after Message-Id)", ("doubled",)), ("invented", ("invented", "never acknowledged")))


def table(rows):
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        yield "  " + "  ".join(cells).rstrip()
        if number == 0:
            yield "  " + "  ".join("-" * width for width in widths)


def faults_table(result):
    rows = [("fault", "times", "recovered, median s", "longest s")]
    for kind in KINDS:
        count = result["faults"].get(kind, 0)
        if not count:
            continue
        seconds = sorted(result["recovery_seconds"].get(kind, []))
        shown = (f"{seconds[len(seconds) // 2]:.2f}", f"{seconds[-1]:.2f}") if seconds else ("-", "-")
        rows.append((kind, count, *shown))
    return table(rows) if len(rows) > 1 else ["  none"]


def text(result):
    peaks, totals = result["peaks"], result["totals"]
    lines = [f"soak: seed {result['seed']}, {result['minutes']:.1f} minutes of faults, {result['faults_count']} faults, "
             f"then {result['drain_seconds']:.1f} s until the queue was empty ({result['machine']})", ""]
    lines += list(faults_table(result))
    left_out = sum(result["left_out"].values())
    if left_out:
        lines.append(f"  {left_out} were left out: there was no cloud or no daemon then that could have done it")
    lines += ["", f"  acknowledged {result['acknowledged']}"]
    lines += [f"  {name} {sum(result['findings'].get(finding, 0) for finding in findings)}" for name, findings in PROMISES]
    if totals:
        good = "=" if not result["findings"].get("books") else "is not"
        lines.append(f"  accepted {totals['accepted']} {good} queued {result['queued']} + delivered {totals['delivered']} + "
                     f"quarantined {totals['quarantined']} + dropped {totals['dropped']}"
                     f" ({totals['retried']} put back from the quarantine)")
    lines += [f"  sent to the cloud twice, with the same Message-Id: {result['repeats']} (answers lost on the way; at most "
              f"{result['repeats_max']} could be)",
              f"  answers to clients: {answers(result)}",
              f"  longest backlog {peaks.get('backlog', 0)}, longest start {result['longest_start_seconds']:.2f} s of "
              f"{result['starts']}",
              f"  daemon: resident at most {peaks.get('rss_high_kib', 0) / 1024:.1f} MiB, descriptors at most "
              f"{peaks.get('descriptors', 0)}, its clock off by {result['clock_days'][0]:.0f} to "
              f"{result['clock_days'][1]:.0f} days",
              f"  operators' commands {result['operators_count']} ({result['operators_interrupted']} met a kill)"]
    lines += ["", *[f"  FAILED: {line}" for line in result["violations"]]]
    if not result["violations"]:
        lines[-1:] = ["", "  every promise was kept"]
    return "\n".join(lines)


def answers(result):
    counts = sorted(result["answers"].items(), reverse=True)
    return ", ".join(f"{count} {'cut off or late' if status == '0' else status}" for status, count in counts)


def write(directory, result, series, faults):
    with open(os.path.join(directory, "report.txt"), "w", encoding="utf-8") as file:
        file.write(text(result) + "\n")
    document = {**result, "series": series,
                "timeline": [{"kind": kind, "begin": round(begin, 2), "end": round(end, 2)} for kind, begin, end in faults]}
    with open(os.path.join(directory, "soak.json"), "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
