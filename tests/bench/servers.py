# SPDX-License-Identifier: MIT
"""The servers that are compared: each our own process on a loopback port, on one processor."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
GREETING = "Hello from server!"
PATIENCE_SEC = 10
FIRST_PORT = 21000  # below the range that clients are given theirs from

GREETD_CONF = """[Server]
ListenStream=127.0.0.1:{port}
Workers=1
[Greeting]
{message}
LingerSec={linger}
[Log]
{log}
{more}
"""

NGINX_CONF = """load_module {module};
daemon off;
worker_processes 1;
pid {scratch}/nginx-{port}.pid;
error_log stderr;
events {{ worker_connections 16384; }}
stream {{
    log_format basic '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received '
                     '$session_time';
    access_log {access_log};
    server {{
        listen 127.0.0.1:{port} backlog=4096{options};
        return "{greeting}";
    }}
}}
"""


class Unmeasured(Exception):
    """Something that could not be measured, and why."""


class Site(NamedTuple):
    """What a server is started with."""

    programs: pathlib.Path
    scratch: pathlib.Path
    memory: pathlib.Path  # a folder in a tmpfs, so that no disk is measured
    port: int


def write(site, name, text):
    path = site.scratch / name
    path.write_text(text, encoding="utf-8")
    return path


def configured(site, **settings):
    text = GREETD_CONF.format(port=site.port, **settings)
    path = write(site, f"greetd-{site.port}.conf", text)
    return [site.programs / "greetd", f"--config={path}"]


def greetd(linger="2s", log="Connections=no", message=GREETING, more=""):
    return lambda site: configured(
        site, linger=linger, log=log, message=f"Message={message}", more=more
    )


# A child replaces the file ten times a second, as long as the shell's process, which becomes
# greetd, is there.
REPLACE = """file=$1; shift; parent=$$
while sleep 0.1 && kill -0 $parent; do cp "$file" "$file.new" && mv "$file.new" "$file"; done &
exec "$@"
"""


def greetd_file(watch):
    def command(site):
        file = write(site, f"message-{site.port}", GREETING)
        message = f"MessageFile={file}\nWatch={'yes' if watch else 'no'}"
        greetd_command = configured(
            site, linger="2s", log="Connections=no", message=message, more=""
        )
        return ["sh", "-c", REPLACE, "sh", file, *greetd_command] if watch else greetd_command

    return command


def with_journal(mode, command):
    """A mount namespace is root's to make, or that of a user namespace's root."""
    become_root = [] if os.getuid() == 0 else ["--map-root-user"]
    prefix = ["unshare", "--mount", *become_root, "python3", HERE / "journal.py", mode]
    return lambda site: [*prefix, *command(site)]


def silenced(command):
    return lambda site: ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", *command(site)]


def floor(*options):
    return lambda site: [site.programs / "tests/bench/bench-floor", *options, str(site.port)]


def nginx(logs=False, options=""):
    def command(site):
        modules = sorted(pathlib.Path("/usr").glob("lib*/nginx/modules/ngx_stream_module.so"))
        if not modules:
            raise Unmeasured("nginx has no stream module")
        access_log = f"{site.memory}/access.log basic" if logs else "off"
        text = NGINX_CONF.format(
            module=modules[0], scratch=site.scratch, port=site.port, greeting=GREETING,
            access_log=access_log, options=options
        )  # fmt: skip
        path = write(site, f"nginx-{site.port}.conf", text)
        return ["nginx", "-p", site.scratch, "-e", "stderr", "-c", path]

    return command


def haproxy(options=""):
    return lambda site: ["env", f"BENCH={HERE}", f"PORT={site.port}", f"OPTIONS={options}",
                         "haproxy", "-q", "-db", "-f", HERE / "haproxy.cfg"]  # fmt: skip


def python(site):
    return ["python3", HERE / "ten_lines.py", str(site.port)]


class Kind(NamedTuple):
    """One of the contestants."""

    name: str  # for --only and the results
    title: str
    command: object  # from a Site to a command line
    table: str = "plain"  # where it is shown: "plain" is the main comparison
    has_master: bool = False  # its only child is the one that serves
    holds: bool = False  # keeps clients that do not close
    greeting: str = GREETING  # None if no two are the same
    sends: bytes = b""  # what a client sends first
    before: int = 0  # so many connections, not counted, come right before each measurement
    unlogged: str = None  # the name of the one that differs from this only in not logging
    fixed: str = "greetd"  # the name of the one that sends about as much, without variables


# So many that none is left out: what is left out costs less.
EVERY_ENTRY = "RateLimitIntervalSec=0"
AS_IT_COMES = "Connections=yes"
LIMIT_BURST = 5000  # RateLimitBurst= as it comes, in 30 s
# Two messages of about the same length.
FIXED = "127.0.0.1:54321 127.0.0.1:12345 2026-01-01T00:00:00+00:00 1767225600.000"
ADDRESSES_AND_TIME = "$remote_addr:$remote_port $server_addr:$server_port $time_iso8601 $msec"

KINDS = [
    Kind("greetd", "greetd", greetd()),
    Kind("greetd-nolinger", "greetd, LingerSec=0", greetd("0")),
    Kind("greetd-held", "greetd, LingerSec=10min", greetd("10min"), table="held", holds=True),
    Kind("floor", "floor", floor()),
    Kind("floor-linger", "lingering floor", floor("--linger")),
    Kind("nginx", "nginx", nginx(), has_master=True),
    Kind("haproxy", "HAProxy, Lua", haproxy(), holds=True),
    Kind("python", "ten lines of Python", python),
    Kind("greetd-journal", "greetd, a live journal",
         with_journal("live", greetd(log=AS_IT_COMES)),
         table="log", has_master=True, before=LIMIT_BURST, unlogged="greetd"),
    Kind("greetd-stalled", "greetd, a blocked journal",
         with_journal("stalled", greetd(log=AS_IT_COMES)),
         table="log", has_master=True, unlogged="greetd"),
    Kind("greetd-every", "greetd, every entry to /dev/null",
         silenced(greetd(log=EVERY_ENTRY)), table="log", unlogged="greetd"),
    Kind("greetd-every-nolinger", "greetd, LingerSec=0, every entry to /dev/null",
         silenced(greetd("0", log=EVERY_ENTRY)), table="log", unlogged="greetd-nolinger"),
    Kind("nginx-log", "nginx, access_log",
         nginx(logs=True), table="log", has_master=True, unlogged="nginx"),
    Kind("greetd-variable", "`Message=Hello $remote_addr`",
         greetd(message="Hello $remote_addr"), table="variables", greeting="Hello 127.0.0.1"),
    Kind("greetd-fixed", f"a message of {len(FIXED) + 2} bytes without variables",
         greetd(message=FIXED + r"\r\n"), table="variables", greeting=FIXED + "\r\n"),
    Kind("greetd-time", rf"`Message={ADDRESSES_AND_TIME}\r\n`",
         greetd(message=ADDRESSES_AND_TIME + r"\r\n"), table="variables", greeting=None,
         fixed="greetd-fixed"),
    Kind("greetd-file", "`MessageFile=`", greetd_file(watch=False), table="variables"),
    Kind("greetd-watch", "`Watch=yes`, the file replaced 10 times a second",
         greetd_file(watch=True), table="variables", fixed="greetd-file"),
    Kind("greetd-metrics", "`Message=$metrics`",
         greetd(message="$metrics"), table="variables", greeting=None),
]  # fmt: skip


def wait_until(condition, what):
    """Looks again and again; the servers have no common way to tell that they are ready."""
    deadline = time.monotonic() + PATIENCE_SEC
    while not condition():
        if time.monotonic() > deadline:
            raise Unmeasured(f"{what} within {PATIENCE_SEC} s")
        time.sleep(0.01)


def free_port(first):
    for port in range(first, first + 1000):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                return port
    raise Unmeasured(f"no free port from {first} on")


def read_status(pid, key):
    """A number of /proc/PID/status, see proc(5)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise Unmeasured(f"process {pid} has no {key}")


