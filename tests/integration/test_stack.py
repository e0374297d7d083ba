# SPDX-License-Identifier: MIT
"""The threads have stacks of a stated size, and use less than half of it."""

import pathlib
import re
import unittest

from support import daemon, fake_journal

HEADER = pathlib.Path(__file__).parents[2] / "include/greetd/base/thread.h"
KIB = int(
    re.search(r"THREAD_STACK_SIZE \((\d+)UL \* 1024\)", HEADER.read_text(encoding="ascii"))[1]
)
BEYOND_BUFFERS = 8 << 20
GREETING = (
    "$remote_addr $hostname $time{%c} $time_iso8601 $tcpinfo_rtt $listener $metrics $server_addr"
)


def setUpModule():
    fake_journal.isolate()


def stack_pointer(task):
    """Of a thread that waits in a system call (proc(5))."""
    while (words := (task / "syscall").read_text(encoding="ascii").split()) == ["running"]:
        pass
    return int(words[-2], 16)


def mapping_of(pid, address):
    """The lines of smaps for the mapping with this address, as a dict of KiB."""
    mappings = re.split(
        r"^([0-9a-f]+)-([0-9a-f]+) .*\n",
        pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="ascii"),
        flags=re.MULTILINE,
    )[1:]
    for begin, end, lines in zip(*[iter(mappings)] * 3):
        if int(begin, 16) <= address < int(end, 16):
            return {key: int(kib) for key, kib in re.findall(r"(\w+): +(\d+) kB", lines)}
    raise AssertionError(f"no mapping has the address {address:#x}")


class Stack(fake_journal.JournalTestCase):
    @unittest.skipIf(daemon.instrumented(), "a sanitizer has larger frames and stacks of its own")
    def test_threads_use_less_than_half_of_their_stacks(self):
        greetd = self.serve_journal(config=f"[Server]\nWorkers=1\n[Greeting]\nMessage={GREETING}\n")
        for _ in range(10):
            with daemon.connect(self.address) as client:
                daemon.read_to_end(client)
                client.sendall(bytes(BEYOND_BUFFERS))  # which returns only if greetd reads
                port = client.getsockname()[1]
            self.entry(f"Connection from 127\\.0\\.0\\.1:{port}")

        stacks = {}
        for task in pathlib.Path(f"/proc/{greetd.pid}/task").iterdir():
            if int(task.name) != greetd.pid:
                name = (task / "comm").read_text(encoding="ascii").strip()
                stack = stacks[name] = mapping_of(greetd.pid, stack_pointer(task))
                self.assertLessEqual(stack["Size"], KIB, name)
                self.assertLess(stack["Rss"], KIB // 2, name)
        self.assertEqual(stacks.keys(), {"greetd-0", "greetd-log"})
        # The measure is one: socket_discard() alone has touched 16 KiB.
        self.assertGreaterEqual(stacks["greetd-0"]["Rss"], 16)


if __name__ == "__main__":
    unittest.main()
