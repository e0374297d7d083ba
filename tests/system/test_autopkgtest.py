# SPDX-License-Identifier: MIT
"""The package's own tests, which Debian runs as well, pass in the machine, and find a defect."""

import pathlib
import shutil
import subprocess
import tempfile

from support.case import SystemTest

TREE = pathlib.Path(__file__).parents[2]
TESTBED = pathlib.Path(__file__).with_name("support") / "testbed"
TIMEOUT_SEC = 300
PASSED, FAILED = 0, 4  # of autopkgtest(1)


class AutoPkgTest(SystemTest):
    def autopkgtest(self):
        """Runs the tests of the installed package, and returns the exit status and the output."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(TREE / "packaging/debian", f"{folder}/debian")
            pathlib.Path(folder, "debian/files").touch()  # or the tree would have to be built
            done = subprocess.run(
                ["autopkgtest", "--no-built-binaries", folder, "--", TESTBED, str(self.machine.leader)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=TIMEOUT_SEC)
        return done.returncode, done.stdout

    def test_the_tests_of_the_package_pass(self):
        status, output = self.autopkgtest()
        self.assertEqual(status, PASSED, output)
        self.assertRegex(output, r"(?m)^serves-and-reloads +PASS$")

    def test_the_tests_of_the_package_find_a_service_that_ignores_reloads(self):
        self.drop_in("[Service]\nExecReload=\nExecReload=/bin/kill -0 $MAINPID\n")
        status, output = self.autopkgtest()
        self.assertEqual(status, FAILED, output)
        self.assertRegex(output, r"(?m)^serves-and-reloads +FAIL")
