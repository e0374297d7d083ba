# SPDX-License-Identifier: MIT
"""The configurations in which greetd makes its system calls, and the clients that make it do so.

A world is one greetd with all that surrounds it. Its ports are fixed: each process of the pool has
a network, a journal and mounts of its own.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import time

from clients import Clients, Collector, daemon, fake_journal
from support import receipts
from support.fake_bus import FakeBus

BIG = 256 << 10
SEND_BUFFERS = "4096 16384 65536"  # of tcp(7); far less than BIG
IDLE = -1  # the version of a configuration whose greetd exits when it is idle
LEFT_OUT = re.compile(r"(\d+) connection entries left out")


def isolate():
    """A network, a journal and mounts for the worlds of this process."""
    fake_journal.isolate()
    pathlib.Path("/proc/sys/net/ipv4/tcp_wmem").write_text(SEND_BUFFERS, encoding="ascii")


class World(fake_journal.JournalTestCase):
    """One greetd, from before its start until all about it is known."""

    def __init__(self, phase):
        super().__init__("run")
        self.clients = Clients(self.has_ended)
        self.greetd = None
        self.stderr = None
        self.collector = None
        self.changes = IDLE if phase == "idle" else 0

    def run(self, result=None):
        raise NotImplementedError

    def __enter__(self):
        try:
            self.setUp()
            self.prepare()
        except BaseException:
            self.doCleanups()
            raise
        self.collector = Collector(self.journal, self.stream)
        self.collector.start()
        return self

    def __exit__(self, *_):
        if self.collector:
            self.collector.finish()
        self.doCleanups()
        return False

    def prepare(self):
        (self.folder / "traces").mkdir()
        self.put("watched", "version 0\n")
        self.put("big", "x" * BIG)
        self.path = self.write("greetd.conf", self.configuration(self.changes))

    def put(self, name, text):
        """Replaces a file at once, as Watch=yes expects it."""
        self.write(name + ".new", text)
        os.rename(self.folder / (name + ".new"), self.folder / name)

    def launch(self, wrapper=()):
        self.greetd = self.start(
            "-c", self.path, config=None, wrapper=wrapper, WATCHDOG_USEC="3000000", **self.options()
        )
        with contextlib.suppress(FileNotFoundError):  # it has ended
            self.stderr = os.readlink(f"/proc/{self.greetd.pid}/fd/2")

    def task(self, role):
        """The thread ID of a thread: main, log or worker."""
        name = {"log": "greetd-log", "worker": "greetd-0"}.get(role)
        if not name:
            return self.greetd.pid
        for task in pathlib.Path(f"/proc/{self.greetd.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
        raise AssertionError(f"no thread {name}")

    def files(self):
        """The files, pipes and terminals that greetd reads and writes."""
        pid = self.greetd.pid
        names = [str(self.folder / name) for name in ("watched", "big")]
        return [self.path, *names, self.stderr, f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6",
                "/proc/sys/kernel/random/boot_id"]

    def reload(self):
        """Reloads, and returns whether it is over in time: READY=1 again, or the end."""
        self.changes += 1
        self.write("greetd.conf", self.configuration(self.changes))
        before = len(self.greetd.values("READY"))
        self.greetd.signal(signal.SIGHUP)
        with contextlib.suppress(AssertionError):
            self.greetd.wait_until(lambda: len(self.greetd.values("READY")) > before, "READY=1")
            return True
        return self.has_ended()

    def has_ended(self):
        if self.greetd.status is not None:
            return True
        state = pathlib.Path(f"/proc/{self.greetd.pid}/stat").read_text("ascii")
        return state.rpartition(")")[2].split()[0] == "Z"

    def read_new_file(self):
        """Replaces the watched file, and waits until clients receive it."""
        self.changes += 1
        text = f"version {self.changes}\n"
        self.put("watched", text)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not self.has_ended():
            if self.clients.plain(self.watched, rb"version \d+\n") == text.encode():
                return
            time.sleep(0.02)
        self.clients.troubles.append("the new file is not sent")

    # What is known at the end

    def texts(self):
        """All that was logged, without the entries of connections."""
        return [
            text
            for text in [
                *self.greetd.lines,
                *self.collector.lines,
                *(e["MESSAGE"] for e in self.collector.entries),
            ]
            if not text.startswith("Connection from")
        ]

    def books(self):
        """How many clients have an entry, and how many were counted instead of it."""
        lines = [*self.greetd.lines, *(e["MESSAGE"] for e in self.collector.entries)]
        entries = sum(line.startswith("Connection from") for line in lines)
        left_out = sum(int(m[1]) for m in map(LEFT_OUT.search, self.texts()) if m)
        return entries, left_out

    def reconcile(self):
        """What greet --reconcile says of the clients' receipts and the journal; None if greetd has
        logged lines."""
        entries = [entry for entry in self.collector.entries if "GREETD_TIMESTAMP" in entry]
        if not entries or not self.clients.receipts:
            return None
        path = self.write("receipts", "".join(self.clients.receipts))
        greet = pathlib.Path(daemon.program()).with_name("greet")
        return receipts.reconcile(greet, path, "".join(json.dumps(e) + "\n" for e in entries))[1]

    def undelivered(self):
        """How many entries do not claim that the client has everything; all, if they do not say."""
        results = [e.get("GREETD_RESULT") for e in self.collector.entries]
        results = [r for r in results if r]
        return sum(r != "delivered" for r in results) if results else self.books()[0]


class Own(World):
    """Sockets that greetd opens, and stores; the journal; a bus; a watched file."""

    name = "own"
    phases = ("start", "service", "reload", "stop")
    watched = ("127.0.0.1", 7002)
    hello = rb"Hello 127\.0\.0\.1 from 127\.0\.0\.1, connection \d+, rtt \d+, unit [a-z]+\d?\n"

    def prepare(self):
        super().prepare()
        self.bus = FakeBus(self.folder / "bus")
        self.bus.open()
        self.addCleanup(self.bus.close)
        self.bus.states = {"a.service": "active", "b.service": "failed"}
        self.store = self.fd_store()

    def options(self):
        return {**self.to_journal(), **self.bus.environment, "store": self.store}

    def configuration(self, version):
        unit = "ab"[version % 2]
        moved = 7006 + version % 2
        return f"""
