# SPDX-License-Identifier: MIT
"""A client that half-closes first, as nc -N does, is served, counted and logged like any other,
until it has acknowledged its greeting or has timed out."""

import pathlib
import select
import socket
import unittest

from support import daemon, fake_journal, held_path, metrics
from support.daemon import GREETING, read_to_end

DELAY = 0.15  # seconds by which an acknowledgement is delayed
MEGABYTE = bytes(range(256)) * 4096  # fits into the send buffer, but not into a receive buffer
PLACES = 2
CROWD = 20
QUIET_SEC = 1  # nothing may happen in this time


def setUpModule():
    fake_journal.isolate()


def half_close(client):
    client.shutdown(socket.SHUT_WR)


def orphans(port):
    """The unsent bytes of each connection of the local PORT that no process has open any more. (A
    pending connection is open in no process either, but has no data.)"""
    table = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    rows = [line.split() for line in table]
    left = [int(row[4].partition(":")[0], 16) for row in rows
            if row[9] == "0" and row[1].endswith(f":{port:04X}")]
    return [size for size in left if size > 0]


class Delivery(fake_journal.JournalTestCase):
    """A delayed acknowledgement is the only difference between a distant client and a near one."""

    @classmethod
    def setUpClass(cls):
        cls.path = held_path.HeldPath()

    def assert_delivered_to(self, prepare, end):
        self.addCleanup(self.path.release)
        self.listen_at(held_path.NEAR)
        # The client is pending until greetd starts.
        client = self.client((held_path.FAR, self.address[1]))
        prepare(client)
        select.select([self.listener], [], [])
        self.path.hold_to(self.address[1])
        self.serve_journal()
        port = client.getsockname()[1]
        self.assertEqual(read_to_end(client), GREETING)
        select.select([], [], [], DELAY)
        end(client)
        self.path.release()
        entry = self.entry(f"Connection from {held_path.FAR}:{port}")
        fields = [entry[f"GREETD_{key}"] for key in ("RESULT", "BYTES", "BYTES_ACKED")]
        self.assertEqual(fields, ["delivered", "18", "18"], entry)

    def test_a_client_that_closes_when_it_has_read_everything(self):
        self.assert_delivered_to(lambda client: None, socket.socket.close)

    def test_a_client_that_half_closes_first(self):
        self.assert_delivered_to(half_close, lambda client: None)


class Places(daemon.GreetdTestCase):
    def serve_megabyte(self, server, greeting=""):
        file = self.write("greeting", MEGABYTE)
        return self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nWorkers=1\nStopTimeoutSec=0\n{server}\n"
            f"[Greeting]\nMessageFile={file}\n{greeting}\n",
        )

    def half_closed_client(self, address):
        client = self.client(address, receive_buffer=8192)
        half_close(client)
        return client

    def test_clients_that_do_not_read_have_the_places_until_they_read(self):
        greetd = self.serve_megabyte(f"MaxConnections={PLACES}")
        clients = [self.half_closed_client(greetd.address()) for _ in range(CROWD)]
        select.select([], [], [], QUIET_SEC)
        began, _, _ = select.select(clients, [], [], 0)
        left = orphans(greetd.address()[1])
        print(f"  {len(began)} clients, {len(left)} orphans with {sum(left)} bytes", flush=True)
        self.assertEqual((len(began), left), (PLACES, []))
        greetd.wait_message("STATUS", f"Greeting {PLACES} clients; {PLACES} greeted, .*")
        while clients:
            began, _, _ = select.select(clients, [], [], daemon.TIMEOUT)
            self.assertLessEqual(len(began), PLACES)
            clients.remove(began[0])
            self.assertEqual(read_to_end(began[0]), MEGABYTE)

    def test_a_client_that_never_reads_times_out(self):
        greetd = self.serve_megabyte("MaxConnections=1", "WriteTimeoutSec=1s\nLingerSec=infinity")
        silent = self.half_closed_client(greetd.address())
        silent.recv(1)
        self.assertEqual(read_to_end(self.client(greetd.address())), MEGABYTE)


class Metrics(metrics.MetricsTestCase):
    def test_clients_that_do_not_read_are_active(self):
        web, scraped = (self.listening_socket(socket.AF_INET, ("127.0.0.1", 0)) for _ in range(2))
        self.metrics_address = scraped.getsockname()
        message = f"[Listener web]\nMessageFile={self.write('greeting', MEGABYTE)}\n"
        self.serve(
            config=metrics.METRICS_CONF + message,
            sockets=[web, scraped],
            names=["web", "metrics"],
        )
        for _ in range(2):
            client = self.client(web.getsockname(), receive_buffer=8192)
            half_close(client)
            client.recv(1)
        select.select([], [], [], QUIET_SEC)
        samples = metrics.parse(self.scrape())
        self.assertEqual(samples["greetd_connections_active", None], 2 + 1, "and the scrape")


if __name__ == "__main__":
    unittest.main()
