# SPDX-License-Identifier: MIT
"""Polling, for states that no event reports; shared with the system tests."""

import time

INTERVAL_SEC = 0.02


def eventually(assertion, patience_sec):
    """Polls until ASSERTION holds, and returns what it returns."""
    deadline = time.monotonic() + patience_sec
    while True:
        try:
            return assertion()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(INTERVAL_SEC)
