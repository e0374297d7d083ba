# SPDX-License-Identifier: MIT
"""The arithmetic of the bench, and the journal that it runs servers with."""

import subprocess
import unittest

import report
import servers
from ratios import Spread, ratios, spread, spread_of_ratios


class SpreadTest(unittest.TestCase):
    def test_takes_the_middle_one_of_an_odd_number(self):
        self.assertEqual(spread([9, 1, 2]), Spread(2, 1, 9))

    def test_takes_the_mean_of_the_two_in_the_middle(self):
        self.assertEqual(spread([4, 1, 2, 9]), Spread(3, 1, 9))

    def test_is_none_of_nothing(self):
        self.assertIsNone(spread([]))


class RatiosTest(unittest.TestCase):
    def test_are_taken_within_a_round(self):
        # In the second round everything took ten times as long. That changes no ratio, though it
        # would change the ratio of the sums.
        self.assertEqual(ratios({1: 3, 2: 40}, {1: 2, 2: 20}), {1: 1.5, 2: 2.0})

    def test_leave_out_rounds_that_either_lacks(self):
        self.assertEqual(ratios({1: 3, 2: 4}, {2: 2, 3: 1}), {2: 2.0})

    def test_leave_out_rounds_with_nothing_to_divide_by(self):
        self.assertEqual(ratios({1: 3, 2: 4}, {1: 0, 2: 2}), {2: 2.0})

    def test_their_median_is_not_the_ratio_of_the_medians(self):
        ours, theirs = {1: 1, 2: 20, 3: 300}, {1: 2, 2: 10, 3: 100}
        self.assertEqual(spread_of_ratios(ours, theirs), Spread(2.0, 0.5, 3.0))

    def test_without_a_common_round_there_is_none(self):
        self.assertIsNone(spread_of_ratios({1: 3}, {2: 3}))


class WorkerCostTest(unittest.TestCase):
    @staticmethod
    def cost(**threads):
        threads = {name.replace("_", "-"): nsec for name, nsec in threads.items()}
        return report.worker_cost({"greet": {"server": {"threads": threads}}})

    def test_is_that_of_all_workers_and_nobody_else(self):
        self.assertEqual(self.cost(greetd=1, greetd_log=20, greetd_0=300, greetd_12=4000), 4300)

    def test_of_who_has_no_workers_is_none(self):
        self.assertEqual(self.cost(nginx=9), 0)


# Sends far more than the queue of a socket holds, and reports whether it was taken.
SENDER = """
import os, socket
stat = os.fstat(2)
assert os.environ["JOURNAL_STREAM"] == f"{stat.st_dev}:{stat.st_ino}"
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
journal.settimeout(PATIENCE)
try:
    for _ in range(20000):
        journal.send(b"entry")
except TimeoutError:
    print("full")
else:
    print("taken")
"""


class JournalTest(unittest.TestCase):
    @staticmethod
    def send(mode, patience):
        command = ["python3", "-c", SENDER.replace("PATIENCE", str(patience))]
        site = servers.Site(None, None, None, 0)
        done = subprocess.run(
            servers.with_journal(mode, lambda _: command)(site),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def test_takes_every_entry_if_live(self):
        self.assertEqual(self.send("live", None), "taken")

    def test_takes_no_more_than_its_queue_holds_if_stalled(self):
        self.assertEqual(self.send("stalled", 0.2), "full")


if __name__ == "__main__":
    unittest.main()
