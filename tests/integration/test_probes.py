# SPDX-License-Identifier: MIT
"""Probes of other authors: blackbox_exporter, check_tcp and check_time, and nmap. They find what
greetd serves, and greetd counts none of them as failed."""

import collections
import pathlib
import socket
import struct
import time
import unittest
import urllib.parse
import urllib.request
import xml.etree.ElementTree

from support import examples, metrics, peer
from support.daemon import TIMEOUT
from support.examples import run

PLUGINS = pathlib.Path("/usr/lib/nagios/plugins")
OK, WARNING, CRITICAL = range(3)
PORT, OTHER_PORT, METRICS_PORT = 9001, 9002, 9003
METRICS = metrics.METRICS_CONF.replace("[Listener metrics]", f"[Listener {METRICS_PORT}]")
SECONDS_TO_1970 = 2208988800  # from 1900, as RFC 868 counts


class ProbeTestCase(examples.ExampleTestCase, metrics.MetricsTestCase):
    metrics_address = "127.0.0.1", METRICS_PORT

    def serve_probed(self, *sections, **environment):
        return self.serve_sections("\n".join([*sections, METRICS, "LogConnections=no"]), **environment)

    def results(self, probed):
        """The results of all listeners but this one's own, when PROBED connections have ended."""
        def count(samples):
            found = collections.Counter()
            for (name, labels), n in samples.items():
                if name == "greetd_connections_total" and f'"{METRICS_PORT}"' not in labels:
                    found[labels.split('"')[3]] += int(n)
            return +found

        return count(self.scrape_until(lambda samples: count(samples).total() >= probed))

    def assert_delivered(self, probed):
        self.assertEqual(self.results(probed), {"delivered": probed})


class Blackbox(ProbeTestCase):
    ADDRESS = "127.0.0.1:9115"
    CONFIG = """\
modules:
  greeting: {prober: tcp, tcp: {query_response: [{expect: "^Hello from (.*)!$"}]}}
  other: {prober: tcp, tcp: {query_response: [{expect: "^Goodbye"}]}}
  connect: {prober: tcp}
  dialogue:
    prober: tcp
    tcp: {query_response: [{expect: "^220 (.*)"}, {send: "NOOP ${1}"}, {expect: "^221 bye$"}]}
  page:
    prober: http
    http: {fail_if_body_not_matches_regexp: ["127.0.0.1"], valid_http_versions: ["HTTP/1.0"]}
  closed: {prober: http, http: {valid_status_codes: [503]}}
"""

    def setUp(self):
        super().setUp()
        config = self.write("blackbox.yml", self.CONFIG)
        self.exporter = peer.Peer(self, "prometheus-blackbox-exporter", f"--config.file={config}",
                                  f"--web.listen-address={self.ADDRESS}")
        self.exporter.wait_until(self.is_ready)

    def is_ready(self):
        try:
            return bool(self.ask("-/healthy"))
        except OSError:
            return False

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.ADDRESS}/{path}", timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def assert_probe(self, module, target, **expected):
        query = urllib.parse.urlencode({"module": module, "target": target})
        samples = metrics.parse(self.ask(f"probe?{query}"))
        found = {name: samples[f"probe_{name}", None] for name in expected}
        self.assertEqual(found, expected, module)

    def test_tcp(self):
        self.serve_probed(f"[Listener {PORT}]\nMessage=Hello from server!",
                          rf"[Listener {OTHER_PORT}]" "\n" r"Message=220 one\r\n221 bye\r\n")
        server = f"127.0.0.1:{PORT}"
        self.assert_probe("greeting", server, success=1, failed_due_to_regex=0)
        self.assert_probe("other", server, success=0, failed_due_to_regex=1)
        self.assert_probe("dialogue", f"127.0.0.1:{OTHER_PORT}", success=1)
        self.assert_delivered(3)

    def test_a_probe_that_only_connects(self):
        """It closes without having read the greeting, which is a reset."""
        self.serve_probed(f"[Listener {PORT}]\nMessage=Hello", f"[Listener {OTHER_PORT}]\nGreetOn=data")
        for port, success in (PORT, 1), (OTHER_PORT, 1), (1, 0):
            self.assert_probe("connect", f"127.0.0.1:{port}", success=success)
        self.assertLessEqual(self.results(2).keys(), {"delivered", "reset", "partial"})

    def test_http(self):
        self.serve_probed(examples.text("what-is-my-address.conf").replace("8003", str(PORT)),
                          examples.text("maintenance-page.conf").replace("80]", f"{OTHER_PORT}]"))
        page, closed = (f"http://127.0.0.1:{port}/" for port in (PORT, OTHER_PORT))
        self.assert_probe("page", page, success=1, http_status_code=200, http_version=1)
        self.assert_probe("closed", closed, success=1, http_status_code=503)
        self.assert_probe("page", closed, success=0, http_status_code=503)
        self.assert_delivered(3)


