# SPDX-License-Identifier: MIT
"""systemd and greetd read odd files, and find the same in them.

systemd-analyze(1) and `greetd --check` name each line that is wrong and the value in it. In every
file here [S] stands for a section and K for a boolean setting of it that both know. An error for a
value that is no boolean shows how the value was read.
"""

import re
import subprocess
import unittest

from support import daemon, namespaces

# Both read the same, in the same lines.
SAME = {
    "blanks around everything": "  [S]\t \n \tK \t= \ta b \t\n",
    "no newline at the end": "[S]\nK=a",
    "comments": "# a\n; b\n \t# c\n[S]\n#K=a\n\t;K=a\nK=b # c ; d\nK=#a\n",
    "a comment that seems to go on": "[S]\n# a \\\nK=a\n",
    "more than one equals sign": "[S]\nK==a=b=\n",
    "an unknown setting, empty or not": "[S]\nzzz=\nzzz=a\n",
    "quotes and escapes": "[S]\nK=\"a b\"\nK=' a '\nK=a\\nb\\x41\\\\\"\nK=\"a\n",
    "tabs and blanks inside": "[S]\nK=a\tb  c\n",
    "other characters that only look blank": "[S]\nK=\va\f\n",
    "UTF-8": "[S]\nK=\u00e4\u20ac\n",
    "CR LF": "[S]\r\nK=a\r\n\r\nK=b\r\n",
    "lone CR": "[S]\rK=a\r\rK=b\r",
    "LF CR": "[S]\n\rK=a\n\r\n\rK=b\n",
    "CR inside of a value": "[S]\nK=a\rK=b\n",
    "CR LF LF CR": "[S]\r\n\n\rK=a\n",
    "a byte order mark": "\ufeff[S]\nK=a\n",
    "a blank behind the backslash": "[S]\nK=a\\ \nK=b\n",
    "a tab behind the backslash": "[S]\nK=a\\\t\nK=b\n",
    "two backslashes": "[S]\nK=a\\\\\nK=b\n",
    "a backslash inside": "[S]\nK=a\\b\n",
    "neither section nor setting": "[S]\na\nK=a\n =b\n",
    "before any section": "K=a\n[S]\nK=b\n",
}

# Both read the same, but greetd names the line where it begins and systemd the one where it ends.
CONTINUED = {
    "the next line keeps its blanks": "[S]\nK=a \\\n   b\nK=c\n",
    "many lines": "[S]\nK=a\\\nb\\\n  \\\nc\nK=d\n",
    "three backslashes": "[S]\nK=a\\\\\\\nb\n",
    "at the end of the file": "[S]\nK=a\\",
    "at the end of the last line": "[S]\nK=a\\\n",
    "comments between": "[S]\nK=a\\\n# b\n  ; c \\\n d\nK=e\n",
    "a comment last": "[S]\nK=a\\\n# b",
    "a blank line": "[S]\nK=a\\\n\nK=b\n",
    "a line of blanks": "[S]\nK=a\\\n \t \nK=b\n",
    "a backslash alone": "[S]\n\\\nK=a\n\\\n\\\n",
    "blanks and a backslash alone": "[S]\nK=a\\\n  \\\nb\n",
    "before the equals sign": "[S]\nK\\\n=a\n",
    "a section header is no header": "[S]\nK=a\\\n[S]\n",
    "a header in two lines": "[S\\\n]\nK=a\n",
    "CR LF": "[S]\r\nK=a\\\r\nb\r\nK=c\r\n",
    "lone CR": "[S]\rK=a\\\rb\rK=c\r",
    "a blank before CR LF": "[S]\r\nK=a\\ \r\nK=b\\\r\n",
}

