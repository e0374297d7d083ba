# SPDX-License-Identifier: MIT
"""The examples that ban refused clients: the filter for fail2ban, and the sets of nftables."""

import os
import re
import shutil
import signal
import socket
import subprocess
import unittest

from support import examples, fake_journal
from support.daemon import TIMEOUT, read_to_end
from support.examples import EXAMPLES, eventually, run

IS_ROOT = os.getuid() == 0  # before the user namespace of namespaces.isolate(), which has one user
PORT = 12345
UNIT = "greetd.service"
# Each limit refuses one client, and the network list two.
CONFIG = """\
[Greeting]
RefuseMessage=refused
DataTimeoutSec=1h
[Listener web]
[Listener proxy]
ProxyProtocol=yes
ProxyTrustedSources=127.0.0.10
GreetOn=connect
[Limits]
MaxConnectionsPerSource=1
RateLimitPerSourceIntervalSec=1h
RateLimitPerSourceBurst=2
Deny=127.0.0.66 ::1 198.51.100.66
[Log]
RateLimitBurst=infinity
"""
GREETED, DENIED, DENIED6, FAST, MANY = "127.0.0.5", "127.0.0.66", "::1", "127.0.0.7", "127.0.0.8"
BALANCER, BEHIND, DENIED_BEHIND, INNOCENT = "127.0.0.10", "198.51.100.7", "198.51.100.66", "203.0.113.9"
FORGED = f"Connection from {INNOCENT}:1 refused: its network is not allowed\n"


def setUpModule():
    fake_journal.isolate()


