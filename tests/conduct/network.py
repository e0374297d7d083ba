# SPDX-License-Identifier: MIT
"""A network and a journal of this process alone, with a TUN device behind which the clients are.

The servers are on 127.0.0.1, which that device may reach (route_localnet in ip-sysctl.rst), so that
they listen as in tests/bench.
"""

import functools
import os
import pathlib
import queue
import sys
import threading

import segment as segments

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from support import fake_journal, tun  # noqa: E402

DEVICE, GATEWAY, MASK = "conduct0", "10.9.0.1", "255.255.0.0"
SETTINGS = {  # below /proc/sys/net/ipv4
    f"conf/{DEVICE}/route_localnet": "1",
    "tcp_fastopen": "3",
    "tcp_no_metrics_save": "1",  # a client teaches the kernel nothing about the next one
}


class Hub:
    """Carries packets between the TUN device FD and the clients behind it."""

    def __init__(self, fd):
        self._fd = fd
        self._queues = {}
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            segment = segments.unpack(os.read(self._fd, 65536))
            if segment and segment.destination[0] in self._queues:
                self._queues[segment.destination[0]].put(segment)

    def transmit(self, segment):
        os.write(self._fd, segments.pack(segment))

    def attach(self, address):
        """The queue of segments for the client at ADDRESS."""
        return self._queues.setdefault(address, queue.SimpleQueue())


def addresses(n_server, n_script):
    """The addresses of the client of a script and of the next one, which no other script has."""
    return [f"10.9.{2 * n_server + i}.{n_script + 1}" for i in range(1, 3)]


@functools.cache
def open_network():
    """The hub of the clients. The network ends with the process."""
    fake_journal.isolate()
    fd = tun.open_device(DEVICE, GATEWAY, MASK)
    for name, value in SETTINGS.items():
        pathlib.Path("/proc/sys/net/ipv4", name).write_text(value, encoding="ascii")
    return Hub(fd)


def n_dropped():
    """How many packets the device has dropped, which no script expects."""
    lines = pathlib.Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    counters = next(line.partition(":")[2].split() for line in lines if f"{DEVICE}:" in line)
    return int(counters[3]) + int(counters[11])  # as in the heading: received, sent
