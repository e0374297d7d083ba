# SPDX-License-Identifier: MIT
"""One greetd with one fault, and what is to be thought of it."""

import collections
import contextlib
import errno
import os
import re
import select
import signal
import socket
import time

import tracer
from world import BIG, WORLDS, daemon

CONTRACT = (2, 71, 78)  # greetd(8), beside 0
QUIET_SECONDS = 0.3
QUIET_SHARE = 0.5  # of a processor; one that spins takes all of it
# Longer texts first: one may begin with another. The last two are of file_strerror(), and of
# EBADF for a passed descriptor.
REASONS = sorted(map(os.strerror, errno.errorcode), key=len, reverse=True)
REASONS += ["out of memory", "Not a regular file", "it is closed"]

Case = collections.namedtuple("Case", "world phase role fault nth")
Result = collections.namedtuple("Result", "case outcome failed hit")


class Failure(Exception):
    """What must never happen."""


def reach_ready(world):
    """Waits for READY=1 or the end. Returns whether it serves."""
    with contextlib.suppress(AssertionError):
        world.greetd.wait_message("READY", "1")
        return True
    if not world.has_ended():
        raise Failure(f"hang: neither READY=1 nor the end; {world.greetd.output()[-300:]}")
    return False


def end(world, number=signal.SIGTERM):
    """Stops greetd, and returns its status."""
    if number and not world.has_ended():
        with contextlib.suppress(ProcessLookupError):
            world.greetd.signal(number)
    try:
        return world.greetd.wait()
    except AssertionError as error:
        raise Failure("hang: it does not end") from error


def stop_with_clients(world):
    """SIGTERM while a client is slow and another one lingers."""
    address = ("127.0.0.1", 7005) if world.name == "own" else world.address
    with contextlib.ExitStack() as stack:
        held = []
        for size in (4096, None):
            with contextlib.suppress(OSError):
                client = stack.enter_context(socket.socket())
                if size:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
                client.settimeout(daemon.TIMEOUT)
                client.connect(address)
                world.clients.connected += 1
                held.append(client)
        if held:
            select.select(held[-1:], [], [], daemon.TIMEOUT)
        world.greetd.signal(signal.SIGTERM)
        for client in held:
            whole = False
            with contextlib.suppress(OSError):
                received = b""
                while piece := client.recv(1 << 20):
                    received += piece
                whole = bool(received) and (world.name != "own" or len(received) == BIG)
            world.clients.unserved += not whole
    return end(world, None)


def check_quiet(world):
    before = tracer.processor_seconds(world.greetd.pid)
    began = time.monotonic()
    time.sleep(QUIET_SECONDS)
    spent = tracer.processor_seconds(world.greetd.pid) - before
    if spent > QUIET_SHARE * (time.monotonic() - began):
        raise Failure(f"spin: {spent:.2f} s of processor time in {QUIET_SECONDS} s without a client")


def check_serves(world):
    """The next clients are greeted whole."""
    clients = world.clients
    troubles = len(clients.troubles)
    unserved = clients.unserved
    world.drive()
    if clients.unserved != unserved or len(clients.troubles) != troubles:
        raise Failure(f"after the fault: {clients.troubles[troubles:][:2]}")


def in_phase(world, phase, role):
    """Does what PHASE is about. Returns whether greetd still serves."""
    if phase == "service":
        world.serve_all(role)
    elif phase == "reload":
        if not world.reload():
            raise Failure("hang: no READY=1 after a reload")
    elif phase == "stop":
        stop_with_clients(world)
        return False
    elif phase == "idle":
        world.held.close()
        end(world, None)
        return False
    return not world.has_ended()


def run_start(world, case, output):
    """The start, with the fault in the main thread."""
    world.launch(wrapper=tracer.wrapper(output, case.fault, case.nth))
    return reach_ready(world)


def run_start_of_threads(world, case, output):
    """The start from the first thread on, with the fault in each thread that makes as many calls."""
    stopper = world.folder / "traces" / "stopper"
    world.launch(wrapper=tracer.stop_before_threads(stopper))
    tracer.leave_stopped(world.greetd.pid, stopper, daemon.TIMEOUT)
    strace = tracer.Attached(world.greetd.pid, output, case.fault, world.files(), followed=True)
    try:
        world.greetd.signal(signal.SIGCONT)
        return reach_ready(world)
    finally:
        strace.detach()


def run_attached(world, case, output):
    """A later phase, with the fault in one thread."""
    if case.phase == "idle":
        world.hold_client()
    world.launch()
    if not reach_ready(world):
        raise Failure("it does not start, without a fault")
    world.drive()
    strace = tracer.Attached(world.task(case.role), output, case.fault, world.files())
    try:
        return in_phase(world, case.phase, case.role)
    finally:
        strace.detach()


