# SPDX-License-Identifier: MIT
"""greetd as a real process, its test case, and clients for it.

A test waits for output or an effect of greetd and never sleeps. TIMEOUT only bounds how long a test
takes to fail.
"""

import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import tempfile
import time
import unittest

from . import namespaces
from .fdstore import FdStore
from .process import TIMEOUT, Process

GREETING = b"Hello from server!"
EX_USAGE, EX_OSERR, EX_CONFIG = 2, 71, 78
SANITIZER_STATUS = 99
CLOSED = object()  # for start(stderr=): no descriptor 2 at all

LISTEN_FDS_START = 3


def program():
    """The path of the greetd under test."""
    path = os.environ.get("GREETD")
    if not path:
        raise RuntimeError("set GREETD to the path of the program to test")
    return os.path.abspath(path)


def instrumented():
    """The reason why processor time and memory are not those of greetd itself, or None."""
    if os.environ.get("GREETD_WRAPPER"):
        return f"greetd runs under {os.environ['GREETD_WRAPPER']}"
    code = pathlib.Path(program()).read_bytes()
    found = re.search(rb"__(asan|tsan|msan|ubsan)_[a-z]", code)
    return f"greetd is built with {found[1].decode()}" if found else None


# Clients


def connect(address, kind=socket.SOCK_STREAM, receive_buffer=None):
    """A connected socket; ADDRESS is a pair of host and port, or the name of a Unix socket."""
    if isinstance(address, (str, bytes)):
        family = socket.AF_UNIX
    else:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = socket.socket(family, kind)
    try:
        client.settimeout(TIMEOUT)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_to_end(client, piece=65536):
    """All bytes up to the end of stream. A reset raises an exception."""
    received = bytearray()
    while chunk := client.recv(piece):
        received += chunk
    return bytes(received)


def greeted(address, kind=socket.SOCK_STREAM):
    """The bytes that one client reads, from connect to end of stream."""
    with connect(address, kind) as client:
        return read_to_end(client)


