# SPDX-License-Identifier: MIT
"""The service is killed at its system calls: at the start, a reload and a stop under load, and while
it exits because there is no client. The next process serves, and no client in a queue is lost.

A short run kills at a few calls of each phase, mostly of those that others notice; which ones
depends on the time, or on $GREETD_KILLED_SEED. `killed` kills at each call.
"""

import os
import random
import signal
import time

from support import kill_table
from support.case import ADDRESS, StandaloneTest
from support.kills import FIRST_START, IDLE, NOTICED, RELOAD, RESTART, STOP, KilledTest, Tally

# Every STEP-th call counts; 0 in a short run.
STEP = int(os.environ.get("GREETD_KILLED_STEP", 0))

# The calls in one phase at which a short run kills: those that others notice, and any.
NOTICED_SAMPLES = 3
SAMPLES = 1

# The calls in one phase at which the service aborts.
ABORTED = 6 if STEP else 1

# systemd drops a stored socket after a moment.
LOOKS = 5

# A phase has not always as many calls as when they were counted.
FURTHER = 5

FOLDER = "/run/greetd"
PATH = f"{FOLDER}/socket"
SECOND = ["127.0.0.1:12346", f"{FOLDER}/second"]
THIRD = ["127.0.0.1:12347", f"{FOLDER}/third"]

QUICKLY = "[Service]\nRestartSec=0\n"
IDLE_EXIT = "IdleExitSec=200ms\n"

# As greetd-standalone.conf says, for socket files that other users may connect to.
STANDALONE = f"""\
{QUICKLY}DynamicUser=no
User=greetd
RuntimeDirectory=greetd
RuntimeDirectoryPreserve=restart
UMask=0111
"""

NO_STORE = "FileDescriptorStoreMax=0\nEnvironment=FDSTORE=0\n"


class Phases(KilledTest):
    """What each of the classes below tries."""

    def positions(self, calls):
        """The positions of CALLS to kill at."""
        noticed = {at + after for at, call in enumerate(calls, 1) for after in (0, 1)
                   if NOTICED.match(call)}
        if STEP:
            return sorted(noticed.union(range(1, len(calls) + 1 + FURTHER, STEP)))
        chance = random.Random(self.seed)
        sampled = chance.sample(sorted(noticed), min(NOTICED_SAMPLES, len(noticed)))
        return sorted({*sampled, *chance.choices(range(1, len(calls) + 1), k=SAMPLES)})

    def position_before(self, position):
        """Where to kill in a phase that ended before POSITION; 0 for nowhere."""
        return 0 if STEP else position // 2

    def kill_in(self, phase, fatal=signal.SIGKILL):
        self.seed = int(os.environ.get("GREETD_KILLED_SEED", time.time()))
        broken = []
        for thread in ("main", "other"):
            calls = self.calls(phase, thread)
            tally = Tally(len(calls))
            positions = self.positions(calls)
            if fatal != signal.SIGKILL:
                positions = random.Random(self.seed).sample(
                    positions, min(ABORTED, len(positions)))
            for position in positions:
                while position and not self.attempt(tally, phase, thread, position, fatal):
                    position = self.position_before(position)
            kill_table.print_row(self, phase, thread, fatal, tally)
            self.assertGreater(tally.kills, 0)
            broken += tally.broken
        self.assertEqual(len(broken), 0, "\n".join(
            [*broken[:20], f"GREETD_KILLED_SEED={self.seed}"]))
        self.assert_books_balance()


class Inherited(Phases):
    """With greetd.socket."""

    NAME = "greetd.socket"
    KEPT, INHERITED = False, True
    STEADY = [ADDRESS, PATH]

    def configure(self):
        self.systemctl("stop", "greetd.socket")
        self.drop_in(f"[Socket]\nListenStream={PATH}\n", "greetd.socket")
        self.drop_in(QUICKLY)
        self.write_config(0)
        self.systemctl("start", "greetd.socket")

    def test_at_a_start(self):
        self.kill_in(RESTART)
        self.kill_in(RESTART, signal.SIGABRT)

    def test_at_a_reload_and_a_stop(self):
        self.kill_in(RELOAD)
        self.kill_in(STOP)
        self.kill_in(STOP, signal.SIGABRT)

    def test_at_an_idle_exit(self):
        self.survivors.ask("pause")
        self.write_config(0, IDLE_EXIT)
        self.systemctl("restart", "greetd")
        self.kill_in(IDLE)


class Opened(Phases, StandaloneTest):
    """With sockets that greetd opens itself."""

    STEADY = [ADDRESS, PATH]
    CHANGING = (SECOND, THIRD)
    DROP_IN = STANDALONE

    def configure(self):
        self.machine.run("useradd", "--system", "--shell", "/usr/sbin/nologin", "greetd")
        self.write_config(0)
        self.drop_in(self.DROP_IN)


class NotListening(Opened):
    """While a socket does not listen yet."""

    def test_what_does_not_listen_yet_stays_stored(self):
        calls = self.calls(FIRST_START, "main")
        listen = len(calls) - calls[::-1].index("listen")
        self.arm(FIRST_START, "main", listen, signal.SIGKILL)
        self.trigger(FIRST_START, listen)
        opened = self.await_event("stopped")["inodes"]
        self.assertNotIn(self.addresses()[-1], self.listening())
        stored = str(self.expected_stored())
        for _ in range(LOOKS):
            self.eventually(lambda: self.assertEqual(
                self.show("greetd.service", "NFileDescriptorStore"),
                {"NFileDescriptorStore": stored}))
        self.tracer.write({"kill": True})
        self.settle()
        for inodes in self.listening().values():
            self.assertLessEqual(inodes, set(opened))


class Stored(Opened):
    """In the descriptor store."""

    NAME = "descriptor store"

    def test_at_the_first_start_and_a_later_one(self):
        self.kill_in(FIRST_START)
        self.kill_in(RESTART)

    def test_at_a_reload_and_a_stop(self):
        self.kill_in(RELOAD)
        self.kill_in(RELOAD, signal.SIGABRT)
        self.kill_in(STOP)


class Shards(Stored):
    """The same with ReusePort=yes."""

    NAME = "shards in the store"
    MORE = "ReusePort=yes\n"

    def expected_sockets(self):
        return {address: 1 if address.startswith("/") else self.WORKERS
                for address in self.addresses()}


class Unstored(Stored):
    """Without a descriptor store: queues and sockets die with the process."""

    NAME = "no store"
    KEPT = False
    DROP_IN = STANDALONE + NO_STORE
