# SPDX-License-Identifier: MIT
"""The container image as a service: greetd-oci.socket and the unit that podman generates."""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from support.case import ADDRESS, BIG_GREETING, GREETING, SystemTest
from support.machine import CommandError, Machine

TREE = pathlib.Path(__file__).parents[2]
OCI = TREE / "packaging/oci"

# podman generates units from version 4.4 on, and Debian 12 has 4.3.
SUITE = "trixie"

SOCKET, SERVICE = "greetd-oci.socket", "greetd-oci.service"
CONTAINER = "/etc/containers/systemd/greetd-oci.container"
GENERATED = f"/run/systemd/generator/{SERVICE}"
CONFIG = "/etc/greetd-oci/test.conf"
USER = 65532
RESTARTS = 3
WATCHDOG_SEC = 2

# The root of a machine is an overlay, on which podman can't make another one. The limit needs a
# controller of cgroup v2 that a hybrid host does not have there.
STORAGE = """[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
CONTAINERS = "[containers]\npids_limit = 0\n"


class Container(SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.base = subprocess.run([TREE / "tests/system/make-base", SUITE, "podman", "crun"], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout.strip()
        cls.image = cls.host.scratch / "image.tar"
        if not cls.image.exists():
            subprocess.run([OCI / "build", "--worktree", cls.image], check=True, capture_output=True)

    def setUp(self):
        host = dataclasses.replace(self.host, base=self.base)
        self.machine = self.enterContext(Machine(host, for_containers=True))
        self.write("/etc/containers/storage.conf", STORAGE)
        self.write("/etc/containers/containers.conf", CONTAINERS)
        shutil.copytree(OCI, self.machine.path("/root/packaging/oci"))
        shutil.copy(self.image, self.machine.path("/root/greeting-daemon.tar"))
        self.machine.run("sh", "-e", "-c", f"cd /root\n{self.commands()}")

    def commands(self):
        """The commands of README.md that install the service."""
        section = (OCI / "README.md").read_text().partition("## As a service")[2]
        block = re.search(r"(?:^    .*\n)+", section, re.MULTILINE)[0]
        return re.sub("^    ", "", block, flags=re.MULTILINE)

    def change_unit(self, *changes):
        """Makes CHANGES, pairs of an expression and its replacement, in the file of the container."""
        file = self.machine.path(CONTAINER)
        text = file.read_text()
        for expression, replacement in changes:
            text, n = re.subn(expression, replacement, text, flags=re.MULTILINE)
            self.assertEqual(n, 1, expression)
        file.write_text(text)
        self.systemctl("daemon-reload")

    def add_volume(self, *changes):
        """Enables the folder of configuration as the comment in the unit describes."""
        self.machine.path(CONFIG).parent.mkdir()
        self.change_unit(("^#(Volume=)", r"\1"), *changes)

    def container_pid(self):
        return int(self.machine.run("podman", "inspect", "--format={{.State.Pid}}", "greetd-oci"))

    def assert_stopped(self):
        shown = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
        self.eventually(lambda: self.assertEqual(self.show(SERVICE, *shown), shown))


class Units(Container):
    def test_have_no_mistake(self):
        self.assertEqual(
            self.machine.run("systemd-analyze", "verify", "--man=no", GENERATED,
                             f"/etc/systemd/system/{SOCKET}"), "")

    def test_the_generator_knows_every_setting(self):
        output = self.machine.run("/usr/lib/systemd/system-generators/podman-system-generator",
                                  "--dryrun")
        self.assertIn(f"---{SERVICE}---", output)
        self.assertNotIn("unsupported", output)


class FirstClient(Container):
    def test_starts_the_container(self):
        self.assertEqual(self.state(SERVICE), "inactive")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state(SERVICE), "active")
        self.eventually(lambda: self.assertIn(
            "1 greeted", self.show(SERVICE, "StatusText")["StatusText"]))
        journal = self.machine.run("journalctl", f"--unit={SERVICE}", "--output=cat")
        self.assertIn("Connection from 127.0.0.1:", journal)

    def test_is_greeted_without_privileges_and_network(self):
        self.assertEqual(self.greet(), GREETING)
        process = f"/proc/{self.container_pid()}"
        status = dict(line.split(":\t", 1) for line in
                      self.machine.path(f"{process}/status").read_text().splitlines())
        self.assertEqual(status["Uid"].split(), [str(USER)] * 4)
        self.assertEqual({status[name] for name in ("CapPrm", "CapEff", "CapBnd")}, {"0" * 16})
        self.assertEqual(status["NoNewPrivs"], "1")
        interfaces = self.machine.path(f"{process}/net/dev").read_text().splitlines()[2:]
        self.assertEqual([line.split(":")[0].strip() for line in interfaces], ["lo"])
        self.assertRegex(self.machine.path(f"{process}/mounts").read_text(), r"(?m)^\S+ / \S+ ro,")


class Restart(Container):
    def test_under_load_loses_no_client(self):
        pids = set()
        with self.load_without_loss():
            for _ in range(RESTARTS):
                self.systemctl("restart", SERVICE)
                pids.add(self.container_pid())
        self.assertEqual(len(pids), RESTARTS)

    def test_of_a_greetd_that_hangs_is_by_the_watchdog(self):
        self.change_unit(("WATCHDOG_USEC=30", f"WATCHDOG_USEC={WATCHDOG_SEC}"),
                         ("WatchdogSec=30", f"WatchdogSec={WATCHDOG_SEC}"))
        self.assertEqual(self.greet(), GREETING)
        self.machine.run("podman", "kill", "--signal=STOP", "greetd-oci")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.show(SERVICE, "NRestarts"), {"NRestarts": "1"})


class Reload(Container):
    def setUp(self):
        super().setUp()
        self.add_volume()
        self.assertEqual(self.greet(), GREETING)
        self.pid = self.container_pid()

    def test_puts_a_changed_file_in_force(self):
        self.write(CONFIG, "[Greeting]\nMessage=Back at noon.\n")
        self.systemctl("reload", SERVICE)
        self.eventually(lambda: self.assertEqual(self.greet(), "Back at noon."))
        self.assertEqual(self.container_pid(), self.pid)

    def test_of_a_wrong_file_fails_and_changes_nothing(self):
        self.write(CONFIG, "[Greeting]\nMassage=Back at noon.\n")
        with self.assertRaisesRegex(CommandError, f"Job for {SERVICE} failed"):
            self.systemctl("reload", SERVICE)
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.container_pid(), self.pid)


class Stop(Container):
    def test_waits_for_a_client_in_progress(self):
        self.add_volume((r"\[Container\]", r"\g<0>\nPodmanArgs=--stop-timeout=60"))
        self.machine.path("/etc/greetd-oci/greeting").write_bytes(BIG_GREETING)
        self.write(CONFIG, "[Server]\nStopTimeoutSec=1min\n"
                           "[Greeting]\nMessageFile=/etc/greetd.conf.d/greeting\n")
        client = self.hold_client()
        self.systemctl("stop", "--no-block", SERVICE)
        self.eventually(lambda: self.assertRegex(
            self.show(SERVICE, "StatusText")["StatusText"], "Stopping, greeting the last 1 client;"))
        self.assertEqual(self.state(SERVICE), "deactivating")
        self.release_client(client)
        self.assert_stopped()

    def test_of_the_socket_stops_the_container(self):
        self.assertEqual(self.greet(), GREETING)
        self.systemctl("stop", SOCKET)
        self.assert_stopped()
        self.assert_refused(ADDRESS)
        self.assertEqual(self.machine.run("podman", "ps", "--all", "--quiet"), "")
