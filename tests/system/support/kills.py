# SPDX-License-Identifier: MIT
"""A service that is killed at chosen system calls, and what has to hold after each kill."""

import collections
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys

from .case import SystemTest, end

SUPPORT = pathlib.Path(__file__).parent
PROGRAM = "/usr/sbin/greetd"
CONFIG = "/etc/greetd.conf.d/70-killed.conf"
CONNECTION = "MESSAGE_ID=f15e246255404ce3a2d6ef608bb4a673"

# Calls that others notice. Most kills of a short run are at these or their followers.
NOTICED = re.compile(r"bind|listen|unlink|clone\b|exit_group|sendmsg [A-Z]")


# Phases. kill_at.py knows the last word.
FIRST_START, RESTART, RELOAD, STOP, IDLE = "first start", "later start", "reload", "stop", "idle"


@dataclasses.dataclass
class Tally:
    """The kills in one phase at calls of one kind of thread."""

    calls: int
    kills: int = 0
    greeted: int = 0
    """Clients under way that were greeted, before a kill or after it."""
    held: int = 0
    """Clients that waited in a queue during a kill and were greeted after it."""
    lost: int = 0
    """Clients that the killed process had accepted."""
    broken: list = dataclasses.field(default_factory=list)
    """What did not hold, in words."""


