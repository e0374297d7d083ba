# SPDX-License-Identifier: MIT
"""A socket in the place of journald, for entries in the native protocol.

$JOURNAL_STREAM is described in systemd.exec(5), the protocol at
https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import contextlib
import os
import pathlib
import re
import socket
import threading

from . import daemon, namespaces

JOURNAL = pathlib.Path("/run/systemd/journal/socket")
OTHER = "An entry of another program"


def isolate():
    """For setUpModule: a network and a journal for this test module alone."""
    namespaces.isolate()
    namespaces.mount("tmpfs", "/run", "tmpfs")
    JOURNAL.parent.mkdir(parents=True)


def parse(datagram):
    """The fields of one entry. A value with newlines follows its size instead of a "="."""
    fields = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields


@contextlib.contextmanager
def collecting(journal):
    """Reads all entries from the socket JOURNAL while the block runs, at whose end greetd must have
    ended. Yields their list."""
    entries = []

    def collect():
        while (entry := parse(journal.recv(1 << 20)))["MESSAGE"] != OTHER:
            entries.append(entry)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield entries
    finally:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(f"MESSAGE={OTHER}\n".encode(), str(JOURNAL))
        thread.join()


class JournalTestCase(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(JOURNAL.unlink)
        self.addCleanup(self.journal.close)
        self.journal.bind(str(JOURNAL))
        self.journal.settimeout(daemon.TIMEOUT)
        self.stream, self.stream_end = socket.socketpair()
        self.addCleanup(self.stream.close)
        self.addCleanup(self.stream_end.close)
        self.listen_at("127.0.0.1")

    def listen_at(self, host):
        self.listener = self.listening_socket(socket.AF_INET, (host, 0))
        self.address = self.listener.getsockname()

    def to_journal(self):
        """Options of start() for a greetd whose stderr is connected to this journal."""
        stat = os.fstat(self.stream_end.fileno())
        return {
            "stderr": self.stream_end.fileno(),
            "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}",
        }

    def serve_journal(self, *args, **options):
        return self.serve(
            *args, sockets=[self.listener], names=["web"], **self.to_journal(), **options
        )

    def fill_journal(self):
        """Fills the queue of the socket, as a stalled journald does."""
        with contextlib.suppress(BlockingIOError):
            while True:  # each from a new sender, so that no send buffer is the limit
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                    other.setblocking(False)
                    other.sendto(f"MESSAGE={OTHER}\n".encode(), str(JOURNAL))

    def entry(self, message):
        """The next entry whose MESSAGE= matches. Each entry must have the common fields."""
        while True:
            datagram, descriptors, _, _ = socket.recv_fds(self.journal, 1 << 20, 1)
            self.assertEqual(descriptors, [])
            fields = parse(datagram)
            if fields["MESSAGE"] == OTHER:
                continue
            self.assertRegex(fields["MESSAGE_ID"], "^[0-9a-f]{32}$")
            self.assertRegex(fields["PRIORITY"], "^[0-7]$")
            if re.fullmatch(message, fields["MESSAGE"]):
                return fields
