# SPDX-License-Identifier: MIT
"""IdleExitSec=: under socket activation greetd exits after some time without a client, and loses
none."""

import itertools
import os
import select
import signal
import socket
import threading
import time
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end

WATCHED = {"WATCHDOG_USEC": "400000"}
STAY = 0.2  # seconds from the start to the first possible exit, see src/control/idle_exit.c
BIG = bytes(range(256)) * 32768  # more than the socket buffers of both ends hold
ROUNDS = 20
AIMED = 10  # connections of one round, around the moment of the exit
AROUND = 0.003  # seconds before and after that moment
STEP = 0.004  # seconds by which the next round aims earlier or later


def setUpModule():
    namespaces.isolate()


class IdleExit(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.address = self.listener.getsockname()

    def activate(self, idle, more="", **options):
        config = f"[Server]\nIdleExitSec={idle}\n{more}"
        return self.start(config=config, sockets=[self.listener], **options)

    def pass_time(self, greetd):
        """Waits for some further pings, one per quarter of WATCHDOG_USEC."""
        greetd.wait_more("WATCHDOG", 8)

    def test_greetd_exits_after_the_time_without_a_client(self):
        began = time.monotonic()
        greetd = self.activate("500ms")
        self.assert_ends(greetd, 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        self.assertEqual(
            greetd.lines[-1], "No client for 0.5s: exiting until the next one comes"
        )
        self.assertEqual(greetd.values("READY", "STOPPING"), [("READY", "1"), ("STOPPING", "1")])

    def test_greetd_does_not_exit_right_after_its_start(self):
        began = time.monotonic()
        self.assert_ends(self.activate("1us"), 0)
        self.assertGreaterEqual(time.monotonic() - began, STAY)

    def test_greetd_stays_while_a_client_is_held(self):
        second = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        config = (
            "[Server]\nIdleExitSec=1ms\nWorkers=2\n"
            f"[Listener big]\nMessageFile={self.write('big', BIG)}\n"
        )
        sockets = [self.listener, second]
        greetd = self.start(config=config, sockets=sockets, names=["other", "big"], **WATCHED)
        client = self.client(second.getsockname(), receive_buffer=8192)
        self.assertEqual(client.recv(1000, socket.MSG_WAITALL), BIG[:1000])
        self.pass_time(greetd)
        self.assertFalse(greetd.values("STOPPING"))
        self.assertEqual(read_to_end(client), BIG[1000:])
        client.close()
        self.assert_ends(greetd, 0)

    def test_greetd_stays_while_a_client_lingers_and_the_time_after_it(self):
        greetd = self.activate("300ms", "[Greeting]\nLingerSec=infinity\n", **WATCHED)
        client = self.client(self.address)
        self.assertEqual(read_to_end(client), GREETING)
        self.pass_time(greetd)
        self.assertFalse(greetd.values("STOPPING"))
        closed = time.monotonic()
        client.close()
        self.assert_ends(greetd, 0)
        self.assertGreaterEqual(time.monotonic() - closed, 0.3)

    def test_greetd_does_not_spin_while_descriptors_are_short_and_the_exit_is_due(self):
        greetd = self.activate("500ms")
        greetd.wait_message("READY")
        greetd.allow_descriptors(0)
        client = self.client(self.address)
        self.assertEqual(select.select([client], [], [], 1)[0], [], "until the exit is due")
        self.assert_does_not_spin(greetd, 2, [client])
        greetd.allow_descriptors(1)
        self.assertEqual(read_to_end(client), GREETING)
        client.close()
        self.assert_ends(greetd, 0)

    def test_a_reload_changes_the_time(self):
        path = self.write("greetd.conf", "[Server]\nIdleExitSec=infinity\n")
        greetd = self.serve("-c", path, config=None, sockets=[self.listener])
        self.write("greetd.conf", "[Server]\nIdleExitSec=1ms\n")
        greetd.signal(signal.SIGHUP)
        self.assert_ends(greetd, 0)
        greetd.wait_line("No client for 0.001s: exiting .*")

    def test_the_setting_has_no_effect_without_activation(self):
        greetd = self.serve("-l", "127.0.0.1:0", config="[Server]\nIdleExitSec=1ms\n", **WATCHED)
        greetd.wait_line(r".*/config\d*:\d+: IdleExitSec= has no effect: systemd passed no socket")
        self.pass_time(greetd)
        self.assertFalse(greetd.values("STOPPING"))
        self.stop(greetd)

    def test_the_setting_has_no_effect_on_stored_sockets(self):
        store = self.fd_store()
        config = "[Server]\nListenStream=127.0.0.1:7001\nIdleExitSec=1ms\n"
        self.stop(self.serve(config=config, store=store))
        greetd = self.serve(config=config, store=store, **WATCHED)
        greetd.wait_line(r".*/config\d*:\d+: IdleExitSec= has no effect: systemd passed no socket")
        self.pass_time(greetd)
        self.assertFalse(greetd.values("STOPPING"))
        self.stop(greetd)

    def aim(self, moment):
        """Connects MOMENT seconds from now: a time to aim at, not a synchronisation."""
        time.sleep(moment)
        with connect(self.address) as client:
            self.received.append(read_to_end(client))

    def aim_around(self, moment, over):
        """AIMED connections around a MOMENT, in seconds from now. Writes to OVER when all are
        greeted."""
        moments = [moment + AROUND * (2 * i / AIMED - 1) for i in range(AIMED)]
        threads = [threading.Thread(target=self.aim, args=[max(0, m)]) for m in moments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.eventfd_write(over, 1)

    def serve_while_wanted(self, process, over):
        """Starts another process, as systemd does, whenever PROCESS has exited and a client is
        pending, until OVER is readable. Returns the number of processes."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(over, select.POLLIN)
        for n in itertools.count(1):
            self.assert_ends(process, 0)
            if self.listener.fileno() not in dict(poll.poll()):
                return n
            process = self.activate("1ms")

    def test_no_client_is_lost_at_the_moment_of_the_exit(self):
        self.received = []
        over = os.eventfd(0)
        self.addCleanup(os.close, over)
        moment, processes = STAY, []
        for _ in range(ROUNDS):
            process = self.activate("1ms")
            process.wait_message("READY")
            clients = threading.Thread(target=self.aim_around, args=[moment, over])
            clients.start()
            processes.append(self.serve_while_wanted(process, over))
            clients.join()
            os.eventfd_read(over)
            # With one process the clients were too early. With two, some connected during the exit.
            moment += STEP if processes[-1] == 1 else -STEP
        self.assertEqual(self.received, [GREETING] * (ROUNDS * AIMED))
        self.assertGreater(sum(processes), ROUNDS)
        print(f"  processes in each round: {processes}", flush=True)


if __name__ == "__main__":
    unittest.main()
