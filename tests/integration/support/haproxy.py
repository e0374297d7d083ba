# SPDX-License-Identifier: MIT
"""A real HAProxy, and what it knows of its servers."""

import csv
import tempfile

from . import peer
from .daemon import connect, read_to_end

STATS = """\
global
    stats socket {socket}
    log stdout format raw local0
"""
CHECK = """\
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
backend web
    {options}
    server web1 127.0.0.1:1 weight 100 {check}
"""


class HAProxy(peer.Peer):
    """An HAProxy with CONFIG, which listens from the beginning. Its output has its log."""

    def __init__(self, test, config, wrapper=()):
        folder = tempfile.mkdtemp(dir=test.folder)  # one test may have several
        self._socket = f"{folder}/socket"
        stats = test.write(f"{folder}/stats.cfg", STATS.format(socket=self._socket))
        super().__init__(test, "haproxy", "-db", "-f", stats,
                         "-f", test.write(f"{folder}/haproxy.cfg", config), wrapper=wrapper)
        self.wait_until(self._servers)

    def ask(self, command):
        """The lines of HAProxy's answer to a COMMAND of its stats socket."""
        with connect(self._socket) as client:
            client.sendall(f"{command}\n".encode())
            return read_to_end(client).decode().splitlines()

    def _servers(self):
        """The lines of `show stat` as dictionaries; none before HAProxy listens."""
        try:
            head, *rows = self.ask("show stat")
        except OSError:
            return []
        return list(csv.DictReader([head.lstrip("# "), *rows]))

    def server(self, name="web1"):
        """The line of `show stat` for the server NAME."""
        return next(row for row in self._servers() if row["svname"] == name)


def checking(test, check, options=""):
    """An HAProxy that only checks a server. OPTIONS are of the backend, CHECK of the server."""
    return HAProxy(test, CHECK.format(check=check, options=options))
