# SPDX-License-Identifier: MIT
"""FastOpen=yes: greetd sends before the handshake ends, and the client acknowledges after it."""

import contextlib
import ctypes
import pathlib
import socket
import struct
import unittest

from support import daemon, fake_journal, held_path
from support.daemon import GREETING, read_to_end

FAST_OPEN = pathlib.Path("/proc/sys/net/ipv4/tcp_fastopen")
# For clients and servers, without a cookie, so from the first connection on (ip-sysctl.rst).
WITHOUT_COOKIES = 0x1 | 0x2 | 0x4 | 0x200

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
BPF_RET = 0x06  # linux/bpf_common.h


def setUpModule():
    fake_journal.isolate()
    FAST_OPEN.write_text(str(WITHOUT_COOKIES), encoding="ascii")


def drop_packets(client):
    """Drops every packet for CLIENT: the answer to its SYN never arrives."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


class FastOpen(fake_journal.JournalTestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = held_path.HeldPath()

    def serve_fast_open(self, greeting):
        self.serve_journal(
            config=f"[Server]\nWorkers=1\nFastOpen=yes\n[Greeting]\n{greeting}"
        )

    def client_without_answer(self):
        """A client that has sent data in its SYN, and does not receive the answer."""
        client = socket.socket()
        self.addCleanup(client.close)
        drop_packets(client)
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.sendto(b"hello", socket.MSG_FASTOPEN, self.address)
        return client

    def connection(self, client):
        entry = self.entry(f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}")
        return entry["GREETD_RESULT"], entry["GREETD_BYTES"], entry["GREETD_BYTES_ACKED"]

    def test_a_greeting_sent_in_the_handshake_is_not_acknowledged(self):
        self.serve_fast_open("LingerSec=1ms\nWriteTimeoutSec=50ms\n")
        client = self.client_without_answer()
        self.assertEqual(self.connection(client), ("unconfirmed", str(len(GREETING)), "0"))

    def test_a_greeting_is_acknowledged_once_the_handshake_is_over(self):
        self.serve_fast_open("LingerSec=infinity\n")
        client = self.client_without_answer()
        client.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        client.settimeout(daemon.TIMEOUT)
        self.assertEqual(read_to_end(client), GREETING)
        client.shutdown(socket.SHUT_WR)
        size = str(len(GREETING))
        self.assertEqual(self.connection(client), ("delivered", size, size))

    def test_a_greeting_arrives_before_the_handshake_is_over(self):
        self.listen_at(held_path.NEAR)
        self.serve_fast_open("")
        self.path.hold_acknowledgements(self.address[1])
        with socket.socket() as client:
            client.settimeout(daemon.TIMEOUT)
            client.sendto(b"hello", socket.MSG_FASTOPEN, (held_path.FAR, self.address[1]))
            self.assertEqual(client.recv(len(GREETING)), GREETING)
            self.path.release()
            self.assertEqual(read_to_end(client), b"")

    def test_a_client_that_resets_in_the_handshake_has_acknowledged_nothing(self):
        self.listen_at(held_path.NEAR)
        self.serve_fast_open("Message=x\n")  # as long as an end of stream
        self.path.hold_acknowledgements(self.address[1])
        with socket.socket() as client:
            client.settimeout(daemon.TIMEOUT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendto(b"hello", socket.MSG_FASTOPEN, (held_path.FAR, self.address[1]))
            self.assertEqual(client.recv(100), b"x")
        entry = self.entry("Connection from .*")
        self.path.release()
        self.assertEqual((entry["GREETD_RESULT"], entry["GREETD_BYTES_ACKED"]), ("reset", "0"))

    def test_the_round_trip_time_is_logged(self):
        self.serve_fast_open("")
        self.assertEqual(daemon.greeted(self.address), GREETING)
        self.assertGreater(int(self.entry("Connection from .*")["GREETD_RTT_USEC"]), 0)


if __name__ == "__main__":
    unittest.main()
