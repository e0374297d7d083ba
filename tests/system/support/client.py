# SPDX-License-Identifier: MIT
"""Clients of greetd, for a network that only programs of the host can join.

    client.py greet ADDRESS [PORT]            one client (from the local PORT); prints the greeting
    client.py hold ADDRESS                    one that reads a byte, and the rest when standard input
                                              ends; prints the SHA-256
    client.py crowd ADDRESS CLIENTS           CLIENTS at once
    client.py load ADDRESS CLIENTS            CLIENTS at a time, until standard input ends
    client.py versions ADDRESS CLIENTS TIMES  the same, at least TIMES connections in all
    client.py poll ADDRESS                    one every 20 ms that closes at once, until standard
                                              input ends
    client.py aim ADDRESS TIMES USEC          one after the other, each just when the service exits
                                              after about USEC without a client

ADDRESS is HOST:PORT or the path of a Unix socket. All but the first two print the outcomes of all
connections at the end, as JSON. `load` prints `started` when every client has been greeted once,
`poll` after its first client; `hold` and `crowd` print `connected`. `versions` accepts any greeting
of version(). It prints the number of each newer one, and at once the outcome of a client that was
not greeted.
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

# `aim` searches the moment at which the service exits: it aims a step later each time the service
# still ran, and a step earlier each time it had to be started, which takes at least START_SEC.
AIM_STEP_USEC = 1_000
START_SEC = 0.025


def connect(address, source_port=0, patience_sec=PATIENCE_SEC):
    if address.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(patience_sec)
        client.connect(address)
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), patience_sec, ("", source_port))


def receive(client):
    """All bytes up to the end of stream."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def greet(address, source_port=0):
    with connect(address, source_port) as client:
        return receive(client)


def version(number):
    """A big greeting. Each of its lines has NUMBER."""
    return b"%0*d\n" % (NUMBER_BYTES - 1, number) * (VERSION_BYTES // NUMBER_BYTES)


def outcome_of(receive_greeting):
    """The outcome of one connection, in words."""
    try:
        received = receive_greeting()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "greeted" if received == GREETING else f"received {received!r}"


def print_outcomes(outcomes):
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
            self.count("gave up before the end of standard input")

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
        self.print_started()
        sys.stdin.read()
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        print_outcomes(self.outcomes)

    def print_started(self):
        print("started", flush=True)


class VersionLoad(Load):
    newest = -1

    def greet(self):
        # One more byte shows a greeting that is too long.
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
        self.print_if_newer(int(buffer[:NUMBER_BYTES]))
        return "greeted"

    def print_if_newer(self, number):
        with self.lock:
            if number > self.newest:
                self.newest = number
                print(number, flush=True)

    def count(self, outcome):
        super().count(outcome)
        if outcome != "greeted":
            print(outcome, flush=True)

    def print_started(self):
        pass


def fill(client, buffer):
    """Receives until the end of stream or of BUFFER, and returns the number of bytes."""
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
    outcomes = (outcome_of(lambda c=client: receive(c)) for client in sockets)
    print_outcomes(collections.Counter(outcomes))


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
    print_outcomes(outcomes)


def aim(address, times, usec):
    outcomes = collections.Counter()
    for _ in range(times):
        began = time.monotonic()
        outcomes[outcome_of(lambda: greet(address))] += 1
        # A client that had to wait for a start was too late, and any other too early.
        took = time.monotonic() - began
        usec += -AIM_STEP_USEC if took > START_SEC else AIM_STEP_USEC
        time.sleep(usec / 1e6)
    print_outcomes(outcomes)


def main(command, address, *arguments):
    numbers = list(map(int, arguments))
    if command == "greet":
        sys.stdout.buffer.write(greet(address, *numbers))
    elif command == "load":
        Load(address, *numbers).run()
    elif command == "versions":
        VersionLoad(address, *numbers).run()
    else:
        {"hold": hold, "crowd": crowd, "poll": poll, "aim": aim}[command](address, *numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
