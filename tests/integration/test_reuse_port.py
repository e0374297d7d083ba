# SPDX-License-Identifier: MIT
"""Several sockets of one address, each with a queue of its own: SO_REUSEPORT in socket(7)."""

import contextlib
import errno
import os
import pathlib
import signal
import socket
import unittest
from concurrent import futures

from support import daemon, load_client, namespaces, poll, reload, threads
from support.daemon import GREETING, TIMEOUT, connect, read_to_end
from support.fdstore import FdStore

# The module has its own network, so every port is free.
ADDRESS, OTHER, ADDED = (("127.0.0.1", port) for port in (7001, 7002, 7003))
LISTENING = "0A"  # enum of the kernel's tcp_states.h, in /proc/net/tcp
AT_ONCE = 64
WAITING = 64
BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
# The workers and ReusePort= of each restart, without a socket unit.
RESTARTS = [(1, "no"), (4, "yes"), (2, "yes"), (3, "no"), (1, "yes"), (2, "no"), (4, "yes")]


def setUpModule():
    namespaces.isolate()


def queues(port):
    """The clients in the queue of each socket that listens on PORT, by its inode."""
    found = {}
    for name in ("tcp", "tcp6"):
        lines = pathlib.Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
        for line in map(str.split, lines):
            if line[3] == LISTENING and line[1].endswith(f":{port:04X}"):
                found[line[9]] = int(line[4].partition(":")[2], 16)
    return found


def listen_together(n):
    """N sockets that listen at ADDRESS, as systemd opens them for units with ReusePort=yes."""
    sockets = []
    for _ in range(n):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(ADDRESS)
        listener.listen(4096)
        sockets.append(listener)
    return sockets


def read_and_close(client):
    with client:
        return read_to_end(client)


def configuration(workers, reuse_port="yes", server="", listen=(ADDRESS,), message=None):
    lines = "".join(f"ListenStream={host}:{port}\n" for host, port in listen)
    greeting = f"[Greeting]\nMessage={message}\n" if message else ""
    return (f"[Server]\nListenStream=\n{lines}Workers={workers}\nReusePort={reuse_port}\n{server}\n"
            f"[Log]\nConnections=no\n{greeting}")


