# SPDX-License-Identifier: MIT
"""What the tests rely on to see a failure."""

from case import GREETING, SystemTest


class Hanging(SystemTest):
    def setUp(self):
        super().setUp()
        self.write("/etc/greetd.conf.d/50-workers.conf", "[Server]\nWorkers=1\n")
        self.assertEqual(self.greet(), GREETING)

    def test_a_test_that_fails_meanwhile_ends_and_the_thread_goes_on(self):
        with self.assertRaisesRegex(AssertionError, "meanwhile"):
            with self.machine.hanging_thread(self.main_pid(), "greetd-0"):
                self.fail("meanwhile")
        self.assertEqual(self.greet(), GREETING)

    def test_a_thread_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(ProcessLookupError, "no thread nobody in process"):
            with self.machine.hanging_thread(self.main_pid(), "nobody"):
                self.fail("nothing hangs")
