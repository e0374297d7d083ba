# SPDX-License-Identifier: MIT
"""packaging/quickstart, from a system with nothing but apt to a greeting, and what may go wrong."""

import os
import re
import signal
import subprocess
import unittest

import common
import fresh

FOLDER = "/home/guest/greetd of today"
QUICKSTART = f"{FOLDER}/packaging/quickstart"
BUILD = f"{FOLDER}/build/quickstart"
GREETING = "Hello from server!"
ADDRESS = "127.0.0.1:12345"


class QuickstartTest(unittest.TestCase):
    """A test in a fresh system of the suite of its class, or in one that its class shares."""

    suite = "bookworm"
    system: fresh.Fresh

    def quickstart(self, *arguments, status=0, **options):
        """Runs it, which must exit with STATUS, and returns its output."""
        found, output = self.system.run(QUICKSTART, *arguments, check=False, **options)
        self.assertEqual(found, status, output)
        return output

    def greeted_by(self):
        """Is greeted, and returns the process that quickstart has left."""
        self.assertEqual(self.system.output(f"'{BUILD}/greet' {ADDRESS}"), GREETING)
        return int(self.system.output(f"cat '{BUILD}/greetd.pid'"))

    def runs(self, process):
        return self.system.run("test", "-e", f"/proc/{process}/exe", check=False)[0] == 0

    def shadow(self, name, script):
        """Puts a program NAME before the system's for the rest of the test."""
        self.system.write(f"/usr/local/bin/{name}", f"#!/bin/sh\n{script}\n", mode=0o755)
        self.addCleanup(self.system.run, "rm", "-f", f"/usr/local/bin/{name}")

    def interrupt(self, sign, user="root"):
        """Runs it and presses Ctrl-C once it has printed SIGN."""
        process = subprocess.Popen(self.system.command(QUICKSTART, user=user), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env=fresh.ENVIRONMENT, start_new_session=True)
        with process:
            printed = []
            for line in process.stdout:
                printed.append(line)
                if sign in line:
                    os.killpg(process.pid, signal.SIGINT)
                    break
            printed.append(process.stdout.read())
        self.assertNotEqual(process.returncode, 0)
        self.assertIn(sign, "".join(printed))
        self.assertNotIn(GREETING, "".join(printed))


class FromNothing:
    def setUp(self):
        self.system = self.enterContext(fresh.Fresh(self.suite))
        self.system.copy_tree(FOLDER, owner="guest")

    def assert_greets(self, output):
        self.assertTrue(output.endswith(f"\nThe greeting:\n{GREETING}\n"), output)
        self.assertIn("Building C object", output)
        return self.greeted_by()

    def test_to_a_greeting_twice_and_back_again(self):
        first = self.assert_greets(self.quickstart())
        # The second run does not need apt, compiles nothing, and replaces the program.
        self.shadow("apt-get", "echo no apt-get >&2; exit 1")
        output = self.quickstart()
        self.assertTrue(output.endswith(f"\n{GREETING}\n"), output)
        self.assertNotIn("Building C object", output)
        second = self.greeted_by()
        self.assertNotEqual(first, second)
        self.assertFalse(self.runs(first))
        self.system.run("rm", "/usr/local/bin/apt-get")
        output = self.quickstart("--uninstall")
        self.assertFalse(self.runs(second))
        self.assertEqual(self.system.output(f"ls -A '{FOLDER}/build'"), "")
        removal = re.search(r"^    (apt-get purge .*)$", output, re.MULTILINE)[1]
        self.assertIn(" cmake ", removal)
        self.system.output(f"{removal} -y")
        for program in ("cc", "make", "cmake", "pkg-config"):
            self.assertEqual(self.system.run("which", program, check=False)[0], 1, program)


class FromBookworm(FromNothing, QuickstartTest):
    def test_a_user_without_sudo_gets_the_command_for_root(self):
        before = self.system.output("dpkg-query -W")
        output = self.quickstart(user="guest", status=1)
        self.assertEqual(self.system.output("dpkg-query -W"), before)
        self.assertEqual(self.system.output(f"ls -A '{BUILD}'"), "")
        self.assertIn("Only root can", output)
        command = re.search(r"^    (apt-get .* cmake .*)$", output, re.MULTILINE)[1]
        self.system.output(command.replace(" install ", " install -y "))
        self.assert_greets(self.quickstart(user="guest"))


@common.long
class FromTrixie(FromNothing, QuickstartTest):
    suite = "trixie"

    def test_a_user_with_sudo_interrupts_the_installation_and_begins_again(self):
        self.system.output("apt-get update; apt-get install -y --no-install-recommends sudo")
        self.system.write("/etc/sudoers.d/guest", "guest ALL=(ALL) NOPASSWD: ALL\n")
        self.interrupt("Unpacking cmake", user="guest")
        self.assert_greets(self.quickstart(user="guest"))
        self.assertIn(" cmake ", self.quickstart("--uninstall", user="guest"))


@common.long
@unittest.skipUnless(fresh.UBUNTU_KEYRING.exists(), f"needs {fresh.UBUNTU_KEYRING}")
class FromNoble(FromNothing, QuickstartTest):
    suite = "noble"


