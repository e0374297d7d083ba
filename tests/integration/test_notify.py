# SPDX-License-Identifier: MIT
"""The messages of greetd to systemd: sd_notify(3), daemon(7)."""

import contextlib
import errno
import os
import pathlib
import re
import signal
import socket
import time
import unittest

from support import daemon, namespaces
from support.daemon import EX_OSERR

EPOLLIN, EPOLLEXCLUSIVE = 0x1, 1 << 28


def setUpModule():
    namespaces.isolate()


def epolls_that_watch(pid, inode):
    """The events for which each epoll instance of PID waits on the socket INODE."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        entry = re.compile(rf"^tfd: .* events:\s*([0-9a-f]+) .* ino:{inode:x} ", re.MULTILINE)
        # A descriptor that is open only for a moment is not an epoll instance of a worker.
        with contextlib.suppress(FileNotFoundError):
            found += [int(events, 16) for events in entry.findall(path.read_text())]
    return found


class Notify(daemon.GreetdTestCase):
    def test_ready_when_every_worker_accepts(self):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        greetd = self.serve(config="[Server]\nWorkers=4\n", sockets=[listener])
        watched = epolls_that_watch(greetd.pid, os.fstat(listener.fileno()).st_ino)
        self.assertEqual(len(watched), 4)
        for events in watched:
            self.assertEqual(events & (EPOLLIN | EPOLLEXCLUSIVE), EPOLLIN | EPOLLEXCLUSIVE)

    def test_ready_means_that_it_greets(self):
        greetd = self.start("-l", "127.0.0.1:0")
        greetd.wait_message("READY", "1")
        self.assert_greeted(greetd.address())

    def test_status_counts_in_words(self):
        greetd = self.serve("-l", "127.0.0.1:0", config="[Server]\nWorkers=2\n")
        greetd.wait_message("STATUS", r"Greeting 0 clients; 0 greeted, 0 refused; 2 workers")
        for _ in range(3):
            self.assert_greeted(greetd.address())
        greetd.wait_message("STATUS", r"Greeting 0 clients; 3 greeted, 0 refused; 2 workers")

    def test_status_counts_a_client_that_is_held(self):
        message = self.write("big", bytes(8 << 20))
        greetd = self.serve(
            "-l", "127.0.0.1:0", config=f"[Server]\nWorkers=1\n[Greeting]\nMessageFile={message}\n"
        )
        self.client(greetd.address(), receive_buffer=4096)
        greetd.wait_message("STATUS", r"Greeting 1 client; 0 greeted, 0 refused; 1 worker")

    def test_status_is_sent_at_most_once_a_second(self):
        began = time.monotonic()
        greetd = self.serve("-l", "127.0.0.1:0")
        for _ in range(1000):
            self.assert_greeted(greetd.address())
        greetd.wait_message("STATUS", r"Greeting 0 clients; 1000 greeted, 0 refused; \d+ workers?")
        sent = sum("STATUS" in message for message in greetd.messages)
        self.assertLessEqual(sent, time.monotonic() - began + 2)

    def test_stopping_is_sent_once_after_ready(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        self.stop(greetd)
        states = [k for message in greetd.messages for k in message if k in ("READY", "STOPPING")]
        self.assertEqual(states, ["READY", "STOPPING"])

    def test_a_stop_extends_the_timeout(self):
        # The time for threads and the log at the end is included.
        for timeout, extension in (("7s", 10_000_000), ("infinity", None)):
            with self.subTest(timeout):
                greetd = self.serve(
                    config=f"[Server]\nListenStream=127.0.0.1:0\nStopTimeoutSec={timeout}\n"
                )
                self.stop(greetd)
                sent = [message for message in greetd.messages if "STOPPING" in message]
                expected = {"STOPPING": "1"}
                if extension:
                    expected["EXTEND_TIMEOUT_USEC"] = str(extension)
                self.assertEqual(sent, [expected])

    def test_a_failure_is_reported_with_its_errno(self):
        taken = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        port = taken.getsockname()[1]
        greetd = self.finish("-l", f"127.0.0.1:{port}")
        self.assertEqual(greetd.status, EX_OSERR)
        greetd.wait_message("ERRNO", "98")
        greetd.wait_message("STATUS", f".*127.0.0.1:{port}.*Address already in use.*")
        self.assertNotIn({"READY": "1"}, greetd.messages)

    def test_a_bad_configuration_is_reported(self):
        greetd = self.finish(config="[Server]\nBacklog=many\n")
        self.assertEqual(greetd.status, daemon.EX_CONFIG)
        greetd.wait_message("STATUS", r".*config\d+:2: .*")
        greetd.wait_message("ERRNO", str(errno.EINVAL))
        self.assertFalse(any("READY" in message for message in greetd.messages))

    def test_a_stop_during_the_start_is_clean(self):
        greetd = self.start("-l", "127.0.0.1:0")
        greetd.address()
        greetd.signal(signal.SIGTERM)
        self.assert_ends(greetd, 0)


if __name__ == "__main__":
    unittest.main()
