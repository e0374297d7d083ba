# SPDX-License-Identifier: MIT
"""A real HAProxy that checks one server, and what it knows of that server."""

import csv
import subprocess

from .daemon import TIMEOUT, connect, read_to_end

CONFIG = """\
global
    stats socket {folder}/haproxy.sock
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
backend web
    {options}
    server web1 127.0.0.1:1 weight 100 {check}
"""


class HAProxy:
    """An HAProxy that listens only on a Unix socket in the folder of TEST, with which it ends. OPTIONS
    are of the backend, CHECK of the server."""

    def __init__(self, test, check, options=""):
        self.socket = f"{test.folder}/haproxy.sock"
        config = test.write("haproxy.cfg", CONFIG.format(folder=test.folder, check=check,
                                                         options=options))
        self._log = open(f"{test.folder}/haproxy.log", "w+", encoding="utf-8")
        test.addCleanup(self._log.close)
        self._process = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=self._log,
                                         stderr=self._log)
        test.addCleanup(self._process.wait, TIMEOUT)
        test.addCleanup(self._process.kill)

    def server(self):
        """The line of `show stat` for the server, as a dictionary; empty before HAProxy listens."""
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"haproxy has ended: {self._log.read()}")
        try:
            with connect(self.socket) as client:
                client.sendall(b"show stat\n")
                lines = read_to_end(client).decode().lstrip("# ").splitlines()
        except OSError:
            return {}
        return next((row for row in csv.DictReader(lines) if row["svname"] == "web1"), {})
