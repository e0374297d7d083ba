# SPDX-License-Identifier: MIT
"""packaging/version: what a tree says that it is, and who repeats it."""

import os
import pathlib
import re
import shutil
import tempfile
import unittest.mock

from common import TREE, install, run

CHANGELOG = """# Changelog

## [Unreleased]
{unreleased}
## 1.2.3 - 2026-11-26

### Added

- A greeting
  of two lines.

## 0.1.0 - 2026-11-22

### Added

- The first one.
"""
SCRIPTS = ("version", "export", "debian-changelog")
HASH = "[0-9a-f]{12}"


def setUpModule():
    install("git", "cmake", "gcc", "libc6-dev", "make", "pkg-config", "libsystemd-dev", "dpkg-dev")


class VersionTest(unittest.TestCase):
    """A small tree with the scripts of this one."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.tree = self.folder / "tree"
        (self.tree / "packaging").mkdir(parents=True)
        for script in SCRIPTS:
            shutil.copy(TREE / "packaging" / script, self.tree / "packaging")
        self.change_log("")

    def change_log(self, unreleased):
        (self.tree / "CHANGELOG.md").write_text(CHANGELOG.format(unreleased=unreleased))

    def git(self, *arguments, tree=None):
        run("git", "-C", tree or self.tree, "-c", "user.name=a", "-c", "user.email=a@example.org",
            "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments)

    def commit(self, *, tag=None):
        if not (self.tree / ".git").exists():
            self.git("init", "--quiet")
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message=a commit")
        if tag:
            self.git("tag", tag)

    def version(self, *arguments, tree=None):
        return run((tree or self.tree) / "packaging/version", *arguments)[1].rstrip("\n")

    def export(self, *options):
        shutil.rmtree(self.folder / "exported", ignore_errors=True)
        run(self.tree / "packaging/export", *options, self.folder / "exported")
        return self.folder / "exported"


class Version(VersionTest):
    def test_a_tag_at_the_commit_is_the_version(self):
        self.commit(tag="v2.0.0")
        self.assertEqual(self.version(), "2.0.0")

    def test_commits_after_the_tag_are_counted(self):
        self.commit(tag="v2.0.0")
        self.commit()
        self.commit()
        self.assertRegex(self.version(), rf"^2\.0\.0\+2\.g{HASH}$")

    def test_other_tags_are_no_versions(self):
        self.commit(tag="v2.0.0")
        for tag in ("v3", "v3.0.0-rc1", "nightly"):
            self.git("tag", tag)
        self.assertEqual(self.version(), "2.0.0")

    def test_changed_files_are_told_but_for_a_commit(self):
        self.commit(tag="v2.0.0")
        self.change_log("- A change.\n")
        self.assertEqual((self.version(), self.version("HEAD")), ("2.0.0+dirty", "2.0.0"))
        self.commit()
        self.change_log("")
        self.assertRegex(self.version(), rf"^2\.0\.0\+1\.g{HASH}\.dirty$")

    def test_a_new_file_is_a_change(self):
        self.commit(tag="v2.0.0")
        (self.tree / "new").write_text("")
        self.assertEqual((self.version(), self.version("HEAD")), ("2.0.0+dirty", "2.0.0"))

    def test_an_unknown_commit_or_option_is_an_error(self):
        self.commit(tag="v2.0.0")
        for argument, status, said in (("absent", 1, "has no commit absent"), ("--relesed", 2, "--released"),
                                       ("--help", 0, "--released")):
            with self.subTest(argument):
                got, output = run(self.tree / "packaging/version", argument, check=False)
                self.assertEqual(got, status)
                self.assertIn(said, output)

    def test_a_link_leads_to_a_tree_of_another_user(self):
        self.commit(tag="v2.0.0")
        run("chown", "-R", "65534", self.tree)
        link = self.folder / "link"
        link.symlink_to(self.tree)
        with unittest.mock.patch.dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null"):
            self.assertEqual(self.version(tree=link), "2.0.0")
            run(link / "packaging/export", self.folder / "exported")

    def test_without_a_tag_the_changelog_has_the_last_release(self):
        self.commit()
        self.assertRegex(self.version(), rf"^1\.2\.3\+g{HASH}$")

    def test_a_shallow_clone_names_its_commit(self):
        self.commit(tag="v2.0.0")
        self.commit()
        clone = self.folder / "clone"
        self.git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{self.tree}", clone)
        self.assertRegex(self.version(tree=clone), rf"^1\.2\.3\+g{HASH}$")

    def test_a_tree_without_git_has_the_changelogs(self):
        self.assertEqual(self.version(), "1.2.3")
        self.change_log("\n### Fixed\n\n- A defect.\n")
        self.assertEqual(self.version(), "1.2.3+unreleased")
        self.assertEqual(self.version("--released"), "1.2.3 2026-11-26")

    def test_another_repository_around_it_is_not_asked(self):
        self.git("init", "--quiet", tree=self.folder)
        self.git("commit", "--quiet", "--allow-empty", "--message=a commit", tree=self.folder)
        self.git("tag", "v9.0.0", tree=self.folder)
        self.assertEqual(self.version(), "1.2.3")

    def test_a_changelog_without_a_release_is_an_error(self):
        (self.tree / "CHANGELOG.md").write_text("# Changelog\n")
        status, output = run(self.tree / "packaging/version", check=False)
        self.assertEqual(status, 1)
        self.assertIn("CHANGELOG.md has no release", output)


class Export(VersionTest):
    def test_a_commit_is_exported_with_its_version(self):
        self.commit(tag="v2.0.0")
        (self.tree / "untracked").write_text("")
        self.change_log("- A change.\n")
        exported = self.export()
        self.assertEqual(self.version(tree=exported), "2.0.0")
        self.assertFalse((exported / "untracked").exists())
        self.assertNotIn("A change", (exported / "CHANGELOG.md").read_text())

    def test_the_files_as_they_are_are_exported_with_theirs(self):
        (self.tree / ".gitignore").write_text("/ignored\n")
        self.commit(tag="v2.0.0")
        self.change_log("- A change.\n")
        for name in ("untracked", "ignored"):
            (self.tree / name).write_text("")
        exported = self.export("--worktree")
        self.assertEqual(self.version(tree=exported), "2.0.0+dirty")
        self.assertTrue((exported / "untracked").exists())
        self.assertFalse((exported / "ignored").exists())

    def test_a_folder_that_exists_is_refused(self):
        (self.folder / "full").mkdir()
        self.assertIn("exists", run(self.tree / "packaging/export", self.folder / "full", check=False)[1])

    def test_an_export_is_exported_without_git(self):
        self.commit(tag="v2.0.0")
        first = self.export().rename(self.folder / "first")
        (first / "build").mkdir()
        (first / "build/greetd").write_text("")
        run(first / "packaging/export", self.folder / "second")
        self.assertEqual(self.version(tree=self.folder / "second"), "2.0.0")
        shutil.rmtree(first / "build")
        run("diff", "-r", first, self.folder / "second")


class DebianChangelog(VersionTest):
    def entry(self):
        (self.folder / "changelog").write_text(run(self.tree / "packaging/debian-changelog")[1])
        return run("dpkg-parsechangelog", "-l", self.folder / "changelog")[1]

    def test_the_version_and_the_newest_changes_are_in_it(self):
        self.commit(tag="v1.2.3")
        entry = self.entry()
        self.assertIn("\nVersion: 1.2.3\n", entry)
        self.assertIn("\nDate: Thu, 26 Nov 2026 00:00:00 +0000\n", entry)
        self.assertIn("\n   [ Added ]\n .\n   * A greeting of two lines.\n", entry)
        self.assertNotIn("The first one", entry)

    def test_unreleased_changes_are_the_newest(self):
        self.change_log("\n### Fixed\n\n- A defect.\n")
        entry = self.entry()
        self.assertIn("\nVersion: 1.2.3+unreleased\n", entry)
        self.assertIn("* A defect.", entry)
        self.assertNotIn("A greeting", entry)


class Build(unittest.TestCase):
    """greetd's own build asks at each build, not only when it is configured."""

    def test_the_header_and_the_pages_follow_a_tag(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        source, build = folder / "source", folder / "build"
        run(TREE / "packaging/export", "--worktree", source)
        (source / ".tarball-version").write_text("4.5.6\n")
        run("cmake", "-S", source, "-B", build, "-DBUILD_TESTING=OFF")
        self.assert_version(source, build, "4.5.6")
        (source / ".tarball-version").write_text("4.5.7\n")
        run("cmake", "--build", build, "--target", "greetd-version")
        self.assert_version(source, build, "4.5.7")

    def assert_version(self, source, build, version):
        self.assertEqual((build / "version.h").read_text(), f'#define GREETD_VERSION "{version}"\n')
        pages = {page.name for page in source.glob("packaging/*.[1-8]")}
        self.assertEqual({page.name for page in (build / "man").iterdir()}, pages)
        for page in pages:
            with self.subTest(page):
                heading = (build / "man" / page).read_text().splitlines()[1]
                self.assertRegex(heading, rf'^\.TH \S+ \d \S+ "greetd {re.escape(version)}" ".+"$')


if __name__ == "__main__":
    unittest.main()
