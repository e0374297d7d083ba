# SPDX-License-Identifier: MIT
"""Compares greetd with other servers and with what the kernel alone costs; see README.md.

Started by tests/bench/run, which builds the programs.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

import report
from load import Generator
from servers import FIRST_PORT, HERE, KINDS, Server, Site, Unmeasured, free_port, wait_until

TREE = HERE.parents[1]
HELD = (100, 1000, 10000)
WARM_HELD = 1000
OPEN_FILES = 40000  # what HAProxy wants for MaxConnections= as greetd has it
SPEAK_BYTES = 4096
BEFORE_SEC = 10
MEMORY = pathlib.Path("/dev/shm")


class Extent(NamedTuple):
    """How much is measured. Each measurement ends after so many connections or seconds."""

    rounds: int
    connections: int
    seconds: float


DEFAULT = Extent(rounds=9, connections=30000, seconds=2)
QUICK = Extent(rounds=3, connections=8000, seconds=0.7)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description="Compare what greetd costs with what others cost.",
        epilog="NAMEs: " + " ".join(kind.name for kind in KINDS),
    )
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, metavar="N", help="median over N rounds")
    parser.add_argument("--connections", type=int, metavar="N", help="in each measurement")
    parser.add_argument("--only", metavar="NAME,...", help="leave out all other servers")
    parser.add_argument("--quick", action="store_true", help="a rough look, in about a minute")
    parser.add_argument("--publish", action="store_true", help="replace tests/bench/results")
    parser.add_argument(
        "outdir", nargs="?", type=pathlib.Path, metavar="OUTDIR", default=TREE / "build/bench"
    )
    arguments = parser.parse_args()

    if arguments.publish and arguments.only:
        parser.error("what is published is about all servers")
    known = [kind.name for kind in KINDS]
    arguments.only = arguments.only.split(",") if arguments.only else known
    for name in arguments.only:
        if name not in known:
            parser.error(f"no server is called {name}; there are {', '.join(known)}")
    extent = QUICK if arguments.quick else DEFAULT
    arguments.extent = Extent(
        arguments.rounds or extent.rounds,
        arguments.connections or extent.connections,
        extent.seconds,
    )
    if min(arguments.extent) <= 0:
        parser.error("--rounds and --connections are positive")
    return arguments


def choose_processors():
    """One for the servers and one for the load; not two threads of one core, if that can be."""
    ours = sorted(os.sched_getaffinity(0))
    path = pathlib.Path(f"/sys/devices/system/cpu/cpu{ours[0]}/topology/thread_siblings_list")
    siblings = path.read_text(encoding="ascii").strip() if path.exists() else ""
    others = [n for n in ours[1:] if str(n) not in re.split("[,-]", siblings)] or ours[1:]
    if not others:
        sys.exit("bench: the servers and the load need a processor each, and there is one in all")
    return ours[0], others[0]


def raise_open_files():
    """For the clients that are held. Only root may go beyond the hard limit; what can't be held
    then is named when it comes to that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def first_line(*command):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return (done.stdout.splitlines() or [""])[0]


def processor_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def describe_machine(programs):
    version = re.compile(r"\d+(\.\d+)+")

    def version_of(*command):
        found = version.search(first_line(*command))
        return found[0] if found else "unknown"

    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "processor": processor_model(),
        "processors": os.cpu_count(),
        "versions": {
            "greetd": version_of(programs / "greetd", "--version"),
            "nginx": version_of("nginx", "-v"),
            "HAProxy": version_of("haproxy", "-v"),
            "Python": version_of("python3", "--version"),
        },
    }


