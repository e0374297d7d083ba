# SPDX-License-Identifier: MIT
"""The PKGBUILD for Arch Linux, built by makepkg(8), which Debian has."""

import pathlib
import stat
import tempfile
import unittest

from common import TREE, debian_package, install, installed_files, run

NOBODY = 65534  # makepkg refuses to run as root


def setUpModule():
    install("makepkg", "libarchive-tools", "fakeroot", "cmake", "gcc", "libc6-dev", "make", "pkg-config",
            "libsystemd-dev", "util-linux")


class Pkgbuild(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.tree = cls.folder / "tree"
        run(TREE / "packaging/export", "--worktree", cls.tree)
        run("chown", "-R", f"{NOBODY}:{NOBODY}", cls.folder)
        run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env",
            f"HOME={cls.folder}", "PKGEXT=.pkg.tar", "PACMAN=true", "makepkg", "--nodeps",
            cwd=cls.tree / "packaging/arch")
        cls.package = next((cls.tree / "packaging/arch").glob("*.pkg.tar"))
        cls.root = cls.folder / "root"
        cls.root.mkdir()
        run("tar", "-xf", cls.package, "-C", cls.root)

    def info(self, name):
        lines = (self.root / ".PKGINFO").read_text().splitlines()
        return [line.partition(" = ")[2] for line in lines if line.startswith(f"{name} = ")]

    def test_its_files_are_those_of_the_deb(self):
        files = {f"/{path.relative_to(self.root)}".removesuffix(".gz"): stat.filemode(path.stat().st_mode)
                 for path in self.root.rglob("*") if path.is_file() and path.parent != self.root}
        debian = {path.replace("/usr/sbin/", "/usr/bin/"): mode
                  for path, mode in installed_files(debian_package()).items()}
        self.assertEqual(files, debian)

    def test_an_upgrade_keeps_the_configuration(self):
        in_etc = {path.lstrip("/") for path in installed_files(debian_package()) if path.startswith("/etc/")}
        self.assertEqual(set(self.info("backup")), in_etc)

    def test_the_unit_names_the_program(self):
        unit = (self.root / "usr/lib/systemd/system/greetd.service").read_text()
        self.assertIn("\nExecStart=/usr/bin/greetd\n", unit)

    def test_all_says_the_version_of_the_tree(self):
        version = run(self.tree / "packaging/version")[1].rstrip("\n")
        self.assertEqual(self.info("pkgver"), [f"{version}-1"])
        self.assertEqual(run(self.root / "usr/bin/greetd", "--version")[1], f"greetd {version}\n")

    def test_it_conflicts_with_the_login_manager(self):
        self.assertEqual(self.info("conflict"), ["greetd"])


if __name__ == "__main__":
    unittest.main()
