# SPDX-License-Identifier: MIT
"""SIGHUP while greetd starts, reloads or stops, and many signals in a row."""

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
    """Waits until a file is opened (inotify(7))."""

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
    def wait_states_in_pairs(self, greetd):
        """Waits until the last reload has ended, each before the next began."""

        def states():
            return [k for m in greetd.messages for k in m if k in ("READY", "RELOADING")]

        greetd.wait_until(
            lambda: states() == ["READY"] + ["RELOADING", "READY"] * (len(states()) // 2),
            "READY=1 for each RELOADING=1",
        )

    def test_many_signals_in_a_row(self):
        # Of two workers, one may greet with the next version before the other.
        greetd = self.serve_with(self.message("0", "Workers=1\n"))
        seen = []
        for version in range(1, MANY):
            self.configure(self.message(str(version), "Workers=1\n"))
            self.request_reload(greetd)
            seen.append(int(greeted(greetd.address())))
        self.assertEqual(seen, sorted(seen))
        # Several signals may cause one reload, so wait for the effect of the last.
        deadline = time.monotonic() + daemon.TIMEOUT
        while greeted(greetd.address()) != str(MANY - 1).encode():
            self.assertLess(time.monotonic(), deadline, "the last signal had no effect")
        self.wait_states_in_pairs(greetd)

    def wait_states(self, greetd, *keys):
        greetd.wait_until(
            lambda: [k for m in greetd.messages for k in m if k in ("READY", "RELOADING")]
            == list(keys),
            f"{keys} from the notify socket",
        )

    def wait_signal_read(self, greetd):
        """Polls until SIGHUP is not pending any more, since no event reports that."""
        deadline = time.monotonic() + daemon.TIMEOUT
        while int(self.status_of(greetd, "ShdPnd"), 16) >> (signal.SIGHUP - 1) & 1:
            self.assertLess(time.monotonic(), deadline, "the signal is not read")
            select.select([], [], [], 0.01)

    def test_a_signal_during_a_reload(self):
        greetd = self.serve_with(self.message("old", "Workers=2\n"))
        with hanging_worker(greetd.pid, 0):
            self.configure(self.message("new", "Workers=2\n"))
            self.request_reload(greetd)
            self.wait_states(greetd, "READY", "RELOADING")
            self.configure(self.message("newer", "Workers=2\n"))
            self.request_reload(greetd)
            self.wait_signal_read(greetd)
            # The second reload begins when all workers have the first.
            self.wait_states(greetd, "READY", "RELOADING")
            self.assertNotIn(RELOADED, greetd.lines)
        self.wait_states(greetd, "READY", "RELOADING", "READY", "RELOADING", "READY")
        for _ in range(10):
            self.assert_greeted(greetd.address(), b"newer")

    def test_a_signal_while_greetd_reads_its_files(self):
        large = self.write("large", b"x" * 16 * 1024 * 1024)
        self.configure(f"[Server]\nListenStream=127.0.0.1:0\n[Greeting]\nMessageFile={large}\n")
        opened = Opened(self.config)
        greetd = self.start("-c", str(self.config), config=None)
        opened.wait()
        self.request_reload(greetd)
        self.wait_states(greetd, "READY", "RELOADING", "READY")

    def test_a_signal_before_greetd_is_ready(self):
        greetd = self.start_with(self.message("old"))
        greetd.address()
        self.configure(self.message("new"))
        self.request_reload(greetd)
        self.wait_states(greetd, "READY", "RELOADING", "READY")
        self.assert_greeted(greetd.address(), b"new")

    def wait_refused(self, address):
        """Connects until greetd does not listen any more, so every worker has received the stop."""
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
        self.request_reload(greetd)
        self.wait_signal_read(greetd)
        self.assertEqual(read_to_end(client), big(0)[1000:])
        client.close()
        self.assert_ends(greetd, 0)
        self.assertFalse(greetd.values("RELOADING"))

    def test_a_stop_during_reloads(self):
        for _ in range(10):
            greetd = self.serve_with(self.message("old"))
            for _ in range(3):
                self.request_reload(greetd)
            self.stop(greetd)
            states = greetd.values("RELOADING", "STOPPING")
            self.assertEqual(states[-1], ("STOPPING", "1"))

    def test_a_reload_and_a_stop_at_once(self):
        greetd = self.serve_with(self.message("old"))
        address = greetd.address()
        greetd.freeze()
        client = self.client(address)
        self.configure(self.message("new"))
        self.request_reload(greetd)
        greetd.signal(signal.SIGTERM)
        greetd.signal(signal.SIGCONT)
        self.assertIn(read_to_end(client), (b"old", b"new"))
        client.close()
        self.assert_ends(greetd, 0)


if __name__ == "__main__":
    unittest.main()
