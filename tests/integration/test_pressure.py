# SPDX-License-Identifier: MIT
"""At the limit of connections or descriptors new clients wait; none is refused."""

import os
import pathlib
import select
import socket
import sys
import unittest

from support import daemon, namespaces, threads
from support.daemon import GREETING, connect, read_to_end

SECCOMP_DENY = pathlib.Path(__file__).with_name("support") / "seccomp_deny.py"
PROMPT = 10  # seconds
BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold


def setUpModule():
    namespaces.isolate()


class Pressure(daemon.GreetdTestCase):
    def serve_with(self, server, greeting):
        return self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nStopTimeoutSec=0\n{server}\n[Greeting]\n{greeting}\n",
        )

    def greeted_client(self, address):
        client = self.client(address)
        self.assertEqual(read_to_end(client), GREETING)
        return client

    def line_of(self, client):
        return f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}"

    def test_the_oldest_lingering_client_is_evicted(self):
        greetd = self.serve_with("MaxConnections=4\nWorkers=1", "LingerSec=infinity")
        held = [self.greeted_client(greetd.address()) for _ in range(6)]
        greetd.wait_line(self.line_of(held[0]))
        greetd.wait_line(self.line_of(held[1]))
        self.assertEqual(len(greetd.lines), 3)

    def test_a_client_is_evicted_whichever_worker_holds_it(self):
        greetd = self.serve_with("MaxConnections=4\nWorkers=4", "LingerSec=infinity")
        for _ in range(50):
            self.greeted_client(greetd.address())

    def test_new_clients_wait_for_clients_that_are_written_to(self):
        file = self.write("big", BIG)
        greetd = self.serve_with("MaxConnections=2", f"MessageFile={file}")
        held = [self.client(greetd.address(), receive_buffer=8192) for _ in range(2)]
        for client in held:
            self.assertEqual(client.recv(1000), BIG[:1000])
        waiting = self.client(greetd.address())
        self.assert_does_not_spin(greetd, 1, [waiting])
        for client in held:
            self.assertEqual(read_to_end(client), BIG[1000:])
            client.close()
        self.assertEqual(read_to_end(waiting), BIG)

    def test_a_crowd_beyond_the_limit_is_greeted(self):
        greetd = self.serve_with("MaxConnections=3", "LingerSec=infinity")
        clients = [self.client(greetd.address()) for _ in range(200)]
        for client in clients:
            self.assertEqual(read_to_end(client), GREETING)
        self.stop(greetd)

    def test_one_connection_at_a_time(self):
        greetd = self.serve_with("MaxConnections=1\nWorkers=4", "LingerSec=infinity")
        for _ in range(50):
            self.greeted_client(greetd.address())

    def test_there_are_no_more_workers_than_connections(self):
        greetd = self.serve_with("Workers=8\nMaxConnections=3", "")
        greetd.wait_message("STATUS", "Greeting 0 clients; 0 greeted, 0 refused; 3 workers")
        self.assertEqual(sorted(threads.workers(greetd.pid)), [0, 1, 2])
        self.assert_greeted(greetd.address())

    def test_out_of_descriptors_the_oldest_lingering_client_is_evicted(self):
        greetd = self.serve_with("Workers=1", "LingerSec=infinity")
        greetd.limit_descriptors(3)
        for _ in range(20):
            self.greeted_client(greetd.address())
        self.stop(greetd)

    def test_out_of_descriptors_new_clients_wait_without_spinning(self):
        file = self.write("big", BIG)
        greetd = self.serve_with("Workers=1", f"MessageFile={file}")
        greetd.limit_descriptors(2)
        held = [self.client(greetd.address(), receive_buffer=8192) for _ in range(2)]
        for client in held:
            self.assertEqual(client.recv(1000), BIG[:1000])
        waiting = [self.client(greetd.address()) for _ in range(5)]
        greetd.wait_line(".*Too many open files.*")
        self.assert_does_not_spin(greetd, 1, waiting)
        for client in held:
            self.assertEqual(read_to_end(client), BIG[1000:])
            client.close()
        for client in waiting:
            self.assertEqual(read_to_end(client), BIG)
            client.close()
        self.stop(greetd)
        lines = [line for line in greetd.lines if "Too many open files" in line]
        self.assertIn(len(lines), (1, 2), "one entry per episode")

    def test_a_socket_denied_by_a_security_module_does_not_block_another(self):
        denied, allowed = (
            self.listening_socket(socket.AF_INET, ("127.0.0.1", 0)) for _ in range(2)
        )
        greetd = self.serve(
            sockets=[denied, allowed],
            wrapper=[sys.executable, str(SECCOMP_DENY), "accept4", str(daemon.LISTEN_FDS_START)],
        )
        for _ in range(5):
            waiting = self.client(denied.getsockname())
            client = self.client(allowed.getsockname())
            self.assertTrue(select.select([client], [], [], PROMPT)[0], greetd.output())
            self.assertEqual(read_to_end(client), GREETING)
        self.assert_does_not_spin(greetd, 1, [waiting])
        self.assert_greeted(allowed.getsockname())
        self.stop(greetd)

    def test_clients_that_close_before_they_are_accepted(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        for _ in range(300):
            connect(greetd.address()).close()
        self.assert_greeted(greetd.address())
        self.stop(greetd)
        self.assertFalse(os.path.exists(f"/proc/{greetd.pid}"))


if __name__ == "__main__":
    unittest.main()
