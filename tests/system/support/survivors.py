# SPDX-License-Identifier: MIT
"""Clients of a service that is killed again and again.

    survivors.py ADDRESS...

Some clients at a time connect to each ADDRESS, one after the other, unless they are paused. A
greeting is `PID NUMBER` and a newline. Each line of standard input is an order, as JSON, which is
answered by a line:

    ["pause"]              no client is under way after that; answered by []
    ["resume"]             answered by []
    ["collect"]            answered, once each client that was under way has ended, by all ends since
                           the last time
    ["hold", ADDRESS...]   two more clients for each ADDRESS, which do not read; answered by ends, of
                           those that could not connect
    ["release"]            these clients read; answered by their ends

An end is [ADDRESS, PORT, WHEN, TEXT]. WHEN is `connect` if the client could not connect, with the
error as TEXT; `receive` if it was not greeted wholly, with the error; and `greeted` with the
greeting. PORT is the client's, 0 with a Unix socket.
"""

import json
import re
import socket
import sys
import threading
import time

from client import PATIENCE_SEC, connect, receive

CLIENTS = 3
HELD = 2
PAUSE_SEC = 0.05

# A socket may ignore clients while the service is stopped.
HOLD_SEC = 0.2


def port_of(client):
    return client.getsockname()[1] if client.family != socket.AF_UNIX else 0


def end_of(address, client):
    """What CLIENT receives, which is closed."""
    port = port_of(client)
    try:
        with client:
            received = receive(client)
    except OSError as error:
        return [address, port, "receive", type(error).__name__]
    if not re.fullmatch(rb"\d+ \d+\n", received):
        return [address, port, "receive", f"only {received!r}"]
    return [address, port, "greeted", received.decode().strip()]


def begin(address, patience_sec=PATIENCE_SEC):
    """A client and None, or None and its end."""
    try:
        return connect(address, patience_sec=patience_sec), None
    except OSError as error:
        return None, [address, 0, "connect", type(error).__name__]


class Survivors:
    def __init__(self, addresses):
        self.changed = threading.Condition()
        self.ends = []
        self.paused = True
        self.held = []
        self.rounds = {}
        for address in addresses:
            for _ in range(CLIENTS):
                thread = threading.Thread(target=self.run_client, args=(address,), daemon=True)
                self.rounds[thread] = 0
        for thread in self.rounds:
            thread.start()

    def run_client(self, address):
        """The number of rounds is odd while a client is under way."""
        me = threading.current_thread()
        while True:
            with self.changed:
                self.changed.wait_for(lambda: not self.paused)
                self.rounds[me] += 1
            client, end = begin(address)
            end = end or end_of(address, client)
            with self.changed:
                self.rounds[me] += 1
                self.ends.append(end)
                self.changed.notify_all()
            time.sleep(PAUSE_SEC)

    def wait_for_ends(self):
        """Until each client that is now under way has ended."""
        before = dict(self.rounds)
        if not self.changed.wait_for(lambda: all(
                number > before[thread] or number % 2 == 0
                for thread, number in self.rounds.items()), 2 * PATIENCE_SEC):
            raise TimeoutError("a client is still under way")

    def pause(self):
        with self.changed:
            self.paused = True
            self.wait_for_ends()
        return []

    def resume(self):
        with self.changed:
            self.paused = False
            self.changed.notify_all()
        return []

    def collect(self):
        with self.changed:
            self.wait_for_ends()
            ends, self.ends = self.ends, []
        return ends

    def hold(self, *addresses):
        ends = []
        for address in addresses * HELD:
            client, end = begin(address, HOLD_SEC)
            if client:
                client.settimeout(PATIENCE_SEC)
                self.held.append((address, client))
            else:
                ends.append(end)
        return ends

    def release(self):
        held, self.held = self.held, []
        return [end_of(*each) for each in held]


def main(addresses):
    survivors = Survivors(addresses)
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        print(json.dumps(getattr(survivors, order)(*arguments)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
