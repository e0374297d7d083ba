# SPDX-License-Identifier: MIT
"""Without memory: each allocation of greetd and greet fails once. Each program then goes on, or ends with
a message and a status of its manual."""

import contextlib
import json
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

    def run_program(self, nth, *command, stdin=subprocess.DEVNULL):
        return subprocess.run(
            command,
            env=self.environment(**self.failing(nth)),
            stdin=stdin,
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
        self.check_run(port, *options, expected=expected)

    def check_run(self, *options, expected, standard_input="/dev/null"):
        def check(nth):
            with open(standard_input, encoding="utf-8") as stdin:
                result = self.run_program(nth, greet.program(), *options, stdin=stdin)
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

    def test_greet_receipts(self):
        load = ("--load", "--connections=3", f"--receipts={self.folder / 'receipts'}")
        self.check_greet(*load, expected=b"3 connections")

    def test_greet_reconcile(self):
        numbers = {"number": 1, "bytes": 18, "connect_usec": 1000, "end_usec": 2000}
        address = {"address": "192.0.2.1", "port": 4000}
        path = self.write("receipts", json.dumps(numbers | address | {"end": "ok"}))
        entry = {
            "MESSAGE_ID": "f15e246255404ce3a2d6ef608bb4a673",
            "GREETD_REMOTE_ADDR": "192.0.2.1",
            "GREETD_REMOTE_PORT": "4000",
            "GREETD_RESULT": "delivered",
            "GREETD_BYTES": "18",
            "GREETD_BYTES_ACKED": "18",
            "GREETD_DURATION_USEC": "100",
            "GREETD_TIMESTAMP": "1900",
        }
        journal = self.write("journal", json.dumps(entry))
        self.check_run(f"--reconcile={path}", expected=b"1 served", standard_input=journal)

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
