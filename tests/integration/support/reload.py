# SPDX-License-Identifier: MIT
"""What the tests of reloads share: a configuration that changes, and the end of a reload."""

import pathlib
import re
import signal
import socket

from . import daemon

LISTEN = "[Server]\nListenStream=127.0.0.1:0\n"
BIG_SIZE = 8 << 20  # more than the socket buffers of both ends take
RELOADED = "Reloaded the configuration"
KEPT = "Reload failed, the configuration in force stays"


def big(number):
    """A greeting for slow readers, unlike that of any other NUMBER in every line."""
    return (b"%015d\n" % number) * (BIG_SIZE // 16)


class ReloadTestCase(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.config = self.folder / "greetd.conf"

    def configure(self, content):
        """As a whole, so that a reload that is under way reads the old file or the new one."""
        written = self.config.with_suffix(".new")
        written.write_text(content, encoding="utf-8")
        written.rename(self.config)

    def start_with(self, content, *args, **options):
        """start() with a configuration file that configure() changes."""
        self.configure(content)
        return self.start("-c", str(self.config), *args, config=None, **options)

    def serve_with(self, content, *args, **options):
        process = self.start_with(content, *args, **options)
        process.wait_message("READY", "1")
        return process

    def ask(self, process):
        process.signal(signal.SIGHUP)

    def reload(self, process, content=None):
        """Puts CONTENT into the file, has it loaded, and waits until systemd would."""
        if content is not None:
            self.configure(content)
        told = len(process.values("READY"))
        self.ask(process)
        process.wait_until(
            lambda: sum("READY" in message for message in process.messages) > told,
            "READY=1 after a reload",
        )

    def assert_reloads(self, process, content=None):
        """reload(), and what was loaded came into force."""
        told = process.lines.count(RELOADED)
        self.reload(process, content)
        process.wait_until(lambda: process.lines.count(RELOADED) > told, f"line {RELOADED!r}")

    def assert_fails_to_reload(self, process, content, mistakes):
        """reload(), and everything stays for these MISTAKES, which are all told in their order."""
        told = len(process.lines)
        self.reload(process, content)
        process.wait_until(lambda: KEPT in process.lines[told:], f"line {KEPT!r}")
        end = process.lines.index(KEPT, told)
        # What is said of other things may be of earlier: the log is written by a thread of its own.
        others = ("Server is listening on ", "Connection from ")
        said = [line for line in process.lines[told:end] if not line.startswith(others)]
        self.assertEqual(said, mistakes)
        said = f"; last reload failed: {mistakes[0]}"
        process.wait_until(lambda: said in self.last_status(process), f"status {said!r}")

    def wait_until_all_is_well(self, process):
        """The status does not tell of a failed reload any more."""
        process.wait_until(
            lambda: "last reload failed" not in self.last_status(process), "other status"
        )

    def last_status(self, process):
        told = process.values("STATUS")
        return told[-1][1] if told else ""

    def message(self, text, more=""):
        return f"{LISTEN}{more}[Greeting]\nMessage={text}\n"

    def message_file(self, name, content, more=""):
        return f"{LISTEN}{more}[Greeting]\nMessageFile={self.write(name, content)}\n"

    def status_of(self, greetd, key):
        """Of proc_pid_status(5), without its unit."""
        status = pathlib.Path(f"/proc/{greetd.pid}/status").read_text(encoding="ascii")
        return re.search(rf"^{key}:\s+(\S+)", status, re.MULTILINE)[1]

    def slow_reader(self, address, whole):
        """A client that has read so little that the rest of WHOLE can't be on its way yet."""
        client = self.client(address, receive_buffer=8192)
        self.assertEqual(client.recv(1000, socket.MSG_WAITALL), whole[:1000])
        return client
