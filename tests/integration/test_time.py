# SPDX-License-Identifier: MIT
"""The time in messages: that of the clock, in the zone of the machine."""

import datetime
import pathlib
import struct
import time
import unittest

from support import daemon, namespaces
from support.daemon import greeted

ZONE = pathlib.Path("/etc/localtime")


def setUpModule():
    namespaces.isolate()
    namespaces.mount("tmpfs", "/etc", "tmpfs")


def write_zone(name, offset):
    """Replaces the file by one in the format of tzfile(5) with one type of local time."""
    name = name.encode() + b"\0"
    counts = struct.pack(">6i", 0, 0, 0, 0, 1, len(name))
    new = ZONE.with_suffix(".new")
    new.write_bytes(b"TZif" + bytes(16) + counts + struct.pack(">iBB", offset, 0, 0) + name)
    new.replace(ZONE)


class Time(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        ZONE.unlink(missing_ok=True)

    def serve_message(self, message, **environment):
        greetd = self.serve("-l", "127.0.0.1:0", "-m", message, **environment)
        return greetd.address()

    def test_a_client_reads_the_time_of_its_greeting(self):
        address = self.serve_message("$msec $time_iso8601")
        before = time.time() - 0.001  # whole milliseconds are rounded down
        msec, iso8601 = greeted(address).decode().split()
        after = time.time()
        self.assertRegex(msec, r"^\d+\.\d{3}$")
        self.assertTrue(before <= float(msec) <= after, msec)
        self.assertEqual(datetime.datetime.fromisoformat(iso8601).timestamp(), int(float(msec)))

    def test_a_format_is_that_of_strftime(self):
        address = self.serve_message(r"$time{%Y-%m-%d \x7b%H:%M:%S\x7d%n%%%5u %s}", TZ="<+06>-6")
        text = greeted(address).decode()
        then = time.gmtime(int(text.split()[-1]) + 6 * 3600)
        self.assertEqual(text.rsplit(" ", 1)[0], time.strftime("%Y-%m-%d {%H:%M:%S}\n%%0000%u", then))

    def test_the_zone_is_that_of_the_machine(self):
        write_zone("ABC", 5 * 3600 + 1800)
        address = self.serve_message("$time{%Z%z} $time_iso8601")
        self.assertRegex(greeted(address).decode(), r"^ABC\+0530 [-\d]+T[:\d]+\+05:30$")

    def test_a_machine_without_a_zone_has_utc(self):
        self.assert_greeted(self.serve_message("$time{%Z%z}"), b"UTC+0000")

    def test_the_name_of_a_zone_may_be_empty(self):
        write_zone("", 3600)
        self.assert_greeted(self.serve_message("[$time{%Z}]"), b"[]")

    def test_another_zone_of_the_machine_is_in_force_after_a_restart(self):
        write_zone("ABC", 3600)
        # For %s strftime(3) calls tzset(3), which shows in the second after it.
        address = self.serve_message("$time{%z %s %Z}")
        self.assertRegex(greeted(address), rb"^\+0100 \d+ ABC$")
        write_zone("DEFG", 7200)
        before = int(greeted(address).split()[1])
        while int((then := greeted(address).split())[1]) < before + 2:
            pass
        self.assertEqual((then[0], then[2]), (b"+0100", b"ABC"))
        self.assertRegex(greeted(self.serve_message("$time{%z %Z}")), rb"^\+0200 DEFG$")


if __name__ == "__main__":
    unittest.main()
