# SPDX-License-Identifier: MIT
"""Plays the scripts of packets against greetd, or against all servers: see README.md."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import sys
import tempfile
import unittest
from concurrent import futures

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench"), str(HERE.parent / "integration")]

import contenders  # noqa: E402
import network  # noqa: E402
import player  # noqa: E402
import scoreboard  # noqa: E402
import script as scripts  # noqa: E402
from servers import FIRST_PORT, Server, Site  # noqa: E402
from support import fake_journal, receipts  # noqa: E402

N_FIRST_ALONE = 16  # behind the servers that play all scripts
N_ALONE = 12  # as many of them start and play at the same time


def play_all(n_server, address, greeting, cases):
    """The results of player.play() for each of CASES, which are played at the same time."""
    hub = network.open_network()

    def play(n_script, script):
        clients = network.addresses(n_server, n_script)
        return player.play(hub, script, clients, address, greeting)

    with futures.ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(play, *zip(*enumerate(cases))))


def run_server(n_server, kind, programs, cases):
    """Starts a server and plays CASES against it."""
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conduct-")))
        scratch.chmod(0o755)  # servers give up root
        site = Site(programs, scratch, scratch, FIRST_PORT + n_server)
        server = Server(kind, site, min(os.sched_getaffinity(0)), stack)
        address, greeting = ("127.0.0.1", server.port), kind.greeting.encode()
        return play_all(n_server, address, greeting, cases)


def run_each(kind, programs, cases):
    """The same results, with a server for each script, so that none suffers from another."""
    with futures.ThreadPoolExecutor(N_ALONE) as pool:
        found = pool.map(lambda i: run_server(N_FIRST_ALONE + i, kind, programs, [cases[i]]),
                         range(len(cases)))  # fmt: skip
        return [results[0] for results in found]


def receipt_lines(kind, cases, results):
    """What each client saw, as greet(1) describes it, with the names of server and script."""
    for script, (_, _, seen) in zip(cases, results):
        for number, receipt in enumerate(seen, 1):
            yield json.dumps({"number": number, "server": kind.name, "script": script.name, **receipt})


def find_claims(lines, entries):
    """Entries with more bytes acknowledged than a client from their address and port has
    acknowledged, be it that it was served or that it has left."""
    acknowledged = {}
    for receipt in map(json.loads, lines):
        client = receipt["address"], str(receipt["port"])
        acknowledged[client] = max(receipt["acknowledged"], acknowledged.get(client, 0))
    for entry in entries:
        client = entry.get("GREETD_REMOTE_ADDR"), entry.get("GREETD_REMOTE_PORT")
        claimed, right = int(entry.get("GREETD_BYTES_ACKED", 0)), acknowledged.get(client, 0)
        if claimed > right:
            yield f"{':'.join(client)} has acknowledged {right} bytes, greetd says {claimed}"


def find_contradictions(greet, lines, entries):
    """Joins what clients saw with greetd's journal: a client with its whole greeting has one entry,
    which says no less, and no client has two. No entry says more than its client has acknowledged.
    Before the scripts, the start was tried from 127.0.0.1."""
    ours = [e for e in entries if e.get("GREETD_REMOTE_ADDR") != "127.0.0.1"]
    with tempfile.NamedTemporaryFile("w", prefix="receipts-", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        journal = "".join(f"{json.dumps(entry)}\n" for entry in ours)
        _, report = receipts.reconcile(greet, file.name, journal)
    print(f"conduct: both sides: {report}", flush=True)
    if report["verdicts"]["served"] == 0:
        yield "no client was served"
    for verdict, n in {**report["verdicts"], "others": report["others"]}.items():
        if n > 0 and verdict not in ("served", "unconfirmed", "unfinished", "client"):
            yield f"{verdict}: {n}"
    yield from find_claims(lines, ours)


def read_expected():
    """What greetd is known to break: for names of a server and a script the word."""
    rows = (HERE / "expected").read_text(encoding="utf-8").splitlines()
    rows = [[part.strip() for part in row.split("|")] for row in rows if row and row[0] != "#"]
    servers = {kind.name for kind in contenders.OURS}
    for server, script, _, _ in rows:
        if server not in servers or not (HERE / "packets" / f"{script}.pkt").exists():
            sys.exit(f"conduct: expected: there is no {server} or {script}")
    return {(server, script): word for server, script, word, _ in rows}


def print_results(kind, cases, results):
    for script, (word, detail, _) in zip(cases, results):
        print(f"conduct: {kind.title}: {script.name}: {detail if word else 'kept'}", flush=True)


def check_ours(kind, cases, results, known):
    """The number of scripts that have not ended as expected. KNOWN is that of read_expected()."""
    expected = [known.get((kind.name, script.name)) for script in cases]
    failures = [
        f"{script.name}: {word or 'kept'} instead of {right or 'kept'}"
        for script, (word, _, _), right in zip(cases, results, expected)
        if word != right
    ]
    for failure in failures:
        print(f"conduct: FAILED: {kind.title}: {failure}")
    return len(failures)


def cases_for(kind, cases):
    usual = len(kind.greeting) == len(contenders.GREETING)
    return [script for script in cases if usual or script.takes_any_length()]


def play_ours(arguments, cases):
    """Plays against greetd; the results of the first one, the number of tests, and how many of them
    failed. The servers run at the same time, since nearly all of a script is waiting."""
    known = read_expected()
    kinds = [kind for kind in contenders.OURS if cases_for(kind, cases)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(fake_journal.JOURNAL))
        with (fake_journal.collecting(journal) as entries,
              futures.ThreadPoolExecutor(len(kinds)) as pool):  # fmt: skip
            found = list(pool.map(lambda n: run_server(n, kinds[n], arguments.programs,
                                                       cases_for(kinds[n], cases)),
                                  range(len(kinds))))  # fmt: skip
    total, failed, lines = 1, 0, []
    for kind, results in zip(kinds, found):
        played = cases_for(kind, cases)
        print_results(kind, played, results)
        total += len(played)
        failed += check_ours(kind, played, results, known)
        lines += receipt_lines(kind, played, results)
    arguments.seen.extend(lines)
    contradictions = list(find_contradictions(os.environ["GREET"], lines, entries))
    for contradiction in contradictions:
        print(f"conduct: FAILED: both sides: {contradiction}")
    return found[0], total, failed + bool(contradictions)


def play_others(arguments, cases, ours):
    """Plays against the other servers, and writes the table."""
    words = {contenders.GREETD.name: [word for word, _, _ in ours]}
    for n, kind in enumerate(contenders.OTHERS, len(contenders.OURS)):
        results = run_server(n, kind, arguments.programs, cases)
        if any(word == "dead" for word, _, _ in results):
            results = run_each(kind, arguments.programs, cases)
        print_results(kind, cases, results)
        words[kind.name] = [word for word, _, _ in results]
        arguments.seen.extend(receipt_lines(kind, cases, results))
    scoreboard.publish(HERE / "README.md", cases, [contenders.GREETD, *contenders.OTHERS], words)


def test_player():
    """The numbers of tests that have run, failed and been skipped."""
    suite = unittest.defaultTestLoader.loadTestsFromName("test_player")
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    return result.testsRun, len(result.failures) + len(result.errors), len(result.skipped)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/conduct/run", description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--scoreboard", action="store_true",
                        help="play against all servers; writes the table of README.md")  # fmt: skip
    parser.add_argument("--receipts", type=argparse.FileType("w"), metavar="FILE",
                        help="write what each client saw, a JSON object a line")  # fmt: skip
    parser.add_argument("scripts", nargs="*", metavar="NAME", help="only these of packets/NAME.pkt")
    arguments = parser.parse_args(namespace=argparse.Namespace(seen=[]))
    if arguments.scoreboard and arguments.scripts:
        parser.error("the table has all scripts")
    return arguments


def load(names):
    folder = HERE / "packets"
    paths = [folder / f"{n}.pkt" for n in names] or sorted(folder.glob("*.pkt"))
    return [scripts.load(path) for path in paths]


def main():
    # The servers end with this process if it is asked to end, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    arguments = parse_arguments()
    os.environ.setdefault("GREET", str(arguments.programs / "greet"))
    cases = load(arguments.scripts)
    network.open_network()
    ours, total, failed = play_ours(arguments, cases)
    n_run = n_failed = skipped = 0
    if arguments.scoreboard:
        play_others(arguments, cases, ours)
    elif not arguments.scripts:
        n_run, n_failed, skipped = test_player()
    if arguments.receipts:
        arguments.receipts.writelines(f"{line}\n" for line in arguments.seen)
    total, failed = total + n_run + 1, failed + n_failed
    if network.n_dropped() > 0:
        print(f"conduct: FAILED: the device has dropped {network.n_dropped()} packets")
        failed += 1
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
