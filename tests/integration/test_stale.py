# SPDX-License-Identifier: MIT
"""MaxAgeSec= and StaleMessage=: a dead man's switch for a file that must be renewed."""

import time
import unittest

from support import daemon, namespaces, watched

STALE = "was not renewed for"
RENEWED = "is renewed, and sent again"
MISSING = "StaleMessage= is sent until it can be read"
RETURNS = "is in order again"


def setUpModule():
    namespaces.isolate()


class Stale(watched.WatchTestCase):
    def stale_after(self, age, more=""):
        return self.watching(f"MaxAgeSec={age}\nStaleMessage=stale $connection of $hostname\n"
                             f"{more}")

    def wait_stale(self, address):
        deadline = time.monotonic() + daemon.TIMEOUT
        while not daemon.greeted(address).startswith(b"stale "):
            self.assertLess(time.monotonic(), deadline)

    def renew(self, address, renew):
        """Calls RENEW until a client receives the file; it is soon stale again."""
        deadline = time.monotonic() + daemon.TIMEOUT
        renew()
        while daemon.greeted(address).startswith(b"stale "):
            self.assertLess(time.monotonic(), deadline)
            renew()

    def test_a_file_that_is_not_renewed_becomes_stale_and_is_renewed(self):
        self.replace("one")
        greetd = self.serve(config=self.stale_after("300ms"))
        address = greetd.address()
        self.wait_stale(address)
        self.renew(address, self.file.touch)
        self.wait_stale(address)
        self.renew(address, lambda: self.set_age(-3600))
        self.wait_stale(address)
        self.stop(greetd)
        is_stale = [STALE in line for line in self.lines_with(greetd, STALE, RENEWED)]
        self.assertGreaterEqual(len(is_stale), 5)
        self.assertEqual(is_stale, [i % 2 == 0 for i in range(len(is_stale))])

    def test_a_file_is_not_stale_while_it_is_renewed(self):
        self.replace("one")
        greetd = self.serve(config=self.stale_after("1min"))
        self.set_age(50)
        self.replace("two")
        self.wait_greeting(greetd.address(), b"two")
        self.set_age(59.8)
        self.wait_stale(greetd.address())

    def test_the_age_counts_across_a_start_a_reload_and_a_removal(self):
        self.replace("one")
        self.set_age(3600)
        greetd = self.serve_with(self.stale_after("30min"))
        self.assertTrue(daemon.greeted(greetd.address()).startswith(b"stale "))
        greetd.wait_line(f".*{STALE} 30min: StaleMessage= is sent")
        self.assert_reloads(greetd, self.stale_after("2h"))
        self.wait_greeting(greetd.address(), b"one")
        self.replace("two", age=7200 - 3)
        self.wait_greeting(greetd.address(), b"two")
        self.file.unlink()
        self.wait_stale(greetd.address())

    def test_a_file_that_does_not_exist_yet(self):
        self.file = self.folder / "later" / "message"
        greetd = self.serve(config=self.stale_after("1h"))
        self.assertTrue(daemon.greeted(greetd.address()).startswith(b"stale "))
        self.file.parent.mkdir()
        self.replace("one")
        self.wait_greeting(greetd.address(), b"one")
        self.stop(greetd)
        logged = self.lines_with(greetd, MISSING, RETURNS, STALE, RENEWED)
        self.assertEqual([MISSING in line for line in logged], [True, False], logged)

    def test_a_missing_file_without_a_stale_message_is_a_mistake(self):
        greetd = self.finish(config=self.watching())
        self.assertEqual(greetd.status, daemon.EX_OSERR)
        self.assertRegex(greetd.lines[0], r"config\d+:5: MessageFile=.*: No such file")

    def test_a_broken_file_keeps_its_age(self):
        self.replace("one")
        greetd = self.serve(config=self.stale_after("500ms", "Expand=yes\n"))
        for i in range(100):
            self.write("message", f"$nonsense {i}")
        self.wait_stale(greetd.address())
        self.renew(greetd.address(), lambda: self.replace("two"))

    def test_a_stale_file_does_not_spin(self):
        self.replace("one")
        greetd = self.serve(config=self.stale_after("1ms"))
        self.wait_stale(greetd.address())
        self.assert_does_not_spin(greetd, 0.5, [])

    def test_settings_that_lack_another_are_reported_with_their_lines(self):
        greetd = self.finish(
            config=f"[Greeting]\nWatch=yes\nStopMessage=x\n"
            f"[Listener a]\nMessageFile={self.write('a', '')}\nWatch=no\nMaxAgeSec=1s\n"
        )
        self.assertEqual(greetd.status, daemon.EX_CONFIG)
        self.assertEqual(
            [line.partition(": ")[2] for line in greetd.lines if " needs " in line],
            ["Watch= needs MessageFile=", "StopMessage= needs StopDelaySec= in [Server]",
             "MaxAgeSec= needs Watch=yes", "MaxAgeSec= needs StaleMessage="],
        )


if __name__ == "__main__":
    unittest.main()
