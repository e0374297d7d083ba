# SPDX-License-Identifier: MIT
"""A purge leaves the machine as it was before the installation."""

from support.case import GREETING, SystemTest

# What dpkg, journald and systemd keep for themselves.
OTHERS = ("/var/log/*", "/run/log/*", "/run/systemd/journal/*", "/run/systemd/units/*",
          "/run/systemd/dynamic-uid", "/var/lib/dpkg/*", "/root/greeting-daemon.deb")
FOLDERS = ("/", "/run", "/tmp", "/dev/shm")


class Purge(SystemTest):
    def prepare(self):
        self.before = self.files(), self.configuration(), self.state_of_systemd()
        self.install()

    def files(self):
        """The names of all files, but for those of OTHERS, with their types and targets."""
        others = [word for pattern in OTHERS for word in ("!", "-path", pattern)]
        output = self.machine.run("find", *FOLDERS, "-xdev", *others, "-printf", "%p %y %l\\n")
        return set(output.splitlines())

    def configuration(self):
        """The sums of all that is in /etc, users and groups included."""
        return self.machine.run("find", "/etc", "-type", "f", "-exec", "sha256sum", "{}", "+")

    def state_of_systemd(self):
        """What systemd and journald know of greetd."""
        return [self.machine.run(*command.split(), check=False) for command in (
            "systemctl --all --no-legend --plain list-units *greetd*",
            "systemctl --all --no-legend --plain list-unit-files *greetd*",
            "systemctl --all --no-legend --plain list-sockets *greetd*",
            "systemctl --failed --no-legend --plain",
            "journalctl --no-pager --list-catalog")]

    def processes(self):
        return self.machine.run("ps", "-eo", "comm=").split()

    def assert_nothing_left(self):
        files, configuration, state = self.before
        self.assertEqual(sorted(self.files() - files), [])
        self.assertEqual(sorted(files - self.files()), [])
        self.assertEqual(self.configuration(), configuration)
        self.assertEqual(self.state_of_systemd(), state)
        self.assertNotIn("greetd", self.processes())
        self.assertNotIn("greetd", self.machine.run("findmnt", "--noheadings", "--output=TARGET"))
        status = self.machine.run("dpkg-query", "--show", "greeting-daemon", check=False)
        self.assertIn("no packages found", status)

    def test_it_takes_away_all_that_was_used(self):
        """Everything that the package and systemd make for it: a dynamic user, a credential, the
        sockets, a service that was enabled, an edited configuration with its copies."""
        self.write("/run/systemd/system/greetd.service.d/test.conf",
                   "[Service]\nSetCredential=greeting:secret\n")
        self.systemctl("daemon-reload")
        self.systemctl("enable", "greetd.service")
        self.systemctl("enable", "--now", "greetd-metrics.socket")
        self.assertEqual(self.greet(), GREETING)
        self.assertTrue(self.machine.path("/run/credentials/greetd.service").is_dir())
        self.assertNotEqual(sorted(self.files() - self.before[0]), [])
        self.write("/etc/greetd.conf", "[Greeting]\nMessage=Edited.\\n\n")
        self.write("/etc/greetd.conf.dpkg-old", "")
        self.machine.run("rm", "-r", "/run/systemd/system/greetd.service.d")
        self.machine.run("dpkg", "--purge", "greeting-daemon")
        self.assert_nothing_left()

    def test_it_ends_what_a_removal_has_kept(self):
        self.assertEqual(self.greet(), GREETING)
        self.machine.run("dpkg", "--remove", "greeting-daemon")
        self.assertTrue(self.machine.path("/etc/greetd.conf").exists())
        self.machine.run("dpkg", "--purge", "greeting-daemon")
        self.assert_nothing_left()

    def test_it_keeps_what_an_administrator_has_made(self):
        self.write("/etc/greetd.conf.d/closed.conf", "[Greeting]\nMessage=Closed.\\n\n")
        self.machine.run("dpkg", "--purge", "greeting-daemon")
        self.assertTrue(self.machine.path("/etc/greetd.conf.d/closed.conf").exists())
