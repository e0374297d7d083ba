# SPDX-License-Identifier: MIT
"""That each expectation fails: against servers that are broken on purpose, and, for what a kernel
does, against a server that is made of segments."""

import os
import pathlib
import queue
import socket
import struct
import sys
import tempfile
import threading
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import conduct  # noqa: E402
import network  # noqa: E402
import player  # noqa: E402
import scoreboard  # noqa: E402
import script as scripts  # noqa: E402
import segment as segments  # noqa: E402
from segment import ACK, FIN, RST, SYN, Segment  # noqa: E402

GREETING = b"Hello from server!"
N_SERVER = 100  # behind those of conduct.py
CONNECTION_ID = "f15e246255404ce3a2d6ef608bb4a673"  # greetd/journal/catalog.h
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger


def setUpModule():
    network.open_network()


def load(name):
    return scripts.load(HERE / "packets" / f"{name}.pkt")


# Servers, each a function of an accepted socket


def read_to_end(client):
    while client.recv(65536):
        pass


def greet(client):
    """A good server."""
    client.sendall(GREETING)
    client.shutdown(socket.SHUT_WR)
    read_to_end(client)


def greet_and_close(client):
    client.sendall(GREETING)


def greet_and_reset(client):
    client.sendall(GREETING)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def greet_without_end(client):
    client.sendall(GREETING)
    read_to_end(client)


def greet_and_end_late(client):
    client.sendall(GREETING)
    client.settimeout(1.5)
    read_to_end(client)


def end_within_the_greeting(client):
    client.sendall(GREETING[:9])
    client.shutdown(socket.SHUT_WR)
    read_to_end(client)


def stop_within_the_greeting(client):
    client.sendall(GREETING[:9])
    read_to_end(client)


def say_something_else(client):
    client.sendall(GREETING.upper())
    read_to_end(client)


def say_more(client):
    client.sendall(GREETING + b"\n")
    read_to_end(client)


def say_nothing(client):
    read_to_end(client)


