# SPDX-License-Identifier: MIT
"""strace: which system calls there are, and one that fails."""

import collections
import os
import re
import signal
import subprocess
import time

# What a call is about where its errors depend on it: read(2) of an eventfd fails otherwise than of
# a file. /proc/PID/fd has these names.
KINDS = ("eventfd", "signalfd", "timerfd", "inotify")
LINE = re.compile(r"(?:(\d+) +)?(\w+)\((?:(?:AT_FDCWD<[^>]*>|\d+)<([^>]*)>)?")
# main() makes it first: fill_standard_streams() in main.c. All before belongs to the loader.
FIRST_OF_MAIN = re.compile(r'(?:\d+ +)?openat\(.*"/dev/null", O_RDWR\)')

# pthread_setname_np(3) writes to it. That this fails is tried in the trace of a start, where calls
# of all files are counted together.
THREAD_NAME = re.compile(r"/proc/\d+/task/\d+/comm")

Fault = collections.namedtuple("Fault", "call kind action nth")


def _kind_in(call, target):
    """What TARGET, that of a descriptor, is for CALL: a part of KINDS, or nothing."""
    if call not in ("read", "write") or not (target or "").startswith("anon_inode:"):
        return ""
    return next((kind for kind in KINDS if kind in target), "")


def _lines_in_start(lines):
    """The lines of a trace up to READY=1."""
    for line in lines:
        yield line
        if '"READY=1"' in line:
            return


def calls_at_start(path):
    """The ordinals of main's calls from its first one to READY=1, by name and kind, in the trace of
    a process from its beginning. They count what the loader has called."""
    counted, calls = collections.Counter(), collections.defaultdict(list)
    in_main = False
    for line in _lines_in_start(path.read_text(errors="replace").splitlines()):
        if found := LINE.match(line):
            in_main = in_main or FIRST_OF_MAIN.match(line) is not None
            counted[found[2]] += 1
            if in_main:
                calls[found[2], _kind_in(found[2], found[3])].append(counted[found[2]])
    return dict(calls)


def calls_in(path, files, until_ready):
    """The ordinals of the calls in a trace, by name and kind, of the thread that makes most. It may
    read and write FILES alone."""
    counted = collections.Counter()
    lines = path.read_text(errors="replace").splitlines()
    for line in _lines_in_start(lines) if until_ready else lines:
        found = LINE.match(line)
        if not found:
            continue
        _, call, target = found.groups()
        kind = _kind_in(call, target)
        if call in ("read", "write") and not kind and target not in files:
            if THREAD_NAME.fullmatch(target):
                continue
            raise AssertionError(f"{line}: not one of World.files()")
        counted[found[1], call, kind] += 1
    most = collections.Counter()
    for (_, call, kind), n in counted.items():
        most[call, kind] = max(most[call, kind], n)
    return {key: list(range(1, n + 1)) for key, n in most.items()}


def hits_in(path):
    """The lines of a trace in which strace made a call fail, or delayed it."""
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").splitlines()
    return [line for line in lines if "(INJECTED" in line or "DELAYED" in line]


def options(output, fault, nth):
    """Of strace, for a FAULT at the NTH call; without a fault it traces all calls."""
    common = ["strace", "-y", "-o", str(output)]
    if not fault:
        return [*common, "-qq"]
    options = [*common, "-e", f"trace={fault.call}"]
    return [*options, "-e", f"inject={fault.call}:{fault.action}:when={nth}"]


def wrapper(output, fault=None, nth=0):
    """A command that executes greetd under strace; greetd stays a child of its parent."""
    return [*options(output, fault, nth), "-D", "-qq"]


def stop_before_threads(output):
    """A command that executes greetd, which stops before it makes its first thread."""
    return ["strace", "-D", "-I2", "-qq", "-o", str(output), "-e", "trace=clone3",
            "-e", "inject=clone3:signal=STOP:when=1"]


def _status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def leave_stopped(pid, output, timeout):
    """Waits for that stop, and ends the strace that caused it."""
    deadline = time.monotonic() + timeout
    asked = False
    while time.monotonic() < deadline:
        status = _status(pid)
        if status["TracerPid"] == "0" and status["State"].startswith("T"):
            return
        if not asked and output.exists() and "stopped by SIGSTOP" in output.read_text():
            asked = True
            os.kill(int(status["TracerPid"]), signal.SIGINT)
        time.sleep(0.005)
    raise AssertionError("greetd does not stop before its first thread")


class Attached:
    """strace of one thread (of all if FOLLOWED), from the moment when no call escapes it. Of read
    and write, a fault without a kind is about FILES."""

    def __init__(self, task, output, fault, files=(), followed=False):
        argv = options(output, fault, fault.nth if fault else 0)
        argv = [a for a in argv if a != "-qq"] + ["-f"] * followed
        if fault and fault.kind:
            name = "inotify" if fault.kind == "inotify" else f"[{fault.kind}]"
            argv += ["-P", f"anon_inode:{name}"]
        elif fault and fault.call in ("read", "write"):
            for file in files:
                argv += ["-P", str(file)]
        self._process = subprocess.Popen(
            [*argv, "-p", str(task)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        line = self._process.stderr.readline()
        if b"attached" not in line:
            raise AssertionError(f"strace says {line!r}")

    def detach(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.communicate()


def processor_seconds(pid):
    """utime and stime of a process (proc(5)), 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
