# SPDX-License-Identifier: MIT
"""GreetOn=data: clients send first, and clients that never send block no others."""

import shutil
import signal
import socket
import subprocess
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, greeted, read_to_end

HTTP = r"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 60\r\n\r\nBack soon, $remote_addr.\n"


def setUpModule():
    namespaces.isolate()


def greeted_after_request(address, request=b"?", **options):
    """The bytes that one client reads after it has sent REQUEST."""
    with connect(address, **options) as client:
        client.sendall(request)
        return read_to_end(client)


class GreetOnData(daemon.GreetdTestCase):
    def serve_with(self, settings="", server="", listen=("127.0.0.1:0",), **options):
        listen = "".join(f"ListenStream={address}\n" for address in listen)
        greetd = self.serve(
            config=f"[Server]\n{listen}{server}[Greeting]\nGreetOn=data\n{settings}", **options
        )
        return greetd, greetd.address()

    def assert_nothing_to_read(self, client):
        client.setblocking(False)
        with self.assertRaises(BlockingIOError):
            client.recv(1)
        client.settimeout(daemon.TIMEOUT)

    def line_of(self, client):
        return f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}"

    def test_a_client_is_greeted_when_it_sends(self):
        for listen in ("127.0.0.1:0", "[::1]:0", f"{self.folder}/socket", "@greetd-on-data"):
            with self.subTest(listen=listen):
                greetd, address = self.serve_with(listen=[listen])
                for request in (b"?", b"x" * 100_000):
                    self.assertEqual(greeted_after_request(address, request), GREETING)
                self.stop(greetd)

    def test_a_client_is_not_greeted_before_it_sends(self):
        _, address = self.serve_with("DataTimeoutSec=infinity\n")
        silent = self.client(address)
        for _ in range(20):
            self.assertEqual(greeted_after_request(address), GREETING)
        self.assert_nothing_to_read(silent)
        silent.sendall(b"?")
        self.assertEqual(read_to_end(silent), GREETING)

    def test_records_are_answered_even_empty_ones(self):
        listener = self.listening_socket(
            socket.AF_UNIX, f"{self.folder}/records", socket.SOCK_SEQPACKET
        )
        self.serve(config="[Greeting]\nGreetOn=data\n", sockets=[listener])
        for record in (b"?", b""):
            with connect(f"{self.folder}/records", socket.SOCK_SEQPACKET) as client:
                client.send(record)
                self.assertEqual(client.recv(100), GREETING)
                self.assertEqual(client.recv(100), b"")

    def test_a_client_that_sends_and_half_closes_is_greeted(self):
        _, address = self.serve_with()
        with connect(address) as client:
            client.sendall(b"?")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), GREETING)

    def test_a_client_that_only_closes_is_not_greeted(self):
        greetd, address = self.serve_with("DataTimeoutSec=infinity\n")
        with connect(address) as client:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b"")
            greetd.wait_line(self.line_of(client))

    def test_a_silent_client_times_out(self):
        greetd, address = self.serve_with("DataTimeoutSec=100ms\n")
        with connect(address) as client:
            self.assertEqual(read_to_end(client), b"")
            greetd.wait_line(self.line_of(client))
        self.assertEqual(greeted_after_request(address), GREETING)

    def test_silent_clients_do_not_keep_others_out(self):
        for workers in (1, 2):
            greetd, address = self.serve_with(
                "DataTimeoutSec=infinity\n", server=f"MaxConnections=10\nWorkers={workers}\n"
            )
            silent = [self.client(address) for _ in range(40)]
            for _ in range(50):
                self.assertEqual(greeted_after_request(address), GREETING)
            if workers == 1:  # several workers do not evict in one order
                self.assertEqual(read_to_end(silent[0]), b"")
            self.stop_at_once(greetd)

    def test_silent_clients_are_evicted_for_their_descriptors(self):
        greetd, address = self.serve_with("DataTimeoutSec=infinity\n", server="Workers=1\n")
        greetd.limit_descriptors(8)
        silent = [self.client(address) for _ in range(30)]
        for _ in range(20):
            self.assertEqual(greeted_after_request(address), GREETING)
        self.assertEqual(read_to_end(silent[0]), b"")
        self.stop_at_once(greetd)

    def stop_at_once(self, greetd):
        greetd.signal(signal.SIGTERM)
        self.stop(greetd)

    def test_a_silent_client_may_send_while_greetd_stops(self):
        greetd, address = self.serve_with(
            "DataTimeoutSec=infinity\n", server="StopTimeoutSec=infinity\n"
        )
        with connect(address) as client, connect(address) as other:
            other.sendall(b"?")
            self.assertEqual(read_to_end(other), GREETING)
            greetd.signal(signal.SIGTERM)
            greetd.wait_message("STOPPING", "1")
            self.assert_nothing_to_read(client)
            client.sendall(b"?")
            self.assertEqual(read_to_end(client), GREETING)
        self.assert_ends(greetd, 0)

    def test_a_silent_client_delays_a_stop_until_its_timeout(self):
        greetd, address = self.serve_with(
            "DataTimeoutSec=200ms\n", server="StopTimeoutSec=infinity\n"
        )
        with connect(address) as client:
            self.stop(greetd)
            self.assertEqual(read_to_end(client), b"")

    def test_the_status_counts_a_client_that_is_greeted_and_held(self):
        greetd, address = self.serve_with("LingerSec=infinity\n", server="Workers=1\n")
        client = self.client(address)
        greetd.wait_message("STATUS", "Greeting 1 client; 0 greeted, .*")
        client.sendall(b"?")
        self.assertEqual(read_to_end(client), GREETING)
        greetd.wait_message("STATUS", "Greeting 1 client; 1 greeted, .*")

    def test_listeners_differ(self):
        greetd = self.serve(
            config="[Server]\nListenStream=127.0.0.1:0\n[Listener data]\nGreetOn=data\n"
            f"ListenStream={self.folder}/data\nMessage=answer\n"
        )
        self.assertEqual(greeted(greetd.address()), GREETING)
        self.assertEqual(greeted_after_request(f"{self.folder}/data"), b"answer")

    def test_a_big_greeting_follows_a_request(self):
        path = self.write("big", b"0123456789" * 500_000)
        _, address = self.serve_with(f"MessageFile={path}\n")
        received = greeted_after_request(address, receive_buffer=4096)
        self.assertTrue(received == b"0123456789" * 500_000)


