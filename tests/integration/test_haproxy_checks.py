# SPDX-License-Identifier: MIT
"""HAProxy's own scenarios of health checks, with greetd in the place of their server.

The scenarios are those of haproxy/haproxy, reg-tests/checks: agent-check.vtc, smtp-check.vtc,
mysql-check.vtc, redis-check.vtc, ldap-check.vtc (commit 48d5ef363d91), pgsql-check.vtc (0d6fb7a3eb0a),
tcp-check_min-recv.vtc (1afd826ae443), tcp-check_multiple_ports.vtc (04068a193916) and
tcp-check_comment-with-capture.vtc (9dcb09fc9813). HAProxy here is that of Debian, 2.6, which has
`on-error` in place of the captures. Left out are the checks of MySQL with a user, whose server needs
the answer to its handshake.
"""

import socket
import unittest

from support import examples, haproxy, metrics
from support.daemon import connect, read_to_end
from support.examples import eventually

PORT = 8001
CONFIG = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout check {timeout}
backend web
    {rules}
    server web1 {address} {server} inter 200ms rise 1 fall 1
"""
# The address of a server whose check is elsewhere.
NOWHERE = "127.0.0.1:1"


class CheckTestCase(examples.ExampleTestCase):
    def serve_on(self, *sections, more=""):
        """Serves SECTIONS, lines of [Listener PORT], each on the next port from PORT on."""
        return self.serve_sections(more + "".join(
            f"[Listener {PORT + n}]\n{lines}\n" for n, lines in enumerate(sections)))

    def checks(self, rules, server="check", address=f"127.0.0.1:{PORT}", timeout="5s"):
        """An HAProxy that checks a server by RULES."""
        return haproxy.HAProxy(self, CONFIG.format(
            rules="\n    ".join(rules), server=server, address=address, timeout=timeout))

    def assert_check(self, checker, status, check, text=".*", code=None):
        """The server has STATUS, CHECK and CODE by its check. The report has TEXT, a pattern."""
        def assertion():
            row = checker.server()
            found = [row[key].removeprefix("* ")  # while it checks again
                     for key in ("status", "check_status", "check_code")]
            self.assertEqual(found, [status, check, found[2] if code is None else code],
                             row["last_chk"])
            self.assertRegex(row["last_chk"], text)

        eventually(assertion)


class Agent(CheckTestCase):
    """What the agent answers, one after the other. Without a reload, the file is replaced."""

    # The answer; the status, weight and limit of sessions that HAProxy shows then. A weight or limit
    # that only one answer has shows that HAProxy has read this answer and not the one before.
    ANSWERS = [
        ("up ready 100%\n", "no check", "100", ""),
        ("75%\n", "no check", "75", ""),
        ("150%\n", "no check", "150", ""),
        ("1%\r\n", "no check", "1", ""),
        ("0%\n", "no check", "0", ""),
        ("100%,maxconn:30\n", "no check", "100", "30"),
        ("maxconn:32 maint\n", "MAINT", "100", "32"),
        ("up\tmaxconn:33\n", "MAINT", "100", "33"),
        ("ready maxconn:34\n", "no check", "100", "34"),
        ("drain maxconn:35\n", "DRAIN (agent)", "100", "35"),
        ("up 90%\n", "DRAIN (agent)", "90", "35"),
        ("READY, Maxconn:36\n", "no check", "90", "36"),
        ("nonsense 80%\n", "no check", "80", "36"),
        ("70%\nmaint\n", "no check", "70", "36"),
        ("60% down\n", "DOWN (agent)", "60", "36"),
        ("50%\n", "DOWN (agent)", "50", "36"),
        ("up 40%\n", "no check", "40", "36"),
        ("30% fail #no disk\n", "DOWN (agent)", "30", "36"),
        ("up 20%\n", "no check", "20", "36"),
        ("stopped 10% #a text, with 99% up\n", "DOWN (agent)", "10", "36"),
    ]
    AGENT = f"weight 100 agent-check agent-port {PORT} agent-inter 50ms"
    # The columns of `show servers state`.
    OPERATION, ADMINISTRATION, WEIGHT, FIRST_WEIGHT = range(5, 9)

    def setUp(self):
        super().setUp()
        self.answer("\n")
        self.serve_on(f"MessageFile={self.folder}/agent\nWatch=yes")

    def answer(self, text):
        self.write("new", text)
        (self.folder / "new").rename(self.folder / "agent")

    def state(self, checker):
        """The numbers of `show servers state`, and the limit of sessions."""
        row = checker.ask("show servers state web")[2].split()
        return [int(row[n]) for n in (self.OPERATION, self.ADMINISTRATION, self.WEIGHT,
                                      self.FIRST_WEIGHT)] + [checker.server()["slim"]]

    def test_each_answer_of_a_replaced_file_changes_what_the_stats_socket_shows(self):
        checker = self.checks([], self.AGENT, NOWHERE)
        for text, *expected in self.ANSWERS:
            self.answer(text)
            eventually(lambda: self.assertEqual(
                [checker.server()[key] for key in ("status", "weight", "slim")], expected, text))

    def test_an_agent_that_is_sent_a_text_sets_all_at_once(self):
        checker = self.checks([], f'{self.AGENT} agent-send "pouet"', NOWHERE)
        self.assertEqual(self.state(checker), [2, 0, 100, 100, ""])
        self.answer("75%,maxconn:30,maint,down\n")
        eventually(lambda: self.assertEqual(self.state(checker), [0, 1, 75, 100, "30"]))

    def test_an_answer_without_a_newline_is_ignored(self):
        checker = self.checks([], self.AGENT, NOWHERE)
        self.answer("75%")
        eventually(lambda: self.assertIn("incomplete line", checker.server()["last_agt"]))
        self.assertEqual(checker.server()["weight"], "100")


class TcpCheck(CheckTestCase):
    """What greetd sends, and what HAProxy expects; `option tcp-check`."""

    # Rules for the answer "valid", the status of the server, the result and the report.
    EXPECTATIONS = [
        ("string valid", "UP", "L7OK", ".*"),
        ("rstring ^v.l[i]d$", "UP", "L7OK", ".*"),
        ("binary 76616c6964", "UP", "L7OK", ".*"),
        ("rbinary ^76(61)6C", "UP", "L7OK", ".*"),
        ("min-recv 6 string valid", "UP", "L7OK", ".*"),  # the end of stream ends the wait
        ("!string other", "UP", "L7OK", ".*"),
        ("string other comment wanted", "DOWN", "L7RSP",
         "did not match content 'other' at step 1 comment: wanted"),
        ("rstring ^alid", "DOWN", "L7RSP", "did not match content"),
        ("binary 7600", "DOWN", "L7RSP", "did not match content"),
        ("!string valid", "DOWN", "L7RSP", "matched unwanted content 'valid'"),
    ]
    BAD_REQUEST = "GreetOn=data\nMessage=HTTP/1.1 400 Bad Request" r"\r\n\r\n"

    def check_at(self, n, *rules, **options):
        """Checks the port of listener N by RULES of tcp-check."""
        rules = [f"tcp-check {rule}" for rule in rules]
        return self.checks(["option tcp-check", *rules], address=f"127.0.0.1:{PORT + n}", **options)

    def test_expectations(self):
        self.serve_on("Message=valid")
        for rule, status, check, text in self.EXPECTATIONS:
            checker = self.check_at(0, f"expect {rule}")
            self.assert_check(checker, status, check, text)

    def test_an_answer_that_arrives_in_parts_is_waited_for(self):
        self.serve_on(r"Message=220-first\r\n220 last\r\n" "\nDripSec=50ms")
        for rule in ("string last", r"rstring first.*\n220", "binary 0a323230"):
            self.assert_check(self.check_at(0, f"expect {rule}"), "UP", "L7OK")

    def test_bytes_of_every_value_are_expected(self):
        self.serve_on(r"Message=" + "".join(f"\\x{n:02x}" for n in range(256)))
        expected = bytes(range(256)).hex()
        self.assert_check(self.check_at(0, f"expect binary {expected}"), "UP", "L7OK")

    NEGATIVE = ["connect", 'expect {}!rstring "^error" comment "negative check"',
                'expect string "valid" comment "positive check"']

    def test_a_negative_rule_without_a_size_waits_for_the_end_of_stream(self):
        self.serve_on("Message=valid", r"Message=valid\n" "\nDripSec=20ms\nDripRepeat=yes")
        rules = [rule.format("") for rule in self.NEGATIVE]
        self.assert_check(self.check_at(0, *rules), "UP", "L7OK")
        self.assert_check(self.check_at(1, *rules, timeout="500ms"), "DOWN", "L7TOUT",
                          "at step 2 of tcp-check.*negative check")

    def test_a_negative_rule_with_a_size_does_not(self):
        self.serve_on(r"Message=valid\n" "\nDripSec=20ms\nDripRepeat=yes")
        rules = [rule.format("min-recv 5 ") for rule in self.NEGATIVE]
        more = ["send 0123456789", 'expect string "valid" comment "positive check"']
        self.assert_check(self.check_at(0, *rules, *more), "UP", "L7OK")

    def test_several_rules_have_one_answer(self):
        self.serve_on("Message=one two three")
        rules = ["expect string one", "expect rstring two.*three"]
        self.assert_check(self.check_at(0, *rules), "UP", "L7OK")
        self.assert_check(self.check_at(0, *rules, "expect string four comment fourth"), "DOWN",
                          "L7RSP", "at step 3 comment: fourth")

    def test_several_ports_are_checked(self):
        self.serve_on("Message=one", "Message=two")
        here = f"connect port {PORT}", "expect string one"
        there = f"connect port {PORT + 1}", "expect string two"
        closed = "connect port 1",
        self.assert_check(self.check_at(0, *here, *there), "UP", "L7OK")
        for rules, step in ((here + closed, 3), (closed + here, 1)):
            self.assert_check(self.check_at(0, *rules), "DOWN", "L4CON",
                              f"refused at step {step} of tcp-check .connect port 1")

    def test_a_report_has_parts_of_the_answer(self):
        self.serve_on(self.BAD_REQUEST)
        rules = ["connect", r'send "GET / HTTP/1.1\r\n\r\n"']
        report = 'on-error "Bad response: code=%[res.payload(9,3)]"'
        unwanted = r'!rstring "HTTP/1\\.1\\s+[45][0-9]{2}"', "!rbinary ^485454502F312E3120(34|35)"
        for rule in unwanted:
            self.assert_check(self.check_at(0, *rules, f"expect {rule} {report}"), "DOWN", "L7RSP",
                              "Bad response: code=400")

    def test_a_check_sends_a_proxy_header(self):
        self.serve_on("ProxyProtocol=yes\nMessage=Hello $remote_addr!")
        for rules, server in (
                (["connect send-proxy", "expect string Hello"], "check"),
                (["expect string Hello"], "check check-send-proxy send-proxy"),
                (["expect string Hello"], "check check-send-proxy send-proxy-v2")):
            self.assert_check(self.check_at(0, *rules, server=server), "UP", "L7OK")
        self.assert_check(self.check_at(0, "expect string Hello", timeout="500ms"), "DOWN", "L7TOUT")

    def test_a_check_through_a_unix_socket(self):
        path = str(self.folder / "socket")
        self.serve(config="[Greeting]\nMessage=Hello $remote_addr",
                   sockets=[self.listening_socket(socket.AF_UNIX, path)])
        rules = ["option tcp-check", "tcp-check expect string unix:"]
        self.assert_check(self.checks(rules, address=f"unix@{path}"), "UP", "L7OK")


class ProtocolCheck(CheckTestCase):
    """The checks of HAProxy for a protocol, of a greetd that speaks so much of it."""

    MYSQL = ("4A0000000A382E302E3139000A0000006F3C025E6249410D00FFFFFF0200FFC7150000000000000000"
             "00007C182159106E2761144322200063616368696E675F736861325F70617373776F726400")
    # The option, the answer, the settings, the status of the server, the result, the report, its code.
    # Each line of an answer with DripSec= is sent when HAProxy has read the one before.
    CASES = [
        ("smtpchk", b"220 greetd SMTP Server\r\n250 greetd\r\n221 greetd closing\r\n",
         "DripSec=100ms", "UP", "L7OK", ".*", "0"),
        ("smtpchk EHLO domain.tld", b"220 greetd SMTP Server\r\n250-greetd\r\n250-KEYWORD\r\n"
         b"250 LAST KEYWORD\r\n221 greetd closing\r\n",
         "DripSec=100ms", "UP", "L7OK", ".*", "0"),
        ("smtpchk", b"I'm not a SMTP server\r\n", "", "DOWN", "L7RSP", "I'm not a SMTP server", ""),
        ("smtpchk", b"421 Try again later\r\n", "", "DOWN", "L7STS", "Try again later", "421"),
        ("smtpchk EHLO domain.tld", b"220 greetd SMTP Server\r\n512 DNS error\r\n",
         "DripSec=100ms", "DOWN", "L7STS", "DNS error", "512"),
        ("mysql-check", bytes.fromhex(MYSQL), "", "UP", "L7OK", ".*", "0"),
        ("redis-check", b"+PONG\r\n", "GreetOn=data", "UP", "L7OK", "Redis server is ok", "0"),
        ("redis-check", b"-Error message\r\n", "GreetOn=data", "DOWN", "L7STS", "-Error message", "0"),
        ("pgsql-check user postgres", bytes.fromhex("520000000800000000"), "GreetOn=data", "UP", "L7OK",
         "PostgreSQL server is ok", "0"),
        ("pgsql-check user postgres", bytes.fromhex("450000000B53464154414C00"), "GreetOn=data",
         "DOWN", "L7RSP", "FATAL", ""),
        ("pgsql-check user postgres", b"Not a PostgreSQL response", "GreetOn=data", "DOWN", "L7STS",
         "PostgreSQL unknown error", "0"),
        ("pgsql-check user postgres", bytes.fromhex("52000000170000000A534352414D2D5348412D3235360000"),
         "GreetOn=data", "UP", "L7OK", "PostgreSQL server is ok", "0"),
        ("ldap-check", bytes.fromhex("300C02010161070A010004000400"), "GreetOn=data", "UP", "L7OK",
         ".*", "0"),
        ("ldap-check", bytes.fromhex("300C02010160070A010004000400"), "GreetOn=data", "DOWN", "L7RSP",
         "Not LDAPv3 protocol", ""),
        ("ldap-check", bytes.fromhex("300C02010161070A010104000400"), "GreetOn=data", "DOWN", "L7STS",
         "rfc4511#section-4.1.9", "1"),
        # In two parts: DripSec= divides it behind its first byte 0A.
        ("ldap-check", bytes.fromhex("3084000000100201016184000000070A010004000400"),
         "GreetOn=data\nDripSec=50ms", "UP", "L7OK", ".*", "0"),
    ]

    def test_each_answer(self):
        self.serve_on(*(f"MessageFile={self.write(f'answer{n}', answer)}\n{settings}"
                        for n, (_, answer, settings, *_) in enumerate(self.CASES)))
        checkers = [self.checks([f"option {option}"], address=f"127.0.0.1:{PORT + n}")
                    for n, (option, *_) in enumerate(self.CASES)]
        for checker, (*_, status, check, text, code) in zip(checkers, self.CASES, strict=True):
            self.assert_check(checker, status, check, text, code)


class Log(CheckTestCase, metrics.MetricsTestCase):
    """Checks that only connect, to a listener that waits for data."""

    metrics_address = "127.0.0.1", PORT + 1
    ENOUGH = 5

    def ended(self, samples, port=PORT):
        return metrics.total(samples, "greetd_connections_total", f'listener="{port}"')

    def check_silently(self, log_silent):
        """The lines about connections when HAProxy has checked ENOUGH times, and a client came."""
        metrics_lines = metrics.METRICS_CONF.replace("[Listener metrics]", "") + "LogConnections=no"
        greetd = self.serve_on("GreetOn=data", metrics_lines, "Message=Hello",
                               more=f"[Server]\nWorkers=1\n[Log]\nLogSilentConnections={log_silent}\n")
        plain = self.checks([], address=f"127.0.0.1:{PORT + 2}")
        checker = self.checks(["option tcp-check", "tcp-check connect linger"])
        samples = self.scrape_until(lambda samples: self.ended(samples) >= self.ENOUGH)
        for balancer in plain, checker:
            self.assert_check(balancer, "UP", "L4OK")
        # HAProxy answers the second packet of a handshake with a reset.
        self.assertEqual(self.ended(samples, PORT + 2), 0)
        with connect(("127.0.0.1", PORT + 2)) as client:
            read_to_end(client)
            greetd.wait_line(f"Connection from 127.0.0.1:{client.getsockname()[1]}")
        return [line for line in greetd.lines if line.startswith("Connection from ")]

    def test_without_silent_connections_no_check_is_logged(self):
        self.assertEqual(len(self.check_silently("no")), 1)

    def test_otherwise_each_check_is_logged_that_reaches_greetd(self):
        self.assertGreater(len(self.check_silently("yes")), self.ENOUGH)


if __name__ == "__main__":
    unittest.main()
