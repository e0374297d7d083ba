# SPDX-License-Identifier: MIT
"""Variables in messages: each client reads its own values, however slowly."""

import signal
import socket
import subprocess
import unittest

from support import daemon, namespaces
from support.daemon import EX_CONFIG, connect, greeted, read_to_end


def setUpModule():
    namespaces.isolate()


class Variables(daemon.GreetdTestCase):
    def serve_message(self, message, *listen, more=""):
        listen = "".join(f"ListenStream={address}\n" for address in listen or ["127.0.0.1:0"])
        config = f"[Server]\nWorkers=1\n{listen}[Greeting]\nMessage={message}\n{more}"
        greetd = self.serve(config=config)
        return greetd, greetd.address()

    def test_an_ipv4_client_reads_its_address(self):
        _, address = self.serve_message(r"$remote_addr:$remote_port\n")
        with connect(address) as client:
            host, port = client.getsockname()
            self.assertEqual(read_to_end(client), f"{host}:{port}\n".encode())

    def test_an_ipv6_client_reads_its_address(self):
        _, address = self.serve_message(r"${remote_addr} ${remote_port}", "[::1]:0")
        with connect(address) as client:
            port = client.getsockname()[1]
            self.assertEqual(read_to_end(client), f"::1 {port}".encode())

    def test_an_ipv4_client_of_an_ipv6_socket_reads_its_ipv4_address(self):
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.addCleanup(listener.close)
        self.serve("-m", "$remote_addr", sockets=[listener])
        self.assert_greeted(("127.0.0.1", listener.getsockname()[1]), b"127.0.0.1")

    def test_a_unix_client_reads_what_nginx_sends(self):
        _, address = self.serve_message("[$remote_addr][$remote_port]", f"{self.folder}/socket")
        self.assert_greeted(address, b"[unix:][]")

    def test_clients_read_the_address_that_they_have_connected_to(self):
        _, (_, port) = self.serve_message("$server_addr|$server_port", "0.0.0.0:0")
        for host in ("127.0.0.1", "127.0.0.2"):
            self.assert_greeted((host, port), f"{host}|{port}".encode())

    def test_clients_of_a_bound_address_read_it(self):
        _, (_, port) = self.serve_message("$server_addr|$server_port", "127.0.0.3:0")
        self.assert_greeted(("127.0.0.3", port), f"127.0.0.3|{port}".encode())

    def test_clients_of_an_ipv6_socket_read_the_address_of_their_family(self):
        greetd = self.serve("-l", "0", "-m", "$server_addr|$server_port")
        port = greetd.address()[1]
        self.assert_greeted(("::1", port), f"::1|{port}".encode())
        self.assert_greeted(("127.0.0.2", port), f"127.0.0.2|{port}".encode())

    def test_clients_of_a_unix_socket_read_its_path(self):
        for path in (f"{self.folder}/socket", "@variables"):
            _, address = self.serve_message("$server_addr|$server_port|", path)
            self.assert_greeted(address, f"unix:{path}||".encode())

    def test_the_listener_is_named_as_in_the_log(self):
        greetd = self.serve(
            config="[Server]\nListenStream=127.0.0.1:0\n[Greeting]\nMessage=$listener\n"
            f"[Listener motd]\nListenStream={self.folder}/socket\n"
        )
        self.assert_greeted(greetd.address(), b"server")
        self.assert_greeted(f"{self.folder}/socket", b"motd")

    def test_the_process_has_its_id(self):
        greetd, address = self.serve_message("$pid{}")
        self.assert_greeted(address, f"{greetd.pid}{{}}".encode())

    def test_only_clients_of_tcp_have_a_round_trip_time(self):
        _, address = self.serve_message("$tcpinfo_rtt")
        self.assertGreater(int(greeted(address)), 0)
        _, address = self.serve_message("[$tcpinfo_rtt]", f"{self.folder}/socket")
        self.assert_greeted(address, b"[]")

    def test_connections_are_numbered_as_in_the_log(self):
        _, address = self.serve_message("$connection")
        self.assertEqual([greeted(address) for _ in range(3)], [b"1", b"2", b"3"])

    def test_workers_do_not_use_a_number_twice(self):
        greetd = self.serve(
            "-l", "127.0.0.1:0", "-m", "$connection", config="[Server]\nWorkers=4\n"
        )
        clients = [self.client(greetd.address()) for _ in range(200)]
        self.assertEqual(len({read_to_end(client) for client in clients}), 200)

    def test_the_host_is_named(self):
        _, address = self.serve_message(r"$hostname\n")
        self.assert_greeted(address, socket.gethostname().encode() + b"\n")

    def test_dollars_can_be_written(self):
        _, address = self.serve_message(r"5$$, \x24connection, $$connection")
        self.assert_greeted(address, b"5$, $connection, $connection")

    def test_nothing_is_expanded_with_expand_no(self):
        _, address = self.serve_message("5$ for $nobody", more="Expand=no\n")
        self.assert_greeted(address, b"5$ for $nobody")

    def test_the_command_line_has_variables_too(self):
        greetd = self.serve(
            "-l", "127.0.0.1:0", "--message=$connection$$", config="[Server]\nWorkers=1\n"
        )
        self.assert_greeted(greetd.address(), b"1$")

    def test_a_reload_changes_the_variables(self):
        greetd, address = self.serve_message("$connection")
        self.assert_greeted(address, b"1")
        path = next(self.folder.glob("config*"))
        path.write_text(path.read_text().replace("$connection", "now $connection"))
        greetd.signal(signal.SIGHUP)
        greetd.wait_until(
            lambda: sum("READY" in message for message in greetd.messages) == 2, "second READY=1"
        )
        self.assert_greeted(address, b"now 2")


