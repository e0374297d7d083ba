# SPDX-License-Identifier: MIT
"""The examples of packaging/examples as an administrator installs them, and programs that use them."""

import pathlib
import re
import socket
import subprocess

from . import daemon, namespaces, poll
from .daemon import TIMEOUT

EXAMPLES = pathlib.Path(__file__).parents[3] / "packaging" / "examples"
SECTION = re.compile(r"^\[Listener (\d+)\]$", re.MULTILINE)


def text(name):
    return (EXAMPLES / name).read_text(encoding="utf-8")


def run(*command, status=0, **options):
    """The output, errors included, of a program that must exit with STATUS."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=TIMEOUT, check=False, **{"stdin": subprocess.DEVNULL, **options})
    if done.returncode != status:
        raise AssertionError(f"{command} exited {done.returncode}:\n{done.stdout}")
    return done.stdout


def eventually(assertion):
    """Polls until ASSERTION holds, where no event reports that."""
    return poll.eventually(assertion, TIMEOUT)


class ExampleTestCase(daemon.GreetdTestCase):
    """A test of examples, with the whole network and /run for itself."""

    @classmethod
    def setUpClass(cls):
        namespaces.isolate()

    def setUp(self):
        super().setUp()
        namespaces.mount("tmpfs", "/run", "tmpfs")
        self.addCleanup(namespaces.unmount, "/run")

    def serve_example(self, name, more="", **environment):
        """Serves the example NAME; MORE is a later drop-in."""
        return self.serve_sections(f"{text(name)}\n{more}", **environment)

    def serve_sections(self, sections, **environment):
        """Serves SECTIONS, each on its port as with greetd@.socket."""
        ports = sorted(set(SECTION.findall(sections)))
        self.assertTrue(ports, sections)
        return self.serve(config=sections, names=ports, **environment,
                          sockets=[self.socket_on(int(port)) for port in ports])

    def assert_answers_no_silent_client(self, port):
        with daemon.connect(("127.0.0.1", port)) as silent:
            silent.shutdown(socket.SHUT_WR)
            self.assertEqual(daemon.read_to_end(silent), b"")

    def socket_on(self, port, host="::"):
        """A socket as a socket unit has it: at every address, or at the IPv4 address HOST."""
        both = host == "::"
        listener = socket.create_server((host, port), dualstack_ipv6=both, backlog=4096,
                                        family=socket.AF_INET6 if both else socket.AF_INET)
        self.addCleanup(listener.close)
        return listener
