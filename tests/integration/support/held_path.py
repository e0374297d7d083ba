# SPDX-License-Identifier: MIT
"""A network path that can hold packets until the test releases them.

The path is a TUN device that sends every packet back with source and destination exchanged, which
leaves all checksums right. A client that connects to FAR reaches the listener on NEAR, and the
listener sees it with the address FAR.
"""

import os
import socket
import struct
import threading

from . import namespaces, tun

NEAR, FAR = "10.9.8.1", "10.9.8.2"
NEAR6, FAR6 = "fd98::1", "fd98::2"
NAME = "path0"
SYN, ACK = 0x02, 0x10


def open_path():
    """The descriptor of a new device with its addresses, of which a network has one."""
    fd = tun.open_device(NAME, NEAR, "255.255.255.0")
    namespaces.add_address(NEAR6, NAME)
    return fd


def exchanged(packet):
    """PACKET with source and destination exchanged. In IPv4 and IPv6 they follow each other."""
    start, size = (12, 4) if packet[0] >> 4 == 4 else (8, 16)
    middle, end = start + size, start + 2 * size
    return packet[:start] + packet[middle:end] + packet[start:middle] + packet[end:]


def tcp_header(packet):
    """The source port, the destination port, the sequence number and the flags of a TCP packet, or
    None for other protocols."""
    if packet[0] >> 4 == 4:
        header, protocol = (packet[0] & 0xF) * 4, packet[9]
    else:
        header, protocol = 40, packet[6]
    if protocol != socket.IPPROTO_TCP:
        return None
    return (*struct.unpack_from("!HHI", packet, header), packet[header + 13])


class HeldPath:
    """The path of one test module, which has its own network. All packets pass except held ones."""

    def __init__(self):
        self._fd = open_path()
        self._changed = threading.Condition()
        self._holds = None
        self._held = []
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self):
        while True:
            packet = os.read(self._fd, 65536)
            with self._changed:
                if self._is_held(packet):
                    self._held.append(packet)
                    self._changed.notify_all()
                    continue
            os.write(self._fd, exchanged(packet))

    def _is_held(self, packet):
        header = tcp_header(packet) if self._holds else None
        return header is not None and self._holds(header[1], header[3])

    def hold_acknowledgements(self, port=None):
        """Holds all packets with ACK (to PORT) except the server's answer to a SYN: connect(2) of a
        client succeeds, and the server's handshake does not end."""
        with self._changed:
            self._holds = lambda to, flags: port in (None, to) and flags & ACK and not flags & SYN

    def hold_to(self, port):
        """Holds all packets to PORT: a server there receives nothing from its clients."""
        with self._changed:
            self._holds = lambda to, _: to == port

    def wait_held(self, n):
        """Waits until N packets are held."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._held) >= n, 60), self._held

    def release(self):
        """Sends all held packets, in their order, and holds no further ones."""
        with self._changed:
            self._holds = None
            for packet in self._held:
                os.write(self._fd, exchanged(packet))
            self._held.clear()
