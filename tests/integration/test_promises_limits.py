# SPDX-License-Identifier: MIT
"""greetd holds at most MaxConnections= clients, with little memory for each and no processor time
for waiting ones, and evicts the right client."""

import pathlib
import re
import resource
import select
import socket
import time
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, greeted, instrumented, read_to_end

BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
CROWD = 9000
CROWD_MAX = 8192
TCP_FASTOPEN_COOKIES = pathlib.Path("/proc/sys/net/ipv4/tcp_fastopen")
TCP_INFO_OPTIONS, TCPI_OPT_SYN_DATA = 5, 0x20  # linux/tcp.h


def setUpModule():
    namespaces.isolate()


def raise_descriptor_limit(wanted):
    """Raises the soft limit of this process to WANTED, or to the hard limit. Returns the new
    limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


class LimitsTestCase(daemon.GreetdTestCase):
    def serve_with(self, server, greeting="LingerSec=infinity"):
        return self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nStopTimeoutSec=0\n{server}\n[Greeting]\n{greeting}\n",
        )

    def wait_descriptors(self, greetd, expected):
        """Polls, since no event reports that another process has closed a descriptor."""
        until = time.monotonic() + daemon.TIMEOUT
        while (n := greetd.n_descriptors()) != expected:
            self.assertLess(time.monotonic(), until, f"{n} descriptors instead of {expected}")
            select.select([], [], [], 0.005)

    def greeted_client(self, address):
        client = self.client(address)
        self.assertEqual(read_to_end(client), GREETING)
        return client

    def connection_lines(self, greetd):
        return [line for line in greetd.lines if line.startswith("Connection from ")]


class Held(LimitsTestCase):
    def test_no_client_is_evicted_while_there_is_room(self):
        greetd = self.serve_with("Workers=4\nMaxConnections=64")
        before = greetd.n_descriptors()
        for n in range(1, 41):
            self.greeted_client(greetd.address())
            self.wait_descriptors(greetd, before + n)
        self.stop(greetd)
        self.assertEqual(len(self.connection_lines(greetd)), 40)

    def test_the_newest_clients_are_held_and_no_more_than_the_limit(self):
        greetd = self.serve_with("Workers=4\nMaxConnections=64")
        before = greetd.n_descriptors()
        clients = []
        for _ in range(200):
            clients.append(self.greeted_client(greetd.address()))
            # For a moment, a worker holds the next client before it evicts the oldest.
            self.assertLessEqual(greetd.n_descriptors(), before + 64 + 4)
        greetd.wait_until(lambda: len(self.connection_lines(greetd)) >= 200 - 64, "136 lines")
        self.assertLessEqual(greetd.n_descriptors(), before + 64)
        held = before + 200 - len(self.connection_lines(greetd))
        self.wait_descriptors(greetd, held)
        newest = f"Connection from 127.0.0.1:{clients[-1].getsockname()[1]}"
        self.assertNotIn(newest, greetd.lines)

    def test_the_descriptor_of_a_closed_client_is_closed_at_once(self):
        greetd = self.serve_with("Workers=2")
        before = greetd.n_descriptors()
        staying = [self.greeted_client(greetd.address()) for _ in range(5)]
        for _ in range(20):
            closing = [self.greeted_client(greetd.address()) for _ in range(10)]
            for client in closing:
                client.close()
            self.wait_descriptors(greetd, before + len(staying))

    def test_the_descriptor_of_a_client_that_never_read_is_closed_at_once(self):
        greetd = self.serve_with("Workers=2")
        before = greetd.n_descriptors()
        for _ in range(20):
            clients = [self.client(greetd.address()) for _ in range(10)]
            for client in clients:
                client.close()
            self.assert_greeted(greetd.address())
            self.wait_descriptors(greetd, before)


class Crowd(LimitsTestCase):
    def resident(self, greetd):
        status = pathlib.Path(f"/proc/{greetd.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024

    def test_clients_that_never_read_or_close(self):
        spare = 200
        allowed = raise_descriptor_limit(CROWD + spare) - spare
        crowd = min(CROWD, allowed)
        limit = CROWD_MAX * crowd // CROWD
        if crowd < CROWD:
            print(f"  only {crowd} of {CROWD} clients: RLIMIT_NOFILE is too small", flush=True)
        greetd = self.serve_with(f"MaxConnections={limit}")
        before = greetd.n_descriptors()
        self.assert_greeted(greetd.address())
        resident = self.resident(greetd)
        for n in range(crowd):
            self.client(greetd.address())
            if n % 500 == 0:  # the last client is greeted last, so the queue never overflows
                self.assert_greeted(greetd.address())
        for _ in range(20):
            self.assert_greeted(greetd.address())
        self.wait_held(greetd, before, limit)
        self.assert_small(self.resident(greetd) - resident, crowd)
        self.stop(greetd)

    def wait_held(self, greetd, before, limit):
        """greetd holds nearly LIMIT clients of a crowd that it has accepted."""
        greetd.wait_message("STATUS", r"Greeting \d+ clients; .*")
        self.assertLessEqual(greetd.n_descriptors(), before + limit)
        self.assertGreater(greetd.n_descriptors(), before + limit * 9 // 10)

    def assert_small(self, grown, crowd):
        print(f"  {crowd} clients took {grown / crowd:.0f} bytes each", flush=True)
        if why := instrumented():
            print(f"  memory is not checked: {why}", flush=True)
            return
        self.assertLess(grown / crowd, 300)


class Exhausted(LimitsTestCase):
    """All descriptors belong to clients that can't be evicted."""

    def setUp(self):
        super().setUp()
        file = self.write("big", BIG)
        self.greetd = self.serve_with("Workers=1", f"MessageFile={file}")
        self.greetd.allow_descriptors(2)
        self.held = [self.client(self.greetd.address(), receive_buffer=8192) for _ in range(2)]
        for client in self.held:
            self.assertEqual(client.recv(1000, socket.MSG_WAITALL), BIG[:1000])
        self.waiting = self.client(self.greetd.address())
        self.greetd.wait_line(".*Too many open files.*")

    def test_waiting_for_a_descriptor_costs_no_processor_time(self):
        self.assert_does_not_spin(self.greetd, 2, [self.waiting], most=0.01)

    def test_a_pending_client_is_greeted_when_another_closes(self):
        self.held.pop().close()
        self.assertEqual(read_to_end(self.waiting), BIG)

    def test_a_pending_client_is_greeted_when_a_descriptor_is_free(self):
        # Only the limit changes, and no event reports that to greetd.
        self.greetd.allow_descriptors(1)
        self.assertEqual(read_to_end(self.waiting), BIG)
        for client in self.held:
            self.assertEqual(read_to_end(client), BIG[1000:])


