# SPDX-License-Identifier: MIT
"""Many connections at a time. load.c checks every byte and every end of stream."""

import os
import re
import subprocess

from . import daemon
from .daemon import GREETING


def connections():
    """How many connections a load test makes; builds with a sanitizer set a smaller number."""
    return int(os.environ.get("GREETD_TEST_CONNECTIONS", "100000"))


def program():
    """The path of the load client, built from load.c."""
    path = os.environ.get("GREETD_LOAD")
    if not path:
        raise RuntimeError("set GREETD_LOAD to the path of the program test-load")
    return os.path.abspath(path)


class LoadTestCase(daemon.GreetdTestCase):
    def log_file(self):
        """A file for stderr, since a line per connection is written faster than read."""
        log = open(self.folder / "log", "wb")
        self.addCleanup(log.close)
        return log.fileno()

    def logged_connections(self):
        """The number of connection entries in that file, dropped ones included."""
        lines = (self.folder / "log").read_text(encoding="ascii").splitlines()
        dropped = [re.match(r"(\d+) connection entries left out", line) for line in lines]
        return sum(line.startswith("Connection from ") for line in lines) + sum(
            int(match[1]) for match in dropped if match
        )

    def load(self, port, connections, at_once, *options, expected=()):
        """A running load client. With -u it runs until its standard input ends. EXPECTED are files
        with the right greetings."""
        command = [program(), "-n", str(connections), "-c", str(at_once)]
        expected = expected or [self.write("expected", GREETING)]
        command += [*options, str(port), *expected]
        client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.addCleanup(self.end, client)
        return client

    def end(self, client):
        client.kill()
        client.communicate()

    def assert_none_lost(self, client, connections):
        """Waits for the end of CLIENT, and returns its counts."""
        counts = self.counts(client)
        self.assertEqual(client.returncode, 0, counts)
        self.assertEqual(counts["fine"], counts["connections"], counts)
        self.assertGreaterEqual(counts["fine"], connections)
        return counts

    def counts(self, client):
        """Ends the input of CLIENT, waits for its end, and returns its counts."""
        line = client.communicate()[0].splitlines()[-1]
        print(f"  {line}", flush=True)
        return {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", line)}

    def wait_progress(self, client, more):
        """Waits until MORE connections have ended since the last call."""
        for _ in range(0, more, 500):
            line = client.stdout.readline()
            self.assertRegex(line, r"^\d+\n$", "the load ended early")
