# SPDX-License-Identifier: MIT
"""Without a socket unit, systemd keeps the sockets that greetd has opened."""

import errno
import re

from support.case import ADDRESS, BIG_GREETING, GREETING, StandaloneTest
from support.machine import CommandError

SECOND = "127.0.0.1:12346"
RESTARTS = 20
CLIENTS = 20

# While greetd holds a client of SECOND, clients of ADDRESS wait.
ONE_AT_A_TIME = f"""\
Workers=1
MaxConnections=1
[Listener big]
ListenStream={SECOND}
MessageFile=/etc/greeting
"""

# No interface of the machine has this address (RFC 5737).
NOT_OURS = "192.0.2.1:12345"


class Store(StandaloneTest):
    def setUp(self):
        super().setUp()
        self.assert_kept(1)

    def listen(self, *addresses, more=""):
        """Writes ListenStream= for ADDRESSES, to be read at the next reload or restart."""
        settings = "".join(f"ListenStream={address}\n" for address in addresses)
        self.write(self.CONFIG, f"[Server]\nListenStream=\n{settings}{more}")

    def assert_kept(self, sockets):
        """systemd keeps SOCKETS sockets for the service."""
        self.eventually(lambda: self.assertEqual(
            self.show("greetd.service", "NFileDescriptorStore"),
            {"NFileDescriptorStore": str(sockets)}))

    def test_restarts_under_load_refuse_no_client(self):
        self.assert_restarts_lose_no_client(RESTARTS)
        self.assert_kept(1)

    def test_a_killed_service_refuses_no_client(self):
        with self.load_with_receipts() as figures:
            self.systemctl("kill", "--signal=KILL", "greetd")
            self.eventually(lambda: self.assertEqual(
                self.show("greetd.service", "NRestarts", "SubState"),
                {"NRestarts": "1", "SubState": "running"}))
        self.assertEqual(figures["refused"], 0)
        # Accepted clients are lost with the process, and so are the entries that it had not written.
        self.systemctl("stop", "greetd")
        self.assert_verdicts("served", "unconfirmed", "unlogged", "greetd", "unaccepted")

    def test_a_reload_stores_a_new_address_and_removes_an_old_one(self):
        self.listen(ADDRESS, SECOND)
        self.systemctl("reload", "greetd")
        self.assert_kept(2)
        self.assertEqual(self.greet(SECOND), GREETING)
        self.listen(SECOND)
        self.systemctl("reload", "greetd")
        self.assert_kept(1)
        self.wait_for_entry(MESSAGE=f"Server no longer listens on {ADDRESS}")
        self.assert_refused(ADDRESS)
        self.systemctl("restart", "greetd")
        self.assert_kept(1)
        self.assertEqual(self.greet(SECOND), GREETING)

    def test_pending_clients_of_a_removed_address_are_greeted(self):
        self.machine.path("/etc/greeting").write_bytes(BIG_GREETING)
        self.listen(ADDRESS, more=ONE_AT_A_TIME)
        self.systemctl("restart", "greetd")
        accepted = self.hold_client(SECOND)
        with self.pending_clients(CLIENTS):
            self.listen(SECOND)
            self.systemctl("reload", "greetd")
            self.wait_for_entry(MESSAGE="Reloaded the configuration")
            self.assertEqual(self.entries(MESSAGE=f"Server no longer listens on {ADDRESS}"), [])
            self.release_client(accepted)
        self.wait_for_entry(MESSAGE=f"Server no longer listens on {ADDRESS}")
        self.assert_refused(ADDRESS)

    def test_a_restart_removes_an_old_address(self):
        self.listen(ADDRESS, SECOND)
        self.systemctl("restart", "greetd")
        self.assert_kept(2)
        self.listen(SECOND)
        self.systemctl("restart", "greetd")
        self.assert_kept(1)
        self.assert_refused(ADDRESS)
        self.assertEqual(self.greet(SECOND), GREETING)

    def test_a_restart_with_an_address_that_overlaps_with_what_was_kept(self):
        for address in ("12345", "0.0.0.0:12345", ADDRESS):
            with self.subTest(address=address):
                self.listen(address)
                self.systemctl("restart", "greetd")
                self.assertEqual(self.greet(), GREETING)
                self.assert_kept(1)
                self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "0"})

    def test_a_stop_closes_the_port(self):
        self.assertEqual(self.greet(), GREETING)
        self.systemctl("stop", "greetd")
        self.assert_kept(0)
        self.assert_refused()

    def test_an_address_that_cannot_be_listened_on_is_in_the_status(self):
        failure = f"Failed to listen on {NOT_OURS}: Cannot assign requested address"
        self.listen(NOT_OURS)
        with self.assertRaises(CommandError):
            self.systemctl("restart", "greetd")
        self.eventually(lambda: self.assertEqual(
            self.show("greetd.service", "StatusText", "StatusErrno", "ExecMainStatus"),
            {"StatusText": failure, "StatusErrno": str(errno.EADDRNOTAVAIL),
             "ExecMainStatus": "71"}))
        self.eventually(lambda: self.assertRegex(
            self.systemctl("status", "greetd", "--no-pager", check=False),
            rf'Status: "{re.escape(failure)}"\n\s+Error: (code: )?{errno.EADDRNOTAVAIL} \(.*\)'))
