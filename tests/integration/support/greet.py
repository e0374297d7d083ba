# SPDX-License-Identifier: MIT
"""The program greet, its test case, and small servers with a given behaviour."""

import contextlib
import errno
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading

from . import daemon
from .daemon import GREETING, TIMEOUT

OK, WRONG, LOST, UNABLE = 0, 1, 2, 3

EXPECT = ("--expect", GREETING.decode())


def program():
    """The path of the greet under test."""
    path = os.environ.get("GREET")
    if not path:
        raise RuntimeError("set GREET to the path of the program to test")
    return os.path.abspath(path)


# Behaviours of a server towards a client


def send_greeting(client, greeting=GREETING):
    """Sends all of GREETING and the end of stream, and returns when the client has closed."""
    client.sendall(greeting)
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):
        pass


def send_short(client):
    send_greeting(client, GREETING[:5])


def send_wrong(client):
    send_greeting(client, GREETING.replace(b"s", b"S"))


def send_more(client):
    # At the byte too many, the client may close before the end of stream is sent.
    with contextlib.suppress(OSError):
        send_greeting(client, GREETING + b"!")


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send_and_reset(client):
    """Resets within the greeting, once the client has sent a byte."""
    client.sendall(GREETING[:5])
    client.recv(1)
    reset(client)


def send_nothing(client):
    while client.recv(65536):
        pass


class Server:
    """Accepts clients. Client number N has the behaviour BEHAVIOUR(N), in a new thread."""

    def __init__(self, listener, behaviour):
        self._listener = listener
        self._behaviour = behaviour
        self._clients = []
        self._changed = threading.Condition()
        self.accepted = 0
        self.peers = set()
        self.errors = []
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while self._stop_read not in select.select([self._listener, self._stop_read], [], [])[0]:
            client, peer = self._listener.accept()
            with self._changed:
                behaviour = self._behaviour(self.accepted)
                self.accepted += 1
                self.peers.add(peer[0] if isinstance(peer, tuple) else peer)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(client, behaviour), daemon=True)
            self._clients.append((thread, client))
            thread.start()

    def _serve(self, client, behaviour):
        with client:
            try:
                behaviour(client)
            except ConnectionError:
                pass  # the client has closed before it had read everything
            except Exception as error:
                # shutdown(2) has another name for a connection that was reset.
                if getattr(error, "errno", None) != errno.ENOTCONN:
                    self.errors.append(error)

    def wait_accepted(self, number):
        with self._changed:
            if not self._changed.wait_for(lambda: self.accepted >= number, TIMEOUT):
                raise AssertionError(f"{self.accepted} clients instead of {number}")

    def stop(self):
        """Stops the server, and shuts its open connections down."""
        if not self._thread.is_alive():
            return
        os.close(self._stop_write)
        self._thread.join(TIMEOUT)
        os.close(self._stop_read)
        for thread, client in self._clients:
            if thread.is_alive():
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            thread.join(TIMEOUT)
        self._listener.close()
        if self.errors:
            raise self.errors[0]


def text_of(address):
    """ADDRESS as an argument of greet."""
    if isinstance(address, bytes):
        return "@" + address[1:].decode()
    if isinstance(address, str):
        return address
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


class GreetTestCase(daemon.GreetdTestCase):
    def listen(self, host="127.0.0.1", port=0, backlog=4096):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return self.listening_socket(family, (host, port), backlog=backlog)

    def server(self, *behaviours, listener=None):
        """A server whose clients have BEHAVIOURS in turn; returns it and its address as text."""
        listener = listener or self.listen()
        server = Server(listener, lambda number: behaviours[number % len(behaviours)])
        self.addCleanup(server.stop)
        return server, text_of(listener.getsockname())

    def full_listener(self, host="127.0.0.1", port=0):
        """A listener whose queue is full, so that the kernel drops the SYN of new clients."""
        listener = self.listen(host, port, backlog=0)
        self.client(listener.getsockname()[:2])
        return listener

    def greet(self, *args, stdout=subprocess.PIPE, **options):
        return subprocess.run(
            [program(), *args],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(),
            timeout=TIMEOUT,
            check=False,
            **options,
        )

    def begin(self, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        """A running greet; the test waits for it later."""
        process = subprocess.Popen(
            [program(), *args],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=self.environment(TERM="xterm"),
        )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        process.kill()
        process.communicate()

    def assert_result(self, result, status, stdout=b"", stderr=""):
        """STDERR is the whole of stderr without the `greet: ` before each line."""
        lines = "".join(f"greet: {line}\n" for line in stderr.splitlines())
        self.assertEqual(
            (result.returncode, result.stdout, result.stderr.decode()), (status, stdout, lines)
        )

    def own_hosts(self, text, services="files"):
        """An /etc with TEXT as its hosts, in which the resolver uses SERVICES."""
        self.own_etc()
        pathlib.Path("/etc/hosts").write_text(text)
        pathlib.Path("/etc/nsswitch.conf").write_text(f"hosts: {services}\n")
