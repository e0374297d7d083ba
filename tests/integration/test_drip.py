# SPDX-License-Identifier: MIT
"""DripSec=: a greeting line by line, with a pause before each line. Pauses have a lower bound only."""

import select
import socket
import struct
import time
import unittest

from support import daemon, fake_journal, metrics
from support.daemon import connect, greeted, read_to_end

PAUSE = 0.1
LEAST = PAUSE * 0.9  # a round of a worker has one time, that of its begin
LINES = ["one\n", "two\n", "\n", "four"]
TEXT = "".join(LINES).encode()
SLOW = "DripSec=1h"  # no line is due during a test
RESET = struct.pack("ii", 1, 0)  # SO_LINGER in socket(7)


def setUpModule():
    fake_journal.isolate()


def escaped(text):
    return text.replace("\n", "\\n")


def read_exactly(client, size):
    received = bytearray()
    while len(received) < size:
        chunk = client.recv(size - len(received))
        if not chunk:
            raise AssertionError(f"the stream ended after {bytes(received)}")
        received += chunk
    return bytes(received)


class DripTestCase(fake_journal.JournalTestCase):
    def config(self, settings, message=TEXT.decode(), server=""):
        return f"[Server]\n{server}\n[Greeting]\nMessage={escaped(message)}\n{settings}\n"

    def serve_drip(self, settings=f"DripSec={PAUSE}", message=TEXT.decode(), server="", **options):
        return self.serve_journal(config=self.config(settings, message, server), **options)

    def entry_of(self, client_port, *keys):
        entry = self.entry(f"Connection from 127.0.0.1:{client_port}")
        return [entry[f"GREETD_{key}"] for key in keys]

    def assert_nothing_to_read(self, client):
        self.assertEqual(select.select([client], [], [], 0)[0], [])


class Lines(DripTestCase):
    def test_each_line_follows_a_pause(self):
        self.serve_drip(message="one\ntwo")
        began = time.monotonic()
        with connect(self.address) as client:
            self.assertEqual(read_exactly(client, 4), b"one\n")
            self.assertGreaterEqual(time.monotonic() - began, LEAST)
            self.assertEqual(read_to_end(client), b"two")
        self.assertGreaterEqual(time.monotonic() - began, 2 * LEAST)

    def test_the_last_line_needs_no_newline(self):
        self.serve_drip()
        for _ in range(2):
            began = time.monotonic()
            self.assertEqual(greeted(self.address), TEXT)
            self.assertGreaterEqual(time.monotonic() - began, len(LINES) * LEAST)

    def test_records_are_lines(self):
        path = f"{self.folder}/records"
        listener = self.listening_socket(socket.AF_UNIX, path, socket.SOCK_SEQPACKET)
        self.serve(config=self.config("DripSec=1ms"), sockets=[listener])
        with connect(path, socket.SOCK_SEQPACKET) as client:
            records = [client.recv(100) for _ in range(len(LINES) + 1)]
        self.assertEqual(records, [*(line.encode() for line in LINES), b""])

    def test_a_unix_socket(self):
        path = f"{self.folder}/socket"
        self.serve("-l", path, config=self.config("DripSec=1ms"))
        self.assertEqual(greeted(path), TEXT)

    def test_the_pause_begins_with_the_data(self):
        self.serve_drip(f"DripSec={PAUSE}\nGreetOn=data")
        with connect(self.address) as client:
            began = time.monotonic()
            client.sendall(b"?")
            self.assertEqual(read_to_end(client), TEXT)
        self.assertGreaterEqual(time.monotonic() - began, len(LINES) * LEAST)

    def test_variables_keep_their_values(self):
        self.serve_drip("DripSec=1ms\nDripRepeat=yes", "$remote_port $connection\n")
        clients = [self.client(self.address) for _ in range(20)]
        ports = [client.getsockname()[1] for client in clients]
        received = [client.makefile("r") for client in clients]
        for port, lines in zip(ports, received):
            self.addCleanup(lines.close)
            first = lines.readline()
            self.assertEqual(first.split()[0], str(port))
            self.assertEqual([lines.readline() for _ in range(5)], [first] * 5)

    def test_a_listener_may_differ(self):
        path = f"{self.folder}/socket"
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Greeting]\n{SLOW}\nDripRepeat=yes\nMessage=a\\nb\n"
            f"[Listener quick]\nListenStream={path}\nDripSec=0\n",
        )
        self.assert_nothing_to_read(self.client(greetd.address()))
        self.assertEqual(greeted(path), b"a\nb")

    def test_a_waiting_client_costs_no_processor_time(self):
        greetd = self.serve_drip(SLOW)
        clients = [self.client(self.address) for _ in range(20)]
        for client in clients:
            client.sendall(b"x")
        self.assert_does_not_spin(greetd, 0.5, clients)


