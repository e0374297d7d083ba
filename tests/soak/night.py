# SPDX-License-Identifier: MIT
"""A night in small: clocks that leap (leap.c) over 49.7 days, midnight and a suspended machine, by a
hand on the wall clock, and over the ends of 32-bit counters."""

import contextlib
import os
import pathlib
import signal
import time

from clocks import NightTestCase
from support import daemon, metrics
from support.daemon import GREETING, greeted, read_to_end

MINUTE, HOUR, DAY = 60, 3600, 86400
# Uptimes in seconds at which a counter of 31 or 32 bits ends.
ENDS = {
    f"2^{bits} {unit}": 2**bits / per_second
    for bits in (31, 32)
    for unit, per_second in (("us", 1e6), ("ms", 1e3), ("s", 1))
}
# A leap may come before a client's kernel has acknowledged the end of stream.
WEB = "[Server]\nWorkers=1\n[Listener web]\nWriteTimeoutSec=90d\n"
BIG = b"%015d\n" % 7 * 250_000


class FiftyDays(NightTestCase):
    def test_a_client_is_dripped_to_for_sixty_days(self):
        self.serve_night(WEB + "DripSec=1d\nMessage=" + "a day\\n" * 60 + "\n")
        client = self.client(self.address)
        for _ in range(60):
            self.clocks.advance(DAY)
            self.assertEqual(client.recv(100), b"a day\n")
        self.assertEqual(read_to_end(client), b"")
        client.close()
        entry = self.entry("Connection from .*")
        self.assertEqual((entry["GREETD_RESULT"], entry["GREETD_BYTES"]), ("delivered", "360"))
        self.assert_lasted(entry, 60 * DAY)

    def test_a_silent_client_lingers_for_its_time(self):
        self.serve_night(WEB + "LingerSec=60d\n")
        client = self.client(self.address)
        self.assertEqual(read_to_end(client), GREETING)
        self.wait_acknowledged(client)
        # Its time begins when greetd finds that it has everything, after the first leap at the latest.
        for _ in range(12):
            self.clocks.advance(4.9 * DAY)
            self.clocks.settle()
            self.assertEqual(self.entries(), [])
        self.clocks.advance(6.5 * DAY)
        entry = self.connection(client)
        self.assertEqual(entry["GREETD_RESULT"], "delivered")
        self.assert_lasted(entry, 60 * DAY, 66 * DAY)

    def test_a_client_that_goes_on_sending_lingers_no_longer_than_it_may(self):
        self.serve_night(WEB + "LingerSec=60d\n")
        client = self.client(self.address)
        self.assertEqual(read_to_end(client), GREETING)
        self.wait_acknowledged(client)
        for _ in range(8):  # its time begins after the first leap at the latest
            self.clocks.advance(9 * DAY)
            with contextlib.suppress(ConnectionError):
                client.sendall(b"x")
        entry = self.connection(client)
        self.assert_lasted(entry, 60 * DAY, 73 * DAY)

    def test_data_after_fifty_days_are_answered_and_their_wait_is_not_counted(self):
        other = self.listening_socket(daemon.socket.AF_INET, ("127.0.0.1", 0))
        self.serve_night(
            f"{WEB}GreetOn=data\nDataTimeoutSec=infinity\nMessageFile={self.write('big', BIG)}\n"
            "[Listener metrics]\nMessage=$metrics\n",
            (other, "metrics"),
        )
        client = self.client(self.address, receive_buffer=8192)
        self.assert_open(client)
        self.clocks.advance(50 * DAY)
        self.assert_open(client)
        client.sendall(b"hello")
        self.assertEqual(read_to_end(client), BIG)
        samples = metrics.parse(greeted(other.getsockname()).decode())
        self.assertLess(samples["greetd_greeting_seconds_sum", None], daemon.TIMEOUT)

    def test_a_slow_reader_makes_progress_for_sixty_days(self):
        self.serve_night(f"{WEB}WriteTimeoutSec=1d\nMessageFile={self.write('big', BIG)}\n")
        client = self.client(self.address, receive_buffer=8192)
        received = b""
        for _ in range(60):
            received += client.recv(20_000, daemon.socket.MSG_WAITALL)
            self.clocks.advance(0.9 * DAY)
        received += read_to_end(client)
        self.assertEqual(received, BIG)

    def test_a_client_that_reads_nothing_is_dropped_after_its_time(self):
        self.serve_night(f"{WEB}WriteTimeoutSec=50d\nMessageFile={self.write('big', BIG)}\n")
        client = self.client(self.address, receive_buffer=8192)
        # What its kernel has taken at first may count as progress at the end of the first time.
        for _ in range(5):
            self.clocks.advance(25.1 * DAY)
        entry = self.connection(client)
        self.assertEqual(entry["GREETD_RESULT"], "timeout")
        self.assert_lasted(entry, 50 * DAY, 126 * DAY)


