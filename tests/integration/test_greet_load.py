# SPDX-License-Identifier: MIT
"""greet as a load generator: it counts every connection under its result."""

import ctypes
import json
import os
import pathlib
import pty
import re
import resource
import signal
import socket
import termios
import threading
import time
import unittest

from support import daemon, greet, namespaces
from support.daemon import GREETING
from support.greet import (
    EXPECT,
    LOST,
    OK,
    UNABLE,
    WRONG,
    reset,
    send_and_reset,
    send_greeting,
    send_more,
    send_nothing,
    send_short,
    send_wrong,
    text_of,
)

KINDS = ("refused", "reset", "short", "wrong", "timeout", "unreachable", "no_port")
PORT_RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24


def setUpModule():
    namespaces.isolate()


class LoadTestCase(greet.GreetTestCase):
    def load(self, *args, status=OK):
        """The figures of a run with --json."""
        result = self.greet("--load", "--json", *map(str, args))
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout.count(b"\n"), 1)
        return json.loads(result.stdout)

    def finish_load(self, process, status=OK):
        """The figures of a run that begin() has started."""
        output, _ = process.communicate(timeout=daemon.TIMEOUT)
        self.assertEqual(process.returncode, status)
        return json.loads(output)

    def assert_counts(self, figures, **counts):
        """COUNTS are the kinds that FIGURES have; every other kind is 0."""
        expected = dict.fromkeys(("ok", *KINDS), 0) | counts
        self.assertEqual({kind: figures[kind] for kind in expected}, expected)
        self.assertEqual(figures["connections"], sum(expected.values()))
        lost = figures["connections"] - expected["ok"] - expected["no_port"]
        self.assertEqual(figures["lost"], lost)


