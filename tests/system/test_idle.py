# SPDX-License-Identifier: MIT
"""IdleExitSec=: greetd exits after some time without a client, and loses none."""

import re

from support.case import ADDRESS, GREETING, SystemTest

CONFIG = "/etc/greetd.conf.d/50-idle.conf"
AIMED = 200
IDLE_USEC = 200_000

# The least number of clients that have to connect during or after an exit, or the aim was bad.
STARTS_MIN = AIMED // 4

# The default of systemd, which would stop the socket of a service that exits too often.
TRIGGER_LIMIT = "[Socket]\nTriggerLimitIntervalSec=2s\nTriggerLimitBurst=20\n"


class Idle(SystemTest):
    def exit_after(self, time):
        self.write(CONFIG, f"[Server]\nIdleExitSec={time}\n")

    def wait_for_exit(self):
        shown = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
        self.eventually(lambda: self.assertEqual(self.show("greetd.service", *shown), shown))

    def test_greetd_exits_and_starts_again_for_the_next_client(self):
        self.exit_after("1s")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state("greetd.service"), "active")
        self.wait_for_exit()
        self.assertTrue(self.entries(MESSAGE="No client for 1s: exiting until the next one comes"))
        self.assertEqual(self.state("greetd.socket"), "active")
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.state("greetd.service"), "active")

    def test_greetd_stays_while_a_client_is_held(self):
        self.write("/etc/greeting", "x" * 16_000_000)
        self.write("/etc/greetd.conf.d/50-big.conf", "[Greeting]\nMessageFile=/etc/greeting\n")
        self.exit_after(f"{IDLE_USEC}us")
        self.drop_in("[Service]\nWatchdogSec=2s\n")
        client = self.start_client("hold", ADDRESS)
        self.assertEqual(client.stdout.readline(), "connected\n")
        before = self.main_pid()
        # The pings for the watchdog show that time has passed for greetd.
        self.wait_for_pings(5 * IDLE_USEC)
        self.assertEqual(self.main_pid(), before)
        self.finish_client(client)
        self.wait_for_exit()

    def test_no_client_is_lost_at_the_moment_of_the_exit(self):
        self.exit_after(f"{IDLE_USEC}us")
        self.drop_in(TRIGGER_LIMIT, "greetd.socket")
        self.systemctl("restart", "greetd.socket")
        client = self.start_client("aim", ADDRESS, AIMED, IDLE_USEC)
        self.assertEqual(self.outcomes(client, 10 * AIMED), {"greeted": AIMED})
        self.assertEqual(self.state("greetd.socket"), "active")
        exits = [entry for entry in self.entries() if re.match("No client for", entry["MESSAGE"])]
        self.assertGreaterEqual(len(exits), STARTS_MIN)
