# SPDX-License-Identifier: MIT
"""ProxyProtocol=: the client is the source in the header, and wrong headers are refused."""

import contextlib
import signal
import socket
import unittest

from support import fake_journal, proxy
from support.daemon import GREETING, TIMEOUT, connect, read_to_end

ADDRESS = "Message=$remote_addr $remote_port\n"
HEADER_MAX = 4096  # bytes of the longest header


setUpModule = fake_journal.isolate


class Proxy(fake_journal.JournalTestCase):
    def serve_proxy(self, settings="", sections="", **options):
        return self.serve_journal(
            config=f"[Greeting]\nProxyProtocol=yes\n{settings}{sections}[Listener web]\n",
            **options,
        )

    def answer_to(self, *parts):
        """What a client reads that sends PARTS, each on its own. One that is refused may be reset."""
        with connect(self.address) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    client.sendall(part)
                return read_to_end(client)
        return None

    def refused(self):
        """The entry of the next client that is refused."""
        entry = self.entry("Connection from .* refused: .*")
        self.assertEqual(entry["GREETD_RESULT"], "refused")
        return entry

    def test_both_versions_name_the_client(self):
        self.serve_proxy(ADDRESS)
        for source in ("192.0.2.1", "2001:db8::1"):
            for version in (proxy.v1, proxy.v2):
                with self.subTest(source=source, version=version.__name__):
                    answer = self.answer_to(version(source, 4711))
                    self.assertEqual(answer, f"{source} 4711".encode())

    def test_the_log_has_both_addresses(self):
        self.serve_proxy()
        self.assertEqual(self.answer_to(proxy.v2("192.0.2.1", 4711)), GREETING)
        entry = self.entry(r"Connection from 192\.0\.2\.1:4711")
        self.assertEqual(entry["GREETD_REMOTE_ADDR"], "192.0.2.1")
        self.assertEqual(entry["GREETD_REMOTE_PORT"], "4711")
        self.assertEqual(entry["GREETD_PROXY_ADDR"], "127.0.0.1")
        self.assertEqual(entry["GREETD_RESULT"], "delivered")

    def test_a_health_check_is_greeted_under_its_own_address(self):
        self.serve_proxy("Message=$remote_addr\n")
        for header in (proxy.v2(), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"):
            self.assertEqual(self.answer_to(header), b"127.0.0.1")
            self.assertNotIn("GREETD_PROXY_ADDR", self.entry(r"Connection from 127\.0\.0\.1:\d+"))

    def test_a_health_check_that_only_connects_is_not_refused(self):
        self.serve_proxy()
        with connect(self.address) as client:
            port = client.getsockname()[1]
        entry = self.entry(f"Connection from 127\\.0\\.0\\.1:{port}")
        self.assertEqual(entry["GREETD_RESULT"], "partial")
        self.assertNotIn("GREETD_REASON", entry)

    def test_a_header_may_be_split_anywhere(self):
        self.serve_proxy(ADDRESS, "[Server]\nWorkers=1\n")
        for header in (proxy.v1("2001:db8::1"), proxy.v2("192.0.2.1")):
            expected = self.answer_to(header)
            parts = [header[i : i + 1] for i in range(len(header))]
            self.assertEqual(self.answer_to(*parts), expected)

    def test_the_header_is_no_data(self):
        self.serve_proxy(f"{ADDRESS}GreetOn=data\n")
        header = proxy.v1("192.0.2.1")
        with connect(self.address) as client:
            client.sendall(header)
            for _ in range(20):
                self.assertEqual(self.answer_to(header + b"?"), b"192.0.2.1 4000")
            client.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.recv(1)
            client.settimeout(TIMEOUT)
            client.sendall(b"?")
            self.assertEqual(read_to_end(client), b"192.0.2.1 4000")

    def serve_records(self):
        path = str(self.folder / "socket")
        listener = self.listening_socket(socket.AF_UNIX, path, socket.SOCK_SEQPACKET)
        self.serve(config=f"[Greeting]\nProxyProtocol=yes\nGreetOn=data\n{ADDRESS}",
                   sockets=[listener])
        return self.client(path, kind=socket.SOCK_SEQPACKET)

    def test_an_empty_record_is_no_end_of_a_header(self):
        client = self.serve_records()
        header = proxy.v1("192.0.2.1")
        for record in (b"", header[:9], b"", header[9:], b"?"):
            client.send(record)
        self.assertEqual(read_to_end(client), b"192.0.2.1 4000")

    def test_data_in_the_record_of_the_longest_header(self):
        client = self.serve_records()
        room = HEADER_MAX - len(proxy.v2("192.0.2.1")) - 3
        client.send(proxy.v2("192.0.2.1", tlvs=b"\x04" + room.to_bytes(2, "big") + bytes(room)) + b"?")
        self.assertEqual(read_to_end(client), b"192.0.2.1 4000")

    def test_tlvs_are_skipped(self):
        self.serve_proxy(ADDRESS)
        tlvs = b"\x02\x00\x0bexample.com" + b"\x04\x01\x00" + bytes(256)
        self.assertEqual(self.answer_to(proxy.v2("192.0.2.1", tlvs=tlvs)), b"192.0.2.1 4000")

    def test_what_is_no_header_is_refused_with_its_reason(self):
        self.serve_proxy()
        for text in (b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 192.0.2.1\r\n", b"PROXY " + b"x" * 200,
                     proxy.SIGNATURE + b"\x31"):
            self.assertIn(self.answer_to(text), (b"", None))
            entry = self.refused()
            self.assertEqual(entry["GREETD_REASON"], "proxy")
            self.assertEqual(entry["GREETD_REMOTE_ADDR"], "127.0.0.1")
            self.assertEqual(entry["GREETD_BYTES"], "0")

    def test_half_a_header_is_refused_at_its_end(self):
        self.serve_proxy("DataTimeoutSec=infinity\n")
        with connect(self.address) as client:
            client.sendall(proxy.v2("192.0.2.1")[:-1])
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b"")
        self.assertEqual(self.refused()["GREETD_REASON"], "proxy")

    def test_a_late_header_is_refused(self):
        self.serve_proxy("DataTimeoutSec=100ms\nRefuseMessage=no\n")
        with connect(self.address) as client:
            client.sendall(b"PROXY ")
            self.assertEqual(read_to_end(client), b"")
        self.assertEqual(self.refused()["GREETD_REASON"], "proxy")

    def test_bytes_one_by_one_do_not_prolong_the_wait(self):
        self.serve_proxy("DataTimeoutSec=200ms\n")
        with connect(self.address) as client, contextlib.suppress(ConnectionError):
            client.settimeout(0.01)
            client.sendall(b"PROXY UNKNOWN ")
            ended = False
            while not ended:
                client.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    ended = client.recv(1) == b""
        self.assertEqual(self.refused()["GREETD_REASON"], "proxy")

    def test_only_trusted_sources_may_send_a_header(self):
        self.serve_proxy("ProxyTrustedSources=192.0.2.0/24\nRefuseMessage=no\n")
        self.assertIn(self.answer_to(proxy.v1("192.0.2.1")), (b"no", None))
        entry = self.refused()
        self.assertEqual(entry["GREETD_REASON"], "proxy")
        self.assertEqual(entry["GREETD_REMOTE_ADDR"], "127.0.0.1")
        self.assertNotIn("GREETD_PROXY_ADDR", entry)

    def test_lists_and_limits_look_at_the_source_in_the_header(self):
        self.serve_proxy(
            ADDRESS, "[Limits]\nDeny=198.51.100.0/24\nMaxConnectionsPerSource=1\n"
        )
        self.assertIn(self.answer_to(proxy.v1("198.51.100.7")), (b"", None))
        entry = self.refused()
        self.assertEqual(entry["GREETD_REASON"], "network")
        self.assertEqual(entry["GREETD_REMOTE_ADDR"], "198.51.100.7")
        self.assertEqual(entry["GREETD_PROXY_ADDR"], "127.0.0.1")
        with connect(self.address) as first:
            first.sendall(proxy.v1("192.0.2.1"))
            self.assertEqual(read_to_end(first), b"192.0.2.1 4000")
            self.assertIn(self.answer_to(proxy.v1("192.0.2.1")), (b"", None))
            self.assertEqual(self.refused()["GREETD_REASON"], "connections")
            self.assertEqual(self.answer_to(proxy.v1("192.0.2.2")), b"192.0.2.2 4000")

    def test_clients_without_a_header_do_not_keep_others_out(self):
        self.serve_proxy("DataTimeoutSec=infinity\n", "[Server]\nWorkers=1\nMaxConnections=4\n")
        for _ in range(8):
            self.client(self.address).sendall(b"PROXY ")
        self.assertEqual(self.answer_to(proxy.v1("192.0.2.1")), GREETING)

    def test_a_stop_waits_for_headers_no_longer_than_for_clients(self):
        greetd = self.serve_proxy("DataTimeoutSec=infinity\n", "[Server]\nStopTimeoutSec=100ms\n")
        client = self.client(self.address)
        client.sendall(b"PROXY ")
        self.assertEqual(self.answer_to(proxy.v1("192.0.2.1")), GREETING)
        greetd.signal(signal.SIGTERM)
        self.assertEqual(greetd.wait(), 0)


if __name__ == "__main__":
    unittest.main()
