# SPDX-License-Identifier: MIT
"""Runs a program with a journal of its own, which takes its entries or is blocked.

    journal.py live|stalled COMMAND...

Started in a mount namespace made for it. $JOURNAL_STREAM, which means to a program that its stderr is the
journal, is described in systemd.exec(5). A live journal discards its entries.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

JOURNAL = pathlib.Path("/run/systemd/journal/socket")
ENTRY_SIZE_MAX = 1 << 18


def open_journal():
    """A journal in place of the real one, which this namespace no longer sees."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    JOURNAL.parent.mkdir(parents=True)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(JOURNAL))
    return journal


def discard(journal):
    entry = bytearray(ENTRY_SIZE_MAX)
    while True:
        journal.recv_into(entry)


def start(command, stream):
    stat = os.fstat(stream.fileno())
    environment = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    return subprocess.Popen(command, stderr=stream, env=environment)


def main():
    mode, *command = sys.argv[1:]
    journal = open_journal()
    if mode == "live":
        threading.Thread(target=discard, args=[journal], daemon=True).start()
    _stream, stream_end = socket.socketpair()  # not read; it is open as long as we are
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))

    process = start(command, stream_end)
    try:
        return process.wait()
    finally:
        # A thread that waits for a blocked journal continues when the journal is closed.
        journal.close()
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
