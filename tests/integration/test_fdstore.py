# SPDX-License-Identifier: MIT
"""Sockets that greetd opened itself outlive it in the descriptor store of systemd, whose place the
test takes: FDSTORE=1 in sd_notify(3), passed again as in sd_listen_fds(3)."""

import os
import signal
import socket
import unittest

from support import daemon, load_client, namespaces
from support.daemon import GREETING, connect, read_to_end
from support.fdstore import FdStore

# The module has its own network, so every port is free.
FIRST, SECOND = ("127.0.0.1", 7001), ("127.0.0.1", 7002)
LISTEN_BOTH = "[Server]\nListenStream=127.0.0.1:7001\nListenStream=127.0.0.1:7002\n"
LISTEN_SECOND = "[Server]\nListenStream=127.0.0.1:7002\n"
AT_ONCE = 64
RESTARTS = 20
WAITING = 3000  # more clients than the workers can accept before they receive the stop
UNKEPT = "systemd keeps 1 of 2 sockets over a restart: FileDescriptorStoreMax= is too small"
WITH_STORE = {"FDSTORE": "64"}  # set by systemd from version 254 on, and by the unit before


def setUpModule():
    namespaces.isolate()


class StoreCase(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.fd_store()

    def serve_stored(self, config, *args, **options):
        return self.serve(*args, config=config, store=self.store, **options)

    def restart(self, greetd, config, *args, **options):
        self.stop(greetd)
        return self.serve_stored(config, *args, **options)

    def kept(self):
        """The inodes of the sockets in the store."""
        return [os.fstat(descriptor).st_ino for descriptor in self.store.descriptors()]

    def store_messages(self, greetd):
        return greetd.values("FDSTORE", "FDSTOREREMOVE")


class UsedAgain(StoreCase):
    def test_a_socket_that_is_still_configured_is_used_again(self):
        greetd = self.serve_stored(LISTEN_BOTH)
        self.assertEqual(self.store_messages(greetd), [("FDSTORE", "1")] * 2)
        before = self.kept()
        greetd = self.restart(greetd, LISTEN_BOTH)
        self.assertEqual(self.store_messages(greetd), [])
        self.assertEqual(self.kept(), before)
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)

    def test_a_socket_that_is_not_configured_any_more_is_closed(self):
        greetd = self.restart(self.serve_stored(LISTEN_BOTH), LISTEN_SECOND)
        self.assertEqual(self.store_messages(greetd), [("FDSTOREREMOVE", "1")])
        self.assertEqual(self.store.addresses(), [SECOND])
        self.assert_greeted(SECOND)
        with self.assertRaises(ConnectionRefusedError):
            connect(FIRST)

    def test_a_further_address_is_opened(self):
        greetd = self.restart(self.serve_stored(LISTEN_SECOND), LISTEN_BOTH)
        self.assertEqual(self.store_messages(greetd), [("FDSTORE", "1")])
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)

    def test_a_socket_that_overlaps_a_configured_address_is_closed_first(self):
        steps = ["127.0.0.1:7001", "7001", "0.0.0.0:7001", "127.0.0.1:7001"]
        for before, after in zip(steps, steps[1:]):
            with self.subTest(before=before, after=after):
                self.stop(self.serve_stored(f"[Server]\nListenStream={before}\n"))
                # systemd closes its descriptors a moment later.
                slow = [os.dup(descriptor) for descriptor in self.store.descriptors()]
                greetd = self.serve_stored(f"[Server]\nListenStream={after}\n")
                messages = self.store_messages(greetd)
                self.assertEqual(messages, [("FDSTOREREMOVE", "1"), ("FDSTORE", "1")])
                self.assert_greeted(FIRST)
                self.stop(greetd)
                for descriptor in slow:
                    os.close(descriptor)

    def test_the_address_decides_and_not_the_name(self):
        # The names are those of earlier versions.
        self.stop(self.serve_stored(LISTEN_BOTH))
        names = ["opened@127.0.0.1,7002", "opened@whatever"]
        greetd = self.serve(config=LISTEN_BOTH, sockets=self.store.descriptors(), names=names)
        self.assertEqual(self.store_messages(greetd), [])
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)

    def test_a_socket_that_does_not_listen_is_used_again(self):
        self.stop(self.serve_stored(LISTEN_BOTH))
        with socket.socket(fileno=os.dup(self.store.descriptors()[0])) as kept:
            kept.shutdown(socket.SHUT_RDWR)
        greetd = self.serve_stored(LISTEN_BOTH)
        self.assertEqual(self.store_messages(greetd), [])
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)

    def test_a_unix_socket_that_was_shut_down_is_opened_again(self):
        path = str(self.folder / "socket")
        config = f"[Server]\nListenStream={path}\n"
        self.stop(self.serve_stored(config))
        with socket.socket(fileno=os.dup(self.store.descriptors()[0])) as kept:
            kept.shutdown(socket.SHUT_RDWR)
        greetd = self.serve_stored(config)
        greetd.wait_line(
            r"Descriptor 3 \(opened@\d+\) kept by systemd can't be used: it is a socket that was shut down"
        )
        self.assertEqual(self.store_messages(greetd), [("FDSTOREREMOVE", "1"), ("FDSTORE", "1")])
        self.assert_greeted(path)

    def test_a_socket_is_used_again_after_a_kill(self):
        greetd = self.serve_stored(LISTEN_SECOND, **WITH_STORE)
        greetd.freeze()
        client = self.client(SECOND)
        greetd.signal(signal.SIGKILL)
        self.assertEqual(greetd.wait(), -signal.SIGKILL)
        self.serve_stored(LISTEN_SECOND, **WITH_STORE)
        self.assertEqual(read_to_end(client), GREETING)

    def test_a_port_that_the_kernel_chose_is_closed(self):
        config = "[Server]\nListenStream=127.0.0.1:0\n"
        greetd = self.serve_stored(config)
        before = self.kept()
        greetd = self.restart(greetd, config)
        self.assertEqual(self.store_messages(greetd), [("FDSTOREREMOVE", "1"), ("FDSTORE", "1")])
        self.assertNotEqual(self.kept(), before)
        self.assertEqual(self.store.addresses(), [greetd.address()])

    def test_fast_open_is_turned_off(self):
        greetd = self.serve_stored(LISTEN_SECOND + "FastOpen=yes\n")
        with socket.socket(fileno=os.dup(self.store.descriptors()[0])) as kept:
            self.assertGreater(kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN), 0)
            self.restart(greetd, LISTEN_SECOND + "FastOpen=no\n")
            self.assertEqual(kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN), 0)

    def test_a_listener_with_its_own_address(self):
        config = LISTEN_SECOND + "[Listener own]\nListenStream=127.0.0.1:7001\nMessage=own\n"
        greetd = self.serve_stored(config)
        before = self.kept()
        self.restart(greetd, config)
        self.assertEqual(self.kept(), before)
        self.assert_greeted(FIRST, b"own")
        self.assert_greeted(SECOND)

    def test_a_link_local_address(self):
        namespaces.add_address("fe80::1")
        config = "[Server]\nListenStream=[fe80::1%lo]:7001\n"
        greetd = self.serve_stored(config)
        before = self.kept()
        self.restart(greetd, config)
        self.assertEqual(self.kept(), before)
        self.assert_greeted(("fe80::1", 7001, 0, socket.if_nametoindex("lo")))

    def test_an_address_on_the_command_line(self):
        greetd = self.serve_stored("", "-l", "127.0.0.1:7001")
        before = self.kept()
        self.restart(greetd, "", "-l", "127.0.0.1:7001")
        self.assertEqual(self.kept(), before)
        self.assert_greeted(FIRST)

    def test_a_reload_closes_a_stored_socket(self):
        config = self.write("greetd.conf", LISTEN_BOTH)
        self.stop(self.serve_stored(None, "-c", config))
        greetd = self.serve_stored(None, "-c", config)
        self.write("greetd.conf", LISTEN_SECOND)
        greetd.signal(signal.SIGHUP)
        greetd.wait_line("Server no longer listens on 127.0.0.1:7001")
        greetd.wait_message("FDSTOREREMOVE", "1")
        self.assertEqual(self.store.addresses(), [SECOND])
        with self.assertRaises(ConnectionRefusedError):
            connect(FIRST)

    def test_sockets_from_a_unit_replace_stored_ones(self):
        self.stop(self.serve_stored(LISTEN_SECOND))
        passed = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.serve_stored(LISTEN_SECOND, sockets=[passed], names=["unit"])
        self.assertEqual(self.store.names(), [])
        self.assert_greeted(passed.getsockname())
        with self.assertRaises(ConnectionRefusedError):
            connect(SECOND)


