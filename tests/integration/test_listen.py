# SPDX-License-Identifier: MIT
"""Sockets that greetd opens itself: the grammar of ListenStream= in systemd.socket(5)."""

import errno
import os
import pathlib
import re
import signal
import socket
import sys
import unittest

from support import daemon, namespaces
from support.daemon import EX_OSERR, GREETING, connect, greeted

VMADDR_CID_LOCAL = 1


def setUpModule():
    namespaces.isolate()


class Listen(daemon.GreetdTestCase):
    def assert_fails(self, address, why):
        greetd = self.finish("-l", address)
        self.assert_ends(greetd, EX_OSERR)
        self.assertEqual(greetd.lines, [f"Failed to listen on {address}: {why}"])

    def test_a_port_in_use(self):
        taken = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.assert_fails(f"127.0.0.1:{taken.getsockname()[1]}", "Address already in use")

    def test_an_address_of_another_host(self):
        self.assert_fails("192.0.2.1:80", "Cannot assign requested address")

    def test_a_missing_interface(self):
        for address in ("[fe80::1%eth9]:80", "[fe80::1]:80%eth9"):
            with self.subTest(address):
                self.assert_fails(address, "No such device")
                self.assert_ends(self.finish("--check", "-l", address), 0)

    def test_a_link_local_address(self):
        namespaces.add_address("fe80::1")
        greetd = self.serve("-l", "[fe80::1%lo]:7002")
        greetd.wait_line(r"Server is listening on \[fe80::1%lo\]:7002")
        self.assert_greeted(("fe80::1", 7002, 0, socket.if_nametoindex("lo")))

    def test_a_port_for_root_only(self):
        self.set_sysctl("ipv4/ip_unprivileged_port_start", "1024")
        wrapper = os.environ.get("GREETD_WRAPPER", "")
        os.environ["GREETD_WRAPPER"] = f"setpriv --bounding-set -net_bind_service {wrapper}"
        self.addCleanup(os.environ.__setitem__, "GREETD_WRAPPER", wrapper)
        self.assert_fails("127.0.0.1:80", "Permission denied")

    def test_a_port_with_connections_in_time_wait(self):
        first = self.serve("-l", "127.0.0.1:0")
        address = first.address()
        with connect(address) as client:
            # The server's end closes first, so the connection stays in TIME_WAIT on its side.
            client.settimeout(daemon.TIMEOUT)
            self.assertEqual(daemon.read_to_end(client), GREETING)
        self.stop(first)
        self.serve("-l", f"127.0.0.1:{address[1]}")
        self.assert_greeted(address)

    def test_ipv6(self):
        greetd = self.serve("-l", "[::1]:0")
        greetd.wait_line(r"Server is listening on \[::1\]:\d+")
        self.assert_greeted(greetd.address())

    def set_sysctl(self, name, value):
        """Changes a setting of the network of this module until the test ends."""
        path = pathlib.Path("/proc/sys/net") / name
        self.addCleanup(path.write_text, path.read_text())
        path.write_text(value)

    def test_the_unspecified_ipv6_address_follows_bindv6only(self):
        # BindIPv6Only=default of systemd.socket(5)
        self.assert_greeted(("127.0.0.1", self.serve("-l", "[::]:0").address()[1]))
        self.set_sysctl("ipv6/bindv6only", "1")
        port = self.serve("-l", "[::]:0").address()[1]
        with self.assertRaises(ConnectionRefusedError):
            greeted(("127.0.0.1", port))

    def test_a_bare_port_accepts_both_families(self):
        self.set_sysctl("ipv6/bindv6only", "1")
        greetd = self.serve("-l", "0")
        port = greetd.address()[1]
        self.assertEqual(greetd.lines, [f"Server is listening on [::]:{port}"])
        self.assert_greeted(("127.0.0.1", port))
        self.assert_greeted(("::1", port))
        greetd.wait_line(r"Connection from 127\.0\.0\.1:\d+")
        greetd.wait_line(r"Connection from \[::1\]:\d+")

    def test_a_bare_port_without_ipv6_accepts_ipv4(self):
        self.set_sysctl("ipv6/conf/all/disable_ipv6", "1")
        greetd = self.serve("-l", "0")
        self.assert_greeted(("127.0.0.1", greetd.address()[1]))

    def test_several_addresses(self):
        path = str(self.folder / "socket")
        greetd = self.serve("-l", "127.0.0.1:0", "-l", "[::1]:0", "--listen", path)
        for index in range(3):
            self.assert_greeted(greetd.address(index))
        self.assertEqual(greetd.address(2), path)

    def test_one_bad_address_of_several(self):
        path = self.folder / "socket"
        greetd = self.finish("-l", str(path), "-l", "192.0.2.1:80")
        self.assert_ends(greetd, EX_OSERR)
        self.assertFalse(path.exists())
        self.assertEqual(
            greetd.lines, ["Failed to listen on 192.0.2.1:80: Cannot assign requested address"]
        )

    def test_an_abstract_name(self):
        greetd = self.serve("-l", "@greetd-test")
        greetd.wait_line("Server is listening on @greetd-test")
        self.assert_greeted(b"\0greetd-test")

    def test_the_backlog_is_as_configured(self):
        greetd = self.serve("-l", "127.0.0.1:0", config="[Server]\nBacklog=7\n")
        address = greetd.address()
        greetd.freeze()
        # The kernel queues one client more than the backlog, and drops the SYN of later ones.
        for _ in range(8):
            self.client(address)
        with socket.socket() as one_too_many:
            one_too_many.setblocking(False)
            self.assertEqual(one_too_many.connect_ex(address), errno.EINPROGRESS)
            greetd.signal(signal.SIGCONT)
            one_too_many.settimeout(daemon.TIMEOUT)
            self.assertEqual(daemon.read_to_end(one_too_many), GREETING)

    def test_listeners_with_their_own_address_and_greeting(self):
        greetd = self.serve(
            config="""
                [Server]
                ListenStream=127.0.0.1:0
                [Greeting]
                Message=common
                [Listener own]
                ListenStream=127.0.0.2:0
                Message=own
                [Listener plain]
                ListenStream=127.0.0.3:0
            """.replace("    ", "")
        )
        addresses = [greetd.address(index) for index in range(3)]
        greetings = {address[0]: greeted(address) for address in addresses}
        self.assertEqual(
            greetings, {"127.0.0.1": b"common", "127.0.0.2": b"own", "127.0.0.3": b"common"}
        )


