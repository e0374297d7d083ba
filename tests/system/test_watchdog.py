# SPDX-License-Identifier: MIT
"""The watchdog ends a service with a worker that hangs, and no service that is only slow."""

import contextlib

from support.case import GREETING, SystemTest

WATCHDOG = "[Service]\nWatchdogSec=4s\nLogRateLimitBurst=100000000\n"
WATCHDOG_USEC = 4_000_000
WORKERS = "[Server]\nWorkers=2\n"

# Periods of WatchdogSec= that the service has to survive.
PERIODS = 3


class Watchdog(SystemTest):
    def setUp(self):
        super().setUp()
        self.write("/etc/greetd.conf.d/50-workers.conf", WORKERS)
        self.drop_in(WATCHDOG)
        self.assertEqual(self.greet(), GREETING)
        self.first_pid = self.main_pid()

    def wait_through_some_periods(self):
        self.wait_for_pings(WATCHDOG_USEC * PERIODS)

    def assert_never_restarted(self):
        self.assertEqual(self.main_pid(), self.first_pid)
        self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "0"})

    def test_a_worker_that_hangs_is_named_and_the_service_is_restarted(self):
        with self.machine.hanging_thread(self.first_pid, "greetd-1"):
            self.wait_for_entry(UNIT_RESULT="watchdog")
        self.eventually(lambda: self.assertNotIn(self.main_pid(), (0, self.first_pid)))
        self.assertEqual(self.greet(), GREETING)
        messages = [entry["MESSAGE"] for entry in self.entries()]
        named = find(messages, "Worker 1 has not gone round its loop for ")
        self.assertLess(named, find(messages, "greetd.service: Watchdog timeout"), messages)
        self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "1"})

    def test_a_service_with_little_processor_time_is_not_restarted(self):
        # The systemd in the machine can limit the service only if the host permits it.
        self.drop_in(f"{WATCHDOG}CPUQuota=10%\n")
        throttled = self.machine.limit_processor_time(self.first_pid, 10)
        with self.load_without_loss():
            self.wait_through_some_periods()
        self.assertGreater(throttled(), PERIODS)
        self.assert_never_restarted()

    def test_a_stalled_journal_delays_no_client(self):
        with self.load_without_loss(), self.stalled_journal():
            self.wait_through_some_periods()
            self.assertEqual(self.greet(), GREETING)
        self.assert_never_restarted()
        self.systemctl("reload", "greetd")
        self.wait_for_entry(MESSAGE="Reloaded the configuration")

    @contextlib.contextmanager
    def stalled_journal(self):
        self.systemctl("kill", "--signal=STOP", "systemd-journald")
        try:
            yield
        finally:
            self.systemctl("kill", "--signal=CONT", "systemd-journald")


def find(messages, beginning):
    """The index of the first message with this BEGINNING."""
    return [message.startswith(beginning) for message in messages].index(True)
