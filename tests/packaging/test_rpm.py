# SPDX-License-Identifier: MIT
"""The RPM package: what is in it, and a life in a root of its own, with a systemctl and no systemd."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from common import TIMEOUT_SEC, debian_package, install, installed_files, rpm_package, run

DATABASE = "/var/lib/rpm"
GREETING = "Hello from server!"
PRESETS = "/etc/systemd/system-preset/90-default.preset"
WANTED = "/etc/systemd/system/sockets.target.wants/greetd.socket"


def setUpModule():
    install("rpm", "rpm2cpio", "cpio", "libc-bin", "mandoc")


def query(package, form):
    return run("rpm", "-qp", "--queryformat", form, package)[1]


class Package(unittest.TestCase):
    def test_its_files_are_those_of_the_deb(self):
        lines = query(rpm_package(), "[%{FILEMODES:perms} %{FILENAMES}\n]").splitlines()
        files = {path.removesuffix(".gz"): mode for mode, path in (line.split() for line in lines)}
        files = {path: mode for path, mode in files.items() if not mode.startswith("d")}
        self.assertEqual(files, installed_files(debian_package()))

    def test_it_owns_the_folders_that_are_its_own(self):
        lines = query(rpm_package(), "[%{FILEMODES:perms} %{FILENAMES}\n]").splitlines()
        folders = {line.split()[1] for line in lines if line.startswith("d")}
        doc = "/usr/share/doc/greeting-daemon"
        self.assertLessEqual({"/etc/greetd.conf.d", doc, f"{doc}/examples"}, folders)
        self.assertFalse([path for path in folders if "greet" not in path])

    def test_all_in_etc_is_configuration_that_an_upgrade_keeps(self):
        lines = query(rpm_package(), "[%{FILEFLAGS:fflags} %{FILENAMES}\n]").splitlines()
        kept = {line.split()[1] for line in lines if line.startswith("cn ")}
        in_etc = {path for path in installed_files(debian_package()) if path.startswith("/etc/")}
        self.assertEqual(kept, in_etc)

    def test_it_conflicts_with_the_login_manager(self):
        self.assertEqual(query(rpm_package(), "[%{CONFLICTS}\n]"), "greetd\n")

    def test_it_depends_on_libsystemd(self):
        self.assertIn("libsystemd.so.0", query(rpm_package(), "[%{REQUIRES}\n]"))

    def test_it_says_nothing_of_the_build(self):
        self.assertEqual(query(rpm_package(), "%{BUILDHOST}"), "localhost")


class Root(unittest.TestCase):
    """An empty root with a shell, a systemctl and the libraries of the programs."""

    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="greetd-root-")))
        self.database = f"--define=_dbpath {DATABASE}"
        unpacked = self.root / "unpacked"
        unpacked.mkdir()
        run("sh", "-c", 'rpm2cpio "$1" | cpio -id --quiet', "-", rpm_package(), cwd=unpacked)
        for library in self.libraries(unpacked / "usr/sbin/greetd", "/bin/sh", "/usr/bin/systemctl"):
            self.copy(library)
        shutil.rmtree(unpacked)
        self.make_folders_of_others()
        self.copy("/bin/sh")
        self.copy("/usr/bin/systemctl")
        self.write(PRESETS, "disable *\n")
        self.rpm("--initdb")
        self.before = self.listing()

    def make_folders_of_others(self):
        """Those that Fedora's package filesystem has, and rpm's own."""
        paths = query(rpm_package(), "[%{FILENAMES}\n]").split()
        for path in {str(pathlib.Path(path).parent) for path in paths} - set(paths) | {"/var/tmp"}:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    @staticmethod
    def libraries(*programs):
        found = "".join(run("ldd", program)[1] for program in programs)
        return set(re.findall(r"(/\S+) \(0x", found))

    def copy(self, path):
        copy = self.root / path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)

    def write(self, path, text):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def listing(self):
        """All paths but those of rpm's database."""
        return {path for path in map(str, self.root.rglob("*")) if f"{DATABASE}/" not in path}

    def rpm(self, *arguments):
        """Runs rpm on the root. A scriptlet that fails or complains is an error."""
        output = run("rpm", "--root", self.root, self.database, *arguments)[1]
        self.assertNotRegex(output, "(?i)scriptlet|error|failed")
        return output

    def install(self):
        # Debian's packages are unknown to rpm.
        self.rpm("--install", "--nodeps", rpm_package())

    def erase(self):
        self.rpm("--erase", "greeting-daemon")

    def is_wanted(self):
        return (self.root / WANTED.lstrip("/")).is_symlink()

    def test_what_was_installed_is_gone_after_a_removal(self):
        self.install()
        self.assertGreater(self.listing(), self.before)
        self.rpm("--verify", "--nodeps", "greeting-daemon")
        self.erase()
        self.assertEqual(self.listing(), self.before)

    def test_a_changed_configuration_is_kept(self):
        self.install()
        self.write("/etc/greetd.conf", "[Greeting]\nMessage=mine\n")
        self.rpm("--upgrade", "--replacepkgs", "--nodeps", rpm_package())
        self.assertIn("mine", (self.root / "etc/greetd.conf").read_text())
        self.erase()
        self.assertIn("mine", (self.root / "etc/greetd.conf.rpmsave").read_text())

    def test_the_presets_decide_about_the_socket(self):
        self.install()
        self.assertFalse(self.is_wanted())
        self.erase()
        self.write(PRESETS, "enable greetd.socket\ndisable *\n")
        self.install()
        self.assertTrue(self.is_wanted())
        self.erase()
        self.assertFalse(self.is_wanted())

    def test_it_greets(self):
        self.install()
        greetd = subprocess.Popen(["chroot", self.root, "/usr/sbin/greetd", "--listen=127.0.0.1:0"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with greetd:
            self.addCleanup(greetd.kill)
            address = re.search(r"listening on (\S+)", greetd.stderr.readline())[1]
            received = run("chroot", self.root, "/usr/bin/greet", address)[1]
            self.assertEqual(received.rstrip("\n"), GREETING)
            greetd.terminate()
            self.assertEqual(greetd.wait(TIMEOUT_SEC), 0)

    def test_all_says_the_version_of_the_package(self):
        self.install()
        version = query(rpm_package(), "%{VERSION}")
        for program in ("/usr/sbin/greetd", "/usr/bin/greet"):
            said = run("chroot", self.root, program, "--version")[1]
            self.assertEqual(said, f"{pathlib.Path(program).name} {version}\n")
        pages = list((self.root / "usr/share/man").glob("man*/*.gz"))
        self.assertGreater(len(pages), 3)
        for page in pages:
            with self.subTest(page.name):
                self.assertIn(f"greetd {version} ", run("mandoc", page)[1].splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
