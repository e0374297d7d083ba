# SPDX-License-Identifier: MIT
"""greet as a client and as a probe: its output, its messages, and its exit status."""

import os
import pathlib
import pty
import re
import socket
import subprocess
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


def setUpModule():
    namespaces.isolate()


class Greeting(greet.GreetTestCase):
    def test_a_greeting_is_copied_to_standard_output(self):
        _, address = self.server(send_greeting)
        self.assert_result(self.greet(address), OK, GREETING)

    def test_the_address_may_be_left_out(self):
        self.server(send_greeting, listener=self.listen(port=12345))
        self.assert_result(self.greet(), OK, GREETING)

    def test_an_empty_greeting_is_a_greeting(self):
        _, address = self.server(lambda client: send_greeting(client, b""))
        self.assert_result(self.greet(address), OK)

    def test_every_byte_of_a_long_greeting_is_copied(self):
        greeting = os.urandom(3_000_000)
        _, address = self.server(lambda client: send_greeting(client, greeting))
        path = self.write("greeting", greeting)
        self.assert_result(self.greet(address, "--expect-file", path), OK, greeting)

    def test_unix_sockets(self):
        for name in (str(self.folder / "socket"), "\0greet-test"):
            listener = self.listening_socket(socket.AF_UNIX, name)
            _, address = self.server(send_greeting, listener=listener)
            self.assertEqual(address, name.replace("\0", "@"))
            self.assert_result(self.greet(address), OK, GREETING)

    def test_ipv6(self):
        _, address = self.server(send_greeting, listener=self.listen("::1"))
        self.assert_result(self.greet(address), OK, GREETING)

    def test_the_greeting_of_greetd_is_the_expected_one(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        self.assert_result(self.greet(text_of(greetd.address()), *EXPECT), OK, GREETING)
        self.stop(greetd)


class Expected(greet.GreetTestCase):
    def check(self, behaviour, status, why="", printed=GREETING):
        _, address = self.server(behaviour)
        stderr = why and f"{address}: not the greeting expected: {why}"
        self.assert_result(self.greet(address, *EXPECT), status, printed, stderr)
        self.assert_result(self.greet(address, *EXPECT, "--quiet"), status, b"", stderr)
        path = self.write("expected", GREETING)
        self.assert_result(self.greet(address, "--expect-file", path, "-q"), status, b"", stderr)

    def test_the_expected_greeting(self):
        self.check(send_greeting, OK)

    def test_another_byte(self):
        why = "it differs at byte 12: \\x53 instead of \\x73"
        self.check(send_wrong, WRONG, why, b"Hello from Server!")

    def test_too_short(self):
        self.check(send_short, WRONG, "it ends after 5 bytes of 18", b"Hello")

    def test_too_long(self):
        self.check(send_more, WRONG, "it goes on after 18 bytes", GREETING + b"!")

    def test_escapes_are_those_of_the_configuration(self):
        _, address = self.server(lambda client: send_greeting(client, b"a\r\n\t\\\0\xff"))
        self.assert_result(self.greet("-q", address, "-e", r"a\r\n\t\\\x00\xFF"), OK)

    def test_a_bad_escape_is_a_usage_error(self):
        why = "--expect: bad escape at byte 2; the escapes are \\n, \\r, \\t, \\\\ and \\xHH"
        self.assert_result(self.greet("--expect", "a\\q"), UNABLE, b"", why)

    def test_a_missing_file_is_a_usage_error(self):
        path = str(self.folder / "missing")
        why = f"{path}: No such file or directory"
        self.assert_result(self.greet("--expect-file", path), UNABLE, b"", why)


class Lost(greet.GreetTestCase):
    def check(self, address, why, *args, printed=b""):
        result = self.greet(address, *args)
        self.assert_result(result, LOST, printed, f"{address}: {why}")

    def test_refused(self):
        listener = self.listen()
        address = text_of(listener.getsockname())
        listener.close()
        self.check(address, "Connection refused")

    def test_unreachable(self):
        self.check("192.0.2.1:80", "Network is unreachable")

    def test_no_such_unix_socket(self):
        self.check(str(self.folder / "missing"), "No such file or directory")

    def test_reset_before_the_greeting(self):
        _, address = self.server(reset)
        self.check(address, "Connection reset by peer")

    def test_reset_within_the_greeting(self):
        _, address = self.server(send_and_reset)
        self.check(address, "Connection reset by peer, after 5 bytes", "-s", "x", printed=b"Hello")

    def test_no_end_of_stream(self):
        _, address = self.server(send_nothing)
        self.check(address, "no end of stream within 200ms", "--timeout", "200ms")

    def test_no_end_of_stream_after_the_greeting(self):
        def stay(client):
            client.sendall(GREETING)
            client.recv(1)

        _, address = self.server(stay)
        why = "no end of stream within 200ms, after 18 bytes"
        self.check(address, why, "-t", "200ms", *EXPECT, printed=GREETING)

    def test_no_connection(self):
        address = text_of(self.full_listener().getsockname())
        self.check(address, "no connection within 200ms", "-t", "200ms")

    def test_no_room_in_the_queue_of_a_unix_socket(self):
        listener = self.listening_socket(socket.AF_UNIX, str(self.folder / "socket"), backlog=0)
        self.client(listener.getsockname())
        self.check(listener.getsockname(), "no connection within 200ms", "-t", "200ms")

    def test_unknown_name(self):
        self.own_hosts("127.0.0.1 localhost\n")
        self.check("nowhere.test:80", "Name or service not known")

    def test_silent_name_server(self):
        self.own_hosts("127.0.0.1 localhost\n", "dns")
        pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 53))
            why = "the name server does not answer in time"
            self.check("nowhere.test:80", why, "-t", "200ms")