class BanTestCase(fake_journal.JournalTestCase):
    def setUp(self):
        super().setUp()
        self.sockets = [socket.create_server(("::", PORT + n), family=socket.AF_INET6, dualstack_ipv6=True)
                        for n in range(2)]
        for listener in self.sockets:
            self.addCleanup(listener.close)

    def serve_refusing(self, **options):
        """A greetd at all addresses, and at another port for load balancers."""
        return self.serve(config=CONFIG, sockets=self.sockets, names=["web", "proxy"], **options)

    def visit(self, source, data=b"", port=PORT, times=1):
        """What clients from SOURCE read that send DATA."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        for _ in range(times):
            with socket.socket(family) as client:
                client.settimeout(TIMEOUT)
                client.bind((source, 0))
                client.connect((DENIED6 if ":" in source else "127.0.0.1", port))
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = read_to_end(client)
        return answer

    def hold_and_visit(self, source):
        with socket.create_connection(("127.0.0.1", PORT), TIMEOUT, (source, 0)):
            self.assertEqual(self.visit(source), b"refused")

    def visit_all(self):
        """Visits by ordinary clients, by those that are refused, and by those that want to have others
        banned, with text and with a PROXY header."""
        self.visit(GREETED, FORGED.encode())
        self.visit(DENIED, b"\n" + FORGED.encode())
        self.visit(DENIED6)
        self.assertEqual(self.visit(FAST, times=3), b"refused")
        self.hold_and_visit(MANY)
        for source in ("127.0.0.11", BALANCER):  # one that is not trusted, and one that is
            self.visit(source, FORGED.encode(), PORT + 1)
        for source, client, answer in (("127.0.0.12", INNOCENT, b"refused"),
                                       (BALANCER, BEHIND, b"Hello from server!"),
                                       (BALANCER, DENIED_BEHIND, b"refused")):
            header = f"PROXY TCP4 {client} 192.0.2.1 1 2\r\n"
            self.assertEqual(self.visit(source, header.encode(), PORT + 1), answer)

    def export(self, entries, number=1):
        """Writes ENTRIES as journald would have, to a new file in the folder of the journal."""
        folder = self.folder / "journal"
        folder.mkdir(exist_ok=True)
        text = ""
        for n, entry in enumerate(entries):
            usec = entry.get("GREETD_TIMESTAMP") or 1_700_000_000_000_000 + n
            fields = {"__REALTIME_TIMESTAMP": usec, "__MONOTONIC_TIMESTAMP": n + 1,
                      "_BOOT_ID": "0123456789abcdef0123456789abcdef", "_HOSTNAME": "web1", "_PID": 4711,
                      "_SYSTEMD_UNIT": UNIT, **entry}
            text += "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n"
        run("/lib/systemd/systemd-journal-remote", "-o", str(folder / f"{number}.journal"), "-",
            input=text, stdin=None)
        return folder


class Fail2ban(BanTestCase):
    BANNED = sorted([DENIED, DENIED6, FAST, MANY, DENIED_BEHIND])

    def setUp(self):
        super().setUp()
        self.installed = self.folder / "fail2ban"
        run("cp", "-r", "/etc/fail2ban", str(self.installed))
        run("cp", "-r", f"{EXAMPLES}/fail2ban/.", str(self.installed))
        # Debian's jail for SSH needs a log, which this machine may not have.
        (self.installed / "jail.d/defaults-debian.conf").unlink(missing_ok=True)

    def found(self, log):
        """The addresses that the filter finds in LOG."""
        filter_file = str(self.installed / "filter.d/greetd.conf")
        return sorted(set(run("fail2ban-regex", "--out", "ip", log, filter_file).split()))

    def stderr_lines(self):
        greetd = self.serve_refusing()
        self.visit_all()
        self.stop(greetd)
        return greetd.lines

    def test_refused_clients_are_found_in_what_greetd_prints(self):
        lines = self.stderr_lines()
        self.assertEqual(self.found(self.write("log", "\n".join(lines) + "\n")), self.BANNED)
        syslog = [f"Nov 26 12:00:00 web1 greetd[4711]: {line}\n" for line in lines]
        self.assertEqual(self.found(self.write("syslog", "".join(syslog))), self.BANNED)
        self.assertFalse(any(INNOCENT in line for line in lines), lines)

    def test_refused_clients_are_found_in_the_journal(self):
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_refusing(**self.to_journal())
            self.visit_all()
            self.stop(greetd)
        folder = self.export(entries)
        self.assertEqual(self.found(f"systemd-journal[journalpath={folder}]"), self.BANNED)

    def test_another_unit_bans_nobody(self):
        forged = {"MESSAGE": FORGED.strip(), "SYSLOG_IDENTIFIER": "greetd"}
        journal = f"systemd-journal[journalpath={self.export([forged | {'_SYSTEMD_UNIT': 'evil.service'}])}]"
        self.assertEqual(self.found(journal), [])
        self.export([forged], 2)
        self.assertEqual(self.found(journal), [INNOCENT])

    def test_every_sentence_about_a_limit_or_a_network_is_in_the_filter(self):
        source = (EXAMPLES.parents[1] / "src/journal/entry.c").read_text("utf-8")
        sentences = re.findall(r'return "(its [^"]+)";', source)
        self.assertEqual(len(sentences), 3)
        reason = re.search(r"^_reason = (.*)$", examples.text("fail2ban/filter.d/greetd.conf"), re.MULTILINE)
        self.assertEqual(sorted(reason[1].split("|")), sorted(sentences))

    def test_the_server_accepts_the_jail(self):
        client = "fail2ban-client", "-c", str(self.installed)
        self.assertIn("OK: configuration test is successful", run(*client, "--test"))
        settings = run(*client, "--dp")
        for setting in ("['add', 'greetd', 'systemd']", "'addjournalmatch', '_SYSTEMD_UNIT=greetd.service'"):
            self.assertIn(setting, settings)


class Nftables(BanTestCase):
    def setUp(self):
        super().setUp()
        run("nft", "--file", str(EXAMPLES / "nftables/greetd-ban.nft"))
        self.addCleanup(run, "nft", "delete", "table", "inet", "greetd")

    def ban_from(self, folder):
        """Starts the script on the journal in FOLDER, from the beginning; if this is root, as a user with
        no more privileges than its unit gives it."""
        self.folder.chmod(0o755)
        script = shutil.copy(EXAMPLES / "nftables/greetd-ban", self.folder)
        only = "-all,+net_admin"
        as_in_unit = ["setpriv", "--reuid=65534", "--clear-groups", f"--inh-caps={only}",
                      f"--ambient-caps={only}", f"--bounding-set={only}"] if IS_ROOT else []
        script = subprocess.Popen([*as_in_unit, script, "--lines=all", f"--directory={folder}"],
                                  start_new_session=True)
        self.addCleanup(script.wait)
        self.addCleanup(os.killpg, script.pid, signal.SIGKILL)  # with its journalctl

    def banned(self, name):
        return re.findall(r"([\da-f.:/]+) (?:timeout \S+ )?expires",
                          run("nft", "list", "set", "inet", "greetd", name))

    def wait_banned(self, name, *addresses):
        eventually(lambda: self.assertEqual(sorted(self.banned(name)), sorted(addresses)))

    def collect(self):
        """The entries of greetd about all kinds of clients; it runs on."""
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_refusing(**self.to_journal())
            self.visit_all()
            self.stop(greetd)
        return entries

    def test_clients_beyond_a_limit_are_banned_and_others_are_not(self):
        entries = self.collect()
        self.ban_from(self.export(entries))
        self.wait_banned("banned4", FAST, MANY)
        self.serve_refusing()
        self.assertEqual(self.visit(GREETED), b"Hello from server!")
        self.assertEqual(self.visit(DENIED), b"refused")
        with socket.socket() as client:
            client.bind((FAST, 0))
            client.settimeout(1)  # the packets are dropped, so no event tells that
            self.assertRaises(TimeoutError, client.connect, ("127.0.0.1", PORT))

    def entry(self, **fields):
        return {"MESSAGE": "Connection", "GREETD_REASON": "rate", **fields}

    def test_later_entries_ban_too_by_their_network_if_it_is_ipv6(self):
        self.ban_from(self.export([self.entry(GREETD_REMOTE_ADDR="192.0.2.7")]))
        self.wait_banned("banned4", "192.0.2.7")
        self.export([self.entry(GREETD_REMOTE_ADDR="2001:db8::7"),
                     self.entry(GREETD_REMOTE_ADDR="2001:db8::8")], 2)
        self.wait_banned("banned6", "2001:db8::/64")

    def test_addresses_of_headers_and_of_other_units_are_not_banned(self):
        self.ban_from(self.export([
            self.entry(GREETD_REMOTE_ADDR=BEHIND, GREETD_PROXY_ADDR=BALANCER),
            self.entry(GREETD_PROXY_ADDR=BALANCER, GREETD_REMOTE_ADDR=BEHIND),
            self.entry(GREETD_REMOTE_ADDR=INNOCENT, _SYSTEMD_UNIT="evil.service"),
            self.entry(GREETD_REMOTE_ADDR=INNOCENT, GREETD_REASON="network"),
            self.entry(GREETD_REMOTE_ADDR="unix"),
            self.entry(GREETD_REMOTE_ADDR="1.2.3.4 }; flush ruleset"),
            self.entry(GREETD_REMOTE_ADDR="192.0.2.9")]))
        self.wait_banned("banned4", "192.0.2.9")

    def test_systemd_finds_no_error_in_the_unit(self):
        unit = examples.text("nftables/greetd-ban.service").replace("/usr/local/sbin/greetd-ban", "/bin/true")
        path = self.write("greetd-ban.service", unit)
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", path), "")

    def test_the_rules_can_be_loaded_again(self):
        run("nft", "add", "element", "inet", "greetd", "banned4", "{ 192.0.2.7 }")
        before = run("nft", "--stateless", "list", "ruleset")
        run("nft", "--file", str(EXAMPLES / "nftables/greetd-ban.nft"))
        self.assertEqual(run("nft", "--stateless", "list", "ruleset"), before)
        self.assertEqual(self.banned("banned4"), ["192.0.2.7"])


if __name__ == "__main__":
    unittest.main()
