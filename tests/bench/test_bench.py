# SPDX-License-Identifier: MIT
"""The arithmetic of the bench."""

import unittest

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


if __name__ == "__main__":
    unittest.main()
