# SPDX-License-Identifier: MIT
"""A faulty proxy between greet and greetd: each end reports what it has seen, no other client is
affected, and memory and descriptors come back."""

import pathlib
import resource
import unittest

from support import fake_journal, greet, poll, toxics
from support.daemon import TIMEOUT, instrumented
from support.greet import LOST, OK, WRONG

SMALL = b"Hello from server!"
LARGE = bytes(range(256)) * (8 << 12)  # 8 MiB: more than the buffers of the kernel
MEBIBYTE = LARGE[: 1 << 20]  # fits into the send buffer, but not into a small receive buffer
OTHERS = 10
ON_DATA = "GreetOn=data\nDataTimeoutSec=300ms"


def setUpModule():
    fake_journal.isolate()


def ends_after(n, greeting):
    return f"not the greeting expected: it ends after {n} bytes of {len(greeting)}"


class ToxicTestCase(fake_journal.JournalTestCase, greet.GreetTestCase):
    def serve_greeting(self, greeting, settings=""):
        self.greeting = self.write("greeting", greeting)
        self.greetd = self.serve_journal(config=f"[Greeting]\nMessageFile={self.greeting}\n{settings}")
        self.descriptors = self.greetd.n_descriptors()

    def arguments(self, address, *args):
        return ["--quiet", "--expect-file", self.greeting, *args, greet.text_of(address)]

    def result(self, port):
        """GREETD_RESULT= and GREETD_BYTES_ACKED= for the client from PORT."""
        while (entry := self.entry("Connection from .*"))["GREETD_REMOTE_PORT"] != str(port):
            pass
        return entry["GREETD_RESULT"], int(entry["GREETD_BYTES_ACKED"])

    def assert_others_greeted(self, *args):
        for _ in range(OTHERS):
            self.assert_result(self.greet(*self.arguments(self.address, *args)), OK)

    def assert_descriptors_are_back(self):
        poll.eventually(
            lambda: self.assertEqual(self.greetd.n_descriptors(), self.descriptors), TIMEOUT)

    def greet_through(self, greeting, *args, settings="", send=(), **toxic):
        """Serves GREETING to a greet with ARGS that has TOXIC on its path, and to others. Returns
        its status, what it says of the server, and what greetd has logged of it."""
        self.serve_greeting(greeting, settings)
        proxy = toxics.Proxy(self, self.address, **toxic)
        process = self.begin(*self.arguments(proxy.address, *args, *send))
        self.assert_others_greeted(*send)
        errors = process.communicate(timeout=TIMEOUT)[1].decode()
        result = self.result(proxy.ports[0])
        proxy.end()
        self.assert_descriptors_are_back()
        prefix = f"greet: {greet.text_of(proxy.address)}: "
        return process.returncode, errors.strip().removeprefix(prefix), *result


class Slow(ToxicTestCase):
    """What arrives late or in pieces arrives."""

    def assert_delivered(self, greeting, **options):
        self.assertEqual(self.greet_through(greeting, **options), (OK, "", "delivered", len(greeting)))

    def test_latency(self):
        self.assert_delivered(SMALL, downstream=toxics.latency(0.2, 0.1))

    def test_slicer(self):
        self.assert_delivered(SMALL, downstream=toxics.slicer(2, 1, 0.01))

    def test_slicer_of_much(self):
        self.assert_delivered(LARGE, downstream=toxics.slicer(30000, 10000, 0.001))

    def test_bandwidth(self):
        self.assert_delivered(LARGE, downstream=toxics.bandwidth(16 << 20))

    def test_data_that_are_late(self):
        self.assert_delivered(SMALL, send=("--send", "x"), upstream=toxics.latency(0.1),
                              settings=ON_DATA)

    def test_slow_close(self):
        self.assert_delivered(SMALL, downstream=toxics.slow_close(0.5))

    def test_slow_close_of_a_client_that_greetd_does_not_wait_for(self):
        self.assert_delivered(SMALL, upstream=toxics.slow_close(TIMEOUT), settings="LingerSec=100ms")


