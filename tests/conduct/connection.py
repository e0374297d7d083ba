# SPDX-License-Identifier: MIT
"""A client's end of a TCP connection, which does only what it is told to.

It compares what the server sends with the greeting. It acknowledges, resets and sends nothing by
itself, with two exceptions: after acknowledge() it acknowledges what arrives, as the kernel of a
client does, and it resets a segment from before its SYN, as any host does that knows nothing of it
(RFC 9293, 3.10.7.3).
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from support import receipts  # noqa: E402
from segment import ACK, FAST_OPEN, FIN, FLAGS, MODULUS, RST, SYN, TIMESTAMPS, Segment

MSS = 1460
PATTERN = b"x"  # what the client sends


class Broken(Exception):
    """What the server owes and does not do: a word or two for the table, and the details."""

    def __init__(self, word, detail=""):
        super().__init__(f"{word}: {detail}" if detail else word)
        self.word = word


def _signed(number):
    """The distance of two sequence numbers, which wrap (RFC 9293, 3.4)."""
    return (number + MODULUS // 2) % MODULUS - MODULUS // 2


class Connection:
    """Numbers are relative: SYN has 0, the first byte of each side 1."""

    def __init__(self, local, remote, isn, greeting, transmit):
        self.local, self.remote, self._isn, self._greeting = local, remote, isn, greeting
        self._transmit = transmit
        self._began_usec = receipts.now_usec()
        self._server_isn = None
        self._have = bytearray(len(greeting))  # 1 for each byte that has arrived
        self._acknowledged = 1  # the highest number acknowledged to the server
        self._window = None  # of automatic acknowledgements
        self._next = 0  # the next number to send
        self._server_acked = self._server_window = 0
        self._upload_end = 0
        self._last_timestamp = None
        self.has_end = False
        self.was_reset = False
        self._has_reset = False
        self.answer = None  # what the SYN-ACK acknowledges
        self.cookie = None
        self.acks = []  # numbers that the server has acknowledged since the last send()

    # What has arrived

    def n_received(self):
        """How many bytes have arrived in order."""
        first = self._have.find(0)
        return len(self._have) if first < 0 else first

    def has_greeting(self):
        return self.n_received() == len(self._greeting)

    def receipt(self):
        """What the client saw, as in greet(1), and how many bytes of the greeting it has acknowledged.
        It ends when the script does, maybe unfinished."""
        is_whole = self.has_end and self.has_greeting()
        end = "ok" if is_whole else "reset" if self.was_reset else "unfinished"
        address, port = self.local
        acknowledged = min(self._acknowledged - 1, len(self._greeting))
        return {"address": address, "port": port, "bytes": self.n_received(), "end": end,
                "acknowledged": acknowledged,
                "connect_usec": self._began_usec, "end_usec": receipts.now_usec()}  # fmt: skip

    def _expected(self):
        """The next number that the server should send."""
        return 1 + self.n_received() + (self.has_greeting() and self.has_end)

    def arrived(self, segment):
        """Takes a segment from the server; raises Broken if no good server sends it."""
        timestamps = segment.option(TIMESTAMPS)
        if timestamps:
            self._last_timestamp = timestamps[:4]
        if self._server_isn is None and not segment.flags & SYN:
            self._stray(segment)
        elif segment.flags & RST:
            self._reset()
        elif segment.flags & SYN:
            self._answered(segment)
        else:
            self._continued(segment)

    def _stray(self, segment):
        if segment.flags & RST and self._relative_ack(segment) == self._next:
            self._reset()
        elif not segment.flags & RST:
            self._put(RST, segment.ack, 0, 0)

    def _reset(self):
        self.was_reset = True
        # The client that has reset the connection itself has nothing to lose.
        if not self._has_reset:
            raise Broken("reset", f"after {self.n_received()} of {len(self._greeting)} bytes")

    def _relative_ack(self, segment):
        return _signed(segment.ack - self._isn)

    def _answered(self, segment):
        if self._server_isn not in (None, segment.seq):
            raise Broken("two connections", "the SYN was answered with two sequence numbers")
        self._server_isn = segment.seq
        self.answer = self._relative_ack(segment)
        self.cookie = segment.option(FAST_OPEN) or self.cookie
        self._note_ack(segment)

    def _note_ack(self, segment):
        acked = self._relative_ack(segment)
        if acked > self._next:
            raise Broken("wrong ack", f"{acked} is acknowledged, {self._next} was sent")
        self.acks.append(acked)
        self._server_acked = max(self._server_acked, acked)
        self._server_window = segment.window

    def _continued(self, segment):
        seq = _signed(segment.seq - self._server_isn)
        end = seq + len(segment.payload)
        self._note_ack(segment)
        self._take(seq - 1, segment.payload)
        if segment.flags & FIN:
            if end != 1 + len(self._greeting):
                raise Broken("half", f"the end of stream comes after {end - 1} bytes")
            self.has_end = True
        occupies = len(segment.payload) > 0 or segment.flags & FIN
        if self._window is not None and (occupies or seq < self._expected()):
            self._send_ack()
        self._continue_upload()

    def _take(self, begin, payload):
        end = begin + len(payload)
        if not payload:
            return
        if end > len(self._greeting):
            raise Broken("more", f"{payload!r} ends behind the greeting")
        if payload != self._greeting[begin:end]:
            raise Broken("wrong", f"{payload!r} at {begin}")
        self._have[begin:end] = b"\1" * len(payload)

    def lose(self):
        """Forgets what has arrived and was not acknowledged, as if it had been lost on its way."""
        kept = min(self._acknowledged - 1, len(self._have))
        self._have[kept:] = bytes(len(self._have) - kept)
        self.has_end = self.has_end and self._acknowledged > 1 + len(self._greeting)

    # What is sent

    def _place(self, ack):
        places = {"greeting": 1 + len(self._greeting), "end": 2 + len(self._greeting)}
        return places.get(ack, ack)

    def send(self, flags, seq, length, ack, window, urgent=None, options=()):
        """Sends the segment that is described."""
        bits = sum(FLAGS[letter] for letter in flags)
        self._has_reset |= bool(bits & RST) and seq == self._next
        place = self._place(ack)
        if place is not None and self._server_isn is None:
            raise Broken("no answer", "the client has nothing to acknowledge")
        if place is not None:
            self._acknowledged = max(self._acknowledged, min(place, self._expected()))
        occupied = length + bool(bits & SYN) + bool(bits & FIN)
        self._next = max(self._next, seq + occupied)
        number = 0 if place is None else self._server_isn + place
        self.acks.clear()
        self._put(bits, self._isn + seq, number, window or 0, options, length, urgent or 0)

    def _put(self, flags, seq, ack, window, options=(), length=0, urgent=0):
        self._transmit(
            Segment(self.local, self.remote, flags, seq % MODULUS, ack % MODULUS, window,
                    tuple(self._filled_in(options)), PATTERN * length, urgent)
        )  # fmt: skip

    def _filled_in(self, options):
        """OPTIONS with their values, and timestamps once the server has agreed to them."""
        kinds = [kind for kind, _ in options]
        if self._last_timestamp and TIMESTAMPS not in kinds:
            options = (*options, (TIMESTAMPS, "TS"))
        for kind, value in options:
            yield kind, self._value(value) if isinstance(value, str) else value

    def _value(self, word):
        if word.startswith("TS"):
            now = 1 if word == "TS old" else int(time.monotonic() * 1000) % MODULUS
            return now.to_bytes(4, "big") + (self._last_timestamp or bytes(4))
        return {"FO": b"", "FO cookie": self.cookie or b"", "FO wrong": b"\x5a" * 8}[word]

    def _send_ack(self):
        self._acknowledged = self._expected()
        self._put(ACK, self._isn + self._next, self._server_isn + self._acknowledged, self._window)

    def acknowledge(self, window):
        """From now on all that arrives is acknowledged, with WINDOW."""
        self._window = window
        self._send_ack()

    def upload(self, size):
        """Sends SIZE bytes, as fast as the server takes them."""
        self._upload_end = self._next + size
        self._continue_upload()

    def _continue_upload(self):
        limit = min(self._upload_end, self._server_acked + self._server_window)
        while self._next < limit:
            length = min(MSS, limit - self._next)
            seq, self._next = self._isn + self._next, self._next + length
            ack = self._server_isn + self._acknowledged
            self._put(ACK, seq, ack, self._window or 0, length=length)
