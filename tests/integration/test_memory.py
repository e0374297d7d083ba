# SPDX-License-Identifier: MIT
"""Without memory: each allocation of greetd and greet fails once. Each program then goes on, or ends with
a message and a status of its manual."""

import contextlib
import os
import subprocess
import time
import unittest

from support import daemon, greet, namespaces
from support.daemon import GREETING, TIMEOUT
from support.fake_bus import FakeBus

SERVED, FAILED, BAD_CONFIG = 0, 71, 78
LIBRARY = os.environ.get("FAIL_ALLOCATION", "")
MOST = 5000  # no run has as many allocations

CONFIG = """[Server]
ListenStream=127.0.0.1:0
ListenStream=@greetd-test-memory
Workers=2
MaxConnections=64
[Greeting]
RefuseMessage=Refused at $time_iso8601.
[Limits]
MaxConnectionsPerSource=10
Deny=192.0.2.0/24 2001:db8::/32 {networks}
[Listener other]
ListenStream=127.0.0.1:0
MessageFile={fortunes}
Expand=yes
Pick=random
Watch=yes
MaxAgeSec=1h
StaleMessage=The file for $remote_addr is stale.
ProxyProtocol=yes
ProxyTrustedSources=127.0.0.0/8 ::1
Allow=127.0.0.0/8
"""


def setUpModule():
    namespaces.isolate()


def send_greeting(client, greeting):
    with contextlib.suppress(OSError):  # a client without memory may end early
        greet.send_greeting(client, greeting)


class Memory(greet.GreetTestCase):
    def setUp(self):
        super().setUp()
        self.failed = self.folder / "failed"
        self.configuration = CONFIG.format(
            networks=self.write("networks", "198.51.100.0/24\n203.0.113.7\n"),
            fortunes=self.write("fortunes", "One, $time{%A}.\n%\nTwo of $hostname, $connection.\n"),
        )

    def failing(self, nth):
        """The environment in which the NTH allocation fails."""
        self.failed.unlink(missing_ok=True)
        return {
            "LD_PRELOAD": LIBRARY,
            "FAIL_ALLOCATION": str(nth),
            "FAIL_ALLOCATION_FILE": str(self.failed),
        }

    def each_allocation(self, check):
        """Calls CHECK for each allocation of a run, which must say how the run ended; counts the ends."""
        ends = {}
        for nth in range(1, MOST):
            end = None
            with self.subTest(nth=nth):
                end = check(nth)
            if not self.failed.exists():
                self.assertGreater(nth, 1, "the library is not loaded")
                self.assertEqual(end, 0, "with all its memory")
                return ends
            ends[end] = ends.get(end, 0) + 1
        raise AssertionError(f"more than {MOST} allocations")

    def run_program(self, nth, *command):
        return subprocess.run(
            command,
            env=self.environment(**self.failing(nth)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )

    def check_greetd(self, *options, expected):
        path = self.write("greetd.conf", self.configuration)

        def check(nth):
            result = self.run_program(nth, daemon.program(), "-c", path, *options)
            if result.returncode == SERVED:
                self.assertIn(expected, result.stdout)
            else:
                self.assertIn(result.returncode, (FAILED, BAD_CONFIG), result.stderr)
                self.assertIn(b"emory", result.stderr)
            return result.returncode

        self.assertGreater(self.each_allocation(check).get(FAILED, 0), 20)

    def test_check(self):
        self.check_greetd("-l", "80", "--listen=81", "--check", expected=b"")

    def test_show_config(self):
        self.check_greetd("--show-config", expected=b"\nProxyTrustedSources=::1\n")

    def check_start(self, config, **environment):
        def check(nth):
            process = self.start(config=config, **environment, **self.failing(nth))
            try:
                process.wait_message("READY", "1")
            except AssertionError:
                self.assertIn(process.wait(), (FAILED, BAD_CONFIG), process.output())
                # pthread_create(3) has EAGAIN.
                self.assertRegex(process.output(), "emory|Resource temporarily unavailable")
                return process.status
            self.assert_greeted(process.address())
            self.stop(process)
            return process.status

        self.assertGreater(self.each_allocation(check).get(FAILED, 0), 20)

    def test_a_start_and_a_stop(self):
        self.check_start(self.configuration)

    # How often sd-bus allocates depends on how the answer arrives.
    def test_a_start_that_asks_for_a_unit(self):
        bus = FakeBus(self.folder / "bus")
        bus.open()
        self.addCleanup(bus.close)
        config = (
            "[Server]\nListenStream=127.0.0.1:0\n"
            "[Listener state]\nListenStream=127.0.0.1:0\nMessage=It is $unit_state{a.service}.\n"
        )
        self.check_start(config, **bus.environment)

    def check_greet(self, *options, expected=GREETING, greeting=GREETING):
        _, address = self.server(lambda client: send_greeting(client, greeting))
        port = address.rpartition(":")[2]  # not a name: without memory, getaddrinfo(3) of glibc crashes

        def check(nth):
            result = self.run_program(nth, greet.program(), port, *options)
            if result.returncode == greet.OK:
                self.assertIn(expected, result.stdout)
            else:
                self.assertIn(result.returncode, (greet.LOST, greet.UNABLE), result.stderr)
                self.assertRegex(result.stderr, rb"(?m)^greet: ")
            return result.returncode

        self.assertGreater(self.each_allocation(check).get(greet.UNABLE, 0), 1)

    def test_greet(self):
        self.check_greet("--explain", *greet.EXPECT)

    def test_greet_load(self):
        load = ("--load", "--connections=3", "--concurrent=2", f"--pid={os.getpid()}")
        self.check_greet(*load, expected=b"3 connections")

    def expect_config(self, message, greeting):
        path = self.write("greetd.conf", f"[Greeting]\n{message}\n")
        self.check_greet(f"--expect-config={path}", expected=greeting, greeting=greeting)

    def test_greet_expect_variables(self):
        message = "$listener: $connection, $remote_addr $connection $time{%Y} $unit_state{a.service}"
        greeting = time.strftime("server: 7, 127.0.0.1 7 %Y active").encode()
        self.expect_config(f"Message={message}", greeting)

    def test_greet_expect_a_fortune(self):
        fortunes = self.write("fortunes", "One of $connection.\n%\nTwo $connection of 7.\n")
        self.expect_config(f"MessageFile={fortunes}\nPick=random\nExpand=yes", b"Two 7 of 7.\n")


if __name__ == "__main__":
    unittest.main()
