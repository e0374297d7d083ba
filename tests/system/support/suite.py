# SPDX-License-Identifier: MIT
"""Runs the system tests, each in a new machine, and prints the result of each.

`run` starts it with namespaces and cgroups made for it.
"""

import argparse
import pathlib
import sys
import time
import unittest

from . import case, machine


class Result(unittest.TestResult):
    """Prints one line for each test. A failed test adds the error and the end of its journal."""

    def startTest(self, test):
        super().startTest(test)
        self.passed_before = True
        self.started = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        verdict = "ok" if self.passed_before else "FAILED"
        print(f"{verdict} {test.id()} ({time.monotonic() - self.started:.1f} s)", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self.print_failure(test, self.errors[-1][1])
        if issubclass(err[0], machine.BootError):
            self.stop()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.print_failure(test, self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            is_failure = issubclass(err[0], test.failureException)
            self.print_failure(test, (self.failures if is_failure else self.errors)[-1][1])

    def print_failure(self, test, traceback):
        self.passed_before = False
        print(traceback, flush=True)
        if isinstance(test, case.SystemTest):
            print(test.diagnosis(), flush=True)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", type=pathlib.Path, required=True)
    parser.add_argument("--deb", type=pathlib.Path, required=True)
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--cgroup", action="append", default=[], dest="cgroups")
    parser.add_argument("-k", action="append", dest="patterns")
    return parser.parse_args()


def main():
    chosen = arguments()
    case.SystemTest.host = machine.Host(chosen.base, chosen.scratch, chosen.cgroups)
    case.SystemTest.deb = chosen.deb.resolve(strict=True)
    loader = unittest.TestLoader()
    if chosen.patterns:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in chosen.patterns]
    tests = loader.discover(pathlib.Path(__file__).parents[1])
    result = Result()
    tests.run(result)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 0 if result.testsRun > 0 and failed == 0 and skipped == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
