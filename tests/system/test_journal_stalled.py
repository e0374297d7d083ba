# SPDX-License-Identifier: MIT
"""A stalled journald delays no client, and afterwards every connection is logged or counted as
dropped."""

import re

from support.case import SystemTest

SEC = 1_000_000
# Dropped entries are reported every second, so that no test has to wait long.
LOG = "[Log]\nRateLimitIntervalSec=1s\nRateLimitBurst=infinity\n"
# More than the rings of the workers and the socket of the journal hold.
MANY = 12000


class StalledJournal(SystemTest):
    def setUp(self):
        super().setUp()
        self.write("/etc/systemd/system/greetd.service.d/watchdog.conf",
                   "[Service]\nWatchdogSec=2s\n")
        self.write("/etc/greetd.conf.d/log.conf", LOG)
        self.systemctl("daemon-reload")
        self.systemctl("start", "greetd")
        self.pid = self.main_pid()

    def stop_journald(self):
        self.systemctl("kill", "--signal=STOP", "systemd-journald.service")

    def continue_journald(self):
        self.systemctl("kill", "--signal=CONT", "systemd-journald.service")

    def watchdog_usec(self):
        """The time of the last ping of greetd, in microseconds since boot."""
        properties = self.show("greetd.service", "WatchdogTimestampMonotonic")
        return int(properties["WatchdogTimestampMonotonic"])

    def wait_through_watchdog_periods(self):
        """Waits until pings have been sent for more than twice WatchdogSec=."""
        before = self.watchdog_usec()
        self.eventually(lambda: self.assertGreater(self.watchdog_usec(), before + 5 * SEC))

    def greeted(self):
        """The number of greeted clients in the status."""
        status = self.show("greetd.service", "StatusText")["StatusText"]
        return int(re.search(r"; (\d+) greeted", status)[1])

    def wait_until_many_are_greeted(self):
        self.eventually(lambda: self.assertGreater(self.greeted(), MANY))

    def accounted(self):
        """The numbers of connections with an entry, and of those reported as dropped."""
        messages = [entry["MESSAGE"] for entry in self.entries()]
        dropped = [re.match(r"(\d+) connection entries left out", m) for m in messages]
        return (sum(m.startswith("Connection from ") for m in messages),
                sum(int(match[1]) for match in dropped if match))

    def assert_all_accounted(self, greeted):
        def check():
            entries, dropped = self.accounted()
            self.assertEqual(entries + dropped, greeted, f"{entries} + {dropped}")
            self.assertGreater(dropped, 0)
        self.eventually(check)

    def test_delays_no_client_and_no_watchdog(self):
        self.stop_journald()
        with self.load_without_loss() as outcomes:
            self.wait_through_watchdog_periods()
            self.wait_until_many_are_greeted()
        self.assertEqual(self.main_pid(), self.pid)
        self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "0"})
        self.continue_journald()
        self.assert_all_accounted(outcomes["greeted"])

    def test_does_not_delay_the_stop(self):
        self.stop_journald()
        with self.load_without_loss() as outcomes:
            self.wait_until_many_are_greeted()
        self.systemctl("stop", "greetd.service")
        self.assertEqual(
            self.show("greetd.service", "Result", "ExecMainCode", "ExecMainStatus"),
            {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"})
        self.continue_journald()
        self.assert_all_accounted(outcomes["greeted"])

    def test_drops_nothing_that_greetd_has_logged(self):
        with self.load_without_loss() as outcomes:
            self.eventually(lambda: self.assertGreater(self.greeted(), 5 * MANY))
        self.systemctl("stop", "greetd.service")
        entries, dropped = self.accounted()
        self.assertEqual(entries + dropped, outcomes["greeted"])
