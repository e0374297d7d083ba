# SPDX-License-Identifier: MIT
"""The Debian package is installed, upgraded and removed."""

import gzip

from support.case import GREETING, SystemTest

OTHER_GREETD = """\
Package: greetd
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: the login manager of that name
"""


OWN_ADDRESS = "127.0.0.1:7001"
OWN_SOCKET = f"""\
[Socket]
ListenStream={OWN_ADDRESS}
Service=greetd.service
TriggerLimitIntervalSec=0
"""


class Package(SystemTest):
    def programs(self):
        """The names of all processes in the machine."""
        return [file.read_text().strip() for file in self.machine.path("/proc").glob("[0-9]*/comm")]

    def test_installing_starts_the_socket_and_leaves_the_service_to_the_first_client(self):
        self.assertEqual(self.state("greetd.socket"), "active")
        self.assertEqual(self.systemctl("is-enabled", "greetd.socket"), "enabled\n")
        self.assertEqual(self.state("greetd.service"), "inactive")
        enabled = self.systemctl("is-enabled", "greetd.service", check=False)
        self.assertEqual(enabled, "disabled\n")

    def test_the_journal_explains_its_entries(self):
        self.assertEqual(self.greet(source_port=54321), GREETING)
        self.wait_for_entry(MESSAGE="Connection from 127.0.0.1:54321")
        output = self.machine.run("journalctl", "--no-pager", "--catalog", "--unit=greetd")
        for explanation in ("Subject: Clients are accepted", "[Listener server]",
                            "Subject: A connection has ended: delivered",
                            "The client at 127.0.0.1 had connected", "took 18 bytes"):
            self.assertIn(explanation, output)

    def test_the_units_and_the_man_pages_lead_to_each_other(self):
        for unit in ("greetd.service", "greetd.socket", "greetd-metrics.socket"):
            self.assertIn("man:greetd(8)", self.show(unit, "Documentation")["Documentation"])
        for page in ("man8/greetd.8.gz", "man7/greetd-load-balancer.7.gz",
                     "man5/greetd.conf.5.gz", "man1/greet.1.gz"):
            text = gzip.decompress(self.machine.path(f"/usr/share/man/{page}").read_bytes())
            self.assertIn(b".SH NAME", text)

    def test_removal_takes_the_explanations_away(self):
        catalog = ("journalctl", "--no-pager", "--list-catalog")
        self.assertIn(" greetd: ", self.machine.run(*catalog))
        self.machine.run("dpkg", "--remove", "greeting-daemon")
        self.assertNotIn(" greetd: ", self.machine.run(*catalog))

    def test_an_upgrade_under_load_restarts_the_service_and_loses_no_client(self):
        with self.load_all_served():
            service, socket = self.main_pid(), self.show("greetd.socket", "InvocationID")
            self.install()
            self.assertNotEqual(self.main_pid(), service)
            self.assertEqual(self.show("greetd.socket", "InvocationID"), socket)

    def test_an_upgrade_leaves_a_service_without_clients_alone(self):
        self.install()
        self.assertEqual(self.state("greetd.service"), "inactive")
        self.assertEqual(self.greet(), GREETING)

    def test_removal_leaves_nothing_running_and_keeps_the_configuration(self):
        self.assertEqual(self.greet(), GREETING)
        self.assertIn("greetd", self.programs())
        self.machine.run("dpkg", "--remove", "greeting-daemon")
        self.assertNotIn("greetd", self.programs())
        self.assert_refused()
        for unit in ("greetd.service", "greetd.socket"):
            self.assertEqual(self.show(unit, "LoadState", "ActiveState"),
                             {"LoadState": "not-found", "ActiveState": "inactive"})
        self.assertTrue(self.machine.path("/etc/greetd.conf").exists())

    def test_removal_ends_the_sockets_that_an_administrator_has_made_for_it(self):
        self.write("/etc/systemd/system/own.socket", OWN_SOCKET)
        self.systemctl("daemon-reload")
        self.systemctl("start", "own.socket")
        with self.polled(OWN_ADDRESS):
            self.machine.run("dpkg", "--remove", "greeting-daemon")
            self.assert_refused(OWN_ADDRESS)
            self.install()
            self.assertEqual(self.greet(), GREETING)

    def test_the_login_manager_called_greetd_cannot_be_installed_beside_it(self):
        self.write("/root/other/DEBIAN/control", OTHER_GREETD)
        self.machine.run("dpkg-deb", "--build", "/root/other", "/root/other.deb")
        output = self.machine.run("dpkg", "--install", "/root/other.deb", check=False)
        self.assertIn("greeting-daemon conflicts with greetd", output)
        self.assertEqual(self.greet(), GREETING)
