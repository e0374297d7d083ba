# SPDX-License-Identifier: MIT
"""Clients of all kinds at once, in one thread, and the time that each waits for its greeting.

A client is a generator that yields the events it waits for. Its wait for the greeting is the time
from connect(2) until its kernel has the first byte (SO_TIMESTAMPNS in socket(7)), so the moment
when this program reads the byte does not matter.

Busy and calm times alternate. In a busy time the next client soon wakes a worker that has missed
one. In a calm time all clients keep their places, and single clients connect one after the other.
Some of them stay, and close at random.
"""

import array
import collections
import heapq
import itertools
import random
import select
import socket
import struct
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
GIVE_UP_SEC = 60  # a client that waits this long is lost
BUSY_SEC, CALM_SEC = 2, 6
FILL = 64  # clients that connect and stay at the beginning of a calm time
STAY = 8  # the last clients that stay; they have not been evicted yet
HOLD_SEC = 4  # the longest time that a lingering or silent client stays, besides a calm time
THINK_SEC = 0.2  # between two clients, at most
SLOW_SEC = 0.05  # between two pieces that a slow reader reads
UPLOAD_PIECES, UPLOAD_SEC = 30, 0.1  # and the time between two of them
PIECE = 65536

# NAME as in the configuration; IS_WHOLE(bytes) is whether a client has read the right greeting.
Listener = collections.namedtuple("Listener", "name address is_whole")
# Events to wait for, and for how long; without a socket the wait is for time alone.
Wait = collections.namedtuple("Wait", "socket events seconds")


class Lost(Exception):
    """A client has not read its greeting."""


class Client:
    """One connection. WAIT is the time until its first byte in seconds, or None before that."""

    def __init__(self, listener, receive_buffer=None, sends_request=False):
        self.wait = None
        self.stays = False
        self._listener = listener
        self._received = bytearray()
        family = socket.AF_INET6 if ":" in listener.address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if sends_request:
            # The request is in the last packet of the handshake, so that the server never sees a
            # client that is silent for a moment.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        self._began_nsec = time.time_ns()
        self.socket.connect(listener.address)
        self.socket.setblocking(False)

    def _receive(self):
        chunk, ancillary, _, _ = self.socket.recvmsg(1 if self.wait is None else PIECE, 64)
        if self.wait is None and chunk:
            self.wait = (self._arrived_nsec(ancillary) - self._began_nsec) / 1e9
        return chunk

    @staticmethod
    def _arrived_nsec(ancillary):
        """The kernel begins to add time stamps a moment after the option is set."""
        if not ancillary:
            return time.time_ns()
        seconds, nsec = struct.unpack("ll", ancillary[0][2])
        return seconds * 10**9 + nsec

    def read(self):
        """The next bytes; none at the end of stream."""
        while True:
            try:
                return self._receive()
            except BlockingIOError:
                if not (yield Wait(self.socket, select.EPOLLIN, GIVE_UP_SEC)):
                    raise Lost("stalled") from None

    def greeting(self, pause_sec=0):
        """Reads the greeting, with a pause after each piece."""
        try:
            while chunk := (yield from self.read()):
                self._received += chunk
                if pause_sec:
                    yield Wait(None, 0, pause_sec)
        except ConnectionResetError:
            # A client that still sends when it is evicted has its greeting nevertheless.
            pass
        if not self._listener.is_whole(self._received):
            raise Lost(f"not whole after {len(self._received)} bytes")


# The kinds of clients


def plain(client):
    yield from client.greeting()


def half_closing(client):
    client.socket.shutdown(socket.SHUT_WR)
    yield from client.greeting()


def sending(client):
    client.socket.send(bytes(4096))
    yield from client.greeting()


def lingering(client):
    yield from client.greeting()
    yield Wait(None, 0, random.uniform(0, HOLD_SEC))


def staying(client):
    """Stays for a calm time."""
    yield from client.greeting()
    client.stays = True


def slow(client):
    yield from client.greeting(SLOW_SEC)


def resetting(client):
    if random.random() < 0.5:
        yield from client.read()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def requesting(client):
    client.socket.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    yield from client.greeting()


def uploading(client):
    """A POST whose sender reads the answer after it has sent everything, or can't send more."""
    try:
        client.socket.send(b"POST / HTTP/1.0\r\nContent-Length: 30000\r\n\r\n")
        for _ in range(UPLOAD_PIECES):
            yield Wait(None, 0, UPLOAD_SEC)
            client.socket.send(bytes(1000))
    except (BrokenPipeError, ConnectionResetError):
        pass
    yield from client.greeting()


def silent(client):
    """Sends nothing where greetd waits for data; it may be evicted and must not be greeted."""
    ready = yield Wait(client.socket, select.EPOLLIN, random.uniform(0, HOLD_SEC))
    if ready and client.socket.recv(1):
        raise Lost("greeted before it sent anything")


