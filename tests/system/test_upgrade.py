# SPDX-License-Identifier: MIT
"""Another version of the package, with another program and another greetd.conf, is upgraded."""

import functools
import os
import pathlib
import subprocess
import tempfile
import unittest

from support.case import GREETING, SystemTest

TREE = pathlib.Path(__file__).parents[2]
PREVIOUS = "/root/previous.deb"
PREVIOUS_VERSION = "0.0.1"
CONFIG = "/etc/greetd.conf"
PREVIOUS_COMMENT = "# The previous version.\n"
EDITED_GREETING = "Edited.\n"
EDIT = "[Greeting]\nMessage=Edited.\\n\n"


@functools.cache
def previous_package():
    """The .deb of the version before: $GREETD_PREVIOUS_DEB, or the files of this tree built once as
    PREVIOUS_VERSION."""
    if "GREETD_PREVIOUS_DEB" in os.environ:
        return pathlib.Path(os.environ["GREETD_PREVIOUS_DEB"])
    folder = pathlib.Path(unittest.enterModuleContext(tempfile.TemporaryDirectory()))
    done = subprocess.run([TREE / "packaging/build-deb", "--worktree", "--as", PREVIOUS_VERSION, folder],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode != 0:
        raise AssertionError(done.stdout)
    return next(folder.glob("*.deb"))


class Upgrade(SystemTest):
    def prepare(self):
        """Installs the previous version. Its greetd.conf differs, so that dpkg has to decide."""
        self.machine.path(PREVIOUS).write_bytes(previous_package().read_bytes())
        self.machine.run("dpkg-deb", "--raw-extract", PREVIOUS, "/root/previous")
        with open(self.machine.path(f"/root/previous{CONFIG}"), "a", encoding="utf-8") as file:
            file.write(PREVIOUS_COMMENT)
        self.machine.run("dpkg-deb", "--build", "/root/previous", PREVIOUS)
        self.install_previous()

    def install_previous(self):
        self.machine.run("dpkg", "--force-confold", "--install", PREVIOUS)

    def versions(self):
        """That of the installed package, that of its program."""
        return (self.machine.run("dpkg-query", "--show", "--showformat=${Version}", "greeting-daemon"),
                self.machine.run("greetd", "--version").split()[1])

    def upgrade(self, *options):
        """Installs the new version as a machine does that asks nobody."""
        self.machine.run("dpkg", *options, "--install", "/root/greeting-daemon.deb")

    def assert_running_program_is_installed(self):
        program = self.machine.run("readlink", f"/proc/{self.main_pid()}/exe")
        self.assertEqual(program, "/usr/sbin/greetd\n")

    def edit(self):
        self.write(CONFIG, EDIT)
        self.systemctl("reload-or-restart", "greetd")
        self.eventually(lambda: self.assertEqual(self.greet(), EDITED_GREETING))

    def config(self, suffix=""):
        return self.machine.path(CONFIG + suffix).read_text()

    def assert_version_changes_without_loss(self, change):
        with self.load_all_served():
            before = self.versions()
            service, socket = self.main_pid(), self.show("greetd.socket", "InvocationID")
            change()
            after = self.versions()
            self.assertNotEqual(self.main_pid(), service)
            self.assertEqual(self.show("greetd.socket", "InvocationID"), socket)
            self.assert_running_program_is_installed()
        for old, new in zip(before, after, strict=True):
            self.assertNotEqual(old, new)

    def test_an_upgrade_under_load_changes_the_program_and_loses_no_client(self):
        self.assert_version_changes_without_loss(self.upgrade)
        self.assertNotIn(PREVIOUS_COMMENT, self.config())

    def test_a_downgrade_under_load_changes_the_program_and_loses_no_client(self):
        self.upgrade()
        self.assert_version_changes_without_loss(self.install_previous)

    def test_an_upgrade_keeps_a_configuration_that_an_administrator_has_edited(self):
        for options in (["--force-confold"], ["--force-confdef"], ["--force-confdef", "--force-confold"]):
            with self.subTest(options=options):
                self.edit()
                self.upgrade(*options)
                self.assertEqual(self.config(), EDIT)
                self.assertIn("[Greeting]", self.config(".dpkg-dist"))
                self.assertEqual(self.greet(), EDITED_GREETING)
                self.install_previous()

    def test_an_upgrade_that_takes_the_new_configuration_saves_the_edited_one(self):
        self.edit()
        self.upgrade("--force-confnew")
        self.assertEqual(self.config(".dpkg-old"), EDIT)
        self.assertEqual(self.greet(), GREETING)

    def test_an_upgrade_keeps_a_socket_disabled_and_a_deleted_configuration_deleted(self):
        self.systemctl("disable", "--now", "greetd.socket")
        self.machine.path(CONFIG).unlink()
        self.upgrade("--force-confdef", "--force-confold")
        enabled = self.systemctl("is-enabled", "greetd.socket", check=False)
        self.assertEqual(enabled, "disabled\n")
        self.assertEqual(self.state("greetd.socket"), "inactive")
        self.assertFalse(self.machine.path(CONFIG).exists())
        self.systemctl("start", "greetd.socket")
        self.assertEqual(self.greet(), GREETING)
