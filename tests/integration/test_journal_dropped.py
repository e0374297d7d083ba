# SPDX-License-Identifier: MIT
"""The entries for connections and the reported numbers of dropped ones add up to the clients,
exactly."""

import os
import re
import select
import signal
import socket
import subprocess
import unittest

from support import daemon, fake_journal, load_client
from support.daemon import GREETING, greeted

setUpModule = fake_journal.isolate

DROPPED = re.compile(r"(\d+) connection entries left out")
LOST = re.compile(
    r"(\d+) connection entries left out: the journal did not take them before the end"
)
# Dropped entries are reported every second, so that no test has to wait long.
EVERY_SECOND = "RateLimitIntervalSec=1s\n"
NO_LIMIT = EVERY_SECOND + "RateLimitBurst=infinity\n"
# More than the ring of a worker and the sockets or pipes behind it hold.
MANY = 12000


class Account:
    """The connections that messages account for, with an entry or as dropped."""

    def __init__(self):
        self.entries = 0
        self.dropped = 0

    def add(self, message):
        if message.startswith("Connection from "):
            self.entries += 1
        elif match := DROPPED.fullmatch(message):
            assert int(match[1]) > 0, message
            self.dropped += int(match[1])
        elif "left out" in message:
            raise AssertionError(message)

    def total(self):
        return self.entries + self.dropped


