# SPDX-License-Identifier: MIT
"""greet --expect-config: is what is served what is configured?"""

import os
import pathlib
import signal
import subprocess
import time
import unittest

from support import daemon, greet, namespaces, reload
from support.greet import LOST, OK, UNABLE, WRONG, send_greeting, text_of

LISTEN = "[Server]\nListenStream=127.0.0.1:7000\n"
ADDRESS = "127.0.0.1:7000"


def setUpModule():
    namespaces.isolate()


class ExpectConfigTestCase(greet.GreetTestCase, reload.ReloadTestCase):
    def expect(self, *args, **options):
        return self.greet(f"--expect-config={self.config}", "--quiet", *args, **options)

    def assert_right(self, *args, **options):
        self.assert_result(self.expect(*args, **options), OK)

    def assert_wrong(self, why, *args, address=ADDRESS):
        stderr = f"{address}: not the greeting expected: {why}"
        self.assert_result(self.expect(*args), WRONG, b"", stderr)

    def assert_unable(self, why, *args):
        self.assert_result(self.expect(*args), UNABLE, b"", why)

    def answer(self, greeting, listener=None):
        """A server that sends GREETING whatever the configuration says; returns its address."""
        return self.server(lambda client: send_greeting(client, greeting), listener=listener)[1]


class Reloads(ExpectConfigTestCase):
    def test_a_service_that_was_not_reloaded_is_found(self):
        greetd = self.serve_with(f"{LISTEN}[Greeting]\nMessage=Open\\nnow\\n")
        self.assert_right()
        self.configure(f"{LISTEN}[Greeting]\nMessage=Open\\nlater\\n")
        self.assert_wrong("it differs at byte 6, in line 2: \\x6e instead of \\x6c")
        self.assert_reloads(greetd)
        self.assert_right()

    def test_drop_ins_count(self):
        greetd = self.serve_with(LISTEN)
        self.write("greetd.conf.d/message.conf", "[Greeting]\nMessage=Hello from server, again\n")
        self.assert_wrong("it differs at byte 18, in line 1: \\x21 instead of \\x2c")
        self.assert_reloads(greetd)
        self.assert_right()

    def test_the_default_is_the_file_in_etc(self):
        self.own_etc()
        pathlib.Path("/etc/greetd.conf").write_text("[Greeting]\nMessage=From etc\n")
        self.serve(config=None)
        self.assert_result(self.greet("--expect-config"), OK, b"From etc")

    def test_a_file_is_read_as_it_is_now(self):
        path = self.write("message", "one\n")
        greetd = self.serve_with(f"{LISTEN}[Greeting]\nMessageFile={path}\n")
        self.assert_right()
        self.write("message", "two\n")
        self.assert_wrong("it differs at byte 1, in line 1: \\x6f instead of \\x74")
        self.assert_reloads(greetd)
        self.assert_right()

    def test_the_greeting_is_printed_without_quiet(self):
        self.serve_with(LISTEN)
        result = self.greet(f"--expect-config={self.config}")
        self.assert_result(result, OK, b"Hello from server!")


class Stops(ExpectConfigTestCase):
    def test_the_message_of_a_server_that_stops_is_wrong(self):
        greetd = self.serve_with(
            f"{LISTEN}StopDelaySec=1h\n[Greeting]\nMessage=up\nStopMessage=drain\n"
        )
        greetd.signal(signal.SIGTERM)
        greetd.wait_message("STOPPING", "1")
        while daemon.greeted(("127.0.0.1", 7000)) == b"up":
            pass
        self.assert_wrong("it differs at byte 1, in line 1: \\x64 instead of \\x75")