def runner_of(case):
    if case.phase != "start":
        return run_attached
    return run_start if case.role == "main" else run_start_of_threads


def run_phase(world, case, output):
    """Returns the exit status, and whether greetd went on after the phase."""
    serves = runner_of(case)(world, case, output)
    ended_by_itself = not serves and case.phase not in ("stop", "idle")
    if serves:
        try:
            check_serves(world)
            check_quiet(world)
        except Failure:
            # It may end a moment after the fault; the sockets in the store take clients on.
            if not world.has_ended():
                raise
        ended_by_itself = world.has_ended()
    return end(world), ended_by_itself


def told(world):
    """The entries and lines that only a fault causes."""
    usual = re.compile(
        r"Server is listening on .*|Server no longer listens on .*|Reloaded the configuration|"
        r"No client for .*|Stopping in .*"
    )
    return [text for text in world.texts() if not usual.fullmatch(text)]


def names_failure(world):
    """Whether a message has the text of an error: that which strace caused, or the one that followed
    from it."""
    return any(reason in text for text in told(world) for reason in REASONS)


def check_both_sides(world, left_out):
    """No client and its entry contradict each other, and no entry is missing but those left out."""
    if not (report := world.reconcile()):
        return
    verdicts = report["verdicts"]
    missing = sum(verdicts[name] for name in ("unlogged", "unaccepted", "unknown"))
    if verdicts["contradicted"] or missing > left_out:
        raise Failure(f"both sides: {report}")


def judge(world, status, ended_by_itself):
    """The outcome in words; raises Failure for what must not be."""
    clients = world.clients
    if reports := [p.read_text(errors="replace") for p in world.folder.glob("sanitizer.*")]:
        raise Failure(f"sanitizer: {reports[0][:400]}")
    if status < 0:
        words = [*world.greetd.lines, *world.collector.lines]
        raise Failure(f"ended by signal {-status}: {words[-1] if words else 'no message'}")
    if status in CONTRACT:
        if not names_failure(world):
            raise Failure(f"status {status}, but no message has the error: {told(world)[:3]}")
        return f"ends with {status}: {simplify(told(world), world)}"
    if status != 0 or ended_by_itself:
        raise Failure(f"ends with status {status}")
    entries, left_out = world.books()
    if entries + left_out != clients.connected:
        raise Failure(
            f"books: {clients.connected} clients, {entries} entries, {left_out} left out"
        )
    if clients.unserved > world.undelivered() + left_out:
        raise Failure(
            f"lost: {clients.unserved} without their greeting, {world.undelivered()} entries say so:"
            f" {clients.troubles[:2]}"
        )
    check_both_sides(world, left_out)
    unserved = "; clients not greeted, logged" if clients.unserved else ""
    messages = simplify(told(world), world)
    return f"goes on{'; ' + messages if messages else ''}{unserved}"


def simplify(texts, world):
    """The first message, without what differs from run to run or from error to error."""
    text = texts[0] if texts else ""
    text = re.sub(r"^<\d>", "", text.replace(str(world.folder), "DIR"))
    for reason in REASONS:
        text = text.replace(f": {reason}", ": ERROR")
    return re.sub(r"\b\d+\b", "N", re.sub(r"(config)\d+", r"\1", text))


def run(case):
    """Runs CASE. Returns its Result."""
    with WORLDS[case.world](case.phase) as world:
        output = world.folder / "traces" / "trace"
        try:
            status, ended_by_itself = run_phase(world, case, output)
            world.collector.finish()
            outcome, failed = judge(world, status, ended_by_itself), False
        except Failure as failure:
            outcome, failed = f"{failure}", True
        except (AssertionError, OSError) as error:
            outcome, failed = f"not judged: {error}", True
        hits = tracer.hits_in(output)
        return Result(case, outcome, failed, hits[0] if hits else None)


def survey(case):
    """The calls of a thread in a phase without a fault: see calls_in()."""
    with WORLDS[case.world](case.phase) as world:
        output = world.folder / "traces" / "trace"
        status, ended_by_itself = run_phase(world, case, output)
        files = world.files()
        world.collector.finish()
        if told(world):
            raise Failure(f"{case}: without a fault: {told(world)}")
        outcome = judge(world, status, ended_by_itself)
        if outcome != "goes on" or world.clients.troubles:
            raise Failure(f"{case}: without a fault: {outcome}; {world.clients.troubles}")
        if runner_of(case) is run_start:
            return tracer.calls_at_start(output)
        return tracer.calls_in(output, files, case.phase == "start")
