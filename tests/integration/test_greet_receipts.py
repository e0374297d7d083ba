# SPDX-License-Identifier: MIT
"""greet writes what each client saw, and joins it with the journal: who was served, and where it broke."""

import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import unittest

from support import daemon, fake_journal, greet, poll, receipts
from support.greet import EXPECT, LOST, OK, UNABLE, WRONG, text_of

ENTRY = {"MESSAGE": [72, 105], "_PID": ["1", "2"], "__CURSOR": "s=1", "PRIORITY": None}

DRIP = "[Greeting]\nMessage=Hello\\nfrom server!\nDripSec=1min\n"


setUpModule = fake_journal.isolate


def journal(entries):
    """ENTRIES as `journalctl -o json` writes them, with some of other programs."""
    return "".join(json.dumps(entry) + "\n" for entry in [ENTRY, *entries, ENTRY])


class ReceiptsTestCase(fake_journal.JournalTestCase, greet.GreetTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "receipts"

    def load(self, *args, address=None, status=OK):
        """greet --load with STATUS, or one of several."""
        address = address or text_of(self.address)
        args = ("--load", "--receipts", self.path, *EXPECT, *args, address)
        result = self.greet(*map(str, args))
        self.assertIn(result.returncode, (status,) if isinstance(status, int) else status, result)
        self.assertEqual(result.stderr, b"")

    def receipts(self):
        return list(map(json.loads, self.path.read_text().splitlines()))

    def write_receipts(self, *changed):
        self.path.write_text("".join(json.dumps(receipt) + "\n" for receipt in changed))

    def reconcile(self, entries, status=OK, **verdicts):
        """Compares the receipts with ENTRIES. VERDICTS are the numbers that are not 0."""
        got, report = receipts.reconcile(
            greet.program(), self.path, journal(entries), env=self.environment()
        )
        found = {verdict: n for verdict, n in report["verdicts"].items() if n > 0}
        self.assertEqual((found, got), (verdicts, status), report)
        self.assertEqual(report["receipts"], sum(verdicts.values()))
        return report

    def reconcile_text(self, entries):
        """The same in words."""
        return subprocess.run(
            [greet.program(), "--reconcile", str(self.path)],
            input=journal(entries),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(TZ="UTC"),
        )

    def serve_load(self, *args, config="", status=OK, address=None):
        """A load on a greetd with CONFIG, and its journal."""
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_journal(config=config)
            self.load(*args, status=status, address=address)
            self.stop(greetd)
        return entries


class Served(ReceiptsTestCase):
    def test_both_sides_agree_on_each_of_many_clients(self):
        entries = self.serve_load("-n", 3000, "-c", 50)
        report = self.reconcile(entries, served=3000)
        self.assertEqual((report["entries"], report["others"], report["left_out"]), (3000, 0, 0))
        self.assertEqual(
            sorted(receipt["number"] for receipt in self.receipts()), list(range(1, 3001))
        )

    def test_ports_that_are_used_again(self):
        ports = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
        self.addCleanup(ports.write_text, ports.read_text())
        ports.write_text("20000 20009")
        entries = self.serve_load("-n", 500, "-c", 4)
        self.reconcile(entries, served=500)
        self.assertLessEqual({receipt["port"] for receipt in self.receipts()}, {*range(20000, 20010)})

    def test_clients_of_a_unix_socket_are_known_by_their_process(self):
        self.listener = self.listening_socket(socket.AF_UNIX, str(self.folder / "socket"))
        entries = self.serve_load("-n", 300, "-c", 8, address=self.listener.getsockname())
        self.reconcile(entries, served=300)
        self.assertEqual({receipt["address"] for receipt in self.receipts()}, {"unix"})
        self.assertEqual({entry.get("GREETD_REMOTE_PID") for entry in entries[1:]},
                         {str(self.receipts()[0]["pid"])})

    def test_clients_with_a_header_are_known_by_their_source(self):
        entries = self.serve_load(
            "-n", 300, "-c", 8, "--proxy=2001:db8::/48", config="[Greeting]\nProxyProtocol=yes\n"
        )
        self.reconcile(entries, served=300)
        receipt = self.receipts()[0]
        self.assertEqual((receipt["port"], receipt["proxy_address"]), (49152, "127.0.0.1"))

    def test_clients_with_one_source_are_counted(self):
        entries = self.serve_load(
            "-n", 300, "-c", 8, "--proxy=192.0.2.1", config="[Greeting]\nProxyProtocol=yes\n"
        )
        self.reconcile(entries, served=300)

    def test_other_clients_are_counted(self):
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_journal()
            self.assert_greeted(self.address)
            self.load("-n", 5)
            self.assert_greeted(self.address)
            self.stop(greetd)
        self.assertEqual(self.reconcile(entries, served=5)["others"], 2)

    def test_entries_that_were_left_out_are_not_missing(self):
        entries = self.serve_load(
            "-n", 100, config="[Log]\nRateLimitBurst=10\nRateLimitIntervalSec=1h\n"
        )
        report = self.reconcile(entries, served=10, unlogged=90)
        self.assertEqual(report["left_out"], 90)
        self.assertRegex(
            self.reconcile_text(entries).stdout,
            r"\A10 served: .*\n90 served: .* no entry\n"
            r"100 receipts; 10 entries .*; 90 entries were left out\n\Z",
        )

    def test_entries_that_are_missing_are_a_contradiction(self):
        entries = self.serve_load("-n", 50, config="[Log]\nConnections=no\n")
        self.reconcile(entries, status=WRONG, unlogged=50)


class Broken(ReceiptsTestCase):
    def test_refused_clients_have_a_reason(self):
        entries = self.serve_load("-n", 20, config="[Limits]\nDeny=127.0.0.0/8\n", status=WRONG)
        report = self.reconcile(entries, status=LOST, refused=20)
        self.assertEqual(len(report["examples"]), 5)
        self.assertEqual(report["examples"][0]["greetd"]["reason"], "network")
        result = self.reconcile_text(entries)
        self.assertEqual(result.returncode, LOST)
        self.assertEqual(result.stdout.count("greetd refused: network, 0 bytes"), 5)

    def test_a_header_that_is_not_trusted_is_refused(self):
        config = "[Greeting]\nProxyProtocol=yes\nProxyTrustedSources=192.0.2.0/24\n"
        args = ("-n", 20, "--proxy=198.51.100.1")
        # greetd closes with or without a reset, as the header has arrived or not.
        entries = self.serve_load(*args, config=config, status=(WRONG, LOST))
        report = self.reconcile(entries, status=LOST, refused=20)
        self.assertEqual(report["examples"][0]["greetd"]["reason"], "proxy")

    def test_a_client_that_gives_up(self):
        entries = self.serve_load("-n", 6, "-c", 6, "-t", "200ms", config=DRIP, status=LOST)
        self.reconcile(entries, status=LOST, client=6)

    def test_a_client_that_gives_up_before_it_has_sent_anything(self):
        for setting in ("GreetOn=data", "ProxyProtocol=yes"):
            with self.subTest(setting):
                config = f"[Greeting]\n{setting}\n"
                entries = self.serve_load("-n", 6, "-c", 6, "-t", "200ms", config=config, status=LOST)
                self.reconcile(entries, status=LOST, client=6)

    def test_a_greeting_that_is_not_the_expected_one(self):
        for message in ("Hello from", "Hello from another!"):
            with self.subTest(message):
                entries = self.serve_load("-n", 6, config=f"[Greeting]\nMessage={message}\n", status=WRONG)
                self.reconcile(entries, status=WRONG, wrong=6)

    def test_no_process_listens(self):
        self.listener.close()
        self.load("-n", 7, status=LOST)
        report = self.reconcile([], status=LOST, unaccepted=7)
        self.assertEqual([example["end"] for example in report["examples"]], ["refused"] * 5)

    def test_a_queue_that_is_lost(self):
        """greetd has ended, and the queue of its socket with it, when the clients were not accepted."""
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_journal()
            self.assert_greeted(self.address)
            self.stop(greetd)
        args = ("--load", "--receipts", str(self.path), "-n", "10", "-c", "10", *EXPECT)
        process = self.begin(*args, text_of(self.address))
        poll.eventually(lambda: self.assertEqual(self.pending(), 10), daemon.TIMEOUT)
        self.listener.close()
        process.communicate(timeout=daemon.TIMEOUT)
        self.assertEqual(process.returncode, LOST)
        self.reconcile(entries, status=LOST, unaccepted=10)
        self.reconcile([], status=LOST, unknown=10)

    def pending(self):
        """How many clients are in the queue of the listener; see tcpi_unacked in tcp(7)."""
        return struct.unpack_from("24xI", self.listener.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 104))[0]


