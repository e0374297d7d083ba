# SPDX-License-Identifier: MIT
"""The fixtures by which other tests see a failure."""

import unittest

from support import machine
from support.case import GREETING, SystemTest


class Hanging(SystemTest):
    def setUp(self):
        super().setUp()
        self.write("/etc/greetd.conf.d/50-workers.conf", "[Server]\nWorkers=1\n")
        self.assertEqual(self.greet(), GREETING)

    def test_a_test_that_fails_meanwhile_ends_and_the_thread_runs_on(self):
        with self.assertRaisesRegex(AssertionError, "meanwhile"):
            with self.machine.hanging_thread(self.main_pid(), "greetd-0"):
                self.fail("meanwhile")
        self.assertEqual(self.greet(), GREETING)

    def test_a_missing_thread_is_named(self):
        with self.assertRaisesRegex(ProcessLookupError, "no thread missing in process"):
            with self.machine.hanging_thread(self.main_pid(), "missing"):
                self.fail("nothing hangs")


class Cgroup(SystemTest):
    def test_of_the_service_is_where_the_host_has_it(self):
        self.assertEqual(self.greet(), GREETING)
        cgroup = self.machine.cgroup(self.main_pid())
        self.assertEqual(cgroup.name, "greetd.service")
        self.assertIn(self.machine.name, cgroup.parts)
        self.assertEqual(len((cgroup / "cgroup.procs").read_text().split()), 1)


class Accounts(unittest.TestCase):
    """The files of the kernel about a process, for hierarchies that this host may lack."""

    def test_its_cgroup_is_found_whether_or_not_there_are_older_hierarchies(self):
        [unified] = {machine.unified_cgroup(f"{older}0::/greetd-1/greetd.service\n").parent.parent
                     for older in ("", "9:name=systemd:/\n1:cpu:/other\n")}
        self.assertTrue((unified / "cgroup.controllers").exists(), unified)

    def test_how_often_it_had_to_wait_is_counted(self):
        self.assertEqual(machine.times_throttled("usage_usec 9\nnr_throttled 12\n"), 12)

    def test_without_the_cpu_controller_that_is_an_error(self):
        with self.assertRaisesRegex(machine.ProcessorTimeError, "usage_usec 9"):
            machine.times_throttled("usage_usec 9\nuser_usec 8\n")
