# SPDX-License-Identifier: MIT
"""ProxyProtocol= with the programs that send its headers: HAProxy, nginx and curl."""

import contextlib
import re
import signal
import socket
import ssl
import unittest

from support import fake_journal, load_client, namespaces, reload
from support.daemon import TIMEOUT, read_to_end
from support.examples import eventually, run
from support.haproxy import HAProxy
from support.nginx import Nginx

IPV6_CLIENT = "2001:db8::5"
COMMON_NAME = "client.example.org"
# Where a client comes from, and where it connects to. The last address is of a socket for both.
ROUTES = [
    ("127.0.0.5", ("127.0.0.1", 8000)),
    (IPV6_CLIENT, ("::1", 8000)),
    ("127.0.0.5", ("127.0.0.1", 8001)),
]
ADDRESS = "Message=$remote_addr $remote_port\n"
HAPROXY = """\
defaults
    mode tcp
    timeout connect 10s
    timeout client 1m
    timeout server 1m
frontend greeting
    bind 127.0.0.1:8000
    bind ::1:8000
    bind :::8001 v4v6
    default_backend greetd
backend greetd
    {expect}server web1 127.0.0.1:{port} {options}
"""
NGINX = """\
stream {{
    server {{
        listen 127.0.0.1:8000;
        listen [::1]:8000;
        listen [::]:8001 ipv6only=off;
        proxy_pass 127.0.0.1:{port};
        proxy_protocol on;
    }}
}}
"""
TLS = """\
defaults
    mode tcp
    timeout connect 10s
    timeout client 1m
    timeout server 1m
frontend greeting
    bind 127.0.0.1:8000 ssl crt {server} ca-file {client} verify required
    bind ::1:8000 ssl crt {server} ca-file {client} verify required
    use_backend header if {{ src 127.0.0.9 }}
    default_backend greetd
backend greetd
    server web1 127.0.0.1:{port} send-proxy-v2-ssl-cn
backend header
    server web1 127.0.0.1:{header_port} send-proxy-v2-ssl-cn
"""
LOAD = 20000  # connections; HAProxy takes most of the time
AT_ONCE = 64


def setUpModule():
    fake_journal.isolate()
    namespaces.add_address(IPV6_CLIENT)


class PeerTestCase(fake_journal.JournalTestCase):
    def serve_proxy(self, settings="", sections="", **options):
        return self.serve_journal(
            config=f"[Greeting]\nProxyProtocol=yes\n{settings}{sections}[Listener web]\n", **options)

    def serve_behind_haproxy(self, options, settings="", sections="", expect=""):
        self.serve_proxy(settings, sections)
        return HAProxy(self, HAPROXY.format(port=self.address[1], options=options, expect=expect))

    def client_from(self, source, address=("127.0.0.1", 8000)):
        client = socket.create_connection(address, TIMEOUT, (source, 0))
        self.addCleanup(client.close)
        return client

    def answer_to(self, source, address=("127.0.0.1", 8000)):
        """What a client from SOURCE reads. A balancer may reset it when greetd refuses it."""
        with contextlib.suppress(ConnectionError), self.client_from(source, address) as client:
            return read_to_end(client)
        return b""

    def assert_names(self, client):
        """CLIENT is greeted and logged under its own address, and the log has the balancer's."""
        source, port = client.getsockname()[:2]
        self.assertEqual(read_to_end(client), f"{source} {port}".encode())
        client.close()
        host = f"[{source}]" if ":" in source else source
        entry = self.entry(re.escape(f"Connection from {host}:{port}"))
        fields = ("REMOTE_ADDR", "REMOTE_PORT", "PROXY_ADDR", "RESULT", "LISTENER")
        self.assertEqual([entry[f"GREETD_{field}"] for field in fields],
                         [source, str(port), "127.0.0.1", "delivered", "web"])

    def assert_names_clients(self):
        for source, address in ROUTES:
            with self.subTest(source=source, address=address):
                self.assert_names(self.client_from(source, address))


