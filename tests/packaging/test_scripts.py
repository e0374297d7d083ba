# SPDX-License-Identifier: MIT
"""The scripts in packaging: none does anything for --help or a misspelt option."""

import os
import pathlib
import shutil
import tempfile
import unittest

from common import TREE, install, run

SCRIPTS = [path for path in [*(TREE / "packaging").iterdir(), TREE / "packaging/oci/build"]
           if path.is_file() and os.access(path, os.X_OK)]
HARMFUL = ("apt-get", "sudo", "dpkg-buildpackage", "cmake", "rpmbuild", "buildah")


def setUpModule():
    install("util-linux")


class Usage(unittest.TestCase):
    """Programs that change anything fail, and say so."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)
        for name in HARMFUL:
            (self.folder / name).write_text("#!/bin/sh\necho harm\nexit 3\n")
            (self.folder / name).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}"}

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

    def test_the_image_is_refused_before_it_is_built(self):
        # A copy, since another user may not read this tree.
        build = self.folder / "tree/packaging/oci/build"
        build.parent.mkdir(parents=True)
        shutil.copy(TREE / "packaging/oci/build", build)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        for command, said in (((*nobody, build), "Only root"), ((build, self.folder), "is a folder")):
            with self.subTest(said):
                status, output = run(*command, check=False, env=self.environment)
                self.assertEqual(status, 1)
                self.assertIn(said, output)
                self.assertNotIn("harm", output)


if __name__ == "__main__":
    unittest.main()
