# SPDX-License-Identifier: MIT
"""Plays a script: one client, whose packets are sent and received here and not in a kernel."""

import pathlib
import queue
import random
import time

import script as scripts
import segment as segments
from connection import Broken, Connection

PATIENCE_SEC = 10  # for what a script expects without a limit of its own
FIRST_PORT = 40000
NEXT_CLIENT = scripts.load(pathlib.Path(__file__).with_name("packets") / "ordinary.pkt")


def describe(segment, began):
    """SEGMENT as a line for the reader of a failure, with the numbers on the wire."""
    now = time.monotonic() - began
    ports = f"{segment.source[1]} > {segment.destination[1]}"
    flags = "".join(letter for letter, bit in segments.FLAGS.items() if segment.flags & bit)
    numbers = f"{segment.seq}({len(segment.payload)}) ack {segment.ack} win {segment.window}"
    return f"{now:.3f} {ports}: {flags} {numbers}"


class Player:
    """A client at ADDRESS that connects to SERVER and compares what it sends with GREETING."""

    def __init__(self, network, address, server, greeting):
        self._network, self._address, self._server = network, address, server
        self._greeting = greeting
        self._arrivals = network.attach(address)
        self._began = time.monotonic()
        self._patience = PATIENCE_SEC
        self._connections = []
        self.trace = []
        self.connect(None, None)

    def play(self, script):
        """Raises Broken, with the line, if the server breaks what SCRIPT expects."""
        for event in script.events:
            try:
                # Packets with +0 leave together, before anything can arrive.
                if event.after > 0:
                    self._pump(time.monotonic() + event.after, lambda: False)
                self._patience = PATIENCE_SEC if event.within is None else event.within
                getattr(self, event.action)(**event.arguments)
            except Broken as broken:
                raise Broken(broken.word, f"{script.name}:{event.line}: {broken}") from None

    def receipts(self):
        return [connection.receipt() for connection in self._connections]

    def _transmit(self, segment):
        self.trace.append(describe(segment, self._began))
        self._network.transmit(segment)

    def _pump(self, deadline, condition):
        """Takes segments until CONDITION() or DEADLINE; returns whether it was the condition."""
        while not condition():
            try:
                # What has already arrived is taken in any case.
                segment = self._arrivals.get(timeout=max(deadline - time.monotonic(), 0.0001))
            except queue.Empty:
                return False
            if segment.source == self._server:  # and not another one, for a client before this
                self.trace.append(describe(segment, self._began))
                self._connection_of(segment).arrived(segment)
        return True

    def _connection_of(self, segment):
        """The last connection with the port."""
        return next(c for c in reversed(self._connections) if c.local == segment.destination)

    def _await(self, condition, word, detail):
        if not self._pump(time.monotonic() + self._patience, condition):
            raise Broken(word, detail)

    # What the lines of a script do

    def connect(self, same, isn):
        port = FIRST_PORT + len(self._connections)
        if same:
            port = self._connections[-1].local[1]
        isn = random.getrandbits(32) if isn is None else isn
        self._connection = Connection((self._address, port), self._server, isn, self._greeting,
                                      self._transmit)  # fmt: skip
        if self._connections:
            self._connection.cookie = self._connections[-1].cookie  # RFC 7413, 4.1.3
        self._connections.append(self._connection)

    def send(self, **arguments):
        self._connection.send(**arguments)

    def send_rest(self, end, ack, window):
        """Sends what the server has not taken of the data in the SYN."""
        acked = self._connection.answer
        self._connection.send("P." if acked < end else ".", acked, end - acked, ack, window)

    def acknowledge(self, window):
        self._connection.acknowledge(window)

    def upload(self, size):
        self._connection.upload(size)

    def lose(self):
        self._connection.lose()

    def await_answer(self, ack):
        connection = self._connection
        self._await(lambda: connection.answer is not None, "no answer", "to the SYN")
        if ack is not None and connection.answer != ack:
            raise Broken(f"ack {connection.answer}", f"of the SYN instead of {ack}")

    def await_greeting(self):
        connection = self._connection
        if not self._pump(time.monotonic() + self._patience, connection.has_greeting):
            n = connection.n_received()
            raise Broken("half" if n else "silent", f"{n} of {len(self._greeting)} bytes")

    def await_end(self):
        connection = self._connection
        self._await(lambda: connection.has_end and connection.has_greeting(), "no end", "of stream")

    def await_ack(self, ack):
        connection = self._connection
        self._await(lambda: ack in connection.acks, "no ack", f"{ack} is not among the last")

    def await_nothing(self):
        """The time of the line is all: a reset breaks any line."""


def play(network, script, addresses, server, greeting):
    """Plays SCRIPT, and then lets the next client come. Returns the word of what was broken, or
    None; the details; and the receipts. ADDRESSES are those of the two clients."""
    client = Player(network, addresses[0], server, greeting)
    following = None
    try:
        client.play(script)
        following = Player(network, addresses[1], server, greeting)
        following.play(NEXT_CLIENT)
    except Broken as broken:
        word, detail = ("dead" if following else broken.word), str(broken)
        trace = (following or client).trace
        return word, "\n    ".join([detail, *trace[-40:]]), _receipts(client, following)
    return None, "", _receipts(client, following)


def _receipts(*clients):
    return [receipt for client in clients if client for receipt in client.receipts()]