class Addresses(ExpectConfigTestCase):
    def test_a_listener_has_an_address_and_a_greeting_of_its_own(self):
        socket_path = f"{self.folder}/motd"
        self.serve_with(
            f"{LISTEN}[Listener motd]\nListenStream={socket_path}\n"
            "Message=$listener [$remote_addr] [$remote_port] $server_addr [$server_port]"
            " [$tcpinfo_rtt]\n"
        )
        self.assert_right("--listener=motd")
        self.assert_right("--listener=server")
        self.assert_right()
        self.assert_wrong("it differs at byte 1, in line 1: \\x48 instead of $listener",
                          "--listener=motd", ADDRESS)

    def test_an_address_takes_the_place_of_that_of_the_section(self):
        self.configure(f"{LISTEN}[Greeting]\nMessage=$server_port\n")
        listener = self.listen()
        port = listener.getsockname()[1]
        self.assert_right(self.answer(str(port).encode(), listener))

    def test_the_client_is_the_source_of_a_proxy_header(self):
        self.configure("[Greeting]\nMessage=$remote_addr [$remote_port] $server_addr\n")
        for source, client in (
            ("192.0.2.1:4000", "192.0.2.1 [4000]"),
            ("v1:2001:db8::1", "2001:db8::1 [49152]"),
            ("unix", "unix: []"),
        ):
            address = self.answer(f"{client} 127.0.0.1".encode())
            self.assert_right("--proxy", source, address)
            self.assertEqual(self.expect(address).returncode, WRONG)
        self.configure("[Greeting]\nMessage=$remote_addr\n")
        self.assert_right("--proxy=local", self.answer(b"127.0.0.1"))

    def test_a_server_that_needs_a_proxy_header_gets_that_of_a_health_check(self):
        self.serve_with(
            "[Server]\nListenStream=127.0.0.1:7001\n"
            "[Greeting]\nProxyProtocol=yes\nMessage=$remote_addr $remote_port\n"
        )
        self.assert_right()
        self.assert_right("--proxy=192.0.2.1")

    def test_wildcards_mean_loopback(self):
        for address, reached in (("0.0.0.0:7001", "127.0.0.1"), ("[::]:7002", "::1"), ("7003", "::1")):
            self.serve_with(f"[Server]\nListenStream={address}\n[Greeting]\nMessage=$server_addr\n")
            result = self.greet(f"--expect-config={self.config}")
            self.assert_result(result, OK, reached.encode())

    def test_a_dual_stack_socket_shows_ipv4_clients_their_address(self):
        self.serve_with("[Server]\nListenStream=7000\n[Greeting]\nMessage=$remote_addr $server_addr\n")
        self.assert_right(ADDRESS)

    def test_a_socket_of_systemd_needs_no_section_but_an_address(self):
        self.configure("[Greeting]\nMessage=$listener\n")
        listener = self.listen()
        address = text_of(listener.getsockname())
        self.serve("-c", str(self.config), config=None, sockets=[listener], names=["web"])
        self.assert_right("--listener=web", address)
        why = "it differs at byte 1, in line 1: \\x77 instead of $listener"
        self.assert_wrong(why, address, address=address)
        why = "[Listener web] has no ListenStream=, so an ADDRESS is needed"
        self.assert_unable(why, "--listener=web")

    def test_nobody_listens(self):
        self.configure(LISTEN)
        self.assert_result(self.expect(), LOST, b"", f"{ADDRESS}: Connection refused")


class Variables(ExpectConfigTestCase):
    MESSAGE = (
        "$remote_addr:$remote_port to $server_addr:$server_port\\n$hostname $listener $connection "
        "$pid\\n$time_iso8601 $time{%a %d %b %Y %T %Z} $msec\\n$tcpinfo_rtt$$"
    )

    def test_the_values_of_greetd_are_right(self):
        for address in (ADDRESS, "[::1]:7001"):
            self.serve_with(f"[Server]\nListenStream={address}\n[Greeting]\nMessage={self.MESSAGE}\n")
            self.assert_right()

    def test_thousands_of_variables_are_right(self):
        path = self.write("message", "$connection $time{%T}, $remote_port$pid\n" * 20000)
        self.serve_with(f"{LISTEN}[Greeting]\nMessageFile={path}\nExpand=yes\n")
        self.assert_right()

    def test_the_address_of_another_client_is_wrong(self):
        self.configure("[Greeting]\nMessage=You are $remote_addr.\n")
        address = self.answer(b"You are 127.0.0.2.")
        why = "it differs at byte 17, in line 1: \\x32 instead of $remote_addr"
        self.assert_wrong(why, address, address=address)

    def test_a_clock_that_is_wrong_is_found(self):
        self.configure("[Greeting]\nMessage=$msec\n")
        self.assert_right(self.answer(b"%.3f" % time.time()))
        address = self.answer(b"%.3f" % (time.time() - 60))
        why = "it differs at byte 1, in line 1: \\x31 instead of $msec"
        self.assert_wrong(why, address, address=address)

    def test_a_server_that_waits_may_send_the_time_of_its_answer(self):
        self.configure("[Greeting]\nMessage=$time_iso8601\n")
        sent = []

        def answer(client):
            client.settimeout(3.5)
            with self.assertRaises(TimeoutError):
                client.recv(1)
            sent.append(time.strftime("%FT%T+00:00", time.gmtime()).encode())
            send_greeting(client, sent[0])

        _, address = self.server(answer)
        result = self.greet(f"--expect-config={self.config}", address)
        self.assert_result(result, OK, sent[0])

    def test_metrics_have_to_be_there(self):
        self.serve_with(
            f"[Listener metrics]\nListenStream={ADDRESS}\nGreetOn=data\n"
            "Message=HTTP/1.0 200 OK\\r\\n\\r\\n$metrics\n[Server]\nListenStream=127.0.0.1:7001\n"
        )
        self.assert_right("--listener=metrics")
        address = self.answer(b"HTTP/1.0 200 OK\r\n\r\nup 1\n")
        why = "it differs at byte 20, in line 3: \\x75 instead of $metrics"
        self.assert_wrong(why, "--listener=metrics", address, address=address)


