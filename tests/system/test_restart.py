# SPDX-License-Identifier: MIT
"""The service stops and starts, and all clients are greeted."""

from support.case import GREETING, SystemTest

RESTARTS = 60
KILLS = 25


class Restart(SystemTest):
    def test_restarts_under_load_lose_no_client(self):
        self.assert_restarts_lose_no_client(RESTARTS)
        self.assertEqual(self.show("greetd.service", "Result"), {"Result": "success"})

    def test_stopping_and_starting_under_load_loses_no_client(self):
        with self.load_all_served():
            before = self.main_pid()
            # Clients that connect meanwhile start it again at once.
            self.systemctl("stop", "greetd.service")
            self.systemctl("start", "greetd.service")
            self.assertNotEqual(self.main_pid(), before)

    def test_a_killed_service_is_restarted(self):
        self.assertEqual(self.greet(), GREETING)
        before = self.main_pid()
        self.systemctl("kill", "--signal=KILL", "greetd")
        self.assertEqual(self.greet(), GREETING)
        shown = self.show("greetd.service", "ActiveState", "NRestarts")
        self.assertEqual(shown, {"ActiveState": "active", "NRestarts": "1"})
        self.assertNotEqual(self.main_pid(), before)

    def test_a_service_killed_again_and_again_keeps_its_socket(self):
        for _ in range(KILLS):
            self.assertEqual(self.greet(), GREETING)
            self.systemctl("kill", "--signal=KILL", "greetd")
        self.assertEqual(self.greet(), GREETING)

    def test_no_number_of_failures_makes_systemd_stop_the_socket(self):
        # How soon such a limit is met depends on the machine's speed, so look at the limits.
        self.assertEqual(self.show("greetd.service", "StartLimitIntervalUSec"),
                         {"StartLimitIntervalUSec": "0"})
        self.assertEqual(self.show("greetd.socket", "TriggerLimitIntervalUSec"),
                         {"TriggerLimitIntervalUSec": "0"})
