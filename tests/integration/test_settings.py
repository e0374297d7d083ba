# SPDX-License-Identifier: MIT
"""greetd, greetd.conf and greetd.conf(5) have the same settings with the same defaults."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

TREE = pathlib.Path(__file__).parents[2]
FILE = TREE / "greetd.conf"
PAGE = TREE / "packaging" / "greetd.conf.5"

SECTION = re.compile(r"#?\[(.+)\]")
ASSIGNMENT = re.compile(r"#?(\w+)=(.*)")  # in prose, a space follows the #
PAGE_SECTION = re.compile(r'\.SH "\[(.+)\] SECTION"')
PAGE_TAG = re.compile(r"\.B (\w+)=")
PAGE_DEFAULT = re.compile(r"Default: (.+)\.")
PAGE_INHERITED = re.compile(r"as in \[(.+)\]")
PAGE_NO_VALUE = "none"

LISTENER = "Listener NAME"  # as greetd.conf and the page call the section


def run(option, text):
    """The output of greetd with OPTION and the configuration TEXT, or None if greetd rejects it."""
    with tempfile.TemporaryDirectory(prefix="greetd-test-") as folder:
        path = pathlib.Path(folder, "greetd.conf")
        path.write_text(text, encoding="utf-8")
        command = [os.environ["GREETD"], option, f"--config={path}"]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else None


class Settings(dict):
    """The default of each setting of one place, by section and name; "" if it has no value."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def add(self, section, name, default):
        if (section, name) in self:
            raise AssertionError(f"{self.place} has {name}= in [{section}] twice")
        self[section, name] = default

    def add_assignments(self, text):
        """Adds those of TEXT in the syntax of greetd.conf, whether they are comments or not."""
        section = None
        for line in text.splitlines():
            if match := SECTION.fullmatch(line):
                section = match[1]
            elif match := ASSIGNMENT.fullmatch(line):
                self.add(section, match[1], match[2])

    def add_page(self, text):
        """Adds those of TEXT, a manual page in which each paragraph ends in the default."""
        section, before, names = None, "", []
        for line in text.splitlines():
            if line.startswith(".SH"):
                match = PAGE_SECTION.fullmatch(line)
                section, names = match and match[1], []
            elif section and before in (".TP", ".TQ") and (match := PAGE_TAG.fullmatch(line)):
                names = [*names, match[1]] if before == ".TQ" else [match[1]]
                self.add(section, match[1], None)
            elif match := PAGE_DEFAULT.fullmatch(line):
                for name in names:
                    self[section, name] = self.page_default(name, match[1])
            before = line

    def page_default(self, name, text):
        if match := PAGE_INHERITED.fullmatch(text):
            return self.get((match[1], name))
        return "" if text == PAGE_NO_VALUE else text

    def add_hidden(self, others):
        """Adds those of OTHERS that --show-config does not print, since they have no value."""
        for section, name in sorted(others - self.keys()):
            if run("--check", f"[{section}]\n{name}=\n") is not None:
                self.add(section, name, "")

    def differences(self, program):
        """A line for each setting that is not as in PROGRAM."""
        for section, name in sorted(self.keys() | program.keys()):
            setting = f"{name}= in [{section}]"
            if (section, name) not in self:
                yield f"{self.place} lacks {setting}"
            elif (section, name) not in program:
                yield f"{self.place} has {setting}, which greetd does not know"
            elif self[section, name] != program[section, name]:
                yield (f"{self.place} has the default {self[section, name]!r} for {setting}, "
                       f"greetd has {program[section, name]!r}")


def show(text):
    """The settings that greetd prints with the configuration TEXT."""
    output = run("--show-config", text)
    if output is None:
        raise AssertionError(f"greetd rejects the configuration {text!r}")
    settings = Settings("greetd --show-config")
    settings.add_assignments(output)
    return settings


class SameSettings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = Settings("greetd.conf")
        cls.file.add_assignments(FILE.read_text(encoding="utf-8"))
        cls.page = Settings("greetd.conf(5)")
        cls.page.add_page(PAGE.read_text(encoding="utf-8"))
        cls.program = show(f"[{LISTENER}]\n")
        cls.program.add_hidden(cls.file.keys() | cls.page.keys())

    def assert_same(self, settings, program):
        if differences := list(settings.differences(program)):
            self.fail("\n".join(differences))

    def test_with_and_without_a_listener(self):
        others = show(f"[{LISTENER}]\n")
        listener = [key for key in others if key[0] == LISTENER]
        self.assertTrue(listener)
        for key in listener:
            del others[key]
        self.assert_same(others, show(""))

    def test_of_the_installed_file(self):
        self.assert_same(self.file, self.program)

    def test_of_the_manual_page(self):
        self.assert_same(self.page, self.program)


if __name__ == "__main__":
    unittest.main()
