# SPDX-License-Identifier: MIT
"""SIGTERM: greetd drains the queue, finishes the clients in progress, and exits with 0."""

import signal
import socket
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end

BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
CLIENTS = 50
WAITING = 3000  # more clients than the workers can accept before they receive the stop


def setUpModule():
    namespaces.isolate()


class Stop(daemon.GreetdTestCase):
    def serve_big(self, **settings):
        server = "".join(f"{key}={value}\n" for key, value in settings.items())
        file = self.write("big", BIG)
        config = f"[Server]\n{server}[Greeting]\nMessageFile={file}\n"
        return self.serve("-l", "127.0.0.1:0", config=config)

    def reading_client(self, address):
        """A client in progress: it has read the beginning of a big greeting."""
        client = self.client(address, receive_buffer=8192)
        self.assertEqual(client.recv(1000, socket.MSG_WAITALL), BIG[:1000])
        return client

    def test_a_client_in_progress_is_finished(self):
        greetd = self.serve_big(StopTimeoutSec="infinity")
        client = self.reading_client(greetd.address())
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")
        self.assertEqual(read_to_end(client), BIG[1000:])
        client.close()
        self.assert_ends(greetd, 0)

    def test_no_new_client_is_accepted_while_greetd_drains(self):
        greetd = self.serve_big(StopTimeoutSec="infinity")
        client = self.reading_client(greetd.address())
        greetd.signal(signal.SIGTERM)
        self.wait_refused(greetd.address())
        self.assertEqual(read_to_end(client), BIG[1000:])

    def wait_refused(self, address):
        """Connects until greetd does not listen any more. Each attempt waits for a refusal or for
        its end of stream."""
        while True:
            try:
                with connect(address, receive_buffer=8192) as late:
                    read_to_end(late)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass

    def test_a_client_that_does_not_read_is_dropped_in_the_end(self):
        greetd = self.serve_big(StopTimeoutSec="200ms")
        client = self.reading_client(greetd.address())
        greetd.signal(signal.SIGTERM)
        self.assert_ends(greetd, 0)
        received = 1000
        try:
            while chunk := client.recv(65536):
                received += len(chunk)
        except ConnectionResetError:
            pass
        self.assertLess(received, len(BIG))

    def test_a_zero_stop_timeout_drops_clients_at_once(self):
        greetd = self.serve_big(StopTimeoutSec="0")
        self.reading_client(greetd.address())
        self.stop(greetd)

    def test_a_second_signal_ends_greetd_at_once(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(second):
                greetd = self.serve_big(StopTimeoutSec="infinity")
                self.reading_client(greetd.address())
                greetd.signal(signal.SIGTERM)
                greetd.wait_message("STOPPING", "1")
                greetd.signal(second)
                self.assert_ends(greetd, 0)

    def test_lingering_clients_do_not_delay_the_stop_for_ever(self):
        greetd = self.serve(
            "-l", "127.0.0.1:0",
            config="[Server]\nStopTimeoutSec=200ms\n[Greeting]\nLingerSec=infinity\n",
        )
        client = self.client(greetd.address())
        self.assertEqual(read_to_end(client), GREETING)
        self.stop(greetd)

    def test_every_connection_is_logged_before_the_end(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        clients = [self.client(greetd.address()) for _ in range(CLIENTS)]
        for client in clients:
            self.assertEqual(read_to_end(client), GREETING)
            client.close()
        self.stop(greetd)
        self.assertEqual(sum("Connection from " in line for line in greetd.lines), CLIENTS)

    def test_without_activation_all_pending_clients_are_greeted(self):
        greetd = self.serve("-l", "127.0.0.1:0", "-l", str(self.folder / "socket"))
        addresses = [greetd.address(0), greetd.address(1)]
        greetd.freeze()
        clients = [self.client(address) for _ in range(WAITING // 2) for address in addresses]
        greetd.signal(signal.SIGTERM)
        greetd.signal(signal.SIGCONT)
        for client in clients:
            self.assertEqual(read_to_end(client), GREETING)
            client.close()
        self.assert_ends(greetd, 0)

    def test_under_activation_the_queue_is_left_to_the_next_process(self):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        first = self.serve(config="[Greeting]\nMessage=first\n", sockets=[listener])
        first.freeze()
        clients = [self.client(listener.getsockname()) for _ in range(WAITING)]
        first.signal(signal.SIGTERM)
        first.signal(signal.SIGCONT)
        self.assert_ends(first, 0)
        self.serve(config="[Greeting]\nMessage=second\n", sockets=[listener])
        by = [read_to_end(client) for client in clients]
        self.assertEqual(by.count(b"first") + by.count(b"second"), WAITING)
        self.assertGreater(by.count(b"second"), 0)

    def test_a_stop_with_no_free_descriptor(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        greetd.limit_descriptors(0)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