class Clients(DripTestCase):
    """What clients do meanwhile."""

    def test_a_client_that_sends_first_gets_everything(self):
        self.serve_drip("DripSec=1ms")
        with connect(self.address) as client:
            client.sendall(b"SSH-2.0-scanner\r\n" * 1000)
            self.assertEqual(read_to_end(client), TEXT)
            port = client.getsockname()[1]
        self.assertEqual(self.entry_of(port, "RESULT", "BYTES", "BYTES_ACKED"),
                         ["delivered", "13", "13"])

    def test_a_client_that_half_closes_gets_everything(self):
        self.serve_drip("DripSec=1ms")
        with connect(self.address) as client:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), TEXT)
            port = client.getsockname()[1]
            self.assertEqual(self.entry_of(port, "RESULT", "BYTES"), ["delivered", "13"])

    def test_a_reset_is_logged_with_the_bytes_before_it(self):
        self.serve_drip("DripSec=20ms", "one\n" + "two\n" * 10000)
        with connect(self.address) as client:
            self.assertEqual(read_exactly(client, 4), b"one\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            port = client.getsockname()[1]
        result, size = self.entry_of(port, "RESULT", "BYTES")
        self.assertEqual((result, int(size) % 4), ("reset", 0))
        self.assertIn(int(size), range(4, 40000))

    def test_a_client_that_has_closed_does_not_stay(self):
        self.serve_drip("DripSec=1ms\nDripRepeat=yes")
        with connect(self.address) as client:
            self.assertEqual(read_exactly(client, 4), b"one\n")
            port = client.getsockname()[1]
        self.assertEqual(self.entry_of(port, "RESULT"), ["reset"])

    def test_a_slow_reader_gets_everything(self):
        line = "x" * 3_000_000 + "\n"
        path = self.write("big", line * 3)
        self.serve_journal(config=f"[Greeting]\nMessageFile={path}\nDripSec=1ms\n")
        with connect(self.address, receive_buffer=4096) as client:
            self.assertTrue(read_to_end(client) == line.encode() * 3)

    def test_a_client_that_does_not_take_its_line_times_out(self):
        path = self.write("big", "one\n" + "x" * 12_000_000)
        self.serve_journal(
            config=f"[Greeting]\nMessageFile={path}\nDripSec=1ms\nWriteTimeoutSec=200ms\n"
        )
        client = self.client(self.address, receive_buffer=4096)
        port = client.getsockname()[1]
        self.assertEqual(self.entry_of(port, "RESULT"), ["timeout"])

    def test_repeats_until_the_client_closes(self):
        self.serve_drip("DripSec=1ms\nDripRepeat=yes", "one\ntwo\n")
        with connect(self.address) as client:
            self.assertEqual(read_exactly(client, 80), b"one\ntwo\n" * 10)

    def test_the_histogram_leaves_them_out(self):
        path = f"{self.folder}/metrics"
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            config=self.config("DripSec=1ms")
            + f"[Listener metrics]\nListenStream={path}\nMessage=$metrics\nDripSec=0\n",
        )
        before = metrics.parse(greeted(path).decode())
        self.assertEqual(greeted(greetd.address()), TEXT)
        after = metrics.parse(greeted(path).decode())
        name = "greetd_greeting_seconds_count"
        self.assertEqual(metrics.total(after, name) - metrics.total(before, name), 1)


