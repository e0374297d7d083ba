# SPDX-License-Identifier: MIT
"""greetd sends pings only while every worker runs through its event loop:
sd_watchdog_enabled(3)."""

import contextlib
import os
import signal
import socket
import unittest

from support import load_client, namespaces
from support.daemon import greeted
from support.threads import hanging_worker

TIMEOUT_USEC = 800_000
PINGS = 6


def setUpModule():
    namespaces.isolate()


class Watchdog(load_client.LoadTestCase):
    def setUp(self):
        super().setUp()
        self.listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.address = self.listener.getsockname()

    def serve_watched(self, **options):
        options.setdefault("WATCHDOG_USEC", str(TIMEOUT_USEC))
        return self.serve(config="[Server]\nWorkers=2\n", sockets=[self.listener], **options)

    def pass_time(self, greetd):
        """Greets until two further STATUS= messages, which takes more than a second."""
        goal = len(greetd.values("STATUS")) + 2
        while len(greetd.values("STATUS")) < goal:
            self.assertTrue(greeted(self.address))

    def test_pings_are_sent_again_and_again(self):
        greetd = self.serve_watched()
        greetd.wait_more("WATCHDOG", PINGS)
        self.stop(greetd)

    def test_pings_are_sent_under_load(self):
        greetd = self.serve_watched()
        client = self.load(self.address[1], 500, 128, "-u")
        self.wait_progress(client, 500)
        greetd.wait_more("WATCHDOG", PINGS)
        self.assert_none_lost(client, 500)
        self.stop(greetd)

    def test_pings_are_sent_while_stderr_is_full(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(write_end, bytes(4096)):
                pass
        os.set_blocking(write_end, True)
        greetd = self.serve_watched(stderr=write_end)
        os.close(write_end)
        for _ in range(100):
            self.assert_greeted(self.address)
        greetd.wait_more("WATCHDOG", PINGS)

    def wait_warning(self, greetd, number):
        sentence = f"Worker {number} has not gone round its loop for "
        before = len(greetd.lines)  # on a busy machine, a worker may have been slow earlier
        greetd.wait_until(
            lambda: [
                line
                for line in greetd.lines[before:]
                if line.startswith(sentence)
                and line.endswith(": systemd is going to restart greetd")
            ],
            f"line {sentence!r}",
        )

    def test_a_worker_that_hangs_is_named_and_stops_the_pings(self):
        for number in (0, 1):
            with self.subTest(worker=number):
                greetd = self.serve_watched()
                greetd.wait_more("WATCHDOG", 1)
                with hanging_worker(greetd.pid, number):
                    self.wait_warning(greetd, number)
                    pings = len(greetd.values("WATCHDOG"))
                    self.pass_time(greetd)
                    self.assertEqual(len(greetd.values("WATCHDOG")), pings)
                greetd.wait_more("WATCHDOG", PINGS)
                self.stop(greetd)

    def test_other_workers_greet_while_one_hangs(self):
        greetd = self.serve_watched()
        with hanging_worker(greetd.pid, 0):
            for _ in range(100):
                self.assert_greeted(self.address)

    def test_a_second_signal_ends_greetd_without_the_hanging_worker(self):
        greetd = self.serve_watched(WATCHDOG_USEC=None)
        with hanging_worker(greetd.pid, 1):
            greetd.signal(signal.SIGTERM)
            greetd.wait_message("STOPPING", "1")
            greetd.signal(signal.SIGTERM)
            greetd.wait_line("A worker does not end: leaving without it")
        self.assert_ends(greetd, 0)

    def test_no_ping_is_sent_without_a_watchdog(self):
        for options in ({"WATCHDOG_USEC": None}, {"WATCHDOG_PID": str(os.getpid())}):
            with self.subTest(options):
                greetd = self.serve_watched(**options)
                self.pass_time(greetd)
                self.stop(greetd)
                self.assertFalse(greetd.values("WATCHDOG"))


if __name__ == "__main__":
    unittest.main()
