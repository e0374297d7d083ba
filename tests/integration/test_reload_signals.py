# SPDX-License-Identifier: MIT
"""SIGHUP at any time: while greetd starts, reloads or stops, and many in a row."""

import ctypes
import os
import select
import signal
import time
import unittest

from support import daemon, namespaces, reload
from support.daemon import connect, greeted, read_to_end
from support.reload import RELOADED, big
from support.threads import hanging_worker

MANY = 50


class Opened:
    """Tells when a file is opened (inotify(7))."""

    IN_OPEN = 0x20

    def __init__(self, path):
        libc = ctypes.CDLL(None)
        self._file = os.fdopen(libc.inotify_init1(os.O_CLOEXEC), "rb", buffering=0)
        libc.inotify_add_watch(self._file.fileno(), os.fsencode(path), self.IN_OPEN)

    def wait(self):
        self._file.read(4096)
        self._file.close()


def setUpModule():
    namespaces.isolate()


class Signals(reload.ReloadTestCase):
    def wait_told_in_pairs(self, greetd):
        """Until the last reload is over, each having been so before the next."""

        def told():
            return [k for m in greetd.messages for k in m if k in ("READY", "RELOADING")]

        greetd.wait_until(
            lambda: told() == ["READY"] + ["RELOADING", "READY"] * (len(told()) // 2),
            "READY=1 for each RELOADING=1",
        )

    def test_many_signals_in_a_row(self):
        greetd = self.serve_with(self.message("0"))
        seen = []
        for version in range(1, MANY):
            self.configure(self.message(str(version)))
            self.ask(greetd)
            seen.append(int(greeted(greetd.address())))
        self.assertEqual(seen, sorted(seen))
        # That the last one has been heard is all there is to wait for.
        deadline = time.monotonic() + daemon.TIMEOUT
        while greeted(greetd.address()) != str(MANY - 1).encode():
            self.assertLess(time.monotonic(), deadline, "the last signal was not heeded")
        self.wait_told_in_pairs(greetd)

    def wait_told(self, greetd, *keys):
        greetd.wait_until(
            lambda: [k for m in greetd.messages for k in m if k in ("READY", "RELOADING")]
            == list(keys),
            f"{keys} from the notify socket",
        )

    def wait_signal_read(self, greetd):
        """Until SIGHUP is not pending any more; there is no event to wait for."""
        deadline = time.monotonic() + daemon.TIMEOUT
        while int(self.status_of(greetd, "ShdPnd"), 16) >> (signal.SIGHUP - 1) & 1:
            self.assertLess(time.monotonic(), deadline, "the signal is not read")
            select.select([], [], [], 0.01)

    def test_a_signal_during_a_reload(self):
        greetd = self.serve_with(self.message("old", "Workers=2\n"))
        with hanging_worker(greetd.pid, 0):
            self.configure(self.message("new", "Workers=2\n"))
            self.ask(greetd)
            self.wait_told(greetd, "READY", "RELOADING")
            self.configure(self.message("newer", "Workers=2\n"))
            self.ask(greetd)
            self.wait_signal_read(greetd)
            # Not before all workers have it, and one after the other.
            self.wait_told(greetd, "READY", "RELOADING")
            self.assertNotIn(RELOADED, greetd.lines)
        self.wait_told(greetd, "READY", "RELOADING", "READY", "RELOADING", "READY")
        for _ in range(10):
            self.assert_greeted(greetd.address(), b"newer")

    def test_a_signal_while_greetd_reads_its_files(self):
        large = self.write("large", b"x" * 16 * 1024 * 1024)
        self.configure(f"[Server]\nListenStream=127.0.0.1:0\n[Greeting]\nMessageFile={large}\n")
        opened = Opened(self.config)
        greetd = self.start("-c", str(self.config), config=None)
        opened.wait()
        self.ask(greetd)
        self.wait_told(greetd, "READY", "RELOADING", "READY")

    def test_a_signal_before_greetd_is_ready(self):
        greetd = self.start_with(self.message("old"))
        greetd.address()
        self.configure(self.message("new"))
        self.ask(greetd)
        self.wait_told(greetd, "READY", "RELOADING", "READY")
        self.assert_greeted(greetd.address(), b"new")

    def wait_refused(self, address):
        """Until nobody listens any more, and so every worker has heard of the stop."""
        while True:
            try:
                connect(address).close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass

    def test_a_signal_during_a_stop_changes_nothing(self):
        greetd = self.serve_with(self.message_file("big", big(0), "StopTimeoutSec=infinity\n"))
        client = self.slow_reader(greetd.address(), big(0))
        greetd.signal(signal.SIGTERM)
        self.wait_refused(greetd.address())
        self.configure(self.message("new"))
        self.ask(greetd)
        self.wait_signal_read(greetd)
        self.assertEqual(read_to_end(client), big(0)[1000:])
        client.close()
        self.assert_ends(greetd, 0)
        self.assertFalse(greetd.values("RELOADING"))

    def test_a_stop_during_reloads(self):
        for _ in range(10):
            greetd = self.serve_with(self.message("old"))
            for _ in range(3):
                self.ask(greetd)
            self.stop(greetd)
            told = greetd.values("RELOADING", "STOPPING")
            self.assertEqual(told[-1], ("STOPPING", "1"))

    def test_a_reload_and_a_stop_at_once(self):
        greetd = self.serve_with(self.message("old"))
        address = greetd.address()
        greetd.signal(signal.SIGSTOP)
        greetd.wait_stopped()
        client = self.client(address)
        self.configure(self.message("new"))
        self.ask(greetd)
        greetd.signal(signal.SIGTERM)
        greetd.signal(signal.SIGCONT)
        self.assertIn(read_to_end(client), (b"old", b"new"))
        client.close()
        self.assert_ends(greetd, 0)


if __name__ == "__main__":
    unittest.main()
