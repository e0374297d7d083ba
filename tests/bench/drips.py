# SPDX-License-Identifier: MIT
"""Compares greetd as a tarpit (DripSec=) with endlessh; see README.md.

Started by tests/bench/run, which builds greetd.
"""

import argparse
import contextlib
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

import bench
from ratios import spread, spread_of_ratios
from servers import (
    FIRST_PORT, HERE, Kind, Server, Site, Unmeasured, end, free_port, wait_until, write,
)  # fmt: skip

PAUSE_SEC = 10
MORE_CLIENTS = 100  # than those that are measured
LINES = [f"{'x' * length}\\r\\n" for length in (3, 9, 16, 22, 30)]

GREETD_CONF = """[Server]
ListenStream=127.0.0.1:{port}
Workers=1
MaxConnections={limit}
[Greeting]
Message={message}
DripSec={pause}s
DripRepeat=yes
[Log]
Connections=no
"""


def greetd(limit):
    def command(site):
        text = GREETD_CONF.format(
            port=site.port, limit=limit, message="".join(LINES), pause=PAUSE_SEC
        )
        path = write(site, f"greetd-{site.port}.conf", text)
        return [site.programs / "greetd", f"--config={path}"]

    return command


def endlessh(limit):
    return lambda site: ["endlessh", "-4", "-f", "/dev/null", "-p", str(site.port), "-m",
                         str(limit), "-d", str(PAUSE_SEC * 1000)]  # fmt: skip


class Tarpit(Server):
    """A server whose greeting does not end."""

    def _greets(self):
        if self._process.poll() is not None:
            return super()._greets()  # which reports why it has ended
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def hold(self, clients, processor, stack):
        """Begins to connect CLIENTS from another processor."""
        command = ["taskset", "--cpu-list", str(processor), "python3", HERE / "drip_clients.py"]
        self._clients = subprocess.Popen(
            [*command, str(self.port), str(clients), str(PAUSE_SEC)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(end, self._clients)

    def await_clients(self, clients):
        """Waits until they are connected. The first of them has a line by then."""
        if self._clients.stdout.readline() != "ready\n":
            raise Unmeasured(f"the clients of {self.kind.name} have ended")
        wait_until(
            lambda: self.count_clients() >= clients, f"{self.kind.name} did not hold {clients}"
        )

    def n_lines(self):
        """The lines that the clients have received."""
        self._clients.stdin.write("\n")
        self._clients.stdin.flush()
        return int(self._clients.stdout.readline())


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run drips", description="Compare greetd as a tarpit with endlessh."
    )
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, default=10000, metavar="N", help="of each server")
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help=f"of {PAUSE_SEC} s")
    return parser.parse_args()


def start(arguments, stack):
    """Starts the servers, and returns them when they have their clients."""
    server_processor, load_processor = bench.choose_processors()
    limit = arguments.clients + MORE_CLIENTS
    scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greetd-")))
    tarpits, port = [], FIRST_PORT
    for kind in (Kind("greetd", "greetd", greetd(limit)),
                 Kind("endlessh", "endlessh", endlessh(limit))):  # fmt: skip
        port = free_port(port + 1)
        site = Site(arguments.programs, scratch, scratch, port)
        tarpits.append(Tarpit(kind, site, server_processor, stack))
    for tarpit in tarpits:
        tarpit.hold(arguments.clients, load_processor, stack)
    for tarpit in tarpits:
        tarpit.await_clients(arguments.clients)
    return tarpits


def measure_round(tarpits):
    """Measures a pause, in which each client receives a line. Returns, by the server's name, its
    share of a processor and the processor time of a line in seconds."""
    order = random.sample(tarpits, len(tarpits))
    before = {t.kind.name: (time.monotonic(), t.processor_seconds(), t.n_lines()) for t in order}
    time.sleep(PAUSE_SEC)
    results = {}
    for tarpit in order:
        began, seconds, lines = before[tarpit.kind.name]
        spent = tarpit.processor_seconds() - seconds
        elapsed, received = time.monotonic() - began, tarpit.n_lines() - lines
        results[tarpit.kind.name] = (spent / elapsed, spent / received)
    return results


def describe(values, scale, unit):
    median, least, most = (value * scale for value in spread(values))
    return f"{median:.2f} {unit} ({least:.2f} to {most:.2f})"


def report(arguments, tarpits, rounds):
    print(f"{arguments.clients} clients, each with a line in {PAUSE_SEC} s\n")
    print("| server | of a processor | processor time of a line | memory | of a client |")
    print("|---|---|---|---|---|")
    for tarpit in tarpits:
        name, rss_kib = tarpit.kind.name, tarpit.rss_kib()
        growth_kib = rss_kib - tarpit.idle_rss_kib
        print(
            f"| {name} | {describe([r[name][0] for r in rounds], 100, '%')} "
            f"| {describe([r[name][1] for r in rounds], 1e6, 'µs')} "
            f"| {rss_kib / 1024:.2f} MiB, {growth_kib / 1024:.2f} of them for clients "
            f"| {growth_kib * 1024 / arguments.clients:.0f} bytes |"
        )
    ratio = spread_of_ratios(
        *({n: of[name][1] for n, of in enumerate(rounds)} for name in ("greetd", "endlessh"))
    )
    print(f"\nA line of greetd / of endlessh: {ratio.median:.2f} ({ratio.least:.2f} to "
          f"{ratio.most:.2f})")  # fmt: skip


def main():
    arguments = parse_arguments()
    bench.prepare_process()
    with contextlib.ExitStack() as stack:
        tarpits = start(arguments, stack)
        rounds = []
        for number in range(1, arguments.rounds + 1):
            print(f"drips: round {number} of {arguments.rounds}", file=sys.stderr)
            rounds.append(measure_round(tarpits))
        report(arguments, tarpits, rounds)


if __name__ == "__main__":
    main()
