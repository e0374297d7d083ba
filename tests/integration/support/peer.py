# SPDX-License-Identifier: MIT
"""A program of other authors that runs during a test: a load balancer, for example."""

import pathlib
import subprocess

from . import poll
from .daemon import TIMEOUT


class Peer:
    """COMMAND, which ends with TEST, even if that is killed. Its output is shown if it ends before.
    WRAPPER is a command that ends by executing it."""

    def __init__(self, test, *command, wrapper=()):
        self._log = open(f"{test.folder}/{command[0]}.log", "w+", encoding="utf-8")
        test.addCleanup(self._log.close)
        self._name = command[0]
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *wrapper,
                                          *command],
                                         stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=self._log)
        test.addCleanup(self._process.wait, TIMEOUT)
        test.addCleanup(self._process.kill)

    def wait_until(self, predicate):
        """Polls until PREDICATE() is true: these programs report by no event that they are ready."""
        poll.eventually(lambda: self._assert(predicate), TIMEOUT)

    def _assert(self, predicate):
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._name} has ended: {self.output()}")
        if not predicate():
            raise AssertionError(f"{self._name} is not ready")

    def output(self):
        """What it has printed so far."""
        return pathlib.Path(self._log.name).read_text(encoding="utf-8")
