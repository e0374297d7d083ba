# SPDX-License-Identifier: MIT
"""Files, drop-ins, errors in them and the command line."""

import errno
import re
import unittest

from support import daemon, namespaces
from support.daemon import EX_CONFIG, EX_OSERR, EX_USAGE

FIVE_ERRORS = """\
# a comment
[Server]
Backlog=many
ListenStream=127.0.0.1:99999

[Greeting]
Message=fine \\
  and continued
Mesage=misspelt
LingerSec=2 fortnights
[Loging]
"""


def setUpModule():
    namespaces.isolate()


class Config(daemon.GreetdTestCase):
    def check(self, text, *args):
        """Runs --check on a file that holds TEXT; returns the process and the file's path."""
        path = self.write("greetd.conf", text)
        return self.finish("--check", "-c", path, *args, config=None), path

    def settings(self, *args):
        """The output of --show-config: its lines without comments, and the whole text."""
        shown = self.finish("--show-config", *args, config=None)
        self.assertEqual((shown.status, shown.lines), (0, []))
        text = shown.stdout()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return lines, text

    def test_five_errors_are_five_lines(self):
        greetd, path = self.check(FIVE_ERRORS)
        self.assert_ends(greetd, EX_CONFIG)
        numbers = [re.match(rf"{re.escape(path)}:(\d+): \S", line) for line in greetd.lines]
        self.assertEqual([m and int(m[1]) for m in numbers], [3, 4, 9, 10, 11], greetd.lines)

    def test_an_error_keeps_greetd_from_starting(self):
        greetd = self.finish(config=FIVE_ERRORS)
        self.assert_ends(greetd, EX_CONFIG)
        self.assertEqual(len(greetd.lines), 5, greetd.lines)

    def test_an_unknown_key_gets_the_nearest_name(self):
        greetd, _ = self.check("[Greeting]\nMesage=x\n")
        self.assertRegex(greetd.lines[0], r"Mesage.*\bMessage\b")

    def test_an_unknown_section_gets_the_nearest_name(self):
        greetd, _ = self.check("[Servr]\nBacklog=1\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertRegex(greetd.lines[0], r"Servr.*\bServer\b")

    def test_a_good_file_passes_without_output(self):
        greetd, _ = self.check("[Server]\nBacklog=1\n")
        self.assert_ends(greetd, 0)
        self.assertEqual(greetd.lines, [])

    def test_check_opens_no_socket(self):
        path = self.folder / "socket"
        greetd, _ = self.check(f"[Server]\nListenStream={path}\n")
        self.assert_ends(greetd, 0)
        self.assertFalse(path.exists())

    def test_a_named_file_must_exist(self):
        path = f"{self.folder}/missing.conf"
        for mode in ((), ("--check",), ("--show-config",)):
            with self.subTest(mode):
                greetd = self.finish(*mode, "-c", path, config=None)
                self.assert_ends(greetd, EX_CONFIG)
                self.assertRegex(greetd.lines[0], f"{re.escape(path)}.*No such file or directory")

    def test_drop_ins_are_read_in_name_order_after_the_file(self):
        path = self.write("greetd.conf", "[Greeting]\nMessage=file\nLingerSec=1s\n")
        self.write("greetd.conf.d/20-later.conf", "[Greeting]\nMessage=later\n")
        self.write("greetd.conf.d/10-sooner.conf", "[Greeting]\nMessage=sooner\nLingerSec=3s\n")
        self.write("greetd.conf.d/30-not-read.conf~", "[Greeting]\nMessage=backup\n")
        lines, text = self.settings("-c", path)
        self.assertIn("Message=later", lines)
        self.assertIn("LingerSec=3s", lines)
        self.assertRegex(text, r"# .*20-later\.conf:2\nMessage=later")
        self.assertRegex(text, r"# .*10-sooner\.conf:3\nLingerSec=3s")

    def test_a_list_is_appended_to_and_cleared(self):
        path = self.write("greetd.conf", "[Server]\nListenStream=127.0.0.1:1\n")
        self.write("greetd.conf.d/1.conf", "[Server]\nListenStream=127.0.0.1:2\n")
        lines, _ = self.settings("-c", path)
        addresses = [line for line in lines if line.startswith("ListenStream=")]
        self.assertEqual(addresses, ["ListenStream=127.0.0.1:1", "ListenStream=127.0.0.1:2"])
        self.write("greetd.conf.d/2.conf", "[Server]\nListenStream=\nListenStream=127.0.0.1:3\n")
        lines, _ = self.settings("-c", path)
        addresses = [line for line in lines if line.startswith("ListenStream=")]
        self.assertEqual(addresses, ["ListenStream=127.0.0.1:3"])

    def test_an_error_in_a_drop_in_names_the_drop_in(self):
        self.write("greetd.conf.d/10-bad.conf", "[Server]\n\nBacklog=-1\n")
        greetd, path = self.check("[Server]\nWorkers=none\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertEqual(
            [line.split(": ")[0] for line in greetd.lines],
            [f"{path}:2", f"{path}.d/10-bad.conf:3"],
        )

    def test_show_config_prints_the_defaults(self):
        lines, text = self.settings("-c", self.write("greetd.conf", ""))
        for line in (
            "[Server]",
            "ListenStream=127.0.0.1:12345",
            "Backlog=4096",
            "Workers=auto",
            "MaxConnections=16384",
            "StopTimeoutSec=5s",
            "[Greeting]",
            "Message=Hello from server!",
            "WriteTimeoutSec=30s",
            "LingerSec=2s",
        ):
            self.assertIn(line, lines)
        self.assertIn("# default\nBacklog=4096\n", text)

    def test_show_config_is_read_back_as_the_same(self):
        first = self.write(
            "first.conf",
            "[Server]\nListenStream=1\nListenStream=[::1]:2\nListenStream=@x\nBacklog=12\n"
            "StopTimeoutSec=1min 30s\nWorkers=3\nMaxConnections=65536\n"
            "[Greeting]\nMessage=a ; b # c \\x00\\\\ \"d\"\nLingerSec=infinity\n"
            f"[Listener web]\nListenStream=80\nMessageFile={self.write('banner', 'x')}\n"
            "[Listener other]\nWriteTimeoutSec=500ms\n",
        )
        lines, text = self.settings("-c", first)
        self.assertGreater(len(lines), 15)
        again, _ = self.settings("-c", self.write("second.conf", text))
        self.assertEqual(again, lines)
        self.assertIn(f"# {first}:5\nBacklog=12\n", text)

    def test_the_command_line_overrides_the_file(self):
        path = self.write("greetd.conf", "[Server]\nListenStream=1\n[Greeting]\nMessage=file\n")
        lines, text = self.settings("-c", path, "-l", "2", "-l", "@x", "-m", "typed")
        self.assertEqual(
            [line for line in lines if line.startswith(("ListenStream=", "Message="))],
            ["ListenStream=2", "ListenStream=@x", "Message=typed"],
        )
        self.assertIn("# command line\nMessage=typed\n", text)

    def test_a_long_value_is_not_cut(self):
        message = "not a ; comment # either " + "x" * 100_000
        greetd = self.serve("-l", "127.0.0.1:0", config=f"[Greeting]\nMessage={message}\n")
        self.assert_greeted(greetd.address(), message.encode())

    def test_a_message_file_is_sent_byte_for_byte(self):
        content = bytes(range(256)) * 7 + b"\\n$hostname\n"
        file = self.write("banner", content)
        greetd = self.serve("-l", "127.0.0.1:0", config=f"[Greeting]\nMessageFile={file}\n")
        self.assert_greeted(greetd.address(), content)

    def test_an_empty_message_is_just_the_end_of_stream(self):
        file = self.write("banner", "")
        greetd = self.serve("-l", "127.0.0.1:0", config=f"[Greeting]\nMessageFile={file}\n")
        self.assert_greeted(greetd.address(), b"")

    def test_a_missing_message_file_is_an_error(self):
        greetd, path = self.check("[Greeting]\nMessageFile=/missing/file\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertEqual(len(greetd.lines), 1, greetd.lines)
        self.assertRegex(
            greetd.lines[0], rf"^{re.escape(path)}:2: .*/missing/file.*No such file or directory"
        )

    def test_a_missing_message_file_fails_with_a_status_that_allows_a_retry(self):
        greetd = self.finish(config="[Greeting]\nMessageFile=/missing/file\n")
        self.assert_ends(greetd, EX_OSERR)
        self.assertRegex(greetd.lines[0], r":2: .*/missing/file.*No such file or directory")
        self.assertEqual(greetd.values("ERRNO"), [("ERRNO", str(errno.ENOENT))])

    def test_an_error_beside_a_missing_message_file_allows_no_retry(self):
        self.assert_ends(
            self.finish(config="[Server]\nBacklog=0\n[Greeting]\nMessageFile=/missing/file\n"),
            EX_CONFIG,
        )

    def test_a_message_file_that_is_a_directory_is_an_error(self):
        greetd = self.finish(config=f"[Greeting]\nMessageFile={self.folder}\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertRegex(greetd.lines[0], "Is a directory")

    def test_a_message_file_over_the_limit_is_an_error(self):
        file = self.write("big", b"")
        with open(file, "r+b") as big:
            big.truncate((16 << 20) + 1)
        greetd, path = self.check(f"[Greeting]\nMessageFile={file}\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertRegex(greetd.lines[0], rf"^{re.escape(path)}:2: .*File too large")

    def test_a_bad_escape_is_an_error(self):
        greetd, path = self.check("[Greeting]\nMessage=good \\q bad\n")
        self.assert_ends(greetd, EX_CONFIG)
        self.assertRegex(greetd.lines[0], rf"^{re.escape(path)}:2: .*\\q")


class CommandLine(daemon.GreetdTestCase):
    def assert_misused(self, *args):
        greetd = self.finish(*args, config=None)
        self.assert_ends(greetd, EX_USAGE)
        self.assertTrue(greetd.lines)
        return "\n".join(greetd.lines)

    def test_an_unknown_option(self):
        self.assertIn("--nonsense", self.assert_misused("--nonsense"))

    def test_an_option_without_its_argument(self):
        self.assert_misused("--config")

    def test_an_argument_that_is_no_option(self):
        self.assertIn("argument", self.assert_misused("stray"))

    def test_a_malformed_address(self):
        self.assertIn("127.0.0.1:http", self.assert_misused("-l", "127.0.0.1:http"))

    def test_help_is_written_to_stdout(self):
        for option in ("--help", "-h"):
            greetd = self.finish(option, config=None)
            self.assertEqual((greetd.status, greetd.lines), (0, []))
            for named in ("--config", "--listen", "--message", "--check", "--show-config",
                          "--help", "--version"):
                self.assertIn(named, greetd.stdout())

    def test_version_is_written_to_stdout(self):
        greetd = self.finish("--version", config=None)
        self.assertEqual((greetd.status, greetd.lines), (0, []))
        self.assertRegex(greetd.stdout(), r"^greetd \d+(\.\d+){2}(\+[\w.]+)?\n$")

    def test_output_that_cannot_be_written_is_a_failure(self):
        for option in ("--help", "--version", "--show-config"):
            with self.subTest(option), open("/dev/full", "wb") as full:
                greetd = self.finish(option, config=None, stdout=full)
                self.assertNotEqual(greetd.status, 0)


if __name__ == "__main__":
    unittest.main()