class ShardCase(reload.ReloadTestCase, load_client.LoadTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.fd_store()

    def serve_stored(self, content, room=64):
        return self.serve(config=content, store=self.store, FDSTORE=str(room))

    def assert_shards(self, n, port=ADDRESS[1]):
        self.assertEqual(len(queues(port)), n)

    def full(self, workers, **options):
        """A configuration in which each worker has room for one client."""
        server = f"MaxConnections={workers}\nStopTimeoutSec=infinity"
        settings = configuration(workers, server=server, **options)
        return f"{settings}[Greeting]\nMessageFile={self.write('big', BIG)}\nWriteTimeoutSec=1h\n"

    def slow_clients(self, workers):
        """A client for each worker, which greets it until the client reads."""
        clients = [self.client(ADDRESS, receive_buffer=8192) for _ in range(workers)]
        for client in clients:
            self.assertEqual(client.recv(1, socket.MSG_PEEK), BIG[:1])
        return clients

    def pending_clients(self, workers):
        """Clients in the queues of all shards, and before these slow_clients()."""
        clients = self.slow_clients(workers)
        clients += [self.client(ADDRESS) for _ in range(WAITING)]
        # The kernel chooses the shards by a hash.
        while min(queues(ADDRESS[1]).values()) == 0:
            self.assertLess(len(clients), 20 * WAITING)
            clients.append(self.client(ADDRESS))
        self.assertEqual(sum(queues(ADDRESS[1]).values()), len(clients) - workers)
        return clients

    @contextlib.contextmanager
    def all_greeted(self, clients, *greetings):
        """While the block runs, CLIENTS read; each reads one of GREETINGS."""
        with futures.ThreadPoolExecutor(len(clients)) as pool:
            received = pool.map(read_and_close, clients)
            yield
            self.assertLessEqual(set(received), set(greetings))

    def assert_all_greeted(self, clients, *greetings):
        with self.all_greeted(clients, *greetings):
            pass


class Queues(ShardCase):
    def test_each_worker_has_its_own(self):
        greetd = self.serve(config=configuration(4))
        self.assert_shards(4)
        with threads.hanging_worker(greetd.pid, 2):
            clients = [self.client(ADDRESS) for _ in range(64)]
            poll.eventually(self.assert_one_queue_is_left, TIMEOUT)
        self.assert_all_greeted(clients, GREETING)
        self.stop(greetd)

    def assert_one_queue_is_left(self):
        self.assertEqual(sum(n > 0 for n in queues(ADDRESS[1]).values()), 1)

    def test_are_shared_by_default(self):
        greetd = self.serve(config=configuration(4, "no"))
        self.assert_shards(1)
        self.stop(greetd)

    def test_of_a_bare_port_take_both_families(self):
        greetd = self.serve(config="[Server]\nListenStream=7001\nWorkers=3\nReusePort=yes\n")
        self.assert_shards(3)
        for address in (ADDRESS, ("::1", 7001)):
            for _ in range(32):
                self.assert_greeted(address)
        self.stop(greetd)

    def test_of_a_port_that_the_kernel_chooses(self):
        config = f"{reload.LISTEN}Workers=3\nReusePort=yes\n"
        greetd = self.serve_with(config)
        address = greetd.address()
        self.assert_shards(3, address[1])
        self.assert_reloads(greetd, config)
        self.assert_shards(3, address[1])
        self.assert_greeted(address)
        self.stop(greetd)

    def test_unix_sockets_have_one(self):
        path = self.folder / "socket"
        greetd = self.serve(
            config=f"[Server]\nListenStream={path}\nWorkers=3\nReusePort=yes\n", store=self.store)
        self.assertEqual(len(self.store.names()), 1)
        for _ in range(16):
            self.assert_greeted(str(path))
        self.stop(greetd)

    def test_all_have_fast_open(self):
        greetd = self.serve_stored(configuration(3, server="FastOpen=yes"))
        for descriptor in self.store.descriptors():
            with socket.socket(fileno=os.dup(descriptor)) as kept:
                self.assertGreater(kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN), 0)
        self.stop(greetd)

    def test_an_address_is_logged_once(self):
        greetd = self.serve_with(configuration(3, listen=(ADDRESS, OTHER)))
        self.assert_reloads(greetd, configuration(3, listen=(OTHER,)))
        closed = "Server no longer listens on 127.0.0.1:7001"
        greetd.wait_line(closed)
        self.stop(greetd)
        self.assertEqual(greetd.lines.count(closed), 1)
        listening = [line for line in greetd.lines if line.startswith("Server is listening on ")]
        self.assertEqual(len(listening), 2)

    def test_may_be_more_than_the_soft_limit_of_descriptors(self):
        greetd = self.serve(config=configuration(64), wrapper=("prlimit", "--nofile=32:1024"))
        self.assert_shards(64)
        self.stop(greetd)

    def test_a_second_greetd_gets_no_client(self):
        greetd = self.serve(config=configuration(2))
        second = self.finish(config=configuration(2))
        self.assertEqual(second.status, daemon.EX_OSERR)
        self.assertIn("Failed to listen on 127.0.0.1:7001: Address already in use", second.lines)
        self.assert_greeted(ADDRESS)
        self.stop(greetd)

    def test_the_setting_has_no_effect_on_passed_sockets(self):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve(config="[Server]\nReusePort=yes\n", sockets=[listener])
        greetd.wait_line(r".*:2: ReusePort= has no effect: systemd passed the sockets")
        self.stop(greetd)


class Promises(ShardCase):
    """What CLIENTS in greetd(8) says of all workers together is true with shards."""

    def test_a_worker_without_room_leaves_clients_to_the_others(self):
        greetd = self.serve(config=self.full(16))
        self.assert_all_greeted(self.slow_clients(16), BIG)
        self.stop(greetd)

    def test_a_client_is_evicted_at_the_limit_of_all_workers(self):
        settings = configuration(4, server="MaxConnections=8\nStopTimeoutSec=0")
        greetd = self.serve(config=f"{settings}[Greeting]\nLingerSec=infinity\n")
        for _ in range(100):
            self.assertEqual(read_to_end(self.client(ADDRESS)), GREETING)
        self.stop(greetd)

    def test_a_client_is_evicted_when_descriptors_are_short(self):
        settings = configuration(4, server="StopTimeoutSec=0")
        greetd = self.serve(config=f"{settings}[Greeting]\nLingerSec=infinity\n")
        greetd.allow_descriptors(3)
        for _ in range(100):
            self.assertEqual(read_to_end(self.client(ADDRESS)), GREETING)
        self.stop(greetd)


