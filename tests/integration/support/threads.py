# SPDX-License-Identifier: MIT
"""The workers of a running greetd, and a thread that hangs while a test runs.

The system tests use it too.
"""

import contextlib
import pathlib
import re
import subprocess
import sys

HANG_THREAD = pathlib.Path(__file__).with_name("hang_thread.py")


def workers(pid):
    """The thread of each worker, by its number."""
    found = {}
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        match = re.fullmatch(r"greetd-(\d+)\n", (path / "comm").read_text(encoding="ascii"))
        if match:
            found[int(match[1])] = int(path.name)
    return found


@contextlib.contextmanager
def hanging_thread(tid):
    """Stops the thread TID while the block runs, and no other of its process, as SIGSTOP would."""
    tracer = subprocess.Popen(
        [sys.executable, str(HANG_THREAD), str(tid)], stdout=subprocess.PIPE, text=True
    )
    with tracer:
        try:
            if tracer.stdout.readline() != "hanging\n":
                raise RuntimeError(f"thread {tid} can't be stopped")
            yield
        finally:
            tracer.kill()


def hanging_worker(pid, number):
    """hanging_thread() for a worker of the process PID."""
    return hanging_thread(workers(pid)[number])
