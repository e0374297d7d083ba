# SPDX-License-Identifier: MIT
"""Inherited descriptors from which greetd can't accept are refused with their number and kind."""

import os
import socket
import unittest

from support import daemon, namespaces
from support.daemon import EX_CONFIG


def setUpModule():
    namespaces.isolate()


class BadDescriptors(daemon.GreetdTestCase):
    def assert_refused(self, bad, kind):
        """BAD is the second of two sockets, which is number 4; the first one is good."""
        good = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.finish(sockets=[good, bad])
        self.assert_ends(greetd, EX_CONFIG)
        self.assertEqual(len(greetd.lines), 1, greetd.lines)
        self.assertRegex(greetd.lines[0], rf"^Descriptor 4 .* it is .*\b({kind})\b")
        self.assertFalse(any("READY" in message for message in greetd.messages))

    def socket(self, *args):
        made = socket.socket(*args)
        self.addCleanup(made.close)
        return made

    def test_a_regular_file(self):
        with open(self.write("file", "text"), "rb") as file:
            self.assert_refused(file.fileno(), "regular file")

    def test_a_directory(self):
        fd = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assert_refused(fd, "directory")

    def test_a_pipe(self):
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        self.assert_refused(ends[0], "pipe")

    def test_a_device(self):
        with open(os.devnull, "rb") as null:
            self.assert_refused(null.fileno(), "device")

    def test_a_datagram_socket(self):
        datagram = self.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", 0))
        self.assert_refused(datagram, "datagram")

    def test_a_connected_socket(self):
        a, b = socket.socketpair()
        self.addCleanup(a.close)
        self.addCleanup(b.close)
        self.assert_refused(a, "connected socket")

    def test_a_socket_that_does_not_listen(self):
        bound = self.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.bind(("127.0.0.1", 0))
        self.assert_refused(bound, "does not listen|not listening")

    def test_a_closed_number(self):
        self.assert_refused(None, "closed")

    def test_every_bad_descriptor_is_logged(self):
        datagram = self.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with open(os.devnull, "rb") as null:
            greetd = self.finish(sockets=[null.fileno(), datagram])
        self.assert_ends(greetd, EX_CONFIG)
        self.assertEqual(len(greetd.lines), 2, greetd.lines)
        self.assertRegex(greetd.lines[0], r"^Descriptor 3 .* device\b")
        self.assertRegex(greetd.lines[1], r"^Descriptor 4 .* datagram\b")


if __name__ == "__main__":
    unittest.main()
