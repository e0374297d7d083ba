# SPDX-License-Identifier: MIT
"""The entries of `journalctl -u greetd`."""

import re

from support.case import GREETING, SystemTest


class Journal(SystemTest):
    def assert_fields(self, entry, patterns):
        """PATTERNS has a regular expression for the whole value of each field."""
        wrong = {name: entry.get(name, "no such field") for name, pattern in patterns.items()
                 if not re.fullmatch(pattern, entry.get(name, ""))}
        self.assertEqual(wrong, {})

    def test_has_an_entry_for_the_address(self):
        self.systemctl("start", "greetd")
        entry = self.wait_for_entry(MESSAGE="Server is listening on 127.0.0.1:12345")
        self.assert_fields(entry, {
            "MESSAGE_ID": "[0-9a-f]{32}",
            "PRIORITY": "[56]",
            "SYSLOG_IDENTIFIER": "greetd",
            "GREETD_LISTENER": "server",
            "_SYSTEMD_UNIT": "greetd.service",
        })

    def test_has_an_entry_with_fields_for_a_connection(self):
        self.assertEqual(self.greet(source_port=54321), GREETING)
        entry = self.wait_for_entry(MESSAGE="Connection from 127.0.0.1:54321")
        self.assert_fields(entry, {
            "MESSAGE_ID": "[0-9a-f]{32}",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "greetd",
            "GREETD_LISTENER": "server",
            "GREETD_REMOTE_ADDR": "127.0.0.1",
            "GREETD_REMOTE_PORT": "54321",
            "GREETD_CONNECTION": r"\d+",
            "GREETD_RESULT": "delivered",
            "GREETD_BYTES": "18",
            "GREETD_DURATION_USEC": r"\d+",
            "GREETD_WORKER": r"\d+",
            "_SYSTEMD_UNIT": "greetd.service",
        })

    def test_each_kind_of_entry_has_an_id_of_its_own(self):
        self.assertEqual(self.greet(source_port=54321), GREETING)
        connection = self.wait_for_entry(MESSAGE="Connection from 127.0.0.1:54321")
        listening = self.wait_for_entry(MESSAGE="Server is listening on 127.0.0.1:12345")
        self.assertNotEqual(connection["MESSAGE_ID"], listening["MESSAGE_ID"])
