# SPDX-License-Identifier: MIT
"""The completions of the package in the real shells, compared with the options of the programs."""

import pathlib
import re
import tempfile
import unittest

import common

TIMEOUT_SEC = 60
HERE = pathlib.Path(__file__).resolve().parent
SOURCES = {"greetd": "src/main.c", "greet": "src/greet/arguments.c"}
OPTION = re.compile(r'\{"([a-z-]+)", (no|required|optional)_argument, NULL, (?:\'(\w)\')?')
LETTERS = re.compile(r'argv, ":([\w:]+)", options')
CONFIGURATION = """\
[Server]
ListenStream=127.0.0.1:7001
ListenStream=[::1]:7002
[Listener motd]
ListenStream=/run/motd
"""

NAMES = """\
[Listener web site]
ListenStream=/run/$(touch run) x
[Listener $(touch run)]
[Listener `touch run`]
[Listener *]
"""


class Options:
    """The options in the source of a program."""

    def __init__(self, program):
        source = (common.TREE / SOURCES[program]).read_text()
        rows = OPTION.findall(source)
        self.names = {f"--{name}": kind for name, kind, _ in rows}
        with_letters = {f"-{letter}": f"--{name}" for name, _, letter in rows if letter}
        # A letter above 'z' or of upper case is the number of an option without a letter.
        letters = LETTERS.search(source)[1].replace(":", "")
        self.letters = {f"-{letter}": with_letters[f"-{letter}"] for letter in letters}


class Shell:
    """A shell that offers words for the end of a command line."""

    environment: dict

    def __init__(self, root, home):
        self.root, self.home = root, home
        self.environment = {
            "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8",
            "PATH": f"{root}/usr/bin:{root}/usr/sbin:/usr/bin:/bin",
            "XDG_DATA_DIRS": f"{root}/usr/share:/usr/share",
        }

    def run(self, *command):
        return common.run(*command, env=self.environment, cwd=self.home, check=False, timeout=TIMEOUT_SEC)[1]


class Bash(Shell):
    def words(self, line):
        # What is in $COMP_WORDBREAKS is a word of its own.
        word = r"""(?:\\.|'.*?'|".*?"|[^\s=:])+"""
        words = re.findall(f"[=:]+|{word}", line) + [""] * line.endswith(" ")
        self.environment["LINE"] = line
        offered = self.run("bash", HERE / "completion/complete.bash", *words).splitlines()
        prefix = line[line.rfind(" ") + 1:line.rfind(":") + 1]
        return [prefix.rpartition("=")[2] + word for word in offered]


class Zsh(Shell):
    # On a terminal of its own, whose output is not needed.
    RUN = "zmodload zsh/zpty; zpty shell zsh -d -i; while zpty -r shell output; do :; done"

    def words(self, line):
        matches = self.home / "matches"
        self.environment |= {
            "LINE": line, "MATCHES": str(matches), "ZDOTDIR": str(HERE / "completion"),
            "FOLDER": str(self.root / "usr/share/zsh/vendor-completions"),
        }
        self.run("zsh", "-fc", self.RUN)
        *words, end = matches.read_text().replace("\\", "").splitlines()
        matches.unlink()
        assert end == "END", words
        return words


class Fish(Shell):
    def words(self, line):
        self.environment["LINE"] = line
        output = self.run("fish", "-c", "complete -C $LINE").splitlines()
        # A tab is before each description; a value of an option has the option before it.
        words = [word.partition("\t")[0] for word in output]
        option = line.rpartition(" ")[2].partition("=")
        return [word.removeprefix("".join(option[:2])) if option[1] else word for word in words]


class CompletionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        common.install("bash", "bash-completion", "zsh", "fish", "procps")
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.root, cls.home = folder / "root", folder / "home"
        cls.home.mkdir()
        common.run("dpkg-deb", "-x", common.debian_package(), cls.root)
        (cls.home / "receipts.json").touch()
        (cls.home / "greetd.conf").write_text(CONFIGURATION)

    def check(self, line, check, *shells):
        """Calls CHECK with what each of SHELLS, or each shell, offers for LINE."""
        for shell in shells or (Bash, Zsh, Fish):
            with self.subTest(shell=shell.__name__, line=line):
                check(shell(self.root, self.home).words(line))

    def assert_offered(self, line, *words):
        """Each shell offers WORDS at the end of LINE, perhaps among others. A file may have its folder
        before it and a slash behind it."""
        self.check(line, lambda offered: self.assertLessEqual(
            set(words), {*offered, *(pathlib.PurePath(word).name for word in offered)}))

    def test_all_long_options_are_completed_and_no_other(self):
        for program in SOURCES:
            names = set(Options(program).names)
            self.check(f"{program} --", lambda words: self.assertEqual(
                {word.removesuffix("=") for word in words if word.startswith("--")}, names))

    def test_all_letters_are_completed_and_no_other(self):
        for program in SOURCES:
            letters = set(Options(program).letters)
            self.check(f"{program} -", lambda words: self.assertEqual(
                {word for word in words if re.fullmatch("-[^-]", word)}, letters))

    def test_the_tables_of_the_sources_are_those_of_the_help(self):
        """So the other tests compare with all options there are."""
        for program in SOURCES:
            _, text = common.run(*self.root.glob(f"usr/*bin/{program}"), "--help")
            options = Options(program)
            self.assertEqual(set(re.findall(r"(?<![\w-])--[a-z-]+", text)), set(options.names))
            letters = dict(re.findall(r"^  (-\w), (--[a-z-]+)", text, re.MULTILINE))
            self.assertEqual(letters, options.letters)

    def test_an_option_is_no_argument_of_another(self):
        """fish offers options after all options."""
        for program in SOURCES:
            for name, kind in Options(program).names.items():
                if name in ("--help", "--version"):
                    continue  # zsh offers nothing after them
                check = self.assertNotIn if kind == "required" else self.assertIn
                self.check(f"{program} {name} --ver", lambda words: check("--version", words), Bash, Zsh)

    def test_files(self):
        for line, file in (
            ("greetd --config ", "greetd.conf"), ("greetd --config=gr", "greetd.conf"),
            ("greetd -c gr", "greetd.conf"),
            ("greet --expect-config=gr", "greetd.conf"), ("greet --expect-file re", "receipts.json"),
            ("greet --load --receipts=re", "receipts.json"), ("greet --reconcile re", "receipts.json"),
        ):
            self.assert_offered(line, file)

    def test_names_of_listeners(self):
        self.assert_offered("greet --expect-config=greetd.conf --listener ", "server", "motd")
        self.assert_offered("greet --expect-config=greetd.conf --listener=m", "motd")

    def test_names_are_text_for_the_shell(self):
        (self.home / "web site.conf").write_text(NAMES)
        names = {"server", "web site", "$(touch run)", "`touch run`", "*"}
        for path in ("web\\ site.conf", "'web site.conf'", '"web site.conf"'):
            self.check(f"greet --expect-config={path} --listener ", lambda words: self.assertEqual(
                {word.replace("\\", "") for word in words}, names))
            self.check(f"greet --expect-config={path} ", lambda words: self.assertIn(
                "/run/$(touch run) x", {word.replace("\\", "") for word in words}))
        self.check("greet --expect-config=web\\ site.conf --listener ", lambda words: self.assertLessEqual(
            {"web\\ site", "\\$\\(touch\\ run\\)"}, set(words)), Bash)
        self.assertFalse((self.home / "run").exists())

    def test_addresses(self):
        self.assert_offered("greet --expect-config=greetd.conf ", "127.0.0.1:7001", "[::1]:7002")
        self.assert_offered("greet --expect-config=greetd.conf 127.0.0.1:7", "127.0.0.1:7001")
        self.assert_offered("greet --expect-config=greetd.conf /bi", "bin")
        self.assert_offered("greetd --listen ", "127.0.0.1:", "[::1]:")
        self.assert_offered("greetd -l 127", "127.0.0.1:")
        self.assert_offered("greetd --listen=/bi", "bin")

    def test_other_words(self):
        self.assert_offered("greet --proxy ", "local", "unix", "v1:local", "v1:unix")
        self.assert_offered("greet --load --proxy=v1:l", "v1:local")
        self.check("greet --load --pid ", lambda words: self.assertRegex(" ".join(words), r"^\d+( \d+)*$"))

    def test_free_text_completes_to_nothing(self):
        for line in ("greetd --message ", "greet -e ", "greet --send=", "greet --load -n "):
            self.check(line, lambda words: self.assertEqual(words, []))
