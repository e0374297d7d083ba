# SPDX-License-Identifier: MIT
"""Watch=yes: the service in its sandbox sends a changed file without a reload."""

from support.case import SystemTest

CONFIG = "/etc/greetd.conf.d/50-watch.conf"


class Watch(SystemTest):
    def assert_changes_are_sent(self, path):
        self.write(path, "first")
        self.write(CONFIG, f"[Greeting]\nMessageFile={path}\nWatch=yes\n")
        self.assert_sent("first")
        self.write(path, "written")
        self.assert_sent("written")
        self.write(path + ".new", "renamed")
        self.machine.run("mv", path + ".new", path)
        self.assert_sent("renamed")
        self.assertEqual(self.show("greetd.service", "NRestarts"), {"NRestarts": "0"})

    def assert_sent(self, text):
        self.eventually(lambda: self.assertEqual(self.greet(), text))

    def test_a_file_below_run(self):
        self.assert_changes_are_sent("/run/greeting/file")

    def test_a_file_below_etc(self):
        self.assert_changes_are_sent("/etc/greeting/file")

    def test_a_file_below_var_lib(self):
        self.assert_changes_are_sent("/var/lib/greeting/file")

    def test_a_folder_that_appears_after_the_start(self):
        path = "/run/greeting/file"
        self.write(CONFIG, f"[Greeting]\nMessageFile={path}\nWatch=yes\nStaleMessage=stale\n")
        self.assert_sent("stale")
        self.write(path, "there now")
        self.assert_sent("there now")
