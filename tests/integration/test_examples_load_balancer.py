# SPDX-License-Identifier: MIT
"""greetd-load-balancer(7): its configurations are the examples, and do what the page says."""

import contextlib
import re
import signal
import socket
import unittest

from support import examples
from support.daemon import TIMEOUT, connect, read_to_end
from support.examples import EXAMPLES, eventually
from support.haproxy import HAProxy
from support.nginx import Nginx

PAGE = EXAMPLES.parent / "greetd-load-balancer.7"
NAMES = ["load-balancer.conf", "load-balancer.haproxy.cfg", "load-balancer.nginx.conf",
         "keepalived/keepalived.conf"]
OF_TLS = ["tls/tls.haproxy.cfg", "tls/tls.conf", "tls/tls.stunnel.conf"]
# The machines of the examples, and the times of HAProxy's checks, as they are in the tests.
HERE = {"192.0.2.10": "127.0.0.1", "192.0.2.2": "127.0.0.2", " inter 2s": " inter 200ms",
        "agent-inter 5s": "agent-inter 200ms"}
SERVERS = ["127.0.0.21", "127.0.0.22"]
BALANCER = "127.0.0.1", 8000
CLIENTS = [f"127.0.1.{n}" for n in range(1, 9)]


def page():
    """The text of the page, with its marks but without the escapes of roff."""
    text = PAGE.read_text(encoding="utf-8")
    for escape, character in {r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\e": "\\"}.items():
        text = text.replace(escape, character)
    return text


def blocks():
    """What the page shows as it is."""
    return re.findall(r"^\.nf\n(.*?)^\.fi$", page(), re.MULTILINE | re.DOTALL)


def here(name):
    """The example NAME with the addresses of the test."""
    text = examples.text(name)
    for there, replacement in HERE.items():
        text = text.replace(there, replacement)
    return text


def reasons():
    """The ends of log entries that the page explains."""
    return re.findall(r"^\.B (its? .*)$", page(), re.MULTILINE)


class Page(unittest.TestCase):
    def test_it_shows_the_examples(self):
        for name in OF_TLS:
            self.assertRegex(page(), rf"\.IR? {re.escape(name)}\b")
        for name in [*NAMES, OF_TLS[0]]:
            lines = examples.text(name).splitlines(keepends=True)
            n_comments = next(n for n, line in enumerate(lines) if not line.startswith("#"))
            self.assertIn("".join(lines[n_comments:]), blocks(), name)
            self.assertRegex(page(), rf"\.IR? {re.escape(name)}\b")

    def test_each_example_says_where_it_is_explained(self):
        for name in NAMES:
            self.assertIn("greetd-load-balancer(7)", examples.text(name))


class BalancerTestCase(examples.ExampleTestCase):
    def serve_at(self, host, more=""):
        """The server of the example at HOST. MORE is a later drop-in."""
        return self.serve(config=f"{here('load-balancer.conf')}\n{more}", names=["8004"],
                          sockets=[self.socket_on(8004, host)])

    def serve_both(self):
        return [self.serve_at(host) for host in SERVERS]

    def haproxy(self, before="", after=""):
        """An HAProxy with the example, in which AFTER is in the place of BEFORE."""
        config = here("load-balancer.haproxy.cfg")
        self.assertIn(before, config)
        return HAProxy(self, config.replace(before, after) if before else config)

    def answer_to(self, source="127.0.0.5", data=b""):
        """What a client from SOURCE reads. A balancer may reset it when greetd refuses it."""
        with contextlib.suppress(ConnectionError), socket.create_connection(
                BALANCER, TIMEOUT, (source, 0)) as client:
            client.sendall(data)
            return read_to_end(client)
        return b""

    def assert_served(self):
        for source in CLIENTS:
            self.assertEqual(self.answer_to(source), f"Hello {source}!\r\n".encode())

    def assert_both_serve(self, servers):
        self.assert_served()
        for server in servers:
            server.wait_line(r"Connection from 127\.0\.1\..*")

    def assert_state(self, haproxy, server, status, check=""):
        """HAProxy reports STATUS for a server, and CHECK as the result of its last check."""
        def assertion():
            row = haproxy.server(server)
            self.assertTrue(row["status"].startswith(status), row)
            self.assertTrue(row["check_status"].endswith(check), row)  # after a * while it checks

        eventually(assertion)


class HAProxyExample(BalancerTestCase):
    def test_clients_are_greeted_under_their_addresses_by_both_servers(self):
        servers = self.serve_both()
        haproxy = self.haproxy()
        for server in ("web1", "web2"):
            self.assert_state(haproxy, server, "UP", "L7OK")
        self.assert_both_serve(servers)

    def test_a_server_that_does_not_listen_gets_no_client(self):
        self.serve_at(SERVERS[1])
        haproxy = self.haproxy()
        self.assert_served()
        self.assert_state(haproxy, "web1", "DOWN")
        self.assert_served()

    def test_a_server_whose_greetd_does_not_run_is_down(self):
        self.socket_on(8004, SERVERS[0])  # by a socket unit
        self.serve_at(SERVERS[1])
        self.assert_state(self.haproxy(), "web1", "DOWN", "L7TOUT")

    def test_without_expect_it_would_be_up(self):
        self.socket_on(8004, SERVERS[0])
        self.serve_at(SERVERS[1])
        haproxy = self.haproxy("tcp-check expect string Hello")
        self.assert_state(haproxy, "web1", "UP", "L4OK")

    def test_the_agent_check_drains_a_server(self):
        file = self.write("agent", "up ready\n")
        draining = self.serve(
            config=f"{here('load-balancer.conf')}\n{examples.text('agent-check.conf')}\n"
                   f"[Listener 8001]\nMessageFile={file}\nMaxAgeSec=infinity\n",
            names=["8004", "8001"],
            sockets=[self.socket_on(port, SERVERS[0]) for port in (8004, 8001)])
        other = self.serve_at(SERVERS[1])
        haproxy = self.haproxy()
        self.assert_both_serve([draining, other])
        self.write("agent.new", "drain\n")
        (self.folder / "agent.new").rename(file)
        self.assert_state(haproxy, "web1", "DRAIN")
        for source in ("127.0.2.1", "127.0.2.2"):
            self.answer_to(source)
            other.wait_line(f"Connection from {source}:.*")

    def test_a_stop_with_a_delay_takes_the_server_down_before_it_stops_listening(self):
        greetd = self.serve(config=f"{here('load-balancer.conf')}\n[Listener 8004]\n"
                            f"ListenStream={SERVERS[0]}:8004\nStopMessage=Goodbye\n"
                            "[Server]\nStopDelaySec=1h\n")
        self.serve_at(SERVERS[1])
        haproxy = self.haproxy()
        self.assert_state(haproxy, "web1", "UP", "L7OK")
        greetd.signal(signal.SIGTERM)
        self.assert_state(haproxy, "web1", "DOWN", "L7RSP")
        self.assert_served()


class NginxExample(BalancerTestCase):
    def test_clients_are_greeted_under_their_addresses_by_both_servers(self):
        servers = self.serve_both()
        Nginx(self, here("load-balancer.nginx.conf"))
        self.assert_both_serve(servers)

    def test_a_server_that_does_not_listen_gets_no_client(self):
        self.serve_at(SERVERS[1])
        Nginx(self, here("load-balancer.nginx.conf"))
        self.assert_served()


class Limits(BalancerTestCase):
    def test_a_client_is_refused_with_the_message(self):
        greetd = self.serve_at(SERVERS[0], "[Limits]\nDeny=127.0.0.5\n")
        self.haproxy()
        self.assertEqual(self.answer_to("127.0.0.5"), b"Please come back later, 127.0.0.5.\r\n")
        greetd.wait_line(r"Connection from 127\.0\.0\.5:\d+ refused: its network is not allowed")
        self.assert_served()


class ByHand(BalancerTestCase):
    def test_the_line_that_the_page_sends(self):
        self.serve_at(SERVERS[0])
        line = re.search(r"printf '(.*)\\r\\n' \| nc 192\.0\.2\.21 8004", page())[1]
        with connect((SERVERS[0], 8004)) as client:
            client.sendall(line.encode() + b"\r\n")
            self.assertEqual(read_to_end(client), b"Hello 192.0.2.1!\r\n")


class Troubles(BalancerTestCase):
    """What goes wrong, and what the log has then."""

    def assert_refused(self, greetd, source, reason):
        self.assertIn(reason, reasons())
        greetd.wait_line(f"Connection from {source}:\\d+ refused: {re.escape(reason)}")

    def test_a_balancer_without_a_header(self):
        greetd = self.serve_at(SERVERS[0], "[Listener 8004]\nDataTimeoutSec=100ms\n")
        self.haproxy("send-proxy-v2 check check-send-proxy")
        self.assertEqual(self.answer_to(), b"")
        self.assert_refused(greetd, "127.0.0.1", "its PROXY header was not complete in time")
        self.answer_to(data=b"GET / HTTP/1.0\r\n\r\n")
        self.assert_refused(greetd, "127.0.0.1", "it does not begin with a PROXY header")

    def test_a_check_without_a_header_gives_up_before_greetd_does(self):
        greetd = self.serve_at(SERVERS[0], "[Listener 8004]\nDataTimeoutSec=1h\n")
        haproxy = self.haproxy("check-send-proxy", "port 8004")
        greetd.wait_line(r"Connection from 127\.0\.0\.1:\d+")
        self.assert_state(haproxy, "web1", "DOWN", "L7TOUT")

    def test_a_balancer_that_is_not_trusted(self):
        greetd = self.serve_at(SERVERS[0], "[Listener 8004]\nProxyTrustedSources=\n"
                               "ProxyTrustedSources=192.0.2.10\n")
        self.haproxy()
        self.assert_refused(greetd, "127.0.0.1", "it does not come from ProxyTrustedSources=")

    def test_a_check_whose_network_is_not_allowed(self):
        greetd = self.serve_at(SERVERS[0], "[Limits]\nAllow=127.0.1.0/24\n")
        haproxy = self.haproxy()
        self.assert_refused(greetd, "127.0.0.1", "its network is not allowed")
        self.assert_state(haproxy, "web1", "DOWN")

    def test_a_server_that_does_not_look_for_headers(self):
        greetd = self.serve_at(SERVERS[0], "[Listener 8004]\nProxyProtocol=no\n"
                               "ProxyTrustedSources=\nLingerSec=1h\n"
                               "[Limits]\nMaxConnectionsPerSource=1\n")
        self.haproxy("check check-send-proxy")
        with socket.create_connection(BALANCER, TIMEOUT, ("127.0.0.5", 0)) as client:
            self.assertEqual(read_to_end(client), b"Hello 127.0.0.1!\r\n")
            self.answer_to("127.0.0.6")
        self.assert_refused(greetd, "127.0.0.1",
                            "its source has MaxConnectionsPerSource= connections already")

    def test_more_checks_than_the_limit_allows(self):
        greetd = self.serve_at(SERVERS[0], "[Limits]\nRateLimitPerSourceBurst=1\n")
        self.haproxy()
        self.assert_refused(greetd, "127.0.0.1", "its source connects more often than "
                            "RateLimitPerSourceBurst= allows")

    def test_an_agent_check_that_waits_for_a_greeting_that_waits_for_a_header(self):
        self.serve(config=f"{here('load-balancer.conf')}\n[Greeting]\nProxyProtocol=yes\n"
                   "[Listener 8001]\nMessage=up\\n\n", names=["8001"],
                   sockets=[self.socket_on(8001, SERVERS[0])])
        haproxy = self.haproxy()
        eventually(lambda: self.assertEqual(haproxy.server()["agent_status"], "L7TOUT"))


if __name__ == "__main__":
    unittest.main()
