# SPDX-License-Identifier: MIT
"""Compares greetd with limits, lists of networks and PROXY headers with itself without them, and
with other servers that read PROXY headers; see README.md.

Started by tests/bench/run, which builds the programs.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import time
from typing import NamedTuple

import bench
import servers
from ratios import spread_of_ratios
from servers import FIRST_PORT, Kind, Server, Site, Unmeasured, end, free_port, wait_until, write

N_KNOWN = 100000  # sources
N_NETWORKS = 100000
FLOODING = 200  # sources, over their limit
BURST = 20
AT_ONCE = 128
PATIENCE_SEC = 60  # for a load
SAMPLES, PAUSE_SEC = 500, 0.001  # of the time that a client waits for its greeting
SAMPLES_SEC = 15  # at most
DELAY_MAX_SEC = 0.0001  # of a sample, by other processes of the machine
SO_TIMESTAMPNS = 35  # asm-generic/socket.h

HEALTH_CHECK = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
RATE = "[Limits]\nRateLimitPerSourceIntervalSec=1h\nRateLimitPerSourceBurst="
KNOWN, FEW, HEADERS = ("-a", str(N_KNOWN)), ("-a", str(FLOODING)), ("-p", "0")


def with_lists(site):
    """Networks from 1.0.0.0 to 126.255.255.255: no client is in one of them."""
    chosen = random.sample(range(1 << 20, 127 << 20), N_NETWORKS)
    addresses = (socket.inet_ntoa(struct.pack("!I", number << 4)) for number in chosen)
    path = write(site, "networks", "".join(f"{address}/28\n" for address in addresses))
    return servers.greetd(more=f"[Limits]\nDeny={path}")(site)


KINDS = [
    Kind("plain", "greetd", servers.greetd()),
    Kind("limits", "greetd with limits", servers.greetd(more=f"{RATE}1000000")),
    Kind("lists", "greetd with lists", with_lists),
    Kind("attacked", "greetd under attack", servers.greetd(more=f"{RATE}{BURST}")),
    Kind("proxy", "greetd", servers.greetd(more="[Greeting]\nProxyProtocol=yes"),
         sends=HEALTH_CHECK),
    Kind("nginx", "nginx", servers.nginx(options=" proxy_protocol"), has_master=True,
         sends=HEALTH_CHECK),
    Kind("haproxy", "HAProxy, Lua", servers.haproxy("accept-proxy"), sends=HEALTH_CHECK),
]  # fmt: skip


class Row(NamedTuple):
    """The processor time of one server for a connection, divided by that of another."""

    what: str
    at_most: float
    server: str
    other: str
    load: tuple  # options of bench-load


ROWS = [
    Row("limits on, 100,000 known sources / limits off", 1.05, "limits", "plain", KNOWN),
    Row("lists of 100,000 networks / no lists", 1.02, "lists", "plain", KNOWN),
    Row("PROXY header / nginx, `listen ... proxy_protocol`", 1.0, "proxy", "nginx", HEADERS),
    Row("PROXY header / HAProxy, `accept-proxy`", 1.0, "proxy", "haproxy", HEADERS),
    Row("a flood by 200 sources, limits on / limits off", 1.05, "attacked", "plain", FEW),
]
P99 = "p99 of a client within its limits, with that flood / without"
P99_AT_MOST = 1.5


class Load:
    """Makes load on one processor."""

    def __init__(self, programs, expected, processor):
        self._prefix = ["taskset", "--cpu-list", str(processor),
                        programs / "tests/bench/bench-load", "-c", str(AT_ONCE)]  # fmt: skip
        self._expected = expected

    def start(self, server, n, *options):
        command = [*self._prefix, "-n", str(n), *options, str(server.port), self._expected]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @staticmethod
    def finish(server, process):
        """Returns how many connections there were."""
        try:
            out, _ = process.communicate(timeout=PATIENCE_SEC)
        except subprocess.TimeoutExpired:
            raise Unmeasured(f"the load did not end against {server.kind.name}") from None
        counts = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", out)}
        refused = counts["short"] + counts["reset"] if server.kind.name == "attacked" else 0
        if counts["fine"] + refused != counts["connections"]:
            raise Unmeasured(f"{server.kind.name} lost greetings: {counts}")
        return counts["connections"]

    def cost(self, server, n, *options):
        """Processor time of the server for one of N connections, in seconds."""
        wait_until(server.is_quiet, f"{server.kind.name} still has clients")
        before = server.processor_seconds()
        process = self.start(server, n, *options)
        try:
            connections = self.finish(server, process)
        finally:
            end(process)
        wait_until(server.is_quiet, f"{server.kind.name} still has clients")
        return (server.processor_seconds() - before) / connections

    @contextlib.contextmanager
    def flooding(self, server):
        """While this is entered, 200 sources flood the server over their limit."""
        process = self.start(server, 1, *FEW, "-u")
        try:
            for _ in range(0, FLOODING * BURST, 500):
                process.stdout.readline()
            yield
            self.finish(server, process)
        finally:
            end(process)


class Delay:
    """How long a thread has been ready to run while others had its processor, since the last look
    (schedstat in the kernel's documentation)."""

    def __init__(self, pid, name, stack):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (thread / "comm").read_text(encoding="utf-8").strip() == name:
                self._file = stack.enter_context(open(thread / "schedstat", "rb", buffering=0))
        self._last_sec = 0

    def new_sec(self):
        last_sec, self._last_sec = self._last_sec, int(os.pread(self._file.fileno(), 100, 0)
                                                       .split()[1]) / 1e9  # fmt: skip
        return self._last_sec - last_sec


class Client:
    """A client within its limits: it has a new source before its tokens are used up."""

    def __init__(self, server, stack):
        self._server = server
        self._n = 0
        name = pathlib.Path("/proc/self/comm").read_text(encoding="utf-8").strip()
        self._delays = [Delay(server.pid, "greetd-0", stack), Delay(os.getpid(), name, stack)]
        # The kernel adds time stamps as long as a socket wants them, from a moment after the first.
        stamped = stack.enter_context(socket.socket())
        stamped.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def _wait_sec(self):
        """Connects, and returns the time from then until its kernel has the greeting
        (SO_TIMESTAMPNS in socket(7))."""
        source = f"127.200.{self._n // BURST // 250}.{1 + self._n // BURST % 250}"
        self._n += 1
        with socket.socket() as client:
            client.settimeout(PATIENCE_SEC)
            client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            client.bind((source, 0))
            began_nsec = time.time_ns()
            client.connect(("127.0.0.1", self._server.port))
            greeting, ancillary, _, _ = client.recvmsg(100, 64)
            if greeting.decode() != servers.GREETING:
                raise Unmeasured(f"a client within its limits has read {greeting}")
            seconds, nsec = struct.unpack("ll", ancillary[0][2])
            return (seconds * 10**9 + nsec - began_nsec) / 1e9

    def _samples(self):
        """Those in which neither greetd nor the client has waited for its processor."""
        while True:
            time.sleep(PAUSE_SEC)
            self._delays[1].new_sec()
            wait_sec = self._wait_sec()
            if max([delay.new_sec() for delay in self._delays]) < DELAY_MAX_SEC:
                yield wait_sec

    def p99_sec(self):
        deadline = time.monotonic() + SAMPLES_SEC
        samples = []
        for wait_sec in self._samples():
            samples.append(wait_sec)
            if len(samples) == SAMPLES:
                return statistics.quantiles(samples, n=100)[98]
            if time.monotonic() > deadline:
                raise Unmeasured("other processes leave no processor to greetd")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run guard",
        description="Compare greetd with limits, lists and PROXY headers, and without.",
    )
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--connections", type=int, default=20000, metavar="N",
                        help="in each measurement")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="median over N rounds")
    return parser.parse_args()


