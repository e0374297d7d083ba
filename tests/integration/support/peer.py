# SPDX-License-Identifier: MIT
"""A program of other authors that runs during a test: a load balancer, for example."""

import subprocess

from . import poll
from .daemon import TIMEOUT


class Peer:
    """COMMAND, which ends with TEST, even if that is killed. Its output is shown if it ends before."""

    def __init__(self, test, *command):
        self._log = open(f"{test.folder}/{command[0]}.log", "w+", encoding="utf-8")
        test.addCleanup(self._log.close)
        self._name = command[0]
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command],
                                         stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=self._log)
        test.addCleanup(self._process.wait, TIMEOUT)
        test.addCleanup(self._process.kill)

    def wait_until(self, predicate):
        """Polls until PREDICATE() is true: these programs report by no event that they are ready."""
        poll.eventually(lambda: self._assert(predicate), TIMEOUT)

    def _assert(self, predicate):
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"{self._name} has ended: {self._log.read()}")
        if not predicate():
            raise AssertionError(f"{self._name} is not ready")
