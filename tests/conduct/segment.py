# SPDX-License-Identifier: MIT
"""TCP segments in IPv4 packets, from and to bytes: RFC 9293 3.1 and RFC 791 3.1."""

import socket
import struct
from typing import NamedTuple

FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, ".": 0x10, "U": 0x20, "E": 0x40, "W": 0x80}
FIN, SYN, RST, ACK = FLAGS["F"], FLAGS["S"], FLAGS["R"], FLAGS["."]
MODULUS = 1 << 32

MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS, FAST_OPEN = 2, 3, 4, 8, 34  # kinds of options
END_OF_OPTIONS, NO_OPERATION = 0, 1


class Segment(NamedTuple):
    """Numbers are those on the wire; options are pairs of kind and value."""

    source: tuple  # address and port
    destination: tuple
    flags: int
    seq: int
    ack: int
    window: int
    options: tuple = ()
    payload: bytes = b""
    urgent: int = 0

    def option(self, kind):
        """The value of the option KIND, or None."""
        return dict(self.options).get(kind)


class Damaged(Exception):
    """A packet with a wrong checksum."""


def checksum(data):
    """The Internet checksum, RFC 1071; 0 of data that include a right one. The sum of 16-bit words
    with carries is the remainder of the whole number, but for 0."""
    number = int.from_bytes(data + bytes(len(data) % 2), "big")
    return ~(number and (number - 1) % 0xFFFF + 1) & 0xFFFF


def _pseudo_header(source, destination, length):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return addresses + struct.pack("!HH", socket.IPPROTO_TCP, length)


def _pack_options(options):
    packed = b"".join(
        bytes([kind]) if kind == NO_OPERATION else bytes([kind, len(value) + 2]) + value
        for kind, value in options
    )
    return packed + bytes([NO_OPERATION]) * (-len(packed) % 4)


def pack(segment):
    """The packet with SEGMENT."""
    options = _pack_options(segment.options)
    source, destination = segment.source[0], segment.destination[0]
    header = struct.pack(
        "!HHIIBBHHH", segment.source[1], segment.destination[1], segment.seq, segment.ack,
        (20 + len(options)) // 4 << 4, segment.flags, segment.window, 0, segment.urgent,
    )  # fmt: skip
    tcp = header + options + segment.payload
    found = checksum(_pseudo_header(source, destination, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", found) + tcp[18:]
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def _unpack_options(data):
    options = []
    while data and data[0] != END_OF_OPTIONS:
        if data[0] == NO_OPERATION:
            data = data[1:]
        else:
            options.append((data[0], data[2 : data[1]]))
            data = data[data[1] :]
    return tuple(options)


def unpack(packet):
    """The segment in PACKET; None if it is not TCP in IPv4."""
    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
        return None
    length = (packet[0] & 0xF) * 4
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    tcp = packet[length : struct.unpack("!H", packet[2:4])[0]]
    if checksum(packet[:length]) or checksum(_pseudo_header(source, destination, len(tcp)) + tcp):
        raise Damaged(packet.hex())
    ports, seq, ack, offset, flags, window, _, urgent = struct.unpack("!4sIIBBHHH", tcp[:20])
    from_port, to_port = struct.unpack("!HH", ports)
    data = (offset >> 4) * 4
    return Segment((source, from_port), (destination, to_port), flags, seq, ack, window,
                   _unpack_options(tcp[20:data]), tcp[data:], urgent)
