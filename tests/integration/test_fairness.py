# SPDX-License-Identifier: MIT
"""At the limit of connections or descriptors, a new client waits only if no worker can serve it,
every listener has its turn, and so has every worker."""

import collections
import select
import socket
import unittest

from support import daemon, fake_journal, threads
from support.daemon import GREETING, read_to_end

BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
PROMPT = 10  # seconds; a new client that waits for a lingering one waits for ever
ROUNDS = 20
PLACES = 4
QUEUED = 24
IN_SUCCESSION = 128  # clients of which each worker greets a good part
TURNS = 8  # clients of QUEUED; two listeners in turn need at most 2


def setUpModule():
    fake_journal.isolate()


class Workers(daemon.GreetdTestCase):
    """Two workers, and clients that linger for ever."""

    def serve_with(self, server):
        return self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nWorkers=2\nStopTimeoutSec=0\n{server}\n"
            "[Greeting]\nLingerSec=infinity\n",
        )

    def lingering_client(self, greetd):
        """A client that has its greeting and does not close."""
        client = self.client(greetd.address())
        client.settimeout(PROMPT)
        self.assertEqual(read_to_end(client), GREETING)
        return client

    def close(self, greetd, client):
        """Closes CLIENT, and returns when a worker has room for another."""
        line = f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}"
        client.close()
        greetd.wait_line(line)

    def test_a_client_is_greeted_while_either_worker_has_room(self):
        greetd = self.serve_with("MaxConnections=2")
        held = [self.lingering_client(greetd) for _ in range(2)]
        for closed in (0, 1) * ROUNDS:
            self.close(greetd, held.pop(closed))
            held.append(self.lingering_client(greetd))

    def test_a_client_is_greeted_while_either_worker_has_a_client_to_evict(self):
        # The kernel prefers one worker for a while, and the test does not know which.
        for idle in (0, 1) * 4:
            with self.subTest(idle=idle):
                greetd = self.serve_with("")
                with threads.hanging_worker(greetd.pid, idle):
                    held = [self.lingering_client(greetd) for _ in range(12)]
                greetd.limit_descriptors(0)
                for _ in range(ROUNDS):
                    held.append(self.lingering_client(greetd))
                self.stop(greetd)


class Turns(fake_journal.JournalTestCase):
    """Two workers that sleep whenever a client connects."""

    def test_no_worker_greets_nearly_all_clients(self):
        greetd = self.serve_journal(config="[Server]\nWorkers=2\n")
        workers = collections.Counter()
        for _ in range(IN_SUCCESSION):
            with self.client(self.address) as client:
                self.assertEqual(read_to_end(client), GREETING)
            workers[self.entry("Connection from .*")["GREETD_WORKER"]] += 1
        print(f"  clients of each worker: {dict(workers)}", flush=True)
        self.assertGreaterEqual(min(workers["0"], workers["1"]), IN_SUCCESSION // 8)
        self.stop(greetd)


class Listeners(daemon.GreetdTestCase):
    """Slow readers have all places, and more of them are queued than a test serves."""

    def serve_with(self, server, first):
        """A listener for slow readers and one for metrics, FIRST passed before the other. Returns
        the process and their addresses."""
        sockets = {
            name: self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
            for name in ("web", "metrics")
        }
        names = sorted(sockets, key=lambda name: name != first)
        greetd = self.serve(
            config=f"[Server]\nWorkers=1\nStopTimeoutSec=0\n{server}\n"
            f"[Listener web]\nMessageFile={self.write('big', BIG)}\n"
            "[Listener metrics]\nGreetOn=data\nMessage=metrics\n",
            sockets=[sockets[name] for name in names],
            names=names,
        )
        return greetd, *(listener.getsockname() for listener in sockets.values())

    def slow_readers(self, address, n):
        return [self.client(address, receive_buffer=8192) for _ in range(n)]

    def assert_has_its_turn(self, held, queued, other):
        """Finishes one client of HELD after the other, until OTHER is greeted."""
        waiting = [other, *queued]
        for turn in range(1, TURNS + 1):
            with held.pop() as client:
                self.assertEqual(read_to_end(client), BIG[1:])
            (begun, *_), _, _ = select.select(waiting, [], [], daemon.TIMEOUT)
            if begun is other:
                self.assertEqual(read_to_end(other), b"metrics")
                print(f"  greeted in turn {turn}", flush=True)
                return
            waiting.remove(begun)
            held.append(begun)
            self.assertEqual(begun.recv(1), BIG[:1])
        self.fail(f"{TURNS} slow readers had a turn, and the client of the other listener had none")

    def assert_listeners_take_turns(self, server, short_of=lambda greetd: None):
        for first in ("web", "metrics"):
            with self.subTest(first=first):
                greetd, web, metrics = self.serve_with(server, first)
                short_of(greetd)
                held = self.slow_readers(web, PLACES)
                for client in held:
                    self.assertEqual(client.recv(1), BIG[:1])
                queued = self.slow_readers(web, QUEUED)
                other = self.client(metrics)
                other.sendall(b"?")
                self.assert_has_its_turn(held, queued, other)
                for client in (*held, *queued):
                    client.close()
                self.stop(greetd)

    def test_at_the_limit_of_connections(self):
        # A place is kept for the other listener.
        self.assert_listeners_take_turns(f"MaxConnections={PLACES + 1}")

    def test_out_of_descriptors(self):
        self.assert_listeners_take_turns("", lambda greetd: greetd.limit_descriptors(PLACES))


if __name__ == "__main__":
    unittest.main()
