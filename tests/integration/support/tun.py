# SPDX-License-Identifier: MIT
"""A TUN device: what the kernel sends there is read, what is written there the kernel receives
(https://docs.kernel.org/networking/tuntap.html)."""

import fcntl
import os
import socket
import struct

from .namespaces import IFF_UP, SIOCGIFFLAGS, SIOCSIFADDR, SIOCSIFFLAGS

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
SIOCSIFNETMASK, SIOCSIFTXQLEN = 0x891C, 0x8943
QUEUE_LENGTH = 20000  # packets; the default of 500 drops some


def _interface_address(name, text):
    return struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(text))


def _configure(name, address, mask):
    """Gives the device its address and turns it on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFADDR, _interface_address(name, address))
        fcntl.ioctl(s, SIOCSIFNETMASK, _interface_address(name, mask))
        fcntl.ioctl(s, SIOCSIFTXQLEN, struct.pack("16si20x", name, QUEUE_LENGTH))
        flags = struct.unpack("16sH22x", fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16s24x", name)))
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", name, flags[1] | IFF_UP))


def open_device(name, address, mask):
    """A descriptor of the new device NAME. The other addresses of its network are behind it. The
    device ends with the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    _configure(name.encode(), address, mask)
    return fd