def end(process):
    """Ends a child of ours, by its id."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """One that runs until the ExitStack given has ended."""

    def __init__(self, kind, site, processor, stack):
        self.kind = kind
        self.address = f"127.0.0.1:{site.port}"
        self.port = site.port
        self._log = site.scratch / f"{kind.name}.log"
        with open(self._log, "wb") as log:
            # The output of the ten lines of Python is dropped; stderr has the error of a failed start.
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(processor), *kind.command(site)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        stack.callback(end, self._process)
        wait_until(self._greets, f"{kind.name} did not greet")
        self.pid = self._serving_pid()
        if kind.has_master:
            stack.callback(self._end_orphan, self.pid)
        self.idle_rss_kib = self.rss_kib()
        self._least_descriptors = self._count_descriptors()

    def _greets(self):
        if self._process.poll() is not None:
            log = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise Unmeasured(f"{self.kind.name} has ended: {log}")
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE_SEC) as sock:
                sock.sendall(self.kind.sends)
                greeting = sock.makefile("rb").read().decode()
                return greeting == (self.kind.greeting or greeting)
        return False

    def _serving_pid(self):
        pid = self._process.pid
        if not self.kind.has_master:
            return pid
        path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        return int(path.read_text(encoding="ascii").split()[0])

    def _end_orphan(self, pid):
        """Runs before the master is ended, which ends it too, unless it is gone itself."""
        if self._process.poll() is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def processor_seconds(self):
        threads = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((t / "schedstat").read_text("ascii").split()[0]) for t in threads) / 1e9

    def rss_kib(self):
        return read_status(self.pid, "VmRSS")

    def _count_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def count_clients(self):
        """What it has open beyond the least that was ever seen."""
        descriptors = self._count_descriptors()
        self._least_descriptors = min(self._least_descriptors, descriptors)
        return descriptors - self._least_descriptors

    def is_quiet(self):
        return self.count_clients() == 0
