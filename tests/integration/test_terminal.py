#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a person sees on a terminal, and a script does not: colours, the chart of a load run, the files
that --check has read."""

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import termios
import unittest

from support import daemon, greet, poll
from support.greet import EXPECT, send_greeting, send_wrong

RED, YELLOW, GREEN, BOLD, PLAIN = "\033[1;31m", "\033[1;33m", "\033[32m", "\033[1m", "\033[0m"
MISTAKE = "[Greeting]\nMesage=Hello\n"
COLUMNS = 60


def read_terminal(controller, process):
    """All that PROCESS writes to a terminal, which others have to keep open: the end that a read(2) reports
    after the last close can overtake what was written right before it."""
    output = b""
    while True:
        ended = process.poll() is not None
        if select.select([controller], [], [], 0 if ended else poll.INTERVAL_SEC)[0]:
            output += os.read(controller, 65536)
        elif ended:
            return output.decode().replace("\r\n", "\n")


class TerminalTestCase(greet.GreetTestCase):
    def on_terminal(self, *command, stdin=b"", pipe=None, **environment):
        """The exit status of COMMAND and all that it writes to a terminal of COLUMNS columns. PIPE is a
        standard stream (1, 2) that is not the terminal; self.piped is what it gets."""
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        self.addCleanup(os.close, terminal)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        streams = {"stdout": terminal, "stderr": terminal}
        if pipe is not None:
            streams[("stdin", "stdout", "stderr")[pipe]] = subprocess.PIPE
        process = subprocess.Popen(command, stdin=subprocess.PIPE, **streams,
                                   env=self.environment(**{"TERM": "xterm", "LC_ALL": "C", **environment}))
        with process.stdin as stream:
            stream.write(stdin)
        output = read_terminal(controller, process)
        for piped in filter(None, (process.stdout, process.stderr)):
            with piped:
                self.piped = piped.read().decode()
        return process.returncode, output

    def assert_plain(self, output):
        self.assertNotIn("\033", output)

    def assert_coloured_only_if_wanted(self, *command, **options):
        """COMMAND colours its output on a terminal, and writes the same without colours if asked."""
        status, output = self.on_terminal(*command, **options)
        self.assertIn("\033[", output)
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            with self.subTest(environment):
                end = self.on_terminal(*command, **options, **environment)
                self.assertEqual(end, (status, re.sub(r"\033\[[\d;]*m", "", output)))
        with self.subTest("NO_COLOR is empty"):
            self.assertEqual(self.on_terminal(*command, **options, NO_COLOR=""), (status, output))
        return status, output


class CheckTest(TerminalTestCase):
    def check(self, *options):
        return (daemon.program(), "--check", *options)

    def test_a_mistake_shows_its_place(self):
        path = self.write("greetd.conf", MISTAKE)
        status, output = self.assert_coloured_only_if_wanted(*self.check("-c", path))
        self.assertEqual(status, 78)
        self.assertEqual(output, f"{RED}{path}:2:{PLAIN} Unknown setting Mesage= in [Greeting]; "
                                 "did you mean Message=?\n")

    def test_a_command_line_is_wrong(self):
        status, output = self.assert_coloured_only_if_wanted(*self.check("--lisen=80"))
        self.assertEqual(status, 2)
        self.assertEqual(output, f"{RED}greetd:{PLAIN} unknown option '--lisen'; did you mean "
                                 "'--listen'?\nTry 'greetd --help'.\n")

    def test_a_remark_is_a_warning(self):
        path = self.write("greetd.conf", "[Limits]\nDeny=192.0.2.1/24\n")
        status, output = self.on_terminal(*self.check("-c", path))
        self.assertEqual(status, 0)
        self.assertTrue(output.startswith(f"{YELLOW}{path}:2:{PLAIN} "), output)

    def test_the_files_that_were_read_are_ok(self):
        path = self.write("greetd.conf", "[Greeting]\nMessage=a\n")
        drop_in = self.write("greetd.conf.d/10-empty.conf", "")
        self.write("greetd.conf.d/wrong.cnf", MISTAKE)
        self.assertEqual(self.assert_coloured_only_if_wanted(*self.check("-c", path)),
                         (0, f"{path}: {GREEN}ok{PLAIN}\n{drop_in}: {GREEN}ok{PLAIN}\n"))

    def test_the_name_of_a_file_controls_no_terminal(self):
        path = self.write("greetd.conf", "")
        drop_in = self.write("greetd.conf.d/a\033[2J\u009b2J\nb: ok\u00e4.conf", "")
        shown = f"{path}.d/a\\x1b[2J\\xc2\\x9b2J\\x0ab: ok\u00e4.conf"
        self.assertEqual(self.on_terminal(*self.check("-c", path), NO_COLOR="1"),
                         (0, f"{path}: ok\n{shown}: ok\n"))
        pathlib.Path(drop_in).write_text(MISTAKE, encoding="utf-8")
        status, output = self.on_terminal(*self.check("-c", path), NO_COLOR="1")
        self.assertEqual(status, 78)
        self.assertTrue(output.startswith(f"{shown}:2: Unknown setting"), output)

    def test_there_may_be_no_file(self):
        self.own_etc()
        self.assertEqual(self.on_terminal(*self.check()),
                         (0, "There is no configuration file; the defaults are in force.\n"))

    def test_a_reload_logs_no_files(self):
        path = self.write("greetd.conf", "[Greeting]\nMessage=a\n")
        self.assertEqual(self.on_terminal(*self.check("-c", path), pipe=1), (0, ""))
        self.assertEqual(self.piped, "")
        self.assertEqual(self.on_terminal(*self.check("-c", path), pipe=2),
                         (0, f"{path}: {GREEN}ok{PLAIN}\n"))
        result = subprocess.run(self.check("-c", path), capture_output=True, check=True,
                                timeout=daemon.TIMEOUT, env=self.environment())
        self.assertEqual(result.stdout + result.stderr, b"")

    def test_a_pipe_has_no_colours(self):
        path = self.write("greetd.conf", MISTAKE)
        result = subprocess.run(self.check("-c", path), capture_output=True, check=False,
                                timeout=daemon.TIMEOUT, env=self.environment(TERM="xterm"))
        self.assertEqual(result.returncode, 78)
        self.assert_plain(result.stderr.decode())
        self.assertEqual(self.on_terminal(*self.check("-c", path), pipe=2), (78, ""))
        self.assertEqual(self.piped, result.stderr.decode())


class GreetTest(TerminalTestCase):
    def test_an_error_begins_in_red(self):
        status, output = self.assert_coloured_only_if_wanted(greet.program(), "--load", "--rate=0")
        self.assertEqual(status, greet.UNABLE)
        self.assertTrue(output.startswith(f"{RED}greet:{PLAIN} --rate: needs a number"), output)

    def test_errors_of_a_configuration_look_as_in_greetd(self):
        path = self.write("greetd.conf", MISTAKE)
        _, output = self.on_terminal(greet.program(), f"--expect-config={path}")
        self.assertTrue(output.startswith(f"{RED}{path}:2:{PLAIN} Unknown setting"), output)

    def test_each_step_has_its_time_in_bold(self):
        _, address = self.server(send_greeting)
        _, output = self.on_terminal(greet.program(), "--explain", "-q", address)
        self.assertRegex(output, r"\nconnected after \033\[1m\d+\.\d ms\033\[0m\n")
        _, output = self.on_terminal(greet.program(), "--explain", "-q", address, NO_COLOR="1")
        self.assert_plain(output)

    def test_a_greeting_is_not_changed(self):
        _, address = self.server(send_greeting)
        self.assertEqual(self.on_terminal(greet.program(), address),
                         (greet.OK, daemon.GREETING.decode()))

    def reconcile(self, *options, **environment):
        receipts = self.write("receipts", "".join(
            f'{{"number":{number},"bytes":{bytes},"end":"{end}","connect_usec":1,"end_usec":2}}\n'
            for number, bytes, end in ((1, 18, "ok"), (2, 0, "refused"))))
        return self.on_terminal(greet.program(), "--reconcile", receipts, *options, **environment)

    def test_a_verdict_has_the_colour_of_what_it_says(self):
        status, output = self.reconcile()
        self.assertNotEqual(status, greet.OK)
        self.assertRegex(output, r"(?m)^\033\[1;31m1\033\[0m \w")
        self.assertRegex(output, r"(?m)^2 receipts; ")
        self.assert_plain(self.reconcile("--json")[1])
        self.assert_plain(self.reconcile(NO_COLOR="1")[1])


class ChartTest(TerminalTestCase):
    ROW = r" *[\d.]+ (us|ms|s) (.+ )?\d+"

    def load(self, *options, behaviour=send_greeting, **environment):
        _, address = self.server(behaviour)
        status, output = self.on_terminal(greet.program(), "--load", "-n", "50", *EXPECT, *options,
                                          address, **environment)
        return status, output.rpartition("\033[K")[2].splitlines()

    def rows(self, *options, **environment):
        """The rows of the chart after the summary, which have to count all connections."""
        status, lines = self.load(*options, **environment)
        self.assertEqual(status, greet.OK)
        for row in lines[3:]:
            self.assertRegex(row, f"^{self.ROW}$")
        self.assertEqual(sum(int(row.split()[-1]) for row in lines[3:]), 50)
        return lines[3:]

    def test_has_the_width_of_the_terminal(self):
        for locale, bar in (("C", "#"), ("C.UTF-8", "█")):
            with self.subTest(locale):
                rows = self.rows(LC_ALL=locale)
                self.assertIn(bar, "".join(rows))
                widest = max(rows, key=lambda row: row.count(bar))
                # The longest bar is beside the greatest count, which needs the most digits.
                self.assertEqual(len(widest), COLUMNS, rows)

    def test_the_summary_is_coloured(self):
        _, lines = self.load()
        self.assertEqual(lines[1], f"{GREEN}50 ok{PLAIN}, 0 lost")
        self.assertRegex(lines[2], r"p50 \033\[1m\d+ us\033\[0m, p99 ")
        status, lines = self.load(behaviour=send_wrong)
        self.assertEqual(status, greet.WRONG)
        self.assertEqual(lines[1:], [f"0 ok, {RED}50 lost{PLAIN}: 50 wrong"])
        _, lines = self.load(NO_COLOR="1")
        self.assertEqual(lines[1], "50 ok, 0 lost")

    def test_a_dumb_terminal_has_the_results_alone(self):
        _, address = self.server(send_greeting)
        status, output = self.on_terminal(greet.program(), "--load", "-n", "50", *EXPECT, address,
                                          TERM="dumb")
        self.assertEqual(status, greet.OK)
        self.assertNotRegex(output, r"[\033\r]")
        self.assertRegex(output, rf"\n50 ok, 0 lost\n.*\n({self.ROW}\n)+$")

    def test_a_file_and_json_have_none(self):
        _, address = self.server(send_greeting)
        result = self.greet("--load", "-n", "50", *EXPECT, address)
        self.assertEqual(len(result.stdout.splitlines()), 3)
        self.assert_plain(result.stdout.decode())
        _, lines = self.load("--json")
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith('{"address":'), lines)
        self.assert_plain(lines[0])
        self.on_terminal(greet.program(), "--load", "-n", "50", *EXPECT, address, pipe=1)
        self.assertEqual(len(self.piped.splitlines()), 3, self.piped)
        self.assert_plain(self.piped)


if __name__ == "__main__":
    unittest.main()
