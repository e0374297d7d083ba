# SPDX-License-Identifier: MIT
"""Executes a program to which the kernel denies a system call if one of its arguments has a value.

    seccomp_deny.py accept4 DESCRIPTOR PROGRAM ARGUMENT...

fails as a security module does it for a socket that its policy does not allow, and

    seccomp_deny.py sendto LENGTH PROGRAM ARGUMENT...

as no network does, for a message of this length.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/filter.h
NUMBER, ARGUMENTS = 0, 16  # in struct seccomp_data, linux/seccomp.h; little-endian
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x50000, 0x7FFF0000
IS_X86 = platform.machine() == "x86_64"
# The number of the call, the index of its argument, and the error.
CALLS = {"accept4": (288 if IS_X86 else 242, 0, errno.EACCES),
         "sendto": (44 if IS_X86 else 206, 2, errno.EIO)}


def deny(call, value):
    number, index, error = CALLS[call]
    code = struct.pack(
        "HBBI" * 6,
        *(LOAD_WORD, 0, 0, NUMBER),
        *(JUMP_IF_EQUAL, 0, 3, number),
        *(LOAD_WORD, 0, 0, ARGUMENTS + 8 * index),
        *(JUMP_IF_EQUAL, 0, 1, value),
        *(RETURN, 0, 0, SECCOMP_RET_ERRNO | error),
        *(RETURN, 0, 0, SECCOMP_RET_ALLOW),
    )
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HL", 6, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0),
    ):
        if libc.prctl(*map(ctypes.c_ulong, arguments)) < 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    deny(sys.argv[1], int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
