# SPDX-License-Identifier: MIT
"""The metrics as the package ships them, read by curl and a real Prometheus, and compared with the
counts of greet."""

import json
import socket
import subprocess
import time
import unittest
import urllib.parse
import urllib.request

from support import daemon, greet, metrics, namespaces
from support.daemon import TIMEOUT, connect, read_to_end
from support.metrics import PACKAGING, ended, parse

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
    def prometheus(self):
        """Starts a Prometheus that scrapes greetd ten times a second; returns it and its
        address."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        config = self.write("prometheus.yml", "\n".join([
            "global: {scrape_interval: 100ms, scrape_timeout: 100ms}",
            f"rule_files: [{PACKAGING}/monitoring/greetd-rules.yml]",
            "scrape_configs:",
            "  - job_name: greetd",
            "    static_configs: [{targets: ['%s:%d']}]" % self.metrics_address]))
        log = open(self.folder / "prometheus.log", "w", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address={address}",
             f"--storage.tsdb.path={self.folder}/tsdb"], stdout=log, stderr=log)
        self.addCleanup(process.wait, TIMEOUT)
        self.addCleanup(process.terminate)
        return process, address

    def query(self, prometheus, expression):
        """The value of EXPRESSION, or None before the first sample."""
        process, address = prometheus
        url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        self.assertIsNone(process.poll(), (self.folder / "prometheus.log").read_text())
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:  # it does not listen yet
            return None
        return float(result[0]["value"][1]) if result else None

    def wait_for(self, prometheus, expression, value):
        deadline = time.monotonic() + TIMEOUT
        while (seen := self.query(prometheus, expression)) != value:
            self.assertLess(time.monotonic(), deadline, (expression, seen))
            time.sleep(0.05)

    def test_prometheus_scrapes_the_metrics(self):
        self.load(LOADED)
        prometheus = self.prometheus()
        self.wait_for(prometheus, "up{job='greetd'}", 1)
        delivered = "greetd_connections_total{listener='server',result='delivered'}"
        self.wait_for(prometheus, delivered, LOADED)
        self.load(LOADED)
        self.wait_for(prometheus, delivered, 2 * LOADED)


if __name__ == "__main__":
    unittest.main()
