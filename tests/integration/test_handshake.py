# SPDX-License-Identifier: MIT
"""A client is greeted if connect(2) succeeds, even when greetd closes the listening socket before
the handshake ends."""

import pathlib
import signal
import socket
import unittest

from support import held_path, namespaces, reload
from support.daemon import GREETING, read_to_end

PORT, OTHER_PORT = 7001, 7002
WATCHDOG_USEC = 40_000  # greetd sends a ping every 10 ms
NEAR, FAR = f"{held_path.NEAR}:{PORT}", (held_path.FAR, PORT)
NEAR6, FAR6 = f"[{held_path.NEAR6}]:{PORT}", (held_path.FAR6, PORT)
OTHER = f"{held_path.NEAR}:{OTHER_PORT}"
FAST_OPEN = pathlib.Path("/proc/sys/net/ipv4/tcp_fastopen")
# For clients and servers, without a cookie, so from the first connection on (ip-sysctl.rst).
WITHOUT_COOKIES = 0x1 | 0x2 | 0x4 | 0x200


def setUpModule():
    namespaces.isolate()


class Handshake(reload.ReloadTestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = held_path.HeldPath()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.path.release)

    def half_connected(self, address):
        """A client that is connected, while the handshake has not ended for the server."""
        self.path.hold_acknowledgements()
        client = self.client(address)
        self.path.wait_held(1)
        return client

    def start(self, *args, **options):
        return super().start(*args, WATCHDOG_USEC=str(WATCHDOG_USEC), **options)

    def wait_rounds(self, greetd):
        """Waits until each thread has run through its event loop, and has no work left."""
        greetd.wait_more("WATCHDOG", 3)

    def begin_stop(self, greetd):
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")
        self.wait_rounds(greetd)

    def begin_reload(self, greetd, content):
        self.configure(content)
        self.request_reload(greetd)
        greetd.wait_message("RELOADING", "1")
        self.wait_rounds(greetd)

    def assert_finished(self, greetd, client, greeting=GREETING):
        """CLIENT is greeted once its handshake has ended, and then GREETD ends."""
        self.path.release()
        self.assertEqual(read_to_end(client), greeting)
        client.close()
        self.assert_ends(greetd, 0)

    def test_at_a_stop(self):
        for near, far in ((NEAR, FAR), (NEAR6, FAR6), (str(PORT), FAR), (str(PORT), FAR6)):
            with self.subTest(near=near, far=far):
                greetd = self.serve("-l", near)
                client = self.half_connected(far)
                self.begin_stop(greetd)
                self.assert_finished(greetd, client)

    def test_at_a_stop_with_a_shard_for_each_worker(self):
        for near, far in ((NEAR, FAR), (str(PORT), FAR6)):
            with self.subTest(near=near, far=far):
                greetd = self.serve("-l", near, config="[Server]\nWorkers=4\nReusePort=yes\n")
                clients = [self.half_connected(far)]
                clients += [self.client(far) for _ in range(7)]
                self.path.wait_held(len(clients))
                self.begin_stop(greetd)
                self.path.release()
                for client in clients:
                    self.assertEqual(read_to_end(client), GREETING)
                    client.close()
                self.assert_ends(greetd, 0)

    def test_at_a_stop_with_fast_open(self):
        FAST_OPEN.write_text(str(WITHOUT_COOKIES), encoding="ascii")
        greetd = self.serve("-l", NEAR, config="[Server]\nFastOpen=yes\n")
        self.path.hold_acknowledgements()
        client = socket.socket()
        self.addCleanup(client.close)
        client.sendto(b"hello", socket.MSG_FASTOPEN, FAR)
        self.path.wait_held(1)
        self.begin_stop(greetd)
        self.assert_finished(greetd, client)

    def test_no_new_client_is_accepted_meanwhile(self):
        greetd = self.serve("-l", NEAR)
        client = self.half_connected(FAR)
        self.begin_stop(greetd)
        with socket.socket() as late:
            late.setblocking(False)
            late.connect_ex(FAR)
            self.assert_finished(greetd, client)
            with self.assertRaises(OSError):
                late.getpeername()

    def test_a_client_that_never_answers_does_not_delay_the_stop(self):
        greetd = self.serve("-l", NEAR, config="[Server]\nStopTimeoutSec=infinity\n")
        self.half_connected(FAR)
        self.stop(greetd)

    def test_a_client_that_never_sends_delays_the_stop_no_longer_than_others(self):
        settings = "StopTimeoutSec=200ms\n[Greeting]\nGreetOn=data\nDataTimeoutSec=infinity\n"
        greetd = self.serve("-l", NEAR, config=f"[Server]\n{settings}")
        self.half_connected(FAR)
        self.begin_stop(greetd)
        self.path.release()
        self.assert_ends(greetd, 0)

    def test_a_second_signal_ends_greetd_at_once(self):
        greetd = self.serve("-l", NEAR)
        self.half_connected(FAR)
        self.begin_stop(greetd)
        self.stop(greetd)

    def test_a_stored_socket_keeps_the_client_for_the_next_process(self):
        store = self.fd_store()
        first = self.serve("-l", NEAR, config="[Greeting]\nMessage=first\n", store=store)
        client = self.half_connected(FAR)
        self.stop(first)
        second = self.serve("-l", NEAR, config="[Greeting]\nMessage=second\n", store=store)
        self.path.release()
        self.assertEqual(read_to_end(client), b"second")
        client.close()
        self.stop(second)

    def configuration(self, *addresses, message):
        lines = "".join(f"ListenStream={address}\n" for address in addresses)
        return f"[Server]\n{lines}[Greeting]\nMessage={message}\n"

    def test_at_a_reload_that_removes_the_socket(self):
        greetd = self.serve_with(self.configuration(NEAR, OTHER, message="old"))
        client = self.half_connected(FAR)
        self.begin_reload(greetd, self.configuration(OTHER, message="new"))
        self.path.release()
        self.assertEqual(read_to_end(client), b"old")
        client.close()
        greetd.wait_line(f"Server no longer listens on {NEAR}")
        self.assert_greeted((held_path.FAR, OTHER_PORT), b"new")
        self.stop(greetd)

    def test_a_reload_does_not_wait_for_ever(self):
        greetd = self.serve_with(self.configuration(NEAR, OTHER, message="old"))
        self.half_connected(FAR)
        self.assert_reloads(greetd, self.configuration(OTHER, message="new"))

    def test_at_a_stop_in_a_reload_that_waits(self):
        greetd = self.serve_with(self.configuration(NEAR, message="old"))
        client = self.half_connected(FAR)
        path = self.folder / "socket"
        self.begin_reload(greetd, self.configuration(path, message="new"))
        # A Unix socket that the reload opens does not listen before the configuration is in force.
        self.assertTrue(path.exists())
        self.assertRaises(ConnectionRefusedError, self.client, str(path))
        self.begin_stop(greetd)
        self.assert_finished(greetd, client, b"old")

    def test_a_second_signal_in_a_reload_that_waits_ends_greetd_at_once(self):
        greetd = self.serve_with(self.configuration(NEAR, message="old"))
        self.half_connected(FAR)
        self.begin_reload(greetd, self.configuration(OTHER, message="new"))
        self.begin_stop(greetd)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
