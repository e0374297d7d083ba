# SPDX-License-Identifier: MIT
"""The status of a working service in `systemctl status`."""

import time

from support.case import GREETING, SystemTest

CHANGES = 5

# At most one change per second; the test may see the first one late.
CHANGES_SEC_MIN = CHANGES - 2


class Status(SystemTest):
    def status_text(self):
        return self.show("greetd.service", "StatusText")["StatusText"]

    def wait_for_change(self, text):
        self.eventually(lambda: self.assertNotEqual(self.status_text(), text))
        return self.status_text()

    def test_is_refreshed_under_load_but_not_more_than_once_a_second(self):
        self.assertEqual(self.greet(), GREETING)
        with self.load_without_loss():
            text = self.wait_for_change(self.status_text())
            began = time.monotonic()
            for _ in range(CHANGES - 1):
                text = self.wait_for_change(text)
            self.assertGreater(time.monotonic() - began, CHANGES_SEC_MIN)
        self.assertRegex(text, r"Greeting \d+ clients?; \d+ greeted, 0 refused; \d+ workers?")

    def test_counts_every_greeted_client_in_the_end(self):
        with self.load() as outcomes:
            pass
        status = f"Greeting 0 clients; {outcomes['greeted']} greeted, 0 refused;"
        self.eventually(lambda: self.assertIn(status, self.status_text()))
