# SPDX-License-Identifier: MIT
"""packaging/release: two clones make the same bytes, and a release says the truth about itself."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
import unittest

from common import TREE, install, long, run

PROGRAMS = {"greetd": "usr/sbin", "greet": "usr/bin"}
ALL_BUT_TARBALL = "deb,rpm,image,sbom"


def setUpModule():
    install("git", "dpkg-dev", "rpm", "util-linux")


def git(tree, *arguments):
    run("git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@example.org",
        "-c", "init.defaultBranch=main", *arguments)


class ReleaseTest(unittest.TestCase):
    """A repository with the files of this tree as they are, in one commit with the tag of its last
    release."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.tree = cls.folder / "tree"
        run(TREE / "packaging/export", "--worktree", cls.tree)
        (cls.tree / ".tarball-version").unlink()
        git(cls.tree, "init", "--quiet")
        git(cls.tree, "add", "--all")
        git(cls.tree, "commit", "--quiet", "--message=a commit")
        cls.version = run(cls.tree / "packaging/version", "--released")[1].split()[0]
        git(cls.tree, "tag", f"v{cls.version}")

    def clone(self, name):
        tree = self.folder / name
        git(self.folder, "clone", "--quiet", self.tree, tree)
        self.addCleanup(shutil.rmtree, tree)
        return tree

    @classmethod
    def release(cls, name, *, umask, **environment):
        """Makes a release in a clone, in a folder and on a host with NAME; returns its folder."""
        tree, out = cls.folder / name / "clone", cls.folder / name / "out"
        git(cls.folder, "clone", "--quiet", cls.tree, tree)
        run("unshare", "--uts", "sh", "-c", f'umask {umask} && hostname "$1" && shift && "$@"', "-",
            f"{name[:3]}.example", tree / "packaging/release", out,
            env=os.environ | environment, timeout=1800)
        return out


