# SPDX-License-Identifier: MIT
"""packaging/quickstart --system and --uninstall, on a machine that has nothing but systemd and apt."""

import re

from integration.support import fresh_system

from support import machine
from support.case import GREETING, SystemTest, end
from test_package import OTHER_GREETD

FOLDER = "/root/greetd of today"
BUILD = f"{FOLDER}/build/quickstart"
TIMEOUT_SEC = 1200


class Quickstart(SystemTest):
    def setUp(self):
        self.machine = self.enterContext(machine.Machine(self.host))
        root = self.machine.path("/")
        self.enterContext(fresh_system.apt_network(self.machine.leader, root))
        fresh_system.copy_tree(self.machine.path(FOLDER))

    def quickstart(self, *arguments, succeeds=True):
        """Runs it, which must succeed or fail, and returns its output."""
        command = ["sh", "-c", 'exec "$0" "$@" 2>&1', f"{FOLDER}/packaging/quickstart", *arguments]
        process = self.machine.start(*command)
        self.addCleanup(end, process)
        output, _ = process.communicate(timeout=TIMEOUT_SEC)
        self.assertEqual(process.returncode == 0, succeeds, output)
        return output

    def assert_greets(self, output):
        self.assertTrue(output.endswith(f"\nThe greeting:\n{GREETING}\n"), output)

    def packages(self):
        return self.machine.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")

    def test_system_installs_the_package_and_uninstall_takes_it_back(self):
        self.assert_greets(self.quickstart())
        program = self.machine.path(f"{BUILD}/greetd.pid").read_text().strip()
        with self.subTest("the login manager of the same name is not removed"):
            self.write("/root/other/DEBIAN/control", OTHER_GREETD)
            self.machine.run("dpkg-deb", "--build", "/root/other", "/root/other.deb")
            self.machine.run("dpkg", "--install", "/root/other.deb")
            output = self.quickstart("--system", succeeds=False)
            self.assertIn("the package greetd, a login manager", output)
            self.assertIn("greetd installed\n", self.packages())
            self.assertTrue(self.machine.path(f"/proc/{program}").exists())
            self.machine.run("dpkg", "--purge", "greetd")
        with self.subTest("systemd takes the port over from the program"):
            output = self.quickstart("--system")
            self.assert_greets(output)
            self.assertIn("systemd listens on 127.0.0.1:12345,", output)
            self.assertFalse(self.machine.path(f"/proc/{program}").exists())
            self.assertEqual(self.systemctl("is-enabled", "greetd.socket"), "enabled\n")
            self.assertEqual(self.state("greetd.service"), "active")
            self.wait_for_entry(GREETD_RESULT="delivered")
        with self.subTest("the program does not take it back"):
            output = self.quickstart(succeeds=False)
            self.assertIn("greetd is installed and listens", output)
            self.assertEqual(self.greet(), GREETING)
        with self.subTest("an administrator has turned the socket off, and wants it again"):
            self.systemctl("disable", "--now", "greetd.socket")
            service = self.main_pid()
            self.assert_greets(self.quickstart("--system"))
            self.assertEqual(self.systemctl("is-enabled", "greetd.socket"), "enabled\n")
            self.assertNotEqual(self.main_pid(), service)
        with self.subTest("nothing stays but the build tools, which are named"):
            output = self.quickstart("--uninstall")
            self.assertNotIn("greeting-daemon", self.packages())
            self.assert_refused()
            self.assertFalse(self.machine.path(BUILD).exists())
            removal = re.search(r"^    apt-get purge (.*)$", output, re.MULTILINE)[1].split()
            self.assertLessEqual({"cmake", "debhelper", "gcc", "lintian"}, set(removal))
            self.assertNotIn("systemd", removal)
