# SPDX-License-Identifier: MIT
"""SIGHUP: another configuration is in force as a whole or not at all, and clients notice only the
greeting."""

import contextlib
import re
import resource
import select
import socket
import time
import unittest

from support import daemon, namespaces, reload
from support.daemon import connect, read_to_end
from support.reload import BIG_SIZE, RELOADED, big
from support.threads import workers

MANY = 50


def setUpModule():
    namespaces.isolate()


class Reload(reload.ReloadTestCase):
    def test_the_greeting_changes(self):
        greetd = self.serve_with(self.message("old"))
        self.assert_greeted(greetd.address(), b"old")
        self.assert_reloads(greetd, self.message("new"))
        self.assert_greeted(greetd.address(), b"new")

    def test_systemd_is_notified_in_order_with_the_time(self):
        greetd = self.serve_with(self.message("old"))
        before = time.monotonic_ns() // 1000
        self.reload(greetd)
        after = time.monotonic_ns() // 1000
        states = greetd.values("READY", "RELOADING", "STOPPING")
        self.assertEqual(states, [("READY", "1"), ("RELOADING", "1"), ("READY", "1")])
        (message,) = (message for message in greetd.messages if "RELOADING" in message)
        self.assertLessEqual(before, int(message["MONOTONIC_USEC"]))
        self.assertLessEqual(int(message["MONOTONIC_USEC"]), after)

    def test_a_message_file_is_read_again(self):
        config = self.message_file("message", "old")
        greetd = self.serve_with(config)
        self.write("message", "rewritten")
        self.assert_greeted(greetd.address(), b"old")
        self.assert_reloads(greetd)
        self.assert_greeted(greetd.address(), b"rewritten")

    def test_a_drop_in_is_read(self):
        greetd = self.serve_with(self.message("old"))
        self.write("greetd.conf.d/10-new.conf", "[Greeting]\nMessage=dropped in\n")
        self.assert_reloads(greetd)
        self.assert_greeted(greetd.address(), b"dropped in")

    def test_the_command_line_stays_in_force(self):
        greetd = self.serve_with("", "-l", "127.0.0.1:0", "-m", "from the command line")
        elsewhere = self.folder / "elsewhere"
        self.assert_reloads(
            greetd, f"[Server]\nListenStream={elsewhere}\n[Greeting]\nMessage=from the file\n"
        )
        self.assertFalse(elsewhere.exists())
        self.assert_greeted(greetd.address(), b"from the command line")

    def test_settings_that_need_a_restart_are_logged_and_stay(self):
        greetd = self.serve_with(self.message("old", "Workers=1\nMaxConnections=10\n"))
        self.assert_reloads(greetd, self.message("new", "Workers=3\nMaxConnections=20\n"))
        greetd.wait_line("Workers= stays at 1 until the next restart")
        greetd.wait_line("MaxConnections= stays at 10 until the next restart")
        self.assert_greeted(greetd.address(), b"new")
        self.assertEqual(len(workers(greetd.pid)), 1)

    def test_unchanged_settings_are_not_logged(self):
        greetd = self.serve_with(self.message("old", "Workers=1\nMaxConnections=10\n"))
        self.assert_reloads(greetd, self.message("new", "Workers=1\nMaxConnections=10\n"))
        self.assertFalse([line for line in greetd.lines if "stays at" in line])

    def test_connections_are_logged_or_not(self):
        greetd = self.serve_with(self.message("old"))
        self.assert_reloads(greetd, self.message("new", "[Log]\nConnections=no\n"))
        self.assert_greeted(greetd.address(), b"new")
        self.stop(greetd)
        self.assertFalse([line for line in greetd.lines if line.startswith("Connection from")])

    def test_a_new_stop_timeout_applies(self):
        greetd = self.serve_with(
            self.message_file("big", big(1), "StopTimeoutSec=infinity\n"),
        )
        self.slow_reader(greetd.address(), big(1))
        self.assert_reloads(greetd, self.message("new", "StopTimeoutSec=100ms\n"))
        self.stop(greetd)


