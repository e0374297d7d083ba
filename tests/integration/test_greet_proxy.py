# SPDX-License-Identifier: MIT
"""greet --proxy: the headers that a server receives, and what follows them."""

import ipaddress
import json
import socket
import struct
import unittest

from support import greet, namespaces
from support.daemon import GREETING
from support.greet import EXPECT, OK, send_greeting

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
UNKNOWN_LINE = b"PROXY UNKNOWN\r\n"


def setUpModule():
    namespaces.isolate()


def read_v2(client):
    """The header of version 2 that CLIENT begins with: command, family, contents."""
    fixed = client.recv(16, socket.MSG_WAITALL)
    signature, command, family, size = struct.unpack("!12sBBH", fixed)
    if signature != SIGNATURE:
        raise ValueError(f"no PROXY header: {fixed}")
    return command, family, client.recv(size, socket.MSG_WAITALL) if size else b""


def endpoints(family, contents):
    """Source and destination in the CONTENTS of a header, each with its port."""
    size = {TCP4: 4, TCP6: 16}[family]
    source, destination, *ports = struct.unpack(f"!{size}s{size}sHH", contents)
    hosts = [str(ipaddress.ip_address(packed)) for packed in (source, destination)]
    return list(zip(hosts, ports))


class ProxyTestCase(greet.GreetTestCase):
    def receiver(self, read=read_v2, **options):
        """A server that reads each client's header with READ before it greets; returns the list of
        these headers and its address."""
        headers = []

        def answer(client):
            headers.append(read(client))
            send_greeting(client)

        return headers, self.server(answer, **options)[1]


class Headers(ProxyTestCase):
    def check(self, source, host, expected_family, expected):
        """Connects to HOST; EXPECTED is the source, and how the header has HOST."""
        headers, address = self.receiver(listener=self.listen(host))
        self.assert_result(self.greet(f"--proxy={source}", address, *EXPECT), OK, GREETING)
        [(command, family, contents)] = headers
        port = int(address.rpartition(":")[2])
        self.assertEqual((command, family), (PROXY, expected_family))
        self.assertEqual(endpoints(family, contents), [expected[0], (expected[1], port)])

    def test_ipv4(self):
        self.check("192.0.2.1", "127.0.0.1", TCP4, [("192.0.2.1", 49152), "127.0.0.1"])
        self.check("192.0.2.1:4000", "127.0.0.1", TCP4, [("192.0.2.1", 4000), "127.0.0.1"])

    def test_ipv6(self):
        self.check("2001:db8::1", "::1", TCP6, [("2001:db8::1", 49152), "::1"])
        self.check("[2001:db8::1]:4000", "::1", TCP6, [("2001:db8::1", 4000), "::1"])

    def test_ipv4_is_mapped_where_the_other_end_is_ipv6(self):
        mapped = [str(ipaddress.ip_address(f"::ffff:{host}")) for host in ("192.0.2.1", "127.0.0.1")]
        self.check("192.0.2.1", "::1", TCP6, [(mapped[0], 49152), "::1"])
        self.check("2001:db8::1", "127.0.0.1", TCP6, [("2001:db8::1", 49152), mapped[1]])

    def test_a_connection_of_its_own(self):
        headers, address = self.receiver()
        self.assert_result(self.greet("--proxy=local", address), OK, GREETING)
        self.assertEqual(headers, [(LOCAL, 0, b"")])

    def test_unix_sockets(self):
        path = str(self.folder / "socket")
        listener = self.listening_socket(socket.AF_UNIX, path)
        headers, address = self.receiver(listener=listener)
        for source in ("unix", "192.0.2.1"):
            self.assert_result(self.greet("--proxy", source, address), OK, GREETING)
        (command, family, contents), ipv4 = headers
        self.assertEqual((command, family), (PROXY, UNIX))
        self.assertEqual(contents, bytes(108) + path.encode().ljust(108, b"\0"))
        self.assertEqual(endpoints(TCP4, ipv4[2]), [("192.0.2.1", 49152), ("0.0.0.0", 0)])

    def test_version_1(self):
        headers, address = self.receiver(lambda client: client.makefile("rb").readline())
        host, _, port = address.rpartition(":")
        for source in ("192.0.2.1:4000", "2001:db8::1", "unix", "local"):
            self.assert_result(self.greet(f"--proxy=v1:{source}", address), OK, GREETING)
        lines = [
            f"PROXY TCP4 192.0.2.1 {host} 4000 {port}\r\n".encode(),
            f"PROXY TCP6 2001:db8::1 ::ffff:{host} 49152 {port}\r\n".encode(),
            UNKNOWN_LINE,
            UNKNOWN_LINE,
        ]
        self.assertEqual(headers, lines)


