# SPDX-License-Identifier: MIT
"""A client that reads slowly gets all of a big greeting, and no other client waits for it."""

import random
import time
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, greeted, read_to_end

BIG = random.Random(5).randbytes(5 * 1024 * 1024)


def setUpModule():
    namespaces.isolate()


class SlowReader(daemon.GreetdTestCase):
    def serve_big(self, settings=""):
        """One listener with a greeting of 5 MB, one with the usual one, and a single worker."""
        file = self.write("big", BIG)
        greetd = self.serve(
            config="[Server]\nWorkers=1\nListenStream=127.0.0.1:0\n[Listener big]\n"
            f"ListenStream=127.0.0.1:0\nMessageFile={file}\n{settings}"
        )
        return greetd, *map(greetd.address, range(2))

    def test_a_quick_reader_gets_all_of_it(self):
        _, _, big = self.serve_big()
        self.assertEqual(greeted(big), BIG)

    def test_a_slow_reader_gets_all_of_it_while_others_are_greeted(self):
        _, small, big = self.serve_big()
        sizes = random.Random(1)
        received = bytearray()
        others = 0
        with connect(big, receive_buffer=4096) as client:
            while chunk := client.recv(sizes.randint(1, 16384)):
                received += chunk
                if len(received) > others * len(BIG) // 100:
                    others += 1
                    self.assert_greeted(small)
        self.assertEqual(received, BIG)
        self.assertGreaterEqual(others, 100)

    def test_many_slow_readers_at_once(self):
        _, small, big = self.serve_big()
        clients = [self.client(big, receive_buffer=16384) for _ in range(20)]
        received = [bytearray(client.recv(100)) for client in clients]
        self.assert_greeted(small)
        for _ in range(20):
            for client, got in zip(clients, received):
                got += client.recv(4096)
            self.assert_greeted(small)
        for client, got in zip(clients, received):
            got += read_to_end(client)
            self.assertEqual(got, BIG)

    def test_others_are_greeted_after_a_slow_reader_closes(self):
        greetd, small, big = self.serve_big()
        for _ in range(20):
            with connect(big, receive_buffer=4096) as client:
                client.recv(1000)
        self.assert_greeted(small, GREETING)
        self.assertEqual(greeted(big), BIG)
        self.stop(greetd)

    def test_no_progress_for_too_long_ends_a_connection(self):
        greetd, _, big = self.serve_big("WriteTimeoutSec=200ms\n")
        client = self.client(big, receive_buffer=4096)
        greetd.wait_line(f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}")
        received = bytearray()
        try:
            while chunk := client.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        self.assertLess(len(received), len(BIG))
        self.assertEqual(received, BIG[: len(received)])

    def test_a_slow_reader_makes_progress_past_the_time_limit(self):
        # The client is so slow that a full send buffer has no room for more within the limit. Only
        # its acknowledgements distinguish it from a client that stalls.
        greetd, small, big = self.serve_big("WriteTimeoutSec=2s\n")
        with connect(big, receive_buffer=4096) as client:
            began = time.monotonic()
            received = bytearray()
            while (elapsed := time.monotonic() - began) < 5:
                if len(received) < elapsed * 40_000:
                    received += client.recv(1000)
                self.assert_greeted(small)
            received += read_to_end(client)
        self.assertEqual(received, BIG)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