class Bench:
    """A run: the servers that could be started, the samples taken, and what could not be."""

    def __init__(self, extent, generator):
        self.extent = extent
        self.generator = generator
        self.servers = []
        self.samples = []
        self.few_held_rss_kib = {}  # by the server's name, with WARM_HELD clients
        self.failures = []

    def fail(self, what):
        self.failures.append(str(what))
        print(f"bench: not measured: {what}", file=sys.stderr)

    def start(self, kinds, programs, folders, processor, stack):
        port = FIRST_PORT
        for kind in kinds:
            try:
                port = free_port(port + 1)
                site = Site(programs, *folders, port)
                self.servers.append(Server(kind, site, processor, stack))
            except (Unmeasured, OSError) as error:
                self.fail(error)

    def measure(self, number, server, what, clients=0, rss_kib=None):
        speak = SPEAK_BYTES if what == "speak" else 0
        seconds = self.extent.seconds / 2 if speak else self.extent.seconds
        if server.kind.before:
            self.generator.run(server, server.kind.before, BEFORE_SEC)
        sample = self.generator.run(server, self.extent.connections, seconds, speak)
        self.samples.append(
            {
                "round": number,
                "server": server.kind.name,
                "measured": what,
                "held": clients,
                "rss_kib": rss_kib,
                "greet": sample,
            }
        )

    def measure_held(self, number, server, clients):
        with self.generator.holding(server, clients):
            self.measure(number, server, "held", clients, server.rss_kib())

    def warm_up(self):
        """Not counted: the first connections fill caches and the table of those that are ending.
        Memory is never given back, so what a few held clients take has to be looked at first."""
        for server in self.servers:
            try:
                wait_until(server.is_quiet, f"{server.kind.name} keeps a client that has closed")
                self.generator.run(server, self.extent.connections, self.extent.seconds / 2)
                if server.kind.holds:
                    with self.generator.holding(server, WARM_HELD):
                        self.few_held_rss_kib[server.kind.name] = server.rss_kib()
            except (Unmeasured, OSError) as error:
                self.fail(f"warming up: {error}")

    def go_round(self, number):
        """Measures everything once, in an order of its own."""
        plain = [server for server in self.servers if server.kind.table == "plain"]
        greeting = [server for server in self.servers if server.kind.table != "held"]
        holding = [server for server in self.servers if server.kind.holds]
        plans = [
            [(self.measure, server, "greet") for server in greeting],
            [(self.measure, server, "speak") for server in plain],
            [(self.measure_held, server, n) for server in holding for n in HELD],
        ]
        for plan in plans:
            random.shuffle(plan)
            for measure, *what in plan:
                try:
                    measure(number, *what)
                except (Unmeasured, OSError) as error:
                    self.fail(f"round {number}: {error}")

    def run(self):
        self.warm_up()
        for number in range(1, self.extent.rounds + 1):
            print(f"bench: round {number} of {self.extent.rounds}", file=sys.stderr)
            self.go_round(number)


def publish(outdir):
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    for name in (report.TABLE, report.PLOT):
        shutil.copyfile(outdir / name, results / name)


def end_by_signal(number, _frame):
    """Whatever is being waited for, all that was started is ended on the way out."""
    sys.exit(128 + number)


def prepare_process():
    """What each comparison needs before it starts servers and clients."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    raise_open_files()


def make_folder(stack, parent):
    folder = pathlib.Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="greetd-", dir=parent))
    )
    # Workers of nginx give up root before they look for anything in there.
    folder.chmod(0o755)
    return folder


def measure_all(arguments):
    server_processor, load_processor = choose_processors()
    bench = Bench(arguments.extent, Generator(arguments.programs / "greet", load_processor))
    kinds = [kind for kind in KINDS if kind.name in arguments.only]

    with contextlib.ExitStack() as stack:
        folders = [make_folder(stack, None), make_folder(stack, MEMORY)]
        bench.start(kinds, arguments.programs, folders, server_processor, stack)
        bench.run()
        rss_kib = {
            server.kind.name: {
                "idle": server.idle_rss_kib,
                str(WARM_HELD): bench.few_held_rss_kib.get(server.kind.name),
            }
            for server in bench.servers
        }
    return bench, rss_kib


def main():
    arguments = parse_arguments()
    arguments.outdir.mkdir(parents=True, exist_ok=True)
    prepare_process()

    bench, rss_kib = measure_all(arguments)
    results = report.Results(
        machine=describe_machine(arguments.programs),
        extent=arguments.extent._asdict(),
        rss_kib=rss_kib,
        samples=bench.samples,
        failures=bench.failures,
    )
    report.write(results, arguments.outdir)
    if arguments.publish:
        publish(arguments.outdir)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
