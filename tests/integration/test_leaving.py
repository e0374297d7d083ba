# SPDX-License-Identifier: MIT
"""greetd holds no client that has closed, however and whenever it closes."""

import contextlib
import random
import socket
import struct
import threading
import time
import unittest

from support import daemon, namespaces
from support.daemon import connect

LARGE = bytes(range(256)) * 1200  # fits into the send buffer, but not into a receive buffer
AT_ONCE, CREWS = 20, 60
RESET = struct.pack("ii", 1, 0)  # SO_LINGER in socket(7)


def setUpModule():
    namespaces.isolate()


def send_some(client, chance):
    client.send(bytes(chance.choice((1, 1000, 65536, 65537, 200000))))


def read_some(client, chance):
    client.recv(chance.choice((1, 5000, len(LARGE))))


def pause(_, chance):
    time.sleep(chance.random() * 0.05)


def half_close(client, _):
    client.shutdown(socket.SHUT_WR)


def read_all(client, _):
    while client.recv(65536):
        pass


def will_reset(client, _):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


ACTIONS = (send_some, read_some, pause, pause, half_close, half_close, read_all, will_reset)


def run_client(address, seed):
    """One client that takes some random actions, and closes."""
    chance = random.Random(seed)
    with connect(address) as client, contextlib.suppress(OSError):
        for _ in range(chance.randrange(1, 8)):
            chance.choice(ACTIONS)(client, chance)


class Closing(daemon.GreetdTestCase):
    def test_no_client_is_left(self):
        path = f"{self.folder}/socket"
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            "-l",
            path,
            config=f"[Server]\nWorkers=3\n[Greeting]\nMessageFile={self.write('large', LARGE)}\n"
            "LingerSec=200ms\nWriteTimeoutSec=infinity\n",
        )
        addresses = (greetd.address(), path)
        for crew in range(CREWS):
            seeds = range(crew * AT_ONCE, (crew + 1) * AT_ONCE)
            clients = [
                threading.Thread(target=run_client, args=[addresses[seed % 2], seed])
                for seed in seeds
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        # A client that greetd still holds would delay its end until the stop times out.
        self.stop(greetd)
        self.assertEqual([line for line in greetd.lines if "did not finish" in line], [])


if __name__ == "__main__":
    unittest.main()
