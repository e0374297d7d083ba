# SPDX-License-Identifier: MIT
"""Right and wrong configuration files."""

from support.case import ADDRESS, GREETING, SystemTest

CONFIG = "/etc/greetd.conf"
CLOSED = "[Greeting]\nMessage=Closed for today.\\n\n"
BROKEN = "[Server]\nNonsense=1\n"
NO_SUCH_OPTION = "[Service]\nExecStart=\nExecStart=/usr/sbin/greetd --nonsense\n"

# Failed starts of the service while a client waits.
SEVERAL = 3

# At least a second passes between two of them; the clocks of the journal may differ a little.
PAUSE_USEC = 950_000


class Configuration(SystemTest):
    def test_a_drop_in_takes_effect_at_restart(self):
        self.assertEqual(self.greet(), GREETING)
        self.write("/etc/greetd.conf.d/50-closed.conf", CLOSED)
        self.assertEqual(self.greet(), GREETING)
        self.systemctl("restart", "greetd")
        self.assertEqual(self.greet(), "Closed for today.\n")

    def test_a_broken_file_fails_the_service_once_with_its_line_in_the_journal(self):
        self.write(CONFIG, BROKEN)
        self.systemctl("start", "greetd", check=False)
        shown = self.show("greetd.service", "ActiveState", "Result", "ExecMainStatus", "NRestarts")
        self.assertEqual(shown, {"ActiveState": "failed", "Result": "exit-code",
                                 "ExecMainStatus": "78", "NRestarts": "0"})
        messages = [entry["MESSAGE"] for entry in self.entries()]
        self.assertEqual(sum(text.startswith(f"{CONFIG}:2: ") for text in messages), 1, messages)

    def test_a_client_is_greeted_once_a_broken_file_is_mended(self):
        sound = self.machine.path(CONFIG).read_text()
        self.write(CONFIG, BROKEN)
        client = self.start_client("greet", ADDRESS)
        self.eventually(lambda: self.assertGreaterEqual(self.failures_to_start(), SEVERAL))
        self.assertEqual(self.state("greetd.socket"), "active")
        self.write(CONFIG, sound)
        self.assertEqual(self.finish_client(client), GREETING)

    def test_a_broken_file_and_a_pending_client_do_not_keep_the_machine_busy(self):
        self.write(CONFIG, BROKEN)
        self.assert_pauses_between_failures()

    def test_a_bad_command_line_and_a_pending_client_do_not_keep_the_machine_busy(self):
        self.write("/etc/systemd/system/greetd.service.d/options.conf", NO_SUCH_OPTION)
        self.systemctl("daemon-reload")
        self.assert_pauses_between_failures()

    def assert_pauses_between_failures(self):
        client = self.start_client("greet", ADDRESS)
        self.eventually(lambda: self.assertGreaterEqual(self.failures_to_start(), SEVERAL))
        client.kill()
        failed = sorted(int(entry["__MONOTONIC_TIMESTAMP"])
                        for entry in self.entries(UNIT_RESULT="exit-code"))
        for earlier, later in zip(failed, failed[1:]):
            self.assertGreaterEqual(later - earlier, PAUSE_USEC)

    def failures_to_start(self):
        return len(self.entries(UNIT_RESULT="exit-code"))
