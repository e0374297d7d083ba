# SPDX-License-Identifier: MIT
"""Floods of clients over their limit, of PROXY headers that are never complete, and of sources: other
clients are greeted, the log and the metrics have every client, and the memory stays bounded."""

import socket
import unittest

from support import load_client, metrics, namespaces, proxy, reload
from support.daemon import GREETING, TIMEOUT, instrumented, read_to_end

FLOODING = 200  # sources
AT_ONCE = 64
PLACES = 8  # far fewer than the clients of a flood
GREETED = 200  # clients during a flood

PROXY = "[Listener server]\nProxyProtocol=yes\n"

# Headers that are never complete. One more byte would make any of them a wrong one, or complete.
HALF_LINE = b"PROXY UNKNOWN ".ljust(106, b"x")
HALF_HEADER = proxy.v2("2001:db8::1", tlvs=b"\xee\x0f\xc9".ljust(4044, b"x"))[:-1]


def setUpModule():
    namespaces.isolate()


def answer_to(address, sent=b"", source="127.0.0.1"):
    """What a client reads that connects from SOURCE. The last packet of its handshake has the bytes
    SENT, so that greetd never sees it without them."""
    with socket.socket() as client:
        client.settimeout(TIMEOUT)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, bool(sent))
        client.bind((source, 0))
        client.connect(address)
        client.sendall(sent)
        return read_to_end(client)


class UnderAttack(load_client.LoadTestCase, metrics.LimitedTestCase, reload.ReloadTestCase):
    """A greetd with a socket for clients and one for metrics."""

    def serve_attacked(self, config, workers=2, places=16384):
        server = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        scraped = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.address, self.metrics_address = server.getsockname(), scraped.getsockname()
        self.greetd = self.serve(
            config=f"[Server]\nWorkers={workers}\nMaxConnections={places}\n{config}\n"
            f"{metrics.METRICS_CONF}LogConnections=no\n",
            sockets=[server, scraped],
            names=["server", "metrics"],
            stderr=self.log_file(),
        )

    def flood(self, connections, *options, at_once=AT_ONCE):
        return self.load(self.address[1], connections, at_once, *options)

    def end_flood(self, client):
        """Ends a flood. Returns how many of its clients were greeted, and how many were closed
        without a byte: a client that is closed with unread bytes is reset."""
        counts = self.counts(client)
        closed = counts["short"] + counts["reset"]
        self.assertEqual(counts["fine"] + closed, counts["connections"], counts)
        return counts["fine"], closed

    def assert_greets(self, n, sent=b"", sources=("127.0.0.1",)):
        for i in range(n):
            answer = answer_to(self.address, sent, sources[i % len(sources)])
            self.assertEqual(answer, GREETING, f"client {i}")

    def assert_accounted(self, n, reason, **results):
        """The metrics have N clients with these RESULTS and no others, refused ones only for REASON,
        and the log has N entries. A number that is None may be any. Returns the results."""
        # The scrape itself is active, and the one before may be for a moment.
        samples = self.scrape_until(
            lambda s: metrics.ended(s) >= n and s["greetd_connections_active", None] == 1
        )
        self.assertEqual(metrics.ended(samples), n)
        seen = {name: metrics.ended(samples, f'result="{name}"') for name in results}
        self.assertEqual(sum(seen.values()), n, seen)
        self.assertEqual({name: results[name] or seen[name] for name in results}, seen)
        refusals = metrics.total(samples, "greetd_refused_total", f'reason="{reason}"')
        self.assertEqual(refusals, seen["refused"])
        self.assertEqual(metrics.total(samples, "greetd_refused_total"), refusals)
        self.stop(self.greetd)
        self.assertEqual(self.logged_connections(), n)
        return seen

    def resident_kib(self):
        return int(self.status_of(self.greetd, "VmRSS"))

    def assert_grew_at_most(self, before_kib, most_kib):
        grown = self.resident_kib() - before_kib
        print(f"  {grown} KiB more are resident", flush=True)
        if why := instrumented():
            print(f"  memory is not checked: {why}", flush=True)
        else:
            self.assertLessEqual(grown, most_kib)