class Passed(ShardCase):
    """Sockets of one address that systemd passes."""

    def serve_passed(self, workers, sockets, message=GREETING.decode()):
        names = ["a.socket"] * len(sockets)
        config = f"[Server]\nWorkers={workers}\n[Greeting]\nMessage={message}\n"
        return self.serve(config=config, sockets=sockets, names=names)

    def test_are_all_accepted_from(self):
        for n_sockets, workers in ((4, 2), (2, 4), (3, 3), (3, 1)):
            with self.subTest(sockets=n_sockets, workers=workers), contextlib.ExitStack() as stack:
                sockets = [stack.enter_context(s) for s in listen_together(n_sockets)]
                greetd = self.serve_passed(workers, sockets)
                for _ in range(64):
                    self.assert_greeted(ADDRESS)
                self.assertEqual(len(greetd.values("FDSTORE")), 0)
                self.stop(greetd)

    def test_are_spread_over_the_workers(self):
        sockets = listen_together(2)
        for listener in sockets:
            self.addCleanup(listener.close)
        greetd = self.serve_passed(2, sockets)
        with threads.hanging_worker(greetd.pid, 0):
            clients = [self.client(ADDRESS) for _ in range(64)]
            poll.eventually(self.assert_a_queue_is_empty, TIMEOUT)
            self.assertGreater(max(queues(ADDRESS[1]).values()), 0)
        self.assert_all_greeted(clients, GREETING)
        self.stop(greetd)

    def assert_a_queue_is_empty(self):
        self.assertEqual(min(queues(ADDRESS[1]).values()), 0)

    def serve_big(self, sockets):
        """The greeting of socket b is small. Each worker has room for one client."""
        config = (f"[Server]\nWorkers=2\nMaxConnections=2\n"
                  f"[Listener a]\nMessageFile={self.write('big', BIG)}\nWriteTimeoutSec=1h\n"
                  f"[Listener b]\nMessage=small\n")
        return self.serve(config=config, sockets=sockets, names=["a", "b"])

    def test_have_each_the_greeting_of_its_section(self):
        sockets = listen_together(2)
        for listener in sockets:
            self.addCleanup(listener.close)
        clients = [self.client(ADDRESS) for _ in range(16)]
        waiting = [queues(ADDRESS[1])[str(os.fstat(s.fileno()).st_ino)] for s in sockets]
        greetd = self.serve_big(sockets)
        with futures.ThreadPoolExecutor(len(clients)) as pool:
            received = list(pool.map(read_and_close, clients))
        self.assertEqual([received.count(BIG), received.count(b"small")], waiting)
        self.stop(greetd)

    def test_of_other_networks_are_of_other_addresses(self):
        sockets = [*listen_together(1), *namespaces.in_other_network(lambda: listen_together(1))]
        for listener in sockets:
            self.addCleanup(listener.close)
        greetd = self.serve_big(sockets)
        clients = [self.client(ADDRESS, receive_buffer=8192) for _ in range(2)]
        for client in clients:
            self.assertEqual(client.recv(1, socket.MSG_PEEK), BIG[:1])
        self.assert_all_greeted(clients, BIG)
        self.stop(greetd)

    def test_keep_their_clients_for_the_next_process(self):
        sockets = listen_together(3)
        for listener in sockets:
            self.addCleanup(listener.close)
        greetd = self.serve_passed(2, sockets)
        greetd.freeze()
        clients = [self.client(ADDRESS) for _ in range(WAITING)]
        greetd.signal(signal.SIGKILL)
        greetd.wait()
        self.serve_passed(4, sockets, "second")
        self.assert_all_greeted(clients, b"second")


