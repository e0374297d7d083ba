# SPDX-License-Identifier: MIT
"""Clients of greetd, for a network that only programs of the host can join.

    client.py greet ADDRESS [PORT]      one client (coming from PORT); prints what it was sent
    client.py load ADDRESS CLIENTS      so many at a time, until standard input ends

ADDRESS is HOST:PORT or the path of a Unix socket. `load` prints `started` when every client has
been greeted once, and at the end what became of all connections, as JSON.
"""

import collections
import json
import socket
import sys
import threading
import time

GREETING = b"Hello from server!"
PATIENCE_SEC = 30
LOAD_SEC_MAX = 120
LOAD_CONNECTIONS_MAX = 500_000


def connect(address, source_port=0):
    if address.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_SEC)
        client.connect(address)
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE_SEC, ("", source_port))


def greet(address, source_port=0):
    """Everything that is sent until the end of the stream."""
    with connect(address, source_port) as client:
        return b"".join(iter(lambda: client.recv(4096), b""))


class Load:
    def __init__(self, address, clients):
        self.address = address
        self.outcomes = collections.Counter()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.first_round = threading.Barrier(clients + 1)
        self.deadline = time.monotonic() + LOAD_SEC_MAX
        self.threads = [threading.Thread(target=self.run_client) for _ in range(clients)]

    def run_client(self):
        self.count(self.greet())
        self.first_round.wait()
        for _ in range(LOAD_CONNECTIONS_MAX // len(self.threads)):
            if self.stopping.is_set() or time.monotonic() > self.deadline:
                break
            self.count(self.greet())
        if not self.stopping.is_set():
            self.count("gave up before it was told to")

    def greet(self):
        """What became of one connection, in words."""
        try:
            received = greet(self.address)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        return "greeted" if received == GREETING else f"received {received!r}"

    def count(self, outcome):
        with self.lock:
            self.outcomes[outcome] += 1

    def run(self):
        for thread in self.threads:
            thread.start()
        self.first_round.wait()
        print("started", flush=True)
        sys.stdin.read()
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        print(json.dumps(self.outcomes))


def main(what, address, *arguments):
    if what == "load":
        Load(address, int(arguments[0])).run()
    else:
        sys.stdout.buffer.write(greet(address, *map(int, arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
