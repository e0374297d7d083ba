# SPDX-License-Identifier: MIT
"""The installation of the package obeys a preset, and later ones keep what was decided."""

from support.case import GREETING, SystemTest

PRESET = "/etc/systemd/system-preset/50-site.preset"


class Preset(SystemTest):
    def prepare(self):
        """The package is installed by each test."""

    def assert_socket(self, enabled, active):
        self.assertEqual(self.systemctl("is-enabled", "greetd.socket", check=False), f"{enabled}\n")
        self.assertEqual(self.state("greetd.socket"), active)

    def test_a_preset_keeps_the_first_installation_from_enabling_the_socket(self):
        self.write(PRESET, "disable greetd.socket\n")
        for _ in range(2):
            self.install()
            self.assert_socket("disabled", "inactive")
            self.assert_refused()
        self.systemctl("enable", "--now", "greetd.socket")
        self.install()
        self.assert_socket("enabled", "active")
        self.assertEqual(self.greet(), GREETING)

    def test_a_preset_for_all_units_may_except_the_socket(self):
        self.write(PRESET, "enable greetd.socket\ndisable *\n")
        self.install()
        self.assert_socket("enabled", "active")

    def test_an_upgrade_does_not_ask_the_preset(self):
        self.install()
        self.write(PRESET, "disable greetd.socket\n")
        self.install()
        self.assert_socket("enabled", "active")

    def test_a_preset_without_a_line_for_the_socket_enables_it(self):
        self.install()
        self.systemctl("disable", "--now", "greetd.socket")
        self.systemctl("preset", "greetd.socket")
        self.systemctl("start", "greetd.socket")
        self.assert_socket("enabled", "active")
        self.assertEqual(self.greet(), GREETING)

    def test_systemctl_preset_disables_the_socket(self):
        self.install()
        self.write(PRESET, "disable greetd.socket\n")
        self.systemctl("preset", "greetd.socket")
        self.assert_socket("disabled", "active")

    def test_a_purge_forgets_what_was_decided(self):
        self.write(PRESET, "disable greetd.socket\n")
        self.install()
        self.machine.run("dpkg", "--purge", "greeting-daemon")
        self.machine.path(PRESET).unlink()
        self.install()
        self.assert_socket("enabled", "active")