class Timeout(greet.GreetTestCase):
    """--timeout holds however slow the output is. Without it none of these runs would end."""

    def endless(self):
        def send_endlessly(client):
            while True:
                client.sendall(bytes(65536))

        return self.server(send_endlessly)[1]

    def pipe(self):
        """The write end of a pipe without a reader."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        return write_end

    def terminal(self):
        """A terminal that hangs, since nothing reads from it."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        return theirs

    def end(self, *args, **streams):
        process = self.begin("-t", "300ms", *args, **streams)
        _, stderr = process.communicate(timeout=daemon.TIMEOUT)
        return process.returncode, stderr

    def test_a_slow_standard_output(self):
        """The next bytes have always arrived when the last ones are written."""
        read_end, write_end = os.pipe()
        process = self.begin("-t", "300ms", self.endless(), stdout=write_end)
        os.close(write_end)
        with open(read_end, "rb", buffering=0) as stream:
            hung_up = time.monotonic() + daemon.TIMEOUT
            while stream.read(1) and time.monotonic() < hung_up:
                pass
            self.assertFalse(stream.read(1))
        self.assertIn(process.wait(daemon.TIMEOUT), (LOST, UNABLE))

    def test_a_stuck_standard_output(self):
        address = self.endless()
        non_blocking = self.pipe()
        os.set_blocking(non_blocking, False)
        for stdout in (self.pipe(), non_blocking, self.terminal()):
            status, stderr = self.end(address, stdout=stdout)
            why = b"greet: Failed to write to standard output within 300ms\n"
            self.assertEqual((status, stderr), (UNABLE, why))

    def fill(self, stuck):
        os.set_blocking(stuck, False)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(stuck, bytes(4096))
        os.set_blocking(stuck, True)

    def test_a_stuck_standard_error(self):
        self.own_hosts("127.0.0.1 here.test\n")
        address = self.endless()
        named = address.replace("127.0.0.1", "here.test")
        for stuck in (self.pipe(), self.terminal()):
            self.fill(stuck)
            for to in (address, named):
                status, _ = self.end("--explain", "-q", to, stderr=stuck)
                self.assertEqual(status, LOST)

    def test_the_same_stuck_pipe_for_both(self):
        stuck = self.pipe()
        status, _ = self.end(self.endless(), stdout=stuck, stderr=stuck)
        self.assertEqual(status, UNABLE)


