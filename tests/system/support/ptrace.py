# SPDX-License-Identifier: MIT
"""ptrace(2) as far as kill_at.py needs it. Only the thread that has seized a thread may use it."""

import ctypes
import os
import re
import subprocess

SEIZE_OPTIONS = {"sysgood": 1, "fork": 2, "vfork": 4, "clone": 8, "exec": 16}
EVENT_FORKS = (1, 2, 3)  # fork, vfork, clone
EVENT_EXEC = 4
EVENT_STOP = 128
SYSCALL_STOP = 0x85  # SIGTRAP with the bit of PTRACE_O_TRACESYSGOOD
WALL = 0x40000000

CONT, DETACH, SYSCALL = 7, 17, 24
SETOPTIONS, SEIZE, INTERRUPT, GET_SYSCALL_INFO = 0x4200, 0x4206, 0x4207, 0x420E
ENTRY = 1

# The texts of sd_notify(3), at the beginning of a line.
NOTIFICATION = re.compile(
    rb"(READY|RELOADING|STOPPING|FDSTORE|FDSTOREREMOVE|STATUS|WATCHDOG|ERRNO)=[^\n]{0,3}")

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class SyscallInfo(ctypes.Structure):
    _fields_ = [("op", ctypes.c_uint8), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
                ("sp", ctypes.c_uint64), ("nr", ctypes.c_uint64), ("args", ctypes.c_uint64 * 6),
                ("rest", ctypes.c_uint64 * 4)]


def request(number, tid, address=0, value=0):
    """Returns the result; raises ProcessLookupError if the thread has been killed meanwhile."""
    result = libc.ptrace(number, tid, address, value)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {number:#x} of {tid}: {os.strerror(error)}")
    return result


def options(*names):
    return sum(SEIZE_OPTIONS[name] for name in names)


def syscall_numbers():
    """The names of the system calls of this machine, by their numbers."""
    defined = subprocess.run(["cc", "-dM", "-E", "-include", "sys/syscall.h", "-x", "c",
                              "/dev/null"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {int(number): name for name, number in
            re.findall(r"^#define __NR_(\w+) (\d+)$", defined, re.MULTILINE)}


class Call:
    """The system call that a stopped thread is about to make."""

    def __init__(self, tid, info, names):
        self.tid = tid
        self.args = list(info.args)
        self.name = names.get(info.nr, str(info.nr))

    @classmethod
    def entered(cls, tid, names):
        """The call of a thread that has stopped at a call; None at the return of one."""
        info = SyscallInfo()
        request(GET_SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info))
        return cls(tid, info, names) if info.op == ENTRY else None

    def notification(self):
        """What the call notifies systemd of, in short; or an empty text."""
        if self.name != "sendmsg":
            return ""
        message = self.memory(self.args[1], 32)
        vector = self.memory(int.from_bytes(message[16:24], "little"), 16)
        size = int.from_bytes(vector[8:], "little")
        text = self.memory(int.from_bytes(vector[:8], "little"), min(size, 400))
        return b" ".join(match[0] for match in re.finditer(
            rb"^" + NOTIFICATION.pattern, text, re.MULTILINE)).decode()

    def memory(self, address, size):
        with open(f"/proc/{self.tid}/mem", "rb", 0) as memory:
            return os.pread(memory.fileno(), size, address)

    def __str__(self):
        return f"{self.name} {self.notification()}".strip()
