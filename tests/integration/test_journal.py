# SPDX-License-Identifier: MIT
"""Entries in the journal's native protocol."""

import os
import re
import select
import signal
import socket
import time
import unittest

from support import daemon, fake_journal
from support.daemon import GREETING, connect, greeted, read_to_end

BIG = bytes(range(256)) * 32768


setUpModule = fake_journal.isolate

ALWAYS = {
    "GREETD_LISTENER",
    "GREETD_REMOTE_ADDR",
    "GREETD_REMOTE_PORT",
    "GREETD_CONNECTION",
    "GREETD_RESULT",
    "GREETD_BYTES",
    "GREETD_BYTES_ACKED",
    "GREETD_DURATION_USEC",
    "GREETD_TIMESTAMP",
    "GREETD_WORKER",
}


class Journal(fake_journal.JournalTestCase):
    def connection(self, client=None, port=r"\d+"):
        """The entry for a TCP connection. It has every field, whatever its result."""
        port = client.getsockname()[1] if client else port
        entry = self.entry(f"Connection from 127\\.0\\.0\\.1:{port}")
        self.assertEqual({name for name in entry if name.startswith("GREETD_")}, ALWAYS)
        self.assertRegex(entry["GREETD_DURATION_USEC"], r"^\d+$")
        return entry

    def assert_nothing_on_stderr(self):
        self.assertEqual(select.select([self.stream], [], [], 0)[0], [])

    def test_a_socket_it_listens_on(self):
        self.serve_journal()
        entry = self.entry(f"Server is listening on 127.0.0.1:{self.address[1]}")
        self.assertEqual(entry["PRIORITY"], "6")
        self.assertEqual(entry["GREETD_LISTENER"], "web")
        self.assert_nothing_on_stderr()

    def test_a_client_whose_round_trip_time_is_known(self):
        self.serve_journal("-m", "$tcpinfo_rtt")
        with connect(self.address) as client:
            self.assertGreater(int(read_to_end(client)), 0)
        self.assertGreater(int(self.entry("Connection from .*")["GREETD_RTT_USEC"]), 0)

    def test_a_client_that_was_greeted(self):
        self.serve_journal(config="[Server]\nWorkers=1\n[Listener web]\n")
        with connect(self.address) as client:
            port = client.getsockname()[1]
            self.assertEqual(read_to_end(client), GREETING)
        entry = self.entry("Connection from .*")
        fields = {name: value for name, value in entry.items() if name.startswith("GREETD_")}
        self.assertRegex(fields.pop("GREETD_DURATION_USEC"), r"^[1-9]\d*$")
        self.assertRegex(fields.pop("GREETD_CONNECTION"), r"^\d+$")
        self.assertRegex(fields.pop("GREETD_TIMESTAMP"), r"^\d+$")
        self.assertEqual(
            fields,
            {
                "GREETD_LISTENER": "web",
                "GREETD_REMOTE_ADDR": "127.0.0.1",
                "GREETD_REMOTE_PORT": str(port),
                "GREETD_RESULT": "delivered",
                "GREETD_BYTES": "18",
                "GREETD_BYTES_ACKED": "18",
                "GREETD_WORKER": "0",
            },
        )
        self.assertEqual(entry["MESSAGE"], f"Connection from 127.0.0.1:{port}")
        self.assertEqual(entry["PRIORITY"], "6")
        self.assertEqual(entry.get("SYSLOG_IDENTIFIER", "greetd"), "greetd")
        self.assert_nothing_on_stderr()

    def test_kinds_of_entries_have_ids_of_their_own(self):
        greetd = self.serve_journal()
        listening = self.entry("Server is listening on .*")
        self.assert_greeted(self.address)
        first = self.connection()
        self.assert_greeted(self.address)
        second = self.connection()
        self.assertEqual(first["MESSAGE_ID"], second["MESSAGE_ID"])
        self.assertNotEqual(first["MESSAGE_ID"], listening["MESSAGE_ID"])
        self.assertNotEqual(first["GREETD_CONNECTION"], second["GREETD_CONNECTION"])
        self.stop(greetd)

    def test_a_client_of_a_unix_socket(self):
        path = str(self.folder / "socket")
        local = self.listening_socket(socket.AF_UNIX, path)
        self.listener = local
        self.serve_journal()
        self.assert_greeted(path)
        entry = self.entry("Connection from unix.*")
        self.assertEqual(entry["MESSAGE"], f"Connection from unix:pid={os.getpid()},uid=0")
        self.assertEqual(entry["GREETD_RESULT"], "delivered")
        self.assertEqual(entry["GREETD_REMOTE_ADDR"], "unix")
        self.assertEqual(entry["GREETD_REMOTE_PID"], str(os.getpid()))
        self.assertEqual(entry["GREETD_REMOTE_UID"], str(os.getuid()))
        self.assertNotIn("GREETD_REMOTE_PORT", entry)

    def test_a_client_that_reset(self):
        self.serve_big()
        client = connect(self.address, receive_buffer=4096)
        self.assertEqual(client.recv(100), BIG[:100])
        port = client.getsockname()[1]
        client.close()
        entry = self.connection(port=port)
        self.assertEqual(entry["GREETD_RESULT"], "reset")
        self.assertLess(int(entry["GREETD_BYTES_ACKED"]), len(BIG))

    def test_a_client_that_does_not_read(self):
        self.serve_big("WriteTimeoutSec=200ms\n")
        client = self.client(self.address, receive_buffer=4096)
        entry = self.connection(client)
        self.assertEqual(entry["GREETD_RESULT"], "timeout")
        self.assertLess(int(entry["GREETD_BYTES"]), len(BIG))
        self.assertLess(int(entry["GREETD_BYTES_ACKED"]), int(entry["GREETD_BYTES"]))

    def test_a_client_that_was_cut_off_by_the_stop(self):
        greetd = self.serve_big(server="[Server]\nStopTimeoutSec=100ms\n")
        client = self.client(self.address, receive_buffer=4096)
        self.assertEqual(client.recv(100), BIG[:100])
        self.stop(greetd)
        self.assertEqual(self.connection(client)["GREETD_RESULT"], "partial")

    def test_a_client_that_read_all_of_a_big_greeting(self):
        self.serve_big()
        with connect(self.address) as client:
            self.assertEqual(read_to_end(client), BIG)
            port = client.getsockname()[1]
        entry = self.connection(port=port)
        self.assertEqual(entry["GREETD_RESULT"], "delivered")
        self.assertEqual(entry["GREETD_BYTES"], str(len(BIG)))

    def test_a_client_that_has_read_everything_and_never_closes(self):
        self.serve_journal(config="[Greeting]\nLingerSec=100ms\n")
        client = self.client(self.address)
        self.assertEqual(read_to_end(client), GREETING)
        self.assertEqual(self.connection(client)["GREETD_RESULT"], "delivered")

    def test_a_client_that_does_not_acknowledge(self):
        # The greeting fits into the server's send buffer, but not into the client's receive buffer.
        message = bytes(100_000)
        self.serve_big("LingerSec=200ms\nWriteTimeoutSec=200ms\n", message=message)
        client = self.client(self.address, receive_buffer=4096)
        entry = self.connection(client)
        self.assertEqual(entry["GREETD_RESULT"], "unconfirmed")
        self.assertEqual(entry["GREETD_BYTES"], str(len(message)))
        self.assertLess(int(entry["GREETD_BYTES_ACKED"]), len(message))

    def serve_big(self, settings="", server="", message=BIG):
        file = self.write("big", message)
        return self.serve_journal(config=f"{server}[Greeting]\nMessageFile={file}\n{settings}")

    def test_a_failure_is_logged(self):
        greetd = self.finish("-l", f"127.0.0.1:{self.address[1]}", **self.to_journal())
        self.assertEqual(greetd.status, daemon.EX_OSERR)
        entry = self.entry("Failed to listen on .*: Address already in use")
        self.assertEqual(entry["PRIORITY"], "3")

    def test_without_a_matching_stream_lines_are_written_to_stderr(self):
        stat = os.fstat(self.stream_end.fileno())
        for stream in (None, "", "nonsense", f"{stat.st_dev}:{stat.st_ino + 1}"):
            with self.subTest(stream):
                greetd = self.serve(sockets=[self.listener], JOURNAL_STREAM=stream)
                self.assert_greeted(self.address)
                greetd.wait_line(r"Connection from 127\.0\.0\.1:\d+")
                self.stop(greetd)
                self.assertEqual(select.select([self.journal], [], [], 0)[0], [])

    def test_a_stalled_journal_delays_no_client(self):
        greetd = self.serve_journal()
        for _ in range(3000):
            self.assertEqual(greeted(self.address), GREETING)
        greetd.wait_message("STATUS", ".*; 3000 greeted, .*")
        accounted = 0
        while accounted < 3000:
            entry = self.entry("Connection from .*|.* left out.*")
            dropped = re.match(r"(\d+) .*left out", entry["MESSAGE"])
            accounted += int(dropped[1]) if dropped else 1
        self.assertEqual(accounted, 3000)
        self.stop(greetd)

    def test_a_delayed_entry_has_the_time_of_its_event(self):
        greetd = self.serve_journal()
        self.entry("Server is listening on .*")
        self.fill_journal()
        before = time.time_ns() // 1000
        self.assert_greeted(self.address)
        greetd.signal(signal.SIGHUP)
        greetd.wait_message("STATUS", "Greeting 0 clients; 1 greeted, .*")
        greetd.wait_until(lambda: len(greetd.values("READY")) == 2, "end of a reload")
        after = time.time_ns() // 1000
        for _ in range(2):
            entry = self.entry("Connection from .*|Reloaded the configuration")
            self.assertTrue(before <= int(entry["GREETD_TIMESTAMP"]) <= after, entry)

    def test_a_stalled_journal_does_not_delay_the_exit(self):
        greetd = self.serve_journal(config="[Server]\nStopTimeoutSec=1s\n")
        for _ in range(3000):
            self.assertEqual(greeted(self.address), GREETING)
        greetd.signal(signal.SIGTERM)
        self.assert_ends(greetd, 0)


if __name__ == "__main__":
    unittest.main()
