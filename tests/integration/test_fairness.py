# SPDX-License-Identifier: MIT
"""At the limit of connections or descriptors a newcomer waits only if no worker can serve it, and
every listener has its turn."""

import select
import socket
import unittest

from support import daemon, namespaces, threads
from support.daemon import GREETING, read_to_end

BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends take
PROMPT = 10  # seconds; a newcomer that waits for a lingering client waits for ever
ROUNDS = 20
PLACES = 4
QUEUED = 24
TURNS = 8  # of QUEUED; two listeners in turn need no more than 2


def setUpModule():
    namespaces.isolate()


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
        """Returns when a worker has room for another."""
        line = f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}"
        client.close()
        greetd.wait_line(line)

    def test_a_client_is_greeted_while_either_worker_has_room(self):
        greetd = self.serve_with("MaxConnections=2")
        held = [self.lingering_client(greetd) for _ in range(2)]
        for leaving in (0, 1) * ROUNDS:
            self.close(greetd, held.pop(leaving))
            held.append(self.lingering_client(greetd))

    def test_a_client_is_greeted_while_either_worker_has_a_client_to_evict(self):
        # The kernel has a preference for one of them, unknown to the test and the same for a while.
        for idle in (0, 1) * 4:
            with self.subTest(idle=idle):
                greetd = self.serve_with("")
                with threads.hanging_worker(greetd.pid, idle):
                    held = [self.lingering_client(greetd) for _ in range(12)]
                greetd.limit_descriptors(0)
                for _ in range(ROUNDS):
                    held.append(self.lingering_client(greetd))
                self.stop(greetd)


class Listeners(daemon.GreetdTestCase):
    """Slow readers have all places, and more of them are queued than a test lets through."""

    def serve_with(self, server, first):
        """A listener for slow readers and one for metrics, the one named FIRST before the other;
        returns their addresses behind the process."""
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

    def assert_has_its_turn(self, held, queued, asking):
        """Lets one client of HELD finish after the other, until ASKING is greeted."""
        waiting = [asking, *queued]
        for turn in range(1, TURNS + 1):
            with held.pop() as client:
                self.assertEqual(read_to_end(client), BIG[1:])
            (begun, *_), _, _ = select.select(waiting, [], [], daemon.TIMEOUT)
            if begun is asking:
                self.assertEqual(read_to_end(asking), b"metrics")
                print(f"  greeted in turn {turn}", flush=True)
                return
            waiting.remove(begun)
            held.append(begun)
            self.assertEqual(begun.recv(1), BIG[:1])
        self.fail(f"{TURNS} slow readers had their turn, and the client of another listener had none")

    def assert_listeners_take_turns(self, server, short_of=lambda greetd: None):
        for first in ("web", "metrics"):
            with self.subTest(first=first):
                greetd, web, metrics = self.serve_with(server, first)
                short_of(greetd)
                held = self.slow_readers(web, PLACES)
                for client in held:
                    self.assertEqual(client.recv(1), BIG[:1])
                queued = self.slow_readers(web, QUEUED)
                asking = self.client(metrics)
                asking.sendall(b"?")
                self.assert_has_its_turn(held, queued, asking)
                for client in (*held, *queued):
                    client.close()
                self.stop(greetd)

    def test_at_the_limit_of_connections(self):
        self.assert_listeners_take_turns(f"MaxConnections={PLACES}")

    def test_out_of_descriptors(self):
        self.assert_listeners_take_turns("", lambda greetd: greetd.limit_descriptors(PLACES))


if __name__ == "__main__":
    unittest.main()