class UnixPath(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "socket"

    def test_is_unlinked_at_exit(self):
        greetd = self.serve("-l", str(self.path))
        self.assertTrue(self.path.is_socket())
        self.assert_greeted(str(self.path))
        self.stop(greetd)
        self.assertFalse(self.path.exists())

    def test_a_stale_socket_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.path))
            stale.listen()
        self.serve("-l", str(self.path))
        self.assert_greeted(str(self.path))

    def test_a_killed_predecessors_socket_is_replaced(self):
        first = self.serve("-l", str(self.path))
        first.signal(signal.SIGKILL)
        self.assertEqual(first.wait(), -signal.SIGKILL)
        self.serve("-l", str(self.path))
        self.assert_greeted(str(self.path))

    def test_a_live_socket_is_left_alone(self):
        self.serve("-l", str(self.path), "-m", "first")
        second = self.finish("-l", str(self.path), "-m", "second")
        self.assert_ends(second, EX_OSERR)
        self.assertEqual(
            second.lines, [f"Failed to listen on {self.path}: Address already in use"]
        )
        self.assert_greeted(str(self.path), b"first")

    def test_a_live_socket_with_a_full_queue_is_left_alone(self):
        busy = self.listening_socket(socket.AF_UNIX, str(self.path), backlog=0)
        self.client(str(self.path))
        second = self.finish("-l", str(self.path))
        self.assert_ends(second, EX_OSERR)
        busy.accept()[0].close()
        self.client(str(self.path))

    def test_a_live_seqpacket_socket_is_left_alone(self):
        self.listening_socket(socket.AF_UNIX, str(self.path), socket.SOCK_SEQPACKET)
        self.assert_ends(self.finish("-l", str(self.path)), EX_OSERR)
        self.client(str(self.path), kind=socket.SOCK_SEQPACKET)

    def test_a_live_datagram_socket_is_left_alone(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as live:
            live.bind(str(self.path))
            self.assert_ends(self.finish("-l", str(self.path)), EX_OSERR)
            with connect(str(self.path), socket.SOCK_DGRAM) as client:
                client.send(b"still there")
            self.assertEqual(live.recv(64), b"still there")

    def test_a_regular_file_is_not_clobbered(self):
        self.path.write_text("precious")
        greetd = self.finish("-l", str(self.path))
        self.assert_ends(greetd, EX_OSERR)
        self.assertRegex("\n".join(greetd.lines), re.escape(f"Failed to listen on {self.path}: "))
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_directory_that_is_missing(self):
        path = self.folder / "missing" / "socket"
        greetd = self.finish("-l", str(path))
        self.assert_ends(greetd, EX_OSERR)
        self.assertEqual(
            greetd.lines, [f"Failed to listen on {path}: No such file or directory"]
        )

    def test_a_successors_socket_is_not_unlinked(self):
        first = self.serve("-l", str(self.path))
        self.path.unlink()
        self.serve("-l", str(self.path), "-m", "second")
        self.stop(first)
        self.assert_greeted(str(self.path), b"second")


class Vsock(daemon.GreetdTestCase):
    def test_listens(self):
        greetd = self.serve("-l", "vsock::7012")
        greetd.wait_line("Server is listening on vsock::7012")
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as second:
            with self.assertRaises(OSError) as caught:
                second.bind((socket.VMADDR_CID_ANY, 7012))
            self.assertEqual(caught.exception.errno, errno.EADDRINUSE)


def vsock_loops_back():
    """Whether this kernel has a vsock loopback; finds out without sending a packet."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((VMADDR_CID_LOCAL, socket.VMADDR_PORT_ANY))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
    return True


if vsock_loops_back():

    class VsockClient(daemon.GreetdTestCase):
        def test_is_greeted(self):
            self.serve("-l", "vsock::7013")
            with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as client:
                client.settimeout(daemon.TIMEOUT)
                client.connect((VMADDR_CID_LOCAL, 7013))
                self.assertEqual(daemon.read_to_end(client), GREETING)

else:
    print("not run: test_listen.VsockClient: this kernel has no vsock loopback", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
