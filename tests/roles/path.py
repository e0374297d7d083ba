# SPDX-License-Identifier: MIT
"""greetd and greet with a hostile path between them: README.md beside this file."""

import collections
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import unittest

from support import fake_journal, greet, haproxy, held_path, metrics, poll
from support.daemon import TIMEOUT, connect, read_to_end
from support.peer import Peer

HERE = pathlib.Path(__file__).resolve().parent
TEN_LINES = HERE.parent / "bench" / "ten_lines.py"
GREETING = bytes(range(256)) * 16  # in several packets
PORT, METRICS_PORT, HAPROXY_PORT, TEN_LINES_PORT = range(1000, 1004)
DELAY_MS = 100
SPEECH = "3000"  # bytes that a client sends before it reads


class Options:
    """Set by the command line."""

    connections = 10000
    at_once = 500
    loss = 0.02
    seed = 13


def is_listening(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return False
    return True


class PathTestCase(fake_journal.JournalTestCase, metrics.MetricsTestCase):
    metrics_address = "127.0.0.1", METRICS_PORT

    @classmethod
    def setUpClass(cls):
        cls.path = held_path.open_path()

    @classmethod
    def tearDownClass(cls):
        os.close(cls.path)

    def relay(self, dropped=0.0, duplicated=0.0, reordered=0.0, delay_ms=DELAY_MS):
        """Lets packets pass until end_relay(). The shares are of all packets, each way."""
        options = (self.path, delay_ms, dropped, duplicated, reordered, Options.seed)
        process = subprocess.Popen([sys.executable, HERE / "relay.py", *map(str, options)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   pass_fds=[self.path])
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    @staticmethod
    def end_relay(relay):
        """What RELAY has done."""
        return json.loads(relay.communicate(timeout=TIMEOUT)[0])

    def socket_at(self, host, port):
        listener = socket.create_server((host, port), backlog=4096)
        self.addCleanup(listener.close)
        return listener

    def serve_near(self, settings=""):
        """greetd on the near side, with its entries in the journal of the test."""
        message = self.write("greeting", GREETING)
        return self.serve(
            config=f"[Greeting]\nMessageFile={message}\n{settings}\n"
                   f"[Log]\nRateLimitBurst=infinity\n{metrics.METRICS_CONF}LogConnections=no\n",
            sockets=[self.socket_at(held_path.NEAR, PORT), self.socket_at("127.0.0.1", METRICS_PORT)],
            names=["server", "metrics"], **self.to_journal())

    def collect_entries(self):
        """Counts what the entries of connections have, in a thread."""
        entries = collections.Counter()

        def collect():
            while entry := self.journal.recv(1 << 20):
                fields = fake_journal.parse(entry)
                if "GREETD_RESULT" in fields:
                    entries[tuple(fields[f"GREETD_{key}"]
                                  for key in ("RESULT", "BYTES", "BYTES_ACKED"))] += 1

        self.journal.settimeout(None)
        thread = threading.Thread(target=collect)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.journal.shutdown, socket.SHUT_RD)
        return entries

    def load(self, connections, *options, port=PORT, expect=GREETING, patience="60s"):
        """The figures of greet --load from the far side. One handshake in 100,000 takes 15 s."""
        expected = self.write("expected", expect)
        result = subprocess.run(
            [greet.program(), "--load", "--json", "-n", str(connections), "-c", str(Options.at_once),
             "-t", patience, "--expect-file", expected, *options, f"{held_path.FAR}:{port}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=600)
        self.assertIn(result.returncode, (greet.OK, greet.WRONG, greet.LOST), result.stderr)
        return json.loads(result.stdout)


class Load(PathTestCase):
    """Each connection is right at both ends, whatever the path loses."""

    def assert_none_lost(self, connections, *options, settings="", **path):
        """CONNECTIONS of greet --load with OPTIONS, over a path that PATH describes."""
        relay = self.relay(**path)
        greetd = self.serve_near(settings)
        entries = self.collect_entries()
        descriptors = greetd.n_descriptors()
        figures = self.load(connections, *options)
        samples = self.scrape_until(lambda samples: metrics.ended(samples) == connections)
        done = self.end_relay(relay)
        self.report(figures, done, samples)
        self.assertEqual([figures["ok"], figures["lost"]], [connections, 0], figures)
        self.assertEqual(done["connections"], connections)
        for kind in path:
            self.assertGreater(done[kind], 0)
        self.assert_counts_agree(samples, entries, connections)
        poll.eventually(lambda: self.assertEqual(greetd.n_descriptors(), descriptors), TIMEOUT)

    def report(self, figures, done, samples):
        unconfirmed = metrics.ended(samples, 'result="unconfirmed"')
        print(f"  {figures['lost']} lost of {figures['connections']} in {figures['seconds']:.0f} s, "
              f"{unconfirmed:.0f} unconfirmed; packets: {done}", flush=True)

    def assert_counts_agree(self, samples, entries, connections):
        """The metrics, the journal and the client agree."""
        counted = {result: int(metrics.ended(samples, f'result="{result}"'))
                   for result in ("delivered", "unconfirmed")}
        self.assertEqual(sum(counted.values()), connections, samples)
        poll.eventually(lambda: self.assertEqual(sum(entries.values()), connections), TIMEOUT)
        logged = collections.Counter()
        for (result, sent, acknowledged), n in entries.items():
            logged[result] += n
            self.assertEqual(int(sent), len(GREETING))
            self.assertEqual(acknowledged == sent, result == "delivered")
        self.assertEqual(logged, {result: n for result, n in counted.items() if n})

    def test_clients_that_read(self):
        self.assert_none_lost(Options.connections, dropped=Options.loss)

    def test_clients_that_speak_first(self):
        self.assert_none_lost(Options.connections, "--send", SPEECH, dropped=Options.loss)

    def test_a_greeting_that_waits_for_data(self):
        self.assert_none_lost(Options.connections // 5, "--send", SPEECH, dropped=Options.loss,
                              settings="GreetOn=data\nDataTimeoutSec=1min")

    def test_packets_that_are_reordered_and_duplicated(self):
        self.assert_none_lost(Options.connections // 5, "--send", SPEECH, dropped=Options.loss,
                              duplicated=0.05, reordered=0.1)


class Control(PathTestCase):
    """Over the same path, a server that does not wait loses clients that speak first."""

    def assert_lost(self, server, **what):
        relay = self.relay(dropped=Options.loss)
        figures = self.load(Options.connections // 10, "--send", SPEECH, patience="10s", **what)
        self.end_relay(relay)
        print(f"  {server}: {figures['lost']} lost of {figures['connections']}, "
              f"{figures['reset']} of them reset", flush=True)
        self.assertGreater(figures["reset"], 0, figures)

    def test_greetd_that_does_not_linger(self):
        self.serve_near("LingerSec=0")
        self.collect_entries()
        self.assert_lost("greetd with LingerSec=0")

    def test_ten_lines(self):
        program = TEN_LINES.read_text(encoding="utf-8").replace("127.0.0.1", held_path.NEAR)
        server = Peer(self, "python3", "-u", "-c", program, str(TEN_LINES_PORT))
        server.wait_until(lambda: is_listening((held_path.NEAR, TEN_LINES_PORT)))
        self.assert_lost("the ten lines", port=TEN_LINES_PORT, expect=b"Hello from server!")


class RoundTripTime(PathTestCase):
    """$tcpinfo_rtt beside fc_rtt of HAProxy; the scenario is that of haproxy/haproxy,
    reg-tests/sample_fetches/tcpinfo_rtt.vtc (commit 17a381db1263)."""

    HAPROXY = f"""\
defaults
    mode http
    timeout client 10s
frontend rtt
    bind {held_path.NEAR}:{HAPROXY_PORT}
    http-request return content-type text/plain lf-string %[fc_rtt(us)]
"""

    def test_both_measure_the_path(self):
        self.serve_near("GreetOn=data\nMessage=\\r\\n\\r\\n$tcpinfo_rtt")
        self.collect_entries()
        haproxy.HAProxy(self, self.HAPROXY)
        for delay_ms in (20, 100):
            relay = self.relay(delay_ms=delay_ms)
            for port in PORT, HAPROXY_PORT:
                # A busy machine delays the one or the other packet.
                rtt_ms = min(self.measured_usec(port) for _ in range(5)) / 1000
                print(f"  {'greetd' if port == PORT else 'HAProxy'}: {rtt_ms:.1f} ms", flush=True)
                self.assertGreaterEqual(rtt_ms, 2 * delay_ms)
                self.assertLess(rtt_ms, 3 * delay_ms)
            self.end_relay(relay)

    @staticmethod
    def measured_usec(port):
        with connect((held_path.FAR, port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return int(read_to_end(client).partition(b"\r\n\r\n")[2])


def setUpModule():
    fake_journal.isolate()


if __name__ == "__main__":
    unittest.main()