class GreetdTestCase(unittest.TestCase):
    """A test with a temporary folder. Its processes end with the test."""

    def setUp(self):
        self._names = 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self._no_sanitizer_report)

    def _no_sanitizer_report(self):
        reports = [path.read_text(errors="replace") for path in self.folder.glob("sanitizer.*")]
        if reports:
            self.fail("\n".join(reports))

    def _new_name(self, stem):
        self._names += 1
        return self.folder / f"{stem}{self._names}"

    def write(self, name, content):
        """A file in the test's folder; returns its path as text."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def own_etc(self):
        """Lays a writable copy of /etc over the host's, without greetd's files, for this test."""
        layers = self.folder / "etc"
        layers.mkdir()
        namespaces.mount("tmpfs", layers, "tmpfs")
        self.addCleanup(namespaces.unmount, layers)
        upper, work = layers / "upper", layers / "work"
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
        namespaces.mount("overlay", "/etc", "overlay", options=options)
        self.addCleanup(namespaces.unmount, "/etc")
        pathlib.Path("/etc/greetd.conf").unlink(missing_ok=True)
        shutil.rmtree("/etc/greetd.conf.d", ignore_errors=True)

    def environment(self, **changes):
        """A small environment in which sanitizers write to files of this test. None removes."""
        reports = f"log_path={self.folder}/sanitizer:exitcode={SANITIZER_STATUS}"
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            environment[name] = ":".join(filter(None, (os.environ.get(name), reports)))
        environment["UBSAN_OPTIONS"] += ":halt_on_error=1:print_stacktrace=1"
        for name in ("LSAN_OPTIONS", "LLVM_PROFILE_FILE"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update(changes)
        return {key: value for key, value in environment.items() if value is not None}

    def _listen_environment(self, sockets, names):
        if not sockets:
            return {}
        environment = {"LISTEN_FDS": str(len(sockets))}
        if names:
            environment["LISTEN_FDNAMES"] = ":".join(names)
        return environment

    def _command(self, args, config, wrapper):
        if config is not None:
            args = ("-c", self.write(self._new_name("config").name, config), *args)
        return [*wrapper, *shlex.split(os.environ.get("GREETD_WRAPPER", "")), program(), *args]

    def start(
        self,
        *args,
        config="",
        sockets=(),
        names=(),
        notify=True,
        stdout=None,
        stderr=None,
        store=None,
        wrapper=(),
        **environment,
    ):
        """Starts greetd with ARGS and a configuration file that holds CONFIG (None: no -c).

        SOCKETS (sockets or descriptors, None for a number that is closed) are passed as systemd
        passes them, with NAMES. STDERR is a descriptor (or CLOSED) in place of the pipe of .lines,
        STDOUT a file in place of the one that .stdout() reads. The sockets of STORE (see
        fd_store()) are passed behind SOCKETS, and it keeps the sockets that greetd stores; without
        STORE none are kept. WRAPPER is a command that ends by executing greetd. ENVIRONMENT is
        added; None removes a variable. Does not wait.
        """
        store = store or FdStore(0)
        sockets, names = self._with_stored(sockets, names, store)
        descriptors = {LISTEN_FDS_START + i: self._number(s) for i, s in enumerate(sockets)}
        changes = self._listen_environment(sockets, names)
        notify_socket = read_end = write_end = None
        if notify:
            path = str(self._new_name("notify"))
            notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            notify_socket.bind(path)
            notify_socket.setblocking(False)
            changes["NOTIFY_SOCKET"] = path
        if stderr is None:
            read_end, write_end = os.pipe()
        descriptors[2] = None if stderr is CLOSED else write_end if stderr is None else stderr
        changes.update(environment)
        command = self._command(args, config, wrapper)
        command[0] = shutil.which(command[0]) or command[0]
        stdout = stdout or tempfile.TemporaryFile(dir=self.folder)
        environment = self.environment(**changes)
        process = Process(
            command, environment, descriptors, read_end, notify_socket, stdout, store
        )
        self.addCleanup(process.dispose)
        if write_end is not None:
            os.close(write_end)
        return process

    @staticmethod
    def _with_stored(sockets, names, store):
        if not store.names():
            return sockets, names
        names = [*names, *["unknown"] * (len(sockets) - len(names)), *store.names()]
        return [*sockets, *store.descriptors()], names

    def fd_store(self):
        """A file descriptor store for start(), emptied when the test ends."""
        store = FdStore(64)
        self.addCleanup(store.close)
        return store

    @staticmethod
    def _number(thing):
        return thing.fileno() if isinstance(thing, socket.socket) else thing

    def serve(self, *args, **options):
        """start(), and wait for READY=1."""
        process = self.start(*args, **options)
        process.wait_message("READY", "1")
        return process

    def finish(self, *args, **options):
        """start(), and wait for the end of a run that ends by itself."""
        process = self.start(*args, **options)
        process.wait()
        return process

    def stop(self, process, number=signal.SIGTERM):
        """Sends a signal, and asserts a clean exit with an empty stdout."""
        process.signal(number)
        self.assert_ends(process, 0)

    def assert_ends(self, process, status):
        self.assertEqual(process.wait(), status, process.output())
        self.assertEqual(process.stdout(), "")

    def listening_socket(self, family, address, kind=socket.SOCK_STREAM, backlog=4096):
        """A listening socket as systemd would make it: blocking, close-on-exec here."""
        listener = socket.socket(family, kind)
        self.addCleanup(listener.close)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
        return listener

    def client(self, address, **options):
        """connect(), closed when the test ends."""
        client = connect(address, **options)
        self.addCleanup(client.close)
        return client

    def assert_greeted(self, address, expected=GREETING, **options):
        self.assertEqual(greeted(address, **options), expected)

    def assert_does_not_spin(self, greetd, seconds, waiting, most=0.05):
        """In SECONDS, greetd uses less than MOST of a processor and no client of WAITING receives
        anything. A greetd that spins uses nearly a whole processor."""
        began, before = time.monotonic(), greetd.processor_seconds()
        self.assertEqual(select.select(waiting, [], [], seconds)[0], [])
        share = (greetd.processor_seconds() - before) / (time.monotonic() - began)
        print(f"  {share:.2%} of a processor while clients wait", flush=True)
        if why := instrumented():
            print(f"  processor time is not checked: {why}", flush=True)
        else:
            self.assertLess(share, most)
