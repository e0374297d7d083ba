# SPDX-License-Identifier: MIT
"""The sandbox of the unit holds while the service greets."""

import errno
import re

from support.case import ADDRESS, EXPOSURE_MAX, GREETING, SystemTest
from support.machine import CommandError

UNITS = ["/lib/systemd/system/greetd.service", "/lib/systemd/system/greetd.socket"]
OF_ITS_OWN = "/etc/systemd/system/greetd.service"
NO_CAPABILITIES = "0000000000000000"


class Hardening(SystemTest):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.greet(), GREETING)
        self.process = self.machine.path(f"/proc/{self.main_pid()}")

    def test_the_process_has_no_user_of_the_machines_and_no_privilege(self):
        status = dict(re.findall(r"(\w+):\s+(.*)", (self.process / "status").read_text()))
        users = set(map(int, status["Uid"].split() + status["Gid"].split()))
        self.assertEqual(len(users), 1, users)
        self.assertIn(users.pop(), range(61184, 65520), "not one of systemd's dynamic users")
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(status[capabilities], NO_CAPABILITIES, capabilities)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")

    def test_the_process_is_alone_in_its_namespaces(self):
        init = self.machine.path("/proc/1")
        for kind in ("net", "mnt", "ipc", "user", "uts"):
            own, others = (process / "ns" / kind for process in (self.process, init))
            self.assertNotEqual(own.readlink(), others.readlink(), kind)
        self.assertEqual(self.greet(), GREETING)

    def test_the_file_system_is_read_only_to_it(self):
        for path in ("etc/greetd.conf", "usr/bin/env", "var/lib/dpkg/status"):
            with self.assertRaises(OSError) as error:
                (self.process / "root" / path).open("a")
            self.assertEqual(error.exception.errno, errno.EROFS, path)

    def test_another_program_cannot_be_run(self):
        with self.assertRaisesRegex(CommandError, "Permission denied"):
            self.machine.run("nsenter", f"--target={self.process.name}", "--mount", "/bin/true")

    def test_a_network_socket_of_its_own_cannot_be_opened(self):
        self.systemctl("stop", "greetd.socket")
        unit = self.machine.path(UNITS[0]).read_text()
        self.write(OF_ITS_OWN, re.sub(r"^.*=greetd\.socket\n", "", unit, flags=re.MULTILINE))
        self.systemctl("daemon-reload")
        self.systemctl("start", "greetd", check=False)
        error = "Address family not supported by protocol"
        self.wait_for_entry(MESSAGE=f"Failed to listen on {ADDRESS}: {error}")

    def test_its_exposure_is_low(self):
        self.assertLessEqual(self.exposure("greetd.service"), EXPOSURE_MAX)
        self.assertLessEqual(self.exposure("--offline=yes", UNITS[0]), EXPOSURE_MAX)

    def test_a_reload_works_inside_it_and_opens_nothing(self):
        before = self.exposure("greetd.service")
        self.write("/etc/greetd.conf.d/50-closed.conf", "[Greeting]\nMessage=Closed for today.\n")
        self.systemctl("reload", "greetd")
        self.eventually(lambda: self.assertEqual(self.greet(), "Closed for today."))
        self.assertEqual(self.main_pid(), int(self.process.name))
        self.assertEqual(self.exposure("greetd.service"), before)

    def test_a_reload_finds_a_file_that_the_service_may_not_read(self):
        self.write("/etc/secret", "Hush.")
        self.machine.path("/etc/secret").chmod(0o600)
        self.write("/etc/greetd.conf.d/50-secret.conf", "[Greeting]\nMessageFile=/etc/secret\n")
        with self.assertRaises(CommandError):
            self.systemctl("reload", "greetd")
        self.assertEqual(self.greet(), GREETING)

    def test_systemd_finds_no_error_in_the_units(self):
        self.assertEqual(self.machine.run("systemd-analyze", "verify", "--man=no", *UNITS), "")
