# SPDX-License-Identifier: MIT
"""greetd greets clients whatever its stderr is."""

import os
import pty
import re
import signal
import socket
import unittest

from support import daemon, namespaces
from support.daemon import CLOSED, GREETING, connect, greeted, read_to_end


def setUpModule():
    namespaces.isolate()


class Stderr(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.address = self.listener.getsockname()

    def serve_to(self, stderr, **options):
        return self.serve(sockets=[self.listener], stderr=stderr, **options)

    def pipe(self):
        """The two ends of a pipe that the test may close itself."""
        read_end, write_end = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
        self.addCleanup(read_end.close)
        self.addCleanup(write_end.close)
        return read_end, write_end

    def test_closed(self):
        greetd = self.serve_to(CLOSED)
        for _ in range(200):
            self.assert_greeted(self.address)
        self.stop(greetd)

    def test_closed_and_opening_its_own_sockets(self):
        path = str(self.folder / "socket")
        greetd = self.serve("-l", path, stderr=CLOSED)
        for _ in range(200):
            self.assert_greeted(path)
        self.stop(greetd)

    def test_a_pipe_without_a_reader(self):
        read_end, write_end = self.pipe()
        greetd = self.serve_to(write_end.fileno())
        write_end.close()
        read_end.close()
        for _ in range(200):
            self.assert_greeted(self.address)
        self.stop(greetd)

    def test_a_full_pipe_delays_no_client(self):
        read_end, write_end = self.pipe()
        greetd = self.serve_to(write_end.fileno())
        os.set_blocking(read_end.fileno(), False)
        for _ in range(6000):
            self.assertEqual(greeted(self.address), GREETING)
        # The pipe is full. Once it has been read, greetd ends as usual.
        write_end.close()
        self.assertIn(b"Connection from 127.0.0.1:", read_end.read(65536))
        os.set_blocking(read_end.fileno(), True)
        greetd.signal(signal.SIGTERM)
        while read_end.read(65536):
            pass
        self.assert_ends(greetd, 0)

    def test_a_full_pipe_does_not_delay_the_exit(self):
        read_end, write_end = self.pipe()
        greetd = self.serve_to(write_end.fileno(), config="[Server]\nStopTimeoutSec=1s\n")
        for _ in range(6000):
            self.assertEqual(greeted(self.address), GREETING)
        self.stop(greetd)

    def test_a_closed_client_causes_no_sigpipe(self):
        greetd = self.serve_to(None)
        for _ in range(100):
            connect(self.address).close()
        self.assert_greeted(self.address)
        self.stop(greetd)

    def test_a_terminal_gets_time_stamps(self):
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        greetd = self.serve_to(terminal)
        os.close(terminal)
        self.assert_greeted(self.address)
        self.stop(greetd)
        with open(controller, "rb", closefd=False, buffering=0) as file:
            lines = file.read(65536).decode().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertTrue(re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* \S", line), line)

    def test_a_pipe_gets_none(self):
        greetd = self.serve_to(None)
        self.stop(greetd)
        self.assertTrue(greetd.lines[0].startswith("Server is listening on "), greetd.lines)

    def test_a_descriptor_that_is_read_only(self):
        with open(os.devnull, "rb") as null:
            greetd = self.serve_to(null.fileno())
            with connect(self.address) as client:
                self.assertEqual(read_to_end(client), GREETING)
            self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
