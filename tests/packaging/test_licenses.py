# SPDX-License-Identifier: MIT
"""Each file names its license, as the REUSE specification asks (https://reuse.software/spec-3.0/)."""

import re
import unittest

import common

DEP5 = common.TREE / ".reuse/dep5"
TAG = "SPDX-License-Identifier"
HEADER = re.compile(rf"{TAG}: (\S+)")
HEADER_LINES = 3


def setUpModule():
    common.install("git", "reuse")


def files_without_header():
    """Matches the names of files that need no header: those of the second paragraph of dep5."""
    patterns = re.findall(r"^Files: ((?:.*\n)(?: .*\n)*)", DEP5.read_text(), re.MULTILINE)[1].split()
    return re.compile("|".join(re.escape(p).replace(r"\*", ".*") for p in patterns))


def header(name):
    """The license that the first lines of a file name, or None."""
    with open(common.TREE / name, encoding="utf-8", errors="replace") as file:
        found = HEADER.search("".join(file.readline() for _ in range(HEADER_LINES)))
    return found and found[1]


class Licenses(unittest.TestCase):
    def test_the_tree_complies_with_reuse(self):
        common.run("reuse", "lint", env=common.ANY_OWNER)

    def test_each_file_that_can_have_a_comment_begins_with_its_license(self):
        exempt = files_without_header()
        wrong = [name for name in common.files() if not exempt.fullmatch(name) and header(name) != "MIT"]
        self.assertEqual(wrong, [])

    def test_each_pattern_without_header_is_needed(self):
        names = common.files()
        for pattern in files_without_header().pattern.split("|"):
            self.assertTrue(any(re.fullmatch(pattern, name) for name in names), pattern)

    def test_the_license_is_the_same_where_each_reader_looks_for_it(self):
        text = (common.TREE / "LICENSE").read_text()
        self.assertEqual((common.TREE / "LICENSES/MIT.txt").read_text(), text)
        debian = (common.TREE / "packaging/debian/copyright").read_text()
        words = text.partition("\n\n")[2].partition("\n\n")[2].split()
        self.assertIn(" ".join(words), " ".join(debian.replace("\n .\n", "\n").split()))


if __name__ == "__main__":
    unittest.main()
