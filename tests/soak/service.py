# SPDX-License-Identifier: MIT
"""The service of the soak: one greetd after another, with the sockets and the journal that systemd
would give them, and the counts of all of them."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

from support import fake_journal, metrics

TREE = pathlib.Path(__file__).resolve().parents[2]
LEAP = TREE / "build/release/tests/libsoak-leap.so"
FIRST_PORT = 7000
METRICS = ("127.0.0.1", 6999)
# In the order of enum listener in kinds.h. The last two are Unix sockets.
LISTENERS = (
    "watched", "variable", "fortune", "big", "data", "silent", "proxied", "dripped", "denied", "aborted",
    "vanished", "ipv6", "local", "abstract",
)  # fmt: skip
ABSTRACT = "greetd-soak"
LEFT_OUT = re.compile(r"(\d+) connection entries left out")
# What greetd may log besides its connections.
EXPECTED = re.compile(
    r"Server is listening on .*|Reloaded the configuration|\d+ connection entries left out|"
    r".*: (ListenStream|Backlog)= has no effect: systemd passed the sockets"
)


def version(number):
    """The watched file; is_version() in kinds.c checks it."""
    size = 100 + number * 7919 % 8000
    return f"{number:08d} {size:08d}\n{(f'{number:08d} ' * (size // 9 + 1))[:size]}end\n"


def big():
    size = 400000
    return f"{0:08d} {size:08d}\n{('00000000 ' * (size // 9 + 1))[:size]}end\n"


def fortunes():
    return "%\n".join(f"fortune {n}{'.' * (n % 50)}\n" for n in range(1000))


class Helper:
    """A program that answers each line of input with lines up to one that begins with "done"."""

    def __init__(self, name, *args):
        path = TREE / "build/release/tests" / name
        self.process = subprocess.Popen(
            [path, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._partial = b""

    def ask(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def lines(self, seconds):
        """The lines that arrive within SECONDS, at least one if there is one."""
        output = self.process.stdout
        if not select.select([output], [], [], seconds)[0]:
            return []
        data = os.read(output.fileno(), 65536)
        if not data:
            raise AssertionError(f"{self.process.args[0]} has ended")
        *whole, self._partial = (self._partial + data).split(b"\n")
        return [line.decode() for line in whole]

    def answer(self, text):
        """All lines of the answer to TEXT but the last."""
        self.ask(text)
        lines = []
        while not lines or not lines[-1].startswith("done"):
            lines += self.lines(60)
        return [line for line in lines[:-1] if not line.startswith("at ")]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class ServiceTestCase(metrics.MetricsTestCase):
    """A test with a service, whose sockets are stored (FDSTORE=1) or, with passed=True, those of a
    .socket unit."""

    def setUp(self):
        super().setUp()
        self.metrics_address = METRICS
        self.messages = self.folder / "messages"
        self.messages.touch()
        self.journal = Helper("soak-journal", fake_journal.JOURNAL, self.messages)
        self.addCleanup(fake_journal.JOURNAL.unlink)
        self.addCleanup(self.journal.end)
        self.journal.lines(60)  # ready
        self.stream, self.stream_end = socket.socketpair()
        self.addCleanup(self.stream.close)
        self.addCleanup(self.stream_end.close)
        self.store = self.fd_store()
        self.sockets = []
        self.path = self.folder / "local"
        self.n_reloads = self.n_versions = self.n_lives = 0
        self.before = 0  # connections of earlier lives
        self.limit = ""
        self.greetd = None
        self.write("big", big())
        self.write("fortunes", fortunes())
        self.replace()

    def pass_sockets(self):
        """Makes the sockets as a .socket unit does."""
        addresses = [*self.addresses().items(), ("metrics", METRICS)]
        for name, address in addresses:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            family = socket.AF_INET6 if name == "ipv6" else family
            listener = socket.socket(family)
            self.addCleanup(listener.close)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(4096)
            self.sockets.append((name, listener))

    def addresses(self):
        ports = {name: ("127.0.0.1", FIRST_PORT + i) for i, name in enumerate(LISTENERS)}
        ports["ipv6"] = ("::1", ports["ipv6"][1])
        return {**ports, "local": str(self.path), "abstract": "\0" + ABSTRACT}

    def replace(self):
        """Replaces the watched file by the next version."""
        self.n_versions += 1
        os.rename(self.write("new", version(self.n_versions)), self.folder / "watched")

    def _listen(self, name):
        if self.sockets:
            return ""
        address = self.addresses()[name]
        if isinstance(address, str):
            return f"ListenStream={address}\n".replace("\0", "@")
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"ListenStream={host}:{address[1]}\n"

    def _sections(self):
        line = f"reload {self.n_reloads}"
        more = {
            "watched": f"MessageFile={self.folder}/watched\nWatch=yes\n",
            "fortune": f"MessageFile={self.folder}/fortunes\nPick=random\n",
            "big": f"MessageFile={self.folder}/big\n",
            "data": "GreetOn=data\n",
            "silent": "GreetOn=data\nDataTimeoutSec=1s\n",
            "proxied": "ProxyProtocol=yes\n",
            "dripped": "DripSec=5ms\nMessage=" + f"{line}\\n" * 3,
            "denied": "Deny=any\n",
            "vanished": "WriteTimeoutSec=1s\n",
        }
        rest = f"{line}: $remote_addr $remote_port $listener $connection.\\n\n"
        for name in LISTENERS:
            own = more.get(name, "")
            yield f"[Listener {name}]\n{self._listen(name)}{own}{rest if name == 'dripped' else ''}"

    def configure(self):
        """Writes the next configuration; its number is in the greetings."""
        self.n_reloads += 1
        server = "" if self.sockets else "ListenStream=127.0.0.1:6998\n"
        metrics_listen = "" if self.sockets else "ListenStream=%s:%d\n" % METRICS
        config = (
            f"[Server]\n{server}StopTimeoutSec=30s\nMaxConnections=4096\n"
            "[Limits]\nMaxConnectionsPerSource=16\n"
            "RateLimitPerSourceIntervalSec=1s\nRateLimitPerSourceBurst=20\n"
            f"[Log]\n{self.limit or 'RateLimitIntervalSec=0'}\n"
            f"[Greeting]\nRefuseMessage=Not you, $remote_addr $remote_port.\\n\n"
            f"Message=reload {self.n_reloads}: "
            "$remote_addr $remote_port $listener $connection.\\n\n"
            f"{''.join(self._sections())}{metrics.METRICS_CONF}{metrics_listen}LogConnections=no\n"
        )
        os.rename(self.write("conf.new", config), self.folder / "greetd.conf")

    def begin_life(self):
        self.n_lives += 1
        stat = os.fstat(self.stream_end.fileno())
        names, sockets = zip(*self.sockets) if self.sockets else ((), ())
        self.greetd = self.serve(
            "-c", str(self.folder / "greetd.conf"), config=None, store=self.store,
            sockets=sockets, names=names, stderr=self.stream_end.fileno(),
            JOURNAL_STREAM=f"{stat.st_dev}:{stat.st_ino}", FDSTORE="64",
        )  # fmt: skip

    def end_life(self):
        self.stop(self.greetd)
        self.before = sum(self.logged().values()) + self.left_out()

    def reload(self):
        """Begins a reload, unless one is in progress."""
        reloading = len(self.greetd.values("RELOADING"))
        if len(self.greetd.values("READY")) <= reloading:
            return False
        self.configure()
        self.greetd.signal(signal.SIGHUP)
        self.greetd.wait_until(lambda: len(self.greetd.values("RELOADING")) > reloading, "RELOADING=1")
        return True

    def rest(self):
        """Waits until no reload is in progress."""
        self.greetd.wait_until(
            lambda: len(self.greetd.values("READY")) > len(self.greetd.values("RELOADING")), "READY=1"
        )

    def resident(self):
        """The resident memory of greetd in KiB."""
        text = pathlib.Path(f"/proc/{self.greetd.pid}/status").read_text("ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])

    def left_out(self):
        lines = self.messages.read_text().splitlines()
        return sum(int(match[1]) for match in map(LEFT_OUT.fullmatch, lines) if match)

    def logged(self):
        """The number of entries by listener, result and reason."""
        lines = (line.rsplit(" ", 1) for line in self.journal.answer("count"))
        return {tuple(key.split(" ")): int(n) for key, n in lines}

    def unexpected(self):
        lines = self.messages.read_text().splitlines()
        return [line for line in lines if not EXPECTED.fullmatch(line)]

    def ended(self):
        """The number of connections of this life that have ended, without those for its metrics."""
        samples = metrics.parse(self.scrape())
        return sum(
            int(value)
            for (name, labels), value in samples.items()
            if name == "greetd_connections_total" and 'listener="metrics"' not in labels
        )

    def wait_until_ended(self, total):
        """Waits until all TOTAL connections of all lives have ended, or for a minute."""
        deadline = time.monotonic() + 60
        while self.before + self.ended() != total and time.monotonic() < deadline:
            time.sleep(0.2)  # MaxConnectionsPerSource= and the rate apply to this source, too
