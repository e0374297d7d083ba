# SPDX-License-Identifier: MIT
"""Each system call of greet fails once: greet then goes on, or ends with a message and a status of its
manual. tests/faults does the same to greetd."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
import unittest

from support import greet, namespaces
from support.daemon import GREETING, TIMEOUT

# What a call is interrupted by and waits again, or how it fails; errno(3).
BLOCKING = {"poll", "epoll_wait", "recvfrom", "sendto", "read", "write", "connect", "ppoll"}
FAILURES = ("ENOBUFS", "EINTR")
# The memory is that of test_memory.py; the others can't fail.
LEFT_OUT = {"mmap", "munmap", "mprotect", "brk", "futex", "exit_group", "rt_sigreturn", "getpid"}
CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


def setUpModule():
    namespaces.isolate()


def send_greeting(client):
    with contextlib.suppress(OSError):  # a client that fails may end early
        greet.send_greeting(client)


class GreetFaults(greet.GreetTestCase):
    def strace(self, *options):
        trace = self.folder / "trace"
        command = [shutil.which("strace"), "-f", "-qq", "-o", str(trace), *options]
        result = subprocess.run(
            [*command, greet.program(), *self.arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        return result, trace.read_text(encoding="utf-8", errors="replace").splitlines()

    def calls(self):
        """(name, number) of each system call that main() makes; the number counts those of the name."""
        result, trace = self.strace()
        self.assertEqual(result.returncode, greet.OK, result.stderr)
        counts, calls, in_main = {}, [], False
        for name in (match[1] for match in map(CALL.match, trace) if match):
            counts[name] = counts.get(name, 0) + 1
            in_main |= name == "rt_sigaction"  # the first that main() makes is for SIGPIPE
            if in_main and name not in LEFT_OUT:
                calls.append((name, counts[name]))
        self.assertTrue(calls)
        return calls

    def check_call(self, name, number, error):
        result, trace = self.strace(f"--inject={name}:error={error}:when={number}")
        if result.returncode == greet.OK:
            self.assertIn(self.expected, result.stdout)
            return False
        # How often a run waits is a matter of chance.
        self.assertTrue(any("(INJECTED)" in line for line in trace), result)
        self.assertIn(result.returncode, (greet.LOST, greet.UNABLE), result)
        if name != "write":
            self.assertRegex(result.stderr + result.stdout, self.message)
        return True

    def check(self, *arguments, expected=GREETING, message=rb"(?m)^greet: .*\w"):
        """MESSAGE is that of a run that fails."""
        _, address = self.server(send_greeting)
        self.arguments, self.expected, self.message = (address, *arguments), expected, message
        failed = 0
        for name, number in self.calls():
            for error in FAILURES if name in BLOCKING else FAILURES[:1]:
                with self.subTest(f"{name} {number} {error}"):
                    failed += self.check_call(name, number, error)
        self.assertGreater(failed, 3)

    def test_a_probe(self):
        self.check("--explain", "--send=Hello", "--proxy=192.0.2.1", *greet.EXPECT)

    def test_a_load(self):
        arguments = ("--load", "--connections=3", "--concurrent=2", f"--pid={os.getpid()}", "--hold=1ms")
        message = rb"greet: |[1-3] (lost|reset|failed)"
        self.check(*arguments, "--send=100", "--rate=1000", expected=b"3 connections", message=message)

    def test_a_load_with_receipts(self):
        arguments = ("--load", "--connections=3", f"--receipts={self.folder / 'receipts'}", *greet.EXPECT)
        self.check(*arguments, expected=b"3 connections", message=rb"greet: |[1-3] (lost|reset|failed)")

    def test_reconciling(self):
        receipt = '{"number":1,"bytes":0,"end":"unfinished","connect_usec":1,"end_usec":2}\n'
        path = self.write("receipts", receipt)
        self.arguments, self.expected = ("--reconcile", path), b"1 unfinished"
        self.message = rb"(?m)^greet: .*\w"
        failed = 0
        for name, number in self.calls():
            with self.subTest(f"{name} {number}"):
                failed += self.check_call(name, number, FAILURES[0])
        self.assertGreater(failed, 2)

    def test_a_load_with_a_greeting_that_is_too_large(self):
        _, address = self.server(lambda client: greet.send_greeting(client, bytes((16 << 20) + 1)))
        why = f"{address}: File too large, after 16777217 bytes"
        self.assert_result(self.greet("--load", address), greet.LOST, b"", why)

    def test_a_load_on_a_server_that_reads_nothing(self):
        """The sample has ended with the greeting; the connection has all to send before."""
        done = threading.Event()

        def send_only(client):
            client.sendall(GREETING)
            client.shutdown(socket.SHUT_WR)
            done.wait(TIMEOUT)

        _, address = self.server(send_only)
        self.addCleanup(done.set)
        result = self.greet("--load", "--connections=1", "--send=100000000", "--timeout=3s", address)
        self.assertEqual(result.returncode, greet.LOST, result)
        self.assertIn(b"0 ok, 1 lost: 1 timeout", result.stdout)

    def test_a_configuration(self):
        path = self.write("greetd.conf", "[Greeting]\nMessage=Hello from $listener!\n")
        self.check(f"--expect-config={path}", message=rb"(?m)^(greet|.*greetd\.conf(\.d)?): .*\w")


if __name__ == "__main__":
    unittest.main()