class MonitoringPlugins(ProbeTestCase):
    def check(self, plugin, *args, status=OK):
        return run(str(PLUGINS / plugin), "-H", "127.0.0.1", *args, status=status)

    def test_check_tcp(self):
        self.serve_probed(f"[Listener {PORT}]\nMessage=Hello from server!")
        port = "-p", str(PORT)
        expectations = [
            (["-e", "Hello"], OK, "TCP OK"),
            (["-e", "Goodbye"], WARNING, "Unexpected response from host/socket: Hello from server!"),
            (["-e", "Goodbye", "-M", "crit"], CRITICAL, "TCP CRITICAL"),
            (["-e", "Goodbye", "-M", "ok"], OK, "TCP OK"),
            (["-e", "Goodbye", "-e", "server"], OK, "TCP OK"),
            (["-A", "-e", "Hello", "-e", "server"], OK, "TCP OK"),
            (["-A", "-e", "Hello", "-e", "client"], WARNING, "TCP WARNING"),
            (["-e", "Hello", "-q", "QUIT"], OK, "TCP OK"),
            (["-E", "-s", r"GET / HTTP/1.0\r\n\r\n", "-e", "Hello"], OK, "TCP OK"),
            (["-e", "Hello", "-j"], OK, "TCP OK"),
            (["-m", "5", "-e", "Hello"], OK, "TCP OK"),
        ]
        for args, status, text in expectations:
            self.assertIn(text, self.check("check_tcp", *port, *args, status=status), args)
        self.assert_delivered(len(expectations))

    def test_check_tcp_measures_a_slow_greeting(self):
        self.serve_probed(f"[Listener {PORT}]\nMessage=Hello\\n\nDripSec=300ms")
        port = "-p", str(PORT), "-e", "Hello"
        for args, status in ((["-w", "50", "-c", "50"], OK), (["-w", "0.2", "-c", "50"], WARNING),
                             (["-w", "0.1", "-c", "0.2"], CRITICAL)):
            self.check("check_tcp", *port, *args, status=status)
        self.assert_delivered(3)

    def test_check_tcp_through_a_unix_socket(self):
        path = str(self.folder / "socket")
        self.serve(sockets=[self.listening_socket(socket.AF_UNIX, path)])
        run(str(PLUGINS / "check_tcp"), "-H", path, "-e", "Hello from server!")

    def test_check_tcp_of_the_time(self):
        self.serve_probed(examples.text("daytime.conf").replace("13]", f"{PORT}]"), TZ="UTC")
        for expected, status in ((time.strftime("%Y ", time.gmtime()), OK), ("1982 ", WARNING)):
            self.check("check_tcp", "-p", str(PORT), "-e", expected, status=status)
        self.assert_delivered(2)

    def test_check_time_of_a_file_that_another_program_renews(self):
        now = self.write("time", struct.pack("!I", int(time.time()) + SECONDS_TO_1970))
        then = self.write("then", struct.pack("!I", int(time.time()) + SECONDS_TO_1970 - 9000))
        self.serve_probed(f"[Listener {PORT}]\nMessageFile={now}\nWatch=yes",
                          f"[Listener {OTHER_PORT}]\nMessageFile={then}\nWatch=yes")
        for port, status in ((PORT, OK), (OTHER_PORT, CRITICAL)):
            self.check("check_time", "-p", str(port), "-w", "1000", "-c", "2000", status=status)
        self.assert_delivered(2)


class Nmap(ProbeTestCase):
    # Of the examples. `table` is a name by the port alone: nmap knows no entry of Debian's fortunes.
    NAMES = {13: ("daytime", "probed"), 17: ("qotd", "table"), 22: ("ssh", "probed")}

    def names(self, *ports):
        """What nmap calls the services, and by what it knows."""
        report = run("nmap", "-sV", "-Pn", "-n", "-p", ",".join(map(str, ports)), "-oX", "-", "127.0.0.1")
        found = {}
        for port in xml.etree.ElementTree.fromstring(report).iter("port"):
            service = port.find("service").attrib
            found[int(port.get("portid"))] = service["name"], service["method"]
        return found

    def test_it_names_the_examples(self):
        names = "daytime", "qotd", "closed"
        self.serve_probed(*(examples.text(f"{name}.conf") for name in names), TZ="UTC")
        self.assertEqual(self.names(*self.NAMES), self.NAMES)
        self.assertEqual(self.results(len(self.NAMES)).keys(), {"delivered"})

    def test_it_names_a_quote_that_it_knows(self):
        quotes = self.write("quotes", '"My spelling is Wobbly.\n%\nA wonderful fact to reflect upon,\n')
        self.serve_probed(f"[Listener {PORT}]\nMessageFile={quotes}\nPick=random",
                          f"[Listener {OTHER_PORT}]\nMessage=Hello")
        names = self.names(PORT, OTHER_PORT)
        self.assertEqual(names[PORT], ("qotd", "probed"))
        self.assertNotEqual(names[OTHER_PORT][1], "probed")


if __name__ == "__main__":
    unittest.main()