class JournalDropped(fake_journal.JournalTestCase):
    def setUp(self):
        super().setUp()
        self.account = Account()

    def serve_with(self, log, *args, **options):
        config = f"[Server]\nWorkers=1\n[Log]\n{log}"
        return self.serve_journal(*args, config=config, **options)

    def greet(self, n):
        for _ in range(n):
            self.assertEqual(greeted(self.address), GREETING)

    def greet_many(self):
        """Greets MANY clients."""
        expected = self.write("expected", GREETING)
        load = [load_client.program(), "-n", str(MANY), "-c", "64"]
        subprocess.run(
            [*load, str(self.address[1]), expected],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=daemon.TIMEOUT,
        )

    def wait_greeted(self, greetd, n):
        """Waits until N clients were greeted and have closed, so that each is logged or dropped."""
        greetd.wait_message("STATUS", f"Greeting 0 clients; {n} greeted, .*")

    def read_account(self, n):
        """Reads entries until N connections are accounted for."""
        while self.account.total() < n:
            self.account.add(self.entry(".*")["MESSAGE"])
        self.assertEqual(self.account.total(), n)

    def read_rest(self):
        """Reads the entries that are in the socket of the journal now."""
        while select.select([self.journal], [], [], 0)[0]:
            self.account.add(self.entry(".*")["MESSAGE"])

    def test_dropped_entries_are_reported_at_the_end(self):
        greetd = self.serve_with("RateLimitIntervalSec=1h\nRateLimitBurst=20\n")
        self.greet(100)
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.entries, 20)
        self.assertEqual(self.account.dropped, 80)

    def test_dropped_entries_are_reported_without_further_clients(self):
        greetd = self.serve_with(EVERY_SECOND + "RateLimitBurst=20\n")
        self.greet(100)
        self.read_account(100)
        self.assertGreater(self.account.dropped, 0)
        entry_count = self.account.total()
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.total(), entry_count)

    def test_a_new_interval_passes_entries_again(self):
        greetd = self.serve_with(EVERY_SECOND + "RateLimitBurst=1\n")
        self.greet(2)
        greeted_so_far = 2
        while self.account.entries < 3:
            self.greet(1)
            greeted_so_far += 1
            self.read_rest()
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.total(), greeted_so_far)

    def test_a_report_of_dropped_entries_is_a_notice_with_its_own_id(self):
        greetd = self.serve_with(EVERY_SECOND + "RateLimitBurst=1\n")
        self.greet(5)
        connection = self.entry("Connection from .*")
        entry = self.entry(DROPPED.pattern)
        self.assertEqual(entry["PRIORITY"], "5")
        self.assertNotEqual(entry["MESSAGE_ID"], connection["MESSAGE_ID"])
        dropped = re.fullmatch(DROPPED, entry["MESSAGE"])[1]
        self.assertEqual(entry["GREETD_LEFT_OUT"], dropped)
        self.stop(greetd)

    def test_a_journal_that_stalls_and_resumes(self):
        greetd = self.serve_with(NO_LIMIT)
        self.greet_many()
        self.wait_greeted(greetd, MANY)
        self.read_account(MANY)
        self.assertGreater(self.account.dropped, 0)
        self.stop(greetd)

    def test_a_journal_that_stalls_under_a_limit(self):
        greetd = self.serve_with("RateLimitIntervalSec=1h\nRateLimitBurst=2000\n")
        self.greet_many()
        self.wait_greeted(greetd, MANY)
        # A full ring has dropped some entries, and the limit the others.
        while self.account.entries < 2000:
            self.account.add(self.entry(".*")["MESSAGE"])
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.entries, 2000)
        self.assertEqual(self.account.total(), MANY)

    def test_a_journal_that_stalls_to_the_end(self):
        greetd = self.serve_with(NO_LIMIT)
        self.greet_many()
        self.stop(greetd)
        self.read_rest()
        line = self.stream.recv(4096).decode()
        lost = LOST.fullmatch(line.removeprefix("<5>").removesuffix("\n"))
        self.assertTrue(lost, line)
        self.assertEqual(self.account.total() + int(lost[1]), MANY)

    def test_a_closed_journal_to_the_end(self):
        greetd = self.serve_with("RateLimitIntervalSec=1h\nRateLimitBurst=infinity\n")
        self.greet(1)
        self.read_account(1)
        self.journal.close()  # the file of the socket refuses connections
        self.greet(100)
        self.wait_greeted(greetd, 101)
        self.stop(greetd)
        line = self.stream.recv(4096).decode()
        lost = LOST.fullmatch(line.removeprefix("<5>").removesuffix("\n"))
        self.assertTrue(lost, line)
        self.assertEqual(int(lost[1]), 100)

    def greet_until_dropped(self, n):
        """Greets with metrics until these count N dropped entries. Returns the number of
        clients."""
        greeted_so_far = dropped = 0
        while dropped < n:
            metrics = greeted(self.address).decode()
            greeted_so_far += 1
            dropped = int(re.search(r"^greetd_log_suppressed_total (\d+)$", metrics, re.M)[1])
        return greeted_so_far

    def test_a_closed_journal_that_is_opened_again(self):
        config = f"[Greeting]\nMessage=$metrics\n[Log]\n{NO_LIMIT}"
        greetd = self.serve_journal(config=config)
        self.journal.close()
        n = self.greet_until_dropped(100)
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.settimeout(daemon.TIMEOUT)
        # sd_journal_sendv(3) reports no error while the file is missing, so replace it by rename.
        again = fake_journal.JOURNAL.with_suffix(".again")
        self.journal.bind(str(again))
        again.rename(fake_journal.JOURNAL)
        self.read_account(n)
        self.assertGreaterEqual(self.account.dropped, 100)
        self.stop(greetd)

    def test_a_stderr_that_takes_nothing(self):
        with open("/dev/full", "wb", buffering=0) as full:
            greetd = self.serve(
                sockets=[self.listener],
                config=f"[Greeting]\nMessage=$metrics\n[Log]\n{NO_LIMIT}",
                stderr=full.fileno(),
            )
        self.greet_until_dropped(100)
        self.stop(greetd)

    def test_a_full_pipe_that_is_read_again(self):
        read_end, write_end = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
        self.addCleanup(read_end.close)
        with write_end:
            greetd = self.serve(
                sockets=[self.listener],
                config=f"[Server]\nWorkers=1\n[Log]\n{NO_LIMIT}",
                stderr=write_end.fileno(),
            )
        self.greet_many()
        self.wait_greeted(greetd, MANY)
        while self.account.total() < MANY:
            self.account.add(read_end.readline().decode().rstrip())
        self.assertEqual(self.account.total(), MANY)
        self.assertGreater(self.account.dropped, 0)
        self.stop(greetd)

    def reload(self, greetd, log):
        self.write("greetd.conf", f"[Server]\nWorkers=1\n[Log]\n{log}")
        before = len(greetd.messages)
        greetd.signal(signal.SIGHUP)
        greetd.wait_until(
            lambda: any("READY" in message for message in greetd.messages[before:]),
            "end of a reload",
        )

    def test_across_reloads(self):
        hour = "RateLimitIntervalSec=1h\n"
        path = self.write("greetd.conf", f"[Log]\n{hour}RateLimitBurst=10\n")
        greetd = self.serve_journal("-c", path, config=None)
        self.greet(50)
        self.wait_greeted(greetd, 50)
        self.reload(greetd, "Connections=no\n")
        self.greet(30)
        self.wait_greeted(greetd, 80)
        self.reload(greetd, "Connections=yes\nLevel=notice\n")
        self.greet(30)
        self.wait_greeted(greetd, 110)
        self.reload(greetd, f"{hour}RateLimitBurst=infinity\n")
        self.greet(25)
        self.wait_greeted(greetd, 135)
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.entries, 10 + 25)
        self.assertEqual(self.account.dropped, 40)

    def test_entries_less_urgent_than_the_level_are_dropped(self):
        greetd = self.serve_with("Level=notice\n")
        self.greet(5)
        self.stop(greetd)
        self.assertEqual(select.select([self.journal], [], [], 0)[0], [])

    def test_disabled_entries_are_not_reported_as_dropped(self):
        greetd = self.serve_with("Connections=no\nRateLimitBurst=1\n")
        self.greet(50)
        self.stop(greetd)
        self.read_rest()
        self.assertEqual(self.account.total(), 0)


if __name__ == "__main__":
    unittest.main()
