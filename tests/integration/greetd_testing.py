# SPDX-License-Identifier: MIT
"""What the integration tests share: greetd as a real process, and clients for it.

Every test module runs in network and mount namespaces of its own (isolate()), so that any port, the
journal's socket and /etc belong to the test. A process is waited for by what it says: a line on
stderr, a message to its notify socket, its end. Nothing here sleeps; TIMEOUT only bounds how long
a test that fails takes to say so.
"""

import ctypes
import fcntl
import os
import pathlib
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import struct
import tempfile
import threading
import unittest

TIMEOUT = 60.0
GREETING = b"Hello from server!"
EX_USAGE, EX_OSERR, EX_CONFIG = 2, 71, 78
SANITIZER_STATUS = 99
CLOSED = object()  # for start(stderr=): no descriptor 2 at all

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 0x2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
LISTEN_FDS_START = 3

_libc = ctypes.CDLL(None, use_errno=True)
_isolated = False


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source, target, fstype=None, flags=0, options=None):
    """mount(2); seen by this test module and the processes it starts, and by nobody else."""
    text = [None if s is None else os.fsencode(s) for s in (source, target, fstype)]
    _check(_libc.mount(*text, ctypes.c_ulong(flags), options and options.encode()))


def _become_root():
    """A user namespace in which an ordinary user may make the others."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(CLONE_NEWUSER))
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def _inherit_nothing():
    """Closes on exec what whoever runs the tests left open."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.set_inheritable(int(name), False)


def isolate():
    """A network with nothing but lo, mounts that end with this process, no stray descriptors."""
    global _isolated
    if _isolated:
        return
    _inherit_nothing()
    if os.getuid() != 0:
        _become_root()
    _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    _loopback_up()
    pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512")
    _isolated = True


