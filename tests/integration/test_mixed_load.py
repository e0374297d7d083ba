# SPDX-License-Identifier: MIT
"""Four times as many clients as MaxConnections=, of all kinds: none waits while a place is free or
a client can be evicted, and greetd does not spin while none can be served.

tests/soak/run waits runs this for longer, with the limits that greetd promises.
"""

import os
import socket
import unittest

from support import load_client, metrics, mixed_load, namespaces
from support.daemon import GREETING, read_to_end
from support.mixed_load import (
    requesting, half_closing, lingering, plain, resetting, silent, slow, sending, staying,
    uploading,
)  # fmt: skip

SOAK_SEC = float(os.environ.get("GREETD_SOAK_SECONDS", "0"))
LOAD_SEC = SOAK_SEC or 3 * (mixed_load.BUSY_SEC + mixed_load.CALM_SEC)
# Without a soak, other tests may keep the machine busy. LingerSec= is far longer than both limits.
WAIT_MAX_SEC = 0.1 if SOAK_SEC else 3
QUIET_SEC, QUIET_SHARE = (30, 0.01) if SOAK_SEC else (3, 0.05)
PLACES = 64
FEW = 32  # descriptors
WAITING = 100
KEPT = 2 * 3  # places of two workers, for the three other listeners
BIG = bytes(range(256)) * 8192
SEND_BUFFER = 64 << 10  # so that the kernel takes only a part of it

# The slow readers, which can't be evicted, are more than a worker's share of the places.
MIXTURE = {
    "server": {
        plain: 40, half_closing: 24, sending: 24, lingering: 32, resetting: 8, uploading: 8,
    },
    "server6": {plain: 16, half_closing: 8, lingering: 8},
    "big": {slow: 40, plain: 4, half_closing: 2, resetting: 2},
    "metrics": {requesting: 16, silent: 16, uploading: 8},
}  # fmt: skip
SINGLE = (
    *(("server", staying), ("server6", staying)) * 2,
    *(("server", plain), ("metrics", requesting), ("server6", half_closing)),
)


def is_answer(received):
    return received.startswith(b"HTTP/1.0 200 OK\r\n") and received.endswith(b"\n")


IS_WHOLE = {
    "server": lambda received: received == GREETING,
    "server6": lambda received: received == GREETING,
    "big": lambda received: received == BIG,
    "metrics": is_answer,
}


def setUpModule():
    namespaces.isolate()


class MixedLoad(load_client.LoadTestCase):
    def setUp(self):
        super().setUp()
        self.sockets = {
            name: self.listening_socket(
                socket.AF_INET6 if name == "server6" else socket.AF_INET,
                ("::1" if name == "server6" else "127.0.0.1", 0),
            )
            for name in MIXTURE
        }
        self.sockets["big"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.greetd = self.serve(
            config=f"[Server]\nWorkers=2\nMaxConnections={PLACES}\n[Greeting]\nLingerSec=1min\n"
            f"[Listener big]\nMessageFile={self.write('big', BIG)}\nWriteTimeoutSec=5min\n"
            + metrics.METRICS_CONF,
            sockets=list(self.sockets.values()),
            names=list(self.sockets),
            stderr=self.log_file(),
        )
        self.connections = 0

    def address(self, name):
        return self.sockets[name].getsockname()[:2]

    def clients(self, name, n, **options):
        self.connections += n
        return [self.client(self.address(name), **options) for _ in range(n)]

    def run_load(self):
        listeners = {
            name: mixed_load.Listener(name, self.address(name), IS_WHOLE[name]) for name in MIXTURE
        }
        mixture = {
            (listeners[name], kind): n
            for name, kinds in MIXTURE.items()
            for kind, n in kinds.items()
        }
        self.assertEqual(sum(mixture.values()), 4 * PLACES)
        load = mixed_load.Load()
        load.run(mixture, [(listeners[name], kind) for name, kind in SINGLE], LOAD_SEC)
        self.connections += load.connections
        return load

    def report(self, load):
        """Prints the waits, and returns those that are too long."""
        print(f"\n  {'listener':9}{'kind':14}{'clients':>9}{'p99.9 ms':>11}{'longest ms':>12}")
        too_long = []
        for (listener, kind), waits in sorted(load.waits.items()):
            ordered = sorted(waits)
            most, longest = ordered[len(ordered) * 999 // 1000], ordered[-1]
            print(f"  {listener:9}{kind:14}{len(ordered):9}{most * 1e3:11.1f}{longest * 1e3:12.1f}")
            if longest > WAIT_MAX_SEC:
                too_long.append(f"{kind} at {listener}: {longest * 1e3:.0f} ms")
        print(f"  {load.connections} connections, lost: {dict(load.lost)}", flush=True)
        return too_long

    def assert_does_not_spin_while_none_can_be_served(self, holding):
        """HOLDING clients have all places, and pending clients are served as soon as they close."""
        held = self.clients("big", holding, receive_buffer=16384)
        for client in held:
            self.assertEqual(client.recv(1), BIG[:1])
        waiting = self.clients("big", WAITING)
        self.assert_does_not_spin(self.greetd, QUIET_SEC, waiting, QUIET_SHARE)
        for client in held:
            self.assertEqual(read_to_end(client), BIG[1:])
            client.close()
        for client in waiting:
            self.assertEqual(read_to_end(client), BIG)
            client.close()

    def assert_all_are_logged(self):
        """Every client was accepted, and has an entry or was counted as dropped."""
        self.stop(self.greetd)
        self.assertEqual(self.logged_connections(), self.connections)

    def test_no_client_waits_that_could_be_served(self):
        load = self.run_load()
        too_long = self.report(load)
        with self.subTest("every greeting is whole"):
            self.assertEqual(load.lost, {})
        with self.subTest(f"none waits for more than {WAIT_MAX_SEC * 1e3:.0f} ms"):
            self.assertEqual(too_long, [])
        self.assert_all_are_logged()

    def test_greetd_does_not_spin_while_slow_readers_have_all_places(self):
        self.assert_does_not_spin_while_none_can_be_served(PLACES - KEPT)
        self.assert_all_are_logged()

    def test_greetd_does_not_spin_while_slow_readers_have_all_descriptors(self):
        self.greetd.allow_descriptors(FEW)
        self.assert_does_not_spin_while_none_can_be_served(FEW)
        self.assert_all_are_logged()


if __name__ == "__main__":
    unittest.main()