class Lines:
    """A program to which lines of JSON are written, and from which they are read."""

    def __init__(self, process):
        self.process = process

    def write(self, order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(self.process.stderr.read())
        return json.loads(line)

    def ask(self, *order):
        self.write(order)
        return self.read()


class KilledTest(SystemTest):
    """Each attempt() is a kill, and a check of all that has to hold after it. A subclass has the
    sockets."""

    WORKERS = 3
    KEPT = True  # in the descriptor store
    INHERITED = False
    MORE = ""  # settings in [Server]
    STEADY: list  # addresses that every configuration has
    CHANGING = ([], [])  # those that only one of the two configurations has

    def setUp(self):
        super().setUp()
        self.current = 0
        self.idle = False
        self.greeted = set()
        self.outlives = self.KEPT or self.INHERITED
        self.configure()
        self.tracer = self.start_tracer()
        self.await_event("seized")
        # What an earlier user has stored can't be shared.
        self.systemctl("stop", "greetd.service")
        self.systemctl("start", "greetd.service")
        self.await_event("ready")
        self.survivors = self.start_survivors()
        self.settle()
        self.survivors.ask("resume")

    def start_tracer(self):
        process = subprocess.Popen(
            [sys.executable, SUPPORT / "kill_at.py", str(self.machine.leader), PROGRAM], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(end, process)
        return Lines(process)

    def start_survivors(self):
        process = self.machine.start_on_network(
            sys.executable, SUPPORT / "survivors.py", *map(self.client_address, self.STEADY))
        self.addCleanup(end, process)
        return Lines(process)

    def configure(self):
        """Sets the service up, and writes the first configuration."""
        raise NotImplementedError

    def write_config(self, number, more=""):
        """Writes one of the two configurations, with MORE in [Server]."""
        self.current = number
        listen = "".join(f"ListenStream={address}\n" for address in self.addresses())
        self.write(CONFIG, f"[Server]\nWorkers={self.WORKERS}\nListenStream=\n{listen}"
                   f"{self.MORE}{more}"
                   f"[Greeting]\nMessage=$pid $connection\\n\n[Log]\nRateLimitBurst=infinity\n")

    def addresses(self):
        return self.STEADY + self.CHANGING[self.current]

    def client_address(self, address):
        return str(self.machine.path(address)) if address.startswith("/") else address

    def await_event(self, *names):
        while (event := self.tracer.read())["event"] not in names:
            pass
        return event

    # The sockets, as the kernel lists them

    def sockets(self):
        """(address, inode, whether it listens, peer's port) of all sockets with a managed
        address."""
        net = pathlib.Path(f"/proc/{self.machine.leader}/net")
        managed = {*self.STEADY, *self.CHANGING[0], *self.CHANGING[1]}
        found = []
        for line in (net / "tcp").read_text(encoding="ascii").splitlines()[1:]:
            local, remote, state, *rest = line.split()[1:]
            address = f"127.0.0.1:{port_of(local)}"
            found.append((address, int(rest[5]), state == "0A", port_of(remote)))
        for line in (net / "unix").read_text(encoding="ascii").splitlines()[1:]:
            _, _, _, flags, _, _, inode, *path = line.split()
            found.append((path[0] if path else "", int(inode), flags == "00010000", 0))
        return [entry for entry in found if entry[0] in managed]

    def listening(self):
        """The inodes of the listening sockets of each address."""
        found = collections.defaultdict(set)
        for address, inode, listens, _ in self.sockets():
            if listens:
                found[address].add(inode)
        return found

    def expected_sockets(self):
        """The number of listening sockets of each address."""
        return {address: 1 for address in self.addresses()}

    def expected_stored(self):
        return sum(self.expected_sockets().values()) if self.KEPT else 0

    def assert_settled(self):
        states = ("inactive", "dead") if self.idle else ("active", "running")
        shown = {"ActiveState": states[0], "SubState": states[1],
                 "NFileDescriptorStore": str(self.expected_stored())}
        self.assertEqual(self.show("greetd.service", *shown), shown)
        self.assertEqual({address: len(inodes) for address, inodes in self.listening().items()},
                         self.expected_sockets())

    def settle(self):
        self.eventually(self.assert_settled)

    # One kill

    def attempt(self, tally, phase, thread, position, fatal):
        """Kills the service at a call of PHASE. Returns False if the phase ends before."""
        self.arm(phase, thread, position, fatal)
        before = self.listening()
        self.trigger(phase, position)
        event = self.await_event("stopped", "passed")
        if event["event"] == "passed":
            self.remember(self.recover(phase))
            return False
        tally.kills += 1
        tally.broken += [f"{phase}, {thread} {position}, {event['call']}: {text}"
                         for text in self.kill_stopped(tally, phase, event, fatal, before)]
        return True

    def calls(self, phase, thread):
        """What THREAD calls in PHASE."""
        self.arm(phase, thread, 0, 0)
        self.trigger(phase, 0)
        calls = self.await_event("passed")["calls"]
        self.remember(self.recover(phase))
        return calls

    def arm(self, phase, thread, position, fatal):
        if phase == FIRST_START:
            self.survivors.ask("pause")
            self.systemctl("stop", "greetd")
        elif phase == RELOAD:
            self.write_config(1 - self.current)
        self.idle = phase == IDLE
        if self.idle:
            self.settle()
        self.tracer.write({"phase": phase.rpartition(" ")[2], "thread": thread,
                           "position": position, "signal": int(fatal)})
        self.await_event("armed")

    def trigger(self, phase, position):
        verb = {FIRST_START: "start", RELOAD: "reload", IDLE: "start"}.get(phase, "restart")
        if phase == STOP and self.INHERITED and position % 2:
            verb = "stop"  # clients start it again
        self.systemctl(verb, "--no-block", "greetd.service")

    def kill_stopped(self, tally, phase, event, fatal, before):
        """Ends the stopped process. Yields what does not hold after that."""
        refused = self.hold() if self.outlives else []
        accepted = self.accepted(event["inodes"])
        self.tracer.write({"kill": True})
        self.await_event("died")
        held = self.survivors.ask("release")
        try:
            ends = self.recover(phase)
        except AssertionError as error:
            yield f"does not recover: {error}"
            ends = self.survivors.ask("collect")
        tally.held += self.remember(held)
        tally.greeted += self.remember(ends)
        lost = [end for end in held + ends if end[2] != "greeted"]
        if not self.outlives:
            return
        n_more = int(fatal != signal.SIGKILL and event["call"] == "accept4")
        yield from self.unjustified(tally, lost, accepted, n_more)
        if phase != FIRST_START:
            yield from self.could_not_connect(refused)
            yield from self.moved(before)

    def hold(self):
        return self.survivors.ask("hold", *map(self.client_address, self.addresses()))

    def accepted(self, inodes):
        """The ports of the clients that a process with these sockets has accepted, and 0 for each
        of a Unix socket."""
        return [port for _, inode, listens, port in self.sockets()
                if inode in inodes and not listens]

    def unjustified(self, tally, lost, accepted, n_more):
        """Clients that were lost, except for those in ACCEPTED and N_MORE, which was accepted after the
        process was stopped."""
        left = list(accepted)
        for client in lost:
            if client[2] == "receive" and client[1] in left:
                left.remove(client[1])
                tally.lost += 1
            elif client[2] == "receive" and n_more > 0:
                n_more -= 1
                tally.lost += 1
            else:
                yield f"client {client} was lost in the queue"

    def could_not_connect(self, refused):
        steady = list(map(self.client_address, self.STEADY))
        return [f"client {end} could not connect" for end in refused if end[0] in steady]

    def moved(self, before):
        """Steady addresses with other sockets than before."""
        after = self.listening()
        return [f"{address} had sockets {before[address]}, now {after[address]}"
                for address in self.STEADY if before[address] != after[address]]

    def recover(self, phase):
        """Waits until the service is in order, and returns the ends of all clients since."""
        self.settle()
        if phase == FIRST_START:
            self.survivors.ask("resume")
        ends = self.survivors.ask("collect")
        if phase == RELOAD:
            ends += self.hold() + self.survivors.ask("release")
        return ends

    def remember(self, ends):
        """Notes the clients that were greeted, and returns their number."""
        greeted = [end[3] for end in ends if end[2] == "greeted"]
        self.greeted |= {tuple(map(int, text.split())) for text in greeted}
        return len(greeted)

    # The log

    def assert_books_balance(self):
        """No connection is logged twice. Each that is logged as delivered has a client that was
        greeted, and each client greeted by a process that was stopped is logged."""
        self.survivors.ask("pause")
        self.remember(self.survivors.ask("collect"))
        stopped = self.main_pid()
        self.systemctl("restart", "greetd")
        self.settle()
        self.machine.run("journalctl", "--sync")
        logged = self.logged()
        counted = collections.Counter(key for key, _ in logged)
        delivered = {key for key, result in logged if result == "delivered"}
        self.assert_empty([key for key, n in counted.items() if n > 1], "logged twice")
        self.assert_empty(delivered - self.greeted, "logged, but no client was greeted")
        self.assert_empty([key for key in self.greeted - set(counted) if key[0] == stopped],
                          "greeted, but not logged")
        self.greeted.clear()
        self.machine.run("journalctl", "--rotate", "--vacuum-size=1")
        self.survivors.ask("resume")

    def assert_empty(self, found, what):
        self.assertEqual(len(found), 0, f"{what}: {sorted(found)[:5]}...")

    def logged(self):
        lines = self.machine.run("journalctl", CONNECTION, "--output=json", "--quiet",
                                 "--output-fields=GREETD_CONNECTION,GREETD_RESULT,_PID")
        entries = map(json.loads, lines.splitlines())
        return [((int(entry["_PID"]), int(entry["GREETD_CONNECTION"])), entry["GREETD_RESULT"])
                for entry in entries]


def port_of(endpoint):
    """The port of an address in /proc/net/tcp."""
    return int(endpoint.rpartition(":")[2], 16)
