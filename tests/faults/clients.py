# SPDX-License-Identifier: MIT
"""The clients of a world, and what reads its log."""

import contextlib
import os
import pathlib
import re
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from support import daemon, fake_journal, process, receipts  # noqa: E402

# A case that takes longer hangs. A client is bounded by settings of 4 s, even where others use the
# processors.
process.TIMEOUT = 30.0
daemon.TIMEOUT = 15.0


class Clients:
    """Clients one after the other, until HAS_ENDED() of greetd: at its stored sockets a client
    would wait for nothing. Counts clients that connect, and those that are not greeted."""

    def __init__(self, has_ended):
        self.has_ended = has_ended
        self.connected, self.unserved, self.troubles = 0, 0, []
        self.receipts = []

    def talk(self, address, expected, conversation, source=None, proxied=None, **options):
        """Connects, and checks that CONVERSATION, a function of a socket, returns what is EXPECTED
        as a whole. PROXIED is the source in its PROXY header. The receipt of a client that expects
        nothing claims nothing."""
        if self.has_ended():
            self.troubles.append(f"{address} is not asked: greetd has ended")
            return b""
        receipt = receipts.Receipt(self.connected + 1)
        try:
            if source:
                client = socket.create_connection(address, daemon.TIMEOUT, (source, 0))
            else:
                client = daemon.connect(address, **options)
        except OSError as error:
            self.troubles.append(f"{address} can't be connected: {error}")
            return b""
        self.connected += 1
        receipt.connected(client)
        if proxied:
            receipt.proxied(*proxied)
        received, end = b"", "ok" if expected else "unfinished"
        with client:
            try:
                received = conversation(client)
            except OSError as error:
                self.troubles.append(f"{address}: {error}")
                end = error
        if not re.fullmatch(expected, received, re.DOTALL):
            self.unserved += 1
            self.troubles.append(f"{address} sent {received[:60]!r}")
            end = "short" if end == "ok" else end
        self.receipts.append(receipt.ended(end, received))
        return received

    def plain(self, address, expected, **options):
        return self.talk(address, expected, daemon.read_to_end, **options)

    def speaks_first(self, address, expected, *parts, **options):
        def conversation(client):
            for part in parts:
                client.sendall(part)
                time.sleep(0.01)  # a segment of its own
            return daemon.read_to_end(client)

        self.talk(address, expected, conversation, **options)

    def lingers(self, address, expected):
        """Longer than greetd polls for its end, so that epoll has to report it."""

        def conversation(client):
            received = daemon.read_to_end(client)
            client.sendall(b"thanks")
            time.sleep(0.06)
            return received

        self.talk(address, expected, conversation)

    def reads_slowly(self, address, expected):
        def conversation(client):
            time.sleep(0.03)  # until the buffers are full
            return daemon.read_to_end(client)

        self.talk(address, expected, conversation, receive_buffer=4096)

    def resets(self, address):
        def conversation(client):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return b""

        self.talk(address, b"", conversation)

    def sends_a_record(self, address, expected):
        def conversation(client):
            client.send(b"hello")
            received = client.recv(1000)
            return received + client.recv(1000)

        self.talk(address, expected, conversation, kind=socket.SOCK_SEQPACKET)


class Collector(threading.Thread):
    """Reads what comes to the journal's socket, and to the stream behind stderr."""

    def __init__(self, journal, stream):
        super().__init__(daemon=True)
        self.entries, self.lines = [], []
        self._journal, self._stream = journal, stream
        self._ended = False

    def run(self):
        self._journal.settimeout(0.05)
        while True:
            last = self._ended
            with contextlib.suppress(TimeoutError, OSError):
                while True:
                    datagram, descriptors, _, _ = socket.recv_fds(self._journal, 1 << 20, 1)
                    for descriptor in descriptors:  # of a large entry
                        datagram = os.pread(descriptor, 1 << 24, 0)
                        os.close(descriptor)
                    self.entries.append(fake_journal.parse(datagram))
            if last:
                break
        self._stream.setblocking(False)
        with contextlib.suppress(OSError):
            self.lines += self._stream.recv(1 << 20).decode().splitlines()

    def finish(self):
        self._ended = True
        self.join()