class Counted(LoadTestCase):
    def test_every_connection_reaches_the_server(self):
        server, address = self.server(send_greeting)
        figures = self.load("-n", 300, "-c", 20, *EXPECT, address)
        self.assert_counts(figures, ok=300)
        self.assertEqual(server.accepted, 300)
        self.assertEqual((figures["address"], figures["interrupted"]), (address, False))

    def test_a_first_connection_finds_out_what_to_expect(self):
        server, address = self.server(send_wrong)
        self.assert_counts(self.load("-n", 20, address), ok=20)
        self.assertEqual(server.accepted, 21)

    def test_a_greeting_that_differs_from_the_first_is_wrong(self):
        _, address = self.server(send_greeting, send_wrong)
        self.assert_counts(self.load("-n", 10, "-c", 1, address, status=WRONG), ok=5, wrong=5)

    def test_each_kind_of_loss(self):
        server, address = self.server(
            send_greeting, reset, send_short, send_wrong, send_more, send_and_reset, send_nothing
        )
        args = ("-n", 70, "-c", 70, "-t", "5s", "--send", 1, *EXPECT, address)
        figures = self.load(*args, status=LOST)
        self.assert_counts(figures, ok=10, reset=20, short=10, wrong=20, timeout=10)
        self.assertEqual(server.accepted, 70)

    def test_short_and_wrong_greetings_have_a_status(self):
        for behaviour, counts in ((send_short, {"short": 5}), (send_more, {"wrong": 5})):
            _, address = self.server(behaviour)
            figures = self.load("-n", 5, *EXPECT, address, status=WRONG)
            self.assert_counts(figures, **counts)

    def test_refused(self):
        listener = self.listen()
        address = text_of(listener.getsockname())
        listener.close()
        figures = self.load("-n", 10, *EXPECT, address, status=LOST)
        self.assert_counts(figures, refused=10)

    def test_unreachable(self):
        figures = self.load("-n", 10, *EXPECT, "192.0.2.1:80", status=LOST)
        self.assert_counts(figures, unreachable=10)

    def test_connections_that_the_kernel_drops_time_out(self):
        address = text_of(self.full_listener().getsockname())
        figures = self.load("-n", 5, "-t", "200ms", *EXPECT, address, status=LOST)
        self.assert_counts(figures, timeout=5)

    def test_greet_waits_while_a_queue_is_full(self):
        listener = self.listening_socket(socket.AF_UNIX, str(self.folder / "socket"), backlog=1)
        server, address = self.server(send_greeting, listener=listener)
        self.assert_counts(self.load("-n", 200, "-c", 50, *EXPECT, address), ok=200)
        self.assertEqual(server.accepted, 200)

    def test_greet_times_out_while_a_queue_stays_full(self):
        listener = self.listening_socket(socket.AF_UNIX, str(self.folder / "socket"), backlog=0)
        self.client(listener.getsockname())
        args = ("-n", 20, "-c", 20, "-t", "200ms", *EXPECT, listener.getsockname())
        self.assert_counts(self.load(*args, status=LOST), timeout=20)

    def test_a_long_greeting_is_compared_to_its_end(self):
        greeting = os.urandom(1_000_000)
        wrong = greeting[:-1] + bytes([greeting[-1] ^ 1])
        _, address = self.server(
            lambda client: send_greeting(client, greeting),
            lambda client: send_greeting(client, wrong),
        )
        path = self.write("greeting", greeting)
        args = ("-n", 10, "-c", 4, "--expect-file", path, address)
        self.assert_counts(self.load(*args, status=WRONG), ok=5, wrong=5)

    def test_greetd_loses_none(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        address = text_of(greetd.address())
        for args in ([], ["--send", "4K"]):
            figures = self.load("-n", 3000, "-c", 100, *args, *EXPECT, address)
            self.assert_counts(figures, ok=3000)
        self.stop(greetd)


class Conditions(LoadTestCase):
    """The conditions of a run."""

    def test_no_load_is_made_if_the_first_connection_fails(self):
        listener = self.listen()
        address = text_of(listener.getsockname())
        listener.close()
        stderr = f"{address}: Connection refused"
        self.assert_result(self.greet("--load", address), LOST, b"", stderr)

    def test_the_address_that_answers_is_used(self):
        server, address = self.server(send_greeting)
        figures = self.load("-n", 10, *EXPECT, address.rpartition(":")[2])
        self.assert_counts(figures, ok=10)
        self.assertEqual((figures["address"], server.accepted), (address, 11))

    def run_with_open_files(self, soft, hard, *args):
        """greet --load with these limits, without the privilege to raise them."""

        def limit():
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        return self.greet("--load", *args, preexec_fn=limit)

    def test_the_limit_of_open_files_is_raised(self):
        _, address = self.server(send_greeting)
        args = ("-n", "200", "-c", "200", "--json", *EXPECT, address)
        result = self.run_with_open_files(64, 256, *args)
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        self.assert_counts(json.loads(result.stdout), ok=200)

    def test_too_low_a_limit_of_open_files_is_an_error(self):
        server, address = self.server(send_greeting)
        result = self.run_with_open_files(64, 128, "-n", "200", "-c", "200", address)
        stderr = "-c 200 needs 216 open files, but the limit is 128 (ulimit -Hn)"
        self.assert_result(result, UNABLE, b"", stderr)
        self.assertEqual(server.accepted, 0)


class Ports(LoadTestCase):
    """Local ports are scarce."""

    def limited_server(self, host, number):
        """A server whose clients have NUMBER local ports."""
        self.addCleanup(PORT_RANGE.write_text, PORT_RANGE.read_text())
        listener = self.listen(host)
        PORT_RANGE.write_text(f"20000 {20000 + number - 1}")
        return self.server(send_greeting, listener=listener)

    def test_other_addresses_of_this_machine_are_used(self):
        server, address = self.limited_server("127.0.0.1", 10)
        figures = self.load("-n", 40, "-c", 40, "--hold", "500ms", *EXPECT, address)
        self.assert_counts(figures, ok=40)
        self.assertEqual(server.accepted, 40)
        self.assertGreaterEqual(len(server.peers), 4)
        self.assertLessEqual(server.peers, {f"127.0.0.{i}" for i in range(1, 41)})

    def test_a_missing_local_port_is_not_counted_as_lost(self):
        server, address = self.limited_server("::1", 10)
        args = ("-n", "25", "-c", "25", "--hold", "500ms", *EXPECT, address)
        result = self.greet("--load", "--json", *args)
        self.assert_counts(json.loads(result.stdout), ok=10, no_port=15)
        stderr = b"greet: 15 connections had no local port; see ip_local_port_range in ip(7)\n"
        self.assertEqual((result.returncode, result.stderr), (LOST, stderr))
        self.assertEqual(server.accepted, 10)

    def test_one_port_is_enough_for_one_connection_after_the_other(self):
        server, address = self.limited_server("::1", 1)
        self.assert_counts(self.load("-n", 50, "-c", 1, *EXPECT, address), ok=50)
        self.assertEqual(server.accepted, 50)


class Behaved(LoadTestCase):
    """The behaviour of each client."""

    def test_a_client_sends_before_it_reads(self):
        got = []

        def receive_first(client):
            got.append(len(client.recv(100_000, socket.MSG_WAITALL)))
            send_greeting(client)

        _, address = self.server(receive_first)
        figures = self.load("-n", 20, "--send", 100_000, *EXPECT, address)
        self.assert_counts(figures, ok=20)
        self.assertEqual(got, [100_000] * 20)

    def test_the_first_client_sends_too(self):
        def receive_first(client):
            client.recv(5000, socket.MSG_WAITALL)
            send_greeting(client)

        _, address = self.server(receive_first)
        self.assert_counts(self.load("-n", 5, "--send", 5000, address), ok=5)

    def test_a_reset_while_a_client_sends_is_counted(self):
        _, address = self.server(send_and_reset)
        figures = self.load("-n", 5, "--send", "10M", *EXPECT, address, status=LOST)
        self.assert_counts(figures, reset=5)
        result = self.greet("--load", "--send", "10M", address)
        why = f"{address}: Connection reset by peer, after 5 bytes"
        self.assert_result(result, LOST, b"", why)

    def test_a_client_is_held_for_the_time_of_hold(self):
        held = []

        def measure(client):
            client.sendall(GREETING)
            client.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            client.recv(1)
            held.append(time.monotonic() - began)

        server, address = self.server(measure)
        self.assert_counts(self.load("-n", 10, "-c", 5, "--hold", "300ms", *EXPECT, address), ok=10)
        server.stop()
        self.assertGreaterEqual(min(held), 0.2)

    def test_a_rate_spreads_the_connections(self):
        _, address = self.server(send_greeting)
        figures = self.load("-n", 41, "--rate", 100, *EXPECT, address)
        self.assert_counts(figures, ok=41)
        self.assertGreaterEqual(figures["seconds"], 0.4)

    def test_with_a_rate_a_stall_is_in_all_latencies(self):
        """The server stalls for 500 ms. Connections that were due meanwhile have waited too."""
        stalled = threading.Event()

        def stall(client):
            if not stalled.is_set():
                stalled.set()
                time.sleep(0.5)
            send_greeting(client)

        _, address = self.server(stall)
        figures = self.load("-n", 20, "-c", 1, "--rate", 100, *EXPECT, address)
        self.assert_counts(figures, ok=20)
        self.assertGreaterEqual(figures["usec"]["p50"], 300_000)
        self.assertGreaterEqual(figures["usec"]["max"], 500_000)

    def test_latencies_are_those_of_the_server(self):
        def delay(client):
            time.sleep(0.1)
            send_greeting(client)

        _, address = self.server(delay)
        usec = self.load("-n", 20, "-c", 5, *EXPECT, address)["usec"]
        self.assertGreaterEqual(usec["p50"], 100_000)
        self.assertEqual(sorted(usec.values()), [usec[q] for q in ("p50", "p99", "p999", "max")])


class Printed(LoadTestCase):
    def test_text(self):
        _, address = self.server(send_greeting, send_short)
        result = self.greet("--load", "-n", "10", *EXPECT, address)
        self.assertEqual((result.returncode, result.stderr), (WRONG, b""))
        lines = result.stdout.decode().splitlines()
        self.assertEqual(len(lines), 3)
        summary = r"10 connections in \d.*, \d+ per second"
        self.assertRegex(lines[0], f"^{re.escape(address)}: {summary}$")
        self.assertEqual(lines[1], "5 ok, 5 lost: 5 short")
        quantiles = ", ".join(rf"{q} \d+ us" for q in ("p50", "p99", "p99\\.9", "max"))
        self.assertRegex(lines[2], f"^connect to end of stream: {quantiles}$")

    def test_without_a_right_greeting_there_is_no_latency(self):
        _, address = self.server(reset)
        result = self.greet("--load", "-n", "10", *EXPECT, address)
        self.assertEqual((result.returncode, result.stderr), (LOST, b""))
        self.assertEqual(result.stdout.decode().splitlines()[1:], ["0 ok, 10 lost: 10 reset"])

    def test_the_processor_time_of_the_server(self):
        _, address = self.server(send_greeting)
        server = self.load("-n", 200, "--pid", os.getpid(), *EXPECT, address)["server"]
        self.assertEqual(server["pid"], os.getpid())
        self.assertGreater(server["nsec"], 0)
        self.assertEqual(server["nsec_per_connection"], server["nsec"] // 200)
        name = pathlib.Path("/proc/self/comm").read_text().strip()
        self.assertGreater(server["threads"][name], 0)
        result = self.greet("--load", "-n", "10", "--pid", str(os.getpid()), *EXPECT, address)
        line = rf"processor time of process {os.getpid()} per connection: \d+ ns: .*{name} \d+"
        self.assertRegex(result.stdout.decode().splitlines()[3], f"^{line}")

    def test_a_process_that_has_ended(self):
        process = self.begin("--version")
        process.communicate()
        _, address = self.server(send_greeting)
        result = self.greet("--load", "--pid", str(process.pid), *EXPECT, address)
        stderr = f"Failed to read the processor time of process {process.pid}: No such process"
        self.assert_result(result, UNABLE, b"", stderr)


class Interrupted(LoadTestCase):
    def test_results_so_far_are_printed(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server, address = self.server(send_greeting, send_nothing)
            process = self.begin("--load", "--json", "-n", "1000", "-c", "4", *EXPECT, address)
            # Four clients that hang, the last of them after one that was greeted.
            server.wait_accepted(8)
            process.send_signal(number)
            figures = self.finish_load(process)
            self.assert_counts(figures, ok=4)
            self.assertEqual((figures["unfinished"], figures["interrupted"]), (4, True))

    def read_until(self, terminal, pattern):
        output = b""
        while not re.search(pattern, output):
            output += os.read(terminal, 4096)
        return output

    def test_held_connections_are_open_until_the_interrupt(self):
        """The progress on a terminal shows when all of them are open."""
        clients = []

        def keep(client):
            clients.append(client)
            client.sendall(GREETING)
            client.shutdown(socket.SHUT_WR)
            client.recv(1)

        _, address = self.server(keep)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        args = ("-n", "30", "-c", "30", "--hold", "infinity", *EXPECT, address)
        process = self.begin("--load", "--json", *args, stderr=theirs)
        os.close(theirs)
        self.read_until(ours, rb"30 of 30 connections, 0 not ok, 30 open, \d+ per second")
        self.assertEqual(len(clients), 30)
        for client in clients:
            with self.assertRaises(BlockingIOError):
                client.recv(1, socket.MSG_DONTWAIT)
        process.send_signal(signal.SIGINT)
        figures = self.finish_load(process)
        self.assert_counts(figures, ok=30)
        self.assertEqual((figures["unfinished"], figures["interrupted"]), (0, True))

    def test_a_terminal_that_hangs_delays_nothing(self):
        """Without a time limit, the run would wait for the terminal at its first progress."""
        _, address = self.server(send_greeting)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        termios.tcflow(theirs, termios.TCOOFF)
        args = ("-n", "13", "--rate", "10", *EXPECT, address)
        process = self.begin("--load", "--json", *args, stderr=theirs)
        self.assert_counts(self.finish_load(process), ok=13)

    def test_without_a_terminal_there_is_no_progress(self):
        _, address = self.server(send_greeting)
        result = self.greet("--load", "-n", "13", "--rate", "10", *EXPECT, address)
        self.assertEqual((result.returncode, result.stderr), (OK, b""))


if __name__ == "__main__":
    unittest.main()