class Interrupted(ReceiptsTestCase):
    def test_connections_in_progress_have_a_receipt(self):
        with fake_journal.collecting(self.journal) as entries:
            greetd = self.serve_journal(config=DRIP)
            process = self.begin(
                "--load", "--receipts", str(self.path), "-n", "9", "-c", "4", *EXPECT,
                text_of(self.address),
            )
            greetd.wait_message("STATUS", "Greeting 4 clients.*")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=daemon.TIMEOUT)
            self.stop(greetd)
        self.reconcile(entries, unfinished=4)


class Input(ReceiptsTestCase):
    def check_error(self, stderr, entries="", status=UNABLE):
        result = subprocess.run(
            [greet.program(), "--reconcile", str(self.path)],
            input=entries.encode(),
            capture_output=True,
            check=False,
            env=self.environment(),
        )
        self.assert_result(result, status, b"", stderr)

    def test_receipts_that_cannot_be_read(self):
        self.check_error(f"{self.path}: No such file or directory")
        self.path.mkdir()
        self.check_error(f"{self.path}: Is a directory")
        self.path.rmdir()
        self.path.touch()
        self.check_error(f"{self.path}: there are no receipts")

    def test_a_receipt_that_is_cut_off(self):
        self.serve_load("-n", 3)
        text = self.path.read_text()
        self.path.write_text(text[:-2])
        last = len(text.splitlines()[-1])
        self.check_error(f"{self.path}:3: byte {last}: a comma or }} is missing")

    def test_a_journal_that_is_not_json(self):
        self.serve_load("-n", 3)
        self.check_error("standard input:2: byte 1: not an object", "{}\nNov 26 12:00:00 host\n")

    def test_an_entry_without_its_result(self):
        entries = self.serve_load("-n", 3)
        del entries[1]["GREETD_RESULT"]
        number = 1 + 2  # behind the one of another program
        self.check_error(
            f"standard input:{number}: GREETD_RESULT is not a result of greetd", journal(entries)
        )

    def test_a_report_that_cannot_be_written(self):
        entries = self.serve_load("-n", 3)
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [greet.program(), "--reconcile", str(self.path)],
                input=journal(entries).encode(),
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
                env=self.environment(),
            )
        self.assertEqual(result.returncode, UNABLE)
        self.assertEqual(
            result.stderr, b"greet: Failed to write to standard output: No space left on device\n"
        )