class Names(PeerTestCase):
    def test_haproxy_with_version_1(self):
        self.serve_behind_haproxy("send-proxy", ADDRESS)
        self.assert_names_clients()

    def test_haproxy_with_version_2(self):
        self.serve_behind_haproxy("send-proxy-v2", ADDRESS)
        self.assert_names_clients()

    def test_haproxy_with_tlvs_that_have_a_checksum(self):
        self.serve_behind_haproxy(
            "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority", ADDRESS)
        self.assert_names_clients()

    def test_nginx(self):
        self.serve_proxy(ADDRESS)
        Nginx(self, NGINX.format(port=self.address[1]))
        self.assert_names_clients()

    def test_curl(self):
        self.serve_proxy("GreetOn=data\nMessage=HTTP/1.0 200 OK\\r\\n\\r\\n$remote_addr $remote_port\n")
        url = f"http://127.0.0.1:{self.address[1]}/"
        answer = run("curl", "--silent", "--show-error", "--haproxy-protocol",
                     "--interface", "127.0.0.5", url)
        source, port = answer.split()
        self.assertEqual(source, "127.0.0.5")
        entry = self.entry(f"Connection from 127\\.0\\.0\\.5:{port}")
        # A header has named the client, if only itself.
        self.assertEqual(entry["GREETD_PROXY_ADDR"], "127.0.0.5")
        self.assertEqual(entry["GREETD_RESULT"], "delivered")

    def test_curl_without_a_header_is_refused(self):
        self.serve_proxy("GreetOn=data\n")
        run("curl", "--silent", f"http://127.0.0.1:{self.address[1]}/", status=52)  # empty reply
        entry = self.entry("Connection from .* refused: it does not begin with a PROXY header")
        self.assertEqual(entry["GREETD_REASON"], "proxy")


class TlsNames(PeerTestCase):
    """An HAProxy that ends TLS, and sends the name in the certificate of the client."""

    def setUp(self):
        super().setUp()
        self.certificates = {name: self.certificate(name) for name in ("localhost", COMMON_NAME)}

    def certificate(self, name):
        """A file with a new certificate for NAME, and its key."""
        stem = f"{self.folder}/{name}"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-subj", f"/CN={name}", "-keyout", f"{stem}.key", "-out", f"{stem}.crt")
        parts = ((self.folder / f"{name}{suffix}").read_text() for suffix in (".crt", ".key"))
        return self.write(f"{name}.pem", "".join(parts))

    def serve_behind_tls(self, header_port):
        self.serve_proxy(ADDRESS)
        HAProxy(self, TLS.format(port=self.address[1], header_port=header_port,
                                 server=self.certificates["localhost"],
                                 client=self.certificates[COMMON_NAME]))

    def tls_client_from(self, source, address=("127.0.0.1", 8000)):
        context = ssl.create_default_context(cafile=self.certificates["localhost"])
        context.load_cert_chain(self.certificates[COMMON_NAME])
        client = context.wrap_socket(self.client_from(source, address), server_hostname="localhost")
        self.addCleanup(client.close)
        return client

    def test_haproxy_with_the_name_of_a_certificate(self):
        other = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        other.settimeout(TIMEOUT)
        self.serve_behind_tls(other.getsockname()[1])
        for source, address in ROUTES[:2]:
            self.assert_names(self.tls_client_from(source, address))
        # What HAProxy sends to greetd does have the name.
        self.tls_client_from("127.0.0.9")
        with other.accept()[0] as connection:
            self.assertIn(COMMON_NAME.encode(), connection.recv(4096))


