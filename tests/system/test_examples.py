# SPDX-License-Identifier: MIT
"""The examples that need systemd, installed with the commands of their headers."""

import re

from support.case import GREETING, SystemTest
from support.machine import CommandError

EXAMPLES = "/usr/share/doc/greeting-daemon/examples"
UNITS = "/etc/systemd/system"
STALE = "down #The check has not run for 30 s.\n"
# The check fails while there is such a file, and prints the weight otherwise.
CHECK = """\
[Service]
ExecStart=
ExecStart=/usr/local/libexec/greetd-check /run/greetd-check sh -c '! cat /run/problem && echo 75%%'
"""
OTHER = "/etc/greetd.conf.d/other.conf"
SECRET = "Only root may read this."


class ExampleTest(SystemTest):
    def run_header(self, name, without="$^"):
        """Runs the commands in the header of the example NAME, but for those that match WITHOUT."""
        header = self.machine.path(f"{EXAMPLES}/{name}").read_text().partition("\n[")[0]
        commands = re.findall(r"^#     (.*)$", header, re.MULTILINE)
        self.assertTrue(commands, header)
        self.machine.run("sh", "-e", "-c", "\n".join(c for c in commands if not re.search(without, c)))

    def start_socket(self, port):
        self.machine.run("cp", f"{EXAMPLES}/greetd@.socket", UNITS)
        self.systemctl("daemon-reload")
        self.systemctl("stop", "greetd.service")
        self.systemctl("enable", "--now", f"greetd@{port}.socket")


class Ports(ExampleTest):
    def test_the_commands_of_the_socket_start_it_with_its_greeting(self):
        self.assertEqual(self.greet(), GREETING)
        self.machine.run("cp", f"{EXAMPLES}/closed.conf", "/etc/greetd.conf.d/")
        self.run_header("greetd@.socket")
        self.assertTrue(self.greet("127.0.0.1:25").startswith("554 Closed"))
        self.assertEqual(self.greet(), GREETING)
        self.wait_for_entry(GREETD_LISTENER="25", GREETD_RESULT="delivered")

    def test_systemd_finds_no_error_in_the_units(self):
        self.machine.run("install", "-D", f"{EXAMPLES}/greetd-check", "/usr/local/libexec/greetd-check")
        units = [f"{EXAMPLES}/greetd-check.{kind}" for kind in ("service", "timer")]
        self.start_socket(25)
        output = self.machine.run("systemd-analyze", "verify", "--man=no", *units, "greetd@25.socket")
        self.assertEqual(output, "")


class AgentCheck(ExampleTest):
    ADDRESS = "127.0.0.1:8001"

    def setUp(self):
        super().setUp()
        self.machine.run("cp", f"{EXAMPLES}/agent-check.conf", "/etc/greetd.conf.d/")
        self.write("/etc/greetd.conf.d/short.conf", "[Listener 8001]\nMaxAgeSec=8s\n")
        self.start_socket(8001)

    def assert_answer(self, answer):
        self.eventually(lambda: self.assertEqual(self.greet(self.ADDRESS), answer))

    def test_the_shipped_check_follows_the_state_of_its_unit(self):
        self.run_header("greetd-check.service", without="systemctl edit")
        self.assert_answer("down #\n")
        self.write(f"{UNITS}/nginx.service", "[Service]\nExecStart=/bin/sleep infinity\n")
        self.systemctl("daemon-reload")
        self.systemctl("start", "nginx.service")
        self.assert_answer("up ready \n")

    def test_the_timer_renews_the_answer_until_it_is_stopped(self):
        self.assert_answer(STALE)
        self.drop_in(CHECK, unit="greetd-check.service")
        self.run_header("greetd-check.service", without="systemctl edit")
        self.assert_answer("up ready 75%\n")
        self.write("/run/problem", "the disk is full\n")
        self.assert_answer("down #the disk is full\n")
        self.machine.path("/run/problem").unlink()
        self.assert_answer("up ready 75%\n")
        self.systemctl("stop", "greetd-check.timer")
        self.assert_answer(STALE)
        self.systemctl("start", "greetd-check.service")
        self.assert_answer("up ready 75%\n")


class Credential(ExampleTest):
    def setUp(self):
        super().setUp()
        self.write_secret(SECRET)
        self.run_header("credential.service.conf")

    def write_secret(self, text):
        self.write("/etc/greetd.secret", text)
        self.machine.path("/etc/greetd.secret").chmod(0o600)

    def test_a_file_that_only_root_may_read_is_sent(self):
        self.assertEqual(self.greet(), SECRET)
        with self.assertRaises(CommandError):
            self.machine.run("setpriv", "--reuid=nobody", "--clear-groups", "cat", "/etc/greetd.secret")

    def test_a_reload_keeps_the_configuration_only_if_a_file_is_bad(self):
        self.write(OTHER, "[Listener server]\nMessage=reloaded\n")
        self.systemctl("reload", "greetd")
        self.eventually(lambda: self.assertEqual(self.greet(), "reloaded"))
        self.write(OTHER, "[Listener server]\nMessage=$mistake\n")
        self.systemctl("reload", "greetd")
        self.wait_for_entry(MESSAGE="Reload failed, the configuration in force stays")
        self.assertEqual(self.greet(), "reloaded")
        self.machine.path(OTHER).unlink()
        self.systemctl("reload", "greetd")
        self.eventually(lambda: self.assertEqual(self.greet(), SECRET))

    def test_a_restart_sends_the_changed_file(self):
        self.write_secret("another one")
        self.systemctl("restart", "greetd")
        self.assertEqual(self.greet(), "another one")
