# SPDX-License-Identifier: MIT
"""A network and mounts for one test module: it has every port, the journal's socket and /etc for
itself. All of its changes end with it, and other processes of the machine do not see them."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import time
from concurrent import futures

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 0x2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
SIOCSIFADDR = 0x8916

_libc = ctypes.CDLL(None, use_errno=True)
_isolated = False


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source, target, fstype=None, flags=0, options=None):
    """mount(2), for this test module and the processes that it starts."""
    text = [None if s is None else os.fsencode(s) for s in (source, target, fstype)]
    _check(_libc.mount(*text, ctypes.c_ulong(flags), options and options.encode()))


def _become_root():
    """Enters a user namespace, in which an ordinary user may make the other namespaces."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(CLONE_NEWUSER))
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def add_address(address, device="lo"):
    """Adds an IPv6 ADDRESS to DEVICE, and waits until it can be bound: the kernel does so in a
    moment."""
    index = socket.if_nametoindex(device)
    request = struct.pack("=16sIi", socket.inet_pton(socket.AF_INET6, address), 64, index)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFADDR, request)  # struct in6_ifreq
        for _ in range(1000):
            with contextlib.suppress(OSError):
                s.bind((address, 0, 0, index))
                return
            time.sleep(0.01)
    raise AssertionError(f"{address} can't be bound")


def _inherit_nothing():
    """Sets close-on-exec on descriptors that the tests have inherited."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.set_inheritable(int(name), False)


def isolate():
    """Enters a network with lo alone and mounts that end with this process."""
    global _isolated
    if _isolated:
        return
    _inherit_nothing()
    if os.getuid() != 0:
        _become_root()
    _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    _loopback_up()
    pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512")
    _isolated = True


def in_other_network(function):
    """The result of FUNCTION in a new network, which has lo alone and lasts as long as a socket in
    it."""

    def run():
        _check(_libc.unshare(CLONE_NEWNET))
        _loopback_up()
        return function()

    with futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def unmount(target):
    """umount2(2), also of a file system that is still in use."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH))