class FastOpen(LimitsTestCase):
    def greeted_in_the_handshake(self, address):
        """Sends data in the SYN. Returns whether the kernel of the server accepted it."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.sendto(b"hello", socket.MSG_FASTOPEN, address)
            client.settimeout(daemon.TIMEOUT)
            self.assertEqual(read_to_end(client), GREETING)
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return bool(info[TCP_INFO_OPTIONS] & TCPI_OPT_SYN_DATA)

    def allow(self):
        """Allows Fast Open for clients and servers of this network."""
        before = TCP_FASTOPEN_COOKIES.read_text(encoding="ascii")
        self.addCleanup(TCP_FASTOPEN_COOKIES.write_text, before, encoding="ascii")
        TCP_FASTOPEN_COOKIES.write_text("3", encoding="ascii")

    def test_a_client_with_a_cookie_sends_in_the_handshake(self):
        self.allow()
        greetd = self.serve_with("FastOpen=yes", "")
        self.assertFalse(self.greeted_in_the_handshake(greetd.address()), "it has no cookie yet")
        for _ in range(20):
            self.assertTrue(self.greeted_in_the_handshake(greetd.address()))

    def test_fast_open_no_turns_it_off(self):
        self.allow()
        greetd = self.serve_with("FastOpen=no", "")
        for _ in range(5):
            self.assertFalse(self.greeted_in_the_handshake(greetd.address()))


class Connections(LimitsTestCase):
    def test_only_connection_entries_are_disabled(self):
        file = self.write("big", BIG)
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            config="[Server]\nWorkers=1\nStopTimeoutSec=100ms\n[Log]\nConnections=no\n"
            f"[Greeting]\nMessageFile={file}\n",
        )
        for _ in range(20):
            self.assertEqual(greeted(greetd.address()), BIG)
        with connect(greetd.address(), receive_buffer=8192) as held:
            self.assertEqual(held.recv(1000, socket.MSG_WAITALL), BIG[:1000])
            self.stop(greetd)
        self.assertRegex(greetd.lines[0], "^Server is listening on ")
        self.assertEqual(self.connection_lines(greetd), [])
        self.assertRegex(greetd.lines[-1], "^Stopping now: ")


if __name__ == "__main__":
    unittest.main()