class GreetOn(ExpectConfigTestCase):
    def received(self, *args):
        """What greet sends for a configuration with GreetOn=data."""
        self.configure("[Greeting]\nGreetOn=data\n")
        got = []

        def answer(client):
            got.append(client.recv(1000))
            send_greeting(client)

        _, address = self.server(answer)
        self.assert_right(*args, address)
        return got[0]

    def test_a_request_is_sent_to_a_server_that_waits_for_one(self):
        self.assertEqual(self.received(), b"GET / HTTP/1.0\r\n\r\n")

    def test_another_text_can_be_sent(self):
        self.assertEqual(self.received("--send=x\\n"), b"x\n")

    def test_greetd_answers(self):
        self.serve_with(f"{LISTEN}[Greeting]\nGreetOn=data\n")
        self.assert_right()


class Watched(ExpectConfigTestCase):
    def serve_file(self, max_age="1min"):
        self.path = self.write("message", "fresh\n")
        return self.serve_with(
            f"{LISTEN}[Greeting]\nMessageFile={self.path}\nWatch=yes\nMaxAgeSec={max_age}\n"
            "StaleMessage=stale\\n\n"
        )

    def set_age(self, seconds):
        modified = time.time() - seconds
        os.utime(self.path, (modified, modified))

    def wait_served(self, greeting):
        """Waits until a watched file is in force."""
        deadline = time.monotonic() + daemon.TIMEOUT
        while daemon.greeted(("127.0.0.1", 7000)) != greeting:
            self.assertLess(time.monotonic(), deadline)

    def test_a_changed_file_is_right_without_a_reload(self):
        self.serve_file()
        self.assert_right()
        self.write("message", "fresher\n")
        self.wait_served(b"fresher\n")
        self.assert_right()

    def test_a_stale_file_is_not_expected(self):
        self.serve_file()
        self.set_age(3600)
        self.assert_right(self.answer(b"stale\n"))
        address = self.answer(b"fresh\n")
        why = "it differs at byte 1, in line 1: \\x66 instead of \\x73"
        self.assert_wrong(why, address, address=address)

    def test_greetd_with_a_file_that_is_stale_from_its_start_is_right(self):
        self.path = self.write("message", "fresh\n")
        self.set_age(3600)
        self.serve_with(
            f"{LISTEN}[Greeting]\nMessageFile={self.path}\nWatch=yes\nMaxAgeSec=1min\n"
            "StaleMessage=stale\\n\n"
        )
        self.assert_right()

    def test_a_file_that_never_becomes_stale_is_right(self):
        path = self.write("message", "fresh\n")
        self.serve_with(f"{LISTEN}[Greeting]\nMessageFile={path}\nWatch=yes\n")
        self.assert_right()

    def test_a_fresh_file_is_expected(self):
        self.serve_file()
        address = self.answer(b"stale\n")
        why = "it differs at byte 1, in line 1: \\x73 instead of \\x66"
        self.assert_wrong(why, address, address=address)

    def test_a_missing_file_is_stale(self):
        self.serve_file()
        os.unlink(self.path)
        self.assert_right(self.answer(b"stale\n"))

    def test_near_the_limit_either_is_right(self):
        self.serve_file("1h")
        fresh, stale = self.answer(b"fresh\n"), self.answer(b"stale\n")
        for age in (3599, 3600):
            for address in (fresh, stale):
                self.set_age(age)
                self.assert_right(address)
        self.set_age(3600)
        address = self.answer(b"static\n")
        why = "it differs at byte 4, in line 1: \\x74 instead of \\x6c"
        self.assert_wrong(why, address, address=address)


