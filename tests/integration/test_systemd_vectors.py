# SPDX-License-Identifier: MIT
"""systemd and greetd read the same times, booleans, addresses and networks: those of systemd's own
tests, in tests/vectors, and others that are generated. tests/unit/test_vectors.c has the values."""

import itertools
import random
import re
import subprocess
import unittest

from support import daemon, namespaces, vectors

# Where a text of each table stands in a unit, and in greetd.conf; greetd itself has no sizes.
PLACES = {
    "time": (("service", "Service", "RestartSec"), ("Greeting", "LingerSec")),
    "boolean": (("service", "Service", "RemainAfterExit"), ("Server", "FastOpen")),
    "size": (("socket", "Socket", "ReceiveBuffer"), None),
    "address": (("socket", "Socket", "ListenStream"), ("Server", "ListenStream")),
    "network": (("service", "Service", "IPAddressAllow"), ("Limits", "Allow")),
}
SPANS = 4000
NUMBERS = ("0", "1", "7", "12", "59", "007", "1000", "86400", "123456789", "1234567890123456789",
           "99999999999999999999", ".5", "1.5", "0.000001", "3.1415926535", "+2", "+.5", "1.", ".",
           "-1", "-0.5", "1..2", "1.2.3", "")
UNITS = ("", "us", "usec", "\u00b5s", "\u03bcs", "ms", "msec", "s", "sec", "second", "seconds", "m",
         "min", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days", "w", "week",
         "weeks", "M", "month", "months", "y", "year", "years", "S", "Ms", "ns", "mi", "x", "+",
         "infinity")
BLANKS = ("", " ", "\t", "  ")
# Without what the table of addresses has as different.
HOSTS = ("", "127.0.0.1", "0.0.0.0", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "localhost", "*",
         "[::]", "[::1]", "[fe80::1]", "[::ffff:1.2.3.4]", "[2001:DB8::A]", "[1::2::3]", "[::1", "::1",
         "::1]", "[]", "[127.0.0.1]", "@", "@a", "@@", "/a", "/a/", "//", "a/b", "vsock:", "vsock:2",
         "vsock:4294967295", "vsock:4294967296", "vsock:-1", "vsock:x", "VSOCK:2")
COLONS = ("", ":", "::", " :")
PORTS = ("", "1", "80", "65535", "65536", "99999999999999999999", "x", "-1", "8 0", "080", "8#a", "80:")
INTERFACES = ("", "%", "%0", "%a:b", "%lo%lo")
# And of networks.
IPS = ("", "1.2.3.4", "0.0.0.0", "255.255.255.255", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1",
       "0x1.2.3.4", "::", "::1", "2001:DB8::a", "fe80::1", "1::2::3", ":::", "1:2:3:4:5:6:7:8",
       "1:2:3:4:5:6:7", "::1.2.3.4", "::ffff:1.2.3.4", "fe80::1%lo", "[::1]", "any", "localhost",
       "link-local", "multicast", "Any", "local", "host.example.org")
SLASHES = ("", "/", "//", " /", " ", ",")
LENGTHS = ("", "0", "1", "8", "31", "32", "33", "64", "127", "128", "129", "255", "256", "-1", "x", "8x",
           "4294967304", "255.255.255.0")


def setUpModule():
    namespaces.isolate()


def generated_spans():
    """Times, and texts that are nearly times; the same in each run."""
    numbers = random.Random(13)
    spans = set()
    while len(spans) < SPANS:
        parts = (pool for _ in range(numbers.choice((1, 1, 2, 3)))
                 for pool in (NUMBERS, BLANKS, UNITS, BLANKS))
        if span := "".join(map(numbers.choice, parts)).strip(" \t"):
            spans.add(span)
    return sorted(spans)


def joined(*parts):
    """All texts of one of each of PARTS, but the empty one."""
    return sorted({"".join(text).strip() for text in itertools.product(*parts)} - {""})