class OverTheirLimit(UnderAttack):
    def test_a_flood_over_the_rate_limit_is_refused_and_others_are_greeted(self):
        burst = load_client.connections() // 2000
        within = FLOODING * burst
        self.serve_attacked("[Limits]\nRateLimitPerSourceIntervalSec=1week\n"
                            f"RateLimitPerSourceBurst={burst}\n")
        flood = self.flood(3 * within, "-a", str(FLOODING), "-u")
        self.wait_progress(flood, within)
        n = 20 * burst
        self.assert_greets(n, sources=[f"127.2.0.{i}" for i in range(20)])
        greeted, refused = self.end_flood(flood)
        self.assertEqual(greeted, within)
        self.assertGreaterEqual(refused, 2 * within)
        self.assert_accounted(n + greeted + refused, "rate", delivered=n + greeted, refused=refused)

    def test_a_flood_over_the_limit_of_connections_is_refused_and_others_are_greeted(self):
        self.serve_attacked("[Greeting]\nLingerSec=1h\n[Limits]\nMaxConnectionsPerSource=2\n")
        held = []
        for i in range(2 * FLOODING):
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(TIMEOUT)
            client.bind((f"127.1.0.{1 + i % FLOODING}", 0))
            client.connect(self.address)
            self.assertEqual(read_to_end(client), GREETING)
            held.append(client)
        flood = self.flood(load_client.connections() // 5, "-a", str(FLOODING), "-u")
        self.wait_progress(flood, 1000)
        self.assert_greets(GREETED, sources=[f"127.2.0.{i}" for i in range(GREETED)])
        greeted, refused = self.end_flood(flood)
        self.assertEqual(greeted, 0)
        for client in held:
            client.close()
        delivered = GREETED + len(held)
        self.assert_accounted(delivered + refused, "connections", delivered=delivered,
                              refused=refused)


class Headers(UnderAttack):
    """Without its header a client of a flood is evicted for the next one, or refused in the end."""

    def assert_greets_during(self, n, header, *options, at_once=AT_ONCE):
        """Clients are greeted during a flood of at least N clients that send HEADER. Returns how
        many of the flood were greeted, and how many were not."""
        flood = self.flood(n, "-i", self.write("header", header), *options, "-u", at_once=at_once)
        self.wait_progress(flood, 500)
        self.assert_greets(GREETED // 2, proxy.v1("192.0.2.1"))
        self.assert_greets(GREETED // 2, proxy.v2("2001:db8::1"))
        return self.end_flood(flood)

    def assert_flood_is_closed(self, header, *options):
        """Returns the results of all clients."""
        self.serve_attacked(f"{PROXY}DataTimeoutSec=2s\n", places=PLACES)
        n = load_client.connections() // 20
        greeted, closed = self.assert_greets_during(n, header, *options)
        self.assertEqual(greeted, 0)
        # One that is evicted when it has its greeting may be unconfirmed.
        results = self.assert_accounted(GREETED + closed, "proxy", delivered=None, unconfirmed=None,
                                        partial=None, refused=None)
        self.assertEqual(results["delivered"] + results["unconfirmed"], GREETED)
        return results

    def test_lines_without_an_end_are_refused(self):
        results = self.assert_flood_is_closed(HALF_LINE + b"x")
        self.assertGreater(results["refused"], 0)

    def test_half_headers_that_stay_are_evicted(self):
        for header in (HALF_LINE, HALF_HEADER):
            with self.subTest(size=len(header)):
                results = self.assert_flood_is_closed(header)
                self.assertGreater(results["partial"], 0)

    def test_half_headers_byte_by_byte_are_evicted(self):
        results = self.assert_flood_is_closed(HALF_LINE, "-b")
        self.assertGreater(results["partial"], 0)

    def test_whole_headers_byte_by_byte_are_read(self):
        self.serve_attacked(PROXY)
        greeted, closed = self.assert_greets_during(load_client.connections() // 50,
                                                    proxy.v2("2001:db8::1"), "-b")
        self.assertEqual(closed, 0)
        self.assert_accounted(GREETED + greeted, "proxy", delivered=GREETED + greeted, refused=0)

    def test_the_memory_for_half_headers_is_bounded_by_the_places(self):
        places = 256
        self.serve_attacked(f"{PROXY}DataTimeoutSec=2s\n", workers=1,
                            places=places)
        before_kib = self.resident_kib()
        self.assert_greets_during(load_client.connections() // 20, HALF_HEADER, at_once=2 * places)
        self.assert_grew_at_most(before_kib, places * 5 + 512)


class ManySources(UnderAttack):
    def test_old_sources_are_forgotten_and_nobody_is_refused(self):
        n = 2 * load_client.connections()
        # So long that no source is forgotten since it may come as often as a new one again.
        self.serve_attacked(f"{PROXY}[Limits]\nRateLimitPerSourceIntervalSec=1week\n"
                            f"RateLimitPerSourceBurst={GREETED}\n")
        self.assert_none_lost(self.flood(n, "-p", "0"), n)
        before_kib = self.resident_kib()
        flood = self.flood(n, "-p", str(n))
        self.assert_greets(GREETED, proxy.v1("192.0.2.1"))
        self.assert_none_lost(flood, n)
        # 5 bytes for each further source. A worker with few clients so far uses more of its ring now.
        self.assert_grew_at_most(before_kib, n * 5 // 1024)

        def known(samples):
            return samples["greetd_sources", None]

        def forgotten(samples):
            return samples["greetd_sources_forgotten_total", None]

        # They are of the last second. The other client may be forgotten again and again.
        samples = self.scrape_until(lambda s: known(s) + forgotten(s) >= 2 * n)
        self.assertLess(known(samples) + forgotten(samples), 2 * n + GREETED + self.n_scrapes)
        self.assertLessEqual(known(samples), samples["greetd_sources_max", None])
        self.assertEqual(samples["greetd_sources_untracked_total", None], 0)
        self.assertEqual(metrics.total(samples, "greetd_refused_total"), 0)


if __name__ == "__main__":
    unittest.main()