class Checks(PeerTestCase):
    """Checks of HAProxy, which expect an address as the greeting if EXPECT is in the backend."""

    EXPECT = "option tcp-check\n    tcp-check expect string 127.0.0.1\n    "

    def assert_up(self, haproxy, result):
        """HAProxy has checked the server with RESULT."""
        eventually(lambda: self.assertRegex(haproxy.server()["check_status"], f"{result}$"))
        self.assertEqual(haproxy.server()["status"], "UP")

    def assert_checks_are_greeted(self, options):
        """HAProxy reads a greeting with its own address, and its checks are logged with that."""
        haproxy = self.serve_behind_haproxy(f"{options} inter 50ms", ADDRESS, expect=self.EXPECT)
        self.assert_up(haproxy, "L7OK")
        for _ in range(3):
            entry = self.entry("Connection from .*")
            self.assertEqual(entry["GREETD_REMOTE_ADDR"], "127.0.0.1")
            self.assertNotIn("GREETD_REASON", entry)
        return entry

    def test_a_check_is_greeted_under_its_own_address(self):
        self.assertNotIn("GREETD_PROXY_ADDR", self.assert_checks_are_greeted("send-proxy-v2 check"))

    def test_a_check_of_a_port_of_its_own_sends_a_header_with_check_send_proxy(self):
        entry = self.assert_checks_are_greeted(
            f"send-proxy-v2 check check-send-proxy port {self.address[1]}")
        self.assertNotIn("GREETD_PROXY_ADDR", entry)

    def test_a_check_with_version_1_is_greeted_under_its_own_address(self):
        self.assert_checks_are_greeted("send-proxy check")

    def assert_next_entry_is_of(self, source, data=b""):
        with self.client_from(source) as client:
            client.sendall(data)
            read_to_end(client)
        self.assertEqual(self.entry("Connection from .*")["GREETD_REMOTE_ADDR"], source)

    def test_a_check_that_only_connects_has_no_entry(self):
        haproxy = self.serve_behind_haproxy(
            f"send-proxy-v2 check port {self.address[1]} inter 50ms", ADDRESS,
            "[Log]\nLogSilentConnections=no\n")
        self.assert_up(haproxy, "L4OK")
        self.assert_next_entry_is_of("127.0.0.5")

    def test_a_check_that_only_sends_a_header_has_no_entry_with_greet_on_data(self):
        haproxy = self.serve_behind_haproxy(
            "send-proxy-v2 check inter 50ms", "GreetOn=data\n",
            "[Log]\nLogSilentConnections=no\n")
        self.assert_up(haproxy, "L4OK")
        self.assert_next_entry_is_of("127.0.0.5", b"?")


class Limits(PeerTestCase):
    def test_a_client_over_its_limit_is_refused_and_another_is_served(self):
        self.serve_behind_haproxy("send-proxy-v2", "Message=$remote_addr\nLingerSec=1h\n",
                                  "[Limits]\nMaxConnectionsPerSource=1\n")
        for source, host, other in (("127.0.0.5", "127.0.0.1", "127.0.0.6"),
                                    (IPV6_CLIENT, "::1", "127.0.0.7")):
            with self.client_from(source, (host, 8000)) as first:
                self.assertEqual(read_to_end(first), source.encode())
                self.assertEqual(self.answer_to(source, (host, 8000)), b"")
                entry = self.entry("Connection from .* refused: .*")
                self.assertEqual([entry[f"GREETD_{field}"] for field in
                                  ("REASON", "REMOTE_ADDR", "PROXY_ADDR")],
                                 ["connections", source, "127.0.0.1"])
                self.assertEqual(self.answer_to(other), other.encode())


class Load(reload.ReloadTestCase, load_client.LoadTestCase):
    def test_a_reload_and_a_restart_behind_haproxy_lose_no_client(self):
        config = "[Log]\nConnections=no\n[Greeting]\nProxyProtocol=yes\n"
        connections = min(LOAD, load_client.connections())
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve_with(config, sockets=[listener])
        HAProxy(self, HAPROXY.format(port=listener.getsockname()[1], options="send-proxy-v2",
                                     expect=""))
        client = self.load(8000, connections, AT_ONCE, "-u")
        self.wait_progress(client, connections // 4)
        self.assert_reloads(greetd, config)
        self.wait_progress(client, connections // 4)
        self.stop(greetd, signal.SIGTERM)
        self.serve_with(config, sockets=[listener])
        self.wait_progress(client, connections // 4)
        self.assert_none_lost(client, connections)


if __name__ == "__main__":
    unittest.main()