class Failures(ExpectConfigTestCase):
    def test_errors_of_the_configuration_are_those_of_check(self):
        self.configure("[Greeting]\nMessage=$nobody\nLigerSec=2\n")
        check = self.finish("--check", "-c", str(self.config), config=None)
        result = self.expect()
        self.assertEqual((result.returncode, result.stdout), (UNABLE, b""))
        self.assertEqual(result.stderr.decode().splitlines(), check.lines)
        self.assertEqual(len(check.lines), 2)

    def test_a_missing_configuration_is_an_error(self):
        self.assertEqual(self.expect().returncode, UNABLE)

    def test_a_difference_counts_more_than_a_timeout_after_it(self):
        self.configure(LISTEN)

        def stay(greeting):
            def behave(client):
                client.sendall(greeting)
                client.recv(1)

            return self.server(behave)[1]

        address = stay(b"Hello from Server!")
        why = "it differs at byte 12, in line 1: \\x53 instead of \\x73"
        self.assert_wrong(why, "-t", "300ms", address, address=address)
        for sent in (5, 18):
            address = stay(b"Hello from server!"[:sent])
            why = f"{address}: no end of stream within 300ms, after {sent} bytes"
            self.assert_result(self.expect("-t", "300ms", address), LOST, b"", why)

    def test_an_endless_greeting_is_wrong(self):
        self.configure(LISTEN)

        def send_endlessly(client):
            while True:
                client.sendall(b"x" * 1_000_000)

        _, address = self.server(send_endlessly)
        why = "it differs at byte 1, in line 1: \\x78 instead of \\x48"
        self.assert_wrong(why, address, address=address)



class Picks(ExpectConfigTestCase):
    def serve_entries(self, pick):
        self.path = self.write("quotes", "first\n%\nto $remote_addr\n%\nthird\n")
        self.serve_with(
            f"{LISTEN}[Greeting]\nMessageFile={self.path}\nPick={pick}\nExpand=yes\n"
        )

    def test_every_entry_is_right_at_random(self):
        self.serve_entries("random")
        for _ in range(10):
            self.assert_right()
        for entry in (b"first\n", b"to 127.0.0.1\n", b"third\n"):
            self.assert_right(self.answer(entry))

    def test_the_nearest_entry_shows_the_difference(self):
        self.serve_entries("random")
        address = self.answer(b"third and last\n")
        why = "it differs at byte 6, in line 1: \\x20 instead of \\x0a"
        self.assert_wrong(why, address, address=address)

    def test_only_one_entry_is_that_of_the_day(self):
        self.serve_entries("daily")
        self.assert_right()
        entries = (b"first\n", b"to 127.0.0.1\n", b"third\n")
        statuses = [self.expect(self.answer(entry)).returncode for entry in entries]
        # Two around midnight.
        self.assertIn(statuses.count(OK), (1, 2))

    def expect_at_midnight(self, address):
        """The status of greet in a time zone where the next day begins in a second."""
        clock = time.strftime("%H:%M:%S", time.gmtime(time.time() + 1))
        command = [greet.program(), f"--expect-config={self.config}", "--quiet", address]
        environment = self.environment(TZ=f"EARLY{clock}")
        return subprocess.run(
            command, env=environment, capture_output=True, timeout=daemon.TIMEOUT, check=False
        ).returncode

    def test_those_of_both_days_are_right_around_midnight(self):
        self.serve_entries("daily")
        entries = (b"first\n", b"to 127.0.0.1\n", b"third\n")
        statuses = [self.expect_at_midnight(self.answer(entry)) for entry in entries]
        self.assertEqual(sorted(statuses), [OK, OK, WRONG])


if __name__ == "__main__":
    unittest.main()
