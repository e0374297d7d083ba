# SPDX-License-Identifier: MIT
"""The table of outcomes."""

import collections
import os
import subprocess
import time


def _ranges(names):
    """Errors with the ordinals of their calls: `EIO 1,2; EPERM 1`, shorter where all are equal."""
    by_nths = collections.defaultdict(list)
    for error, nths in names.items():
        by_nths[",".join(map(str, sorted(nths)))].append(error)
    return "; ".join(f"{' '.join(sorted(errors))} at {nths}" for nths, errors in by_nths.items())


def _groups(results, name_of):
    """Outcomes by phase, thread, call and world."""
    groups = collections.defaultdict(lambda: collections.defaultdict(set))
    for result in results:
        if not result.hit:
            continue
        world, phase, role, call, error = name_of(result.case).split()
        groups[phase, role, call, world, result.outcome][error].add(result.case.fault.nth)
    return groups


def table(results, name_of):
    """A table in Markdown. Calls that go on without a word share a line for each thread."""
    quiet = collections.defaultdict(lambda: collections.defaultdict(int))
    rows = []
    for (phase, role, call, world, outcome), errors in sorted(_groups(results, name_of).items()):
        if outcome == "goes on":
            quiet[phase, role, world][call] += sum(map(len, errors.values()))
        else:
            outcome = outcome.replace("|", "\\|")
            rows.append(f"| {phase} | {role} | {call} | {world} | {_ranges(errors)} | {outcome} |")
    for (phase, role, world), calls in sorted(quiet.items()):
        text = ", ".join(f"{call} ({n})" for call, n in sorted(calls.items()))
        rows.append(f"| {phase} | {role} | {text} | {world} | all others | goes on |")
    head = "| phase | thread | call | world | errors, at which calls | outcome |\n|---|---|---|---|---|---|"
    return "\n".join([head, *sorted(rows)])


def commit_of(tree):
    """The commit that is checked out, before a run during which others may follow."""
    return subprocess.run(["git", "-C", tree, "rev-parse", "--short=10", "HEAD"],
                          capture_output=True, text=True, check=True).stdout.strip()


def write(tree, commit, results, n_planned, excluded, name_of):
    """Writes tests/results/faults.md."""
    reached = [result for result in results if result.hit]
    lines = [
        "# Each system call fails",
        "",
        f"{time.strftime('%F', time.gmtime())}, Linux {os.uname().release}, commit {commit}; "
        "made by `tests/faults/run --all`. tests/faults/README.md explains the table.",
        "",
        f"{len(results)} of {n_planned} cases were tried; in {len(reached)} the call was made as "
        f"often as it takes. {len({name_of(r.case).split()[3] for r in reached})} calls. "
        "A number in brackets is how many faults of a call have that outcome.",
        "",
        table(results, name_of),
        "",
        "These calls do not fail here:",
        "",
        *(f"- {name}: {reason}" for name, reason in sorted(excluded.items())),
    ]
    path = tree / "tests/results/faults.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
