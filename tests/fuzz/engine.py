# SPDX-License-Identifier: MIT
"""Runs a fuzz target with libFuzzer, and reads what it prints."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

import corpus

# Seconds that one input may take. Most take microseconds, but the machine may be busy: an input that
# libFuzzer finds slow is run once more, and its processor time counts.
TIMEOUT = 120
SLOW = 5
MEMORY_MB = 2048


class Failure(Exception):
    """What a target did wrong."""


@dataclasses.dataclass
class Run:
    """One run of libFuzzer, by its own figures."""

    name: str
    executions: int
    seconds: int
    edges: int
    features: int
    inputs: int


class Target:
    """The program of a target, with its folders."""

    def __init__(self, name, work):
        self.name = name
        self.program = work / "out" / f"fuzz_{name}"
        self.corpus = work / "corpus" / name
        self.artifacts = work / "artifacts" / name
        self.log = work / "logs" / f"{name}.log"
        for folder in (self.artifacts, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.corpus, ignore_errors=True)
        self.n_kept = corpus.unpack(self.corpus, [f"{self.program}_seed_corpus.zip"])

    def _options(self):
        """The options of libFuzzer for this target."""
        options = [f"-timeout={TIMEOUT}", f"-report_slow_units={SLOW}",
                   f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1",
                   f"-artifact_prefix={self.artifacts}/"]
        dictionary = pathlib.Path(f"{self.program}.dict")
        if dictionary.exists():
            options.append(f"-dict={dictionary}")
        own = pathlib.Path(f"{self.program}.options")
        if own.exists():  # a file of ClusterFuzz
            options += [f"-{name}={value}" for name, value in
                        re.findall(r"^(\w+) *= *(\S+)$", own.read_text(encoding="utf-8"), re.M)]
        return options

    def _run(self, *arguments):
        """Runs the program. Returns what it printed, which is also in the log."""
        before = set(self.artifacts.iterdir())
        environment = os.environ | {
            "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=16:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        with self.log.open("ab") as output:
            start = output.tell()
            status = subprocess.run([self.program, *self._options(), *arguments], stdout=output,
                                    stderr=subprocess.STDOUT, cwd=self.artifacts,
                                    env=environment, check=False).returncode
        text = self.log.read_bytes()[start:].decode("utf-8", "replace")
        new = list(self._new_artifacts(before))
        if status != 0 or new:
            summary = re.findall(r"^SUMMARY: .*|^.*not true: .*|^.*runtime error: .*", text, re.M)
            raise Failure(f"exit status {status}; {'; '.join(summary) or 'see the log'}; "
                          f"inputs: {' '.join(new) or 'none'}; log: {self.log}")
        return text

    def _is_slow(self, path):
        """Whether the input at PATH alone takes the processor for longer than it may."""
        process = subprocess.Popen([self.program, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        usage = os.wait4(process.pid, 0)[2]
        return usage.ru_utime + usage.ru_stime > SLOW

    def _new_artifacts(self, before):
        """The inputs that were kept since BEFORE, but for those that were slow only by the clock."""
        for path in sorted(set(self.artifacts.iterdir()) - before):
            if path.name.startswith("slow-unit-") and not self._is_slow(path):
                path.unlink()
            else:
                yield str(path)

    def replay(self):
        """Runs each input that is in the tree, once and whole."""
        if self.n_kept == 0:
            raise Failure("there are no inputs in the tree")
        output = self._run("-runs=0", f"-max_len={1 << 20}", self.corpus)
        executed = _statistic(output, "number_of_executed_units")
        if executed < self.n_kept:
            raise Failure(f"only {executed} of {self.n_kept} inputs were run")

    def fuzz(self, seconds):
        """Fuzzes for SECONDS. Returns the run."""
        text = self._run(f"-max_total_time={seconds}", self.corpus)
        done = re.search(r"^Done (\d+) runs in (\d+) second", text, re.M)
        last = re.search(r"^#\d+\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/", text, re.M)
        executions = _statistic(text, "number_of_executed_units")
        if not done or not last or executions <= self.n_kept:
            raise Failure(f"nothing was fuzzed; log: {self.log}")
        return Run(self.name, executions, int(done[2]), *map(int, last.groups()))

    def merge(self, path):
        """Minimises the corpus into the zip at PATH."""
        merged = self.corpus.with_name(f"{self.name}.merged")
        shutil.rmtree(merged, ignore_errors=True)
        merged.mkdir()
        self._run("-merge=1", merged, self.corpus)
        corpus.pack(path, [merged])


def _statistic(text, name):
    """Returns the last value of a statistic that libFuzzer has printed."""
    found = re.findall(rf"^stat::{name}: +(\d+)$", text, re.M)
    if not found:
        raise Failure(f"libFuzzer printed no {name}")
    return int(found[-1])
