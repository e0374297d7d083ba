# SPDX-License-Identifier: MIT
"""greetd waits for a client that acknowledges late. Once that has acknowledged everything, it
lingers as long as any other, and can be evicted."""

import select
import unittest

from support import fake_journal, held_path
from support.daemon import GREETING, read_to_end

MEGABYTE = bytes(range(256)) * 4096  # fits into the send buffer, but not into a receive buffer
LATE = 1  # seconds; ten times LingerSec=
PROMPT = 10  # seconds; WriteTimeoutSec= is much longer


def setUpModule():
    fake_journal.isolate()


class LateAcknowledgement(fake_journal.JournalTestCase):
    def serve_with(self, server="", greeting=""):
        self.serve_journal(
            config=f"[Server]\nWorkers=1\nStopTimeoutSec=0\n{server}\n"
            f"[Greeting]\nLingerSec=100ms\nWriteTimeoutSec=10min\n{greeting}\n"
        )

    def serve_megabyte(self, server=""):
        self.serve_with(server, f"MessageFile={self.write('greeting', MEGABYTE)}")

    def late_reader(self):
        """A client that has read and acknowledged everything late, and does not close."""
        client = self.client(self.address, receive_buffer=8192)
        received = client.recv(1)
        select.select([], [], [], LATE)
        self.assertEqual(received + read_to_end(client), MEGABYTE)
        return client

    def assert_delivered(self, client, size):
        self.journal.settimeout(PROMPT)
        host, port = client.getpeername()[0], client.getsockname()[1]
        entry = self.entry(f"Connection from {host}:{port}")
        fields = [entry[f"GREETD_{key}"] for key in ("RESULT", "BYTES", "BYTES_ACKED")]
        self.assertEqual(fields, ["delivered", str(size), str(size)])
        self.assertGreaterEqual(int(entry["GREETD_DURATION_USEC"]), LATE * 1_000_000)

    def test_a_client_that_has_read_late_is_dropped_after_lingering(self):
        self.serve_megabyte()
        self.assert_delivered(self.late_reader(), len(MEGABYTE))

    def test_a_client_whose_acknowledgement_is_late_is_dropped_after_lingering(self):
        slow = held_path.HeldPath()
        self.listen_at(held_path.NEAR)
        # The client is pending until greetd starts.
        client = self.client((held_path.FAR, self.address[1]))
        select.select([self.listener], [], [])
        slow.hold_to(self.address[1])
        self.serve_with()
        self.assertEqual(read_to_end(client), GREETING)
        select.select([], [], [], LATE)
        slow.release()
        self.assert_delivered(client, len(GREETING))

    def test_a_client_that_has_read_late_makes_room_for_the_next(self):
        self.serve_megabyte("MaxConnections=1")
        self.late_reader()
        client = self.client(self.address)
        client.settimeout(PROMPT)
        self.assertEqual(read_to_end(client), MEGABYTE)


if __name__ == "__main__":
    unittest.main()