class Names(greet.GreetTestCase):
    """greet tries every address in the order of the resolver, IPv6 first."""

    def setUp(self):
        super().setUp()
        self.own_hosts("::1 both.test\n127.0.0.1 both.test\n")

    def test_the_next_address_is_tried(self):
        _, address = self.server(send_greeting)
        port = address.rpartition(":")[2]
        result = self.greet("--explain", f"both.test:{port}")
        self.assertEqual((result.returncode, result.stdout), (OK, GREETING))
        tried = re.findall(r"connecting to (.*)", result.stderr.decode())
        self.assertEqual(tried, [f"[::1]:{port}", f"127.0.0.1:{port}"])

    def test_the_first_address_that_answers_is_used(self):
        listener = self.listen("::1")
        _, address = self.server(lambda client: send_greeting(client, b"six"), listener=listener)
        port = address.rpartition(":")[2]
        self.server(send_greeting, listener=self.listen(port=int(port)))
        self.assert_result(self.greet(f"both.test:{port}"), OK, b"six")

    def test_every_address_is_reported_if_none_answers(self):
        listener = self.listen()
        port = listener.getsockname()[1]
        listener.close()
        stderr = f"[::1]:{port}: Connection refused\n127.0.0.1:{port}: Connection refused"
        self.assert_result(self.greet(f"both.test:{port}"), LOST, b"", stderr)

    def test_each_address_has_the_whole_timeout(self):
        full = self.full_listener("::1")
        port = full.getsockname()[1]
        self.server(send_greeting, listener=self.listen(port=port))
        self.assert_result(self.greet("-t", "1s", f"both.test:{port}"), OK, GREETING)

    def test_a_bare_port_is_a_port_of_this_machine(self):
        for host in ("::1", "127.0.0.1"):
            _, address = self.server(send_greeting, listener=self.listen(host))
            self.assert_result(self.greet(address.rpartition(":")[2]), OK, GREETING)


class Explained(greet.GreetTestCase):
    def steps(self, *args):
        """The lines of --explain, with T in place of each time."""
        lines = self.greet("--explain", *args).stderr.decode().splitlines()
        return [re.sub(r" after \d+\.\d ms$", " after T", line) for line in lines]

    def test_each_step(self):
        _, address = self.server(send_greeting)
        steps = [
            f"connecting to {address}",
            "connected after T",
            "received 18 bytes after T",
            "end of stream after T",
        ]
        self.assertEqual(self.steps(address), steps)

    def test_bytes_sent(self):
        def answer(client):
            client.recv(3, socket.MSG_WAITALL)
            send_greeting(client)

        _, address = self.server(answer)
        self.assertIn("sent 3 bytes after T", self.steps(address, "--send", "a\\nb"))

    def test_a_failure(self):
        listener = self.listen()
        address = text_of(listener.getsockname())
        listener.close()
        steps = [
            f"connecting to {address}",
            "failed to connect: Connection refused after T",
            f"greet: {address}: Connection refused",
        ]
        self.assertEqual(self.steps(address), steps)

    def test_a_timeout(self):
        _, address = self.server(send_nothing)
        self.assertIn("giving up after T", self.steps(address, "-t", "100ms"))

    def test_a_look_up(self):
        self.own_hosts("127.0.0.1 here.test\n")
        _, address = self.server(send_greeting)
        port = address.rpartition(":")[2]
        self.assertEqual(self.steps(f"here.test:{port}")[0], f"looking up here.test:{port}")


