# SPDX-License-Identifier: MIT
"""Clients of greetd, for a network that only programs of the host can join.

    client.py greet ADDRESS [PORT]            one client (coming from PORT); prints what it was sent
    client.py hold ADDRESS                    one that takes a little, then nothing until standard
                                              input ends, then the rest; prints its SHA-256
    client.py crowd ADDRESS CLIENTS           so many at once
    client.py load ADDRESS CLIENTS            so many at a time, until standard input ends
    client.py versions ADDRESS CLIENTS TIMES  the same, at least TIMES connections in all
    client.py poll ADDRESS                    one every 20 ms that closes at once, until standard
                                              input ends
    client.py aim ADDRESS TIMES USEC          one after the other, each just when the service leaves
                                              since nobody has come, for about USEC

ADDRESS is HOST:PORT or the path of a Unix socket. All but the first two say at the end what became
of all connections, as JSON. `load` prints `started` when every client has been greeted once, `poll`
after its first client; `hold` and `crowd` print `connected`. `versions` takes any greeting of version() and prints the newest
number it has met, each time there is a newer one, and what became of a client who was not greeted,
at once.
"""

import collections
import hashlib
import json
import select
import socket
import sys
import threading
import time

GREETING = b"Hello from server!"
PATIENCE_SEC = 30
LOAD_SEC_MAX = 600
LOAD_CONNECTIONS_MAX = 500_000

POLL_SEC = 0.02

NUMBER_BYTES = 16
VERSION_BYTES = 256 * 1024

# How `aim` finds the moment at which the service leaves: a little later each time that it was there
# still, a little earlier each time that it had to be started, which takes at least so long.
AIM_STEP_USEC = 1_000
START_SEC = 0.025


def connect(address, source_port=0):
    if address.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_SEC)
        client.connect(address)
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE_SEC, ("", source_port))


def receive(client):
    """Everything that is sent until the end of the stream."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def greet(address, source_port=0):
    with connect(address, source_port) as client:
        return receive(client)


def version(number):
    """A big greeting of which every part tells its number."""
    return b"%0*d\n" % (NUMBER_BYTES - 1, number) * (VERSION_BYTES // NUMBER_BYTES)


def outcome_of(take_greeting):
    """What became of one connection, in words."""
    try:
        received = take_greeting()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "greeted" if received == GREETING else f"received {received!r}"


def tell(outcomes):
    print(json.dumps(outcomes), flush=True)


class Load:
    def __init__(self, address, clients, times=0):
        self.address = address
        self.outcomes = collections.Counter()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.first_round = threading.Barrier(clients + 1)
        self.times = times
        self.deadline = time.monotonic() + LOAD_SEC_MAX
        self.threads = [threading.Thread(target=self.run_client) for _ in range(clients)]

    def run_client(self):
        self.count(self.greet())
        self.first_round.wait()
        for _ in range(LOAD_CONNECTIONS_MAX // len(self.threads)):
            if self.is_over() or time.monotonic() > self.deadline:
                break
            self.count(self.greet())
        if not self.is_over():
            self.count("gave up before it was told to")

    def is_over(self):
        return self.stopping.is_set() and self.outcomes.total() >= self.times

    def greet(self):
        return outcome_of(lambda: greet(self.address))

    def count(self, outcome):
        with self.lock:
            self.outcomes[outcome] += 1

    def run(self):
        for thread in self.threads:
            thread.start()
        self.first_round.wait()
        self.tell_started()
        sys.stdin.read()
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        tell(self.outcomes)

    def tell_started(self):
        print("started", flush=True)


class VersionLoad(Load):
    newest = -1

    def greet(self):
        # One more byte, to notice if there is too much.
        buffer = bytearray(VERSION_BYTES + 1)
        try:
            with connect(self.address) as client:
                size = fill(client, buffer)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        if size != VERSION_BYTES:
            return f"received {size} bytes"
        if buffer[:size] != buffer[:NUMBER_BYTES] * (VERSION_BYTES // NUMBER_BYTES):
            return "received a mixture"
        self.tell_if_newer(int(buffer[:NUMBER_BYTES]))
        return "greeted"

    def tell_if_newer(self, number):
        with self.lock:
            if number > self.newest:
                self.newest = number
                print(number, flush=True)

    def count(self, outcome):
        super().count(outcome)
        if outcome != "greeted":
            print(outcome, flush=True)

    def tell_started(self):
        pass


def fill(client, buffer):
    """Receives until the end of the stream or of BUFFER, and returns how much."""
    view, size = memoryview(buffer), 0
    while received := client.recv_into(view[size:]):
        size += received
    return size


def hold(address):
    with connect(address) as client:
        begin = client.recv(1)
        print("connected", flush=True)
        sys.stdin.read()
        print(hashlib.sha256(begin + receive(client)).hexdigest())


def crowd(address, clients):
    sockets = [connect(address) for _ in range(clients)]
    print("connected", flush=True)
    tell(collections.Counter(outcome_of(lambda c=client: receive(c)) for client in sockets))


def poll(address):
    outcomes = collections.Counter()
    while not outcomes or not select.select([sys.stdin], [], [], POLL_SEC)[0]:
        try:
            connect(address).close()
            outcomes["connected"] += 1
        except OSError as error:
            outcomes[type(error).__name__] += 1
        if outcomes.total() == 1:
            print("started", flush=True)
    tell(outcomes)


def aim(address, times, usec):
    outcomes = collections.Counter()
    for _ in range(times):
        came = time.monotonic()
        outcomes[outcome_of(lambda: greet(address))] += 1
        # Who has to wait for a service to start has come too late, all others too early.
        took = time.monotonic() - came
        usec += -AIM_STEP_USEC if took > START_SEC else AIM_STEP_USEC
        time.sleep(usec / 1e6)
    tell(outcomes)


def main(what, address, *arguments):
    numbers = list(map(int, arguments))
    if what == "greet":
        sys.stdout.buffer.write(greet(address, *numbers))
    elif what == "load":
        Load(address, *numbers).run()
    elif what == "versions":
        VersionLoad(address, *numbers).run()
    else:
        {"hold": hold, "crowd": crowd, "poll": poll, "aim": aim}[what](address, *numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
