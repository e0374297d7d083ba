# SPDX-License-Identifier: MIT
"""A running server of tests/bench/features, and clients for it."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from feature_servers import GREETING, Site

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from support import fake_journal  # noqa: E402

PATIENCE_SEC = 10
CLIENT_SEC = 2  # in which a server has greeted and ended, or never will
LISTEN_FDS_START = 3


class Failed(Exception):
    """Something did not happen in time, or a server did not start."""


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_SEC
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {PATIENCE_SEC} s")
        time.sleep(0.01)


def read_all(client):
    """The bytes up to the end of stream; an OSError if it does not come in time."""
    deadline, data = time.monotonic() + CLIENT_SEC, bytearray()
    while chunk := client.recv(65536):
        data += chunk
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end of stream; read {bytes(data[:20])!r}")
    return bytes(data)


def _family(pid):
    """The folders in /proc of a process and its descendants."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return [pathlib.Path(f"/proc/{member}") for member in family]


def pss_kib(pid):
    """The proportional set size of a process and its descendants."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(OSError):
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


class Lab:
    """Starts one CONTENDER in a folder of its own, on new ports."""

    _port = 7000

    def __init__(self, contender, programs):
        self.contender, self.programs = contender, programs
        self._folder = tempfile.TemporaryDirectory(prefix="features-")
        self.folder = pathlib.Path(self._folder.name)
        self.folder.chmod(0o755)

    @contextlib.contextmanager
    def start(self, **want):
        Lab._port += 1
        server = Server(self.contender, Site(self.folder, self.programs, Lab._port, want))
        try:
            server.begin()
            yield server
        finally:
            server.end()


class Server:
    def __init__(self, contender, site):
        self.contender, self.site, self.port = contender, site, site.port
        self._log = open(site.folder / "output.log", "ab", buffering=0)
        self._entries, self._stack = [], contextlib.ExitStack()
        self._listener = self._notify = self._journal = self._process = None

    @property
    def pid(self):
        return self._process.pid

    def begin(self):
        environment = dict(os.environ, LANG="C.UTF-8")
        environment.pop("NOTIFY_SOCKET", None)
        if self.site.get("inherit") and self.contender.name in INHERITING:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        path = self.site.folder / "notify"
        path.unlink(missing_ok=True)
        self._notify = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._notify.bind(str(path))
        self._notify.settimeout(PATIENCE_SEC if self.contender.name in ("greetd", "haproxy") else 1)
        environment["NOTIFY_SOCKET"] = str(path)
        if self.site.get("journal"):
            self._collect(environment)
        self._environment = environment
        self._launch()

    def _collect(self, environment):
        """Takes the place of journald; its entries are in log()."""
        fake_journal.JOURNAL.parent.mkdir(parents=True, exist_ok=True)
        fake_journal.JOURNAL.unlink(missing_ok=True)
        self._journal = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._journal.bind(str(fake_journal.JOURNAL))
        stat = os.fstat(self._log.fileno())
        environment["JOURNAL_STREAM"] = f"{stat.st_dev}:{stat.st_ino}"

        def collect():
            with contextlib.suppress(OSError):
                while entry := self._journal.recv(1 << 20):
                    fields = fake_journal.parse(entry)
                    self._entries.append(
                        f"{fields['MESSAGE']} GREETD_RESULT={fields.get('GREETD_RESULT')}")

        threading.Thread(target=collect, daemon=True).start()

    def _launch(self):
        command, options = list(map(str, self.contender.command(self.site))), {}
        if self._listener:
            command = ["sh", "-c", INHERITING[self.contender.name], "sh", *command]
            descriptor = self._listener.fileno()
            options = {"preexec_fn": lambda: os.dup2(descriptor, LISTEN_FDS_START)
                       if descriptor != LISTEN_FDS_START else os.set_inheritable(descriptor, True),
                       "close_fds": False}
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]  # ends with this script
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=self._log, env=self._environment, **options)
        try:
            wait_for(self._is_ready, "a start")
        except Failed as error:
            raise Failed(f"{error}: {self.log()[-300:]}") from None

    def _is_ready(self):
        if self._process.poll() is not None:
            raise Failed(f"{self.contender.name} has ended: {self.log()[-300:]}")
        if self._listener:
            return self.greeting() or self._process.poll() is not None
        if self.site.get("unix"):
            self.connect().close()
            return True
        tables = ("tcp", "tcp6", "udp")
        text = "".join(pathlib.Path(f"/proc/net/{name}").read_text() for name in tables)
        return f":{self.port:04X} " in text

    def end(self):
        self._halt()
        self._stack.close()
        if self._listener:
            self._listener.close()
        self.site.socket().unlink(missing_ok=True)
        self._log.close()

    def _halt(self):
        """Ends the server and all that it has started."""
        if self._process is None or self._process.poll() is not None:
            return
        family = _family(self._process.pid)[1:]
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_SEC)
                break
        for process in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)

    def stop(self):
        for process in _family(self._process.pid):
            os.kill(int(process.name), signal.SIGSTOP)

    def resume(self):
        for process in _family(self._process.pid):
            os.kill(int(process.name), signal.SIGCONT)

    def connect(self, source=None):
        if self.site.get("unix"):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(self.site.socket()))
        else:
            client = socket.create_connection((self.site.host(), self.port), PATIENCE_SEC,
                                              (source, 0) if source else None)
        client.settimeout(CLIENT_SEC)
        return client

    def greeting(self, source=None, data=b""):
        with self.connect(source) as client:
            client.sendall(data)
            if self.contender.name == "endlessh":  # it never ends
                return client.recv(1000)
            return read_all(client)

    def restart(self):
        """Stops the server and starts it again; returns how. A client that connects in between must be
        greeted: an OSError if not."""
        if self.contender.name == "accept":
            self.change_greeting(GREETING)
            return "its program was replaced, there is no other server to restart"
        self._halt()
        with self.connect() as client:
            self._launch()
            read_all(client)
        passed = ", the listening socket passed on" if self._listener else ""
        return f"stopped and started again{passed}"

    def change_greeting(self, text):
        site = self.site._replace(want={**self.site.want, "message": text})
        if self.contender.name in SIGNALS:
            self.contender.command(site)
            os.kill(self._process.pid, SIGNALS[self.contender.name])
            return SIGNALS[self.contender.name].name
        new = site.write("message.new", text)
        new.rename(site.folder / "message")
        return "its program reads a file, which was replaced"

    def notifications(self):
        with contextlib.suppress(TimeoutError):
            while "READY=1" not in (said := self._notify.recv(4096).decode()):
                pass
            return said
        return ""

    def log(self):
        files = [self.site.folder / "output.log", self.site.folder / "access.log"]
        text = "".join(file.read_text(errors="replace") for file in files if file.exists())
        return text + "".join(f"{entry}\n" for entry in self._entries)


SIGNALS = {"greetd": signal.SIGHUP, "nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2}
# Executes a server with the listening socket as descriptor 3, which each server learns in its own way.
INHERITING = {
    "greetd": 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
    "nginx": 'NGINX="3;" exec "$@"',
    "haproxy": 'exec "$@"',
}
