# SPDX-License-Identifier: MIT
"""The table of tests/bench/results/features.md is what tests/bench/features finds on this machine."""

import pathlib
import tempfile
import unittest

import common

# Those that need no load and no pauses.
QUICK = ["greets", "address", "proxy", "limits", "lists", "unix", "ipv6", "tls", "http"]


class Features(unittest.TestCase):
    def check(self, *arguments):
        _, output = common.run("tests/bench/features", "--check", *arguments)
        self.assertRegex(output, r"(?m)^[1-9]\d* cells, 0 differ from features\.md$")

    def test_the_column_of_greetd(self):
        self.check("--server", "greetd")

    def test_the_quick_rows_of_all_servers(self):
        self.check(*QUICK)

    def test_a_cell_that_differs_is_named(self):
        text = (common.TREE / "tests/bench/results/features.md").read_text(encoding="utf-8")
        results = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "features.md"
        results.write_text(text.replace("| Unix socket | yes |", "| Unix socket | no |"), encoding="utf-8")
        status, output = common.run("tests/bench/features", "--check", "--results", results,
                                    "--server", "greetd", "unix", check=False)
        self.assertEqual(status, 1, output)
        self.assertIn("unix, greetd: 'no' in features.md, but 'yes'", output)


if __name__ == "__main__":
    unittest.main()
