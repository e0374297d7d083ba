# SPDX-License-Identifier: MIT
"""Clocks that leap: the file of leap.c, and a test case whose greetd goes by them."""

import mmap
import os
import pathlib
import select
import signal
import struct
import time

import service
from support import daemon, fake_journal

REQUEST, IDLE, SIZE = 24, 32, 8 * 64  # in struct leap
FIN_WAIT2 = "05"  # in /proc/net/tcp: the client's kernel has acknowledged the end of stream


class Clocks:
    """The file of leap.c."""

    def __init__(self, path):
        path.write_bytes(bytes(SIZE))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)
        self.greetd = None

    def _read(self, offset):
        return struct.unpack_from("q", self._map, offset)[0]

    def _add(self, offset, amount):
        struct.pack_into("q", self._map, offset, self._read(offset) + amount)

    def _is_idle(self):
        """Whether all threads have been, since the last request, in a wait that found nothing."""
        n_threads = len(os.listdir(f"/proc/{self.greetd.pid}/task"))
        request = self._read(REQUEST)
        return n_threads == sum(self._read(offset) == request for offset in range(IDLE, SIZE, 8))

    def _call_if_idle(self, then):
        self.greetd.freeze()
        idle = self._is_idle()
        if idle:
            then()
        self.greetd.signal(signal.SIGCONT)
        return idle

    def settle(self, then=lambda: None):
        """Waits until greetd has nothing to do, and calls THEN in such a moment."""
        deadline = time.monotonic() + daemon.TIMEOUT
        self._add(REQUEST, 1)
        while time.monotonic() < deadline:
            if self._is_idle() and self._call_if_idle(then):
                return
            time.sleep(0.001)
        raise AssertionError("greetd does not become idle")

    def _leap(self, realtime=0, monotonic=0, boottime=0):
        def then():
            for offset, seconds in enumerate((realtime, monotonic, boottime)):
                self._add(offset * 8, round(seconds * 1e9))

        if self.greetd:
            self.settle(then)
        else:
            then()

    def step_wall(self, seconds):
        """Someone sets the wall clock."""
        self._leap(realtime=seconds)

    def suspend(self, seconds):
        """The machine sleeps."""
        self._leap(realtime=seconds, boottime=seconds)

    def advance(self, seconds):
        """Time goes on."""
        self._leap(seconds, seconds, seconds)

    def wall(self):
        return time.time() + self._read(0) / 1e9

    def uptime(self, seconds):
        """Has the machine run for SECONDS, before greetd starts."""
        self._leap(
            monotonic=seconds - time.monotonic(),
            boottime=seconds - time.clock_gettime(time.CLOCK_BOOTTIME),
        )

    def close(self):
        self._map.close()


class NightTestCase(fake_journal.JournalTestCase):
    def setUp(self):
        super().setUp()
        self.clocks = self.new_clocks()

    def new_clocks(self):
        path = self._new_name("clocks")
        clocks = Clocks(path)
        self.addCleanup(clocks.close)
        self.leap = {"LEAP_FILE": str(path), "LD_PRELOAD": str(service.LEAP)}
        return clocks

    def serve_night(self, config, *more, **options):
        """serve_journal() with the clocks; MORE are pairs of a further socket and its name."""
        greetd = self.serve(
            config=config,
            sockets=[self.listener, *(listener for listener, _ in more)],
            names=["web", *(name for _, name in more)],
            **self.to_journal(),
            **{**self.leap, "TZ": "UTC", **options},
        )
        self.clocks.greetd = greetd
        return greetd

    def end_night(self, greetd):
        """Ends GREETD, so that another can be served."""
        if greetd.status is None:
            greetd.signal(signal.SIGKILL)
            greetd.wait()
        self.entries()
        self.listen_at("127.0.0.1")

    def assert_open(self, client):
        """CLIENT has neither received anything nor been closed."""
        self.clocks.settle()
        client.setblocking(False)
        with self.assertRaises(BlockingIOError):
            client.recv(1)
        client.settimeout(daemon.TIMEOUT)

    def wait_acknowledged(self, client):
        """Waits until CLIENT's kernel has acknowledged everything, which takes time that no leap saves."""
        ports = [f"0100007F:{port:04X}" for port in (self.address[1], client.getsockname()[1])]
        acknowledged = " ".join([*ports, FIN_WAIT2])
        deadline = time.monotonic() + daemon.TIMEOUT
        while acknowledged not in pathlib.Path("/proc/net/tcp").read_text("ascii"):
            self.assertLess(time.monotonic(), deadline)

    def connection(self, client):
        return self.entry(f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}( .*)?")

    def entries(self):
        """The messages of the connections that have been logged and not looked at yet."""
        found = []
        while select.select([self.journal], [], [], 0)[0]:
            fields = fake_journal.parse(self.journal.recv(1 << 20))
            found += [fields["MESSAGE"]] if "GREETD_RESULT" in fields else []
        return found

    def assert_lasted(self, entry, seconds, most=None):
        """ENTRY is of a client that was connected for SECONDS, or a little longer."""
        duration = int(entry["GREETD_DURATION_USEC"]) / 1e6
        self.assertGreaterEqual(duration, seconds)
        self.assertLess(duration, most or seconds + 50)
