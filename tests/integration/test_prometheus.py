# SPDX-License-Identifier: MIT
"""The metrics as the package ships them, read by curl and a real Prometheus, and compared with the
counts of greet."""

import json
import socket
import subprocess
import unittest

from support import daemon, greet, metrics, namespaces
from support.daemon import TIMEOUT, connect, read_to_end
from support.metrics import ended, parse
from support.prometheus import Prometheus

# The section as shipped, but on a socket that greetd opens itself.
SHIPPED = metrics.METRICS_CONF + "\nListenStream=127.0.0.1:0\n"
CONFIG = "[Server]\nListenStream=127.0.0.1:0\n" + SHIPPED
LOADED = 2000


def setUpModule():
    namespaces.isolate()


class LoadedTestCase(metrics.MetricsTestCase):
    def setUp(self):
        super().setUp()
        self.greetd = self.serve(config=CONFIG)
        self.address, self.metrics_address = self.greetd.address(0), self.greetd.address(1)

    def load(self, n):
        """Greets N clients, and returns the figures of greet."""
        result = self.greet("--load", "--json", "-n", str(n), "-c", "32", "--expect",
                            daemon.GREETING.decode(), "%s:%d" % self.address)
        self.assertEqual(result.returncode, greet.OK, result.stderr)
        return json.loads(result.stdout)


class Numbers(LoadedTestCase):
    def test_curl_reads_the_metrics(self):
        done = subprocess.run(["curl", "--silent", "--show-error", "--fail", self.url()],
                              capture_output=True, text=True, timeout=TIMEOUT, check=True)
        self.assertEqual(parse(done.stdout)["greetd_connections_active", None], 1, "curl itself")

    def test_a_silent_client_reads_nothing(self):
        with connect(self.metrics_address) as silent:
            silent.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(silent), b"")

    def test_the_metrics_equal_the_counts_of_greet(self):
        counted = self.load(LOADED)["ok"]
        self.assertEqual(counted, LOADED)
        samples = self.scrape_until(lambda s: ended(s) >= LOADED)
        self.assertEqual(ended(samples), LOADED, samples)
        self.assertEqual(ended(samples, 'result="delivered"'), LOADED, samples)


class RealPrometheus(LoadedTestCase):
    def test_prometheus_scrapes_the_metrics(self):
        self.load(LOADED)
        server = Prometheus(self, self.metrics_address)
        server.wait_for("up{job='greetd'}", 1)
        delivered = "greetd_connections_total{listener='server',result='delivered'}"
        server.wait_for(delivered, LOADED)
        self.load(LOADED)
        server.wait_for(delivered, 2 * LOADED)


if __name__ == "__main__":
    unittest.main()
