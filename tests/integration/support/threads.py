# SPDX-License-Identifier: MIT
"""The workers of a running greetd, and a way to have one of them hang."""

import contextlib
import ctypes
import os
import pathlib
import re

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL of waitpid(2): threads too

_libc = ctypes.CDLL(None, use_errno=True)


def workers(pid):
    """The thread of each worker, by its number."""
    found = {}
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        match = re.fullmatch(r"greetd-(\d+)\n", (path / "comm").read_text(encoding="ascii"))
        if match:
            found[int(match[1])] = int(path.name)
    return found


def _ptrace(request, tid):
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def hanging_worker(pid, number):
    """Stops one thread by ptrace(2), and no other of its process: SIGSTOP would stop them all."""
    tid = workers(pid)[number]
    _ptrace(PTRACE_SEIZE, tid)
    try:
        _ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)
        yield
    finally:
        try:
            _ptrace(PTRACE_DETACH, tid)
        except ProcessLookupError:  # it has been killed, and is there until its end is seen
            os.waitpid(tid, WALL)
