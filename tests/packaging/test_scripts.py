# SPDX-License-Identifier: MIT
"""The scripts in packaging: none does anything for --help or a misspelt option."""

import os
import pathlib
import stat
import tempfile
import unittest

from common import TREE, run

SCRIPTS = [path for path in [*(TREE / "packaging").iterdir(), TREE / "packaging/oci/build"]
           if path.is_file() and os.access(path, os.X_OK)]
HARMFUL = ("apt-get", "sudo", "dpkg-buildpackage", "cmake", "rpmbuild", "buildah")


class Usage(unittest.TestCase):
    """Programs that change anything fail, and say so."""

    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in HARMFUL:
            (folder / name).write_text("#!/bin/sh\necho harm\nexit 3\n")
            (folder / name).chmod(stat.S_IRWXU)
        self.environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    def check(self, option, expected):
        self.assertGreater(len(SCRIPTS), 8)
        for script in SCRIPTS:
            with self.subTest(script.name):
                status, output = run(script, option, check=False, env=self.environment)
                self.assertEqual(status, expected, output)
                self.assertIn(f"{script.name} ", f"{output} ".replace("\n", " "))
                self.assertNotIn("harm", output)

    def test_help_is_the_usage(self):
        self.check("--help", 0)

    def test_an_unknown_option_is_an_error(self):
        self.check("--worktre", 2)


if __name__ == "__main__":
    unittest.main()
