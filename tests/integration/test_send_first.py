# SPDX-License-Identifier: MIT
"""A client that sends first gets the whole greeting and the end of stream. No reset overtakes them
(tcp(7): closing with unread input sends one)."""

import socket
import struct
import threading
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end

LONG = bytes(range(256)) * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def setUpModule():
    namespaces.isolate()


class SendFirst(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        file = self.write("long", LONG)
        self.greetd = self.serve(
            config=f"[Server]\nListenStream=127.0.0.1:0\nListenStream={self.folder}/short\n"
            "[Listener long]\nListenStream=127.0.0.1:0\n"
            f"ListenStream={self.folder}/long-socket\nMessageFile={file}\n"
        )
        self.tcp, self.unix, self.tcp_long, self.unix_long = map(self.greetd.address, range(4))

    def assert_greeted_after(self, data, repeats=20):
        """Clients send all of DATA before they read a byte."""
        for address, expected in (
            (self.tcp, GREETING),
            (self.tcp_long, LONG),
            (self.unix, GREETING),
            (self.unix_long, LONG),
        ):
            for _ in range(repeats):
                with self.subTest(address=address), connect(address) as client:
                    client.sendall(data)
                    self.assertEqual(read_to_end(client), expected)

    def test_one_byte(self):
        self.assert_greeted_after(b"x")

    def test_4_kilobytes(self):
        self.assert_greeted_after(b"x" * 4096)

    def test_200_kilobytes(self):
        self.assert_greeted_after(b"x" * 200_000, repeats=5)

    def test_a_request_in_pieces_after_the_greeting(self):
        with connect(self.tcp) as client:
            self.assertEqual(read_to_end(client), GREETING)
            for _ in range(100):
                client.sendall(b"x" * 1000)

    def test_a_client_that_half_closes_first(self):
        for address, expected in ((self.tcp, GREETING), (self.tcp_long, LONG)):
            with self.subTest(address=address), connect(address) as client:
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_to_end(client), expected)

    def test_a_client_that_sends_and_half_closes(self):
        for address, expected in ((self.tcp, GREETING), (self.tcp_long, LONG)):
            with self.subTest(address=address), connect(address) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_to_end(client), expected)

    def test_a_client_that_sends_all_the_time_while_it_reads(self):
        with connect(self.tcp_long, receive_buffer=4096) as client:
            sender = threading.Thread(target=self.send, args=[client])
            sender.start()
            self.assertEqual(read_to_end(client, 999), LONG)
            sender.join()

    def send(self, client):
        client.sendall(b"x" * 1_000_000)

    def test_others_are_greeted_after_resets_at_once(self):
        for address in (self.tcp, self.tcp_long):
            for _ in range(200):
                client = connect(address)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                client.close()
        self.assert_greeted(self.tcp)
        self.assert_greeted(self.tcp_long, LONG)
        self.stop(self.greetd)

    def test_others_are_greeted_after_resets_in_the_middle(self):
        for _ in range(50):
            client = connect(self.tcp_long, receive_buffer=4096)
            client.recv(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.close()
        self.assert_greeted(self.tcp_long, LONG)
        self.stop(self.greetd)

    def test_others_are_greeted_after_clients_that_never_read(self):
        for address in (self.tcp, self.tcp_long, self.unix, self.unix_long):
            for _ in range(50):
                connect(address).close()
        self.assert_greeted(self.unix)
        self.stop(self.greetd)


class Linger(daemon.GreetdTestCase):
    """A connection is logged when it ends, so its line shows when it was dropped."""

    def serve_with(self, **settings):
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        return self.serve("-l", "127.0.0.1:0", config=f"[Greeting]\n{lines}")

    def held_client(self, greetd):
        client = self.client(greetd.address())
        self.assertEqual(read_to_end(client), GREETING)
        return client, f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}"

    def test_a_client_that_never_closes_is_dropped(self):
        greetd = self.serve_with(LingerSec="100ms")
        _, line = self.held_client(greetd)
        greetd.wait_line(line)

    def test_a_client_lingers_as_long_as_configured(self):
        greetd = self.serve_with(LingerSec="infinity")
        held, held_line = self.held_client(greetd)
        other, other_line = self.held_client(greetd)
        other.close()
        greetd.wait_line(other_line)
        self.assertEqual(len(greetd.lines), 2)
        held.close()
        greetd.wait_line(held_line)

    def test_a_zero_linger_closes_at_once(self):
        greetd = self.serve_with(LingerSec="0")
        _, line = self.held_client(greetd)
        greetd.wait_line(line)

    def test_listeners_have_their_own_linger_time(self):
        greetd = self.serve(
            config="[Server]\nListenStream=127.0.0.1:0\n[Greeting]\nLingerSec=infinity\n"
            "[Listener short]\nListenStream=127.0.0.2:0\nLingerSec=100ms\n"
        )
        addresses = sorted(greetd.address(index) for index in range(2))
        patient = self.client(addresses[0])
        self.assertEqual(read_to_end(patient), GREETING)
        self.assertEqual(read_to_end(self.client(addresses[1])), GREETING)
        greetd.wait_line(r"Connection from 127\.0\.0\.1:\d+")
        self.assertEqual(len(greetd.lines), 3)
        self.assertNotIn(f"Connection from 127.0.0.1:{patient.getsockname()[1]}", greetd.lines)


if __name__ == "__main__":
    unittest.main()
