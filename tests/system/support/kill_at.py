# SPDX-License-Identifier: MIT
"""Kills a service at its N-th system call in a phase of its life.

    kill_at.py INIT PROGRAM

INIT is the first process of the machine, as this process numbers it. Its children are followed until
one executes PROGRAM without --check: the service. Each line of standard input is an order, as JSON:

    {"phase": PHASE, "thread": THREAD, "position": N, "signal": NUMBER}
    {"kill": true}

The first one arms the tool for the next time that PHASE begins: `start` begins with the first call
of the program, `reload` and `stop` when its main thread reads a signal, `idle` with READY=1. THREAD is
`main`, or `other` for all other threads together. At the N-th call of THREAD all threads are stopped
before the call is made, and stay so until the second order.

Each line of standard output is an event: `armed`, `ready` (with `pid`, on READY=1), `stopped` (with
`call`, and the numbers of the process's sockets in /proc/net as `inodes`), `passed` (the phase has
ended before; with `calls`, what THREAD has called), `died`.
"""

import contextlib
import json
import os
import pathlib
import re
import select
import signal
import sys

import ptrace

SIGNAL_INFO_BYTES = 128  # sizeof(struct signalfd_siginfo)


class Phase:
    def __init__(self, order):
        self.name = order["phase"]
        self.thread = order["thread"]
        self.position = order["position"]
        self.signal = order["signal"]
        self.calls = []
        self.began = False
        self.ready = False


class Service:
    """The process of the service. All its threads are traced."""

    def __init__(self, pid):
        self.pid = pid
        self.threads = {pid}
        self.ready = False

    def inodes(self):
        inodes = []
        for link in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes += re.findall(r"^socket:\[(\d+)\]", os.readlink(link))
        return list(map(int, inodes))


