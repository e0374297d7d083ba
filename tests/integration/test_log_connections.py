# SPDX-License-Identifier: MIT
"""Which connections have an entry in the log."""

import re
import socket
import struct
import unittest

from support import metrics, namespaces, reload
from support.daemon import GREETING, read_to_end

CONNECTION = re.compile(r"Connection from 127\.0\.0\.1:(\d+)")
DROPPED = re.compile(r"(\d+) connection entries left out")
NAMES = ("a", "b", "metrics")
# Clients of the socket a have to send something.
COUNTED = f"[Listener a]\nGreetOn=data\n{metrics.METRICS_CONF}LogConnections=no\n"
NOT_SILENT = "[Log]\nLogSilentConnections=no\n"


def setUpModule():
    namespaces.isolate()


class LogConnections(metrics.MetricsTestCase, reload.ReloadTestCase):
    """A greetd that listens on two sockets and one for metrics; entries name clients by their port."""

    def setUp(self):
        super().setUp()
        self.sockets = {
            name: self.listening_socket(socket.AF_INET, ("127.0.0.1", 0)) for name in NAMES
        }
        self.metrics_address = self.sockets["metrics"].getsockname()

    def serve_all(self, config):
        return self.serve_with(config, sockets=list(self.sockets.values()), names=NAMES)

    def connect_to(self, name):
        """A client of the socket NAME, and its port."""
        client = self.client(self.sockets[name].getsockname())
        return client, client.getsockname()[1]

    def greet(self, name):
        """Greets a client of the socket NAME; returns the client's port."""
        client, port = self.connect_to(name)
        self.assertEqual(read_to_end(client), GREETING)
        client.close()
        return port

    def probe(self, name):
        """Connects to the socket NAME and closes, as a load balancer does; returns the port."""
        client, port = self.connect_to(name)
        client.close()
        return port

    def wait_ended(self, n):
        """Waits until N clients of the socket a have ended; returns the metrics."""
        return self.scrape_until(
            lambda s: metrics.total(s, "greetd_connections_total", 'listener="a"') == n
        )

    def logged(self, greetd):
        """Stops greetd, and returns the ports of all clients that have an entry, in order."""
        self.stop(greetd)
        self.assertNotIn("left out", greetd.output())
        return sorted(int(match[1]) for match in map(CONNECTION.fullmatch, greetd.lines) if match)

    def test_a_listener_that_logs_while_the_others_do_not(self):
        greetd = self.serve_all("[Log]\nConnections=no\n[Listener a]\nLogConnections=yes\n")
        ports = [(name, self.greet(name)) for name in "abababab"]
        self.assertEqual(self.logged(greetd), sorted(port for name, port in ports if name == "a"))

    def test_a_listener_that_does_not_log_while_the_others_do(self):
        greetd = self.serve_all("[Listener a]\nLogConnections=no\n")
        ports = [(name, self.greet(name)) for name in "abababab"]
        self.assertEqual(self.logged(greetd), sorted(port for name, port in ports if name == "b"))

    def test_connections_without_an_entry_do_not_count_as_dropped(self):
        limit = "[Log]\nRateLimitIntervalSec=1h\nRateLimitBurst=1\n"
        greetd = self.serve_all(f"{limit}[Listener a]\nLogConnections=no\n")
        for _ in range(20):
            self.greet("a")
        self.assertEqual(self.logged(greetd), [])

    def test_a_connection_follows_the_configuration_under_which_it_was_accepted(self):
        linger = "[Greeting]\nLingerSec=infinity\n"
        held = {}
        greetd = self.serve_all(linger)
        for value in ("yes", "no", "yes", "no"):
            self.assert_reloads(greetd, f"{linger}LogConnections={value}\n")
            client, port = self.connect_to("a")
            self.assertEqual(read_to_end(client), GREETING)
            held[port] = client, value
        for client, _ in held.values():
            client.close()
        expected = sorted(port for port, (_, value) in held.items() if value == "yes")
        self.assertEqual(self.logged(greetd), expected)

    def test_silent_connections_have_an_entry_by_default(self):
        greetd = self.serve_all(COUNTED)
        ports = [self.probe("a") for _ in range(3)]
        samples = self.wait_ended(3)
        self.assertEqual(samples["greetd_log_silent_total", None], 0)
        self.assertEqual(self.logged(greetd), sorted(ports))

    def test_silent_connections_that_are_only_counted(self):
        greetd = self.serve_all(NOT_SILENT + COUNTED)
        for _ in range(3):
            self.probe("a")
        client, port = self.connect_to("a")
        client.sendall(b"x")
        self.assertEqual(read_to_end(client), GREETING)
        client.close()
        samples = self.wait_ended(4)
        self.assertEqual(samples["greetd_log_silent_total", None], 3)
        self.assertEqual(samples["greetd_log_suppressed_total", None], 0)
        self.assertEqual(
            metrics.total(samples, "greetd_connections_total", 'listener="a",result="partial"'), 3
        )
        self.assertEqual(self.logged(greetd), [port])

    def test_a_client_that_resets_is_silent_too(self):
        greetd = self.serve_all(NOT_SILENT + COUNTED)
        client, _ = self.connect_to("a")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.assertEqual(self.wait_ended(1)["greetd_log_silent_total", None], 1)
        self.assertEqual(self.logged(greetd), [])

    def test_a_client_that_is_greeted_on_connect_and_closes_is_not_silent(self):
        greetd = self.serve_all(NOT_SILENT)
        port = self.greet("a")
        self.assertEqual(self.logged(greetd), [port])

    def test_a_timeout_is_not_silent(self):
        greetd = self.serve_all(f"{NOT_SILENT}[Greeting]\nDataTimeoutSec=1ms\n{COUNTED}")
        client, port = self.connect_to("a")
        self.assertEqual(read_to_end(client), b"")
        self.assertEqual(self.wait_ended(1)["greetd_log_silent_total", None], 0)
        self.assertEqual(self.logged(greetd), [port])

    def test_silent_connections_that_would_not_be_logged_are_not_counted(self):
        for config in (NOT_SILENT + "Connections=no\n", NOT_SILENT + "Level=notice\n"):
            greetd = self.serve_all(config + COUNTED)
            self.probe("a")
            samples = self.wait_ended(1)
            self.assertEqual(samples["greetd_log_silent_total", None], 0)
            self.assertEqual(samples["greetd_log_suppressed_total", None], 0)
            self.assertEqual(self.logged(greetd), [])

    def test_a_silent_connection_follows_the_configuration_under_which_it_was_accepted(self):
        expecting = f"[Greeting]\nDataTimeoutSec=infinity\n{COUNTED}"
        held = {}
        greetd = self.serve_all(expecting)
        for value in ("yes", "no"):
            self.assert_reloads(greetd, f"[Log]\nLogSilentConnections={value}\n{expecting}")
            client, port = self.connect_to("a")
            held[port] = client, value
            greetd.wait_message("STATUS", f"Greeting {len(held)} clients?; .*")
        for client, _ in held.values():
            client.close()
        self.assertEqual(self.wait_ended(2)["greetd_log_silent_total", None], 1)
        expected = sorted(port for port, (_, value) in held.items() if value == "yes")
        self.assertEqual(self.logged(greetd), expected)

    def test_entries_dropped_and_silent_connections_add_up_to_all_that_ended(self):
        limit = "RateLimitIntervalSec=1h\nRateLimitBurst=5\n"
        greetd = self.serve_all(NOT_SILENT + limit + COUNTED)
        for _ in range(20):
            self.probe("a")
            client, _ = self.connect_to("a")
            client.sendall(b"x")
            self.assertEqual(read_to_end(client), GREETING)
            client.close()
        silent = self.wait_ended(40)["greetd_log_silent_total", None]
        self.stop(greetd)
        entries = sum(1 for line in greetd.lines if CONNECTION.fullmatch(line))
        dropped = sum(int(match[1]) for match in map(DROPPED.fullmatch, greetd.lines) if match)
        self.assertEqual((entries, dropped, silent), (5, 15, 20))


if __name__ == "__main__":
    unittest.main()
