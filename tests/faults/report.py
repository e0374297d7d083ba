# SPDX-License-Identifier: MIT
"""The table of outcomes."""

import collections
import os
import subprocess
import sys
import time


def _errors(of_call):
    """Errors of a call with the ordinals at which they came: `EIO EPERM at 1,2; EAGAIN at 1`."""
    by_nths = collections.defaultdict(list)
    for error, nths in of_call.items():
        by_nths[",".join(map(str, sorted(nths)))].append(error)
    return "; ".join(f"{' '.join(sorted(errors))} at {nths}" for nths, errors in by_nths.items())


def _groups(results, name_of):
    """By phase, thread and outcome: the worlds, and the ordinals by call and error."""
    groups = collections.defaultdict(lambda: (set(), collections.defaultdict(dict)))
    for result in results:
        if not result.hit:
            continue
        world, phase, role, call, error = name_of(result.case).split()
        worlds, calls = groups[phase, role, result.outcome]
        worlds.add(world)
        calls[call].setdefault(error, set()).add(result.case.fault.nth)
    return groups


def table(results, name_of):
    """A table in Markdown. Of calls that go on without a word, it has the number of faults."""
    rows = ["| phase | thread | outcome | calls and errors, at which calls | world |",
            "|---|---|---|---|---|"]
    for (phase, role, outcome), (worlds, calls) in sorted(_groups(results, name_of).items()):
        if outcome == "goes on":
            faults = ", ".join(f"{call} ({sum(map(len, errors.values()))})"
                               for call, errors in sorted(calls.items()))
        else:
            faults = "<br>".join(f"{call} {_errors(of_call)}"
                                 for call, of_call in sorted(calls.items()))
        outcome = outcome.replace("|", "\\|")
        rows.append(f"| {phase} | {role} | {outcome} | {faults} | {' '.join(sorted(worlds))} |")
    return "\n".join(rows)


def commit_of(tree):
    """The commit that is checked out, before a run during which others may follow."""
    return subprocess.run(["git", "-C", tree, "rev-parse", "--short=10", "HEAD"],
                          capture_output=True, text=True, check=True).stdout.strip()


def write(tree, commit, results, n_left_out, failures, excluded, name_of):
    """Writes tests/results/faults.md."""
    reached = [result for result in results if result.hit]
    lines = [
        "# Each system call fails",
        "",
        f"{time.strftime('%F', time.gmtime())}, Linux {os.uname().release}, commit {commit}; "
        f"made by `{' '.join(['tests/faults/run', *sys.argv[1:]])}`. tests/faults/README.md explains "
        "the table.",
        "",
        f"{len(results)} of {len(results) + n_left_out} cases were tried, chosen by chance if not "
        f"all; in {len(reached)} the call was made as "
        f"often as it takes. {len({name_of(r.case).split()[3] for r in reached})} calls. "
        "A number in brackets is how many faults of a call have that outcome.",
        "",
        table(results, name_of),
        "",
        f"{len(failures)} failed" + (":" if failures else "."),
        "",
        *(f"- {failure}" for failure in failures),
        *[""] * bool(failures),
        "These calls do not fail here:",
        "",
        *(f"- {name}: {reason}" for name, reason in sorted(excluded.items())),
    ]
    path = tree / "tests/results/faults.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
