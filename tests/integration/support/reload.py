# SPDX-License-Identifier: MIT
"""A test case of reloads: a configuration that changes, and the end of a reload."""

import pathlib
import re
import signal
import socket

from . import daemon

LISTEN = "[Server]\nListenStream=127.0.0.1:0\n"
BIG_SIZE = 8 << 20  # more than the socket buffers of both ends hold
RELOADED = "Reloaded the configuration"
KEPT = "Reload failed, the configuration in force stays"


def big(number):
    """A greeting for slow readers. Each of its lines has NUMBER."""
    return (b"%015d\n" % number) * (BIG_SIZE // 16)


class ReloadTestCase(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.config = self.folder / "greetd.conf"

    def configure(self, content):
        """Replaces the file by rename, so that a reload reads the old file or the new one."""
        written = self.config.with_suffix(".new")
        written.write_text(content, encoding="utf-8")
        written.rename(self.config)

    def start_with(self, content, *args, **options):
        """start() with a configuration file that configure() can replace."""
        self.configure(content)
        return self.start("-c", str(self.config), *args, config=None, **options)

    def serve_with(self, content, *args, **options):
        process = self.start_with(content, *args, **options)
        process.wait_message("READY", "1")
        return process

    def request_reload(self, process):
        process.signal(signal.SIGHUP)

    def reload(self, process, content=None):
        """Writes CONTENT to the file, requests a reload, and waits for READY=1 as systemd does."""
        if content is not None:
            self.configure(content)
        before = len(process.values("READY"))
        self.request_reload(process)
        process.wait_until(
            lambda: sum("READY" in message for message in process.messages) > before,
            "READY=1 after a reload",
        )

    def assert_reloads(self, process, content=None):
        """reload(), and the new configuration is in force."""
        before = process.lines.count(RELOADED)
        self.reload(process, content)
        process.wait_until(lambda: process.lines.count(RELOADED) > before, f"line {RELOADED!r}")

    def assert_fails_to_reload(self, process, content, errors):
        """reload(), and the old configuration stays because of ERRORS, logged in this order."""
        before = len(process.lines)
        self.reload(process, content)
        process.wait_until(lambda: KEPT in process.lines[before:], f"line {KEPT!r}")
        end = process.lines.index(KEPT, before)
        # Other lines may be of earlier events, since another thread writes the log.
        others = ("Server is listening on ", "Connection from ")
        logged = [line for line in process.lines[before:end] if not line.startswith(others)]
        self.assertEqual(logged, errors)
        status = f"; last reload failed: {errors[0]}"
        process.wait_until(lambda: status in self.last_status(process), f"status {status!r}")

    def wait_until_status_is_clean(self, process):
        """Waits until the status names no failed reload."""
        process.wait_until(
            lambda: "last reload failed" not in self.last_status(process), "other status"
        )

    def last_status(self, process):
        values = process.values("STATUS")
        return values[-1][1] if values else ""

    def message(self, text, more=""):
        return f"{LISTEN}{more}[Greeting]\nMessage={text}\n"

    def message_file(self, name, content, more=""):
        return f"{LISTEN}{more}[Greeting]\nMessageFile={self.write(name, content)}\n"

    def status_of(self, greetd, key):
        """The value of KEY in proc_pid_status(5), without its unit."""
        status = pathlib.Path(f"/proc/{greetd.pid}/status").read_text(encoding="ascii")
        return re.search(rf"^{key}:\s+(\S+)", status, re.MULTILINE)[1]

    def slow_reader(self, address, whole):
        """A client that has read so little that the kernel can't have the rest of WHOLE yet."""
        client = self.client(address, receive_buffer=8192)
        self.assertEqual(client.recv(1000, socket.MSG_WAITALL), whole[:1000])
        return client
