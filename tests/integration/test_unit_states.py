# SPDX-License-Identifier: MIT
"""The states of systemd's units in messages, from a bus that the test owns."""

import os
import pathlib
import signal
import threading
import unittest

from support import daemon, namespaces
from support.daemon import greeted
from support.fake_bus import FakeBus

FAILED = "Failed to ask systemd for the states of units: "
KNOWN = "systemd answers again: the states of units are known"


def setUpModule():
    namespaces.isolate()


def n_unix_streams(pid):
    """The connections of a process to Unix sockets (/proc/net/unix in proc(5))."""
    table = pathlib.Path("/proc/net/unix").read_text(encoding="ascii").splitlines()[1:]
    streams = {f"socket:[{row[6]}]" for row in map(str.split, table) if row[4] == "0001"}
    return sum(os.readlink(fd) in streams for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())


class UnitStates(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.bus = FakeBus(self.folder / "bus")
        self.bus.open()
        self.addCleanup(self.bus.close)
        self.bus.states = {"a.service": "active", "b.service": "failed"}

    def serve_greeting(self, greeting, **options):
        self.config = self.write(
            "greetd.conf", f"[Server]\nListenStream=127.0.0.1:0\nWorkers=1\n[Greeting]\n{greeting}\n"
        )
        return self.serve("-c", self.config, config=None, **self.bus.environment, **options)

    def reload(self, greetd, old, new):
        path = pathlib.Path(self.config)
        path.write_text(path.read_text().replace(old, new))
        greetd.signal(signal.SIGHUP)

    def read_until(self, greetd, *texts):
        """Clients, one after the other, until one reads the last of TEXTS. Each must read one of
        them."""
        expected = [text.encode() for text in texts]
        while (read := greeted(greetd.address())) != expected[-1]:
            self.assertIn(read, expected)

    def wait_for_lines(self, greetd, beginning, count):
        greetd.wait_until(
            lambda: sum(line.startswith(beginning) for line in greetd.lines) == count, beginning
        )

    def test_the_first_client_reads_the_state(self):
        greetd = self.serve_greeting(
            "Message=$unit_state{a.service} $unit_state{b.service} $unit_state{c.timer}"
        )
        self.assert_greeted(greetd.address(), b"active failed inactive")

    def test_a_client_reads_a_state_that_has_changed(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.bus.states["a.service"] = "deactivating"
        self.read_until(greetd, "active", "deactivating")

    def test_a_state_that_greetd_does_not_know_is_unknown(self):
        self.bus.states["a.service"] = "levitating"
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.assert_greeted(greetd.address(), b"unknown")

    def test_all_units_are_asked_for_at_once(self):
        greetd = self.serve_greeting(
            "Message=$unit_state{b.service}\nMessageFile=/nonexistent\nWatch=yes\n"
            "StaleMessage=$unit_state{a.service} $unit_state{b.service}\n"
            "[Listener x]\nListenStream=@x\nMessage=$unit_state{x.service}\n"
            "StopMessage=$unit_state{stop.service}\n[Server]\nStopDelaySec=1"
        )
        self.bus.wait_for_requests(1)
        expected = ["a.service", "b.service", "stop.service", "x.service"]
        for names in self.bus.requests:
            self.assertEqual(sorted(names), expected)
        self.assert_greeted(greetd.address(), b"active failed")

    def test_no_client_reads_unknown_over_a_reload(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.reload(greetd, "a.service", "b.service")
        self.read_until(greetd, "active", "failed")

    def test_no_client_reads_unknown_when_a_watched_file_changes(self):
        path = pathlib.Path(self.write("page", "$unit_state{a.service}"))
        greetd = self.serve_greeting(f"MessageFile={path}\nWatch=yes\nExpand=yes")
        new = self.write("new", "now $unit_state{b.service}")
        os.replace(new, path)
        self.read_until(greetd, "active", "now failed")

    def test_units_that_no_greeting_has_are_not_asked_for(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.reload(greetd, "a.service", "b.service")
        self.bus.wait_until(lambda: self.bus.requests[-1] == ["b.service"])
        self.read_until(greetd, "failed")

    def test_greetd_leaves_the_bus_when_no_greeting_has_a_unit(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.assertEqual(self.bus.connections, 1)
        self.reload(greetd, "$unit_state{a.service}", "hello")
        self.bus.wait_until(lambda: self.bus.connections == 0)
        self.assert_greeted(greetd.address(), b"hello")

    def test_a_state_from_before_greetd_left_the_bus_is_forgotten(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.reload(greetd, "$unit_state{a.service}", "hello")
        self.bus.wait_until(lambda: self.bus.connections == 0)
        self.bus.states["a.service"] = "failed"
        self.reload(greetd, "hello", "$unit_state{a.service}")
        self.read_until(greetd, "hello", "failed")

    def test_greetd_does_not_use_the_bus_without_a_unit(self):
        greetd = self.serve_greeting("Message=$connection")
        self.assert_greeted(greetd.address(), b"1")
        self.stop(greetd)
        self.assertEqual((self.bus.connections, self.bus.requests), (0, []))

    def test_states_are_unknown_while_the_bus_is_away(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.assertEqual(n_unix_streams(greetd.pid), 1)
        for count in (1, 2, 3):
            self.bus.close()
            self.wait_for_lines(greetd, FAILED, count)
            self.read_until(greetd, "unknown")
            self.bus.open()
            self.wait_for_lines(greetd, KNOWN, count)
            self.read_until(greetd, "active")
        self.assertEqual(n_unix_streams(greetd.pid), 1)

    def test_greetd_starts_without_a_bus_and_does_not_spin(self):
        self.bus.close()
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.assert_greeted(greetd.address(), b"unknown")
        self.assert_does_not_spin(greetd, 3, [])
        self.wait_for_lines(greetd, FAILED, 1)

    def test_a_silent_systemd_does_not_keep_greetd_from_serving(self):
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.bus.silent = True
        self.bus.wait_for_requests(1)
        self.reload(greetd, "a.service}", "a.service} $unit_state{b.service}")
        self.read_until(greetd, "active", "active unknown")
        self.wait_for_lines(greetd, f"{FAILED}no answer for 5s", 1)
        self.read_until(greetd, "unknown unknown")
        self.bus.silent = False
        self.wait_for_lines(greetd, KNOWN, 1)
        self.read_until(greetd, "active failed")

    def test_a_bus_that_does_not_authenticate_does_not_keep_greetd_from_serving(self):
        self.bus.mute = threading.Event()
        greetd = self.serve_greeting("Message=$unit_state{a.service}")
        self.assert_greeted(greetd.address(), b"unknown")
        self.wait_for_lines(greetd, f"{FAILED}no answer for 5s", 1)
        self.bus.mute.set()
        self.wait_for_lines(greetd, KNOWN, 1)
        self.read_until(greetd, "active")


if __name__ == "__main__":
    unittest.main()