# Files in which systemd skips text silently, or stops at an error, and greetd does not: the file,
# the findings of systemd, and those of greetd.
DIFFERENT = {
    "a header that is none ends systemd's reading": (
        "[S] # a\nK=a\n[S]\nK=b\n",
        [(1, "!")],
        [(1, "!"), (4, "K=b")],
    ),
    "a NUL byte ends systemd's line": (
        "[S]\nK=a\0zzz\nK=b\0\nK=c\n",
        [(2, "K=a"), (3, "!"), (4, "K=b"), (6, "K=c")],
        [(2, "!"), (3, "!"), (4, "K=c")],
    ),
    "systemd passes over a byte order mark in any one line": (
        "[S]\n\ufeffK=a\n\ufeffK=b\n",
        [(2, "K=a"), (3, "\ufeffK")],
        [(2, "\ufeffK"), (3, "\ufeffK")],
    ),
    "systemd sees no comment behind a byte order mark": (
        "\ufeff# a\n[S]\nK=a\n",
        [(1, "!"), (3, "K=a")],
        [(3, "K=a")],
    ),
    "systemd passes over what begins with X-": (
        "[S]\nX-a=b\n[X-c]\nd=e\n",
        [],
        [(2, "X-a"), (3, "[X-c]")],
    ),
    "a line longer than 1 MiB ends systemd's reading": (
        f"[S]\nK=a\nzzz={'x' * (1 << 20)}\nK=b\n",
        [(2, "K=a")],
        [(2, "K=a"), (3, "zzz"), (4, "K=b")],
    ),
}

# Patterns of the text behind PATH:LINE: in the messages of both, and the finding for each.
FOUND_BY_SYSTEMD = (
    (r"Unknown key(?: name)? '(.*)' in section .*", r"\1"),
    (r"Unknown section '(.*)'\. Ignoring\.", r"[\1]"),
    (r"Failed to parse .*, ignoring: (.*)", r"K=\1"),
    (r"Missing .*|Assignment outside of section.*|Invalid section header .*", "!"),
)
FOUND_BY_GREETD = (
    (r"Unknown setting (.*)= in \[.*", r"\1"),
    (r"Unknown section \[(.*?)\].*", r"[\1]"),
    (r"K=(.*): must be .*", r"K=\1"),
    (r"(?:Neither|The name|This setting|A section header|There is a NUL byte) .*", "!"),
)


def setUpModule():
    namespaces.isolate()


def entries(output, path, patterns):
    """The line and the finding of each message that begins with PATH."""
    found = []
    for line, text in re.findall(rf"^{re.escape(path)}:(\d+): (.*)$", output, re.MULTILINE):
        text = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), text)
        text = re.sub("Service|Server", "S", re.sub("RemainAfterExit|FastOpen", "K", text))
        for pattern, replacement in patterns:
            if match := re.fullmatch(pattern, text):
                found.append((int(line), match.expand(replacement)))
                break
        else:
            raise AssertionError(f"unexpected: {text}")
    return found


class Syntax(daemon.GreetdTestCase):
    def by_systemd(self, file):
        text = file.replace("[S", "[Service").replace("K", "RemainAfterExit")
        path = self.write("odd.service", text)
        command = ["systemd-analyze", "verify", "--man=no", path]
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "check": False}
        output = subprocess.run(command, **options).stderr.decode()
        return entries(output, path, FOUND_BY_SYSTEMD)

    def by_greetd(self, file):
        text = file.replace("[S", "[Server").replace("K", "FastOpen")
        path = self.write("odd.conf", text)
        output = "\n".join(self.finish("--check", "-c", path, config=None).lines)
        return entries(output, path, FOUND_BY_GREETD)

    def test_the_same_is_found_in_the_same_lines(self):
        for case, file in SAME.items():
            with self.subTest(case):
                expected = self.by_systemd(file)
                self.assertTrue(expected)
                self.assertEqual(self.by_greetd(file), expected)

    def test_the_same_is_found_in_continued_lines(self):
        for case, file in CONTINUED.items():
            with self.subTest(case):
                expected = self.by_systemd(file)
                found = self.by_greetd(file)
                self.assertTrue(expected)
                self.assertEqual([text for _, text in found], [text for _, text in expected])
                for (begun, _), (ended, _) in zip(found, expected):
                    self.assertLessEqual(begun, ended)

    def test_greetd_differs_where_something_would_be_lost(self):
        for case, (file, by_systemd, by_greetd) in DIFFERENT.items():
            with self.subTest(case):
                self.assertEqual(self.by_systemd(file), by_systemd)
                self.assertEqual(self.by_greetd(file), by_greetd)


if __name__ == "__main__":
    unittest.main()
