# SPDX-License-Identifier: MIT
"""The socket stays open while the service fails to start, and clients wait until it starts."""

from support.case import GREETING, SystemTest

CONFIG = "/etc/greetd.conf.d/50-test.conf"
BROKEN = "[Server]\nNonsense=1\n"
DIES_AT_START = "[Service]\nExecStartPre=+/bin/false\n"
CLIENTS = 20
SEVERAL = 10

# A broken configuration takes longer, since greetd pauses for a second before it exits.
A_FEW = 3


class CrashLoop(SystemTest):
    def assert_socket_stays(self):
        shown = {"ActiveState": "active", "SubState": "running", "Result": "success"}
        self.assertEqual(self.show("greetd.socket", *shown), shown)

    def wait_for_failures(self, failures):
        """Waits until the service has failed to start so many times."""
        self.eventually(lambda: self.assertGreaterEqual(
            len(self.entries(UNIT_RESULT="exit-code")), failures))

    def test_clients_wait_while_the_service_dies_at_every_start(self):
        drop_in = self.drop_in(DIES_AT_START)
        with self.pending_clients(CLIENTS):
            self.wait_for_failures(SEVERAL)
            self.assert_socket_stays()
            self.machine.path(drop_in).unlink()
            self.systemctl("daemon-reload")
        self.assertEqual(self.greet(), GREETING)

    def test_clients_wait_while_the_configuration_is_broken(self):
        self.write(CONFIG, BROKEN)
        with self.pending_clients(CLIENTS):
            self.wait_for_failures(A_FEW)
            self.eventually(self.assert_socket_stays)
            self.machine.path(CONFIG).unlink()
        self.assertEqual(self.greet(), GREETING)

    def test_a_restart_succeeds_once_the_configuration_is_mended(self):
        self.write(CONFIG, BROKEN)
        with self.pending_clients(CLIENTS):
            self.wait_for_failures(1)
            self.machine.path(CONFIG).unlink()
            # systemd would take an attempt that is about to fail for the start.
            self.systemctl("restart", "greetd")
            self.assertEqual(self.state("greetd.service"), "active")

    def test_the_status_names_what_is_wrong_with_the_configuration(self):
        self.write(CONFIG, BROKEN)
        self.systemctl("start", "greetd", check=False)
        text = f"{CONFIG}:2: Unknown setting Nonsense= in [Server]"
        status = self.systemctl("status", "greetd", "--no-pager", "--lines=0", check=False)
        self.assertIn(f'Status: "{text}', status)
        self.assertIn("status=78", status)
