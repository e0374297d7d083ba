# SPDX-License-Identifier: MIT
"""greetd as a process that is waited for by what it says: a line on stderr, a message to its notify
socket, its end."""

import contextlib
import fcntl
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import threading

TIMEOUT = 60.0


def _spawn(argv, environment, descriptors):
    """Starts ARGV with exactly DESCRIPTORS, a dict of number in the child to number here (None:
    closed there), and default signals. It dies with the test."""
    argv = [shutil.which("setpriv"), "--pdeathsig", "KILL", "--", *argv]
    for number, what_it_is_for in (("LISTEN_PID", "LISTEN_FDS"), ("WATCHDOG_PID", "WATCHDOG_USEC")):
        if what_it_is_for in environment and number not in environment:
            # Only the process itself knows its number before it runs; exec keeps it.
            argv = ["/bin/sh", "-c", f'export {number}=$$; exec "$@"', "sh", *argv]
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

    def __init__(self, argv, environment, descriptors, stderr, notify, stdout, store):
        self.lines = []  # of stderr, without newlines
        self.messages = []  # to the notify socket, each a dict
        self.status = None  # exit status once waited for; negative for a signal
        self._stderr, self._notify, self._stdout = stderr, notify, stdout
        self._store = store
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
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        self._store.take(message, descriptors)
        self.messages.append(message)
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

    def wait_message(self, key, pattern=".*"):
        """The match of the first value of KEY in a notify message that PATTERN matches."""
        compiled = re.compile(pattern)
        return self.wait_until(
            lambda: next(
                filter(None, (compiled.fullmatch(m[key]) for m in self.messages if key in m)), None
            ),
            f"{key}={pattern} from the notify socket",
        )

    def values(self, *keys):
        """What it has told of KEYS, one after the other: a list of key and value."""
        with self._changed:
            return [(k, v) for message in self.messages for k, v in message.items() if k in keys]

    def wait_more(self, key, more):
        """Waits until it has told KEY so many times more than it has by now."""
        goal = len(self.values(key)) + more
        self.wait_until(
            lambda: sum(key in message for message in self.messages) >= goal, f"{more} more {key}="
        )

    def wait_stopped(self):
        """Until SIGSTOP has taken hold."""
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def n_descriptors(self):
        """How many it has open, without the socket on which it sometimes tells its status."""
        tables = (pathlib.Path(f"/proc/net/{name}").read_text("ascii") for name in ("tcp", "tcp6"))
        lines = (line for table in tables for line in table.splitlines()[1:])
        tcp = {f"socket:[{line.split()[9]}]" for line in lines}
        n = 0
        for path in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(path)
                n += target in tcp or not target.startswith("socket:")
        return n

    def limit_descriptors(self, more):
        """Lets it open only so many more than it has open now."""
        limit = self.n_descriptors() + more
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))

    def allow_descriptors(self, more):
        """The same, but only the soft limit, which can be raised again without a privilege."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.n_descriptors() + more, hard))

    def processor_seconds(self):
        """Of all threads, to the nanosecond (proc_pid_schedstat in the kernel's documentation)."""
        spent = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            spent += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
        return spent / 1e9

    def said(self):
        """The end of what it has said, for those who wonder why a test has failed."""
        return f"stderr {self.lines[-50:]}, notify {self.messages[-50:]}"

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
