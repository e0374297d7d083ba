# SPDX-License-Identifier: MIT
"""Clients that stay connected to a tarpit and read what it sends.

    drip_clients.py PORT CLIENTS SECONDS

Connects the CLIENTS one by one over SECONDS, so that their lines are not due all at once, and prints
`ready`. Then prints, for each line of input, how many lines they have received so far. Ends with the
input.
"""

import os
import resource
import select
import socket
import sys
import time

OWN_FILES = 100
PER_SOURCE = 5000  # clients with one source address, far fewer than it has ports
PIECE = 4096


def connect(port, number):
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((f"127.0.1.{1 + number // PER_SOURCE}", 0))
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


class Clients:
    """All clients, by descriptor, and the lines that they have received."""

    def __init__(self):
        self._clients = {}
        self._epoll = select.epoll()
        self.n_lines = 0

    def add(self, client):
        self._clients[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def watch_input(self):
        self._epoll.register(sys.stdin, select.EPOLLIN)

    def read(self, seconds):
        """Reads what has arrived within SECONDS, and returns whether there is input for us."""
        asked = False
        for descriptor, _ in self._epoll.poll(seconds):
            if descriptor == sys.stdin.fileno():
                asked = True
            elif not (received := self._clients[descriptor].recv(PIECE)):
                sys.exit("drip_clients: a client was closed")
            else:
                self.n_lines += received.count(b"\n")
        return asked


def main():
    port, n, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n + OWN_FILES:  # which only root may exceed
        hard = n + OWN_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = Clients()
    began = time.monotonic()
    for number in range(n):
        while (left := began + seconds * number / n - time.monotonic()) > 0:
            clients.read(left)
        clients.add(connect(port, number))
    print("ready", flush=True)
    clients.watch_input()
    while True:
        if clients.read(-1):
            if not os.read(sys.stdin.fileno(), PIECE):
                return
            print(clients.n_lines, flush=True)


if __name__ == "__main__":
    main()
