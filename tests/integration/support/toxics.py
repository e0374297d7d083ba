# SPDX-License-Identifier: MIT
"""A proxy with the faults of Toxiproxy's toxics, whose names and meanings it has:
https://github.com/Shopify/toxiproxy, version 2, folder toxics.

A toxic is a function of (source, sink, ended): it carries what the source sends to the sink until the
end of stream, or until ENDED, an event, is set. It returns True if both sockets are to be reset then,
False if they are to be closed, and None after an end of stream, which is sent on.
"""

import random
import select
import socket
import struct
import threading
import time

CHUNK = 32768
TURN_SEC = 0.05  # how soon a toxic sees that the connection has ended


def chunks(source, ended, size=CHUNK):
    """What SOURCE sends, in pieces, up to its end of stream."""
    while not ended.is_set():
        if select.select([source], [], [], TURN_SEC)[0]:
            chunk = source.recv(size)
            if not chunk:
                return
            yield chunk


def noop():
    return slicer(CHUNK, 0, 0)


def latency(delay_sec, jitter_sec=0.0):
    """Delays each chunk."""
    def pipe(source, sink, ended):
        for chunk in chunks(source, ended):
            ended.wait(delay_sec + random.uniform(-jitter_sec, jitter_sec))
            sink.sendall(chunk)
    return pipe


def bandwidth(bytes_per_sec):
    """Carries so much at most. With 0 it does not even read."""
    def pipe(source, sink, ended):
        if bytes_per_sec == 0:
            ended.wait()
            return False
        for chunk in chunks(source, ended):
            ended.wait(len(chunk) / bytes_per_sec)
            sink.sendall(chunk)
    return pipe


def slow_close(delay_sec):
    """Delays the end of stream."""
    def pipe(source, sink, ended):
        for chunk in chunks(source, ended):
            sink.sendall(chunk)
        ended.wait(delay_sec)
    return pipe


def timeout(sec):
    """Reads and carries nothing, and closes after SEC; never if that is 0."""
    def pipe(source, _, ended):
        deadline = time.monotonic() + (sec or float("inf"))
        while time.monotonic() < deadline and not ended.is_set():
            if select.select([source], [], [], TURN_SEC)[0] and not source.recv(CHUNK):
                break
        ended.wait(max(0, deadline - time.monotonic()) if sec else None)
        return False
    return pipe


def reset_peer(sec):
    """Resets both sides so long after the first data, of which it carries nothing."""
    def pipe(source, _, ended):
        select.select([source], [], [])
        ended.wait(sec)
        return True
    return pipe


def slicer(average_size, variation, delay_sec):
    """Carries pieces of about AVERAGE_SIZE bytes, with a pause after each."""
    def pipe(source, sink, ended):
        for chunk in chunks(source, ended):
            while chunk:
                size = average_size + random.randint(-variation, variation)
                sink.sendall(chunk[:size])
                chunk = chunk[size:]
                ended.wait(delay_sec)
    return pipe


def limit_data(n_bytes):
    """Closes both sides after so many bytes."""
    def pipe(source, sink, ended):
        left = n_bytes
        for chunk in chunks(source, ended):
            sink.sendall(chunk[:left])
            left -= min(left, len(chunk))
            if left == 0:
                return False
        return None
    return pipe


class Proxy:
    """Listens at .address for TEST, and connects each client to SERVER. DOWNSTREAM is the toxic for
    what SERVER sends, UPSTREAM that for what the client sends. RECEIVE_BUFFER is that for SERVER."""

    def __init__(self, test, server, downstream=None, upstream=None, receive_buffer=None):
        self._server, self._receive_buffer = server, receive_buffer
        self._toxics = downstream or noop(), upstream or noop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.address = self._listener.getsockname()
        self.ports = []  # from which it has connected to SERVER
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        test.addCleanup(self.end)

    def end(self):
        """Ends all connections."""
        self._ended.set()
        for thread in self._threads:  # the first one adds no more
            thread.join()
        self._listener.close()

    def _accept(self):
        while not self._ended.is_set():
            if select.select([self._listener], [], [], TURN_SEC)[0]:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _connect(self):
        server = socket.socket()
        if self._receive_buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        server.connect(self._server)
        self.ports.append(server.getsockname()[1])
        return server

    def _serve(self, client):
        with client, self._connect() as server:
            ended = Ended(self._ended)
            down, up = self._toxics
            other = threading.Thread(target=self._pipe, args=(up, client, server, ended))
            other.start()
            self._pipe(down, server, client, ended)
            other.join()
            if ended.reset:
                for end in client, server:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    def _pipe(toxic, source, sink, ended):
        try:
            reset = toxic(source, sink, ended)
        except OSError:
            reset = True
        if reset is None:
            try:
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                reset = True
        if reset is not None:
            ended.set(reset)


class Ended:
    """The end of one connection, or of all."""

    def __init__(self, all_ended):
        self._all, self._one, self.reset = all_ended, threading.Event(), False

    def set(self, reset):
        self.reset |= reset
        self._one.set()

    def is_set(self):
        return self._all.is_set() or self._one.is_set()

    def wait(self, sec=None):
        deadline = time.monotonic() + (float("inf") if sec is None else sec)
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._one.wait(min(left, TURN_SEC))
