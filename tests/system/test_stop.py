# SPDX-License-Identifier: MIT
"""A stop finishes the last clients, for at most StopTimeoutSec=."""

import re

from support.case import BIG_GREETING, SystemTest

CONFIG = "[Greeting]\nMessageFile=/etc/greeting\n"

# Longer than the default of greetd, shorter than that of systemd.
STOP_TIMEOUT_SEC = 7

FOR_EVER = "[Server]\nStopTimeoutSec=infinity\n[Greeting]\nWriteTimeoutSec=infinity\n"
UNLIMITED = "[Service]\nTimeoutStopSec=infinity\n"

FORCED = "Stopping now: 1 client did not finish in time"


class Stop(SystemTest):
    def setUp(self):
        super().setUp()
        self.machine.path("/etc/greeting").write_bytes(BIG_GREETING)
        self.write("/etc/greetd.conf.d/50-test.conf", CONFIG)

    def wait_until_stopped(self):
        """The service has ended by itself, before the timeout of systemd."""
        shown = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
        self.eventually(lambda: self.assertEqual(self.show("greetd.service", *shown), shown))

    def begin_stop(self):
        self.systemctl("stop", "--no-block", "greetd.service")
        self.eventually(lambda: self.assertRegex(
            self.show("greetd.service", "StatusText")["StatusText"],
            "Stopping, greeting the last 1 client;"))

    def test_waits_for_a_client_in_progress(self):
        client = self.hold_client()
        self.begin_stop()
        self.assertEqual(self.state("greetd.service"), "deactivating")
        self.release_client(client)
        self.wait_until_stopped()
        self.assertEqual(self.entries(MESSAGE=FORCED), [])

    def test_ends_by_itself_in_the_time_that_the_unit_allows(self):
        self.hold_client()
        self.systemctl("stop", "greetd.service")
        self.wait_until_stopped()
        self.assertEqual(len(self.entries(MESSAGE=FORCED)), 1)

    def test_waits_as_long_as_configured(self):
        self.write("/etc/greetd.conf.d/60-stop.conf",
                   f"[Server]\nStopTimeoutSec={STOP_TIMEOUT_SEC}s\n")
        self.hold_client()
        began = self.uptime_usec()
        self.systemctl("stop", "greetd.service")
        self.wait_until_stopped()
        [forced] = self.entries(MESSAGE=FORCED)
        self.assertGreaterEqual(int(forced["__MONOTONIC_TIMESTAMP"]),
                                began + STOP_TIMEOUT_SEC * 1_000_000)

    def test_ends_at_once_at_a_second_signal(self):
        self.write("/etc/greetd.conf.d/60-stop.conf", FOR_EVER)
        self.drop_in(UNLIMITED)
        self.hold_client()
        self.begin_stop()
        self.systemctl("kill", "--signal=TERM", "greetd")
        self.wait_until_stopped()

    def uptime_usec(self):
        """The current monotonic time, as in the journal."""
        uptime = self.machine.path("/proc/uptime").read_text()
        return int(float(re.match(r"\S+", uptime)[0]) * 1_000_000)
