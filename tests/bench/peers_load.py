"""Load clients for scripts/bench peers: one loop over epoll for every protocol, so that a peer is never measured with a better client.

A protocol is an object with the `socket` of its connection, `publish(id)`, which gives a token and the bytes to send, and
`acks(data)`, which yields the tokens that the bytes acknowledge; `reply` holds bytes that the protocol itself wants sent.
Clients are spread over processes; what they are measured with (their own CPU a message) stands in the result.
"""

import collections
import multiprocessing
import select
import time

BODY_BYTES = 300
Load = collections.namedtuple("Load", "clients in_flight seconds count keep resend", defaults=(1, 1, 2.0, 0, False, None))
WARM_UP_SECONDS = 0.3
CONNECT_SECONDS = 60
STUCK_SECONDS = 20  # without an answer: the peer does not take more


def body(message_id):
    start = f'{{"id":"{message_id}","text":"'
    return (start + "x" * (BODY_BYTES - len(start) - 2) + '"}').encode()


class Client:
    """One connection. `ids` gives the next message's id, or None when there is no more to send."""

    def __init__(self, protocol, ids):
        self.protocol, self.ids = protocol, ids
        self.pending = {}

    def more(self, messages, now):
        frames = []
        for _ in range(messages):
            message_id = next(self.ids, None)
            if message_id is None:
                break
            token, frame = self.protocol.publish(message_id)
            self.pending[token] = (message_id, now)
            frames.append(frame)
        return b"".join(frames)


def numbered(client, count):
    number = 0
    while not count or number < count:
        number += 1
        yield f"{client}-{number}"


def run(make, numbers, load, started):
    """One process's clients, until the time is up, all is sent, or the peer is gone."""
    clients = {}
    poll = select.epoll()
    for number in numbers:
        ids = iter(load.resend[number]) if load.resend is not None else numbered(number, load.count and load.count // load.clients)
        client = Client(make(number), ids)
        clients[client.protocol.socket.fileno()] = client
        poll.register(client.protocol.socket, select.EPOLLIN)
    everyone = list(clients.values())
    started.wait(CONNECT_SECONDS)
    acked, latencies, counted, total = [], [], 0, 0
    cpu, begun = time.process_time(), time.monotonic()
    timed = not load.count and load.resend is None
    measured_from = begun + (WARM_UP_SECONDS if timed else 0)
    end = measured_from + load.seconds if timed else float("inf")
    last = heard = begun
    for client in everyone:
        client.protocol.socket.sendall(client.more(load.in_flight, begun))
    waiting = sum(len(client.pending) for client in everyone)
    while clients and waiting and time.monotonic() - heard < STUCK_SECONDS:
        for descriptor, _ in poll.poll(0.2):
            client = clients[descriptor]
            try:
                data = client.protocol.socket.recv(65536)
                now = heard = time.monotonic()
                done = 0
                for token in client.protocol.acks(data):
                    message_id, sent = client.pending.pop(token)
                    done += 1
                    if measured_from <= now < end:
                        counted += 1
                        last = now
                        if timed:
                            latencies.append(now - sent)
                    if load.keep:
                        acked.append(message_id)
                waiting -= done
                total += done
                out = client.protocol.reply
                client.protocol.reply = b""
                if done and now < end:
                    before = len(client.pending)
                    out += client.more(done, now)
                    waiting += len(client.pending) - before
                if out:
                    client.protocol.socket.sendall(out)
            except OSError:
                data = b""
            if not data:  # the peer is gone
                poll.unregister(descriptor)
                waiting -= len(clients.pop(descriptor).pending)
    latencies.sort()
    return {"acked": acked, "counted": counted, "total": total, "latencies": latencies[::max(1, len(latencies) // 20000)],
            "seconds": (load.seconds if timed and clients else last - measured_from), "stuck": waiting > 0,
            "cpu_share": (time.process_time() - cpu) / (time.monotonic() - begun), "cpu": time.process_time() - cpu,
            "unacked": {number: [each[0] for each in client.pending.values()] for number, client in zip(numbers, everyone)}}


class Running:
    """Clients at work in processes of their own."""

    def __init__(self, make, load, processes=2):
        processes = min(processes, load.clients)
        started = multiprocessing.Barrier(processes + 1)
        self.parts = []
        for part in range(processes):
            here, there = multiprocessing.Pipe(duplex=False)
            numbers = range(part, load.clients, processes)
            process = multiprocessing.Process(target=lambda numbers=numbers, there=there: there.send(run(make, numbers, load, started)),
                                              daemon=True)
            process.start()
            there.close()
            self.parts.append((process, here))
        started.wait(CONNECT_SECONDS)  # until all are connected

    def result(self):
        parts = []
        for process, pipe in self.parts:
            parts.append(pipe.recv())
            process.join()
        counted = sum(part["counted"] for part in parts)
        latencies = sorted(each for part in parts for each in part["latencies"])
        seconds = max(part["seconds"] for part in parts)

        def quantile(q):
            return latencies[min(len(latencies) - 1, int(q * len(latencies)))] * 1000 if latencies else None

        return {"per_second": counted / seconds if seconds > 0 else 0, "count": counted,
                "total": sum(part["total"] for part in parts), "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
                "stuck": any(part["stuck"] for part in parts),
                "client_cpu_us": 1e6 * sum(part["cpu"] for part in parts) / max(1, sum(part["total"] for part in parts)),
                "client_busy": max(part["cpu_share"] for part in parts),  # of one core; near 1: the client is the limit
                "acked": [each for part in parts for each in part["acked"]],
                "unacked": {number: ids for part in parts for number, ids in part["unacked"].items()}}


def drive(make, load, processes=2):
    return Running(make, load, processes).result()