class MessageFiles(daemon.GreetdTestCase):
    # Several MB, more than the kernel buffers for a client that does not read.
    LINE = "Client $connection is at ${remote_addr}.\n"
    COUNT = 250_000

    def serve_file(self, content, more="Expand=yes\n"):
        path = self.write("message", content)
        config = f"[Server]\nWorkers=1\n[Greeting]\nMessageFile={path}\n{more}"
        greetd = self.serve("-l", "127.0.0.1:0", config=config)
        return greetd, greetd.address()

    def expected(self, number):
        return f"Client {number} is at 127.0.0.1.\n".encode() * self.COUNT

    def test_a_file_is_not_expanded_by_default(self):
        _, address = self.serve_file("$nobody 5$\n", more="")
        self.assert_greeted(address, b"$nobody 5$\n")

    def test_a_file_has_variables_but_no_escapes(self):
        _, address = self.serve_file("\\n$connection\0$$\n")
        self.assert_greeted(address, b"\\n1\0$\n")

    def test_a_big_file_is_expanded_for_quick_readers(self):
        _, address = self.serve_file(self.LINE * self.COUNT)
        for number in (1, 2):
            self.assertTrue(greeted(address) == self.expected(number))

    def test_slow_readers_get_all_of_the_text_rendered_for_each(self):
        _, address = self.serve_file(self.LINE * self.COUNT)
        clients = [self.client(address, receive_buffer=16384) for _ in range(4)]
        received = [bytearray(client.recv(100)) for client in clients]
        for _ in range(20):
            for client, got in zip(clients, received):
                got += client.recv(4096)
        for number, (client, got) in enumerate(zip(clients, received), 1):
            got += read_to_end(client)
            self.assertTrue(got == self.expected(number))

    def test_others_are_greeted_after_slow_readers_close(self):
        greetd, address = self.serve_file(self.LINE * self.COUNT)
        for _ in range(5):
            with connect(address, receive_buffer=4096) as client:
                client.recv(1000)
        self.assertTrue(greeted(address) == self.expected(6))
        self.stop(greetd)


