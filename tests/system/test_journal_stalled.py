# SPDX-License-Identifier: MIT
"""A journald that stands still holds up nobody, and the journal's books balance afterwards."""

import re

from support.case import SystemTest

SEC = 1_000_000
# Announced every second, so that no test has to wait long.
LOG = "[Log]\nRateLimitIntervalSec=1s\nRateLimitBurst=infinity\n"
# More than the workers' rings and the journal's socket hold.
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
        """When systemd last heard that greetd is alive; microseconds since boot."""
        properties = self.show("greetd.service", "WatchdogTimestampMonotonic")
        return int(properties["WatchdogTimestampMonotonic"])

    def wait_for_heartbeats(self):
        """Until greetd was heard of for longer than WatchdogSec= twice over."""
        before = self.watchdog_usec()
        self.eventually(lambda: self.assertGreater(self.watchdog_usec(), before + 5 * SEC))

    def greeted(self):
        """How many clients were greeted, as the status has it."""
        status = self.show("greetd.service", "StatusText")["StatusText"]
        return int(re.search(r"; (\d+) greeted", status)[1])

    def wait_until_many_are_greeted(self):
        self.eventually(lambda: self.assertGreater(self.greeted(), MANY))

    def accounted(self):
        """How many connections have an entry, and how many were left out as other entries say."""
        messages = [entry["MESSAGE"] for entry in self.entries()]
        left_out = [re.match(r"(\d+) connection entries left out", m) for m in messages]
        return (sum(m.startswith("Connection from ") for m in messages),
                sum(int(match[1]) for match in left_out if match))

    def assert_books_balance(self, greeted):
        def balance():
            entries, left_out = self.accounted()
            self.assertEqual(entries + left_out, greeted, f"{entries} + {left_out}")
            self.assertGreater(left_out, 0)
        self.eventually(balance)

    def test_delays_no_client_and_no_watchdog(self):
        self.stop_journald()
        with self.load_that_loses_nobody() as outcomes:
            self.wait_for_heartbeats()
            self.wait_until_many_are_greeted()
        self.assertEqual(self.main_pid(), self.pid)
        self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "0"})
        self.continue_journald()
        self.assert_books_balance(outcomes["greeted"])

    def test_does_not_delay_the_stop(self):
        self.stop_journald()
        with self.load_that_loses_nobody() as outcomes:
            self.wait_until_many_are_greeted()
        self.systemctl("stop", "greetd.service")
        self.assertEqual(
            self.show("greetd.service", "Result", "ExecMainCode", "ExecMainStatus"),
            {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"})
        self.continue_journald()
        self.assert_books_balance(outcomes["greeted"])

    def test_drops_nothing_that_greetd_has_logged(self):
        with self.load_that_loses_nobody() as outcomes:
            self.eventually(lambda: self.assertGreater(self.greeted(), 5 * MANY))
        self.systemctl("stop", "greetd.service")
        entries, left_out = self.accounted()
        self.assertEqual(entries + left_out, outcomes["greeted"])
