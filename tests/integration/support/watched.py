# SPDX-License-Identifier: MIT
"""A test case of files that change while greetd serves them."""

import os
import time

from . import metrics, reload
from .daemon import TIMEOUT, greeted


class WatchTestCase(reload.ReloadTestCase, metrics.MetricsTestCase):
    """Tests with the file self.file, which [Greeting] has in MessageFile= with Watch=yes."""

    def setUp(self):
        super().setUp()
        self.file = self.folder / "message"

    def replace(self, content, file=None, age=0):
        """Replaces the file by rename. It was modified AGE seconds ago."""
        written = self.write("message.new", content)
        if age:
            self.set_age(age, written)
        os.rename(written, file or self.file)

    def watching(self, more="", server=""):
        """A configuration. A single worker sends a new version to all clients from one moment on."""
        return f"{reload.LISTEN}Workers=1\n{server}[Greeting]\nMessageFile={self.file}\nWatch=yes\n{more}"

    def wait_greeting(self, address, expected):
        """Connects until a client receives EXPECTED. Returns what clients received before."""
        deadline = time.monotonic() + TIMEOUT
        before = []
        while (received := greeted(address)) != expected:
            before.append(received)
            self.assertLess(time.monotonic(), deadline, f"{received} instead of {expected}")
        return before

    def set_age(self, seconds, file=None):
        """Sets the modification time to SECONDS ago."""
        then = time.time() - seconds
        os.utime(file or self.file, (then, then))

    def lines_with(self, greetd, *parts):
        """The lines on stderr that have one of PARTS."""
        return [line for line in greetd.lines if any(part in line for part in parts)]
