# SPDX-License-Identifier: MIT
"""Which connections have an entry in the log."""

import re
import socket
import unittest

from support import namespaces, reload
from support.daemon import GREETING, read_to_end

CONNECTION = re.compile(r"Connection from 127\.0\.0\.1:(\d+)")
NAMES = ("a", "b")


def setUpModule():
    namespaces.isolate()


class LogConnections(reload.ReloadTestCase):
    """A greetd that listens on two sockets; entries name clients by their port."""

    def setUp(self):
        super().setUp()
        self.sockets = {
            name: self.listening_socket(socket.AF_INET, ("127.0.0.1", 0)) for name in NAMES
        }

    def serve_both(self, config):
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

    def logged(self, greetd):
        """Stops greetd, and returns the ports of all clients that have an entry, in order."""
        self.stop(greetd)
        self.assertNotIn("left out", greetd.output())
        return sorted(int(match[1]) for match in map(CONNECTION.fullmatch, greetd.lines) if match)

    def test_a_listener_that_logs_while_the_others_do_not(self):
        greetd = self.serve_both("[Log]\nConnections=no\n[Listener a]\nLogConnections=yes\n")
        ports = [(name, self.greet(name)) for name in "abababab"]
        self.assertEqual(self.logged(greetd), sorted(port for name, port in ports if name == "a"))

    def test_a_listener_that_does_not_log_while_the_others_do(self):
        greetd = self.serve_both("[Listener a]\nLogConnections=no\n")
        ports = [(name, self.greet(name)) for name in "abababab"]
        self.assertEqual(self.logged(greetd), sorted(port for name, port in ports if name == "b"))

    def test_connections_without_an_entry_do_not_count_as_dropped(self):
        limit = "[Log]\nRateLimitIntervalSec=1h\nRateLimitBurst=1\n"
        greetd = self.serve_both(f"{limit}[Listener a]\nLogConnections=no\n")
        for _ in range(20):
            self.greet("a")
        self.assertEqual(self.logged(greetd), [])

    def test_a_connection_follows_the_configuration_under_which_it_was_accepted(self):
        linger = "[Greeting]\nLingerSec=infinity\n"
        held = {}
        greetd = self.serve_both(linger)
        for value in ("yes", "no", "yes", "no"):
            self.assert_reloads(greetd, f"{linger}LogConnections={value}\n")
            client, port = self.connect_to("a")
            self.assertEqual(read_to_end(client), GREETING)
            held[port] = client, value
        for client, _ in held.values():
            client.close()
        expected = sorted(port for port, (_, value) in held.items() if value == "yes")
        self.assertEqual(self.logged(greetd), expected)


if __name__ == "__main__":
    unittest.main()
