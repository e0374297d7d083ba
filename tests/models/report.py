# SPDX-License-Identifier: MIT
"""The table of results."""

import datetime
import platform
import subprocess


def rows_of_scenarios(outcomes):
    """One row for each scenario."""
    yield "| scenario | executions | given up as equal to others | steps | defects |"
    yield "|---|---:|---:|---:|---|"
    for outcome in outcomes:
        yield (f"| {outcome.program.name}: {outcome.name} | {outcome.executions:,} "
               f"| {outcome.redundant:,} | {outcome.steps:,} | {outcome.defect or 'none'} |")


def rows_of_mutants(verdicts):
    """One row for each mutant."""
    yield "| mutant | executions | what was found |"
    yield "|---|---:|---|"
    for verdict in verdicts:
        yield f"| {verdict.name} | {verdict.executions:,} | {verdict.text()} |"


def write_results(tree, arguments, outcomes, verdicts):
    """Writes tests/results/models.md."""
    commit = subprocess.run(["git", "-C", str(tree), "describe", "--always", "--dirty"],
                            stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = " ".join(["tests/models/run", *arguments])
    found = [verdict for verdict in verdicts if verdict.found]
    lines = [
        "# Models", "",
        f"{datetime.date.today()}, Linux {platform.release()}, commit {commit}, by `{command}`.", "",
        f"{sum(outcome.executions for outcome in outcomes):,} executions of {len(outcomes)} "
        f"scenarios, {sum(bool(outcome.defect) for outcome in outcomes)} with a defect. Of "
        f"{len(verdicts)} mutants, {len(found)} were found; the others have a reason.", "",
        *rows_of_scenarios(outcomes), "", *rows_of_mutants(verdicts), ""]
    folder = tree / "tests/results"
    folder.mkdir(exist_ok=True)
    (folder / "models.md").write_text("\n".join(lines), encoding="utf-8")
