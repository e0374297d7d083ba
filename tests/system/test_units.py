# SPDX-License-Identifier: MIT
"""The states of units in greetings, asked for on the system bus from within the sandbox."""

from support.case import EXPOSURE_MAX, SystemTest

PROBE = "/etc/systemd/system/probe.service"
CONFIG = "/etc/greetd.conf.d/50-units.conf"
FAILED = "Failed to ask systemd for the states of units: "
KNOWN = "systemd answers again: the states of units are known"
NEW_USER = "SYSTEMD_NSS_DYNAMIC_BYPASS=1 useradd --system --user-group greetd"
RESTARTS = 5


class UnitsTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.write(PROBE, "[Service]\nExecStart=/bin/sleep infinity\n")
        self.write(CONFIG, "[Greeting]\nMessage=$unit_state{probe.service}\n")
        self.systemctl("daemon-reload")

    def assert_becomes(self, state):
        self.eventually(lambda: self.assertEqual(self.greet(), state))

    def assert_failed_and_known(self, times_failed, times_known):
        messages = [entry["MESSAGE"] for entry in self.entries()]
        self.assertEqual(sum(text.startswith(FAILED) for text in messages), times_failed, messages)
        self.assertEqual(messages.count(KNOWN), times_known, messages)


class Units(UnitsTest):
    def setUp(self):
        super().setUp()
        self.machine.run("sh", "-c", NEW_USER)

    def test_a_greeting_follows_the_state_of_a_unit(self):
        self.assertEqual(self.greet(), "inactive")
        self.systemctl("start", "probe")
        self.assert_becomes("active")
        self.systemctl("kill", "--signal=KILL", "probe")
        self.assert_becomes("failed")
        self.systemctl("reset-failed", "probe")
        self.assert_becomes("inactive")
        self.assert_failed_and_known(0, 0)

    def test_the_first_client_after_a_restart_reads_the_state(self):
        self.systemctl("start", "probe")
        for _ in range(RESTARTS):
            self.systemctl("restart", "greetd")
            self.assertEqual(self.greet(), "active")

    def test_an_alias_and_a_unit_that_does_not_exist_have_a_state(self):
        self.write(CONFIG, "[Greeting]\nMessage=$unit_state{dbus-org.freedesktop.login1.service} "
                           "$unit_state{nonsense.service} $unit_state{systemd-logind.service}\n")
        self.assertEqual(self.greet(), "active inactive active")

    def test_the_states_are_known_again_after_a_restart_of_the_bus_and_of_systemd(self):
        self.systemctl("start", "probe")
        self.assertEqual(self.greet(), "active")
        for command in (["restart", "dbus"], ["daemon-reexec"], ["daemon-reload"]):
            self.systemctl(*command)
            self.assert_becomes("active")

    def test_the_states_are_unknown_without_a_bus(self):
        self.systemctl("start", "probe")
        self.assertEqual(self.greet(), "active")
        self.systemctl("stop", "dbus.socket", "dbus.service")
        self.assert_becomes("unknown")
        self.systemctl("start", "dbus.socket")
        self.assert_becomes("active")
        self.eventually(lambda: self.assert_failed_and_known(1, 1))


class DynamicUser(UnitsTest):
    def test_a_user_of_the_machine_makes_dbus_daemon_accept_the_service(self):
        self.systemctl("start", "probe")
        self.assertEqual(self.greet(), "unknown")
        self.eventually(lambda: self.assert_failed_and_known(1, 0))
        self.machine.run("sh", "-c", NEW_USER)
        self.systemctl("restart", "greetd")
        self.assertEqual(self.greet(), "active")
        self.assert_failed_and_known(1, 0)
        self.assertLessEqual(self.exposure("greetd.service"), EXPOSURE_MAX)
