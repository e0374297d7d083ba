# SPDX-License-Identifier: MIT
"""A start that fails reports the error, and ends even while the journal stalls."""

import os
import unittest
from unittest import mock

from support import fake_journal
from support.daemon import EX_CONFIG, EX_OSERR

setUpModule = fake_journal.isolate

CONFIG_ERROR = "[Server]\nWorkers=none\n"
WORKERS = "[Server]\nWorkers=10\n"
# Limits of descriptors below the need of, in turn, the configuration, a socket, the log thread, the
# event loop and each worker.
LIMITS = range(4, 20)


class JournalStart(fake_journal.JournalTestCase):
    def taken(self):
        """The address on which the test listens itself, for --listen=."""
        return f"127.0.0.1:{self.address[1]}"

    def test_configuration_errors_are_entries(self):
        config = "[Server]\nWorkers=none\nBacklog=many\n"
        greetd = self.finish(config=config, **self.to_journal())
        self.assertEqual(greetd.status, EX_CONFIG)
        for line, setting in ((2, "Workers=none"), (3, "Backlog=many")):
            entry = self.entry(f".*:{line}: {setting}: .*")
            self.assertEqual(entry["PRIORITY"], "3")

    def test_a_configuration_error_while_the_journal_stalls(self):
        self.fill_journal()
        greetd = self.finish(config=CONFIG_ERROR, **self.to_journal())
        self.assert_ends(greetd, EX_CONFIG)
        greetd.wait_message("STATUS", ".*Workers=none.*")

    def test_a_configuration_error_while_the_journal_stalls_and_systemd_passed_a_socket(self):
        self.fill_journal()
        greetd = self.finish(config=CONFIG_ERROR, sockets=[self.listener], **self.to_journal())
        self.assert_ends(greetd, EX_CONFIG)

    def test_an_address_in_use_while_the_journal_stalls(self):
        self.fill_journal()
        greetd = self.finish("-l", self.taken(), **self.to_journal())
        self.assert_ends(greetd, EX_OSERR)
        greetd.wait_message("STATUS", "Failed to listen on .*")

    def test_a_configuration_error_while_stderr_is_a_full_pipe(self):
        read_end, write_end = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
        self.addCleanup(read_end.close)
        with write_end:
            os.set_blocking(write_end.fileno(), False)
            while write_end.raw.write(bytes(4096)):
                pass
            os.set_blocking(write_end.fileno(), True)
            greetd = self.finish(config=CONFIG_ERROR, stderr=write_end.fileno())
        self.assert_ends(greetd, EX_CONFIG)

    def start_with_descriptors(self, limit):
        wrapper = {"GREETD_WRAPPER": f"prlimit --nofile={limit}:{limit}"}
        with mock.patch.dict(os.environ, wrapper):
            return self.start("-l", "127.0.0.1:0", config=WORKERS, **self.to_journal())

    def test_any_shortage_of_descriptors_while_the_journal_stalls(self):
        self.fill_journal()
        for greetd in [self.start_with_descriptors(limit) for limit in LIMITS]:
            self.assertIn(greetd.wait(), (EX_OSERR, EX_CONFIG), greetd.output())


if __name__ == "__main__":
    unittest.main()