class Tracer:
    def __init__(self, init, program):
        self.init = init
        self.program = program
        self.names = ptrace.syscall_numbers()
        self.children = set()
        self.service = None
        self.phase = None
        self.stopped = False
        self.stopped_tid = 0

    def run(self):
        wakeup, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        ptrace.request(ptrace.SEIZE, self.init, 0, ptrace.options("fork", "vfork", "clone"))
        emit("seized")
        while True:
            for readable in select.select([wakeup, sys.stdin], [], [])[0]:
                if readable is wakeup:
                    os.read(wakeup, 65536)
                elif not self.take_order():
                    return
            self.handle_stops()

    def handle_stops(self):
        while True:
            try:
                tid, status = os.waitpid(-1, os.WNOHANG | ptrace.WALL)
            except ChildProcessError:
                return
            if tid == 0:
                return
            # A thread that was killed while it was stopped reports that next.
            with contextlib.suppress(ProcessLookupError):
                self.handle(tid, status)

    def take_order(self):
        line = sys.stdin.readline()
        order = json.loads(line or "null")
        if not order:
            return False
        if "phase" in order:
            self.phase = Phase(order)
            emit("armed")
        else:
            self.kill()
        return True

    def handle(self, tid, status):
        if not os.WIFSTOPPED(status):
            self.forget(tid)
            return
        stopped_by, event = os.WSTOPSIG(status), status >> 16
        if tid == self.init:
            ptrace.request(ptrace.CONT, tid, 0, 0 if event else stopped_by)
        elif self.service and tid in self.service.threads:
            self.handle_thread(tid, stopped_by, event)
        elif tid in self.children:
            self.handle_child(tid, stopped_by, event)
        else:
            self.meet(tid)

    def forget(self, tid):
        self.children.discard(tid)
        if not self.service:
            return
        self.service.threads.discard(tid)
        if tid == self.service.pid:
            self.service = None
            self.stopped = False
            if self.phase and self.phase.began:
                self.pass_phase()
            emit("died")

    def meet(self, tid):
        """A thread of the service, of INIT, or a process that INIT has forked."""
        group = thread_group(tid)
        if self.service and group == self.service.pid:
            self.service.threads.add(tid)
            if not self.stopped:
                self.resume(tid)
        elif group == self.init:
            ptrace.request(ptrace.DETACH, tid)
        else:
            self.children.add(tid)
            ptrace.request(ptrace.SETOPTIONS, tid, 0, ptrace.options("sysgood", "clone", "exec"))
            ptrace.request(ptrace.CONT, tid)

    def handle_child(self, tid, stopped_by, event):
        if event != ptrace.EVENT_EXEC:
            ptrace.request(ptrace.CONT, tid, 0, 0 if event else stopped_by)
        elif is_service(tid, self.program):
            self.children.discard(tid)
            self.service = Service(tid)
            if self.phase and self.phase.name == "start":
                self.begin()
            self.resume(tid)
        elif not os.path.basename(os.readlink(f"/proc/{tid}/exe")).startswith("systemd"):
            self.children.discard(tid)
            ptrace.request(ptrace.DETACH, tid)
        else:
            ptrace.request(ptrace.CONT, tid)

    def handle_thread(self, tid, stopped_by, event):
        if self.stopped:
            return
        if event or stopped_by != ptrace.SYSCALL_STOP:
            self.resume(tid, 0 if event else stopped_by)
            return
        call = ptrace.Call.entered(tid, self.names)
        if call and self.count(call):
            self.stop(call)
        else:
            self.resume(tid)

    def resume(self, tid, passed_signal=0):
        """The calls of the main thread are always reported, others only while they count."""
        counts = self.phase and self.phase.began and self.phase.thread == "other"
        mode = ptrace.SYSCALL if tid == self.service.pid or counts else ptrace.CONT
        ptrace.request(mode, tid, 0, passed_signal)

    def count(self, call):
        """Whether CALL is the one to kill at."""
        is_main = call.tid == self.service.pid
        if is_main:
            self.follow(call)
        phase = self.phase
        if not phase or not phase.began or is_main != (phase.thread == "main"):
            return False
        phase.calls.append(str(call))
        return len(phase.calls) == phase.position

    def follow(self, call):
        """Finds the beginning and the end of the phase in the calls of the main thread."""
        phase, ready = self.phase, "READY=1" in call.notification()
        if ready:
            self.service.ready = True
            emit("ready", pid=self.service.pid)
        if not phase:
            return
        if not phase.began:
            if (phase.name == "idle" and ready) or (
                    phase.name in ("reload", "stop") and self.service.ready
                    and call.name == "read" and call.args[2] == SIGNAL_INFO_BYTES):
                self.begin()
        elif phase.name in ("start", "reload"):
            if phase.ready and call.name.startswith("epoll_"):
                self.pass_phase()
            phase.ready = phase.ready or ready

    def begin(self):
        self.phase.began = True
        if self.phase.thread == "other":
            for tid in self.service.threads - {self.service.pid}:
                ptrace.request(ptrace.INTERRUPT, tid)

    def pass_phase(self):
        calls, self.phase = self.phase.calls, None
        emit("passed", calls=calls)

    def stop(self, call):
        self.stopped = True
        for tid in self.service.threads - {call.tid}:
            with contextlib.suppress(ProcessLookupError):
                ptrace.request(ptrace.INTERRUPT, tid)
                if not os.WIFSTOPPED(os.waitpid(tid, ptrace.WALL)[1]):
                    self.service.threads.discard(tid)
        self.stopped_tid = call.tid
        emit("stopped", call=self.phase.calls[-1], inodes=self.service.inodes())

    def kill(self):
        """Ends the stopped process. If the signal is not SIGKILL, the thread that it is for runs again,
        and makes the call that it was stopped at first."""
        fatal, self.phase = self.phase.signal, None
        self.stopped = False
        ptrace.libc.tgkill(self.service.pid, self.stopped_tid, fatal)
        if fatal != signal.SIGKILL:
            ptrace.request(ptrace.CONT, self.stopped_tid)


def emit(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def thread_group(tid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = pathlib.Path(f"/proc/{tid}/status").read_text(encoding="ascii")
        return int(re.search(r"^Tgid:\t(\d+)", status, re.MULTILINE)[1])
    return None


def is_service(pid, program):
    arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return arguments[0].decode() == program and b"--check" not in arguments


if __name__ == "__main__":
    Tracer(int(sys.argv[1]), sys.argv[2]).run()
