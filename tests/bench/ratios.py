# SPDX-License-Identifier: MIT
"""The arithmetic of the comparison.

A machine's speed drifts by half within minutes, so that figures of different moments can't be
compared. Figures of one round can: every ratio is taken within a round, and the rounds' ratios are
what is summed up.
"""

import statistics
from typing import NamedTuple


class Spread(NamedTuple):
    """Some numbers in three."""

    median: float
    least: float
    most: float


def spread(values):
    """Sums up an iterable of numbers; None if there are none."""
    values = list(values)
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def ratios(numerators, denominators):
    """Divides round by round. Both map a round to a number; a round that one of them lacks, or in
    which there is nothing to divide by, has no ratio."""
    return {
        number: numerators[number] / denominators[number]
        for number in sorted(numerators.keys() & denominators.keys())
        if denominators[number] > 0
    }


def spread_of_ratios(numerators, denominators):
    """The rounds' ratios summed up; None if there are none."""
    return spread(ratios(numerators, denominators).values())