class WithBuildTools(QuickstartTest):
    """Tests in one system, where a guest has the build tools, and greetd runs."""

    @classmethod
    def setUpClass(cls):
        cls.system = cls.enterClassContext(fresh.Fresh(cls.suite))
        cls.system.copy_tree(FOLDER, owner="guest")
        cls.system.run(f"{FOLDER}/packaging/install-build-tools")

    def setUp(self):
        self.quickstart(user="guest")
        self.process = self.greeted_by()

    def hide(self, program):
        """Takes a program of the system away for the rest of the test."""
        self.system.run("mv", f"/usr/bin/{program}", f"/usr/bin/{program}.hidden")
        self.addCleanup(self.system.run, "mv", f"/usr/bin/{program}.hidden", f"/usr/bin/{program}")

    def assert_refused_early(self, *arguments, user="guest"):
        """It fails and has not begun to build, nor stopped what runs. Returns its output."""
        output = self.quickstart(*arguments, user=user, status=1)
        self.assertNotIn("Building", output)
        self.assertTrue(self.runs(self.process), output)
        return output

    def test_a_port_in_use_says_by_whom(self):
        self.system.output(f"cp '{BUILD}/greetd' /usr/local/bin/other")
        self.quickstart("--uninstall")
        other = subprocess.Popen(
            self.system.command("sh", "-c", f"echo $$; exec other --listen={ADDRESS} 2>&1"),
            stdout=subprocess.PIPE, text=True, env=fresh.ENVIRONMENT)
        self.process = other.stdout.readline().strip()
        self.addCleanup(other.communicate)
        self.addCleanup(self.system.output, f"kill {self.process}")
        self.assertIn("listening", other.stdout.readline())
        output = self.assert_refused_early(user="root")
        self.assertIn(f"port 12345 is in use; stop this program first:\n"
                      f"quickstart: other, process {self.process}\n", output)
        self.assertIn("a program of the user root, which only root can name",
                      self.assert_refused_early())

    def test_without_apt_it_builds_with_what_is_there(self):
        self.quickstart("--uninstall", user="guest")
        self.hide("apt-get")
        self.assertIn("Building C object", self.quickstart(user="guest"))
        self.greeted_by()

    def test_without_apt_it_names_what_is_missing(self):
        for program in ("apt-get", "cmake", "cc"):
            self.hide(program)
        output = self.assert_refused_early(user="root")
        self.assertIn("- a C compiler named cc", output)
        self.assertIn("- cmake 3.25 or newer (found: none)", output)
        self.assertNotIn("- make", output)
        self.assertNotIn("- libsystemd", output)

    def test_names_old_versions_before_it_compiles(self):
        self.shadow("cmake", "echo cmake version 3.22.1")
        self.shadow("pkg-config", "echo 249")
        output = self.assert_refused_early()
        self.assertIn("- cmake 3.25 or newer (found: 3.22.1)", output)
        self.assertIn("- libsystemd 252 or newer, with its headers (found: 249)", output)

    def test_a_tree_that_cannot_be_written_to(self):
        self.quickstart("--uninstall", user="guest")
        self.assertIn(f"nobody can't write to {BUILD}", self.quickstart(user="nobody:nogroup", status=1))
        self.system.mount("--bind", "-o", "ro", FOLDER, "/mnt")
        _, output = self.system.run("/mnt/packaging/quickstart", check=False)
        self.assertIn("root can't write to /mnt/build/quickstart", output)

    def test_root_runs_it_in_the_tree_of_another_user(self):
        self.quickstart()
        self.assertFalse(self.runs(self.process))
        self.process = self.greeted_by()
        self.assertIn("a program of the user root", self.assert_refused_early())
        self.quickstart("--uninstall")
        self.assertFalse(self.runs(self.process))

    def test_interrupted_while_it_compiles(self):
        self.quickstart("--uninstall", user="guest")
        self.interrupt("Building C object", user="guest")
        self.assertIn("Building C object", self.quickstart(user="guest"))
        self.greeted_by()

    def test_a_symbolic_link_to_the_tree_is_the_tree(self):
        self.system.output(f"ln -s '{FOLDER}' /tmp/link")
        self.system.run("/tmp/link/packaging/quickstart", user="guest")
        self.assertFalse(self.runs(self.process))
        self.assertNotEqual(self.greeted_by(), self.process)

    def test_a_copy_of_the_tree_is_built_anew(self):
        self.system.output(f"cp -a '{FOLDER}' /tmp/copy")
        self.quickstart("--uninstall")
        _, output = self.system.run("/tmp/copy/packaging/quickstart", user="guest")
        self.assertTrue(output.endswith(f"\n{GREETING}\n"), output)
        self.system.run("/tmp/copy/packaging/quickstart", "--uninstall", user="guest")

    def test_systemd_is_needed_for_system(self):
        self.assertIn("systemd does not run on this machine", self.assert_refused_early("--system"))

    def test_uninstall_can_be_repeated(self):
        self.assertIn(f"process {self.process}", self.quickstart("--uninstall", user="guest"))
        self.assertFalse(self.runs(self.process))
        self.assertEqual(self.quickstart("--uninstall", user="guest"), "")

    def test_help_and_mistakes(self):
        usage = self.quickstart("--help")
        self.assertEqual(re.findall(r"quickstart ?(--\w+)?  ", usage), ["", "--system", "--uninstall"])
        self.assertEqual(self.quickstart("--sytem", status=2), usage)
        self.assertEqual(self.quickstart("--system", "now", status=2), usage)


if __name__ == "__main__":
    unittest.main()
