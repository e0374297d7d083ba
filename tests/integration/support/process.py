# SPDX-License-Identifier: MIT
"""greetd as a process. A test waits for a line on its stderr, a message to its notify socket, or
its end."""

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
    for number, purpose in (("LISTEN_PID", "LISTEN_FDS"), ("WATCHDOG_PID", "WATCHDOG_USEC")):
        if purpose in environment and number not in environment:
            # Only the process itself knows its PID before it runs; exec keeps it.
            argv = ["/bin/sh", "-c", f'export {number}=$$; exec "$@"', "sh", *argv]
    moved = {
        target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 100)
        for target, source in descriptors.items()
        if source is not None
    }
    actions = [(os.POSIX_SPAWN_DUP2, copy, target) for target, copy in moved.items()]
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
        for copy in moved.values():
            os.close(copy)


class Process:
    """One greetd, started and ended by GreetdTestCase.start()."""

    def __init__(self, argv, environment, descriptors, stderr, notify, stdout, store):
        self.lines = []  # lines of stderr, without newlines
        self.messages = []  # messages to the notify socket, each a dict
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
        """Collects the output of the process until it has ended and everything is read."""
        readers = {self._pidfd: lambda: False}
        if self._stderr is not None:
            readers[self._stderr] = self._read_stderr
        unfinished = set(readers)
        if self._notify:
            readers[self._notify.fileno()] = self._read_message
        poll = select.poll()
        for fd in readers:
            poll.register(fd, select.POLLIN)
        while unfinished:
            for fd, _ in poll.poll():
                with self._changed:
                    if not readers[fd]():
                        poll.unregister(fd)
                        unfinished.discard(fd)
                    self._changed.notify_all()
        with self._changed:
            while self._notify and self._read_message():
                pass
            self._ended = True
            self._changed.notify_all()

    def _read_stderr(self):
        data = os.read(self._stderr, 65536)
        *whole, self._partial = (self._partial + data).split(b"\n")
        self.lines += [line.decode(errors="surrogateescape") for line in whole]
        return bool(data)

    def _read_message(self):
        try:
            data, descriptors, _, _ = socket.recv_fds(self._notify, 65536, 16)
        except BlockingIOError:
            return False
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        self._store.handle(message, descriptors)
        self.messages.append(message)
        return True

    def wait_until(self, predicate, what):
        """Waits until PREDICATE() of the output is true, and returns its value."""
        with self._changed:
            self._changed.wait_for(lambda: predicate() or self._ended, TIMEOUT)
            found = predicate()
            if not found:
                state = "ended" if self._ended else "runs"
                raise AssertionError(f"no {what}; the process {state}; {self.output()}")
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
        """The pairs of key and value sent to the notify socket for KEYS, in their order."""
        with self._changed:
            return [(k, v) for message in self.messages for k, v in message.items() if k in keys]

    def wait_more(self, key, more):
        """Waits until KEY has been sent MORE times from now on."""
        goal = len(self.values(key)) + more
        self.wait_until(
            lambda: sum(key in message for message in self.messages) >= goal, f"{more} more {key}="
        )

    def freeze(self):
        """Stops all threads with SIGSTOP; SIGCONT continues them."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def n_descriptors(self):
        """The number of open descriptors, without the socket that is open during a notification."""
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
        """Limits the process to MORE descriptors than it has open now."""
        limit = self.n_descriptors() + more
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))

    def allow_descriptors(self, more):
        """The same for the soft limit alone, which can be raised again without a privilege."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.n_descriptors() + more, hard))

    def processor_seconds(self):
        """The processor time of all threads (proc_pid_schedstat in the kernel's documentation)."""
        spent = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            spent += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
        return spent / 1e9

    def output(self):
        """The end of its output, for the message of a test that fails."""
        return f"stderr {self.lines[-50:]}, notify {self.messages[-50:]}"

    def address(self, index=0):
        """The address in line INDEX of the lines `Server is listening on ...`, for connect()."""
        sentence = "Server is listening on "
        text = self.wait_until(
            lambda: [
                line[len(sentence) :] for line in self.lines if line.startswith(sentence)
            ][index:],
            f"line {index + 1} with an address",
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
        """The exit status, negative for the signal that ended it. Reads all lines before it
        returns."""
        if self.status is None:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            if not ended.poll(TIMEOUT * 1000):
                raise AssertionError(f"greetd does not end; {self.output()}")
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._reader.join(TIMEOUT)
            if self._partial:
                self.lines.append(self._partial.decode(errors="surrogateescape"))
        return self.status

    def stdout(self):
        self._stdout.seek(0)
        return self._stdout.read().decode()

    def dispose(self):
        """Kills the process if it still runs, and frees everything except the collected output."""
        if self.status is None:
            self.signal(signal.SIGKILL)
            self.wait()
        os.close(self._pidfd)
        self._stdout.close()
        if self._notify:
            self._notify.close()
        if self._stderr is not None:
            os.close(self._stderr)
