"""Which fault begins when, and how long it lasts: all of it follows from the seed.

Faults of one track follow each other, those of different tracks overlap. A track deals its kinds from a shuffled deck, so
that a short run sees many of them.
"""

import collections
import itertools
import random

# paths: what does not flow meanwhile; its recovery is timed. seconds: how long it lasts, 0: a moment.
Kind = collections.namedtuple("Kind", "track paths seconds")

DELIVER, ACCEPT, TWIN, NONE = ("deliver",), ("accept", "deliver"), ("twin",), ()

KINDS = {
    "daemon kill -9": Kind("daemon", ACCEPT, (0, 2)),
    "daemon kill -9 at once": Kind("daemon", ACCEPT, (0, 0.3)),
    "daemon kill -9 while it starts": Kind("daemon", ACCEPT, (0, 1)),
    "daemon stopped": Kind("daemon", ACCEPT, (0, 1)),
    "cloud kill -9": Kind("cloud", DELIVER, (0.2, 6)),
    "network dropped": Kind("network", DELIVER, (2, 12)),
    "network refused (RST)": Kind("network", DELIVER, (1, 8)),
    "network refused (ICMP)": Kind("network", DELIVER, (1, 8)),
    "network half-open": Kind("network", NONE, (0, 0)),
    "answers 429": Kind("answers", DELIVER, (1, 6)),
    "answers 503": Kind("answers", DELIVER, (1, 6)),
    "answers 5xx": Kind("answers", DELIVER, (1, 6)),
    "answers lost": Kind("answers", NONE, (2, 4)),
    "answers cut": Kind("answers", NONE, (2, 4)),
    "answers late": Kind("answers", NONE, (2, 4)),
    "answers 400": Kind("answers", NONE, (1, 2)),
    "answers 401": Kind("answers", DELIVER, (1, 6)),
    "twin missing (404)": Kind("twin", TWIN, (3, 15)),
    "disk full": Kind("disk", ("accept",), (3, 12)),
    "clock in 1970": Kind("clock", DELIVER, (3, 12)),
    "clock a day back": Kind("clock", DELIVER, (3, 12)),
    "clock a year ahead": Kind("clock", DELIVER, (3, 12)),
    "reload": Kind("reload", DELIVER, (0, 0)),
    "reload of a bad file": Kind("reload", NONE, (0, 0)),
    "reader holds the log": Kind("reader", NONE, (2, 15)),
    "pause": Kind("pause", DELIVER, (0.5, 3)),
    "operator": Kind("operator", NONE, (0, 0)),
}

# Seconds from the end of a fault to the next of its track.
GAPS = {"daemon": (4, 16), "cloud": (15, 40), "network": (8, 30), "answers": (3, 15), "twin": (8, 25), "disk": (20, 50),
        "clock": (8, 30), "reload": (6, 20), "reader": (10, 30), "pause": (20, 50), "operator": (0.5, 4)}


class Fault:
    def __init__(self, kind, begin, end, dice):
        self.kind, self.begin, self.end = kind, begin, end
        self.dice = dice  # for whatever else it wants to choose

    @property
    def paths(self):
        return KINDS[self.kind].paths


def schedule(seed, seconds):
    """The faults in the order of their beginnings; all have ended after `seconds`."""
    faults = []
    for track, (least, most) in GAPS.items():
        dice = random.Random(f"{seed}/{track}")
        kinds = [kind for kind, facts in KINDS.items() if facts.track == track]
        deck = []
        at = dice.uniform(least / 4, most / 2)
        for number in itertools.count():
            if not deck:
                deck = dice.sample(kinds, len(kinds))
            kind = deck.pop()
            end = at + dice.uniform(*KINDS[kind].seconds)
            if end > seconds:
                break
            faults.append(Fault(kind, at, end, random.Random(f"{seed}/{track}/{number}")))
            at = end + dice.uniform(least, most)
    return sorted(faults, key=lambda fault: fault.begin)


def as_json(faults):
    return [{"kind": fault.kind, "begin": round(fault.begin, 3), "end": round(fault.end, 3)} for fault in faults]