[Server]
ListenStream=127.0.0.1:7001
Workers=1
StopTimeoutSec=3s
FastOpen=yes
[Greeting]
Message=Hello $remote_addr from $server_addr, connection $connection, rtt $tcpinfo_rtt, unit \
$unit_state{{{unit}.service}}{version}\\n
LingerSec=300ms
WriteTimeoutSec=4s
DataTimeoutSec=4s
[Limits]
MaxConnectionsPerSource=1000
Deny=127.0.0.9
[Listener watched]
ListenStream=127.0.0.1:7002
MessageFile={self.folder}/watched
Watch=yes
MaxAgeSec=1h
StaleMessage=stale
[Listener proxied]
ListenStream=127.0.0.1:7003
ProxyProtocol=yes
GreetOn=data
Message=$remote_addr $time_iso8601\\n
[Listener drip]
ListenStream=127.0.0.1:7004
DripSec=5ms
Message=one\\ntwo\\n
[Listener big]
ListenStream=127.0.0.1:7005
MessageFile={self.folder}/big
Expand=yes
[Listener moved]
ListenStream=[::]:{moved}
Message=$server_addr $metrics
[Listener unix]
ListenStream={self.folder}/unix
Message=$hostname $remote_addr
[Listener abstract]
ListenStream=@greetd
"""

    def drive(self):
        c = self.clients
        c.plain(("127.0.0.1", 7001), self.hello)
        c.lingers(("127.0.0.1", 7001), self.hello)
        c.speaks_first(("127.0.0.1", 7001), self.hello, b"y" * 50000)
        c.plain(("127.0.0.1", 7001), b"", source="127.0.0.9")
        c.resets(("127.0.0.1", 7001))
        c.speaks_first(
            ("127.0.0.1", 7003),
            rb"192\.0\.2\.7 \S+\n",
            b"PROXY TCP4 192.0.2.7 192.0.",
            b"2.8 1000 2000\r\n",
            b"data",
            proxied=("192.0.2.7", 1000),
        )
        c.speaks_first(("127.0.0.1", 7003), b"", b"no header\r\n")
        c.plain(("127.0.0.1", 7004), b"one\ntwo\n")
        c.reads_slowly(("127.0.0.1", 7005), b"x{%d}" % BIG)
        c.plain(self.moved_address(), rb"\S+ .*greetd_workers 1\n.*")
        c.plain(str(self.folder / "unix"), socket.gethostname().encode() + rb" unix:")
        c.plain("\0greetd", rb"Hello unix: from unix:@greetd, .* unit [a-z]+\d\n")

    @staticmethod
    def moved_address():
        """Each reload that succeeds moves a socket; one that fails does not."""
        for row in pathlib.Path("/proc/net/tcp6").read_text("ascii").splitlines()[1:]:
            _, local, _, state = row.split()[:4]
            if state == "0A" and int(local.rpartition(":")[2], 16) in (7006, 7007):
                return ("::1", int(local.rpartition(":")[2], 16))
        return ("::1", 7006)

    def serve_all(self, role):
        self.drive()
        if role == "main":
            self.read_new_file()
            self.wait_status()
        self.drive()

    def wait_status(self):
        """STATUS= has the number of clients, and follows within a second or two."""
        before = len(self.greetd.values("STATUS"))
        with contextlib.suppress(AssertionError):
            self.greetd.wait_until(lambda: len(self.greetd.values("STATUS")) > before, "STATUS=")


class Inherited(World):
    """Sockets that systemd passes; lines to a pipe; exit when idle."""

    name = "inherited"
    phases = ("start", "service", "reload", "stop", "idle")

    def listen_at(self, host):
        super().listen_at(host)
        watched = self.listening_socket(socket.AF_INET, (host, 0))
        self.watched = watched.getsockname()
        self.sockets = [
            self.listener,
            watched,
            self.listening_socket(socket.AF_UNIX, str(self.folder / "inherited")),
            self.listening_socket(
                socket.AF_UNIX, str(self.folder / "packets"), socket.SOCK_SEQPACKET
            ),
        ]

    def options(self):
        return {"sockets": self.sockets, "names": ["web", "watched", "unix", "packets"]}

    def configuration(self, version):
        idle = "100ms" if version == IDLE else "1h"
        return f"""