class Sent(greet.GreetTestCase):
    def test_text_with_escapes(self):
        got = []

        def answer(client):
            got.append(client.recv(18, socket.MSG_WAITALL))
            send_greeting(client)

        _, address = self.server(answer)
        result = self.greet("-s", r"GET / HTTP/1.0\r\n\r\n", address)
        self.assert_result(result, OK, GREETING)
        self.assertEqual(got, [b"GET / HTTP/1.0\r\n\r\n"])

    def limit_send_buffers(self, sizes):
        """Sets tcp_wmem of this network (tcp(7)) until the test ends."""
        path = pathlib.Path("/proc/sys/net/ipv4/tcp_wmem")
        self.addCleanup(path.write_text, path.read_text())
        path.write_text(sizes)

    def test_the_greeting_is_read_while_there_is_no_room_to_send(self):
        text, greeting = "x" * 100_000, b"y" * 2_000_000

        def answer(client):
            client.sendall(greeting)
            client.recv(len(text), socket.MSG_WAITALL)
            send_greeting(client, b"")

        # Before the handshake: a window that shrinks later makes the kernel drop the client's ACKs.
        listener = self.listen()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.limit_send_buffers("4096 4096 4096")
        _, address = self.server(answer, listener=listener)
        self.assert_result(self.greet("-t", "1min", "-s", text, address), OK, greeting)

    def test_a_bad_escape_is_a_usage_error(self):
        _, address = self.server(send_greeting)
        why = "--send: bad escape at byte 1; \\x must be followed by two hexadecimal digits"
        self.assert_result(self.greet("-s", "\\x1", address), UNABLE, b"", why)


class CommandLine(greet.GreetTestCase):
    def test_usage_errors_have_a_status_of_their_own(self):
        for args in (["--no-such-option"], ["80", "81"], ["--rate=5"], ["-t", "soon"]):
            result = self.greet(*args)
            self.assertEqual((result.returncode, result.stdout), (UNABLE, b""), args)
            self.assertIn(b"Try 'greet --help'.\n", result.stderr)

    def test_bad_addresses(self):
        why = "to connect, the port can't be 0"
        self.assert_result(self.greet("127.0.0.1:0"), UNABLE, b"", f"127.0.0.1:0: {why}")
        self.assertEqual(self.greet("nonsense").returncode, UNABLE)

    def test_help_names_every_option_and_status(self):
        result = self.greet("--help")
        self.assertEqual((result.returncode, result.stderr), (OK, b""))
        options = "--expect --expect-file --expect-config --listener --timeout --send --quiet --explain"
        load = "--help --version --load --connections --concurrent --rate --hold --pid --json"
        for word in [*options.split(), *load.split(), "Exit status: 0", "vsock:CID:PORT"]:
            self.assertIn(word, result.stdout.decode())

    def test_version(self):
        result = self.greet("--version")
        self.assertRegex(result.stdout, rb"^greet \d+\.\d+\.\d+(\+[\w.]+)?\n$")
        self.assertEqual((result.returncode, result.stderr), (OK, b""))

    def test_output_that_can_not_be_written_is_an_error(self):
        _, address = self.server(send_greeting)
        for args in ([address], ["--help"], ["--load", "-n", "1", "--json", address]):
            with open("/dev/full", "wb") as full:
                result = self.greet(*args, stdout=full)
            stderr = b"greet: Failed to write to standard output: No space left on device\n"
            self.assertEqual((result.returncode, result.stderr), (UNABLE, stderr), args)

    def test_a_closed_pipe_is_an_error_and_not_a_signal(self):
        _, address = self.server(send_greeting)
        read_end, write_end = os.pipe()
        os.close(read_end)
        result = self.greet(address, stdout=write_end)
        os.close(write_end)
        stderr = b"greet: Failed to write to standard output: Broken pipe\n"
        self.assertEqual((result.returncode, result.stderr), (UNABLE, stderr))

    def test_standard_output_may_be_non_blocking(self):
        greeting = b"z" * 1_000_000
        _, address = self.server(lambda client: send_greeting(client, greeting))
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        process = self.begin(address, stderr=subprocess.DEVNULL, stdout=write_end)
        os.close(write_end)
        with open(read_end, "rb") as stream:
            self.assertEqual(stream.read(), greeting)
        self.assertEqual(process.wait(daemon.TIMEOUT), OK)


if __name__ == "__main__":
    unittest.main()
