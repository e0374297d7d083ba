# SPDX-License-Identifier: MIT
"""Headers of the PROXY protocol, made from its specification (proxy-protocol.txt of HAProxy)."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21


def v1(source, port=4000, destination=None):
    """A line for the IP address SOURCE."""
    version = ipaddress.ip_address(source).version
    destination = destination or ("203.0.113.9" if version == 4 else "2001:db8::9")
    protocol = "TCP4" if version == 4 else "TCP6"
    return f"PROXY {protocol} {source} {destination} {port} 12345\r\n".encode()


def v2(source=None, port=4000, tlvs=b""):
    """A binary header for the IP address SOURCE; without one, that of a health check."""
    if source is None:
        return SIGNATURE + struct.pack("!BBH", LOCAL, 0, len(tlvs)) + tlvs
    address = ipaddress.ip_address(source)
    other = ipaddress.ip_address("203.0.113.9" if address.version == 4 else "2001:db8::9")
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed + other.packed + struct.pack("!HH", port, 12345) + tlvs
    return SIGNATURE + struct.pack("!BBH", PROXY, family, len(body)) + body
