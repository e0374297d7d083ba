# SPDX-License-Identifier: MIT
"""A small machine with its own systemd and journald, in a container.

Its root is an overlay on a base tree that does not change. Its network is a loopback interface for
itself alone. It is not registered with the host.
"""

import contextlib
import dataclasses
import os
import itertools
import pathlib
import re
import select
import shutil
import socket
import subprocess
import time

from integration.support.threads import hanging_thread

# The hierarchy in which the host divides processors, if that is not the unified one.
CPU_HIERARCHY = pathlib.Path("/sys/fs/cgroup/cpu")

# The places of cgroup v2: beside the older hierarchies on a hybrid host, or else alone.
UNIFIED_HIERARCHIES = (pathlib.Path("/sys/fs/cgroup/unified"), pathlib.Path("/sys/fs/cgroup"))

BOOT_TIMEOUT_SEC = 60
COMMAND_TIMEOUT_SEC = 60
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


class BootError(Exception):
    """The machine did not boot; the text has its console."""


class ProcessorTimeError(Exception):
    """Processor time is not divided in the cgroup; the text has its numbers."""


class CommandError(Exception):
    """A command inside failed; the text has its output."""


@dataclasses.dataclass(frozen=True)
class Host:
    """The places from which machines are made."""

    base: pathlib.Path
    """The tree that every machine's root starts from."""
    scratch: pathlib.Path
    """A folder for overlays, sockets and consoles."""
    cgroups: list
    """A cgroup in each hierarchy that systemd uses, for the cgroups of machines."""

    def systemd_version(self):
        """The version of systemd in the machines."""
        output = subprocess.run(["chroot", self.base, "systemctl", "--version"], env=ENVIRONMENT,
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        return int(re.match(r"systemd (\d+)", output)[1])


class Machine:
    """A booted machine; as a context manager it is stopped at the end. With FOR_CONTAINERS, podman
    can run in it."""

    _numbers = itertools.count(1)

    def __init__(self, host, for_containers=False):
        self.name = name = f"greetd-{next(self._numbers)}"
        self._cgroups = [pathlib.Path(cgroup) / name for cgroup in host.cgroups]
        self._base = host.base
        self._folder = host.scratch / name
        self._root = self._folder / "root"
        self._console = self._folder / "console"
        self._for_containers = for_containers
        self._nspawn = None
        self.leader = None

    def __enter__(self):
        self._folder.mkdir()
        for cgroup in self._cgroups:
            cgroup.mkdir()
        self._mount_root()
        self._boot()
        return self

    def __exit__(self, *_):
        self._nspawn.terminate()
        self._nspawn.wait(BOOT_TIMEOUT_SEC)
        subprocess.run(["umount", self._root, self._folder], check=True)
        shutil.rmtree(self._folder)

    def _mount_root(self):
        mount("-t", "tmpfs", "tmpfs", self._folder)
        upper, work = self._folder / "upper", self._folder / "work"
        for folder in (upper, work, self._root):
            folder.mkdir()
        layers = f"lowerdir={self._base},upperdir={upper},workdir={work}"
        mount("-t", "overlay", "overlay", "-o", layers, self._root)

    def _boot(self):
        notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with notifications, open(self._console, "wb") as console:
            notifications.bind(str(self._folder / "notify"))
            self._nspawn = self._start_nspawn(console)
            try:
                self._wait_until_up(notifications)
            except (BootError, CommandError) as error:
                self._nspawn.kill()
                self._nspawn.wait()
                raise BootError(f"{error}\n{self._console.read_text(errors='replace')}") from error

    def _start_nspawn(self, console):
        # --notify-ready: nspawn notifies when the machine has booted. bpf: systemd-analyze and
        # IPAddressDeny= need it inside. @keyring, and cgroup v2 alone: runtimes of containers do.
        system_calls, environment = ["bpf"], {"NOTIFY_SOCKET": str(self._folder / "notify")}
        if self._for_containers:
            system_calls.append("@keyring")
            environment["UNIFIED_CGROUP_HIERARCHY"] = "yes"
        return subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={self._root}",
             f"--machine={self.name}", "--register=no", "--keep-unit", "--private-network",
             "--console=pipe", "--notify-ready=yes",
             f"--system-call-filter={' '.join(system_calls)}"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=os.environ | environment,
            preexec_fn=self._enter_cgroups)

    def _enter_cgroups(self):
        for cgroup in self._cgroups:
            (cgroup / "cgroup.procs").write_text("0")

    def _wait_until_up(self, notifications):
        """nspawn reports the PID of the machine's init in one message, READY=1 in another."""
        ready = False
        deadline = time.monotonic() + BOOT_TIMEOUT_SEC
        while not ready or not self.leader:
            if self._nspawn.poll() is not None or time.monotonic() > deadline:
                raise BootError("systemd-nspawn ended, or the machine was not up in time")
            if not select.select([notifications], [], [], 0.1)[0]:
                continue
            for line in notifications.recv(4096).decode().splitlines():
                key, _, value = line.partition("=")
                if key == "X_NSPAWN_LEADER_PID":
                    self.leader = int(value)
                ready = ready or line == "READY=1"
        self.run("systemctl", "is-system-running", "--wait")

    def run(self, *command, check=True):
        """Runs COMMAND inside and returns its output, errors included."""
        done = subprocess.run(self._joined("--all", command), env=ENVIRONMENT, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=COMMAND_TIMEOUT_SEC)
        if check and done.returncode != 0:
            raise CommandError(f"{' '.join(map(str, command))} exited {done.returncode}:\n"
                               f"{done.stdout}")
        return done.stdout

    def start(self, *command):
        """Starts COMMAND inside, with its output as text to read from."""
        return subprocess.Popen(self._joined("--all", command), env=ENVIRONMENT, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def start_on_network(self, *command):
        """Starts a COMMAND of the host in the network of the machine, with pipes."""
        return subprocess.Popen(self._joined("--net", command), text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def path(self, path):
        """The path of the host for PATH inside, through the mounts of the machine."""
        return pathlib.Path(f"/proc/{self.leader}/root") / str(path).lstrip("/")

    def hanging_thread(self, pid, name):
        """A context in which the thread NAME of the process PID inside hangs."""
        return hanging_thread(self._thread(pid, name))

    def _thread(self, pid, name):
        """The number on the host of the thread NAME of the process PID inside."""
        files = pathlib.Path(f"/proc/{self._host_pid(pid)}/task").glob("*/comm")
        threads = {file.read_text().strip(): file.parent.name for file in files}
        if name not in threads:
            raise ProcessLookupError(f"no thread {name} in process {pid}, only {list(threads)}")
        return threads[name]

    def limit_processor_time(self, pid, percent):
        """Limits the process PID inside to PERCENT of one processor, if processors are divided in a
        hierarchy that the machine can't write to. Returns a function for the number of times that
        the process was throttled."""
        if CPU_HIERARCHY in [cgroup.parents[1] for cgroup in self._cgroups]:
            cgroup = CPU_HIERARCHY / self._cgroups[0].parent.name / self.name / "limited"
            cgroup.mkdir()
            quota_usec = int((cgroup / "cpu.cfs_period_us").read_text()) * percent // 100
            (cgroup / "cpu.cfs_quota_us").write_text(str(quota_usec))
            (cgroup / "cgroup.procs").write_text(str(self._host_pid(pid)))
        else:
            cgroup = self.cgroup(pid)
        return lambda: times_throttled((cgroup / "cpu.stat").read_text())

    def cgroup(self, pid):
        """The cgroup (v2) of the process PID inside."""
        return unified_cgroup(pathlib.Path(f"/proc/{self._host_pid(pid)}/cgroup").read_text())

    def _host_pid(self, pid):
        """The number on the host of the process PID inside."""
        namespace = os.readlink(f"/proc/{self.leader}/ns/pid")
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                numbers = re.search(r"NSpid:(.*)", (process / "status").read_text())[1].split()
                if int(numbers[-1]) == pid and os.readlink(process / "ns/pid") == namespace:
                    return int(process.name)
        raise ProcessLookupError(f"no process {pid} in {self.name}")

    def _joined(self, namespaces, command):
        return ["nsenter", f"--target={self.leader}", namespaces, "--", *map(str, command)]


def unified_cgroup(memberships):
    """The path of the cgroup (v2) in MEMBERSHIPS, the text of a /proc/PID/cgroup; see
    cgroups(7)."""
    path = re.search(r"^0::/(.*)$", memberships, re.MULTILINE)[1]
    unified = next(root for root in UNIFIED_HIERARCHIES if (root / "cgroup.procs").exists())
    return unified / path


def times_throttled(stat):
    """The number of times that a cgroup was throttled; STAT is its cpu.stat."""
    counted = re.search(r"^nr_throttled (\d+)$", stat, re.MULTILINE)
    if not counted:
        raise ProcessorTimeError(f"this cgroup has no share of processor time:\n{stat}")
    return int(counted[1])


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