class Errors(daemon.GreetdTestCase):
    def check(self, config, *args):
        path = self.write("greetd.conf", config)
        run = subprocess.run(
            [daemon.program(), "--check", "-c", path, *args],
            capture_output=True,
            text=True,
            env=self.environment(),
            check=False,
        )
        return run.returncode, run.stderr.replace(f"{path}:", "")

    def test_unknown_variables_are_reported_with_their_line_and_the_nearest_name(self):
        bad = self.write("bad", "two lines\nand $conection")
        status, output = self.check(
            f"[Greeting]\nMessage=from $remote_adr\n[Listener a]\nMessageFile={bad}\nExpand=yes\n"
            "[Listener b]\nMessage=costs 5$\n[Listener c]\nMessage=${hostname\n"
            "[Listener d]\nMessage=$request_uri\n"
        )
        self.assertEqual(status, EX_CONFIG)
        self.assertEqual(
            output.splitlines(),
            [
                "2: Message=: unknown variable $remote_adr at byte 6; did you mean $remote_addr?",
                f"4: MessageFile={bad}:2: unknown variable $conection at byte 5; "
                "did you mean $connection?",
                "7: Message=: bad variable at byte 8; a $ that no name follows is written as $$",
                "9: Message=: bad variable at byte 1; ${ must be followed by the name of a variable "
                "and }",
                "11: Message=: unknown variable $request_uri at byte 1",
            ],
        )

    def test_all_errors_of_a_message_are_reported_at_once(self):
        status, output = self.check("[Greeting]\nMessage=$foo and $bar \\q ${hostnam}\n")
        self.assertEqual(status, EX_CONFIG)
        self.assertEqual(
            output.splitlines(),
            [
                "2: Message=: bad escape \\q at byte 15; the escapes are \\n, \\r, \\t, \\\\ and \\xHH",
                "2: Message=: unknown variable $foo at byte 1",
                "2: Message=: unknown variable $bar at byte 10",
                "2: Message=: unknown variable $hostnam at byte 18; did you mean $hostname?",
            ],
        )

    def test_bad_arguments_are_reported_with_their_line(self):
        bad = self.write("bad", "two lines\nand \\ $time{%H:%Q}")
        status, output = self.check(
            f"[Greeting]\nMessage=$time\n[Listener a]\nMessageFile={bad}\nExpand=yes\n"
            "[Listener b]\nMessage=$time{%F\n[Listener c]\nMessage=$time{}\n"
            "[Listener d]\nMessage=$unit_state{getty@.service} $unit_state{nginx}\n"
        )
        self.assertEqual(status, EX_CONFIG)
        self.assertEqual(
            output.splitlines(),
            [
                "2: Message=: missing argument of $time at byte 1; it is written as $time{FORMAT}",
                f"4: MessageFile={bad}:2: bad argument of $time at byte 16; "
                "strftime(3) knows no such conversion",
                "7: Message=: unclosed argument of $time at byte 6; it is written as $time{FORMAT}",
                "9: Message=: bad argument of $time at byte 7; it must not be empty",
                "11: Message=: bad argument of $unit_state at byte 18; "
                "a template has no state; its instances have",
                "11: Message=: bad argument of $unit_state at byte 46; "
                "a unit's name ends with its type, such as .service",
            ],
        )

    def test_the_command_line_is_checked_too(self):
        status, output = self.check("", "-m", "$hostnam")
        self.assertEqual(status, EX_CONFIG)
        self.assertEqual(
            output,
            "command line: --message=: unknown variable $hostnam at byte 1; "
            "did you mean $hostname?\n",
        )

    def test_good_variables_pass(self):
        message = (
            "$remote_addr $remote_port $connection $hostname $metrics $$ ${connection} $server_addr "
            "$server_port $time_iso8601 $msec $pid $listener $time{%d %b %Y} $tcpinfo_rtt "
            "$unit_state{nginx.service}"
        )
        self.assertEqual(self.check(f"[Greeting]\nMessage={message}\n"), (0, ""))


if __name__ == "__main__":
    unittest.main()