class NobodyIsLost(ShardCase):
    def test_in_a_stop(self):
        greetd = self.serve(config=self.full(4))
        clients = self.pending_clients(4)
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")
        self.assert_all_greeted(clients, BIG)
        self.assert_ends(greetd, 0)

    def test_in_a_stop_while_a_worker_has_a_slow_client(self):
        greetd = self.serve(config=self.full(2))
        slow, *clients = self.pending_clients(2)
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")
        self.assert_all_greeted(clients, BIG)
        self.assertEqual(len(read_and_close(slow)), len(BIG))
        self.assert_ends(greetd, 0)

    def test_in_a_reload_that_removes_the_address(self):
        greetd = self.serve_with(self.full(4))
        clients = self.pending_clients(4)
        self.assert_reloads(greetd, configuration(4, listen=(OTHER,), message="new"))
        self.assert_all_greeted(clients, BIG)
        greetd.wait_line("Server no longer listens on 127.0.0.1:7001")
        self.assert_shards(0)
        self.stop(greetd)

    def test_in_reloads_that_switch_it_on_and_off(self):
        connections = load_client.connections() // 2
        switches = 20
        greetd = self.serve_with(configuration(4, "no"))
        client = self.load(ADDRESS[1], connections, AT_ONCE, "-u")
        for i in range(switches):
            self.wait_progress(client, connections // (switches + 1))
            self.assert_reloads(greetd, configuration(4, ("yes", "no")[i % 2]))
            self.assert_shards(4)
        self.assert_none_lost(client, connections)
        self.stop(greetd)

    def test_in_restarts_with_other_workers(self):
        connections = load_client.connections() // 2
        greetd = self.serve_stored(configuration(*RESTARTS[0]))
        client = self.load(ADDRESS[1], connections, AT_ONCE, "-u")
        for workers, reuse_port in RESTARTS * 2:
            self.wait_progress(client, connections // (2 * len(RESTARTS) + 1))
            self.stop(greetd)
            greetd = self.serve_stored(configuration(workers, reuse_port))
            self.assertEqual(len(self.store.names()), len(queues(ADDRESS[1])))
        self.assert_none_lost(client, connections)
        self.assert_shards(4)
        self.stop(greetd)

    def test_in_restarts_if_the_store_has_room_for_some(self):
        connections = load_client.connections() // 4
        restarts = 10
        self.store = FdStore(2)
        self.addCleanup(self.store.close)
        config = configuration(4)
        greetd = self.serve_stored(config, room=2)
        greetd.wait_line("systemd keeps 2 of 4 sockets over a restart: .*")
        client = self.load(ADDRESS[1], connections, AT_ONCE, "-u")
        for _ in range(restarts):
            self.wait_progress(client, connections // (restarts + 1))
            self.stop(greetd)
            greetd = self.serve_stored(config, room=2)
        self.assert_none_lost(client, connections)
        self.stop(greetd)

    def test_at_an_address_that_is_added_when_the_store_is_full(self):
        self.store = FdStore(3)
        self.addCleanup(self.store.close)
        greetd = self.serve_with(configuration(4), store=self.store, FDSTORE="3")
        self.assertEqual(self.store.addresses(), [ADDRESS] * 3)
        self.assert_reloads(greetd, configuration(4, listen=(ADDRESS, ADDED)))
        self.assertCountEqual(self.store.addresses(), [ADDRESS, ADDRESS, ADDED])
        greetd.wait_line("systemd keeps 3 of 8 sockets over a restart: .*")
        self.stop(greetd)
        clients = [self.client(address) for address in (ADDRESS, ADDED) for _ in range(WAITING)]
        greetd = self.serve_stored(configuration(4, listen=(ADDRESS, ADDED)), room=3)
        self.assert_all_greeted(clients, GREETING)
        self.stop(greetd)

    def test_in_a_stop_with_clients_in_kept_shards_and_others(self):
        self.store = FdStore(2)
        self.addCleanup(self.store.close)
        greetd = self.serve_stored(self.full(4), room=2)
        with self.all_greeted(self.pending_clients(4), BIG, b"second"):
            greetd.signal(signal.SIGTERM)
            self.assert_ends(greetd, 0)
            self.assert_shards(2)
            self.serve_stored(configuration(4, message="second"), room=2)

    def test_in_a_reload_that_fails(self):
        greetd = self.serve_with(configuration(4, "no"))
        listener = self.listening_socket(socket.AF_INET, OTHER)
        connections = load_client.connections() // 10
        client = self.load(ADDRESS[1], connections, AT_ONCE, "-u")
        for _ in range(10):
            self.wait_progress(client, connections // 10)
            self.assert_fails_to_reload(
                greetd, configuration(4, "yes", listen=(ADDRESS, OTHER)),
                [f"Failed to listen on 127.0.0.1:7002: {os.strerror(errno.EADDRINUSE)}"])
        self.assert_none_lost(client, connections)
        listener.close()
        self.stop(greetd)


class TheKernel(unittest.TestCase):
    def test_resets_the_clients_of_a_shard_that_is_closed(self):
        """The reason for the care above; with net.ipv4.tcp_migrate_req=1 it would not."""
        sockets = listen_together(2)
        clients = [connect(ADDRESS) for _ in range(64)]
        waiting = queues(ADDRESS[1])
        lost = waiting[str(os.fstat(sockets[0].fileno()).st_ino)]
        sockets[0].close()
        for client in clients:
            client.setblocking(False)
        self.assertEqual(sum(is_reset(client) for client in clients), lost)
        self.assertGreater(lost, 0)
        for thing in (sockets[1], *clients):
            thing.close()


def is_reset(client):
    try:
        return not client.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


if __name__ == "__main__":
    unittest.main()
