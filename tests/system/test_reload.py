# SPDX-License-Identifier: MIT
"""`systemctl reload`: another configuration as a whole, or none."""

from support import client
from support.case import ADDRESS, BIG_GREETING, GREETING, SystemTest
from support.machine import CommandError

DROP_IN = "/etc/greetd.conf.d/50-test.conf"
CLOSED = "[Greeting]\nMessage=Closed for today.\n"
BROKEN = "[Greeting]\n\nMesage=Closed for today.\n"
ERROR = f"{DROP_IN}:3: Unknown setting Mesage= in [Greeting]; did you mean Message=?"
FIXED_AT_START = "[Server]\nWorkers=7\nMaxConnections=99\n"
ONE_AT_A_TIME = "[Server]\nWorkers=1\nMaxConnections=1\n"
BIG = "[Greeting]\nMessageFile=/etc/greeting\n"
CLIENTS = 20
RELOADED = "Reloaded the configuration"

RELOADS = 200
CONNECTIONS = 100_000
VERSIONS = "[Greeting]\nMessageFile=/etc/greeting\n[Log]\nConnections=no\n"


class Reload(SystemTest):
    def reload(self):
        self.systemctl("reload", "greetd")

    def wait_for_greeting(self, greeting):
        self.eventually(lambda: self.assertEqual(self.greet(), greeting))

    def test_changes_the_greeting_of_the_same_process(self):
        self.assertEqual(self.greet(), GREETING)
        before = self.main_pid()
        self.write(DROP_IN, CLOSED)
        self.assertEqual(self.greet(), GREETING)
        self.reload()
        self.wait_for_greeting("Closed for today.")
        self.assertEqual(self.main_pid(), before)
        self.eventually(lambda: self.assertEqual(self.state("greetd.service"), "active"))

    def test_of_a_broken_file_fails_and_changes_nothing(self):
        self.assertEqual(self.greet(), GREETING)
        before = self.main_pid()
        self.write(DROP_IN, BROKEN)
        with self.assertRaisesRegex(CommandError, "Job for greetd.service failed"):
            self.reload()
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.main_pid(), before)
        self.assertEqual(self.state("greetd.service"), "active")
        self.assertTrue(self.entries(MESSAGE=ERROR))
        status = self.systemctl("status", "greetd", "--no-pager")
        self.assertRegex(status, r"ExecReload=/usr/sbin/greetd --check \(code=exited, status=78")
        self.assertIn(ERROR, status)

    def test_by_a_bare_signal_reports_an_error_in_the_status_until_it_is_mended(self):
        self.assertEqual(self.greet(), GREETING)
        self.write(DROP_IN, BROKEN)
        self.systemctl("kill", "--signal=HUP", "greetd")
        self.wait_for_entry(MESSAGE="Reload failed, the configuration in force stays")
        self.assertTrue(self.entries(MESSAGE=ERROR))
        self.eventually(lambda: self.assertIn(ERROR, self.status_text()))
        self.assertEqual(self.greet(), GREETING)
        self.write(DROP_IN, CLOSED)
        self.reload()
        self.eventually(lambda: self.assertNotIn(ERROR, self.status_text()))
        self.assertEqual(self.greet(), "Closed for today.")

    def status_text(self):
        return self.show("greetd.service", "StatusText")["StatusText"]

    def test_applies_to_clients_in_the_queue_too(self):
        self.machine.path("/etc/greeting").write_bytes(BIG_GREETING)
        self.write(DROP_IN, ONE_AT_A_TIME + BIG)
        accepted = self.hold_client()
        with self.pending_clients(CLIENTS):
            self.write(DROP_IN, ONE_AT_A_TIME)
            self.reload()
            self.wait_for_entry(MESSAGE=RELOADED)
            self.release_client(accepted)

    def test_names_settings_that_need_a_restart(self):
        self.assertEqual(self.greet(), GREETING)
        self.write(DROP_IN, FIXED_AT_START)
        self.reload()
        for setting in ("Workers= stays at auto", "MaxConnections= stays at 16384"):
            self.wait_for_entry(MESSAGE=f"{setting} until the next restart", PRIORITY="5")
        self.assertNotIn("; 7 workers", self.status_text())
        self.systemctl("restart", "greetd")
        self.eventually(lambda: self.assertIn("; 7 workers", self.status_text()))

    def test_again_and_again_under_load_gives_every_client_wholly_one_version(self):
        self.write_version(0)
        self.write(DROP_IN, VERSIONS)
        self.systemctl("start", "greetd")
        before = self.main_pid()
        load = self.start_client("versions", ADDRESS, 4, CONNECTIONS)
        self.assertEqual(load.stdout.readline(), "0\n")
        for number in range(1, RELOADS + 1):
            self.write_version(number)
            self.reload()
            self.assertEqual(load.stdout.readline(), f"{number}\n")
        outcomes = self.outcomes(load, client.LOAD_SEC_MAX)
        self.assertEqual(list(outcomes), ["greeted"], outcomes)
        self.assertGreaterEqual(outcomes["greeted"], CONNECTIONS)
        self.assertEqual(self.main_pid(), before)
        self.assertEqual(len(self.entries(MESSAGE=RELOADED)), RELOADS)

    def write_version(self, number):
        self.machine.path("/etc/greeting").write_bytes(client.version(number))
