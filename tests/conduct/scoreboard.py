# SPDX-License-Identifier: MIT
"""The table of README.md: what each server has done with each script."""

import datetime
import platform
import re
import subprocess
import sys

BEGIN, END = "<!-- scoreboard -->", "<!-- /scoreboard -->"
COMMAND = "tests/conduct/run --scoreboard"
# Each version is the first number with a dot in the output of a command.
VERSIONS = {
    "nginx": ["nginx", "-v"],
    "HAProxy": ["haproxy", "-v"],
    "xinetd": ["dpkg-query", "-W", "-f", "${Version}", "xinetd"],
    "socat": ["socat", "-V"],
    "systemd": ["dpkg-query", "-W", "-f", "${Version}", "systemd"],
}


def read_version(command):
    output = subprocess.check_output(command, stderr=subprocess.STDOUT, text=True)
    return re.search(r"\d+(\.\d+)+", output)[0]


def versions():
    found = [f"{name} {read_version(command)}" for name, command in VERSIONS.items()]
    return ", ".join([*found, f"Python {sys.version.split()[0]}"])


def row(cells):
    return f"| {' | '.join(cells)} |"


def table(cases, kinds, words):
    """The lines of the table: a row for each script, a column for each server."""
    yield row(["", *(kind.title for kind in kinds)])
    yield row(["---"] * (len(kinds) + 1))
    for i, script in enumerate(cases):
        cells = [words[kind.name][i] for kind in kinds]
        link = f"[{script.title}](packets/{script.name}.pkt)"
        yield row([link, *(f"**{word}**" if word else "kept" for word in cells)])
    n_kept = [words[kind.name].count(None) for kind in kinds]
    yield row([f"kept, of {len(cases)}", *map(str, n_kept)])


def publish(path, cases, kinds, words):
    """Replaces the table in the file PATH, between its marks."""
    lines = [
        f"Played on {datetime.date.today()} with Linux {platform.release()}, by `{COMMAND}`:",
        f"{versions()}.",
        "",
        *table(cases, kinds, words),
    ]
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{path} has no {BEGIN} with {END}")
    text = f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"
    path.write_text(text, encoding="utf-8")