class Ends(NightTestCase):
    """A machine that has run nearly so long that a counter ends."""

    def at_each_end(self, config, act, **options):
        """Calls ACT with a greetd that was started 5 s before each end."""
        for name, seconds in ENDS.items():
            with self.subTest(end=name):
                self.clocks = self.new_clocks()
                self.clocks.uptime(seconds - 5)
                greetd = self.serve_night(config, **options)
                act(greetd)
                self.end_night(greetd)

    def test_data_have_their_time(self):
        def act(_):
            client = self.client(self.address)
            self.assert_open(client)
            self.clocks.advance(9 * MINUTE)
            self.assert_open(client)
            self.clocks.advance(2 * MINUTE)
            self.assertEqual(read_to_end(client), b"")
            entry = self.connection(client)
            self.assertEqual(entry["GREETD_RESULT"], "timeout")
            self.assert_lasted(entry, 10 * MINUTE, 12 * MINUTE)

        self.at_each_end(WEB + "GreetOn=data\nDataTimeoutSec=10min\n", act)

    def test_a_drip_pauses(self):
        def act(_):
            client = self.client(self.address)
            for line in b"one\n", b"two\n":
                self.clocks.advance(9 * MINUTE)
                self.assert_open(client)
                self.clocks.advance(MINUTE)
                self.assertEqual(client.recv(100), line)

        self.at_each_end(WEB + "DripSec=10min\nMessage=one\\ntwo\\n\n", act)

    def test_a_source_gets_its_tokens_back(self):
        def act(_):
            got = [greeted(self.address) for _ in range(3)]
            self.assertEqual(got, [GREETING, GREETING, b"no"])
            self.clocks.advance(HOUR / 2)
            self.assertEqual([greeted(self.address), greeted(self.address)], [GREETING, b"no"])
            self.clocks.advance(2 * HOUR)
            got = [greeted(self.address) for _ in range(3)]
            self.assertEqual(got, [GREETING, GREETING, b"no"])

        limits = "RateLimitPerSourceIntervalSec=1h\nRateLimitPerSourceBurst=2\n"
        self.at_each_end(f"{WEB}RefuseMessage=no\n[Limits]\n{limits}", act)

    def test_a_source_keeps_its_connections(self):
        def act(_):
            client = self.client(self.address)
            self.assertEqual(client.recv(100), GREETING)
            self.clocks.advance(HOUR)
            self.assertEqual(greeted(self.address), b"no")
            client.close()
            for _ in range(2):  # that of the refused one, and its own
                self.entry("Connection from .*")
            self.assertEqual(greeted(self.address), GREETING)

        self.at_each_end(
            f"{WEB}LingerSec=1d\nRefuseMessage=no\n[Limits]\nMaxConnectionsPerSource=1\n", act
        )

    def test_entries_that_are_left_out_are_announced(self):
        def act(_):
            for _ in range(5):
                greeted(self.address)
            for _ in range(2):
                self.entry("Connection from .*")
            self.clocks.advance(10 * MINUTE)
            self.assertEqual(self.entry(".* left out")["GREETD_LEFT_OUT"], "3")
            self.assertEqual(greeted(self.address), GREETING)
            self.entry("Connection from .*")

        self.at_each_end(f"{WEB}LingerSec=0\n[Log]\nRateLimitIntervalSec=10min\nRateLimitBurst=2\n", act)

    def test_the_watchdog_is_notified(self):
        def act(greetd):
            for _ in range(8):
                before = len(greetd.values("WATCHDOG"))
                self.clocks.advance(12)  # sd-event may be 1.25 s late
                greetd.wait_until(lambda: len(greetd.values("WATCHDOG")) > before, "WATCHDOG=1")

        self.at_each_end(WEB, act, WATCHDOG_USEC="40000000")

    def test_an_idle_process_exits(self):
        def act(greetd):
            for _ in range(3):
                self.clocks.advance(6 * MINUTE)
                self.assertEqual(greeted(self.address), GREETING)
                self.entry("Connection from .*")  # it has ended
            self.clocks.advance(10 * MINUTE)
            self.entry("No client for 600s: .*")
            self.assert_ends(greetd, 0)

        self.at_each_end("[Server]\nIdleExitSec=10min\n", act)

    def test_a_reload_and_a_stop_end(self):
        def act(greetd):
            client = self.client(self.address)
            self.clocks.advance(8)
            greetd.signal(signal.SIGHUP)
            self.entry("Reloaded the configuration")
            greetd.signal(signal.SIGTERM)
            greetd.wait_message("STOPPING", "1")
            self.clocks.advance(11 * MINUTE)
            self.entry("Stopping now: 1 client did not finish in time")
            self.assert_ends(greetd, 0)
            self.assertEqual(client.recv(1), b"")

        self.at_each_end(
            "[Server]\nWorkers=1\nStopTimeoutSec=10min\n"
            "[Listener web]\nGreetOn=data\nDataTimeoutSec=1h\n", act
        )  # fmt: skip


