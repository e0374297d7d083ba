# SPDX-License-Identifier: MIT
"""The examples for TLS: greetd behind a real HAProxy and a real stunnel, read by openssl and by ssl of
Python."""

import contextlib
import re
import socket
import ssl
import subprocess
import unittest

from support import daemon, examples, namespaces
from support.daemon import TIMEOUT
from support.examples import EXAMPLES, run
from support.peer import Peer

FOLDER = EXAMPLES / "tls"
PORT = 8443
FIRST_WORDS = b"GET / HTTP/1.0\r\n\r\n" * 1000
LONG = "".join(map(str, range(20000)))


def setUpModule():
    namespaces.isolate()


class Tls:
    """What holds for both programs; begin() starts one."""

    def setUp(self):
        super().setUp()
        key, certificate = self.folder / "key", self.folder / "certificate"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=greeting.test", "-addext", "subjectAltName=DNS:greeting.test",
            "-keyout", key, "-out", certificate)
        self.certificate = certificate
        self.write("greeting.pem", key.read_text() + certificate.read_text())

    def config(self, name, folder):
        """The example NAME with the certificate of the test."""
        text = (FOLDER / name).read_text(encoding="utf-8")
        self.assertIn(f"{folder}/greeting.pem", text)
        return text.replace(folder, str(self.folder))

    def serve_tls(self, more=""):
        greetd = self.serve_sections(
            (FOLDER / "tls.conf").read_text(encoding="utf-8") + f"\n{more}\n")
        self.begin().wait_until(self.listens)
        return greetd

    def listens(self):
        with socket.socket(socket.AF_INET6) as client:
            return client.connect_ex(("::1", PORT)) == 0

    def connect(self, source="127.0.0.5", host="127.0.0.1"):
        context = ssl.create_default_context(cafile=self.certificate)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        client = socket.create_connection((host, PORT), TIMEOUT, (source, 0))
        client = context.wrap_socket(client, server_hostname="greeting.test",
                                     suppress_ragged_eofs=False)
        self.addCleanup(client.close)
        return client

    def test_openssl_reads_the_greeting_and_its_end(self):
        greetd = self.serve_tls()
        # Without input at its end, s_client waits for the server to close.
        with subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-bind", "127.0.0.7:0",
                 "-tls1_3", "-msg", "-CAfile", self.certificate, "-verify_return_error",
                 "-servername", "greeting.test"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True) as client:
            self.addCleanup(client.kill)
            shown = client.stdout.read()
            self.assertEqual(client.wait(TIMEOUT), 0, shown)
        self.assertIn("Hello 127.0.0.7!\n", shown)
        self.assertIn("New, TLSv1.3,", shown)
        self.assertRegex(shown, r"<<< TLS 1\.3, Alert .*, warning close_notify")
        self.assertIn("Verify return code: 0 (ok)", shown)
        greetd.wait_line(r"Connection from 127\.0\.0\.7:\d+")

    def test_the_greeting_of_each_client_has_its_address(self):
        greetd = self.serve_tls()
        for host, sources in (("127.0.0.1", ["127.0.0.5", "127.0.0.6"]), ("::1", ["::1"])):
            for source in sources:
                client = self.connect(source, host)
                # A stream that ends without close_notify is an SSLEOFError.
                self.assertEqual(daemon.read_to_end(client), f"Hello {source}!\r\n".encode())
                number = client.getsockname()[1]
                address = f"[{source}]" if ":" in source else source
                greetd.wait_line(re.escape(f"Connection from {address}:{number}"))

    def test_a_long_greeting_is_whole_also_if_the_client_speaks_first(self):
        self.serve_tls(f"[Listener 8009]\nMessage={LONG}\n")
        client = self.connect()
        client.sendall(FIRST_WORDS)
        self.assertEqual(daemon.read_to_end(client).decode(), LONG)

    def test_limits_see_the_client(self):
        greetd = self.serve_tls("[Limits]\nDeny=127.0.0.6\n")
        self.assertEqual(daemon.read_to_end(self.connect("127.0.0.6")), b"")
        greetd.wait_line(r"Connection from 127\.0\.0\.6:\d+ refused: its network is not allowed")
        self.assertEqual(daemon.read_to_end(self.connect()), b"Hello 127.0.0.5!\r\n")

    def test_a_client_without_a_handshake_does_not_reach_greetd(self):
        greetd = self.serve_tls()
        for words in (b"GET / HTTP/1.0\r\n\r\n", b""):
            with contextlib.suppress(ConnectionError), socket.create_connection(
                    ("127.0.0.1", PORT), TIMEOUT, ("127.0.0.6", 0)) as client:
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
                self.assertNotIn(b"Hello", daemon.read_to_end(client))
        daemon.read_to_end(self.connect())
        greetd.wait_line(r"Connection from 127\.0\.0\.5:\d+")
        self.assertEqual([line for line in greetd.lines if "127.0.0.6" in line], [])

    def test_older_versions_of_tls_are_refused(self):
        self.serve_tls()
        shown = run("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-tls1_1",
                    "-cipher", "DEFAULT@SECLEVEL=0", status=1)
        self.assertIn("alert protocol version", shown)


class HAProxy(Tls, examples.ExampleTestCase):
    def begin(self):
        config = self.config("tls.haproxy.cfg", "/etc/haproxy")
        return Peer(self, "haproxy", "-db", "-f", self.write("haproxy.cfg", config))


class Stunnel(Tls, examples.ExampleTestCase):
    def begin(self):
        config = self.config("tls.stunnel.conf", "/etc/stunnel")
        return Peer(self, "stunnel4", self.write("stunnel.conf", config))


class Direct(examples.ExampleTestCase):
    def test_only_this_machine_may_name_a_client(self):
        namespaces.add_address("2001:db8::1")
        greetd = self.serve_sections((FOLDER / "tls.conf").read_text(encoding="utf-8"))
        with socket.create_connection(("2001:db8::1", 8009), TIMEOUT) as client:
            self.assertEqual(daemon.read_to_end(client), b"")
        greetd.wait_line(r"Connection from .* refused: it does not come from ProxyTrustedSources=")


if __name__ == "__main__":
    unittest.main()
