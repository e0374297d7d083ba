# SPDX-License-Identifier: MIT
"""$metrics, as packaging/greetd-metrics.conf sends it to Prometheus."""

import signal
import socket
import threading
import unittest

from support import daemon, metrics, namespaces
from support.daemon import GREETING
from support.metrics import ended, parse, total

BUCKET = "greetd_greeting_seconds_bucket"


def setUpModule():
    namespaces.isolate()


class Metrics(metrics.MetricsTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.metrics = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.metrics_address = self.metrics.getsockname()

    def serve_both(self, more=""):
        return self.serve(config=metrics.METRICS_CONF + more,
                          sockets=[self.server, self.metrics], names=["server", "metrics"])

    def test_every_client_is_counted(self):
        self.serve_both("[Server]\nWorkers=2\n")
        for _ in range(20):
            self.assert_greeted(self.server.getsockname())
        samples = self.scrape_until(lambda s: ended(s) == 20)
        self.assertEqual(ended(samples, 'result="delivered"'), 20)
        self.assertGreaterEqual(samples["greetd_bytes_sent_total", None], 20 * len(GREETING))
        self.assertGreaterEqual(samples["greetd_greeting_seconds_count", None], 20)
        self.assertGreater(samples["greetd_greeting_seconds_sum", None], 0)
        self.assertEqual(samples["greetd_workers", None], 2)
        # The scrape itself is active.
        self.assertGreaterEqual(samples["greetd_connections_active", None], 1)

    def test_an_earlier_scrape_is_counted_for_its_listener(self):
        self.serve_both()
        samples = self.scrape_until(
            lambda s: total(s, "greetd_connections_total", 'listener="metrics"') > 0)
        self.assertEqual(ended(samples), 0)

    def test_reloads_are_counted_and_change_no_counter(self):
        greetd = self.serve_both("[Log]\nConnections=no\n")
        self.assert_greeted(self.server.getsockname())
        self.scrape_until(lambda s: ended(s) == 1)
        greetd.signal(signal.SIGHUP)
        samples = self.scrape_until(
            lambda s: total(s, "greetd_reloads_total", 'result="success"') == 1)
        self.assertEqual(ended(samples), 1)
        self.assertEqual(total(samples, "greetd_reloads_total", 'result="failure"'), 0)

    def test_dropped_log_entries_are_counted(self):
        self.serve_both("[Log]\nRateLimitBurst=1\nRateLimitIntervalSec=1h\n")
        for _ in range(5):
            self.assert_greeted(self.server.getsockname())
        self.scrape_until(lambda s: s["greetd_log_suppressed_total", None] >= 4)

    def assert_agrees(self, samples, before):
        """The numbers of one scrape agree, and no counter is lower than BEFORE."""
        buckets = [value for (name, _), value in samples.items() if name == BUCKET]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], samples["greetd_greeting_seconds_count", None])
        self.assertLessEqual(total(samples, "greetd_connections_total", 'result="delivered"'),
                             buckets[-1])
        self.assertGreaterEqual(samples["greetd_connections_active", None], 0)
        for key, value in before.items():
            if key[0].endswith("_total") or key[0] == BUCKET:
                self.assertGreaterEqual(samples[key], value, key)

    def test_the_numbers_agree_while_clients_connect_and_close(self):
        self.serve_both("[Server]\nWorkers=2\n[Log]\nConnections=no\n")
        over = threading.Event()
        greeted = []

        def connect_and_close():
            while not over.is_set():
                greeted.append(daemon.greeted(self.server.getsockname()))

        clients = [threading.Thread(target=connect_and_close) for _ in range(4)]
        for client in clients:
            client.start()
        before = {}
        try:
            for _ in range(50):
                samples = parse(self.scrape())
                self.assert_agrees(samples, before)
                before = samples
        finally:
            over.set()
            for client in clients:
                client.join()
        self.assertEqual(set(greeted), {GREETING})
        samples = self.scrape_until(lambda s: ended(s) == len(greeted))
        self.assert_agrees(samples, before)


if __name__ == "__main__":
    unittest.main()
