# SPDX-License-Identifier: MIT
"""Connections of all kinds, while greetd is reloaded and restarted and its journal stalls: nothing
is lost, and the counts of clients, journal and metrics are equal."""

import collections
import signal
import subprocess
import time

import service

SHORT = {"stored": 70_000, "passed": 70_000, "steady": 60_000}
AT_ONCE = 400
BATCH = 100_000
# Looks at a process without clients; the last snapshot is freed a moment after READY=1.
LOOKS_AT_MEMORY, LOOKS_AT_DESCRIPTORS = 200, 5
STALL_EVERY_SEC, STALL_SEC = 7, 2
REPORT_SEC = 30
STARVED_AT_MOST = 1e-4  # of all connections


class Options:
    """Set by run."""

    connections = SHORT
    restart_sec = 5
    resident_percent = 1.0
    rows = []  # of the table of results, a part of the soak each
    stopping = False  # SIGTERM: end early, with all checks
    # A reload logs a message. The ring for 1,024 of them is allocated at once, but its pages become
    # resident when they are first used. So the memory is compared after that.
    reloads_before = 1500
    quarters = []  # resident memory after each quarter of the part without restarts


class Counts:
    """The counts of the clients, in the lines of soak-clients."""

    def __init__(self, lines):
        self.rows = [(*line.split(" ")[:4], int(line.split(" ")[4])) for line in lines]
        self.total = self.of()
        self.wrong = [row for row in self.rows if row[3] == "wrong"]

    def of(self, listener=None, outcome=None, kind=None):
        return sum(
            n
            for of_listener, of_kind, of_outcome, _, n in self.rows
            if listener in (None, of_listener)
            and outcome in (None, of_outcome)
            and kind in (None, of_kind)
        )


