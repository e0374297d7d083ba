# SPDX-License-Identifier: MIT
"""The examples that send text: the quote of the day and the time."""

import datetime
import pathlib
import unittest

from support import examples
from support.daemon import greeted

FORTUNES = pathlib.Path("/usr/share/games/fortunes/fortunes")
CLIENTS = 50


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)


class QuoteOfTheDay(examples.ExampleTestCase):
    def test_each_client_gets_one_entry_of_debians_fortunes(self):
        entries = set(FORTUNES.read_bytes().rstrip(b"%\n").split(b"\n%\n"))
        self.serve_example("qotd.conf")
        quotes = {greeted(("127.0.0.1", 17)).rstrip(b"\n") for _ in range(CLIENTS)}
        self.assertLessEqual(quotes, entries)
        self.assertGreater(len(quotes), 1)


class Daytime(examples.ExampleTestCase):
    def test_the_time_is_in_the_format_of_the_rfc(self):
        self.serve_example("daytime.conf", TZ="UTC")
        before = now()
        daytime = greeted(("127.0.0.1", 13)).decode()
        sent = datetime.datetime.strptime(daytime, "%A, %B %d, %Y %H:%M:%S-UTC\r\n")
        self.assertLessEqual(before, sent)
        self.assertLessEqual(sent, now())


if __name__ == "__main__":
    unittest.main()
