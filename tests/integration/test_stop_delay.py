# SPDX-License-Identifier: MIT
"""StopDelaySec= and StopMessage=: clients are accepted for a time after SIGTERM."""

import contextlib
import signal
import socket
import time
import unittest

from support import daemon, namespaces, watched
from support.daemon import GREETING, greeted

LAME = "[Server]\nListenStream=127.0.0.1:0\nWorkers=1\nStopDelaySec=1h\nStopTimeoutSec=7s\n"


def setUpModule():
    namespaces.isolate()


class StopDelay(watched.WatchTestCase):
    def begin_stop(self, greetd):
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")

    def end(self, greetd):
        """The second signal."""
        self.stop(greetd)

    def test_clients_receive_the_stop_message_of_their_listener(self):
        greetd = self.serve(
            config=f"{LAME}[Listener web]\nListenStream=127.0.0.1:0\n"
            "StopMessage=503 $connection\n"
        )
        server, web = greetd.address(0), greetd.address(1)
        self.assert_greeted(web, GREETING)
        self.begin_stop(greetd)
        greetd.wait_line("Stopping in 1h: clients are still accepted")
        deadline = time.monotonic() + daemon.TIMEOUT
        while not greeted(web).startswith(b"503 "):
            self.assertLess(time.monotonic(), deadline)
        self.assert_greeted(server, GREETING)
        self.end(greetd)

    def test_the_stop_begins_after_the_delay(self):
        greetd = self.serve(config=LAME.replace("1h", "100ms"))
        self.stop(greetd)
        sent = [message for message in greetd.messages if "STOPPING" in message]
        self.assertEqual(
            sent,
            [{"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "10100000"},
             {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "10000000"}],
        )

    def test_the_timeout_and_the_status_are_of_the_delay(self):
        greetd = self.serve(config=LAME)
        self.begin_stop(greetd)
        greetd.wait_message("EXTEND_TIMEOUT_USEC", "3610000000")
        greetd.wait_message("STATUS", ".*stopping in 1h.*")
        self.end(greetd)

    def test_a_second_signal_ends_greetd_at_once(self):
        for first, second in ((signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)):
            with self.subTest(first=first, second=second):
                greetd = self.serve(config=LAME)
                greetd.signal(first)
                greetd.wait_message("STOPPING", "1")
                self.stop(greetd, second)

    def test_a_reload_is_ignored_during_the_delay(self):
        greetd = self.serve_with(LAME + "[Greeting]\nStopMessage=stop\n")
        self.begin_stop(greetd)
        self.wait_greeting(greetd.address(), b"stop")
        self.configure(LAME + "[Greeting]\nStopMessage=other\n")
        self.request_reload(greetd)
        for _ in range(20):
            self.assert_greeted(greetd.address(), b"stop")
        self.end(greetd)
        self.assertEqual(greetd.values("RELOADING"), [])

    def test_a_file_becomes_stale_during_the_delay(self):
        self.replace("one")
        greetd = self.serve(
            config=self.watching("MaxAgeSec=1h\nStaleMessage=stale\n", "StopDelaySec=1h\n")
            + "[Listener web]\nListenStream=127.0.0.1:0\nStopMessage=stop\n"
        )
        server, web = greetd.address(0), greetd.address(1)
        self.begin_stop(greetd)
        self.wait_greeting(web, b"stop")
        self.assert_greeted(server, b"one")
        self.set_age(7200)
        self.wait_greeting(server, b"stale")
        self.replace("two")
        self.wait_greeting(server, b"two")
        self.assert_greeted(web, b"stop")
        self.end(greetd)

    def test_sockets_of_systemd_are_left_to_the_next_process_at_once(self):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve(
            config="[Server]\nStopDelaySec=1h\n[Greeting]\nStopMessage=stop\n", sockets=[listener]
        )
        self.stop(greetd)
        self.assertNotIn("Stopping in 1h: clients are still accepted", greetd.lines)

    def test_stored_sockets_have_the_delay_after_a_restart_too(self):
        store = self.fd_store()
        for _ in range(2):
            greetd = self.serve(config=LAME, store=store, FDSTORE="64")
            self.begin_stop(greetd)
            self.assert_greeted(greetd.address(), GREETING)
            greetd.wait_line("Stopping in 1h: clients are still accepted")
            self.end(greetd)

    def test_pending_clients_are_greeted_after_the_delay(self):
        greetd = self.serve(config=LAME.replace("1h", "50ms") + "[Greeting]\nStopMessage=stop\n")
        address = greetd.address()
        greetd.signal(signal.SIGTERM)
        received = set()
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                received.add(greeted(address))
        self.assertLessEqual(received, {GREETING, b"stop"})
        self.assert_ends(greetd, 0)

    def test_a_reload_just_before_closes_the_sockets_that_it_removes(self):
        other = "[Listener web]\nListenStream=127.0.0.1:0\n"
        greetd = self.serve_with(LAME + other)
        server, web = greetd.address(0), greetd.address(1)
        self.configure(LAME.replace("127.0.0.1:0", f"127.0.0.1:{server[1]}") + "[Greeting]\n"
                       "StopMessage=stop\n")
        greetd.freeze()
        self.request_reload(greetd)
        greetd.signal(signal.SIGTERM)
        greetd.signal(signal.SIGCONT)
        greetd.wait_message("STOPPING", "1")
        self.wait_greeting(server, b"stop")
        greetd.wait_line(f"Server no longer listens on 127.0.0.1:{web[1]}")
        self.end(greetd)


if __name__ == "__main__":
    unittest.main()