class Connections(service.ServiceTestCase):
    def setUp(self):
        super().setUp()
        subprocess.run("ip -6 route add local 2001:db8::/48 dev lo".split(), check=True)
        self.clients = service.Helper(
            "soak-clients", AT_ONCE, service.FIRST_PORT, self.path, service.ABSTRACT
        )
        self.addCleanup(self.clients.end)
        self.addCleanup(subprocess.run, "ip -6 route del local 2001:db8::/48 dev lo".split())
        self.done = self.asked = 0
        self.samples = []  # of resident memory before each stop
        self.n_stalls = 0
        self.limit = ""

    def report(self, text):
        print(f"  {self.id().rpartition('_')[2]}: {text}", flush=True)

    # What happens meanwhile. Each returns how long until it is due again.

    def change(self):
        self.replace()
        self.reload()
        return 1

    def restart(self):
        self.wake_journal()
        self.samples.append(self.resident())
        self.end_life()
        self.begin_life()
        return Options.restart_sec

    def stall_journal(self):
        self.n_stalls += 1
        self.journal.process.send_signal(signal.SIGSTOP)
        return STALL_EVERY_SEC

    def wake_journal(self):
        self.journal.process.send_signal(signal.SIGCONT)
        return STALL_EVERY_SEC

    def progress(self):
        self.report(f"{self.done} connections, {self.resident()} KiB, life {self.n_lives}")
        return REPORT_SEC

    def make(self, connections, *deeds):
        """Makes CONNECTIONS, fewer after SIGTERM, while DEEDS are done: pairs of a method and the
        seconds until it is due. Returns the counts of the clients."""
        now = time.monotonic()
        due = {deed: now + seconds for deed, seconds in (*deeds, (self.progress, REPORT_SEC))}
        counts = None
        while connections > 0 and not (counts and Options.stopping):
            batch = min(connections, BATCH)
            counts = Counts(self._make_batch(batch, due))
            connections -= batch
        self.wake_journal()
        return counts

    def _make_batch(self, connections, due):
        self.clients.ask(str(connections))
        self.asked += connections
        lines = []
        while not lines or not lines[-1].startswith("done"):
            for line in self.clients.lines(max(0, min(due.values()) - time.monotonic())):
                if line.startswith("at "):
                    self.done = int(line.split(" ")[1])
                else:
                    lines.append(line)
            for deed, when in due.items():
                if when <= time.monotonic():
                    due[deed] = time.monotonic() + deed()
        return lines[:-1]

    # What must be true at the end

    def assert_right(self, counts):
        with self.subTest("every connection ended as it must, with every byte of its greeting"):
            self.assertEqual(counts.wrong, [])
        with self.subTest("all connections were made"):
            self.assertEqual(counts.total, self.asked)
        with self.subTest("few clients were starved of the processor"):
            self.assertLessEqual(counts.of(outcome="starved"), counts.total * STARVED_AT_MOST)
        with self.subTest("every kind occurred"):
            kinds = {row[:2] for row in counts.rows}
            self.assertEqual(len(kinds), 25)
        with self.subTest("greetd logs nothing unexpected"):
            self.assertEqual(self.unexpected(), [])

    def assert_logged(self, counts):
        """The journal has an entry for each connection, or its part in a number left out."""
        logged, left_out = self.logged(), self.left_out()
        self.report(f"{sum(logged.values())} entries and {left_out} left out")
        with self.subTest("entries and those left out are all connections"):
            self.assertEqual(sum(logged.values()) + left_out, counts.total)
        by = collections.Counter()
        for (listener, result, _), n in logged.items():
            by[listener, result] += n
        for listener, result, n, starved in self.results(counts):
            missing = n - by[listener, result]
            with self.subTest("entries with a result", listener=listener, result=result):
                self.assertTrue(-starved <= missing <= left_out, f"{missing} missing of {n}")
        return left_out

    def results(self, counts):
        """The number of connections of each listener with a result that clients can know, and of
        those that may have it, too: a client that was starved may have been greeted before."""
        for listener in service.LISTENERS:
            if listener not in ("aborted", "vanished"):
                starved = counts.of(listener, "starved")
                yield listener, "delivered", counts.of(listener, "greeted"), starved
                yield listener, "refused", counts.of(listener, "refused"), starved
        yield "silent", "timeout", counts.of("silent", "empty"), 0
        yield "vanished", "delivered", 0, 0

    def assert_counted(self, counts):
        """The metrics of one process that has served all connections are those of the clients."""
        samples = service.metrics.parse(self.scrape())
        total = service.metrics.total
        for listener in service.LISTENERS:
            label = f'listener="{listener}"'
            with self.subTest("connections in the metrics", listener=listener):
                self.assertEqual(
                    total(samples, "greetd_connections_total", label), counts.of(listener)
                )
        for listener, result, n, starved in self.results(counts):
            labels = f'listener="{listener}"', f'result="{result}"'
            more = total(samples, "greetd_connections_total", *labels) - n
            with self.subTest("results in the metrics", listener=listener, result=result):
                self.assertTrue(0 <= more <= starved, f"{more} more than {n}")

    def run_restarting(self, connections, *deeds):
        """Serves CONNECTIONS by one process after another. Returns how many entries were left out."""
        self.configure()
        self.begin_life()
        counts = self.make(
            connections, (self.change, 1), (self.restart, Options.restart_sec), *deeds
        )
        self.wait_until_ended(counts.total)
        self.end_life()
        self.row(counts)
        self.assert_right(counts)
        with self.subTest("there were restarts"):
            self.assertGreater(self.n_lives, 1)
        return self.assert_logged(counts)

    def stalls(self):
        """The journal stops for STALL_SEC now and then. Vanished clients make any run last 3 s."""
        return (self.stall_journal, 1), (self.wake_journal, 1 + STALL_SEC)

    def test_stored(self):
        """Sockets that greetd has opened, and systemd keeps. No entry is left out."""
        left_out = self.run_restarting(Options.connections["stored"])
        with self.subTest("no entry is left out"):
            self.assertEqual(left_out, 0)

    def test_passed(self):
        """Sockets of a unit, a journal that stalls, and a limit for entries."""
        self.limit = "RateLimitIntervalSec=1s\nRateLimitBurst=1000"
        self.pass_sockets()
        left_out = self.run_restarting(Options.connections["passed"], *self.stalls())
        with self.subTest("entries were left out, and the journal has stalled"):
            self.assertGreater(left_out, 0)
            self.assertGreater(self.n_stalls, 0)

    def test_steady(self):
        """One process: its memory and descriptors after each quarter, and its metrics."""
        connections = Options.connections["steady"]
        self.configure()
        self.begin_life()
        for _ in range(Options.reloads_before):
            self.reload()
            self.rest()
        descriptors = []
        for _ in range(4):
            counts = self.make(connections // 4, (self.change, 1), *self.stalls())
            self.wait_until_ended(counts.total)
            self.rest()
            self.samples.append(min(self.resident() for _ in range(LOOKS_AT_MEMORY)))
            descriptors.append(min(self.greetd.n_descriptors() for _ in range(LOOKS_AT_DESCRIPTORS)))
            self.report(f"{counts.total} connections: {self.samples[-1]} KiB, {descriptors[-1]} descriptors")
        Options.quarters += self.samples
        self.assert_counted(counts)
        self.end_life()
        self.row(counts)
        self.assert_right(counts)
        self.assert_logged(counts)
        with self.subTest("descriptors are equal"):
            self.assertEqual(len(set(descriptors)), 1, descriptors)
        with self.subTest(f"memory grows by {Options.resident_percent} % at most"):
            grown = self.samples[-1] / self.samples[0] * 100 - 100
            self.assertLessEqual(grown, Options.resident_percent, self.samples)

    def row(self, counts):
        phase = self.id().rpartition("_")[2]
        row = (
            f"| {phase} | {self.asked} | {self.n_lives} | {self.n_reloads} | {self.n_versions} "
            f"| {self.n_stalls} | {self.left_out()} | {counts.of(outcome='starved')} | {self.memory()} |"
        )
        Options.rows.append(row)
        self.report(row)

    def memory(self):
        return f"{min(self.samples)}–{max(self.samples)} KiB" if self.samples else ""