class Namespace(NightTestCase):
    """The kernel's own clocks, in a time namespace (time_namespaces(7)), without leaps."""

    def test_data_have_their_time_over_the_end_of_a_counter(self):
        if not pathlib.Path("/proc/self/ns/time").exists():
            print("\nnot run: the night in a time namespace: this kernel has none")
            self.skipTest("no time namespaces")
        for name, seconds in ENDS.items():
            with self.subTest(end=name):
                began = time.monotonic()
                offset = str(round(seconds - 1 - began))
                wrapper = ("unshare", "--time", "--monotonic", offset, "--boottime", offset, "--")
                greetd = self.serve_journal(
                    config=WEB + "GreetOn=data\nDataTimeoutSec=2s\n", wrapper=wrapper
                )
                client = self.client(self.address)
                connected = time.monotonic()
                self.assertEqual(read_to_end(client), b"")
                self.assertGreaterEqual(time.monotonic() - connected, 2)
                self.assertEqual(self.connection(client)["GREETD_RESULT"], "timeout")
                greetd.signal(signal.SIGHUP)
                reloading = int(greetd.wait_message("MONOTONIC_USEC")[0]) / 1e6
                self.assertAlmostEqual(reloading, seconds + time.monotonic() - began, delta=30)
                self.end_night(greetd)