class Followed(ProxyTestCase):
    """What comes after the header."""

    def test_the_text_of_send_follows_at_once(self):
        headers, address = self.receiver(lambda client: client.recv(65536))
        result = self.greet("--proxy=v1:local", "--send", "GET", address)
        self.assert_result(result, OK, GREETING)
        self.assertEqual(headers, [UNKNOWN_LINE + b"GET"])

    def test_a_server_that_speaks_first_is_read(self):
        _, address = self.server(send_greeting)
        self.assert_result(self.greet("--proxy=192.0.2.1", address, *EXPECT), OK, GREETING)

    def test_each_address_has_a_header_of_its_own(self):
        self.own_hosts("::1 both.test\n127.0.0.1 both.test\n")
        headers, address = self.receiver()
        port = address.rpartition(":")[2]
        self.assert_result(self.greet("--proxy=192.0.2.1", f"both.test:{port}"), OK, GREETING)
        [(_, family, contents)] = headers
        self.assertEqual(endpoints(family, contents)[1], ("127.0.0.1", int(port)))

    def test_the_header_is_explained(self):
        _, address = self.receiver()
        stderr = self.greet("--explain", "--proxy=192.0.2.1", address).stderr.decode()
        self.assertIn("\nsent 28 bytes of PROXY header after ", stderr)
        stderr = self.greet("--explain", "--proxy=local", "-s", "x", address).stderr.decode()
        self.assertRegex(stderr, r"sent 16 bytes of PROXY header after .*\nsent 1 bytes after ")


class Load(ProxyTestCase):
    def load(self, *args):
        """The figures of a run in which all connections are right."""
        result = self.greet("--load", "--json", *EXPECT, *map(str, args))
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        figures = json.loads(result.stdout)
        self.assertEqual(figures["ok"], figures["connections"])

    def sources(self, headers):
        """The source of each header, sorted."""
        found = [endpoints(family, contents)[0] for _, family, contents in headers]
        return sorted((ipaddress.ip_address(host), port) for host, port in found)

    def check(self, network, expected, host="127.0.0.1"):
        headers, address = self.receiver(listener=self.listen(host))
        self.load("-n", len(expected), "-c", 7, "--proxy", network, address)
        expected = sorted((ipaddress.ip_address(source), 49152) for source in expected)
        self.assertEqual(self.sources(headers), expected)

    def test_one_source_for_all(self):
        self.check("192.0.2.1", ["192.0.2.1"] * 20)

    def test_each_address_of_a_network_in_turn(self):
        self.check("192.0.2.0/24", [f"192.0.2.{i}" for i in range(1, 200)])

    def test_from_the_start_again(self):
        self.check("192.0.2.0/29", [f"192.0.2.{i % 8}" for i in range(1, 20)])

    def test_each_64_of_an_ipv6_network_in_turn(self):
        expected = [f"2001:db8:0:{i:x}::" for i in range(1, 100)]
        self.check("2001:db8::/32", expected, host="::1")

    def test_the_first_connection_has_the_first_address(self):
        headers, address = self.receiver()
        result = self.greet("--load", "-n", "3", "--proxy=192.0.2.0/24", address)
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        hosts = [str(host) for host, _ in self.sources(headers)]
        self.assertEqual(hosts, [f"192.0.2.{i}" for i in range(4)])

    def test_health_checks_in_version_1(self):
        headers, address = self.receiver(lambda client: client.recv(65536))
        self.load("-n", 20, "--proxy=v1:local", address)
        self.assertEqual(headers, [UNKNOWN_LINE] * 20)

    def test_the_bytes_of_send_follow_the_header(self):
        def read(client):
            header = read_v2(client)
            sent.append(client.recv(5000, socket.MSG_WAITALL))
            return header

        sent = []
        headers, address = self.receiver(read)
        self.load("-n", 20, "--send", 5000, "--proxy=192.0.2.0/24", address)
        self.assertEqual(sent, [bytes(5000)] * 20)
        self.assertEqual(len(set(self.sources(headers))), 20)

    def test_unix_sockets(self):
        listener = self.listening_socket(socket.AF_UNIX, str(self.folder / "socket"), backlog=1)
        headers, address = self.receiver(listener=listener)
        self.load("-n", 100, "-c", 50, "--proxy=10.0.0.0/8", address)
        self.assertEqual(len(set(self.sources(headers))), 100)


if __name__ == "__main__":
    unittest.main()
