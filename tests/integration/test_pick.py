# SPDX-License-Identifier: MIT
"""Pick=: a client receives one entry of a fortune file, whole and unmixed."""

import signal
import unittest

from support import daemon, namespaces
from support.daemon import connect, greeted, read_to_end

ENTRIES = [letter * 300_000 + b"\n" for letter in (b"a", b"b", b"c", b"d")]


def setUpModule():
    namespaces.isolate()


class Pick(daemon.GreetdTestCase):
    def serve_entries(self, entries, settings):
        file = self.write("fortunes", b"%\n".join(entries))
        greetd = self.serve(
            config="[Server]\nListenStream=127.0.0.1:0\n"
            f"[Greeting]\nMessageFile={file}\n{settings}"
        )
        return greetd, greetd.address()

    def test_random_entries_are_all_sent_and_whole(self):
        entries = [b"one\n", b"two\nlines\n", b"x" * 5000 + b"\n"]
        _, address = self.serve_entries(entries, "Pick=random\n")
        received = set()
        while received != set(entries):
            entry = greeted(address)
            self.assertIn(entry, entries)
            received.add(entry)

    def test_slow_readers_receive_one_entry_each(self):
        _, address = self.serve_entries(ENTRIES, "Pick=random\n")
        clients = [connect(address, receive_buffer=4096) for _ in range(20)]
        received = [bytearray() for _ in clients]
        for _ in range(5):
            for client, got in zip(clients, received):
                got += client.recv(1000)
        for client, got in zip(clients, received):
            with client:
                got += read_to_end(client)
            self.assertIn(bytes(got), ENTRIES)

    def test_the_entry_of_a_day_is_the_same_for_all_clients_and_after_a_restart(self):
        greetd, address = self.serve_entries(ENTRIES[:3], "Pick=daily\n")
        first = greeted(address)
        # At midnight the entry changes; it is then the same again.
        if any(greeted(address) != first for _ in range(20)):
            first = greeted(address)
            self.assertTrue(all(greeted(address) == first for _ in range(20)))
        greetd.signal(signal.SIGTERM)
        self.assertEqual(greetd.wait(), 0)
        _, address = self.serve_entries(ENTRIES[:3], "Pick=daily\n")
        self.assertEqual(greeted(address), first)

    def test_variables_of_an_entry_are_expanded(self):
        entries = [b"to $remote_addr\n", b"at $server_addr\n"]
        _, address = self.serve_entries(entries, "Pick=random\nExpand=yes\n")
        self.assertEqual(
            {greeted(address) for _ in range(100)}, {b"to 127.0.0.1\n", b"at 127.0.0.1\n"}
        )

    def test_a_changed_file_has_other_entries_without_a_reload(self):
        _, address = self.serve_entries([b"old\n"], "Pick=random\nWatch=yes\n")
        self.assertEqual(greeted(address), b"old\n")
        self.write("fortunes", b"new\n%\nnew\n")
        while greeted(address) != b"new\n":
            pass

    def test_check_names_long_entries_and_passes(self):
        file = self.write("fortunes", "short\n%\n" + 600 * "x" + "\n")
        greetd = self.start(
            "--check", config=f"[Greeting]\nMessageFile={file}\nPick=random\n", notify=False
        )
        self.assertEqual(greetd.wait(), 0)
        self.assertIn(
            f"MessageFile={file}:3: remark: an entry of 601 bytes is longer than the 512 that "
            "RFC 865 recommends",
            "\n".join(greetd.lines),
        )

    def test_check_needs_a_file_with_entries(self):
        file = self.write("fortunes", "%\n%\n")
        for settings, error in (
            (f"MessageFile={file}\nPick=random\n", f"MessageFile={file}:1: no entry at byte 1"),
            ("Pick=daily\n", "Pick= needs MessageFile="),
            (f"MessageFile={file}\nPick=dayly\n", "did you mean daily?"),
        ):
            greetd = self.start("--check", config="[Greeting]\n" + settings, notify=False)
            self.assertEqual(greetd.wait(), daemon.EX_CONFIG)
            self.assertIn(error, "\n".join(greetd.lines))


if __name__ == "__main__":
    unittest.main()