class Parts(ReleaseTest):
    """What a release consists of."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.out = cls.release("release", umask="022")

    def check(self, pattern):
        """The one file of PATTERN, which is in SHA256SUMS."""
        paths = [*self.out.glob(pattern)]
        self.assertEqual(len(paths), 1, pattern)
        self.assertIn(f"  {paths[0].name}\n", (self.out / "SHA256SUMS").read_text())
        return paths[0]

    def of_deb(self):
        """The folder with the files of the .deb."""
        root = self.folder / "root"
        run("dpkg-deb", "-x", next(self.out.glob("*.deb")), root)
        return root

    def test_the_checksums(self):
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=self.out)
        lines = (self.out / "SHA256SUMS").read_text().splitlines()
        names = {line.split("  ")[1] for line in lines}
        self.assertEqual(names | {"SHA256SUMS"}, {path.name for path in self.out.iterdir()})

    def test_the_tarball(self):
        prefix = f"greetd-{self.version}"
        with tarfile.open(self.check(f"{prefix}.tar.gz")) as archive:
            names = {member.name.partition("/")[2] for member in archive if member.isfile()}
            self.assertEqual({name.partition("/")[0] for name in archive.getnames()}, {prefix})
            said = archive.extractfile(f"{prefix}/.tarball-version").read().decode()
        self.assertEqual(said, f"{self.version}\n")
        tracked = set(run("git", "-C", self.tree, "ls-files")[1].splitlines())
        self.assertEqual(names, tracked | {".tarball-version"})

    def test_the_deb(self):
        deb = self.check(f"greeting-daemon_{self.version}_*.deb")
        self.assertEqual(run("dpkg-deb", "--field", deb, "Version")[1], f"{self.version}\n")
        for program, folder in PROGRAMS.items():
            self.assertEqual(run(self.of_deb() / folder / program, "--version")[1],
                             f"{program} {self.version}\n")

    def test_the_rpm(self):
        rpm = self.check(f"greeting-daemon-{self.version}-1.*.rpm")
        self.assertEqual(run("rpm", "-qp", "--queryformat=%{VERSION}", rpm)[1], self.version)

    def test_the_image(self):
        with tarfile.open(self.check(f"greeting-daemon-{self.version}.image.tar")) as archive:
            manifest = json.load(archive.extractfile("manifest.json"))
            image = json.load(archive.extractfile(manifest[0]["Config"]))
        self.assertEqual(image["config"]["Labels"]["org.opencontainers.image.version"], self.version)

    def test_the_sbom(self):
        bill = json.loads(self.check(f"greeting-daemon-{self.version}.cdx.json").read_text())
        own = bill["metadata"]["component"]
        self.assertEqual(own["version"], self.version)
        sums = {file["name"]: file["hashes"][0]["content"] for file in own["components"]}
        self.assertEqual(sums, {
            program: hashlib.sha256((self.of_deb() / folder / program).read_bytes()).hexdigest()
            for program, folder in PROGRAMS.items()})


@long
class Bytes(ReleaseTest):
    def test_two_releases_are_the_same(self):
        """In different folders, time zones, umasks and host names."""
        first = self.release("first", umask="022", TZ="UTC", LC_ALL="C")
        second = self.release("below/the second", umask="077", TZ="Pacific/Kiritimati", LC_ALL="C.UTF-8",
                              LANGUAGE="tr")
        sums = [(out / "SHA256SUMS").read_text() for out in (first, second)]
        self.assertEqual(*sums)
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=second)


class Refusals(ReleaseTest):
    def release(self, tree, *arguments, status=0, without=ALL_BUT_TARBALL):
        """Makes a release, by default of the tarball, and returns its output. One that fails has no
        folder."""
        out = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "out"
        got, output = run(tree / "packaging/release", "--without", without, *arguments, out, check=False)
        self.assertEqual(got, status, output)
        self.assertEqual(out.exists(), status == 0)
        return output

    def test_a_folder_that_exists_is_refused(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        status, output = run(self.tree / "packaging/release", "--without", ALL_BUT_TARBALL, folder,
                             check=False)
        self.assertEqual((status, list(folder.iterdir())), (1, []))
        self.assertIn(f"{folder} exists", output)

    def test_a_tagged_commit_is_released(self):
        self.assertRegex(self.release(self.tree),
                         rf"(?m)^[0-9a-f]{{64}}  greetd-{re.escape(self.version)}\.tar\.gz$")

    def test_changed_files_are_refused_or_told(self):
        tree = self.clone("clone")
        (tree / "README.md").write_text("Another.\n")
        self.assertIn("files differ from the commit", self.release(tree, status=1))
        self.assertIn(f"the version is {self.version}+dirty", self.release(tree, "--worktree"))

    def test_a_file_that_git_does_not_know_is_refused(self):
        tree = self.clone("clone")
        (tree / "packaging/examples/new.conf").write_text("")
        self.assertIn("files differ from the commit", self.release(tree, status=1))

    def test_a_commit_without_a_tag_says_its_version(self):
        tree = self.clone("clone")
        git(tree, "commit", "--quiet", "--allow-empty", "--message=another")
        self.assertRegex(self.release(tree), rf"the version is {re.escape(self.version)}\+1\.g[0-9a-f]")

    def test_a_tag_that_the_changelog_does_not_have_is_refused(self):
        tree = self.clone("clone")
        git(tree, "tag", "--delete", f"v{self.version}")
        git(tree, "tag", "v99.0.0")
        self.assertIn("the last release in CHANGELOG.md is", self.release(tree, status=1))

    def test_a_part_that_can_not_be_made_is_an_error(self):
        tree = self.clone("clone")
        (tree / "packaging/oci/build").write_text("#!/bin/sh\nexit 1\n")
        output = self.release(tree, "--worktree", status=1, without="deb,rpm,sbom")
        self.assertIn("making the tarball", output)
        self.assertIn("could not make: image", output)

    def test_an_unknown_part_is_an_error(self):
        self.assertIn("there is no part wheel", self.release(self.tree, status=1, without="wheel"))


if __name__ == "__main__":
    unittest.main()
