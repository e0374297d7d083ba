# SPDX-License-Identifier: MIT
"""What `systemctl status` says about a service at work."""

import time

from support.case import GREETING, SystemTest

CHANGES = 5

# At most one a second; of the first one we may hear late.
CHANGES_SEC_MIN = CHANGES - 2


class Status(SystemTest):
    def status_text(self):
        return self.show("greetd.service", "StatusText")["StatusText"]

    def wait_for_another(self, text):
        self.eventually(lambda: self.assertNotEqual(self.status_text(), text))
        return self.status_text()

    def test_is_refreshed_under_load_but_not_more_than_once_a_second(self):
        self.assertEqual(self.greet(), GREETING)
        with self.load_that_loses_nobody():
            text = self.wait_for_another(self.status_text())
            began = time.monotonic()
            for _ in range(CHANGES - 1):
                text = self.wait_for_another(text)
            self.assertGreater(time.monotonic() - began, CHANGES_SEC_MIN)
        self.assertRegex(text, r"Greeting \d+ clients?; \d+ greeted, 0 refused; \d+ workers?")

    def test_counts_every_greeted_client_in_the_end(self):
        with self.load() as outcomes:
            pass
        told = f"Greeting 0 clients; {outcomes['greeted']} greeted, 0 refused;"
        self.eventually(lambda: self.assertIn(told, self.status_text()))
