# SPDX-License-Identifier: MIT
"""The results of test_killed.py, as a table: one row for each phase and way to listen."""

import datetime
import os
import pathlib
import platform
import signal
import subprocess

COLUMNS = ("sockets", "phase", "thread", "calls", "kills", "greeted", "waited, greeted",
           "accepted, lost", "broken")
N_NAMES = 3

PAGE = """\
# Killed at system calls

{date}, commit {commit}, Linux {kernel}, {systemd}: `{command}`

Each row is a phase in the life of the service, with clients that connect all the time. Its process is
stopped before the N-th system call of a thread, two further clients connect to each address, and the
process is killed. The next process serves, and systemd has each socket once.

- *calls*: what the main thread, or all others, called in the phase when it was recorded
- *kills*: how often the process was killed; a phase does not always have as many calls
- *greeted*: clients under way, before and after the kills
- *waited, greeted*: clients in a queue during a kill, which the next process greeted
- *accepted, lost*: clients that the killed process had accepted; these, and only these, may be lost
- *broken*: anything else that did not hold

Without a store, the queues die with the process. These rows show only that the service comes back,
listens on each address once, and replaces the files of its sockets.

"""


def row(test, phase, thread, fatal, tally):
    name = phase if fatal == signal.SIGKILL else f"{phase}, {signal.Signals(fatal).name}"
    return format_row((test.NAME, name, thread, tally.calls, tally.kills, tally.greeted, tally.held,
                       tally.lost, len(tally.broken)))


def format_row(cells):
    return f"| {' | '.join(map(str, cells))} |\n"


def print_row(test, *what):
    """Prints the row, and adds it to the file that $GREETD_KILLED_TABLE names."""
    print(row(test, *what), end="", flush=True)
    if path := os.environ.get("GREETD_KILLED_TABLE"):
        with pathlib.Path(path).open("a", encoding="utf-8") as rows:
            rows.write(row(test, *what))


def print_page(path, commit, command):
    """Prints the page with the rows in the file PATH, and their sums."""
    rows = pathlib.Path(path).read_text(encoding="utf-8")
    numbers = [map(int, line.split("|")[N_NAMES + 1:-1]) for line in rows.splitlines()]
    version = subprocess.run(["systemctl", "--version"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    print(PAGE.format(date=datetime.date.today(), commit=commit, kernel=platform.release(),
                      systemd=" ".join(version.split()[:2]), command=command), end="")
    print(format_row(COLUMNS) + f"|{'---|' * N_NAMES}{'--:|' * (len(COLUMNS) - N_NAMES)}\n" + rows +
          format_row(("all", "", "", *map(sum, zip(*numbers)))), end="")