class Guard:
    """A run: the servers, and by round what was measured of each."""

    def __init__(self, arguments, stack):
        server_processor, load_processor = bench.choose_processors()
        scratch = bench.make_folder(stack, None)
        site = Site(arguments.programs, scratch, scratch, FIRST_PORT)
        self._n = arguments.connections
        self._load = Load(arguments.programs, write(site, "expected", servers.GREETING),
                          load_processor)  # fmt: skip
        os.sched_setaffinity(0, {load_processor})
        self._servers = {}
        for kind in KINDS:
            site = site._replace(port=free_port(site.port + 1))
            self._servers[kind.name] = Server(kind, site, server_processor, stack)
        self._client = Client(self._servers["attacked"], stack)
        self.failures = 0
        self.costs = {}  # by server and load, then by round
        self.p99 = {True: {}, False: {}}  # by whether there is a flood, then by round

    def _measure_cost(self, number, name, load):
        cost = self._load.cost(self._servers[name], self._n, *load)
        self.costs.setdefault((name, load), {})[number] = cost

    def _measure_p99(self, number, flooded):
        server = self._servers["attacked"]
        with self._load.flooding(server) if flooded else contextlib.nullcontext():
            self.p99[flooded][number] = self._client.p99_sec()

    def warm_up(self):
        self._load.cost(self._servers["limits"], N_KNOWN, *KNOWN)
        for row in ROWS:
            for name in (row.server, row.other):
                self._load.cost(self._servers[name], self._n, *row.load)

    def go_round(self, number):
        measured = {(name, row.load) for row in ROWS for name in (row.server, row.other)}
        plan = [(self._measure_cost, *pair) for pair in measured]
        plan += [(self._measure_p99, flooded) for flooded in (True, False)]
        random.shuffle(plan)
        for measure, *what in plan:
            try:
                measure(number, *what)
            except Unmeasured as error:
                self.failures += 1
                print(f"guard: not measured: {error}", file=sys.stderr)


def report(run):
    print("| processor time of a connection, unless said otherwise | at most | measured | rounds | |")
    print("|---|---:|---:|---:|---|")

    def show(what, at_most, ours, others):
        ratio = spread_of_ratios(ours, others)
        if not ratio:
            print(f"| {what} | {at_most:.2f} | not measured | 0 | |")
            return
        verdict = "met" if round(ratio.median, 2) <= at_most else "missed"
        print(f"| {what} | {at_most:.2f} "
              f"| {ratio.median:.2f} ({ratio.least:.2f}–{ratio.most:.2f}) "
              f"| {len(ours.keys() & others.keys())} | {verdict} |")  # fmt: skip

    for row in ROWS:
        show(row.what, row.at_most, run.costs.get((row.server, row.load), {}),
             run.costs.get((row.other, row.load), {}))  # fmt: skip
    show(P99, P99_AT_MOST, run.p99[True], run.p99[False])
    print("\nmedians:")
    for (name, load), costs in sorted(run.costs.items()):
        usec = statistics.median(costs.values()) * 1e6
        print(f"- {name}, load {' '.join(load)}: {usec:.1f} µs")
    for flooded, waits in run.p99.items():
        if waits:
            usec = statistics.median(waits.values()) * 1e6
            print(f"- p99 {'with' if flooded else 'without'} the flood: {usec:.0f} µs")


def main():
    arguments = parse_arguments()
    bench.prepare_process()
    with contextlib.ExitStack() as stack:
        run = Guard(arguments, stack)
        run.warm_up()
        for number in range(1, arguments.rounds + 1):
            print(f"guard: round {number} of {arguments.rounds}", file=sys.stderr)
            run.go_round(number)
        report(run)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
