# SPDX-License-Identifier: MIT
"""The same PROXY headers sent to greetd, to nginx and to HAProxy: tests/vectors/proxy.tsv has what the
specification, the tests of go-proxyproto and the three programs make of each."""

import contextlib
import re
import socket
import subprocess
import sys
import unittest

from support import daemon, namespaces, vectors
from support.haproxy import HAProxy
from support.nginx import Nginx

NGINX_PORT, HAPROXY_PORT = 8100, 8200
NGINX = f"""\
stream {{
    server {{
        listen 127.0.0.1:{NGINX_PORT} proxy_protocol;
        return "$proxy_protocol_addr $proxy_protocol_port";
    }}
}}
"""
HAPROXY = f"""\
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
frontend address
    bind 127.0.0.1:{HAPROXY_PORT} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%ci %cp"
backend none
    server web1 127.0.0.1:1
"""
REQUEST = b"GET / HTTP/1.0\r\n\r\n"  # for HAProxy; the others ignore it
REFUSED = "refused"
# The columns of nginx and HAProxy are those of these versions.
VERSIONS = {"nginx": r"nginx/1\.22\.", "haproxy": r"HAProxy version 2\.6\."}


def setUpModule():
    namespaces.isolate()


def is_pinned(program):
    done = subprocess.run([program, "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True)
    return re.search(VERSIONS[program], done.stdout) is not None


def exchange(address, data):
    """What a client reads that sends DATA and half-closes, and its own address. Some programs reset
    their clients."""
    received = b""
    with daemon.connect(address) as client, contextlib.suppress(ConnectionError):
        own = client.getsockname()
        client.sendall(data)
        with contextlib.suppress(OSError):  # it may be closed already
            client.shutdown(socket.SHUT_WR)
        while chunk := client.recv(65536):
            received += chunk
    return received.decode(), own


def verdict(address, data):
    """ADDRESS:PORT, `local` for the client's own address, `unix` or `refused`."""
    answer, own = exchange(address, data)
    answer = re.sub(r"^HTTP/1\.[01] 200.*\r\n\r\n", "", answer, flags=re.DOTALL)
    if answer.startswith("HTTP") or not answer:
        return REFUSED
    host, _, port = answer.partition(" ")
    if (host, port) == (own[0], str(own[1])) or not host:
        return "local"
    if host == "unix:":
        return "unix"
    # nginx has no port 0.
    return f"[{host}]:{port or 0}" if ":" in host else f"{host}:{port or 0}"


def is_refusal(text):
    """Errors of greetd and of go-proxyproto begin with a capital."""
    return text[0].isupper() or text in ("more", "invalid", REFUSED)


class Vectors(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        greetd = self.serve(config="[Server]\nListenStream=127.0.0.1:0\n"
                                   "[Greeting]\nProxyProtocol=yes\nMessage=$remote_addr $remote_port\n")
        Nginx(self, NGINX)
        HAProxy(self, HAPROXY)
        self.addresses = (greetd.address(), ("127.0.0.1", NGINX_PORT), ("127.0.0.1", HAPROXY_PORT))

    def test_greetd_agrees_with_nginx_or_haproxy_unless_there_is_a_reason(self):
        pinned = [is_pinned(program) for program in VERSIONS]
        for program, is_known in zip(VERSIONS, pinned):
            if not is_known:
                print(f"not run: the column of {program} in proxy.tsv: its version is another",
                      file=sys.stderr)
        for name, data, _, expected, *others, why in vectors.rows("proxy"):
            data = vectors.proxy_bytes(data) + (REQUEST if expected != "more" else b"")
            found = [verdict(address, data) for address in self.addresses]
            print(f"  {name}: {', '.join(found)}", flush=True)
            with self.subTest(name):
                self.assertEqual(found[0], REFUSED if is_refusal(expected) else expected)
                for is_known, seen, other in zip(pinned, found[1:], others):
                    if is_known:
                        self.assertEqual(seen, other)
                if not why:
                    self.assertIn(found[0], found[1:])


if __name__ == "__main__":
    unittest.main()
