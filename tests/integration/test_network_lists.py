# SPDX-License-Identifier: MIT
"""Files of networks: read at the start and at a reload, with all their errors at once."""

import errno
import re
import unittest

from support import daemon, namespaces, reload
from support.daemon import EX_CONFIG, EX_OSERR

MANY = 100_000
ERRORS_MAX = 100
MISSING = "/missing/list"


def setUpModule():
    namespaces.isolate()


def limits(deny):
    return f"{reload.LISTEN}[Limits]\nDeny={deny}\n"


class Lists(daemon.GreetdTestCase):
    def check(self, *lists):
        """Runs --check on a configuration with these values of Deny=."""
        config = "[Limits]\n" + "".join(f"Deny={text}\n" for text in lists)
        return self.finish("--check", config=config)

    def shown(self, config):
        """The networks that --show-config prints."""
        path = self.write("greetd.conf", config)
        shown = self.finish("--show-config", "-c", path, config=None)
        self.assertEqual((shown.status, shown.lines), (0, []))
        return re.findall(r"^(?:Allow|Deny|ProxyTrustedSources)=.*", shown.stdout(), re.MULTILINE)

    def test_many_networks_are_read(self):
        networks = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(MANY // 2)]
        networks += [f"2001:db8:{i:x}::/48\n" for i in range(MANY // 2)]
        checked = self.check(self.write("list", "".join(networks)))
        self.assert_ends(checked, 0)
        self.assertEqual(checked.lines, [])

    def test_networks_are_shown_as_they_are_written(self):
        path = self.write("list", "10.0.0.0/8\n")
        config = (
            f"[Limits]\nAllow=192.0.2.1/24 {path}\nAllow=any\nDeny=::1\n"
            "[Greeting]\nProxyProtocol=yes\nProxyTrustedSources=localhost\n"
        )
        self.assertEqual(
            self.shown(config),
            ["Allow=192.0.2.1/24", f"Allow={path}", "Allow=any", "Deny=::1",
             "ProxyTrustedSources=localhost"],
        )

    def test_each_error_of_each_file_is_a_line(self):
        one = self.write("one", "# comment\n10.0.0.0/8 ; comment\nten\n")
        two = self.write("two", "\r\n10.0.0.0/33\r\n")
        checked = self.check(f"{one} x", two)
        self.assert_ends(checked, EX_CONFIG)
        places = [re.match(r"\S+:(\d: Deny=\S+):", line)[1] for line in checked.lines]
        self.assertEqual(places, ["2: Deny=x", f"2: Deny={one}:3", f"3: Deny={two}:2"])

    def test_a_binary_file_is_one_error(self):
        checked = self.check(daemon.program())
        self.assert_ends(checked, EX_CONFIG)
        self.assertIn("must be text", checked.lines[-1])
        self.assertLessEqual(len(checked.lines), 2)

    def test_a_file_without_any_network_has_a_bounded_number_of_errors(self):
        checked = self.check(self.write("list", "x\n" * MANY))
        self.assert_ends(checked, EX_CONFIG)
        self.assertEqual(len(checked.lines), ERRORS_MAX + 1)
        self.assertIn(f"{MANY - ERRORS_MAX} more mistakes", checked.lines[-1])

    def test_bits_beyond_the_prefix_are_a_remark(self):
        checked = self.check("192.0.2.1/24")
        self.assert_ends(checked, 0)
        (line,) = checked.lines
        self.assertRegex(line, r":2: Deny=192\.0\.2\.1/24: remark: .*: 192\.0\.2\.0/24$")

    def test_a_missing_file_is_an_error(self):
        checked = self.check(MISSING)
        self.assert_ends(checked, EX_CONFIG)
        (line,) = checked.lines
        self.assertRegex(line, rf":2: Deny={MISSING}: No such file or directory$")

    def test_a_missing_file_ends_the_start_with_a_status_that_allows_a_retry(self):
        greetd = self.finish(config=limits(MISSING))
        self.assert_ends(greetd, EX_OSERR)
        self.assertEqual(greetd.values("ERRNO"), [("ERRNO", str(errno.ENOENT))])

    def test_an_error_beside_a_missing_file_allows_no_retry(self):
        self.assert_ends(self.finish(config=limits(f"{MISSING} {self.folder}")), EX_CONFIG)


class Reload(reload.ReloadTestCase):
    def test_a_file_with_an_error_keeps_the_configuration_in_force(self):
        path = self.write("list", "192.0.2.0/24\n")
        greetd = self.serve_with(limits(path))
        self.write("list", "192.0.2.0/24\n192.0.2.0/99\n")
        why = ("the length of the prefix must be a number up to 32 for IPv4, 128 for IPv6, without "
               "leading zeros")
        error = f"{self.config}:4: Deny={path}:2: 192.0.2.0/99: {why}"
        self.assert_fails_to_reload(greetd, limits(path), [error])
        self.assert_greeted(greetd.address())
        self.write("list", "192.0.2.0/24\n198.51.100.0/24\n")
        self.assert_reloads(greetd)

    def test_a_file_that_is_gone_keeps_the_configuration_in_force(self):
        path = self.write("list", "192.0.2.0/24\n")
        greetd = self.serve_with(limits(path))
        error = f"{self.config}:4: Deny={MISSING}: No such file or directory"
        self.assert_fails_to_reload(greetd, limits(MISSING), [error])
        self.assert_greeted(greetd.address())


if __name__ == "__main__":
    unittest.main()