class Broken(ToxicTestCase):
    """greet reports what is missing. For greetd, the proxy is the client's end: a small greeting that
    it has taken and not passed on is delivered."""

    def assert_broken(self, greeting, status, text, result, *args, **options):
        *found, acknowledged = self.greet_through(greeting, *args, **options)
        self.assertEqual(found, [status, text, result])
        self.assertEqual(acknowledged == len(greeting), result == "delivered", acknowledged)

    def test_timeout(self):
        self.assert_broken(SMALL, LOST, "no end of stream within 500ms", "delivered", "-t", "500ms",
                           downstream=toxics.timeout(0))

    def test_timeout_that_closes(self):
        self.assert_broken(SMALL, WRONG, ends_after(0, SMALL), "delivered",
                           downstream=toxics.timeout(0.3))

    def test_timeout_of_the_data(self):
        self.assert_broken(SMALL, WRONG, ends_after(0, SMALL), "timeout", send=("--send", "x"),
                           upstream=toxics.timeout(0), settings=ON_DATA)

    def test_bandwidth_of_nothing(self):
        self.assert_broken(LARGE, LOST, "no end of stream within 3s", "timeout", "-t", "3s",
                           downstream=toxics.bandwidth(0), settings="WriteTimeoutSec=1s")

    def test_bandwidth_of_nothing_once_all_is_sent(self):
        self.assert_broken(MEBIBYTE, LOST, "no end of stream within 3s", "unconfirmed", "-t", "3s",
                           downstream=toxics.bandwidth(0), receive_buffer=8192,
                           settings="WriteTimeoutSec=1s")

    def test_reset_peer(self):
        self.assert_broken(SMALL, LOST, "Connection reset by peer", "delivered",
                           downstream=toxics.reset_peer(0.1))

    def test_reset_peer_before_all_is_sent(self):
        self.assert_broken(LARGE, LOST, "Connection reset by peer", "reset",
                           downstream=toxics.reset_peer(0.1))

    def test_limit_data(self):
        self.assert_broken(SMALL, WRONG, ends_after(5, SMALL), "delivered",
                           downstream=toxics.limit_data(5))

    def test_limit_data_before_all_is_sent(self):
        self.assert_broken(LARGE, WRONG, ends_after(100000, LARGE), "reset",
                           downstream=toxics.limit_data(100000))

    def test_limit_data_of_what_the_client_sends(self):
        self.assert_broken(LARGE, WRONG, ends_after(0, LARGE), "reset", send=("--send", "abc"),
                           settings=ON_DATA, upstream=toxics.limit_data(1),
                           downstream=toxics.timeout(0))


class Memory(ToxicTestCase):
    CLIENTS = 10

    def resident_mib(self):
        pages = pathlib.Path(f"/proc/{self.greetd.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize() / (1 << 20)

    def hold_and_drop(self):
        """Slow clients until they time out; returns the memory with them, and after them."""
        proxy = toxics.Proxy(self, self.address, downstream=toxics.bandwidth(0))
        before = self.resident_mib()
        clients = [self.client(proxy.address) for _ in range(self.CLIENTS)]
        poll.eventually(lambda: self.assertGreater(self.resident_mib(), before + 20), TIMEOUT)
        during = self.resident_mib()
        results = [self.entry("Connection from .*")["GREETD_RESULT"] for _ in clients]
        self.assertEqual(results, self.CLIENTS * ["timeout"])
        self.assert_descriptors_are_back()
        proxy.end()
        return during, self.resident_mib()

    def test_what_slow_clients_have_not_taken_is_freed(self):
        """Each has a copy of its own, since the greeting has a variable. The first round also fills a
        buffer of each worker, which stays."""
        self.serve_greeting(b"$connection " + b"x" * len(LARGE), "Expand=yes\nWriteTimeoutSec=2s")
        _, first = self.hold_and_drop()
        during, second = self.hold_and_drop()
        print(f"  {first:.0f} MiB, {during:.0f} with slow clients, {second:.0f} after them", flush=True)
        if why := instrumented():
            print(f"  memory is not checked: {why}", flush=True)
        else:
            self.assertLess(second, first + 2)


if __name__ == "__main__":
    unittest.main()
