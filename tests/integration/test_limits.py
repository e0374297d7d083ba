# SPDX-License-Identifier: MIT
"""Limits per source and network lists: clients that are refused, and those that are not."""

import contextlib
import socket
import time
import unittest

from support import metrics, namespaces, reload
from support.daemon import GREETING, TIMEOUT, connect, read_to_end

SOURCES = "greetd_sources"


def setUpModule():
    namespaces.isolate()


def answer_to(address, source="127.0.0.1"):
    """What a client reads that connects from SOURCE. A client that is refused may be reset."""
    with contextlib.suppress(ConnectionError), socket.socket() as client:
        client.settimeout(TIMEOUT)
        client.bind((source, 0))
        client.connect(address)
        return read_to_end(client)
    return b""


class Limits(metrics.LimitedTestCase, reload.ReloadTestCase):
    """A greetd with a socket for clients and one for metrics, to which no limit applies."""

    def setUp(self):
        super().setUp()
        self.server = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.metrics = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.address = self.server.getsockname()
        self.metrics_address = self.metrics.getsockname()

    def limits_config(self, limits, more=""):
        return f"[Server]\nWorkers=2\n[Limits]\n{limits}\n{metrics.METRICS_CONF}{more}"

    def serve_limits(self, limits, more="", **options):
        return self.serve_with(self.limits_config(limits, more), sockets=[self.server, self.metrics],
                               names=["server", "metrics"], **options)

    def assert_refused(self, source="127.0.0.1"):
        self.assertEqual(answer_to(self.address, source), b"")

    def assert_served(self, source="127.0.0.1"):
        self.assertEqual(answer_to(self.address, source), GREETING)

    def held(self, source):
        """A client from SOURCE that stays after its greeting."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(TIMEOUT)
        client.bind((source, 0))
        client.connect(self.address)
        self.assertEqual(read_to_end(client), GREETING)
        return client

    def refusals(self, samples, reason):
        return metrics.total(samples, "greetd_refused_total", f'reason="{reason}"')

    def test_connections_of_a_source_at_once(self):
        self.serve_limits("MaxConnectionsPerSource=3", "[Greeting]\nLingerSec=1h\n")
        # Both workers hold some; the limit is one for all.
        clients = [self.held("127.0.0.2") for _ in range(3)]
        for _ in range(10):
            self.assert_refused("127.0.0.2")
        self.assert_served("127.0.0.3")
        clients.pop().close()
        deadline = time.monotonic() + TIMEOUT
        while answer_to(self.address, "127.0.0.2") != GREETING:
            self.assertLess(time.monotonic(), deadline)

    def test_connections_of_a_source_over_time(self):
        self.serve_limits("RateLimitPerSourceIntervalSec=1h\nRateLimitPerSourceBurst=5")
        for _ in range(5):
            self.assert_served("127.0.0.2")
        for _ in range(5):
            self.assert_refused("127.0.0.2")
        for source in range(3, 40):
            self.assert_served(f"127.0.0.{source}")
        samples = self.scrape_until(lambda s: self.refusals(s, "rate") == 5)
        self.assertEqual(metrics.ended(samples, 'result="refused"'), 5)

    def test_the_rate_comes_back_with_time(self):
        self.serve_limits("RateLimitPerSourceIntervalSec=300ms\nRateLimitPerSourceBurst=3")
        began, n = time.monotonic(), 0
        while time.monotonic() < began + 0.6:
            n += answer_to(self.address, "127.0.0.2") == GREETING
        took = time.monotonic() - began
        self.assertGreaterEqual(n, 3 + 3)
        self.assertLessEqual(n, 3 + int(took / 0.1) + 1)

    def test_networks(self):
        self.serve_limits("Allow=127.9.0.0/16 127.0.0.0/16\nDeny=127.0.0.128/25 127.0.0.4\nAllow=127.0.0.200")
        for source in ("127.0.0.1", "127.0.255.1", "127.0.0.200", "127.0.0.127"):
            self.assert_served(source)
        for source in ("127.1.0.1", "127.0.0.128", "127.0.0.4", "127.0.0.255"):
            self.assert_refused(source)
        samples = self.scrape_until(lambda s: metrics.ended(s) == 8)
        self.assertEqual(self.refusals(samples, "network"), 4)

    def test_networks_of_one_listener_replace_those_of_all(self):
        self.serve_limits("Deny=127.0.0.2", "[Listener server]\nDeny=127.0.0.3\n")
        self.assert_served("127.0.0.2")
        self.assert_refused("127.0.0.3")

    def test_networks_of_a_file(self):
        path = self.write("denied", "# a comment\n127.0.0.2\n\n127.0.1.0/24 # trailing\n")
        greetd = self.serve_limits(f"Deny={path}")
        self.assert_refused("127.0.0.2")
        self.assert_refused("127.0.1.77")
        self.assert_served("127.0.0.3")
        self.write("denied", "127.0.0.3\n")
        self.assert_refused("127.0.0.2")
        self.assert_reloads(greetd)
        self.assert_served("127.0.0.2")
        self.assert_refused("127.0.0.3")

    def test_a_reload_changes_the_limits_and_keeps_what_is_counted(self):
        greetd = self.serve_limits("MaxConnectionsPerSource=2", "[Greeting]\nLingerSec=1h\n")
        for _ in range(2):
            self.held("127.0.0.2")
        self.assert_refused("127.0.0.2")
        self.assert_reloads(
            greetd, self.limits_config("MaxConnectionsPerSource=3", "[Greeting]\nLingerSec=1h\n"))
        self.held("127.0.0.2")
        self.assert_refused("127.0.0.2")
        self.assert_reloads(greetd, self.limits_config(""))
        self.assert_served("127.0.0.2")

    def test_refused_clients_receive_a_message(self):
        self.serve_limits("Deny=127.0.0.2", "[Greeting]\nRefuseMessage=Not you, $remote_addr\n")
        self.assertEqual(answer_to(self.address, "127.0.0.2"), b"Not you, 127.0.0.2")
        samples = self.scrape_until(lambda s: metrics.ended(s) == 1)
        self.assertEqual(metrics.ended(samples, 'result="refused"'), 1)
        self.assertEqual(samples["greetd_greeting_seconds_sum", None] > 0, True)

    def test_refused_clients_that_do_not_read_keep_no_others_out(self):
        message = "Not you, " * (1 << 20)
        self.serve_limits("Deny=127.0.0.1", f"[Server]\nWorkers=1\nMaxConnections=8\n"
                          f"[Greeting]\nRefuseMessage={message}\nWriteTimeoutSec=1h\n")
        clients = [self.client(self.address) for _ in range(20)]
        self.assert_served("127.0.0.2")
        # What an evicted client has not taken leaves the kernel's memory.
        with self.assertRaises(ConnectionResetError):
            read_to_end(clients[0])

    def test_every_client_is_in_the_books(self):
        self.serve_limits("RateLimitPerSourceIntervalSec=1h\nRateLimitPerSourceBurst=10\n"
                          "Deny=127.0.0.9")
        served = sum(answer_to(self.address, f"127.0.0.{2 + i % 8}") == GREETING
                     for i in range(120))
        self.assertEqual(served, 70)
        samples = self.scrape_until(lambda s: metrics.ended(s) == 120)
        self.assertEqual(self.refusals(samples, "rate"), 35)
        self.assertEqual(self.refusals(samples, "network"), 15)

    def test_the_sources_are_in_status_and_metrics(self):
        greetd = self.serve_limits("RateLimitPerSourceIntervalSec=1h\nRateLimitPerSourceBurst=10")
        for source in range(2, 22):
            self.assert_served(f"127.0.0.{source}")
        greetd.wait_message("STATUS", ".*; 20 of 131076 sources")
        # The scrapes are clients of sources, too.
        samples = self.scrape_until(lambda s: s[SOURCES, None] > 20)
        self.assertEqual(samples[f"{SOURCES}_max", None], 131076)

    def test_sources_are_gone_when_their_time_is_over(self):
        greetd = self.serve_limits("RateLimitPerSourceIntervalSec=3s\nRateLimitPerSourceBurst=1",
                                   "[Greeting]\nLingerSec=0\n")
        self.assert_served()
        greetd.wait_message("STATUS", ".*; 1 of 131076 sources")
        greetd.wait_message("STATUS", ".*; 2 workers")

    def test_users_of_a_unix_socket(self):
        path = str(self.folder / "socket")
        listener = self.listening_socket(socket.AF_UNIX, path)
        self.serve(config="[Limits]\nMaxConnectionsPerSource=1\n[Greeting]\nLingerSec=1h\n",
                   sockets=[listener])
        with connect(path) as first:
            self.assertEqual(read_to_end(first), GREETING)
            with connect(path) as second, contextlib.suppress(ConnectionError):
                self.assertEqual(read_to_end(second), b"")

    def test_ipv4_mapped_to_ipv6_counts_as_ipv4(self):
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.addCleanup(listener.close)
        address = ("127.0.0.1", listener.getsockname()[1])
        self.serve(config="[Limits]\nDeny=127.0.0.2\n", sockets=[listener])
        self.assertEqual(answer_to(address), GREETING)
        self.assertEqual(answer_to(address, "127.0.0.2"), b"")


if __name__ == "__main__":
    unittest.main()
