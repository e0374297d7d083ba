# SPDX-License-Identifier: MIT
"""Without any configuration, greetd works as the ten lines of Python do."""

import signal
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end


def setUpModule():
    namespaces.isolate()


class DefaultRun(daemon.GreetdTestCase):
    def test_logs_and_sends_what_the_seed_did(self):
        self.own_etc()
        greetd = self.serve(config=None)
        with connect(("127.0.0.1", 12345)) as client:
            port = client.getsockname()[1]
            self.assertEqual(read_to_end(client), b"Hello from server!")
            self.assertEqual(client.recv(1), b"")
        greetd.wait_line(f"Connection from 127\\.0\\.0\\.1:{port}")
        self.stop(greetd)
        self.assertEqual(
            greetd.lines,
            ["Server is listening on 127.0.0.1:12345", f"Connection from 127.0.0.1:{port}"],
        )

    def test_reads_its_file_in_etc(self):
        self.own_etc()
        with open("/etc/greetd.conf", "w", encoding="ascii") as file:
            file.write("[Greeting]\nMessage=From etc\n")
        self.serve(config=None)
        self.assert_greeted(("127.0.0.1", 12345), b"From etc")

    def test_greets_one_after_another(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        for _ in range(100):
            self.assert_greeted(greetd.address())
        self.stop(greetd)
        self.assertEqual(sum("Connection from " in line for line in greetd.lines), 100)

    def test_greets_clients_that_are_there_at_once(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        clients = [self.client(greetd.address()) for _ in range(100)]
        self.assertEqual([read_to_end(client) for client in reversed(clients)], [GREETING] * 100)

    def test_sigint_stops_it_cleanly(self):
        self.stop(self.serve("-l", "127.0.0.1:0"), signal.SIGINT)

    def test_sigterm_stops_it_cleanly(self):
        self.stop(self.serve("-l", "127.0.0.1:0"), signal.SIGTERM)

    def test_runs_without_a_service_manager(self):
        greetd = self.start("-l", "127.0.0.1:0", notify=False)
        self.assert_greeted(greetd.address())
        self.stop(greetd)

    def test_a_message_on_the_command_line_is_unescaped(self):
        greetd = self.serve("-l", "127.0.0.1:0", "-m", r"a\tb\\c\x00\xff\r\n")
        self.assert_greeted(greetd.address(), b"a\tb\\c\x00\xff\r\n")


if __name__ == "__main__":
    unittest.main()
