# SPDX-License-Identifier: MIT
"""The Debian package: lintian has no remark about it, and its programs are hardened."""

import pathlib
import shutil
import tempfile
import unittest

import common

# What the compiler and the linker leave in a program, by the options of readelf(1).
HARDENING = {
    "--file-header": ("DYN (Position-Independent Executable file)",),
    "--dynamic": ("BIND_NOW", "NOW PIE"),
    "--program-headers": ("GNU_RELRO",),
    "--dyn-syms": ("__stack_chk_fail", "_chk@GLIBC"),
}


def setUpModule():
    common.install("binutils", "dpkg", "git")


class Package(unittest.TestCase):
    def test_the_programs_are_hardened(self):
        with tempfile.TemporaryDirectory() as folder:
            common.run("dpkg-deb", "--extract", common.debian_package(), folder)
            for program in ("usr/sbin/greetd", "usr/bin/greet"):
                for option, words in HARDENING.items():
                    shown = common.run("readelf", "--wide", option, f"{folder}/{program}")[1]
                    for word in words:
                        self.assertIn(word, shown, program)

    def test_a_remark_of_lintian_fails_the_build(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder) / "tree"
            for name in common.files():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(common.TREE / name, tree / name)
            common.run("git", "init", "--quiet", tree)
            with open(tree / "packaging/debian/control", "a", encoding="utf-8") as control:
                control.write(" .\n It will recieve clients.\n")
            status, output = common.run(tree / "packaging/build-deb", "--worktree", f"{folder}/out",
                                        check=False)
        self.assertNotEqual(status, 0)
        self.assertIn("I: greeting-daemon: spelling-error-in-description", output)


if __name__ == "__main__":
    unittest.main()
