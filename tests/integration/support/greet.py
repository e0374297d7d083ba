# SPDX-License-Identifier: MIT
"""What the tests of greet share: the program, and small servers that do as they are told."""

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


def program():
    """The path of the greet under test."""
    path = os.environ.get("GREET")
    if not path:
        raise RuntimeError("set GREET to the path of the program to test")
    return os.path.abspath(path)


# What a server may do with a client


def say(client, what=GREETING):
    """As a good server: all of it, the end of stream, and closed only when the client has."""
    client.sendall(what)
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):
        pass


def say_short(client):
    say(client, GREETING[:5])


def say_wrong(client):
    say(client, GREETING.replace(b"s", b"S"))


def say_more(client):
    say(client, GREETING + b"!")


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def say_and_reset(client):
    """Breaks off in the middle, when the client has spoken."""
    client.sendall(GREETING[:5])
    client.recv(1)
    reset(client)


def say_nothing(client):
    while client.recv(65536):
        pass


class Server:
    """Listens, and treats client number N as BEHAVIOUR(N) says, each in a thread of its own."""

    def __init__(self, listener, behaviour):
        self._listener = listener
        self._behaviour = behaviour
        self._clients = []
        self._changed = threading.Condition()
        self.accepted = 0
        self.peers = set()
        self.errors = []
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while self._end not in select.select([self._listener, self._end], [], [])[0]:
            client, peer = self._listener.accept()
            with self._changed:
                behaviour = self._behaviour(self.accepted)
                self.accepted += 1
                self.peers.add(peer[0] if isinstance(peer, tuple) else peer)
                self._changed.notify_all()
            thread = threading.Thread(target=self._treat, args=(client, behaviour), daemon=True)
            self._clients.append((thread, client))
            thread.start()

    def _treat(self, client, behaviour):
        with client:
            try:
                behaviour(client)
            except ConnectionError:
                pass  # the client has closed before it had all
            except Exception as error:
                self.errors.append(error)

    def wait_accepted(self, number):
        with self._changed:
            if not self._changed.wait_for(lambda: self.accepted >= number, TIMEOUT):
                raise AssertionError(f"{self.accepted} clients instead of {number}")

    def stop(self):
        """Ends it, with all clients that are still there."""
        if not self._thread.is_alive():
            return
        os.close(self._ended)
        self._thread.join(TIMEOUT)
        os.close(self._end)
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
    """An address as it is written for greet."""
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
        """A server that treats its clients in turn as told; returns it and its address as text."""
        listener = listener or self.listen()
        server = Server(listener, lambda number: behaviours[number % len(behaviours)])
        self.addCleanup(server.stop)
        return server, text_of(listener.getsockname())

    def full_listener(self, host="127.0.0.1", port=0):
        """One whose queue is full, so that the kernel drops what newcomers send to it."""
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
        """A greet that the test does not wait for yet."""
        process = subprocess.Popen(
            [program(), *args],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=self.environment(),
        )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        process.kill()
        process.communicate()

    def assert_result(self, result, status, stdout=b"", stderr=""):
        """STDERR is what is said there, all of it, with `greet: ` before each line."""
        said = "".join(f"greet: {line}\n" for line in stderr.splitlines())
        self.assertEqual(
            (result.returncode, result.stdout, result.stderr.decode()), (status, stdout, said)
        )

    def own_hosts(self, text, services="files"):
        """An /etc with these hosts, and where the resolver is to look for names."""
        self.own_etc()
        pathlib.Path("/etc/hosts").write_text(text)
        pathlib.Path("/etc/nsswitch.conf").write_text(f"hosts: {services}\n")
