# SPDX-License-Identifier: MIT
"""Sockets passed the way systemd passes them: sd_listen_fds(3), systemd.socket(5)."""

import fcntl
import os
import socket
import unittest

from support import daemon, namespaces
from support.daemon import EX_CONFIG, EX_USAGE, GREETING

NAMED = """
[Greeting]
Message=common
[Listener four]
Message=by IPv4
[Listener six]
Message=by IPv6
[Listener local]
Message=by path
"""


def setUpModule():
    namespaces.isolate()


class Activation(daemon.GreetdTestCase):
    def inet(self):
        return self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))

    def inet6(self):
        return self.listening_socket(socket.AF_INET6, ("::1", 0))

    def unix(self, kind=socket.SOCK_STREAM, name="local"):
        return self.listening_socket(socket.AF_UNIX, str(self.folder / name), kind)

    def test_three_families_at_once_each_with_its_own_greeting(self):
        four, six, local = self.inet(), self.inet6(), self.unix()
        self.serve(config=NAMED, sockets=[four, six, local], names=["four", "six", "local"])
        self.assert_greeted(four.getsockname(), b"by IPv4")
        self.assert_greeted(six.getsockname()[:2], b"by IPv6")
        self.assert_greeted(local.getsockname(), b"by path")

    def test_every_inherited_socket_is_logged(self):
        four, six, local = self.inet(), self.inet6(), self.unix()
        greetd = self.serve(sockets=[four, six, local])
        greetd.address(2)
        self.assertEqual(
            greetd.lines,
            [
                f"Server is listening on 127.0.0.1:{four.getsockname()[1]}",
                f"Server is listening on [::1]:{six.getsockname()[1]}",
                f"Server is listening on {self.folder}/local",
            ],
        )

    def test_clients_of_every_family_are_logged(self):
        six, local = self.inet6(), self.unix()
        greetd = self.serve(sockets=[six, local])
        client = self.client(six.getsockname()[:2])
        self.assertEqual(daemon.read_to_end(client), GREETING)
        client.close()
        self.assert_greeted(local.getsockname())
        self.stop(greetd)
        lines = [line for line in greetd.lines if line.startswith("Connection from ")]
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0] + lines[1], r"Connection from \[::1\]:\d+")
        self.assertRegex(lines[0] + lines[1], f"Connection from unix:pid={os.getpid()},uid=0")

    def test_a_seqpacket_socket(self):
        local = self.unix(socket.SOCK_SEQPACKET)
        self.serve(sockets=[local])
        self.assert_greeted(local.getsockname(), kind=socket.SOCK_SEQPACKET)

    def test_an_abstract_socket(self):
        local = self.listening_socket(socket.AF_UNIX, "\0greetd-test")
        greetd = self.serve(sockets=[local])
        greetd.wait_line("Server is listening on @greetd-test")
        self.assert_greeted(b"\0greetd-test")

    def test_a_name_without_a_section_gets_the_common_greeting(self):
        listener = self.inet()
        self.serve(config=NAMED, sockets=[listener], names=["another"])
        self.assert_greeted(listener.getsockname(), b"common")

    def test_several_sockets_of_one_name(self):
        sockets = [self.inet(), self.inet()]
        self.serve(config=NAMED, sockets=sockets, names=["four", "four"])
        for listener in sockets:
            self.assert_greeted(listener.getsockname(), b"by IPv4")

    def test_blocking_sockets_are_made_non_blocking(self):
        listener = self.inet()
        self.assertFalse(fcntl.fcntl(listener, fcntl.F_GETFL) & os.O_NONBLOCK)
        self.serve(sockets=[listener])
        self.assertTrue(fcntl.fcntl(listener, fcntl.F_GETFL) & os.O_NONBLOCK)

    def test_inherited_sockets_override_listenstream(self):
        listener = self.inet()
        elsewhere = self.folder / "elsewhere"
        greetd = self.serve(config=f"[Server]\nListenStream={elsewhere}\n", sockets=[listener])
        self.assertEqual(greetd.address(), listener.getsockname())
        self.assertFalse(elsewhere.exists())
        self.assert_greeted(listener.getsockname())

    def test_settings_of_listening_without_effect_are_logged_with_their_lines(self):
        config = (
            "[Server]\nBacklog=7\nListenStream=80\nListenStream=@b\n"
            "[Listener four]\nListenStream=[::1]:81\n"
        )
        listener = self.inet()
        greetd = self.serve(config=config, sockets=[listener], names=["four"])
        self.assert_greeted(listener.getsockname())
        self.stop(greetd)
        why = "has no effect: systemd passed the sockets"
        self.assertEqual(
            [
                line.rpartition("/config")[2].partition(":")[2]
                for line in greetd.lines
                if why in line
            ],
            [
                f"2: Backlog= {why}",
                f"3: ListenStream=80 {why}",
                f"4: ListenStream=@b {why}",
                f"6: ListenStream=[::1]:81 {why}",
            ],
        )

    def test_defaults_of_listening_are_not_logged(self):
        greetd = self.serve(sockets=[self.inet()])
        self.stop(greetd)
        self.assertNotIn("no effect", "\n".join(greetd.lines))

    def test_an_unused_address_may_have_a_missing_interface(self):
        listener = self.inet()
        self.serve(config="[Server]\nListenStream=[fe80::1%eth9]:80\n", sockets=[listener])
        self.assert_greeted(listener.getsockname())

    def test_inherited_sockets_override_a_listeners_own_listenstream(self):
        listener = self.inet()
        elsewhere = self.folder / "elsewhere"
        self.serve(
            config=f"[Listener four]\nListenStream={elsewhere}\nMessage=by name\n",
            sockets=[listener],
            names=["four"],
        )
        self.assertFalse(elsewhere.exists())
        self.assert_greeted(listener.getsockname(), b"by name")

    def test_descriptors_for_another_process_are_left_alone(self):
        listener = self.inet()
        greetd = self.serve("-l", "127.0.0.1:0", sockets=[listener], LISTEN_PID=str(os.getpid()))
        self.assertNotEqual(greetd.address(), listener.getsockname())
        self.assert_greeted(greetd.address())

    def test_an_address_on_the_command_line_is_an_error(self):
        greetd = self.finish("-l", "127.0.0.1:0", sockets=[self.inet()])
        self.assert_ends(greetd, EX_USAGE)
        self.assertRegex("\n".join(greetd.lines), r"(--listen|-l)\b")

    def test_a_check_is_over_at_once_with_sockets_too(self):
        greetd = self.finish("--check", config="[Greeting]\nMesage=x\n", sockets=[self.inet()])
        self.assert_ends(greetd, EX_CONFIG)

    def test_an_inherited_path_is_not_unlinked(self):
        local = self.unix()
        self.stop(self.serve(sockets=[local]))
        self.assertTrue((self.folder / "local").is_socket())

    def test_a_client_that_connected_before_the_start_is_greeted(self):
        listener = self.inet()
        client = self.client(listener.getsockname())
        self.serve(sockets=[listener])
        self.assertEqual(daemon.read_to_end(client), GREETING)

    def test_more_sockets_than_workers(self):
        sockets = [self.inet() for _ in range(40)]
        self.serve(config="[Server]\nWorkers=1\n", sockets=sockets)
        for listener in sockets:
            self.assert_greeted(listener.getsockname())


if __name__ == "__main__":
    unittest.main()
