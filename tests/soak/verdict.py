"""What came of a run: each broken promise as a line, and all the figures as a document."""

import collections
import contextlib
import os
import sqlite3

import messages

STUCK_SECONDS = 60  # nothing is in the way and nothing flows
MARKS = ("Sanitizer", "runtime error:", "ENSURE")


def held_by(database):
    """(twin, number) of what waits there or is in the quarantine, for a daemon that is dead; None: it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT twin, message_id FROM queue UNION ALL SELECT twin, message_id FROM quarantine")
            return {(twin, messages.number_of(twin, message_id)) for twin, message_id in rows}
    except sqlite3.Error:
        return None


def violations(soak, findings):
    for promise, count, examples in findings:
        yield f"{promise}: {count}, such as {'; '.join(examples)}"
    yield from soak.faults.broken
    if soak.operator:
        yield from soak.operator.broken
    seconds, path = soak.watch.stuck if soak.watch else (0, "")
    if seconds > STUCK_SECONDS:
        yield f"stuck: no {path} for {seconds:.0f} s, though nothing was in its way"
    if soak.oracle.repeats > soak.faults.repeats_max:
        yield f"needless repeats: {soak.oracle.repeats}, at most {soak.faults.repeats_max} could be"
    for program in (soak.cloud, soak.daemon):
        if program.process is None:
            continue
        with open(program.log_path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        yield from (f"'{mark}' in the log of {program.program}" for mark in MARKS if mark in text)


def result(soak):
    """`soak.violations` is complete behind it."""
    findings = soak.oracle.verdict()
    if soak.totals is None:  # it did not come to the end: what arrived without a 204 was on its way
        unknown = ("never acknowledged",) if soak.oracle.kept is not None else ("never acknowledged", "lost")
        findings = [finding for finding in findings if finding.promise not in unknown]
    soak.violations += violations(soak, findings)
    return {**of_the_faults(soak), **of_the_messages(soak, findings), **of_the_daemon(soak), "violations": soak.violations}


def of_the_faults(soak):
    return {
        "seed": soak.arguments.seed, "minutes": soak.arguments.minutes, "without": soak.machine.lacking,
        "machine": f"Linux {os.uname().release}, {os.cpu_count()} cores",
        "faults_count": sum(soak.faults.counts.values()), "faults": dict(soak.faults.counts),
        "left_out": dict(soak.faults.left_out), "drain_seconds": round(soak.drain_seconds, 1),
        "recovery_seconds": {kind: [round(s, 2) for s in seconds] for kind, seconds in soak.recovery.seconds.items()}}


def of_the_messages(soak, findings):
    answers = sum((client.answers for client in soak.clients), collections.Counter())
    return {
        "acknowledged": soak.oracle.acknowledged_count(), "delivered": soak.oracle.delivered,
        "findings": {finding.promise: finding.count for finding in findings}, "totals": soak.totals, "queued": soak.queued,
        "repeats": soak.oracle.repeats, "repeats_max": soak.faults.repeats_max,
        "answers": {str(status): count for status, count in answers.items()}}


def of_the_daemon(soak):
    verbs = soak.operator.counts if soak.operator else {}
    return {
        "peaks": dict(soak.watch.peaks) if soak.watch else {}, "starts": len(soak.faults.starts),
        "longest_start_seconds": round(max(soak.faults.starts, default=0), 2),
        "clock_days": [seconds / 86400 for seconds in (soak.watch.clock if soak.watch else (0, 0))],
        "operators": dict(verbs), "operators_count": sum(verbs.values()),
        "operators_interrupted": soak.operator.interrupted if soak.operator else 0}