OPTIONS = {
    slow: {"receive_buffer": 16384},
    requesting: {"sends_request": True},
    uploading: {"sends_request": True},
}


class _Task:
    """A generator, whether it runs in a calm time, and the number of its current wait."""

    def __init__(self, generator, in_calm=False):
        self.generator, self.in_calm, self.number = generator, in_calm, 0
        self.only_pauses = False  # it waits for time alone


class Load:
    """Runs clients, and counts their results: CONNECTIONS made, WAITS in seconds by names of
    listener and kind, LOST by these names and the reason."""

    def __init__(self):
        self.connections = 0
        self.waits = collections.defaultdict(lambda: array.array("d"))
        self.lost = collections.Counter()
        self._epoll = select.epoll()
        self._staying = []  # clients, the newest at the end
        self._waiting = {}  # tasks by descriptor
        self._timers = []  # tuples of time, tie-breaker, task, number of its wait
        self._order = itertools.count()
        self._n_tasks = 0

    def run(self, mixture, single, seconds):
        """For SECONDS keeps as many clients as MIXTURE has for each listener and kind, and in calm
        times connects those of SINGLE in turn. Then waits for the last of them."""
        self._began = time.monotonic()
        self._until = self._began + seconds
        for (listener, kind), n in mixture.items():
            for _ in range(n):
                self._start(_Task(self._repeat(listener, kind)))
        self._start(_Task(self._take_turns(single), in_calm=True))
        while self._n_tasks > 0:
            self._poll()
        self._epoll.close()

    def _start(self, task):
        self._n_tasks += 1
        self._resume(task, None)

    def _calm_seconds(self):
        """The rest of a calm time; negative in a busy time, the time until the next calm one."""
        now = time.monotonic()
        if now >= self._until:
            return 0
        phase = (now - self._began) % (BUSY_SEC + CALM_SEC)
        return phase - BUSY_SEC if phase < BUSY_SEC else BUSY_SEC + CALM_SEC - phase

    def _repeat(self, listener, kind):
        while time.monotonic() < self._until:
            yield Wait(None, 0, random.uniform(0, THINK_SEC))
            yield from self._serve_one(listener, kind, kind.__name__)

    def _take_turns(self, single):
        for listener, kind in itertools.cycle(single):
            if time.monotonic() >= self._until:
                break
            if self._calm_seconds() < 0:
                self._end_stay()
                yield Wait(None, 0, -self._calm_seconds())
                yield from self._fill(single[0][0])
            yield from self._serve_one(listener, kind, "single")
            if random.random() < 0.5 and len(self._staying) >= STAY:
                self._staying.pop(random.randrange(-STAY, 0)).socket.close()
            yield Wait(None, 0, random.uniform(0, THINK_SEC))
        self._end_stay()

    def _fill(self, listener):
        """Connects as many clients that stay as there may be places."""
        for _ in range(FILL):
            yield from self._serve_one(listener, staying, "single")

    def _end_stay(self):
        for client in self._staying:
            client.socket.close()
        self._staying.clear()

    def _serve_one(self, listener, kind, name):
        client = Client(listener, **OPTIONS.get(kind, {}))
        self.connections += 1
        try:
            yield from kind(client)
        except (Lost, ConnectionResetError) as error:
            self.lost[listener.name, name, str(error)] += 1
            if client.wait is None and str(error) == "stalled":
                client.wait = GIVE_UP_SEC
        if client.stays:
            self._staying.append(client)
        else:
            client.socket.close()
        if client.wait is not None:
            self.waits[listener.name, name].append(client.wait)

    def _resume(self, task, ready):
        task.number += 1
        try:
            wait = task.generator.send(ready)
        except StopIteration:
            self._n_tasks -= 1
            return
        self._set_timer(task, wait.seconds)
        task.only_pauses = not wait.socket
        if wait.socket:
            self._watch(wait.socket.fileno(), wait.events | select.EPOLLONESHOT)
            self._waiting[wait.socket.fileno()] = task

    def _set_timer(self, task, seconds):
        timer = (time.monotonic() + seconds, next(self._order), task, task.number)
        heapq.heappush(self._timers, timer)

    def _watch(self, descriptor, events):
        try:
            self._epoll.modify(descriptor, events)
        except FileNotFoundError:
            self._epoll.register(descriptor, events)

    def _poll(self):
        seconds = self._timers[0][0] - time.monotonic() if self._timers else -1
        for descriptor, _ in self._epoll.poll(max(seconds, 0)):
            if task := self._waiting.pop(descriptor, None):
                self._resume(task, True)
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, task, number = heapq.heappop(self._timers)
            calm_seconds = 0 if task.in_calm or not task.only_pauses else self._calm_seconds()
            if task.number != number:
                continue
            if calm_seconds > 0:
                self._set_timer(task, calm_seconds + random.uniform(0, THINK_SEC))
            else:
                self._resume(task, False)
