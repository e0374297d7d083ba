# SPDX-License-Identifier: MIT
"""Reloads under load: each client gets the greeting of one version."""

import socket
import unittest

from support import load_client, namespaces, reload

AT_ONCE = 128
RELOADS = 200
GREETING_SIZE = 256 << 10
SEND_BUFFER = 16 << 10  # so that a greeting is sent in many pieces
PROGRESS = 500  # connections between two lines of the load client


def setUpModule():
    namespaces.isolate()


class ReloadLoad(reload.ReloadTestCase, load_client.LoadTestCase):
    def versions(self):
        """Files with a greeting for each reload. No two have the same size or a line in common."""
        return [
            self.write(f"greeting-{i}", (b"%07d\n" % i) * (GREETING_SIZE // 8 + i))
            for i in range(RELOADS)
        ]

    def greeting(self, file):
        return f"[Log]\nConnections=no\n[Greeting]\nMessageFile={file}\n"

    def reload_under_load(self, greetd, client, connections, configs):
        reached = 0
        for i, config in enumerate(configs):
            while reached < connections * i // len(configs):
                self.wait_progress(client, PROGRESS)
                reached += PROGRESS
            self.assert_reloads(greetd, config)

    def test_none_is_lost_or_greeted_with_a_mixture(self):
        connections = load_client.connections()
        files = self.versions()
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        greetd = self.serve_with(self.greeting(files[0]), sockets=[listener])
        port = listener.getsockname()[1]
        client = self.load(port, connections, AT_ONCE, "-u", expected=files)
        self.reload_under_load(greetd, client, connections, [self.greeting(file) for file in files])
        counts = self.assert_none_lost(client, connections)
        self.assertGreater(counts["versions"], RELOADS // 10)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
