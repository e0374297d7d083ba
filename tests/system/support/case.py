# SPDX-License-Identifier: MIT
"""The test case: a machine with the package installed, and its service, clients and journal."""

import contextlib
import hashlib
import json
import pathlib
import re
import shutil
import sys
import time
import unittest

from integration.support import poll

from . import machine
from .client import GREETING as GREETING_BYTES
from .client import PATIENCE_SEC

ADDRESS = "127.0.0.1:12345"
EXPOSURE_MAX = 0.2
GREETING = GREETING_BYTES.decode()
# It is larger than the socket buffers of both ends.
BIG_GREETING = bytes(range(256)) * 64 * 1024
CLIENT = pathlib.Path(__file__).with_name("client.py")

# For receipts, greetd leaves out no entry. While it does not run, clients wait for it.
LOG_ALL = "[Log]\nRateLimitBurst=infinity\n"
RECEIPTS, FIGURES = "/root/receipts", "/root/figures"
LOAD = ("--load", "--json", f"--receipts={RECEIPTS}", f"--expect={GREETING}", "--rate=500",
        "--connections=1000000", "--concurrent=4000", "--timeout=30s")
LOAD_FIRST = 20
MORE_LOAD_USEC = 3_000_000  # longer than a client that must send its SYN again


class SystemTest(unittest.TestCase):
    """A test with a machine of its own, in which the package has just been installed."""

    host: machine.Host
    deb: pathlib.Path
    machine = None

    def setUp(self):
        self.machine = self.enterContext(machine.Machine(self.host))
        shutil.copy(self.deb, self.machine.path("/root/greeting-daemon.deb"))
        self.prepare()

    def prepare(self):
        """What is done in the new machine first."""
        self.install()

    def install(self):
        return self.machine.run("dpkg", "--install", "/root/greeting-daemon.deb")

    def systemctl(self, *arguments, check=True):
        return self.machine.run("systemctl", *arguments, check=check)

    def show(self, unit, *properties):
        """Properties of a unit, as a dictionary of strings."""
        shown = self.systemctl("show", unit, "--property=" + ",".join(properties))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def state(self, unit):
        """The unit's ActiveState: active, inactive, failed..."""
        return self.show(unit, "ActiveState")["ActiveState"]

    def main_pid(self):
        """The service's main process, as the machine numbers it; 0 without one."""
        return int(self.show("greetd.service", "MainPID")["MainPID"])

    def exposure(self, *of):
        """The exposure level that systemd-analyze gives the service, from 0.0 to 10.0."""
        output = self.machine.run("systemd-analyze", "security", "--no-pager", *of)
        overall = re.search(r"Overall exposure level for greetd\S*\.service: (\d+\.\d)", output)
        self.assertIsNotNone(overall, output)
        return float(overall[1])

    def write(self, path, text):
        file = self.machine.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def drop_in(self, text, unit="greetd.service"):
        """Adds settings to a unit, and returns the path of the file inside."""
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        self.write(path, text)
        self.systemctl("daemon-reload")
        return path

    def start_client(self, *arguments):
        client = self.machine.start_on_network(sys.executable, CLIENT, *arguments)
        self.addCleanup(end, client)
        return client

    def finish_client(self, client, patience_sec=2 * PATIENCE_SEC):
        """Waits for the end of a client, which must succeed, and returns its output."""
        output, error = client.communicate(timeout=patience_sec)
        self.assertEqual(client.returncode, 0, error)
        return output

    def greet(self, address=ADDRESS, source_port=0):
        """The text that a client reads, up to the end of stream."""
        return self.finish_client(self.start_client("greet", address, source_port))

    def assert_refused(self, address=ADDRESS):
        client = self.start_client("greet", address)
        _, error = client.communicate(timeout=PATIENCE_SEC)
        self.assertIn("ConnectionRefusedError", error)

    def hold_client(self, address=ADDRESS):
        """A client that has begun to read BIG_GREETING."""
        client = self.start_client("hold", address)
        self.assertEqual(client.stdout.readline(), "connected\n")
        return client

    def release_client(self, client):
        """Lets CLIENT of hold_client() read the rest, of which no byte may be lost."""
        digest = hashlib.sha256(BIG_GREETING).hexdigest()
        self.assertEqual(self.finish_client(client), f"{digest}\n")

    def outcomes(self, client, patience_sec=2 * PATIENCE_SEC):
        """The number of connections of CLIENT with each outcome."""
        return json.loads(self.finish_client(client, patience_sec))

    @contextlib.contextmanager
    def load(self, clients=8, address=ADDRESS):
        """Clients on loopback that connect again and again while the block runs. Yields a
        dictionary that has their outcomes in the end."""
        load, outcomes = self.start_client("load", address, clients), {}
        self.assertEqual(load.stdout.readline(), "started\n")
        yield outcomes
        outcomes.update(self.outcomes(load))
        self.assertGreater(outcomes["greeted"], clients)

    @contextlib.contextmanager
    def load_without_loss(self):
        """load(), of which every client must be greeted."""
        with self.load() as outcomes:
            yield outcomes
        self.assertEqual(list(outcomes), ["greeted"], outcomes)

    @contextlib.contextmanager
    def load_with_receipts(self):
        """greet --load inside while the block runs. Yields a dictionary that has its figures in the
        end."""
        self.write("/etc/greetd.conf.d/90-log.conf", LOG_ALL)
        self.systemctl("try-reload-or-restart", "greetd.service")
        before, figures = len(self.entries(GREETD_RESULT="delivered")), {}
        self.machine.run("systemd-run", "--unit=load", "--service-type=exec", "--quiet",
                         f"--property=StandardOutput=truncate:{FIGURES}", "greet", *LOAD, ADDRESS)
        self.eventually(lambda: self.assertGreater(
            len(self.entries(GREETD_RESULT="delivered")), before + LOAD_FIRST))
        yield figures
        self.systemctl("stop", "load.service")
        figures.update(json.loads(self.machine.path(FIGURES).read_text()))

    def assert_verdicts(self, *possible):
        """Each client of load_with_receipts() has one of the POSSIBLE verdicts of greet --reconcile,
        or was in progress at its end."""
        self.machine.run("journalctl", "--sync")
        report = json.loads(self.machine.run(
            "sh", "-c", "journalctl --unit=greetd --output=json |"
            f" greet --reconcile {RECEIPTS} --json", check=False))
        found = {verdict for verdict, n in report["verdicts"].items() if n > 0}
        self.assertLessEqual(found, {*possible, "unfinished"}, report)
        self.assertEqual(report["left_out"], 0)
        self.assertGreater(report["verdicts"]["served"], LOAD_FIRST)

    def receipts(self):
        """Those of load_with_receipts() up to now."""
        lines = self.machine.path(RECEIPTS).read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @contextlib.contextmanager
    def load_all_served(self):
        """load_with_receipts(), of which every client must be greeted and have an entry. The load
        goes on for a while, in which the clients of the block must end."""
        with self.load_with_receipts() as figures:
            yield figures
            end_usec = time.time_ns() // 1000
            self.eventually(lambda: self.assertGreater(
                max((r["connect_usec"] for r in self.receipts()), default=0),
                end_usec + MORE_LOAD_USEC))
        waiting = [r for r in self.receipts()
                   if r["end"] == "unfinished" and r["connect_usec"] <= end_usec]
        self.assertEqual(waiting, [])
        # The last entries are still on their way.
        self.eventually(lambda: self.assert_verdicts("served", "unconfirmed"))
        self.assertEqual(figures["lost"], 0)

    def assert_restarts_lose_no_client(self, restarts):
        """Restarts the service under load, each time with another process."""
        pids = set()
        with self.load_all_served():
            for _ in range(restarts):
                self.systemctl("restart", "greetd")
                pids.add(self.main_pid())
        self.assertEqual(len(pids), restarts)

    @contextlib.contextmanager
    def polled(self, address):
        """A client of ADDRESS every 20 ms while the block runs. Yields a dictionary that has their
        outcomes in the end."""
        poller, outcomes = self.start_client("poll", address), {}
        self.assertEqual(poller.stdout.readline(), "started\n")
        yield outcomes
        outcomes.update(self.outcomes(poller))

    @contextlib.contextmanager
    def pending_clients(self, clients):
        """CLIENTS clients in the queue of the socket while the block runs. All must be greeted in
        the end."""
        crowd = self.start_client("crowd", ADDRESS, clients)
        self.assertEqual(crowd.stdout.readline(), "connected\n")
        yield
        self.assertEqual(self.outcomes(crowd), {"greeted": clients})

    def entries(self, **fields):
        """The service's journal entries that have these fields."""
        self.machine.run("journalctl", "--sync")
        lines = self.machine.run("journalctl", "--unit=greetd", "--output=json").splitlines()
        return [entry for entry in map(json.loads, lines) if has_fields(entry, fields)]

    def wait_for_entry(self, **fields):
        """Waits for the first journal entry of the service that has these fields."""
        journal = self.machine.start(
            "timeout", PATIENCE_SEC, "journalctl", "--unit=greetd", "--follow", "--lines=all",
            "--output=json")
        with journal:
            for entry in map(json.loads, journal.stdout):
                if has_fields(entry, fields):
                    return entry
        self.fail(f"no entry with {fields} within {PATIENCE_SEC} s")

    def wait_for_pings(self, usec):
        """Waits for a ping (WATCHDOG=1 in sd_notify(3)) of the service at least USEC after its
        last one."""
        first = self.last_ping_usec()
        self.eventually(lambda: self.assertGreaterEqual(self.last_ping_usec(), first + usec))

    def last_ping_usec(self):
        name = "WatchdogTimestampMonotonic"
        return int(self.show("greetd.service", name)[name])

    def eventually(self, assertion):
        """Polls until ASSERTION holds, where no event reports that."""
        return poll.eventually(assertion, PATIENCE_SEC)

    def diagnosis(self):
        """The status and the journal, for a test that has failed."""
        if not self.machine:
            return ""
        return "".join(
            f"--- {command}\n{self.machine.run(*command.split(), check=False)}"
            for command in ("systemctl --no-pager --lines=0 status greetd.service greetd.socket",
                            "journalctl --no-pager --lines=60"))


class StandaloneTest(SystemTest):
    """A test of greetd without a socket unit, set up as its example describes."""

    EXAMPLE = "/usr/share/doc/greeting-daemon/examples/greetd-standalone.conf"
    CONFIG = "/etc/greetd.conf.d/50-listen.conf"

    def setUp(self):
        super().setUp()
        change_over, self.change_back = self.commands()
        self.run_commands(change_over)

    def commands(self):
        """The commands in the header of the example: to change over, and to change back."""
        text = self.machine.path(self.EXAMPLE).read_text()
        blocks = re.findall(r"(?:^#     .*\n)+", text[:text.index("[Unit]")], re.MULTILINE)
        return [re.sub("^#     ", "", block, flags=re.MULTILINE) for block in blocks]

    def run_commands(self, commands):
        self.machine.run("sh", "-e", "-c", commands)


def end(process):
    """Ends a program that may still run, and closes its pipes."""
    process.kill()
    process.communicate()


def has_fields(entry, fields):
    return all(entry.get(name) == value for name, value in fields.items())