class Errors(reload.ReloadTestCase):
    def erroneous(self):
        """A file with three errors, and their places."""
        content = self.message("new", "Backlog=many\n") + "LigerSec=5s\n[Lisener x]\n"
        errors = [f"{self.config}:{line}: " for line in (3, 6, 7)]
        return content, errors

    def test_all_errors_are_logged_and_the_old_configuration_stays(self):
        greetd = self.serve_with(self.message("old"))
        content, where = self.erroneous()
        self.reload(greetd, content)
        greetd.wait_line(reload.KEPT)
        for place in where:
            greetd.wait_line(f"{re.escape(place)}.+")
        self.assertNotIn(RELOADED, greetd.lines)
        self.assert_greeted(greetd.address(), b"old")

    def test_a_shortage_of_descriptors_is_no_error_in_the_file(self):
        greetd = self.serve_with(self.message("old"))
        soft, hard = resource.prlimit(greetd.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(greetd.pid, resource.RLIMIT_NOFILE, (greetd.n_descriptors(), hard))
        self.configure(self.message("new"))
        self.request_reload(greetd)
        greetd.wait_line(reload.KEPT)
        why = r"Too many open files \(no mistake in the file\)"
        greetd.wait_line(f"Failed to read {self.config}: {why}")
        self.assertFalse([line for line in greetd.lines if line.startswith(str(self.config))])
        resource.prlimit(greetd.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assert_reloads(greetd)
        self.assert_greeted(greetd.address(), b"new")

    def test_the_status_has_the_error_until_a_good_reload(self):
        greetd = self.serve_with(self.message("old"))
        content, where = self.erroneous()
        self.reload(greetd, content)
        greetd.wait_message("STATUS", f"Greeting .*; last reload failed: {re.escape(where[0])}.*")
        self.assert_greeted(greetd.address(), b"old")
        greetd.wait_message("STATUS", "Greeting .* 1 greeted, .*; last reload failed: .*")
        self.assert_reloads(greetd, self.message("new"))
        self.wait_until_status_is_clean(greetd)
        self.assert_greeted(greetd.address(), b"new")

    def test_systemd_is_notified_of_the_end(self):
        greetd = self.serve_with(self.message("old"))
        self.reload(greetd, "[Server]\nBacklog=many\n")
        states = greetd.values("READY", "RELOADING")
        self.assertEqual(states, [("READY", "1"), ("RELOADING", "1"), ("READY", "1")])
        self.assertFalse(greetd.values("ERRNO"))

    def test_a_missing_file(self):
        greetd = self.serve_with(self.message("old"))
        self.config.unlink()
        self.reload(greetd)
        greetd.wait_line(f"{re.escape(str(self.config))}.*: No such file or directory")
        self.assert_greeted(greetd.address(), b"old")

    def test_a_missing_message_file(self):
        greetd = self.serve_with(self.message_file("message", "old"))
        (self.folder / "message").unlink()
        self.reload(greetd)
        greetd.wait_line(f"{re.escape(str(self.config))}:4: .*No such file or directory")
        self.assert_greeted(greetd.address(), b"old")


class Clients(reload.ReloadTestCase):
    def test_a_client_in_progress_gets_all_of_the_greeting_it_began_with(self):
        greetd = self.serve_with(self.message_file("greeting", big(0)))
        clients = [self.slow_reader(greetd.address(), big(0))]
        for version in range(1, 4):
            self.write("greeting", big(version))
            self.assert_reloads(greetd)
            clients.append(self.slow_reader(greetd.address(), big(version)))
        self.assert_reloads(greetd, self.message("small"))
        self.assert_greeted(greetd.address(), b"small")
        for version, client in enumerate(clients):
            self.assertEqual(big(version)[:1000] + read_to_end(client), big(version))

    def test_a_lingering_client_delays_nothing(self):
        greetd = self.serve_with(self.message("old") + "LingerSec=infinity\n")
        client = self.client(greetd.address())
        self.assertEqual(read_to_end(client), b"old")
        self.assert_reloads(greetd, self.message("new"))
        self.assert_greeted(greetd.address(), b"new")

    def resident(self, greetd):
        return int(self.status_of(greetd, "RssAnon")) << 10

    def wait_resident_below(self, greetd, limit):
        """Polls, since no event reports that memory is freed."""
        deadline = time.monotonic() + daemon.TIMEOUT
        while self.resident(greetd) >= limit:
            self.assertLess(time.monotonic(), deadline, "memory is not freed")
            select.select([], [], [], 0.01)

    def serve_without_quarantine(self, content):
        """Without a quarantine, ASan frees memory at once."""
        options = self.environment()["ASAN_OPTIONS"] + ":quarantine_size_mb=0"
        return self.serve_with(content, ASAN_OPTIONS=options)

    def test_the_last_client_frees_its_greeting(self):
        greetd = self.serve_without_quarantine(self.message("small", "Workers=1\n"))
        self.assert_greeted(greetd.address(), b"small")
        base = self.resident(greetd)
        self.assert_reloads(greetd, self.message_file("big", big(0), "Workers=1\n"))
        clients = [self.slow_reader(greetd.address(), big(0)) for _ in range(2)]
        self.assert_reloads(greetd, self.message("small", "Workers=1\n"))
        self.assertGreater(self.resident(greetd), base + BIG_SIZE // 2)
        for client in clients:
            self.assertEqual(read_to_end(client), big(0)[1000:])
            client.close()
        self.wait_resident_below(greetd, base + BIG_SIZE // 2)

    def test_an_unused_greeting_is_freed(self):
        greetd = self.serve_without_quarantine(self.message_file("big", big(0)))
        base = self.resident(greetd)
        for _ in range(MANY):
            self.assert_reloads(greetd)
        # The allocators of sanitizers keep some memory for later.
        self.wait_resident_below(greetd, base + MANY * BIG_SIZE // 3)


class Activated(reload.ReloadTestCase):
    NAMED = "[Greeting]\nMessage=common {0}\n[Listener one]\nMessage=one {0}\n"

    def setUp(self):
        super().setUp()
        self.one = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        self.local = self.listening_socket(socket.AF_UNIX, str(self.folder / "local"))

    def serve_activated(self, content):
        return self.serve_with(content, sockets=[self.one, self.local], names=["one", "local"])

    def assert_both_greet(self, one, local):
        self.assert_greeted(self.one.getsockname(), one)
        self.assert_greeted(self.local.getsockname(), local)

    def test_the_greetings_of_sections_change(self):
        greetd = self.serve_activated(self.NAMED.format(1))
        self.assert_both_greet(b"one 1", b"common 1")
        self.assert_reloads(greetd, self.NAMED.format(2))
        self.assert_both_greet(b"one 2", b"common 2")
        self.assertFalse(greetd.values("FDSTORE", "FDSTOREREMOVE"))

    def test_sections_are_added_and_removed(self):
        greetd = self.serve_activated(self.NAMED.format(1))
        self.assert_reloads(greetd, "[Greeting]\nMessage=all\n[Listener local]\nMessage=local\n")
        self.assert_both_greet(b"all", b"local")
        self.assert_reloads(greetd, "[Listener nobody]\nMessage=unheard\n")
        self.assert_both_greet(daemon.GREETING, daemon.GREETING)
        greetd.wait_line(r"No socket is named nobody: \[Listener nobody\] is not used")

    def test_an_address_has_no_effect_under_activation(self):
        greetd = self.serve_activated("")
        elsewhere = self.folder / "elsewhere"
        self.assert_reloads(greetd, f"[Server]\nListenStream={elsewhere}\n")
        self.assertFalse(elsewhere.exists())
        self.assert_both_greet(daemon.GREETING, daemon.GREETING)

    def test_no_queue_is_emptied_or_closed(self):
        greetd = self.serve_activated(self.NAMED.format(1))
        greetd.address(1)
        for version in range(2, 20):
            with contextlib.ExitStack() as stack:
                self.configure(self.NAMED.format(version))
                clients = [
                    stack.enter_context(connect(self.one.getsockname())) for _ in range(10)
                ]
                self.assert_reloads(greetd)
                for client in clients:
                    self.assertIn(
                        read_to_end(client), (b"one %d" % v for v in (version - 1, version))
                    )
        self.assertEqual(sum("listen" in line for line in greetd.lines), 2)


if __name__ == "__main__":
    unittest.main()