class WallClock(NightTestCase):
    def set_wall(self, text):
        """Has the wall clock show TEXT, in UTC."""
        when = daemon_time(text)
        self.clocks.step_wall(when - self.clocks.wall())

    def test_midnight(self):
        fortunes = "".join(f"{'%' if n else ''}{chr(10) if n else ''}{n}\n" for n in range(7))
        other = self.listening_socket(daemon.socket.AF_INET, ("127.0.0.1", 0))
        self.set_wall("2027-12-31 23:59:00")
        self.serve_night(
            WEB + "Message=$time{%F %H}\n[Listener daily]\nPick=daily\n"
            f"MessageFile={self.write('fortunes', fortunes)}\n",
            (other, "daily"),
        )
        self.assertEqual(greeted(self.address), b"2027-12-31 23")
        first = greeted(other.getsockname())
        self.assertEqual(greeted(other.getsockname()), first)
        self.clocks.advance(MINUTE)
        self.assertEqual(greeted(self.address), b"2028-01-01 00")
        days = [greeted(other.getsockname())]
        for _ in range(6):
            self.clocks.advance(DAY)
            days.append(greeted(other.getsockname()))
        self.assertNotEqual(days[0], first)
        self.assertEqual(len(set(days)), 7)

    def test_midnight_and_summer_time_are_those_of_the_zone(self):
        self.set_wall("2027-03-27 22:59:30")
        self.serve_night(WEB + "Message=$time{%F %R}\n", TZ="CET-1CEST,M3.5.0,M10.5.0/3")
        self.assertEqual(greeted(self.address), b"2027-03-27 23:59")
        for seconds, expected in (
            (MINUTE, b"2027-03-28 00:00"),
            (119 * MINUTE, b"2027-03-28 01:59"),
            (MINUTE, b"2027-03-28 03:00"),
        ):
            self.clocks.advance(seconds)
            self.assertEqual(greeted(self.address), expected)

    def test_the_end_of_32_bit_seconds(self):
        self.set_wall("2038-01-19 03:14:00")
        self.serve_night(WEB + "Message=$time{%F %T} $msec\n")
        self.clocks.advance(MINUTE)
        text, seconds = greeted(self.address).rsplit(b" ", 1)
        self.assertTrue(text.startswith(b"2038-01-19 03:15:"), text)
        self.assertGreater(float(seconds), 2**31)

    def test_nothing_but_the_time_itself_moves_with_the_wall_clock(self):
        for years in (10, -10):
            with self.subTest(years=years):
                self.clocks = self.new_clocks()
                self.end_night(self.run_step(years * 365 * DAY))

    def run_step(self, seconds):
        other = self.listening_socket(daemon.socket.AF_INET, ("127.0.0.1", 0))
        data = self.listening_socket(daemon.socket.AF_INET, ("127.0.0.2", 0))
        greetd = self.serve_night(
            WEB + "Message=$msec\n[Listener limited]\nRefuseMessage=no\n"
            "[Listener data]\nGreetOn=data\nDataTimeoutSec=10min\n"
            "[Limits]\nRateLimitPerSourceIntervalSec=1d\nRateLimitPerSourceBurst=4\n",
            (other, "limited"), (data, "data"), WATCHDOG_USEC="40000000",
        )  # fmt: skip
        client = self.client(data.getsockname())
        before = float(greeted(self.address))
        self.clocks.step_wall(seconds)
        self.assertAlmostEqual(float(greeted(self.address)) - before, seconds, delta=50)
        entry = self.entry("Connection from .*")
        entry = self.entry("Connection from .*")
        self.assertLess(int(entry["GREETD_DURATION_USEC"]), 50e6)
        self.assertAlmostEqual(int(entry["GREETD_TIMESTAMP"]) / 1e6, self.clocks.wall(), delta=50)
        self.assertEqual([greeted(other.getsockname()) for _ in range(2)], [GREETING, b"no"])
        self.clocks.advance(9 * MINUTE)
        self.assert_open(client)
        self.clocks.advance(2 * MINUTE)
        self.assertEqual(read_to_end(client), b"")
        notified = len(greetd.values("WATCHDOG"))
        self.clocks.advance(11)
        greetd.wait_until(lambda: len(greetd.values("WATCHDOG")) > notified, "WATCHDOG=1")
        return greetd


class Age(NightTestCase):
    """MaxAgeSec= counts from the modification of the file, also while the machine sleeps."""

    def setUp(self):
        super().setUp()
        self.greetd = self.serve_night(
            f"{WEB}MessageFile={self.write('file', 'good')}\nWatch=yes\n"
            "MaxAgeSec=10h\nStaleMessage=stale\n"
        )
        self.assertEqual(greeted(self.address), b"good")

    def wait_greeting(self, expected):
        deadline = time.monotonic() + daemon.TIMEOUT
        while greeted(self.address) != expected:
            self.assertLess(time.monotonic(), deadline)

    def renew(self, text):
        path = self.write("new", text)
        os.utime(path, (self.clocks.wall(), self.clocks.wall()))
        os.rename(path, self.folder / "file")

    def test_of_a_file_in_a_suspended_machine(self):
        self.clocks.suspend(9 * HOUR)
        self.assertEqual(greeted(self.address), b"good")
        self.clocks.suspend(2 * HOUR)
        self.entry(".*/file was not renewed for 10h: .*")
        self.wait_greeting(b"stale")
        self.renew("new")
        self.entry(".*/file is renewed, and sent again")
        self.wait_greeting(b"new")

    def test_of_a_file_for_fifty_days(self):
        for n in range(50):
            self.clocks.advance(9 * HOUR)
            self.renew(f"day {n}")
            self.wait_greeting(b"day %d" % n)
        self.clocks.advance(50 * DAY)
        self.wait_greeting(b"stale")

    def test_of_a_file_while_the_wall_clock_is_set(self):
        for seconds in (DAY, -2 * DAY, DAY):
            self.clocks.step_wall(seconds)
            self.assertEqual(greeted(self.address), b"good")
        self.renew("again")
        self.wait_greeting(b"again")
        self.clocks.advance(11 * HOUR)
        self.wait_greeting(b"stale")


def daemon_time(text):
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S")) - time.timezone
