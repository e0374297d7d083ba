# SPDX-License-Identifier: MIT
"""A reload with other addresses, of a greetd that opens its sockets itself."""

import collections
import itertools
import os
import pathlib
import signal
import socket
import unittest

from support import load_client, namespaces, reload
from support.daemon import GREETING, connect, read_to_end

# The module has its own network, so every port is free.
FIRST, SECOND, THIRD = (("127.0.0.1", port) for port in (7001, 7002, 7003))
OWN_SECOND = "[Listener own]\nListenStream=127.0.0.1:7002\nMessage=own\n"
BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
WAITING = 500
CLIENTS = 40
RELOADS = 100


def setUpModule():
    namespaces.isolate()


def written(address):
    """ADDRESS as ListenStream= and the log have it."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)


def inode_of(address):
    """The inode of the socket that listens on ADDRESS."""
    table = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    (inode,) = (
        line.split()[9]
        for line in table
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == address[1]
    )
    return inode


class ListenCase(reload.ReloadTestCase):
    def addresses(self, *addresses, more=""):
        lines = "".join(f"ListenStream={written(address)}\n" for address in addresses)
        return f"[Server]\n{lines}{more}"

    def wait_listening(self, greetd, address):
        greetd.wait_line(f"Server is listening on {written(address)}")

    def wait_closed(self, greetd, address):
        greetd.wait_line(f"Server no longer listens on {written(address)}")

    def assert_refused(self, address):
        with self.assertRaises((ConnectionRefusedError, FileNotFoundError)):
            connect(address).close()


class Addresses(ListenCase):
    def test_an_added_address_is_opened(self):
        greetd = self.serve_with(self.addresses(FIRST))
        self.assert_refused(SECOND)
        self.assert_reloads(greetd, self.addresses(FIRST, SECOND))
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)
        self.wait_listening(greetd, SECOND)

    def test_a_removed_address_is_closed(self):
        greetd = self.serve_with(self.addresses(FIRST, SECOND))
        self.assert_greeted(SECOND)
        self.assert_reloads(greetd, self.addresses(FIRST))
        self.wait_closed(greetd, SECOND)
        self.assert_refused(SECOND)
        self.assert_greeted(FIRST)

    def test_only_changes_are_logged(self):
        greetd = self.serve_with(self.addresses(FIRST, SECOND))
        self.assert_reloads(greetd, self.addresses(SECOND, THIRD))
        self.wait_closed(greetd, FIRST)
        self.stop(greetd)
        self.assertEqual(
            sorted(line for line in greetd.lines if "listen" in line),
            [
                "Server is listening on 127.0.0.1:7001",
                "Server is listening on 127.0.0.1:7002",
                "Server is listening on 127.0.0.1:7003",
                "Server no longer listens on 127.0.0.1:7001",
            ],
        )

    def test_the_store_has_the_sockets_in_use(self):
        store = self.fd_store()
        greetd = self.serve_with(self.addresses(FIRST, SECOND), store=store)
        self.assert_reloads(greetd, self.addresses(SECOND, THIRD))
        self.assertEqual(
            greetd.values("FDSTORE", "FDSTOREREMOVE"),
            [("FDSTORE", "1"), ("FDSTORE", "1"), ("FDSTOREREMOVE", "1"), ("FDSTORE", "1")],
        )
        kept = [os.fstat(descriptor).st_ino for descriptor in store.descriptors()]
        self.assertCountEqual(kept, [int(inode_of(address)) for address in (SECOND, THIRD)])

    def test_a_removed_address_leaves_a_similar_one_in_the_store(self):
        store = self.fd_store()
        greetd = self.serve_with(self.addresses("@a:b", "@a,b"), store=store)
        # The newest is first.
        kept = [os.fstat(descriptor).st_ino for descriptor in store.descriptors()]
        self.assert_reloads(greetd, self.addresses("@a:b"))
        self.wait_closed(greetd, "@a,b")
        self.assertEqual(
            [os.fstat(descriptor).st_ino for descriptor in store.descriptors()], kept[1:]
        )

    def test_a_socket_the_store_has_no_room_for_is_logged_and_stored_later(self):
        store = self.fd_store()
        greetd = self.serve_with(self.addresses(FIRST), store=store, FDSTORE="1")
        for _ in range(2):
            self.assert_reloads(greetd, self.addresses(FIRST, SECOND))
        self.assertEqual(store.addresses(), [FIRST])
        self.assert_reloads(greetd, self.addresses(SECOND))
        self.assertEqual(store.addresses(), [SECOND])
        self.stop(greetd)
        self.assertEqual(
            [line for line in greetd.lines if line.startswith("systemd")],
            ["systemd keeps 1 of 2 sockets over a restart: FileDescriptorStoreMax= is too small"],
        )

    def test_a_removed_address_is_closed_although_the_store_had_it(self):
        greetd = self.serve_with(self.addresses(FIRST, SECOND), store=self.fd_store())
        self.assert_reloads(greetd, self.addresses(FIRST))
        self.wait_closed(greetd, SECOND)
        self.assert_refused(SECOND)

    def test_pending_clients_of_a_removed_address_are_greeted(self):
        local = str(self.folder / "socket")
        greetd = self.serve_with(self.addresses(FIRST, SECOND, local))
        greetd.freeze()
        clients = [
            self.client(address) for _ in range(WAITING) for address in (FIRST, SECOND, local)
        ]
        self.configure(self.addresses(FIRST))
        self.request_reload(greetd)
        greetd.signal(signal.SIGCONT)
        for client in clients:
            self.assertEqual(read_to_end(client), GREETING)
            client.close()
        self.wait_closed(greetd, SECOND)
        self.wait_closed(greetd, local)

    def test_an_address_that_overlaps_one_in_use_needs_a_restart(self):
        greetd = self.serve_with(self.addresses(FIRST))
        self.assert_fails_to_reload(
            greetd, self.addresses(7001), ["Failed to listen on 7001: Address already in use"]
        )
        self.assert_greeted(FIRST)

    def test_an_address_is_removed_and_added_again(self):
        greetd = self.serve_with(self.addresses(FIRST, SECOND))
        for _ in range(20):
            self.assert_reloads(greetd, self.addresses(FIRST))
            self.assert_reloads(greetd, self.addresses(FIRST, SECOND))
            self.assert_greeted(SECOND)

    def test_an_address_is_added_again_before_its_queue_is_empty(self):
        more = (
            "Workers=1\nMaxConnections=1\n[Greeting]\nLingerSec=0\n"
            f"MessageFile={self.write('big', BIG)}\n"
        )
        greetd = self.serve_with(self.addresses(FIRST, SECOND, more=more))
        inode = inode_of(SECOND)
        held = self.client(FIRST, receive_buffer=8192)
        self.assertEqual(held.recv(1000, socket.MSG_WAITALL), BIG[:1000])
        waiting = self.client(SECOND)
        self.assert_reloads(greetd, self.addresses(FIRST, more=more))
        self.assert_reloads(greetd, self.addresses(FIRST, SECOND, more=more))
        added = self.client(SECOND)
        self.assertEqual(inode_of(SECOND), inode)
        for client, left in ((held, BIG[1000:]), (waiting, BIG), (added, BIG)):
            self.assertEqual(read_to_end(client), left)
            client.close()
        self.assert_reloads(greetd, self.addresses(FIRST, more=more))
        self.wait_closed(greetd, SECOND)
        self.stop(greetd)
        self.assertEqual(sum("no longer listens" in line for line in greetd.lines), 1)

    def test_an_address_added_again_before_its_queue_is_empty_has_the_new_greeting(self):
        def config(*addresses, message):
            more = (
                f"Workers=1\nMaxConnections=1\n[Greeting]\nLingerSec=0\nMessage={message}\n"
                f"[Listener big]\nListenStream={written(THIRD)}\n"
                f"MessageFile={self.write('big', BIG)}\n"
            )
            return self.addresses(*addresses, more=more)

        greetd = self.serve_with(config(FIRST, SECOND, message="before"))
        held = self.client(THIRD, receive_buffer=8192)
        self.assertEqual(held.recv(1000, socket.MSG_WAITALL), BIG[:1000])
        self.client(SECOND)
        self.assert_reloads(greetd, config(FIRST, message="between"))
        self.assert_reloads(greetd, config(FIRST, SECOND, message="after"))
        clients = [self.client(SECOND) for _ in range(CLIENTS)]
        self.assertEqual(read_to_end(held), BIG[1000:])
        held.close()
        greetings = collections.Counter(map(read_to_end, clients))
        self.assertEqual(greetings, {b"after": CLIENTS})

    def test_a_port_that_the_kernel_chose_stays(self):
        config = self.addresses(("127.0.0.1", 0))
        greetd = self.serve_with(config)
        address = greetd.address()
        inode = inode_of(address)
        self.assert_reloads(greetd, config + "Backlog=100\n")
        self.assertEqual(inode_of(address), inode)
        self.assert_greeted(address)

    def test_a_listener_with_its_own_address_is_added(self):
        greetd = self.serve_with(self.addresses(FIRST))
        self.assert_reloads(greetd, self.addresses(FIRST, more=OWN_SECOND))
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND, b"own")

    def test_an_address_that_moves_to_another_section_stays_open(self):
        greetd = self.serve_with(self.addresses(FIRST, SECOND))
        inode = inode_of(SECOND)
        self.assert_reloads(greetd, self.addresses(FIRST, more=OWN_SECOND))
        self.assertEqual(inode_of(SECOND), inode)
        self.assert_greeted(SECOND, b"own")


class Failure(ListenCase):
    def setUp(self):
        super().setUp()
        self.taken = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.busy = self.taken.getsockname()
        self.failure = f"Failed to listen on {written(self.busy)}: Address already in use"

    def test_an_address_in_use_leaves_everything_as_it_was(self):
        local = self.folder / "socket"
        store = self.fd_store()
        greetd = self.serve_with(self.addresses(FIRST, SECOND), store=store)
        kept = store.names()
        self.assert_fails_to_reload(
            greetd,
            self.addresses(FIRST, local, self.busy, more="[Greeting]\nMessage=new\n"),
            [self.failure],
        )
        self.assert_greeted(FIRST)
        self.assert_greeted(SECOND)
        self.assertFalse(local.exists())
        self.assertEqual(store.names(), kept)
        self.stop(greetd)
        self.assertEqual(sum("listen" in line for line in greetd.lines), 3)

    def test_an_address_is_opened_once_it_is_free(self):
        greetd = self.serve_with(self.addresses(FIRST))
        config = self.addresses(FIRST, self.busy)
        self.assert_fails_to_reload(greetd, config, [self.failure])
        self.taken.close()
        self.assert_reloads(greetd, config)
        self.assert_greeted(self.busy)
        self.wait_until_status_is_clean(greetd)

    def test_no_descriptor_is_lost(self):
        greetd = self.serve_with(self.addresses(FIRST))
        before = greetd.n_descriptors()
        for _ in range(20):
            self.reload(greetd, self.addresses(FIRST, SECOND, self.busy))
        self.assertEqual(greetd.n_descriptors(), before)

    def test_nothing_to_listen_on(self):
        greetd = self.serve_with(self.addresses(FIRST))
        self.assert_fails_to_reload(
            greetd,
            "[Server]\nListenStream=\n",
            ["Nothing to listen on: ListenStream= is empty and systemd passed no socket"],
        )
        self.assert_greeted(FIRST)


class UnixPath(ListenCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "socket"

    def test_the_file_stays_with_the_address(self):
        greetd = self.serve_with(self.addresses(self.path))
        before = self.path.stat().st_ino
        self.assert_reloads(greetd, self.addresses(self.path, FIRST))
        self.assertEqual(self.path.stat().st_ino, before)
        self.assert_greeted(str(self.path))

    def test_the_file_is_removed_with_the_address(self):
        greetd = self.serve_with(self.addresses(self.path, FIRST))
        self.assert_reloads(greetd, self.addresses(FIRST))
        self.assertFalse(self.path.exists())
        self.wait_closed(greetd, str(self.path))

    def test_a_removed_file_is_made_again(self):
        greetd = self.serve_with(self.addresses(self.path))
        self.path.unlink()
        self.assert_reloads(greetd)
        self.assert_greeted(str(self.path))

    def test_a_file_of_another_process_is_left_alone(self):
        greetd = self.serve_with(self.addresses(self.path, FIRST))
        self.path.unlink()
        self.listening_socket(socket.AF_UNIX, str(self.path))
        self.assert_reloads(greetd, self.addresses(FIRST))
        self.wait_closed(greetd, str(self.path))
        self.client(str(self.path))


class Load(ListenCase, load_client.LoadTestCase):
    def test_an_address_that_stays_is_never_closed(self):
        greetd = self.serve_with(self.addresses(FIRST, more="[Log]\nConnections=no\n"))
        client = self.load(FIRST[1], 500, 32, "-u")
        self.wait_progress(client, 500)
        others = itertools.cycle(((SECOND,), (THIRD,), (), (str(self.folder / "socket"),)))
        for backlog, other in zip(range(1000, 1000 + RELOADS), others):
            more = f"Backlog={backlog}\n[Log]\nConnections=no\n"
            self.assert_reloads(greetd, self.addresses(*other, FIRST, more=more))
        self.assert_none_lost(client, 500)

    def test_no_client_is_lost_that_connected_before_the_close(self):
        # Later clients are refused, but none amid its greeting.
        greetd = self.serve_with(self.addresses(FIRST, SECOND))
        for _ in range(5):
            client = self.load(SECOND[1], 500, 32, "-u")
            self.wait_progress(client, 500)
            self.assert_reloads(greetd, self.addresses(FIRST))
            self.assert_reloads(greetd, self.addresses(FIRST, SECOND))
            counts = self.counts(client)
            lost = {name: counts[name] for name in ("reset", "wrong", "short", "stalled")}
            self.assertEqual(set(lost.values()), {0}, counts)


if __name__ == "__main__":
    unittest.main()
