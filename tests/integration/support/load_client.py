# SPDX-License-Identifier: MIT
"""Many connections at a time: every byte and every end of stream is checked by load.c."""

import os
import re
import subprocess

from . import daemon
from .daemon import GREETING


def connections():
    """How many connections a load test makes; builds with a sanitizer set a smaller number."""
    return int(os.environ.get("GREETD_TEST_CONNECTIONS", "100000"))


def program():
    """The path of the small load client, built from load.c."""
    path = os.environ.get("GREETD_LOAD")
    if not path:
        raise RuntimeError("set GREETD_LOAD to the path of the program test-load")
    return os.path.abspath(path)


class LoadTestCase(daemon.GreetdTestCase):
    def log_file(self):
        """A file for stderr: a line per connection is quicker written than read."""
        log = open(self.folder / "log", "wb")
        self.addCleanup(log.close)
        return log.fileno()

    def logged_connections(self):
        """How many entries there are in that file, and were left out of it."""
        lines = (self.folder / "log").read_text(encoding="ascii").splitlines()
        left_out = [re.match(r"(\d+) connection entries left out", line) for line in lines]
        return sum(line.startswith("Connection from ") for line in lines) + sum(
            int(match[1]) for match in left_out if match
        )

    def load(self, port, connections, at_once, *options, expected=()):
        """A running load client; with -u, its standard input keeps it going. EXPECTED are files
        with the greetings that are right."""
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
        """Waits for its end, and returns what it counted."""
        counts = self.counts(client)
        self.assertEqual(client.returncode, 0, counts)
        self.assertEqual(counts["fine"], counts["connections"], counts)
        self.assertGreaterEqual(counts["fine"], connections)
        return counts

    def counts(self, client):
        """What it has counted at its end, which -u delays until now."""
        said = client.communicate()[0].splitlines()[-1]
        print(f"  {said}", flush=True)
        return {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", said)}

    def wait_progress(self, client, more):
        """Until MORE connections have finished since the last call."""
        for _ in range(0, more, 500):
            line = client.stdout.readline()
            self.assertRegex(line, r"^\d+\n$", "the load ended early")
