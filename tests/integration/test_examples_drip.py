# SPDX-License-Identifier: MIT
"""drip.conf: an SSH client waits for lines that never end."""

import re
import subprocess
import unittest

from support import examples
from support.daemon import TIMEOUT

BANNER_LINE = re.compile(r"debug1: kex_exchange_identification: banner line \d+: (.*)\n")
WAIT = ["Please wait.", "You will be connected soon."]


class Drip(examples.ExampleTestCase):
    def test_an_ssh_client_waits_for_lines_that_begin_again(self):
        self.serve_example("drip.conf", more="[Listener 22]\nDripSec=10ms\n")
        lines = []
        with subprocess.Popen(["timeout", str(TIMEOUT), "ssh", "-v", "-F", "none", "127.0.0.1"],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ssh:
            self.addCleanup(ssh.terminate)
            for line in ssh.stderr:
                if match := BANNER_LINE.fullmatch(line):
                    lines.append(match[1])
                if len(lines) == 3 * len(WAIT):
                    break
            self.assertEqual(lines, 3 * WAIT)
            self.assertIsNone(ssh.poll())
            ssh.terminate()


if __name__ == "__main__":
    unittest.main()
