# SPDX-License-Identifier: MIT
"""Polling, for states that no event reports; shared with the system tests."""

import time

INTERVAL_SEC = 0.02


def eventually(assertion, patience_sec, failures=AssertionError):
    """Polls while ASSERTION raises one of FAILURES, and returns what it returns."""
    deadline = time.monotonic() + patience_sec
    while True:
        try:
            return assertion()
        except failures:
            if time.monotonic() > deadline:
                raise
        time.sleep(INTERVAL_SEC)
