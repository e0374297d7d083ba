# SPDX-License-Identifier: MIT
"""A real HAProxy, and what it knows of its servers."""

import csv

from . import peer
from .daemon import connect, read_to_end

STATS = """\
global
    stats socket {socket}
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
    """An HAProxy with CONFIG, which listens from the beginning."""

    def __init__(self, test, config):
        self._socket = f"{test.folder}/haproxy.sock"
        stats = test.write("stats.cfg", STATS.format(socket=self._socket))
        super().__init__(test, "haproxy", "-db", "-f", stats, "-f", test.write("haproxy.cfg", config))
        self.wait_until(self._servers)

    def _servers(self):
        """The lines of `show stat` as dictionaries; none before HAProxy listens."""
        try:
            with connect(self._socket) as client:
                client.sendall(b"show stat\n")
                lines = read_to_end(client).decode().lstrip("# ").splitlines()
        except OSError:
            return []
        return list(csv.DictReader(lines))

    def server(self, name="web1"):
        """The line of `show stat` for the server NAME."""
        return next(row for row in self._servers() if row["svname"] == name)


def checking(test, check, options=""):
    """An HAProxy that only checks a server. OPTIONS are of the backend, CHECK of the server."""
    return HAProxy(test, CHECK.format(check=check, options=options))