def unmount(target):
    """umount2(2), also of what is still in use."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH))


def program():
    """The path of the greetd under test."""
    path = os.environ.get("GREETD")
    if not path:
        raise RuntimeError("set GREETD to the path of the program to test")
    return os.path.abspath(path)


def connections():
    """How many connections a load test makes; builds with a sanitizer set a smaller number."""
    return int(os.environ.get("GREETD_TEST_CONNECTIONS", "100000"))


def load_program():
    """The path of the small load client, built from load.c."""
    path = os.environ.get("GREETD_LOAD")
    if not path:
        raise RuntimeError("set GREETD_LOAD to the path of the program test-load")
    return os.path.abspath(path)


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
    """All bytes up to the end of stream. A reset is an exception, so it is never taken for it."""
    received = bytearray()
    while chunk := client.recv(piece):
        received += chunk
    return bytes(received)


def greeted(address, kind=socket.SOCK_STREAM):
    """What one client is told, from connect to end of stream."""
    with connect(address, kind) as client:
        return read_to_end(client)


# The program


def _spawn(argv, environment, descriptors):
    """Starts ARGV with exactly DESCRIPTORS, a dict of number in the child to number here (None:
    closed there), and default signals. It dies with the test."""
    argv = [shutil.which("setpriv"), "--pdeathsig", "KILL", "--", *argv]
    if "LISTEN_FDS" in environment and "LISTEN_PID" not in environment:
        # Only the process itself knows its number before it runs; exec keeps it.
        argv = ["/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *argv]
    out_of_the_way = {
        target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 100)
        for target, source in descriptors.items()
        if source is not None
    }
    actions = [(os.POSIX_SPAWN_DUP2, moved, target) for target, moved in out_of_the_way.items()]
    actions += [(os.POSIX_SPAWN_CLOSE, t) for t, source in descriptors.items() if source is None]
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            environment,
            file_actions=actions,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT],
        )
    finally:
        for moved in out_of_the_way.values():
            os.close(moved)


class Process:
    """One greetd. Made by GreetdTestCase.start(), which also sees to its end."""

    def __init__(self, argv, environment, descriptors, stderr, notify, stdout):
        self.lines = []  # of stderr, without newlines
        self.messages = []  # to the notify socket, each a dict
        self.status = None  # exit status once waited for; negative for a signal
        self._stderr, self._notify, self._stdout = stderr, notify, stdout
        self._partial = b""
        self._changed = threading.Condition()
        self._ended = False
        with open(os.devnull, "rb") as null:
            standard = {0: null.fileno(), 1: stdout.fileno()}
            self.pid = _spawn(argv, environment, {**standard, **descriptors})
        self._pidfd = os.pidfd_open(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        """Collects what the process says until it has ended and all of it is read."""
        takers = {self._pidfd: lambda: False}
        if self._stderr is not None:
            takers[self._stderr] = self._take_stderr
        unfinished = set(takers)
        if self._notify:
            takers[self._notify.fileno()] = self._take_message
        poll = select.poll()
        for fd in takers:
            poll.register(fd, select.POLLIN)
        while unfinished:
            for fd, _ in poll.poll():
                with self._changed:
                    if not takers[fd]():
                        poll.unregister(fd)
                        unfinished.discard(fd)
                    self._changed.notify_all()
        with self._changed:
            while self._notify and self._take_message():
                pass
            self._ended = True
            self._changed.notify_all()

    def _take_stderr(self):
        data = os.read(self._stderr, 65536)
        *whole, self._partial = (self._partial + data).split(b"\n")
        self.lines += [line.decode(errors="surrogateescape") for line in whole]
        return bool(data)

    def _take_message(self):
        try:
            data, descriptors, _, _ = socket.recv_fds(self._notify, 65536, 16)
        except BlockingIOError:
            return False
        for descriptor in descriptors:
            os.close(descriptor)
        self.messages.append(dict(line.split("=", 1) for line in data.decode().splitlines()))
        return True

    def wait_until(self, predicate, what):
        """Waits until PREDICATE of what the process has said gives something, and returns it."""
        with self._changed:
            self._changed.wait_for(lambda: predicate() or self._ended, TIMEOUT)
            found = predicate()
            if not found:
                state = "ended" if self._ended else "runs"
                raise AssertionError(f"no {what}; the process {state}; {self.said()}")
            return found

    def wait_line(self, pattern):
        """The match of the first line on stderr that PATTERN matches as a whole."""
        compiled = re.compile(pattern)
        return self.wait_until(
            lambda: next(filter(None, map(compiled.fullmatch, self.lines)), None),
            f"line {pattern!r}",
        )

    def wait_message(self, key, pattern=".*", start=0):
        """The first value of KEY in a notify message from number START on that matches."""
        compiled = re.compile(pattern)
        return self.wait_until(
            lambda: next(
                filter(None, (compiled.fullmatch(m[key]) for m in self.messages[start:] if key in m)),
                None,
            ),
            f"{key}={pattern} from the notify socket",
        )

    def wait_stopped(self):
        """Until SIGSTOP has taken hold."""
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def limit_descriptors(self, more):
        """Lets it open only so many more than it has open now."""
        limit = len(os.listdir(f"/proc/{self.pid}/fd")) + more
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))

    def said(self):
        return f"stderr {self.lines}, notify {self.messages}"

    def address(self, index=0):
        """Where it listens, as a client needs it: the INDEXth line that tells an address."""
        said = "Server is listening on "
        text = self.wait_until(
            lambda: [line[len(said) :] for line in self.lines if line.startswith(said)][index:],
            f"line {index + 1} of where it listens",
        )[0]
        if text.startswith("/"):
            return text
        if text.startswith("@"):
            return "\0" + text[1:]
        host, _, port = text.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
        return (host, int(port))

    def signal(self, number):
        signal.pidfd_send_signal(self._pidfd, number)

    def wait(self):
        """Its exit status, negative for the signal that ended it. All lines are read by then."""
        if self.status is None:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            if not ended.poll(TIMEOUT * 1000):
                raise AssertionError(f"greetd does not end; {self.said()}")
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._reader.join(TIMEOUT)
            if self._partial:
                self.lines.append(self._partial.decode(errors="surrogateescape"))
        return self.status

    def stdout(self):
        self._stdout.seek(0)
        return self._stdout.read().decode()

    def dispose(self):
        """Ends it if it still runs, and gives back everything but what it said."""
        if self.status is None:
            self.signal(signal.SIGKILL)
            self.wait()
        os.close(self._pidfd)
        self._stdout.close()
        if self._notify:
            self._notify.close()
        if self._stderr is not None:
            os.close(self._stderr)


class GreetdTestCase(unittest.TestCase):
    """A test with a folder of its own, whose processes end with it."""

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
        mount("tmpfs", layers, "tmpfs")
        self.addCleanup(unmount, layers)
        upper, work = layers / "upper", layers / "work"
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
        mount("overlay", "/etc", "overlay", options=options)
        self.addCleanup(unmount, "/etc")
        pathlib.Path("/etc/greetd.conf").unlink(missing_ok=True)
        shutil.rmtree("/etc/greetd.conf.d", ignore_errors=True)

    def environment(self, **changes):
        """A small environment in which sanitizers write to files of this test. None removes."""
        reports = f"log_path={self.folder}/sanitizer:exitcode={SANITIZER_STATUS}"
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            environment[name] = ":".join(filter(None, (os.environ.get(name), reports)))
        environment["UBSAN_OPTIONS"] += ":halt_on_error=1:print_stacktrace=1"
        if "LSAN_OPTIONS" in os.environ:
            environment["LSAN_OPTIONS"] = os.environ["LSAN_OPTIONS"]
        environment.update(changes)
        return {key: value for key, value in environment.items() if value is not None}

    def _listen_environment(self, sockets, names):
        if not sockets:
            return {}
        environment = {"LISTEN_FDS": str(len(sockets))}
        if names:
            environment["LISTEN_FDNAMES"] = ":".join(names)
        return environment

    def _command(self, args, config):
        if config is not None:
            args = ("-c", self.write(self._new_name("config").name, config), *args)
        return [*shlex.split(os.environ.get("GREETD_WRAPPER", "")), program(), *args]

    def start(
        self,
        *args,
        config="",
        sockets=(),
        names=(),
        notify=True,
        stdout=None,
        stderr=None,
        **environment,
    ):
        """Starts greetd with ARGS and a configuration file that holds CONFIG (None: no -c).

        SOCKETS (sockets or descriptors, None for a number that is closed) are passed as systemd
        passes them, with NAMES. STDERR is a descriptor (or CLOSED) instead of the pipe that .lines
        comes from, STDOUT a file instead of one that .stdout() reads. ENVIRONMENT is added; None
        removes. Does not wait.
        """
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
        command = self._command(args, config)
        command[0] = shutil.which(command[0]) or command[0]
        stdout = stdout or tempfile.TemporaryFile(dir=self.folder)
        environment = self.environment(**changes)
        process = Process(command, environment, descriptors, read_end, notify_socket, stdout)
        self.addCleanup(process.dispose)
        if write_end is not None:
            os.close(write_end)
        return process

    @staticmethod
    def _number(thing):
        return thing.fileno() if isinstance(thing, socket.socket) else thing

    def serve(self, *args, **options):
        """start(), and wait until it says that it is ready."""
        process = self.start(*args, **options)
        process.wait_message("READY", "1")
        return process

    def finish(self, *args, **options):
        """start(), and wait for its end; for runs that end by themselves."""
        process = self.start(*args, **options)
        process.wait()
        return process

    def stop(self, process, number=signal.SIGTERM):
        """Asks it to stop, and asserts that it does so cleanly and with nothing on stdout."""
        process.signal(number)
        self.assert_ends(process, 0)

    def assert_ends(self, process, status):
        self.assertEqual(process.wait(), status, process.said())
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

