# SPDX-License-Identifier: MIT
"""A system bus with a systemd that knows the states of units: as much of the D-Bus protocol as
sd-bus needs to call ListUnitsByNames."""

import contextlib
import os
import socket
import struct
import threading

from .process import TIMEOUT

METHOD_RETURN, NO_REPLY_EXPECTED = 2, 1
FIELD_REPLY_SERIAL, FIELD_SENDER, FIELD_SIGNATURE = 5, 7, 8
NAME = ":1.7"
PATH = "/org/freedesktop/systemd1/unit/x"


def padded(data, alignment):
    return data + bytes(-len(data) % alignment)


def string(data, text):
    """DATA with a string behind it; of signatures and paths, too, where they begin at 4 bytes."""
    return padded(data, 4) + struct.pack("<I", len(text)) + text.encode() + b"\0"


def reply_to(serial, signature, body):
    fields = struct.pack("<BBcBI", FIELD_REPLY_SERIAL, 1, b"u", 0, serial)
    fields = string(padded(fields, 8) + struct.pack("<BBcB", FIELD_SENDER, 1, b"s", 0), NAME)
    fields = padded(fields, 8) + struct.pack("<BBcB", FIELD_SIGNATURE, 1, b"g", 0)
    fields += bytes([len(signature)]) + signature.encode() + b"\0"
    start = struct.pack("<cBBBII", b"l", METHOD_RETURN, NO_REPLY_EXPECTED, 1, len(body), serial)
    return padded(start + struct.pack("<I", len(fields)) + fields, 8) + body


def names_in(body):
    """The strings of an array."""
    at, names = 4, []
    while at < len(body):
        at += -at % 4
        (length,) = struct.unpack_from("<I", body, at)
        names.append(body[at + 4 : at + 4 + length].decode())
        at += 4 + length + 1
    return names


def listed(name, state):
    """The a(ssssssouso) element of a unit; the array begins at 8 bytes, like each element."""
    data = b""
    for text in (name, "A unit", "loaded", state, "dead", "", PATH):
        data = string(data, text)
    return string(string(padded(data, 4) + bytes(4), ""), "/")


class FakeBus:
    """Listens at PATH. STATES are those of units by name; others are inactive. While SILENT,
    systemd does not answer. The bus authenticates nobody until MUTE is set, if that is an event."""

    def __init__(self, path):
        self.path, self.states = str(path), {}
        self.silent, self.mute = False, None
        self.requests = []  # the names of each
        self.connections = 0  # that are open
        self._changed = threading.Condition()
        self._sockets = []

    @property
    def environment(self):
        return {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.path}"}

    def open(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        self._sockets = [listener]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self):
        """Leaves all clients, as a bus that ends does."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def wait_until(self, predicate):
        with self._changed:
            if not self._changed.wait_for(predicate, TIMEOUT):
                raise AssertionError(f"{self.connections} connections, {self.requests[-5:]}")

    def wait_for_requests(self, more):
        goal = len(self.requests) + more
        self.wait_until(lambda: len(self.requests) >= goal)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._count(1)
        with contextlib.suppress(OSError, EOFError), client.makefile("rb") as stream:
            while not stream.readline().endswith(b"BEGIN\r\n"):
                pass
            if self.mute:
                self.mute.wait()
            self._authenticate(client)
            while True:
                self._answer(client, *self._read(stream))
        self._count(-1)

    def _count(self, more):
        with self._changed:
            self.connections += more
            self._changed.notify_all()

    @staticmethod
    def _authenticate(client):
        client.sendall(b"DATA\r\nOK " + b"0" * 31 + b"1\r\nAGREE_UNIX_FD\r\n")

    @staticmethod
    def _read(stream):
        """The serial number, the header and the body of a call."""
        start = stream.read(16)
        if len(start) < 16:
            raise EOFError
        length, serial, n_fields = struct.unpack_from("<III", start, 4)
        fields = stream.read(n_fields + -n_fields % 8)
        return serial, fields, stream.read(length)

    def _answer(self, client, serial, fields, body):
        if b"ListUnitsByNames" not in fields:
            client.sendall(reply_to(serial, "s", string(b"", NAME)))
            return
        names = names_in(body)
        with self._changed:
            self.requests.append(names)
            self._changed.notify_all()
        if self.silent:
            return
        array = b""
        for name in names:
            array = padded(array, 8) + listed(f"of-{name}", self.states.get(name, "inactive"))
        body = padded(struct.pack("<I", len(array)), 8) + array
        client.sendall(reply_to(serial, "a(ssssssouso)", body))
