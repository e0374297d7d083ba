# SPDX-License-Identifier: MIT
"""A network path that delays packets and drops, duplicates and reorders some.

    relay.py DESCRIPTOR DELAY_MS DROPPED DUPLICATED REORDERED SEED

DESCRIPTOR is that of the device of held_path.py. DROPPED, DUPLICATED and REORDERED are shares of all
packets, each way. Which packets these are follows from SEED, the number of the connection and the
number of the packet in it, so that a run can be repeated. relay.py prints what it has done as JSON
when its input ends.
"""

import collections
import contextlib
import hashlib
import heapq
import json
import os
import pathlib
import select
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from support.held_path import ACK, SYN, exchanged, tcp_header  # noqa: E402

# A packet that is reordered has this part of the delay in addition.
REORDERED_DELAY = 0.1
BATCH = 32


class Connection:
    def __init__(self, number, sequence):
        self.number, self.sequence = number, sequence
        self.packets = [0, 0]  # in each direction


class Relay:
    def __init__(self, fd, delay_ms, dropped, duplicated, reordered, seed):
        self.fd = int(fd)
        self.delay_sec = float(delay_ms) / 1000
        self.dropped, self.duplicated, self.reordered = (
            float(share) * 65536 for share in (dropped, duplicated, reordered))
        self.seed = int(seed)
        self.waiting = []  # a heap of (when it is due, number, packet)
        self.connections = {}  # by their ports, in both orders
        self.done = collections.Counter()

    def is_known(self, source, destination, sequence, flags):
        """Numbers a connection by its first SYN. The ports are used again later, and a connection of
        an earlier path is not known."""
        known = self.connections.get((source, destination))
        if flags & (SYN | ACK) != SYN or (known and known.sequence == sequence):
            return known is not None
        connection = Connection(self.done["connections"], sequence)
        self.connections[source, destination] = self.connections[destination, source] = connection
        self.done["connections"] += 1
        return True

    def chances(self, source, destination):
        """Three numbers below 65536 for the next packet of a connection."""
        connection = self.connections[source, destination]
        back = source < destination  # a server has the lower port
        connection.packets[back] += 1
        key = struct.pack("!4Q", self.seed, connection.number, back, connection.packets[back])
        return struct.unpack("!3H", hashlib.blake2b(key, digest_size=6).digest())

    def take(self, packet, now):
        header = tcp_header(packet)
        if not header or not self.is_known(*header):
            return
        drop, duplicate, reorder = self.chances(*header[:2])
        if drop < self.dropped:
            self.done["dropped"] += 1
            return
        is_late, n_copies = reorder < self.reordered, 1 + (duplicate < self.duplicated)
        due = now + self.delay_sec * (1 + REORDERED_DELAY * is_late)
        for _ in range(n_copies):
            self.done["carried"] += 1
            heapq.heappush(self.waiting, (due, self.done["carried"], exchanged(packet)))
        self.done["duplicated"] += n_copies - 1
        self.done["reordered"] += is_late

    def take_batch(self, now):
        """Not all: a slow relay would never send while packets arrive."""
        try:
            for _ in range(BATCH):
                self.take(os.read(self.fd, 65536), now)
        except BlockingIOError:
            pass

    def send_due(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            due, _, packet = heapq.heappop(self.waiting)
            os.write(self.fd, packet)
            self.done["most_late_ms"] = max(self.done["most_late_ms"], round((now - due) * 1000))

    def run(self):
        os.set_blocking(self.fd, False)
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.register(sys.stdin, select.POLLIN)
        while True:
            now = time.monotonic()
            self.take_batch(now)
            self.send_due(now)
            wait_ms = max(0, self.waiting[0][0] - now) * 1000 if self.waiting else None
            if any(fd == sys.stdin.fileno() for fd, _ in poll.poll(wait_ms)):
                return


def run_before_others():
    """A network does not wait for a processor, so that greetd and greet must not have it first."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


if __name__ == "__main__":
    run_before_others()
    relay = Relay(*sys.argv[1:])
    relay.run()
    print(json.dumps(relay.done))