[Server]
Workers=1
StopTimeoutSec=3s
IdleExitSec={idle}
[Greeting]
Message=plain {version}\\n
LingerSec=300ms
WriteTimeoutSec=4s
DataTimeoutSec=4s
[Limits]
RateLimitPerSourceBurst=100000
[Listener watched]
MessageFile={self.folder}/watched
Watch=yes
[Listener packets]
GreetOn=data
DataTimeoutSec=20s
"""

    def drive(self):
        c = self.clients
        c.plain(self.address, rb"plain -?\d+\n")
        c.lingers(self.address, rb"plain -?\d+\n")
        c.resets(self.address)
        c.plain(self.watched, rb"version \d+\n")
        c.plain(str(self.folder / "inherited"), rb"plain -?\d+\n")
        c.sends_a_record(str(self.folder / "packets"), rb"plain -?\d+\n")

    def serve_all(self, role):
        self.drive()
        if role == "main":
            self.read_new_file()
        self.drive()


    def hold_client(self):
        """A client without which greetd would exit. It sends no data, and so receives nothing."""
        self.held = daemon.connect(str(self.folder / "packets"), socket.SOCK_SEQPACKET)
        self.addCleanup(self.held.close)
        self.clients.connected += 1


class Shards(Inherited):
    """Two workers with sockets of their own (ReusePort=yes), stored; lines to a pipe."""

    name = "shards"
    phases = ("start", "reload", "stop")
    address = watched = ("127.0.0.1", 7001)

    def listen_at(self, host):
        self.listener = None

    def options(self):
        if not hasattr(self, "store"):
            self.store = self.fd_store()
        return {"store": self.store}

    def configuration(self, version):
        return f"""
[Server]
ListenStream=127.0.0.1:7001
{"ListenStream=127.0.0.1:7002" if version % 2 else ""}
ReusePort=yes
Workers=2
StopDelaySec=50ms
[Greeting]
LingerSec=300ms
Message=plain {version}\\n
StopMessage=plain -1\\n
"""

    def drive(self):
        for _ in range(4):
            self.clients.plain(self.address, rb"plain -?\d+\n")
        self.clients.lingers(self.address, rb"plain -?\d+\n")

    def serve_all(self, role):
        self.drive()


WORLDS = {world.name: world for world in (Own, Inherited, Shards)}