class Http(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.curl = shutil.which("curl")
        if not self.curl:
            self.skipTest("curl is not installed")
        self.greetd = self.serve(
            "-l", "127.0.0.1:0", "-m", HTTP, config="[Greeting]\nGreetOn=data\n"
        )

    def fetch(self, *args):
        url = "http://%s:%d/" % self.greetd.address()
        return subprocess.run(
            [self.curl, "--silent", "--show-error", "--noproxy", "*", *args, url],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_get_is_answered(self):
        for _ in range(20):
            run = self.fetch("--include")
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertEqual(
                run.stdout.replace("\r\n", "\n"),
                "HTTP/1.0 503 Service Unavailable\nRetry-After: 60\n\nBack soon, 127.0.0.1.\n",
            )

    def test_a_post_is_answered(self):
        body = self.write("body", b"x" * 300_000)
        run = self.fetch("--header", "Expect:", "--data-binary", f"@{body}")
        self.assertEqual((run.returncode, run.stdout), (0, "Back soon, 127.0.0.1.\n"), run.stderr)

    def test_the_http_status_is_read(self):
        run = self.fetch("--output", "/dev/null", "--write-out", "%{http_code}")
        self.assertEqual((run.returncode, run.stdout), (0, "503"))


if __name__ == "__main__":
    unittest.main()
