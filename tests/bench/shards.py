# SPDX-License-Identifier: MIT
"""Compares greetd with ReusePort=yes and with ReusePort=no on all processors; see README.md.

Started by tests/bench/run, which builds greetd.
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

import bench
from drips import describe
from load import Generator
from ratios import spread_of_ratios
from servers import FIRST_PORT, GREETING, PATIENCE_SEC, Kind, Server, Site, free_port, write

MODES = ("yes", "no")
SECONDS = 30  # at most, for one measurement
EVENTS = {"context-switches": "context switches", "lock:contention_begin": "waits for a lock",
          "syscalls:sys_enter_accept4": "calls of accept4(2)"}  # fmt: skip

GREETD_CONF = """[Server]
ListenStream=127.0.0.1:{port}
Workers={workers}
ReusePort={mode}
[Greeting]
Message={message}
[Log]
Connections=no
"""


def greetd(mode, workers):
    def command(site):
        text = GREETD_CONF.format(port=site.port, workers=workers, mode=mode, message=GREETING)
        return [site.programs / "greetd", f"--config={write(site, f'{mode}.conf', text)}"]

    return command


def perf_stat(path):
    return ["perf", "stat", "--field-separator=,", f"--event={','.join(EVENTS)}",
            f"--output={path}"]  # fmt: skip


def can_count():
    """Whether there is perf(1), and the kernel lets it count the events."""
    return bool(shutil.which("perf")) and subprocess.run(
        [*perf_stat(os.devnull), "true"], stderr=subprocess.DEVNULL, check=False
    ).returncode == 0  # fmt: skip


def read_counts(path):
    """The events that perf-stat(1) has counted in PATH."""
    fields = [line.split(",") for line in path.read_text(encoding="ascii").splitlines()]
    return {f[2]: int(f[0]) for f in fields if len(f) > 2 and f[0].isdigit()}


class Counted(Generator):
    """Makes load, and counts the events of both sides: each wakes the other and handles its packets."""

    def __init__(self, greet, processors, scratch):
        super().__init__(greet, processors)
        self._of_greet, self._of_server = scratch / "greet.perf", scratch / "server.perf"
        self._prefix = [*perf_stat(self._of_greet), *self._prefix]

    def measure(self, server, connections):
        """Returns what a connection costs, and how often each event happens in it."""
        counter = subprocess.Popen([*perf_stat(self._of_server), f"--pid={server.pid}"])
        try:
            sample = self.run(server, connections, SECONDS)
        finally:
            counter.send_signal(signal.SIGINT)  # it writes its counts, which SIGTERM could prevent
            counter.wait(PATIENCE_SEC)
        of_server, of_greet = read_counts(self._of_server), read_counts(self._of_greet)
        events = {e: (of_server[e] + of_greet[e]) / sample["ok"] for e in EVENTS}
        return {"seconds": sample["server"]["nsec_per_connection"] / 1e9,
                "wall": 1 / sample["per_second"], "p99": sample["usec"]["p99"] / 1e6, **events}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run shards", description="Compare ReusePort=yes with ReusePort=no."
    )
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--connections", type=int, default=30000, metavar="N",
                        help="in each measurement")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=21, metavar="N")
    return parser.parse_args()


def start(arguments, processors, scratch, stack):
    servers, port = [], FIRST_PORT
    for mode in MODES:
        port = free_port(port + 1)
        kind = Kind(mode, f"ReusePort={mode}", greetd(mode, len(processors)))
        site = Site(arguments.programs, scratch, scratch, port)
        servers.append(Server(kind, site, ",".join(map(str, processors)), stack))
    return servers


def report(processors, rounds):
    rows = {"processor time": ("seconds", 1e6, "µs"), "time": ("wall", 1e6, "µs"),
            "latency, p99": ("p99", 1e3, "ms")}  # fmt: skip
    rows.update({title: (event, 1, "") for event, title in EVENTS.items()})
    print(f"{len(processors)} processors and workers, shared with the clients\n")
    print("| of a connection | " + " | ".join(f"ReusePort={mode}" for mode in MODES) + " | ratio |")
    print("|---|---|---|---|")
    for title, (key, scale, unit) in rows.items():
        values = [{n: of[mode][key] for n, of in enumerate(rounds)} for mode in MODES]
        ratio = spread_of_ratios(*values)
        cells = " | ".join(describe(of.values(), scale, unit) for of in values).replace("  ", " ")
        print(f"| {title} | {cells} | {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f}) |")


def main():
    arguments = parse_arguments()
    processors = sorted(os.sched_getaffinity(0))
    bench.prepare_process()
    if not can_count():
        sys.exit("bench: shards needs perf, root, and tracefs at /sys/kernel/tracing")
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greetd-")))
        servers = start(arguments, processors, scratch, stack)
        load = Counted(arguments.programs / "greet", ",".join(map(str, processors)), scratch)
        rounds = []
        for number in range(1, arguments.rounds + 1):
            print(f"shards: round {number} of {arguments.rounds}", file=sys.stderr)
            order = random.sample(servers, len(servers))
            rounds.append({s.kind.name: load.measure(s, arguments.connections) for s in order})
        report(processors, rounds)


if __name__ == "__main__":
    main()