class BrokenServer(unittest.TestCase):
    def setUp(self):
        patience = mock.patch.object(player, "PATIENCE_SEC", 0.5)
        patience.start()
        self.addCleanup(patience.stop)

    def serve(self, handle, n_clients=None):
        """The address of a server that calls HANDLE in a thread for each client; after N_CLIENTS it
        stops."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.addCleanup(listener.close)
        self.addCleanup(lambda: listener.fileno() < 0 or listener.shutdown(socket.SHUT_RDWR))

        def handle_and_close(client):
            with client:
                try:
                    handle(client)
                except OSError:  # the client has reset, or the server has waited long enough
                    pass

        def accept():
            accepted = 0
            while n_clients is None or accepted < n_clients:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                accepted += 1
                threading.Thread(target=handle_and_close, args=[client], daemon=True).start()
            listener.close()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()

    def play(self, name, handle, **options):
        address = self.serve(handle, **options)
        return conduct.play_all(N_SERVER, address, GREETING, [load(name)])[0]

    def assert_word(self, word, name, handle, **options):
        self.assertEqual(self.play(name, handle, **options)[0], word)

    def test_a_good_server_keeps_everything(self):
        self.assert_word(None, "speaks-twice", greet)
        self.assert_word(None, "waits-for-the-end", greet)

    def test_a_reset_is_seen(self):
        self.assert_word("reset", "ordinary", greet_and_reset)

    def test_a_reset_for_unread_data_is_seen(self):
        self.assert_word(None, "ordinary", greet_and_close)
        self.assert_word("reset", "speaks-first", greet_and_close)

    def test_an_early_end_is_seen(self):
        self.assert_word("half", "ordinary", end_within_the_greeting)

    def test_a_greeting_that_stops_is_seen(self):
        self.assert_word("half", "ordinary", stop_within_the_greeting)

    def test_a_lack_of_a_greeting_is_seen(self):
        self.assert_word("silent", "ordinary", say_nothing)

    def test_a_lack_of_an_end_is_seen(self):
        self.assert_word("no end", "ordinary", greet_without_end)

    def test_a_late_end_is_seen(self):
        with mock.patch.object(player, "PATIENCE_SEC", 5):
            self.assert_word(None, "ordinary", greet_and_end_late)
            self.assert_word("no end", "waits-for-the-end", greet_and_end_late)

    def test_other_bytes_are_seen(self):
        self.assert_word("wrong", "ordinary", say_something_else)

    def test_more_bytes_are_seen(self):
        self.assert_word("more", "ordinary", say_more)

    def test_a_server_that_has_died_is_seen(self):
        self.assert_word("dead", "ordinary", greet, n_clients=1)

    def test_receipts_are_what_the_clients_saw(self):
        _, _, receipts = self.play("ordinary", end_within_the_greeting)
        address = network.addresses(N_SERVER, 0)[0]
        seen = {"address": address, "port": player.FIRST_PORT, "bytes": 9, "end": "unfinished"}
        self.assertEqual([{**receipt, **seen} for receipt in receipts], receipts)
        self.assertEqual(len(receipts), 1)
        _, _, (receipt,) = self.play("ordinary", greet_and_reset)
        self.assertEqual(receipt["end"], "reset")

    def test_no_script_is_kept_by_a_server_that_says_nothing(self):
        cases = conduct.load([])
        address = self.serve(say_nothing)
        results = conduct.play_all(N_SERVER, address, GREETING, cases)
        kept = [script.name for script, (word, _, _) in zip(cases, results) if not word]
        self.assertEqual(kept, [])


class Peer:
    """A server made of segments, in the place of a network: good, but for what a test overrides."""

    def __init__(self, **changes):
        self.arrivals = queue.SimpleQueue()
        self.isn = 1000
        self.acked = None  # the number that the next segment acknowledges
        for name, value in changes.items():
            setattr(self, name, value)

    def attach(self, _):
        return self.arrivals

    def reply(self, segment, flags, seq, payload=b""):
        self.arrivals.put(
            Segment(segment.destination, segment.source, flags, self.isn + seq, self.acked, 65535,
                    (), payload)
        )  # fmt: skip

    def transmit(self, segment):
        if segment.flags & SYN:
            self.acked = segment.seq + 1
            self.answer(segment)
        elif segment.flags & RST:
            return
        elif segment.ack == self.isn + 1:
            self.greet(segment)
        else:
            self.acked += bool(segment.flags & FIN)
            self.acknowledge(segment)

    def answer(self, segment):
        self.reply(segment, SYN | ACK, 0)

    def greet(self, segment):
        self.reply(segment, FIN | ACK, 1, GREETING)

    def acknowledge(self, segment):
        self.reply(segment, ACK, 2 + len(GREETING))


class BrokenKernel(unittest.TestCase):
    setUp = BrokenServer.setUp

    def assert_word(self, word, name, peer):
        client = player.Player(peer, "10.9.0.2", ("127.0.0.1", 1), GREETING)
        try:
            client.play(load(name))
        except player.Broken as broken:
            self.assertEqual(broken.word, word, broken)
        else:
            self.assertIsNone(word)

    def test_a_good_one_keeps_everything(self):
        self.assert_word(None, "ordinary", Peer())

    def test_a_lack_of_an_answer_is_seen(self):
        self.assert_word("no answer", "ordinary", Peer(answer=lambda segment: None))

    def test_a_greeting_that_is_not_sent_again_is_seen(self):
        self.assert_word("silent", "greeting-lost", Peer())

    def test_an_end_that_is_not_sent_again_is_seen(self):
        self.assert_word("no end", "end-lost", Peer())

    def test_the_rest_of_a_greeting_that_is_not_sent_again_is_seen(self):
        self.assert_word("half", "part-lost", Peer())

    def test_a_lack_of_an_acknowledgement_is_seen(self):
        self.assert_word("no ack", "ordinary", Peer(acknowledge=lambda segment: None))

    def test_an_acknowledgement_of_what_was_not_sent_is_seen(self):
        peer = Peer()

        def greet(segment):
            peer.acked += 9
            peer.reply(segment, ACK, 1)

        peer.greet = greet
        self.assert_word("wrong ack", "ordinary", peer)

    def test_a_second_connection_is_seen(self):
        peer = Peer()

        def answer(segment):
            peer.isn += 1000
            peer.reply(segment, SYN | ACK, 0)

        peer.answer = answer
        self.assert_word("two connections", "syn-again", peer)

    def test_data_of_a_syn_that_are_not_taken_are_seen(self):
        self.assert_word("ack 1", "fast-open-early", Peer())


class Notation(unittest.TestCase):
    MISTAKES = [
        "+0 < S 0:1(0)",  # not the length
        "+0 < . 1:1(0)",  # no ack
        "+0 < S 0:0(0) ack 1",
        "+0 < S 0:0(0) <mss>",
        "+0 < X 0:0(0)",
        "0 > greeting",
        "> greeting",
        "+0 > greetings",
        "+0 > greeting now",
        "+0~1 > greeting",
    ]

    def test_a_mistake_is_an_error(self):
        for line in self.MISTAKES:
            with self.subTest(line), self.assertRaisesRegex(scripts.Mistake, "^name:2: "):
                scripts.parse("name", f"# A title\n{line}\n+0 > end\n")

    def test_a_script_takes_any_length_if_the_client_acknowledges_what_it_reads(self):
        for name, expected in (("ordinary", True), ("resets-in-the-handshake", True),
                               ("greeting-lost", False), ("window-of-one-byte", False),
                               ("fast-open-early", False)):  # fmt: skip
            with self.subTest(name):
                self.assertEqual(load(name).takes_any_length(), expected)

    def test_a_script_without_a_title_or_an_expectation_is_an_error(self):
        for text in ("+0 > end\n", "# A title\n+0 < S 0:0(0)\n"):
            with self.subTest(text), self.assertRaises(scripts.Mistake):
                scripts.parse("name", text)


class Packets(unittest.TestCase):
    SEGMENT = Segment(("10.9.0.2", 40000), ("127.0.0.1", 80), SYN, 1, 0, 65535,
                      ((2, b"\x05\xb4"), (34, b"")), b"xxx")  # fmt: skip

    def test_are_read_as_they_were_written(self):
        read = segments.unpack(segments.pack(self.SEGMENT))
        self.assertEqual(read, self.SEGMENT)

    def test_a_damaged_one_is_an_error(self):
        packet = bytearray(segments.pack(self.SEGMENT))
        packet[-1] ^= 1
        with self.assertRaises(segments.Damaged):
            segments.unpack(bytes(packet))


class BothSides(unittest.TestCase):
    """A client with its greeting, and one that has left."""

    SEEN = [
        {"address": "10.9.0.2", "port": 1, "bytes": 18, "end": "ok", "acknowledged": 18},
        {"address": "10.9.0.2", "port": 2, "bytes": 18, "end": "unfinished", "acknowledged": 0},
    ]

    def entry(self, port, result="delivered"):
        return {
            "MESSAGE_ID": CONNECTION_ID, "GREETD_REMOTE_ADDR": "10.9.0.2",
            "GREETD_REMOTE_PORT": str(port), "GREETD_RESULT": result, "GREETD_BYTES": "18",
            "GREETD_BYTES_ACKED": "18" if result == "delivered" else "0",
            "GREETD_DURATION_USEC": "100", "GREETD_TIMESTAMP": "5500",
        }  # fmt: skip

    def found(self, *entries):
        times = {"connect_usec": 5000, "end_usec": 6000}
        results = [(None, "", [{**receipt, **times} for receipt in self.SEEN])]
        kind = mock.Mock()
        kind.name = "greetd"
        lines = list(conduct.receipt_lines(kind, [load("ordinary")], results))
        return list(conduct.find_contradictions(os.environ["GREET"], lines, entries))

    def test_agree(self):
        self.assertEqual(self.found(self.entry(1), self.entry(2, "partial")), [])
        self.assertEqual(self.found(self.entry(1)), [])

    def test_more_than_a_client_has_acknowledged(self):
        claim = "10.9.0.2:2 has acknowledged 0 bytes, greetd says 18"
        self.assertEqual(self.found(self.entry(1), self.entry(2)), [claim])

    def test_a_client_without_an_entry(self):
        entry = self.entry(2, "partial")
        self.assertEqual(self.found(entry), ["no client was served", "unlogged: 1"])

    def test_two_entries(self):
        self.assertEqual(self.found(self.entry(1), self.entry(1)), ["others: 1"])

    def test_a_whole_greeting_that_was_not_sent(self):
        entry = {**self.entry(1, "partial"), "GREETD_BYTES": "9"}
        self.assertEqual(self.found(entry), ["no client was served", "contradicted: 1"])


class Table(unittest.TestCase):
    def test_is_replaced_between_its_marks(self):
        cases = [load("ordinary"), load("speaks-first")]
        kinds = [mock.Mock(title="this"), mock.Mock(title="that")]
        kinds[0].name, kinds[1].name = "a", "b"
        words = {"a": [None, None], "b": [None, "reset"]}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "README.md")
            path.write_text(f"Before\n{scoreboard.BEGIN}\nold\n{scoreboard.END}\nafter\n")
            with mock.patch.object(scoreboard, "versions", lambda: "1"):
                scoreboard.publish(path, cases, kinds, words)
            text = path.read_text()
        self.assertTrue(text.startswith("Before\n<!--") and text.endswith("-->\nafter\n"), text)
        self.assertNotIn("old", text)
        self.assertIn("(packets/speaks-first.pkt) | kept | **reset** |", text)
        self.assertIn("| kept, of 2 | 2 | 1 |", text)


if __name__ == "__main__":
    unittest.main()
