# SPDX-License-Identifier: MIT
"""Type=notify-reload: a reload has ended only when the new configuration is in force."""

import unittest

from support.case import GREETING, PATIENCE_SEC, SystemTest, end
from support.machine import CommandError

# The version and the drop-ins that greetd(8) names.
SYSTEMD_MIN = 253
NOTIFY_RELOAD = "[Service]\nType=notify-reload\nExecReload=\n"
WITH_CHECK = NOTIFY_RELOAD + "ExecReload=/usr/sbin/greetd --check\n"

CONFIG = "/etc/greetd.conf.d/50-test.conf"
BROKEN = "[Server]\nNonsense=1\n"
RELOADS = 20


def load_tests(_loader, tests, _pattern):
    version = SystemTest.host.systemd_version()
    if version >= SYSTEMD_MIN or tests.countTestCases() == 0:
        return tests
    print(f"not run: test_notify_reload.NotifyReload: it needs systemd {SYSTEMD_MIN}, and the "
          f"machines have {version}", flush=True)
    return unittest.TestSuite()


class NotifyReload(SystemTest):
    def setUp(self):
        super().setUp()
        self.drop_in(NOTIFY_RELOAD)
        self.assertEqual(self.greet(), GREETING)
        self.pid = self.main_pid()

    def configure(self, message):
        self.write(CONFIG, f"[Greeting]\nMessage={message}\n")

    def test_returns_when_the_configuration_is_in_force(self):
        for number in range(RELOADS):
            self.configure(f"number {number}")
            self.systemctl("reload", "greetd")
            self.assertEqual(self.greet(), f"number {number}")
        self.assertEqual(self.main_pid(), self.pid)

    def test_waits_for_a_service_that_hangs(self):
        self.configure("Closed for today.")
        with self.machine.hanging_thread(self.pid, "greetd"):
            reload = self.machine.start("systemctl", "reload", "greetd")
            self.addCleanup(end, reload)
            self.eventually(lambda: self.assertEqual(
                self.show("greetd.service", "SubState"), {"SubState": "reload-signal"}))
            self.assertEqual(self.greet(), GREETING)
        self.assertEqual(reload.wait(PATIENCE_SEC), 0)
        self.assertEqual(self.greet(), "Closed for today.")

    def test_of_a_broken_file_changes_nothing_and_the_status_has_the_error(self):
        self.write(CONFIG, BROKEN)
        self.systemctl("reload", "greetd", check=False)
        self.assert_all_as_it_was()
        self.eventually(lambda: self.assertIn(
            f"last reload failed: {CONFIG}:2: ",
            self.show("greetd.service", "StatusText")["StatusText"]))

    def test_of_a_broken_file_fails_with_a_check(self):
        self.drop_in(WITH_CHECK)
        self.write(CONFIG, BROKEN)
        with self.assertRaisesRegex(CommandError, "Job for greetd.service failed"):
            self.systemctl("reload", "greetd")
        self.assert_all_as_it_was()

    def assert_all_as_it_was(self):
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.main_pid(), self.pid)
        self.eventually(lambda: self.assertEqual(self.state("greetd.service"), "active"))