class Written(ReceiptsTestCase):
    def test_a_full_disk_ends_the_run(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        address = text_of(greetd.address())
        result = self.greet(
            "--load", "--json", "-n", "100000", "--receipts", "/dev/full", *EXPECT, address
        )
        figures = json.loads(result.stdout)
        self.assertEqual(result.returncode, UNABLE)
        self.assertEqual(result.stderr, b"greet: /dev/full: No space left on device\n")
        self.assertLess(figures["connections"], 1000)

    def test_a_limit_of_file_sizes_ends_the_run(self):
        greetd = self.serve("-l", "127.0.0.1:0")
        address = text_of(greetd.address())
        args = ("--load", "-n", "10000", "--receipts", str(self.path), *EXPECT, address)
        result = subprocess.run(
            ["prlimit", "--fsize=100000", greet.program(), *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            env=self.environment(),
        )
        self.assertEqual(result.returncode, UNABLE)
        self.assertEqual(result.stderr, f"greet: {self.path}: File too large\n".encode())

    def test_a_signal_ends_the_wait_for_the_reader_of_a_pipe(self):
        _, address = self.server(greet.send_greeting)
        os.mkfifo(self.path)
        process = self.begin("--load", "-n", "3", "--receipts", str(self.path), address)
        channel = pathlib.Path(f"/proc/{process.pid}/wchan")  # a function of the kernel's fs/pipe.c
        poll.eventually(
            lambda: self.assertEqual(channel.read_text(), "wait_for_partner"), daemon.TIMEOUT
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=daemon.TIMEOUT)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_a_file_that_cannot_be_made_is_an_error(self):
        server, address = self.server(greet.send_greeting)
        result = self.greet("--load", "--receipts", "/no/such/folder/f", *EXPECT, address)
        self.assert_result(result, UNABLE, b"", "/no/such/folder/f: No such file or directory")
        self.assertEqual(server.accepted, 0)

    def test_what_each_client_saw(self):
        _, address = self.server(greet.send_greeting, greet.send_short, greet.send_nothing)
        self.load("-n", 3, "-c", 3, "-t", "300ms", address=address, status=LOST)
        found = {receipt["end"]: receipt["bytes"] for receipt in self.receipts()}
        self.assertEqual(found, {"ok": 18, "short": 5, "timeout": 0})
        for receipt in self.receipts():
            self.assertEqual((receipt["address"], receipt["server"]), ("127.0.0.1", address))
            self.assertGreaterEqual(receipt["end_usec"], receipt["connect_usec"])
            self.assertTrue(re.fullmatch(r"\d{16}", str(receipt["end_usec"])))

    def test_two_sides_that_contradict_each_other(self):
        entries = self.serve_load("-n", 10)
        first, *rest = self.receipts()
        self.write_receipts(first | {"end": "reset", "bytes": 5}, *rest)
        report = self.reconcile(entries, status=WRONG, contradicted=1, served=9)
        self.assertEqual(report["examples"][0]["number"], first["number"])
        self.assertEqual(report["examples"][0]["greetd"]["result"], "delivered")


if __name__ == "__main__":
    unittest.main()
