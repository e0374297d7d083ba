# SPDX-License-Identifier: MIT
"""Executes a program to which the kernel denies accept4(2) on one descriptor, as a security module
does for a socket that its policy does not allow.

    seccomp_deny.py DESCRIPTOR PROGRAM ARGUMENT...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/filter.h
NUMBER, FIRST_ARGUMENT = 0, 16  # in struct seccomp_data, linux/seccomp.h; little-endian
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x50000, 0x7FFF0000
ACCEPT4 = {"x86_64": 288}.get(platform.machine(), 242)


def deny_accept(descriptor):
    code = struct.pack(
        "HBBI" * 6,
        *(LOAD_WORD, 0, 0, NUMBER),
        *(JUMP_IF_EQUAL, 0, 3, ACCEPT4),
        *(LOAD_WORD, 0, 0, FIRST_ARGUMENT),
        *(JUMP_IF_EQUAL, 0, 1, descriptor),
        *(RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EACCES),
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
    deny_accept(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