class Pressure(DripTestCase):
    def test_the_client_with_the_longest_wait_is_evicted(self):
        self.serve_drip(SLOW, server="Workers=1\nMaxConnections=3")
        clients = [self.client(self.address) for _ in range(5)]
        for client in clients[:2]:
            self.assertEqual(read_to_end(client), b"")
            port = client.getsockname()[1]
            self.assertEqual(self.entry_of(port, "RESULT", "BYTES"), ["partial", "0"])
        for client in clients[2:]:
            self.assert_nothing_to_read(client)

    def test_is_evicted_before_a_client_that_lingers(self):
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nWorkers=1\nMaxConnections=2\n[Greeting]\nLingerSec=infinity\n"
            f"[Listener drip]\nListenStream={self.folder}/drip\n{SLOW}\n",
        )
        lingering = self.client(greetd.address())
        greetd.wait_message("STATUS", "Greeting 1 client; 1 greeted, .*")
        dripping = self.client(f"{self.folder}/drip")
        greetd.wait_message("STATUS", "Greeting 2 clients; 1 greeted, .*")
        self.client(greetd.address())
        self.assertEqual(read_to_end(dripping), b"")
        greetd.wait_message("STATUS", "Greeting 2 clients; 2 greeted, .*")
        lingering.sendall(b"still there")
        self.assertEqual(read_to_end(lingering), daemon.GREETING)

    def test_is_evicted_for_its_descriptor(self):
        greetd = self.serve_drip(SLOW, server="Workers=1")
        greetd.limit_descriptors(4)
        clients = [self.client(self.address) for _ in range(10)]
        self.assertEqual(read_to_end(clients[0]), b"")
        self.assert_nothing_to_read(clients[-1])


class Control(DripTestCase):
    def test_a_stop_sends_the_rest_at_once(self):
        greetd = self.serve_drip(SLOW, server="StopTimeoutSec=infinity\nWorkers=1")
        with connect(self.address) as client:
            greetd.wait_message("STATUS", "Greeting 1 client; .*")
            greetd.signal(15)
            self.assertEqual(read_to_end(client), TEXT)
        self.assert_ends(greetd, 0)

    def test_a_stop_ends_a_repetition_with_its_last_line(self):
        greetd = self.serve_drip("DripSec=1ms\nDripRepeat=yes", server="StopTimeoutSec=infinity")
        with connect(self.address) as client:
            received = read_exactly(client, 100)
            greetd.signal(15)
            received += read_to_end(client)
        self.assertEqual(received, TEXT * (len(received) // len(TEXT)))
        self.assert_ends(greetd, 0)

    def test_a_client_of_greet_on_data_is_greeted_at_once_during_a_stop(self):
        greetd = self.serve_drip(
            f"{SLOW}\nGreetOn=data\nDataTimeoutSec=infinity", server="StopTimeoutSec=infinity"
        )
        with connect(self.address) as client, connect(self.address) as other:
            greetd.wait_message("STATUS", "Greeting 2 clients; .*")
            other.sendall(b"?")
            greetd.signal(15)
            self.assertEqual(read_to_end(other), TEXT)
            client.sendall(b"?")
            self.assertEqual(read_to_end(client), TEXT)
        self.assert_ends(greetd, 0)

    def test_a_reload_leaves_clients_their_greeting(self):
        path = self.write("greetd.conf", self.config("DripSec=20ms\nDripRepeat=yes"))
        greetd = self.serve("-c", path, config=None, sockets=[self.listener], names=["web"])
        with connect(self.address) as client:
            received = read_exactly(client, 4)
            self.write("greetd.conf", "[Greeting]\nMessage=new\n")
            greetd.signal(1)
            greetd.wait_line("Reloaded the configuration.*")
            self.assertEqual(greeted(self.address), b"new")
            received += read_exactly(client, 5 * len(TEXT) - 4)
            self.assertEqual(received, TEXT * 5)

    def test_a_waiting_client_keeps_greetd_from_an_idle_exit(self):
        greetd = self.serve_drip("DripSec=500ms", "one", "IdleExitSec=100ms")
        began = time.monotonic()
        self.assertEqual(greeted(self.address), b"one")
        self.assertGreaterEqual(time.monotonic() - began, 0.45)
        self.assert_ends(greetd, 0)


if __name__ == "__main__":
    unittest.main()