class UnixPath(StoreCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "socket"
        self.listen = f"[Server]\nListenStream={self.path}\n"

    def test_the_file_stays_where_the_socket_is_kept(self):
        greetd = self.serve_stored(self.listen, **WITH_STORE)
        before = self.path.stat().st_ino
        self.stop(greetd)
        client = self.client(str(self.path))
        self.serve_stored(self.listen, **WITH_STORE)
        self.assertEqual(read_to_end(client), GREETING)
        self.assertEqual(self.path.stat().st_ino, before)
        self.assert_greeted(str(self.path))

    def test_a_socket_without_its_file_is_opened_again(self):
        greetd = self.serve_stored(self.listen)
        before = self.kept()
        greetd = self.restart(greetd, self.listen)
        self.assertEqual(len(self.kept()), 1)
        self.assertNotEqual(self.kept(), before)
        self.assert_greeted(str(self.path))

    def test_the_file_is_removed_with_the_address(self):
        greetd = self.serve_stored(self.listen, **WITH_STORE)
        self.restart(greetd, LISTEN_SECOND, **WITH_STORE)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.store.addresses(), [SECOND])


class Queue(StoreCase):
    def begin(self, **environment):
        config = LISTEN_SECOND + "[Greeting]\nMessage=first\n"
        greetd = self.start(config=config, store=self.store, **environment)
        self.assertEqual(greetd.address(), SECOND)
        self.assert_greeted(SECOND, b"first")
        return greetd

    def stop_with_a_queue(self, greetd):
        """Begins a stop while many clients are pending; returns the clients."""
        greetd.freeze()
        clients = [self.client(SECOND) for _ in range(WAITING)]
        greetd.signal(signal.SIGTERM)
        greetd.signal(signal.SIGCONT)
        return clients

    def assert_all_greeted(self, clients):
        for client in clients:
            self.assertEqual(read_to_end(client), b"first")
            client.close()

    def test_is_left_to_the_next_process_if_systemd_keeps_the_socket(self):
        greetd = self.begin(**WITH_STORE)
        clients = self.stop_with_a_queue(greetd)
        self.assert_ends(greetd, 0)
        self.serve_stored(LISTEN_SECOND + "[Greeting]\nMessage=second\n", **WITH_STORE)
        by = [read_to_end(client) for client in clients]
        self.assertEqual(by.count(b"first") + by.count(b"second"), WAITING)
        self.assertGreater(by.count(b"second"), 0)

    def test_is_emptied_if_systemd_announces_no_store(self):
        greetd = self.begin()
        self.assert_all_greeted(self.stop_with_a_queue(greetd))
        self.assert_ends(greetd, 0)

    def test_is_emptied_if_the_store_has_no_room(self):
        greetd = self.begin(FDSTORE="0")
        self.assert_all_greeted(self.stop_with_a_queue(greetd))
        self.assert_ends(greetd, 0)

    def test_is_emptied_if_the_store_has_too_little_room(self):
        self.store = FdStore(1)
        self.addCleanup(self.store.close)
        config = LISTEN_BOTH + "[Greeting]\nMessage=first\n"
        greetd = self.serve_stored(config, FDSTORE="1")
        greetd.wait_line(UNKEPT)
        clients = self.stop_with_a_queue(greetd)
        self.assert_all_greeted(clients)
        self.assert_ends(greetd, 0)
        self.assertEqual(self.store.addresses(), [FIRST])
        greetd = self.serve_stored(config, FDSTORE="1")
        self.assert_greeted(FIRST, b"first")
        self.assert_greeted(SECOND, b"first")

    def test_is_emptied_without_a_notify_socket(self):
        greetd = self.begin(NOTIFY_SOCKET=None, **WITH_STORE)
        self.assert_all_greeted(self.stop_with_a_queue(greetd))
        self.assert_ends(greetd, 0)


class Load(StoreCase, load_client.LoadTestCase):
    def test_a_restart_refuses_and_loses_no_client(self):
        connections = load_client.connections() // 2
        config = LISTEN_SECOND + "[Log]\nConnections=no\n"
        greetd = self.serve_stored(config, **WITH_STORE)
        client = self.load(SECOND[1], connections, AT_ONCE, "-u")
        for _ in range(RESTARTS):
            self.wait_progress(client, connections // (RESTARTS + 1))
            greetd = self.restart(greetd, config, **WITH_STORE)
        self.assert_none_lost(client, connections)
        self.assertEqual(len(self.kept()), 1)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
