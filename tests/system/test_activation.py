# SPDX-License-Identifier: MIT
"""The socket, the service, and the start of one by the other."""

from support.case import GREETING, SystemTest

DOOR_SOCKET = """\
[Socket]
ListenStream=/run/door
FileDescriptorName=door
Service=greetd.service
"""

DOOR_GREETING = """\
[Listener door]
Message=Knock, knock.
"""


class Activation(SystemTest):
    def test_the_first_client_starts_the_service_and_is_greeted(self):
        self.assertEqual(self.state("greetd.service"), "inactive")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state("greetd.service"), "active")

    def test_starting_the_service_from_cold_opens_its_socket_too(self):
        self.systemctl("stop", "greetd.socket", "greetd.service")
        self.assert_refused()
        self.systemctl("start", "greetd")
        self.assertEqual(self.state("greetd.socket"), "active")
        self.assertEqual(self.greet(), GREETING)

    def test_stopping_the_socket_stops_the_service_and_closes_the_port(self):
        self.assertEqual(self.greet(), GREETING)
        self.systemctl("stop", "greetd.socket")
        self.assertEqual(self.state("greetd.service"), "inactive")
        self.assert_refused()

    def open_door(self):
        self.write("/etc/systemd/system/greetd-door.socket", DOOR_SOCKET)
        self.write("/etc/greetd.conf.d/door.conf", DOOR_GREETING)
        self.systemctl("daemon-reload")
        self.systemctl("start", "greetd-door.socket")

    def test_a_named_socket_has_the_greeting_of_its_listener_section(self):
        self.open_door()
        self.assertEqual(self.greet(self.machine.path("/run/door")), "Knock, knock.")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.systemctl("is-active", "greetd.service"), "active\n")

    def test_a_client_of_a_unix_socket_has_a_uid_in_the_journal_if_the_sandbox_shows_it(self):
        self.open_door()
        self.knock_as(1234)
        entry = self.wait_for_entry(GREETD_REMOTE_ADDR="unix")
        self.assertNotIn("GREETD_REMOTE_UID", entry)
        self.assertRegex(entry["MESSAGE"], r"^Connection from unix:pid=\d+$")
        self.drop_in("[Service]\nPrivateUsers=no\n")
        self.systemctl("restart", "greetd")
        self.knock_as(1234)
        entry = self.wait_for_entry(GREETD_REMOTE_UID="1234")
        self.assertRegex(entry["MESSAGE"], r"^Connection from unix:pid=\d+,uid=1234$")

    def knock_as(self, uid):
        greeting = self.machine.run("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                                    "greet", "/run/door")
        self.assertEqual(greeting, "Knock, knock.")

    def test_the_status_counts_greeted_clients(self):
        for _ in range(3):
            self.assertEqual(self.greet(), GREETING)
        status = r"Greeting \d+ clients?; 3 greeted, 0 refused; \d+ workers?"
        self.eventually(
            lambda: self.assertRegex(self.systemctl("status", "greetd"), f'Status: "{status}"'))
