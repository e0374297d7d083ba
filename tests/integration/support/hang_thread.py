# SPDX-License-Identifier: MIT
"""Stops one thread of a program by ptrace(2), wherever it is, while the other threads run.

    hang_thread.py TID

Prints `hanging` once the thread has stopped, and waits for the thread's end. The thread runs on
when this program ends first.
"""

import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # __WALL of waitpid(2): threads too


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, None, None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def main(tid):
    ptrace(PTRACE_SEIZE, tid)
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    print("hanging", flush=True)
    # The parent of a process learns of its end only when the tracer has waited for the thread.
    while True:
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
