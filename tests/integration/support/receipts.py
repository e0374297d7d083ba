# SPDX-License-Identifier: MIT
"""Receipts, as greet --load --receipts writes them (see greet(1)), and `greet --reconcile`: for tests
with clients of their own.
"""

import json
import os
import socket
import subprocess
import time

ENDS = {
    ConnectionRefusedError: "refused",
    ConnectionResetError: "reset",
    BrokenPipeError: "reset",
    TimeoutError: "timeout",
}


def now_usec():
    return time.time_ns() // 1000


class Receipt:
    """The receipt of one connection, which begins now."""

    def __init__(self, number):
        self.members = {"number": number, "bytes": 0, "connect_usec": now_usec()}

    def connected(self, client, server=""):
        """Notes the address of CLIENT, a socket that is connected to SERVER."""
        self.members["server"] = server
        if client.family == socket.AF_UNIX:
            self.members |= {"address": "unix", "pid": os.getpid()}
        else:
            self.members["address"], self.members["port"] = client.getsockname()[:2]

    def proxied(self, address, port):
        """Notes that a PROXY header names ADDRESS and PORT as the source."""
        for name in ("address", "port", "pid"):
            if name in self.members:
                self.members["proxy_" + name] = self.members.pop(name)
        self.members |= {"address": address, "port": port}

    def ended(self, end, received=b""):
        """Ends it with END, or what an exception stands for, and returns its line."""
        name = end if isinstance(end, str) else ENDS.get(type(end), "unreachable")
        self.members |= {"bytes": len(received), "end": name, "end_usec": now_usec()}
        return json.dumps(self.members) + "\n"


def reconcile(program, path, journal, **options):
    """The exit status and the report of PROGRAM, a greet, on the receipts in PATH and the text
    JOURNAL."""
    result = subprocess.run(
        [program, "--reconcile", str(path), "--json"],
        input=journal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **options,
    )
    if result.stderr:
        raise ValueError(result.stderr)
    return result.returncode, json.loads(result.stdout)
