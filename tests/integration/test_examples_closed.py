# SPDX-License-Identifier: MIT
"""closed.conf: the clients of each protocol show its text to their users."""

import os
import unittest

from support import examples
from support.examples import EXAMPLES, run

CLOSED = "Closed for maintenance. Please come back at 18:00 UTC."
MBSYNC = """\
IMAPStore far
Host 127.0.0.1
User user
Pass password
SSLType None

MaildirStore near
Inbox {folder}/mail

Channel mail
Far :far:
Near :near:
"""


def assert_ssh_shows(test, text, port=22):
    output = run("ssh", "-F", "none", "-p", str(port), "127.0.0.1", status=255)
    test.assertIn(f"Received disconnect from 127.0.0.1 port {port}:7: {text}\n", output)


class Closed(examples.ExampleTestCase):
    def setUp(self):
        super().setUp()
        self.serve_example("closed.conf")

    def test_ssh(self):
        assert_ssh_shows(self, CLOSED)

    def test_a_mail_client(self):
        output = run("msmtp", "--host=127.0.0.1", "--port=25", "--from=a@example.org",
                     "b@example.org", status=76)
        self.assertIn(f"server message: 554 {CLOSED}\n", output)

    def test_an_imap_client(self):
        config = self.write("mbsyncrc", MBSYNC.format(folder=self.folder))
        output = run("mbsync", "--config", config, "--all", status=1)
        self.assertIn(f"unexpected BYE response: {CLOSED}\n", output)

    def test_an_irc_client(self):
        keyboard, write_end = os.pipe()  # sic ends when its input does
        self.addCleanup(os.close, keyboard)
        self.addCleanup(os.close, write_end)
        output = run("sic", "-h", "127.0.0.1", status=1, stdin=keyboard)
        self.assertIn(f">< ERROR (): {CLOSED}\n", output)

    def test_an_ftp_client(self):
        self.assertIn(f"421 {CLOSED}\n", run("tnftp", "-nv", "127.0.0.1"))


class SshClosed(examples.ExampleTestCase):
    def ssh_closed(self, closed):
        return run(str(EXAMPLES / "ssh-closed"), closed)

    def test_it_prints_the_section_of_the_example(self):
        self.assertIn("\n" + self.ssh_closed(CLOSED), examples.text("closed.conf"))

    def test_ssh_shows_a_text_of_any_length(self):
        texts = {1000 + n: ("$5; \"it's\" " + 300 * "x")[:n] for n in (*range(17), 300)}
        self.serve_sections("\n".join(
            self.ssh_closed(closed).replace("[Listener 22]", f"[Listener {port}]")
            for port, closed in texts.items()))
        for port, closed in texts.items():
            assert_ssh_shows(self, closed, port)

    def test_it_needs_a_text(self):
        self.assertIn("Usage", run(str(EXAMPLES / "ssh-closed"), status=2))


if __name__ == "__main__":
    unittest.main()
