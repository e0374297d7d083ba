# SPDX-License-Identifier: MIT
"""greetd without a socket unit, set up as greetd-standalone.conf describes."""

import re

from support.case import GREETING, StandaloneTest
from support.machine import CommandError

DROP_IN = "/etc/systemd/system/greetd.service.d/60-test.conf"


class Standalone(StandaloneTest):
    def configure(self, drop_in, config):
        """Uncomments parts of the example, adds CONFIG, and restarts."""
        self.write(DROP_IN, "[Service]\n" + drop_in)
        self.write(self.CONFIG, "[Server]\n" + config)
        self.systemctl("daemon-reload")
        self.systemctl("restart", "greetd")

    def restart_and_fail(self):
        with self.assertRaises(CommandError):
            self.systemctl("restart", "greetd")
        self.eventually(lambda: self.assertEqual(
            self.show("greetd.service", "ActiveState", "SubState", "ExecMainStatus"),
            {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainStatus": "71"}))

    def on_network(self, *command):
        self.finish_client(self.machine.start_on_network(*command))

    def commented_out(self, first):
        """The block of directives in the example that begins with FIRST, without their #."""
        text = self.machine.path(self.EXAMPLE).read_text()
        return re.search(rf"^#{first}.*\n(?:^#\w+=.*\n)*", text, re.MULTILINE)[0].replace("#", "")

    def test_greetd_greets_without_the_socket_and_starts_at_boot(self):
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state("greetd.socket"), "inactive")
        self.assertEqual(self.systemctl("is-enabled", "greetd.service"), "enabled\n")
        shown = self.show("greetd.service", "Requires", "NFileDescriptorStore")
        self.assertNotIn("greetd.socket", shown["Requires"])
        self.assertEqual(shown["NFileDescriptorStore"], "1")

    def test_changing_back_to_the_socket(self):
        self.run_commands(self.change_back)
        self.assertEqual(self.state("greetd.service"), "inactive")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state("greetd.socket"), "active")

    def test_a_port_below_1024(self):
        self.configure(self.commented_out("CapabilityBoundingSet="), "ListenStream=127.0.0.1:17\n")
        self.assertEqual(self.greet("127.0.0.1:17"), GREETING)

    def test_a_unix_socket_that_any_user_may_connect_to(self):
        self.machine.run("useradd", "--system", "--shell", "/usr/sbin/nologin", "greetd")
        self.configure(self.commented_out("DynamicUser="), "ListenStream=/run/greetd/socket\n")
        self.machine.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                         "test", "-w", "/run/greetd/socket")
        before = self.machine.path("/run/greetd/socket").stat().st_ino
        self.systemctl("restart", "greetd")
        self.assertEqual(self.machine.path("/run/greetd/socket").stat().st_ino, before)
        self.assertEqual(self.greet(self.machine.path("/run/greetd/socket")), GREETING)

    def test_an_interface_that_appears_later(self):
        self.write(self.CONFIG, "[Server]\nListenStream=[fe80::1%eth9]:12345\n")
        self.restart_and_fail()
        self.on_network("ip", "address", "add", "fe80::1/64", "dev", "lo", "nodad")
        self.on_network("ip", "link", "property", "add", "dev", "lo", "altname", "eth9")
        self.wait_for_entry(MESSAGE="Server is listening on [fe80::1%lo]:12345")
        self.assertEqual(self.greet("fe80::1%lo:12345"), GREETING)

    def test_a_message_file_that_appears_later(self):
        self.write(self.CONFIG, "[Greeting]\nMessageFile=/etc/greeting\n")
        self.restart_and_fail()
        self.write("/etc/greeting", "there now")
        self.eventually(lambda: self.assertEqual(self.state("greetd.service"), "active"))
        self.assertEqual(self.greet(), "there now")

    def test_systemd_finds_no_error_in_the_unit(self):
        output = self.machine.run("systemd-analyze", "verify", "--man=no", "greetd.service")
        self.assertEqual(output, "")
