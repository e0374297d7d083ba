# SPDX-License-Identifier: MIT
"""greetd loses none of many connections."""

import contextlib
import os
import pathlib
import re
import socket
import unittest

from support import load_client, namespaces

AT_ONCE = 128
RESTARTS = 20
SENT_BYTES = 4096


def setUpModule():
    namespaces.isolate()


class Load(load_client.LoadTestCase):
    def serve_inherited(self, listener):
        return self.serve(sockets=[listener], stderr=self.log_file())

    def held_connections(self, greetd, listener):
        """The TCP sockets that greetd has open besides the listening one."""
        table = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        inodes = {line.split()[9] for line in table} - {str(os.fstat(listener.fileno()).st_ino)}
        held = []
        for path in pathlib.Path(f"/proc/{greetd.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                held += re.findall(r"^socket:\[(\d+)\]$", os.readlink(path))
        return sorted(inodes & set(held))

    def run_load(self, *options):
        connections = load_client.connections()
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve_inherited(listener)
        client = self.load(listener.getsockname()[1], connections, AT_ONCE, *options)
        self.assert_none_lost(client, connections)
        greetd.wait_message("STATUS", f"Greeting 0 clients; {connections} greeted, .*")
        self.assertEqual(self.held_connections(greetd, listener), [])
        self.stop(greetd)
        self.assertEqual(self.logged_connections(), connections)

    def test_none_is_lost(self):
        self.run_load()

    def test_none_is_lost_that_sends_first(self):
        self.run_load("-s", str(SENT_BYTES))

    def run_load_under_restarts(self, connections, at_once, *options):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve_inherited(listener)
        port = listener.getsockname()[1]
        client = self.load(port, connections, at_once, "-u", *options)
        for _ in range(RESTARTS):
            self.wait_progress(client, connections // (RESTARTS + 1))
            self.stop(greetd)
            greetd = self.serve_inherited(listener)
        self.assert_none_lost(client, connections)
        self.stop(greetd)

    def test_none_is_lost_under_restarts(self):
        self.run_load_under_restarts(load_client.connections(), AT_ONCE)

    def test_none_is_lost_that_sends_first_under_restarts(self):
        self.run_load_under_restarts(load_client.connections(), AT_ONCE, "-s", str(SENT_BYTES))

    def test_none_of_a_few_clients_is_lost_under_restarts(self):
        self.run_load_under_restarts(load_client.connections() // 5, 8)


if __name__ == "__main__":
    unittest.main()
