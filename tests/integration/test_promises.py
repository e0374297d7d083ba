# SPDX-License-Identifier: MIT
"""A client gets the whole greeting and the end of stream, however much it sends and however slowly
it reads, and no other client waits for it."""

import random
import re
import threading
import time
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end

MEGABYTE = 1024 * 1024
FLOOD = 64 * MEGABYTE  # more than the socket buffers of both ends hold


def setUpModule():
    namespaces.isolate()


def noise(size):
    return random.Random(size).randbytes(size)


class Sender(threading.Thread):
    """Sends at most LIMIT bytes, until end() or until the connection breaks."""

    def __init__(self, client, limit, piece=1000):
        super().__init__(daemon=True)
        self.sent = 0
        self.error = None
        self._client, self._limit, self._piece = client, limit, bytes(piece)
        self._enough = threading.Event()
        self.start()

    def run(self):
        try:
            while self.sent < self._limit and not self._enough.is_set():
                self.sent += self._client.send(self._piece)
        except (BrokenPipeError, ConnectionResetError) as error:
            self.error = error

    def end(self):
        self._enough.set()
        self.join()


class PromisesTestCase(daemon.GreetdTestCase):
    def serve_two(self, greeting, settings="", server="Workers=1"):
        """A listener with the usual greeting, and one with GREETING, also as a Unix socket. Clients
        of the second have another address, so that the lines of the two differ."""
        file = self.write("greeting", greeting)
        greetd = self.serve(
            config=f"[Server]\n{server}\nListenStream=127.0.0.1:0\n[Listener special]\n"
            f"ListenStream=[::1]:0\nListenStream={self.folder}/special\n"
            f"MessageFile={file}\n{settings}[Log]\nRateLimitBurst=infinity\n"
        )
        return greetd, *map(greetd.address, range(3))

    def greet_others(self, address, seconds):
        """Greets other clients for SECONDS."""
        until = time.monotonic() + seconds
        others = 0
        while time.monotonic() < until:
            self.assert_greeted(address)
            others += 1
        self.assertGreater(others, 0)

    def line_of(self, client):
        return f"Connection from [::1]:{client.getsockname()[1]}"


class Senders(PromisesTestCase):
    def assert_greeted_after(self, greeting, sent):
        _, usual, tcp, unix = self.serve_two(greeting)
        for address in (tcp, unix):
            with self.subTest(address=address), connect(address) as client:
                client.sendall(sent)
                self.assert_greeted(usual)
                self.assertEqual(read_to_end(client), greeting)

    def test_3_megabytes_before_a_short_greeting(self):
        self.assert_greeted_after(GREETING, noise(3 * MEGABYTE))

    def test_3_megabytes_before_a_long_greeting(self):
        self.assert_greeted_after(noise(8 * MEGABYTE), noise(3 * MEGABYTE))

    def assert_greeted_while_sending(self, greeting, piece):
        limit = 8 * MEGABYTE
        _, _, tcp, unix = self.serve_two(greeting, "LingerSec=1min\n")
        for address in (tcp, unix) * 5:
            with self.subTest(address=address), connect(address, receive_buffer=16384) as client:
                sender = Sender(client, limit)
                received = read_to_end(client, piece)
                sender.end()
                self.assertEqual(received, greeting)
                self.assertIsNone(sender.error)
                self.assertGreater(sender.sent, 0)

    def test_sending_all_the_time_during_a_short_greeting(self):
        self.assert_greeted_while_sending(GREETING, 1)

    def test_sending_all_the_time_during_a_long_greeting(self):
        self.assert_greeted_while_sending(noise(256 * 1024), 4096)

    def test_others_are_greeted_during_a_flood(self):
        # LingerSec= never ends the connection.
        _, usual, special, _ = self.serve_two(GREETING, "LingerSec=infinity\n")
        with connect(special) as client:
            self.assertEqual(read_to_end(client), GREETING)
            sender = Sender(client, 10**12, 65536)
            while sender.sent < FLOOD and sender.is_alive():
                self.assert_greeted(usual)
            self.assertIsNone(sender.error)
            sender.end()

    def test_sending_does_not_count_as_reading(self):
        greetd, usual, tcp, _ = self.serve_two(noise(12 * MEGABYTE), "WriteTimeoutSec=1s\n")
        with connect(tcp, receive_buffer=4096) as client:
            client.recv(1)
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                while True:
                    client.send(b"x")
                    self.assert_greeted(usual)
            greetd.wait_line(re.escape(self.line_of(client)))


class SlowReaders(PromisesTestCase):
    def read_steadily(self, client, usual, piece, seconds, reply):
        """Reads PIECE bytes, sends REPLY, and waits SECONDS while others are greeted."""
        received = bytearray()
        while chunk := client.recv(piece):
            received += chunk
            if reply:
                client.sendall(reply)
            self.greet_others(usual, seconds)
        return received

    def test_a_reader_that_sends_now_and_then(self):
        # The client is slower than LingerSec=: the kernel has everything long before it.
        greeting = noise(5 * MEGABYTE)
        greetd, usual, tcp, _ = self.serve_two(greeting, "LingerSec=1s\n")
        with connect(tcp) as client:
            received = self.read_steadily(client, usual, 65536, 0.1, b"x")
        self.assertEqual(received, greeting)
        self.stop(greetd)

    def assert_whole_after_stall(self, greeting, first, reply):
        greetd, usual, tcp, _ = self.serve_two(greeting, "LingerSec=200ms\nWriteTimeoutSec=30s\n")
        with connect(tcp, receive_buffer=16384) as client:
            received = bytearray()
            while len(received) < first:
                received += client.recv(first - len(received))
            self.greet_others(usual, 2)
            self.assertFalse(self.line_of(client) in greetd.lines, "dropped amid its greeting")
            client.sendall(reply)
            received += read_to_end(client)
        self.assertEqual(received, greeting)
        self.stop(greetd)

    def test_a_reader_that_stalls_amid_16_megabytes(self):
        self.assert_whole_after_stall(noise(16 * MEGABYTE), 8 * MEGABYTE, b"")

    def test_a_reader_that_stalls_and_sends_amid_16_megabytes(self):
        self.assert_whole_after_stall(noise(16 * MEGABYTE), 8 * MEGABYTE, b"x" * 1000)

    def test_a_reader_that_stalls_when_the_kernel_has_the_rest(self):
        self.assert_whole_after_stall(noise(MEGABYTE), 1000, b"")

    def test_a_reader_that_stalls_and_sends_when_the_kernel_has_the_rest(self):
        self.assert_whole_after_stall(noise(MEGABYTE), 1000, b"x" * 1000)


if __name__ == "__main__":
    unittest.main()