class VectorTestCase(daemon.GreetdTestCase):
    def accepted(self, section, key, texts, output_of, path):
        """Which of TEXTS OUTPUT_OF() a file at PATH accepts; it names the lines of the others."""
        lines = "".join(f"{key}={text}\n" for text in texts)
        self.write(path, f"[{section}]\n{lines}")
        found = re.findall(rf"{re.escape(path)}:(\d+): ", output_of(f"{self.folder}/{path}"))
        wrong = {int(line) - 2 for line in found}
        return [i not in wrong for i in range(len(texts))]

    def by_systemd(self, place, texts):
        extension, section, key = place

        def verify(path):
            command = ["systemd-analyze", "verify", "--man=no", path]
            return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  check=False).stderr.decode()

        texts = [text.replace("%", "%%") for text in texts]
        return self.accepted(section, key, texts, verify, f"odd.{extension}")

    def by_greetd(self, place, texts):
        section, key = place

        def check(path):
            return "\n".join(self.finish("--check", "-c", path, config=None).lines)

        return self.accepted(section, key, texts, check, "odd.conf")

    def same_verdicts(self, name, texts):
        """Those of TEXTS that both accept; neither accepts another."""
        by_systemd, by_greetd = PLACES[name]
        accepted = self.by_systemd(by_systemd, texts)
        verdicts = zip(texts, accepted, self.by_greetd(by_greetd, texts))
        self.assertEqual([verdict for verdict in verdicts if verdict[1] != verdict[2]], [])
        return [text for text, is_accepted in zip(texts, accepted) if is_accepted]

    def assert_some(self, part, whole):
        print(f"  {part} of {whole} texts are accepted", flush=True)
        self.assertGreater(part, 50)


class Verdicts(VectorTestCase):
    def test_systemd_accepts_what_the_tables_say(self):
        for name, (place, _) in PLACES.items():
            rows = [row for row in vectors.rows(name) if vectors.unquote(row[0])]
            accepted = self.by_systemd(place, [vectors.unquote(row[0]) for row in rows])
            for row, is_accepted in zip(rows, accepted):
                with self.subTest(name, text=row[0]):
                    self.assertEqual(is_accepted, row[1] != "-")

    def test_greetd_accepts_what_the_tables_say(self):
        for name, (_, place) in PLACES.items():
            if not place:
                continue
            rows = [row for row in vectors.rows(name) if vectors.unquote(row[0])]
            accepted = self.by_greetd(place, [vectors.unquote(row[0]) for row in rows])
            for row, is_accepted in zip(rows, accepted):
                with self.subTest(name, text=row[0]):
                    self.assertEqual(is_accepted, (row[1] if row[2] == "=" else row[2]) != "-")

    def test_addresses_that_are_put_together_have_the_same_verdict(self):
        # For greetd, two forms of one address in one file are a mistake.
        texts = [joined([host], COLONS, PORTS, INTERFACES) for host in HOSTS]
        texts += [joined(["[fe80::1]:"], PORTS, [interface]) for interface in ("%lo", "%1")]
        accepted = [self.same_verdicts("address", some) for some in texts]
        self.assert_some(sum(map(len, accepted)), sum(map(len, texts)))

    def test_networks_that_are_put_together_have_the_same_verdict(self):
        texts = joined(IPS, SLASHES, LENGTHS)
        self.assert_some(len(self.same_verdicts("network", texts)), len(texts))


class Times(VectorTestCase):
    def systemd_usec(self, spans):
        """The microseconds of each of SPANS, by systemd."""
        done = subprocess.run(["systemd-analyze", "timespan", "--", *spans], check=True, text=True,
                              stdout=subprocess.PIPE, env=self.environment())
        return re.findall(r"^ *(?:\u03bcs|us|\u00b5s): (\d+)$", done.stdout, re.MULTILINE)

    def as_greetd_writes(self, spans):
        """What greetd --show-config makes of each of SPANS."""
        sections = (f"[Listener l{i}]\nListenStream=127.0.0.1:{i + 1}\nLingerSec={span}\n"
                    for i, span in enumerate(spans))
        path = self.write("spans.conf", "".join(sections))
        shown = self.finish("--show-config", "-c", path, config=None).stdout()
        return re.findall(r"^# .*spans\.conf:\d+\nLingerSec=(.*)$", shown, re.MULTILINE)

    def assert_same_values(self, spans):
        """systemd also reads what greetd writes, which must be the same time again."""
        written = self.as_greetd_writes(spans)
        self.assertEqual(len(written), len(spans))
        values = zip(spans, self.systemd_usec(spans), self.systemd_usec(written))
        self.assertEqual([v for v in values if v[1] != v[2]], [])

    def test_times_of_the_table_have_the_same_value(self):
        rows = [row for row in vectors.rows("time") if row[2] == "=" and row[1] != "-"]
        spans = [vectors.unquote(row[0]) for row in rows]
        usecs = ["18446744073709551615" if row[1] == "infinity" else row[1] for row in rows]
        self.assertEqual(self.systemd_usec(spans), usecs)
        # Not the last week before infinity, in which systemd can't read what greetd writes.
        self.assert_same_values([span for span in spans if span != "18446744073708s"])

    def test_generated_times_have_the_same_verdict_and_value(self):
        spans = self.same_verdicts("time", generated_spans())
        self.assert_some(len(spans), SPANS)
        self.assert_same_values(spans)


if __name__ == "__main__":
    unittest.main()
