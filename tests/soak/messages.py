"""What the clients send: all of it follows from a twin and a number, so the oracle need not keep it."""

import collections
import hashlib
import json

Message = collections.namedtuple("Message", "message_id component source_time traceparent tracestate body")

COMPARED = ("component", "source_time", "traceparent", "tracestate", "body")  # as the stand-in cloud's records name them
UNSTAMPED = ""  # a message without a source time: the daemon stamps it


def message_id(twin, number):
    return f"{twin}:{number}"


def number_of(twin, name):
    """The number in a Message-Id of that twin, or None: such a message was never sent."""
    prefix, _, digits = name.rpartition(":")
    return int(digits) if prefix == twin and digits.isdecimal() and str(int(digits)) == digits else None


def message(twin, number):
    dice = hashlib.blake2b(f"{twin}:{number}".encode(), digest_size=16).digest()
    digits = dice.hex()
    size = int.from_bytes(dice[:2], "little") % (32000 if dice[2] == 0 else 400)
    # Written as no library would write it again: whoever parses and prints it alters it.
    body = f'{{ "n":{number},"t" : {dice[3]}.50e0, "u":"\\u00b0\\/µ {digits}", "pad":"{"x" * size}"}}'
    time = f"2026-01-{dice[4] % 28 + 1:02}T{dice[5] % 24:02}:{dice[6] % 60:02}:{dice[7] % 60:02}.{dice[8]:07}Z"
    if dice[9] % 8 == 0:
        time = UNSTAMPED
    elif dice[9] % 8 == 1:
        time = f"1/{dice[4] % 28 + 1}/2026 {dice[5] % 12 + 1}:{dice[6] % 60:02}:{dice[7] % 60:02} AM"  # as the .NET SDK's
    traced = dice[10] % 4 == 0
    return Message(message_id(twin, number), "thermostat" if dice[11] % 8 == 0 else "", time,
                   f"00-{digits}-{digits[:16]}-01" if traced else "", f"soak={digits[:8]}" if traced else "", body)


def differs(twin, number, record):
    """The first field of what the cloud got that is not as it was sent, or None."""
    sent = message(twin, number)
    for name in COMPARED:
        if record[name] != getattr(sent, name) and not (name == "source_time" and sent.source_time == UNSTAMPED):
            return name
    return None


def request(twin, number, api_version):
    sent = message(twin, number)
    body = sent.body.encode()
    middle = f"/components/{sent.component}" if sent.component else ""
    head = [f"POST /digitaltwins/{twin}{middle}/telemetry?api-version={api_version} HTTP/1.1", "Host: localhost",
            "Content-Type: application/json", f"Message-Id: {sent.message_id}", f"Content-Length: {len(body)}"]
    for header, value in (("Telemetry-Source-Time", sent.source_time), ("traceparent", sent.traceparent),
                          ("tracestate", sent.tracestate)):
        if value:
            head.append(f"{header}: {value}")
    return "\r\n".join([*head, "", ""]).encode() + body


def batch(messages):
    lines = []
    for twin, number in messages:
        sent = message(twin, number)
        fields = {"twin": twin, "component": sent.component, "messageId": sent.message_id, "sourceTime": sent.source_time,
                  "traceparent": sent.traceparent, "tracestate": sent.tracestate}
        text = json.dumps({name: value for name, value in fields.items() if value})
        lines.append(f'{text[:-1]}, "telemetry":{sent.body}}}\n')
    body = "".join(lines).encode()
    return (b"POST /telemetry:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body
