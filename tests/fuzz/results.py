# SPDX-License-Identifier: MIT
"""The figures of the long runs: a line for each run of libFuzzer, and their sums as a table."""

import csv
import datetime
import platform
import subprocess

COLUMNS = ["date", "commit", "target", "executions", "seconds", "edges", "features", "corpus"]

HEAD = """# Fuzzing

{date}, {kernel}, {clang}, commit {commit}.

Made by `tests/fuzz/run --hours H`. Each run adds a line for each target to `fuzz.csv`; this table
sums them. The figures are those that libFuzzer prints, with ASan and UBSan; the time is that of the
clock, on a machine that may be busy with other work. Edges, features and the corpus (minimised, in
`tests/fuzz/corpus/`) are those of the last run; the edges of a target include its own.

| target | executions | time | per second | edges | features | corpus |
|---|---:|---:|---:|---:|---:|---:|
"""


def _output(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True,
                          text=True).stdout.strip()


def _commit(tree):
    """Names the commit of TREE: followed by a + if src/, include/ or the targets differ from it."""
    changed = _output("git", "status", "--porcelain", "src", "include", "tests/fuzz/*.[ch]", cwd=tree)
    return _output("git", "rev-parse", "--short=10", "HEAD", cwd=tree) + ("+" if changed else "")


def write(tree, run, n_inputs):
    """Adds RUN to fuzz.csv below TREE and writes fuzz.md anew. The corpus has N_INPUTS now."""
    folder = tree / "tests/results"
    folder.mkdir(exist_ok=True)
    date, commit = datetime.date.today().isoformat(), _commit(tree)
    path = folder / "fuzz.csv"
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow([date, commit, run.name, run.executions, run.seconds, run.edges,
                         run.features, n_inputs])
    write_table(folder, date, commit)


def write_table(folder, date, commit):
    """Writes fuzz.md in FOLDER anew from fuzz.csv."""
    with (folder / "fuzz.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    text = HEAD.format(date=date, kernel=f"Linux {platform.release()}", commit=commit,
                       clang=_output("clang", "--version").splitlines()[0])
    (folder / "fuzz.md").write_text(text + _table(rows), encoding="utf-8")


def _table(rows):
    """The sums of ROWS by target, and of all."""
    text = ""
    for name in sorted({row["target"] for row in rows}):
        own = [row for row in rows if row["target"] == name]
        last = own[-1]
        text += (_sums(name, own) +
                 f" {last['edges']} | {last['features']} | {last['corpus']} |\n")
    return text + _sums("**all**", rows) + " | | |\n"


def _sums(name, rows):
    executions = sum(int(row["executions"]) for row in rows)
    seconds = sum(int(row["seconds"]) for row in rows)
    return (f"| {name} | {executions:,} | {datetime.timedelta(seconds=seconds)} | "
            f"{executions // max(1, seconds):,} |")
