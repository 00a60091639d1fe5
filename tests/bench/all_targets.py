"""The figures that twinspool is to reach, in one table, and whether the results of scripts/bench hold them.

A figure knows where its value stands in the results; a list of values is as good as the worst of them. Figures are of two
cores and a quiet machine, and mostly ratios within one run.
"""

import collections
import statistics

Figure = collections.namedtuple("Figure", "name relation limit value unit", defaults=("",))
Verdict = collections.namedtuple("Verdict", "figure measured limit held")  # held: None where it was not measured

WINDOW_BYTES = 56  # of an entry of the deduplication window in memory, at the most (lib/spool/dedup_window.h)
WINDOW_ENTRIES_MAX = 1_000_000


def ingest(results, name):
    return next(each for each in results["ingest"]["scenarios"] if each["name"] == name)


def ingest_ratio(name, key):
    return lambda results: ingest(results, name)[key]


def ingest_rate(name):
    return lambda results: ingest(results, name)["stored"]["messages_per_second"]


def times_the_sync(name, quantile):
    return lambda results: ingest(results, name)["stored"][quantile] / ingest(results, name)["raw"]["p50_us"]


def store(in_flight, key):
    return lambda results: next(each for each in results["store"] if each["in_flight"] == in_flight)[key]


def largest_backlog(results):
    return max(results["backlog"], key=lambda each: each["rows"])


def on_top_of_the_backlog(results):
    """The median of the ratios at 1, 64 and 512 in flight: each of them is one short run."""
    backlog = largest_backlog(results)
    return statistics.median(top["per_second"] / empty["per_second"] for top, empty in zip(backlog["on_top"], backlog["empty"]))


def forward_of_wrk(results):
    return [each["of_wrk"] for each in results["forward"]["loopback"]]


def forward_round_trip(pipeline):
    return lambda results: [each["of_limit"] for each in results["forward"]["round_trip_50_ms"] if each["pipeline"] == pipeline]


def beyond_the_window(results):
    """Resident MiB with the backlog, without what the deduplication window may take for those that came within it."""
    waiting = results["footprint"]["waiting"]
    window = min(waiting["messages"], WINDOW_ENTRIES_MAX) * WINDOW_BYTES / (1 << 20)
    return [waiting[when]["rss_mib"] - window for when in ("filled", "started", "draining")]


def of_fleet(key):
    return lambda results: results["fleet"]["fleets"]["jitter and ramp"][key]


FIGURES = [
    Figure("durable ingest, 1 client: of raw append and fdatasync", "at least", 0.45, ingest_ratio("1 client", "of_raw")),
    Figure("durable ingest, 1 client: p50 of a 204, in syncs", "at most", 2.2, times_the_sync("1 client", "p50_us")),
    Figure("64 clients: of the server without a store", "at least", 0.40, ingest_ratio("64 clients", "of_no_store")),
    Figure("64 clients, 16 pipelined", "at least", 150_000, ingest_rate("64 clients, 16 pipelined"), "/s"),
    Figure("8 clients, batches of 100", "at least", 150_000, ingest_rate("8 clients, batch of 100"), "/s"),
    Figure("a sync of 5 ms, 8 clients: of raw", "at least", 0.90, ingest_ratio("8 clients, sync of 5 ms", "of_raw")),
    Figure("a sync of 5 ms, 64 clients: of raw", "at least", 0.80, ingest_ratio("64 clients, sync of 5 ms", "of_raw")),
    Figure("p99 of a 204 at 5,000 messages/s, in syncs", "at most", 10, times_the_sync("64 clients, 5000/s", "p99_us")),
    Figure("store alone, batch of 1: of raw", "at least", 0.85, store(1, "of_raw")),
    Figure("store alone, batch of 64: of raw", "at least", 0.45, store(64, "batch_of_raw")),
    Figure("store alone, batch of 512: of raw", "at least", 0.18, store(512, "batch_of_raw")),
    Figure("rate with the largest backlog: of an empty store", "at least", 0.85, on_top_of_the_backlog),
    Figure("bytes written a message and its life, batch of 1", "at most", 10_000, store(1, "life_bytes"), " B"),
    Figure("bytes written a message and its life, batch of 8", "at most", 2_400, store(8, "life_bytes"), " B"),
    Figure("bytes written a message and its life, batch of 64", "at most", 1_200, store(64, "life_bytes"), " B"),
    Figure("written in a minute of idling", "at most", 0, lambda results: results["footprint"]["idle"]["written_per_minute"], " B"),
    Figure("start with the largest backlog, after a kill, cold and warm", "at most", 1.0,
           lambda results: [each["ready_seconds"] for each in largest_backlog(results)["starts"]], " s"),
    Figure("forward over TLS: of wrk, 1, 8 and 64 connections", "at least", 0.95, forward_of_wrk),
    Figure("forward, round trip of 50 ms: of connections / round trip", "at least", 0.93, forward_round_trip(1)),
    Figure("forward, round trip of 50 ms, pipeline of 16: of 16 / round trip", "at least", 0.90, forward_round_trip(16)),
    Figure("one held twin in a hundred: the others' rate", "at least", 0.95,
           lambda results: results["forward"]["one_held_in_a_hundred"]["ratio"]),
    Figure("resident memory, idle", "at most", 12, lambda results: results["footprint"]["idle"]["rss_mib"], " MiB"),
    Figure("resident memory, at full rate", "at most", 24, lambda results: results["footprint"]["at_full_rate"]["peak_mib"], " MiB"),
    Figure("resident memory with a backlog, beside the window", "at most", 24, beyond_the_window, " MiB"),
    Figure("wake-ups a second, idle", "below", 1, lambda results: results["footprint"]["idle"]["wake_ups_per_second"]),
    Figure("fleet after an outage: peak, of the cloud's limit", "below", 1.5, of_fleet("of_limit")),
    Figure("fleet after an outage: lost", "at most", 0, of_fleet("lost")),
]

HOLDS = {"at least": lambda value, limit: value >= limit, "at most": lambda value, limit: value <= limit,
         "below": lambda value, limit: value < limit}


def judge(results, figures=None):
    verdicts = []
    for figure in FIGURES if figures is None else figures:
        try:
            measured = figure.value(results)
        except (KeyError, StopIteration, TypeError, ValueError, ZeroDivisionError):
            measured = None  # that bench did not run, or not to its end
        if isinstance(measured, list):
            worst = min if figure.relation == "at least" else max
            measured = worst(measured) if measured else None
        held = None if measured is None else HOLDS[figure.relation](measured, figure.limit)
        verdicts.append(Verdict(figure, measured, figure.limit, held))
    return verdicts


def shown(value, unit):
    if value is None:
        return "-"
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}") + unit


def table(verdicts):
    lines = [("figure", "to reach", "measured", "")]
    for verdict in verdicts:
        unit = verdict.figure.unit
        lines.append((verdict.figure.name, f"{verdict.figure.relation} {shown(verdict.limit, unit)}", shown(verdict.measured, unit),
                      {True: "held", False: "NOT HELD", None: "not measured"}[verdict.held]))
    return lines
