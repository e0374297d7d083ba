# SPDX-License-Identifier: MIT
"""A path on which a client's packets are lost for as long as a test wants.

Loopback delays nothing, and netem (tc(8)) is a module that many kernels lack. Here the socket that
listens has a filter, which the sockets that are accepted from it inherit: it drops packets with a
mark, and a client marks its packets (SO_MARK in socket(7)) while they shall be lost. What was lost
is sent again by TCP itself.
"""

import ctypes
import socket
import struct

SO_MARK, SO_ATTACH_FILTER = 36, 26  # asm-generic/socket.h
LOAD_ANCILLARY, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/filter.h
ANCILLARY_MARK = 0xFFFFF000 + 20  # SKF_AD_OFF + SKF_AD_MARK
LOST = 1


def drop_marked(listener):
    """Has the kernel drop packets that are marked as LOST; before the first client connects."""
    code = struct.pack(
        "HBBI" * 4,
        *(LOAD_ANCILLARY, 0, 0, ANCILLARY_MARK),
        *(JUMP_IF_EQUAL, 0, 1, LOST),
        *(RETURN, 0, 0, 0),
        *(RETURN, 0, 0, 0xFFFFFFFF),
    )
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HL", 4, ctypes.addressof(buffer))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def set_lost(client, lost):
    """Whether what CLIENT sends from now on is lost, its acknowledgements included."""
    client.setsockopt(socket.SOL_SOCKET, SO_MARK, LOST if lost else 0)
