# SPDX-License-Identifier: MIT
"""Makes one thread of a program hang, wherever it is, while the others go on: see ptrace(2).

    hang.py TID

Prints `hanging` once it does, and waits for its end; if this program ends first, the thread goes
on.
"""

import ctypes
import os
import sys

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000


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
    # Somebody who traces a thread has to take in its end, or the program's own would not be told.
    while True:
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
