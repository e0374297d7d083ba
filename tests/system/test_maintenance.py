# SPDX-License-Identifier: MIT
"""greetd-maintenance@.service takes the clients of other services over, and hands them back."""

import sys

from support.case import EXPOSURE_MAX, GREETING
from support.machine import CommandError
from support.takeover import (ADDRESS, CLOSED, MAINTENANCE, PROXY, SERVICE, SOCKET, TEXT,
                              TakeoverTest)

CONFIG = "/etc/greetd-maintenance.conf"
DROP_IN = "/etc/greetd-maintenance.conf.d/web.conf"
TIMES = 10
OF_MAINTENANCE = f"received {CLOSED!r}"
O_NONBLOCK = 0o4000

MORE_SOCKETS = f"""\
[Socket]
ListenStream={ADDRESS}
ListenStream=/run/web
ListenStream=127.0.0.1:7001
"""
ADMIN_SOCKET = """\
[Socket]
ListenStream=127.0.0.1:7002
FileDescriptorName=admin
Service=web.service
"""
ADMIN_DROP_IN = "[Unit]\nRequires=admin.socket\nAfter=admin.socket\n[Service]\nSockets=admin.socket\n"
FETCH = f"""\
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://{ADDRESS}/")
except urllib.error.HTTPError as error:
    print(error.code, error.headers["Retry-After"], error.read().decode(), end="")
"""


class Maintenance(TakeoverTest):
    def test_it_greets_until_it_is_stopped(self):
        self.assert_handed_back()
        self.take_over()
        self.assert_taken_over()
        self.hand_back()
        self.assert_handed_back()

    def test_it_greets_until_the_service_is_started(self):
        self.take_over()
        self.assert_taken_over()
        self.systemctl("start", "web.service")
        self.assert_handed_back()

    def test_under_load_each_client_has_an_answer_of_either(self):
        with self.load(address=ADDRESS) as outcomes:
            for _ in range(TIMES):
                self.take_over()
                self.assert_taken_over()
                self.hand_back()
                self.assert_handed_back()
        self.assertEqual(set(outcomes), {"greeted", OF_MAINTENANCE}, outcomes)

    def test_clients_in_the_queue_are_for_the_next_one(self):
        self.assert_handed_back()
        with self.clients_in_the_queue_of("web.service") as outcomes:
            self.take_over()
        self.assertEqual(outcomes, {OF_MAINTENANCE: 20})
        self.drop_in("[Service]\nKillSignal=SIGKILL\n", unit=MAINTENANCE)
        with self.clients_in_the_queue_of(MAINTENANCE) as outcomes:
            self.hand_back()
        self.assertEqual(outcomes, {"greeted": 20})

    def test_it_waits_for_the_end_of_the_service(self):
        self.drop_in("[Service]\nExecStop=/bin/sleep 1\n", unit="web.service")
        self.assert_handed_back()
        self.take_over()
        self.assertEqual(self.state("web.service"), "inactive")

    def test_meanwhile_the_socket_is_that_of_both_services(self):
        self.take_over()
        self.assertEqual(set(self.show("web.socket", "Triggers")["Triggers"].split()),
                         {MAINTENANCE, "web.service"})

    def test_the_socket_stays_as_it_is(self):
        self.assert_handed_back()
        socket = self.show("web.socket", "InvocationID")
        for _ in range(2):
            self.take_over()
            self.assertTrue(self.flags_of(MAINTENANCE) & O_NONBLOCK)
            self.assert_taken_over()
            self.hand_back()
            self.assert_handed_back()
            self.assertFalse(self.flags_of("web.service") & O_NONBLOCK)
        self.assertEqual(self.show("web.socket", "InvocationID"), socket)

    def flags_of(self, unit):
        """The flags of the first socket that systemd has passed to UNIT."""
        file = self.machine.path(f"/proc/{self.main_pid_of(unit)}/fdinfo/3")
        return int(dict(line.split(":", 1) for line in file.read_text().splitlines())["flags"], 8)

    def test_systemd_may_reload_and_start_anew(self):
        self.take_over()
        for command in ("daemon-reload", "daemon-reexec", "reset-failed"):
            self.systemctl(command)
            self.assert_taken_over()
        self.hand_back()
        self.assert_handed_back()

    def test_after_a_crash_it_is_restarted_and_the_service_is_not(self):
        self.take_over()
        before = self.main_pid_of(MAINTENANCE)
        self.systemctl("kill", "--signal=KILL", MAINTENANCE)
        self.assert_taken_over()
        self.assertNotEqual(self.main_pid_of(MAINTENANCE), before)
        self.assertEqual(self.show(MAINTENANCE, "NRestarts"), {"NRestarts": "1"})

    def test_no_number_of_failures_makes_systemd_stop_the_socket(self):
        # As in test_restart.
        self.assertEqual(self.show(MAINTENANCE, "StartLimitIntervalUSec"),
                         {"StartLimitIntervalUSec": "0"})

    def test_a_service_that_is_not_running_is_taken_over_with_its_socket(self):
        self.systemctl("stop", "web.socket")
        self.take_over()
        self.assert_taken_over()
        self.systemctl("stop", "web.socket")
        self.assertEqual(self.state(MAINTENANCE), "inactive")


class Proxy(TakeoverTest):
    """systemd-socket-proxyd, which drops its clients when it ends."""

    def make_web(self, socket=SOCKET, service=PROXY):
        super().make_web(socket, service)

    def test_it_is_taken_over_with_the_clients_in_its_queue_and_handed_back(self):
        for _ in range(2):
            self.assert_handed_back()
            with self.clients_in_the_queue_of("web.service") as outcomes:
                self.take_over()
            self.assertEqual(outcomes, {OF_MAINTENANCE: 20})
            self.assert_taken_over()
            self.hand_back()

    def test_no_client_is_refused(self):
        with self.polled(ADDRESS) as outcomes:
            for _ in range(TIMES):
                self.take_over()
                self.assert_taken_over()
                self.hand_back()
                self.assert_handed_back()
        self.assertEqual(list(outcomes), ["connected"], outcomes)


class SeveralSockets(TakeoverTest):
    def test_all_sockets_of_the_unit_are_taken_over(self):
        addresses = (ADDRESS, str(self.machine.path("/run/web")), "127.0.0.1:7001")
        self.systemctl("stop", "web.socket")
        self.make_web(socket=MORE_SOCKETS)
        self.assert_handed_back(*addresses)
        self.take_over()
        self.assert_taken_over(*addresses)
        self.hand_back()
        self.assert_handed_back(*addresses)

    def add_admin_socket(self):
        self.write("/etc/systemd/system/admin.socket", ADMIN_SOCKET)
        self.systemctl("daemon-reload")
        self.systemctl("start", "admin.socket")

    def test_another_socket_unit_needs_a_drop_in(self):
        self.add_admin_socket()
        self.write(DROP_IN, "[Listener admin]\nMessage=Closed for administrators, too.")
        self.drop_in(ADMIN_DROP_IN, unit=MAINTENANCE)
        self.take_over()
        self.assertEqual(self.greet("127.0.0.1:7002"), "Closed for administrators, too.")
        self.assert_taken_over()
        self.hand_back()
        self.assert_handed_back(ADDRESS, "127.0.0.1:7002")

    def test_without_it_a_client_of_that_socket_ends_the_maintenance(self):
        self.add_admin_socket()
        self.take_over()
        self.assert_taken_over()
        self.assertEqual(self.greet("127.0.0.1:7002"), GREETING)
        self.assert_handed_back()


class OtherNames(TakeoverTest):
    def test_a_service_of_another_name_needs_a_drop_in(self):
        self.systemctl("stop", "web.socket")
        self.machine.path("/etc/systemd/system/web.service").rename(
            self.machine.path("/etc/systemd/system/site.service"))
        self.write("/etc/systemd/system/web.socket", f"{SOCKET}Service=site.service\n")
        self.drop_in("[Unit]\nConflicts=site.service\nAfter=site.service\n", unit=MAINTENANCE)
        self.systemctl("start", "web.socket")
        self.assertEqual(self.greet(ADDRESS), GREETING)
        self.take_over()
        self.assert_taken_over()
        self.assertEqual(self.state("site.service"), "inactive")
        self.systemctl("start", "site.service")
        self.assertEqual(self.state(MAINTENANCE), "inactive")
        self.assertEqual(self.greet(ADDRESS), GREETING)

    def test_a_socket_with_a_colon_in_its_name_needs_another_name(self):
        unit, address = "greetd-maintenance@site:one.service", "127.0.0.1:7006"
        socket = SOCKET.replace(ADDRESS, address)
        self.write("/etc/systemd/system/site:one.service", SERVICE)
        self.write("/etc/systemd/system/site:one.socket", socket)
        self.systemctl("daemon-reload")
        with self.assertRaises(CommandError):
            self.systemctl("start", unit)
        self.assertEqual(self.greet(address), GREETING)
        self.write("/etc/systemd/system/site:one.socket", f"{socket}FileDescriptorName=site\n")
        self.systemctl("daemon-reload")
        self.systemctl("start", unit)
        self.assertEqual(self.greet(address), TEXT)
        self.systemctl("stop", unit)
        self.assertEqual(self.greet(address), GREETING)

    def test_an_instance_of_a_template(self):
        for kind, text in (("socket", SOCKET.replace(ADDRESS, "127.0.0.1:%i")), ("service", SERVICE)):
            self.write(f"/etc/systemd/system/site@.{kind}", text)
        self.drop_in(Failure.DROP_IN, unit="site@.service")
        self.systemctl("start", "site@7005.socket")
        self.assertEqual(self.greet("127.0.0.1:7005"), GREETING)
        self.systemctl("kill", "--signal=KILL", "site@7005.service")
        unit = "greetd-maintenance@site@7005.service"
        self.eventually(lambda: self.assertEqual(self.state(unit), "active"))
        self.assertEqual(self.greet("127.0.0.1:7005"), TEXT)
        self.systemctl("start", "site@7005.service")
        self.assertEqual(self.greet("127.0.0.1:7005"), GREETING)


class Failure(TakeoverTest):
    DROP_IN = "[Unit]\nOnFailure=greetd-maintenance@%N.service\n[Service]\nRestart=no\n"

    def fail_with_clients_in_the_queue(self):
        self.assert_handed_back()
        with self.clients_in_the_queue_of("web.service") as outcomes:
            self.systemctl("kill", "--signal=KILL", "web.service")
        self.assertEqual(outcomes, {OF_MAINTENANCE: 20})

    def test_a_service_that_fails_is_taken_over(self):
        self.drop_in(self.DROP_IN, unit="web.service")
        for command, unit in (("stop", MAINTENANCE), ("start", "web.service")):
            self.fail_with_clients_in_the_queue()
            self.assert_taken_over()
            self.systemctl(command, unit)
        self.assert_handed_back()

    def test_no_client_is_refused_when_it_fails_at_every_start(self):
        self.drop_in(self.DROP_IN + "ExecStart=\nExecStart=/bin/false\n", unit="web.service")
        with self.polled(ADDRESS) as outcomes:
            for _ in range(TIMES):
                self.systemctl("start", "web.service", check=False)
                self.eventually(self.assert_taken_over)
        self.assertEqual(list(outcomes), ["connected"], outcomes)

    def test_a_start_limit_of_the_service_closes_its_socket_for_a_moment(self):
        self.drop_in("[Unit]\nOnFailure=greetd-maintenance@%N.service\nStartLimitIntervalSec=10s\n"
                     "[Service]\nRestart=always\nRestartSec=0\nExecStart=\nExecStart=/bin/false\n",
                     unit="web.service")
        socket = self.show("web.socket", "InvocationID")
        self.systemctl("start", "web.service", check=False)
        self.eventually(self.assert_taken_over)
        self.assertNotEqual(self.show("web.socket", "InvocationID"), socket)


class Refusal(TakeoverTest):
    """What can't be taken over is an error, and its clients are served as before."""

    def assert_not_taken_over(self, error):
        with self.assertRaises(CommandError):
            self.take_over()
        journal = self.machine.run("journalctl", f"--unit={MAINTENANCE}", "--no-pager")
        self.assertIn(error, journal)
        self.assertEqual(self.show(MAINTENANCE, "ActiveState", "NRestarts"),
                         {"ActiveState": "failed", "NRestarts": "0"})
        self.assertEqual(self.greet(ADDRESS), GREETING)

    def test_a_socket_with_accept(self):
        self.systemctl("stop", "web.socket")
        self.write("/etc/systemd/system/web@.service",
                   "[Service]\nExecStart=/bin/echo -n Hello from server!\nStandardOutput=socket\n")
        self.make_web(socket=SOCKET + "Accept=yes\n")
        self.assert_not_taken_over("web.socket has Accept=yes: nobody can take over its clients")

    def test_a_datagram_socket(self):
        self.systemctl("stop", "web.socket")
        self.make_web(socket=SOCKET + "ListenDatagram=127.0.0.1:7003\n")
        self.assert_not_taken_over("(web.socket) passed by systemd can't be used: it is a datagram socket")

    def test_a_socket_that_stops_with_its_service(self):
        self.drop_in("[Unit]\nPartOf=web.service\n", unit="web.socket")
        self.assertEqual(self.greet(ADDRESS), GREETING)
        before = self.main_pid_of("web.service")
        # Versions of systemd name different units of the transaction here.
        with self.assertRaisesRegex(CommandError, "Transaction contains conflicting jobs"):
            self.take_over()
        self.assert_handed_back()
        self.assertEqual(self.main_pid_of("web.service"), before)

    def test_a_wrong_configuration(self):
        self.write(DROP_IN, "[Greeting]\nMesage=Closed\n")
        self.assert_not_taken_over("did you mean Message=?")

    def test_a_socket_that_does_not_exist(self):
        with self.assertRaisesRegex(CommandError, "Unit wbe.socket not found"):
            self.systemctl("start", "greetd-maintenance@wbe.service")


class Configuration(TakeoverTest):
    def test_the_configuration_is_correct_and_has_an_answer_for_http(self):
        self.machine.run("greetd", f"--config={CONFIG}", "--check")
        file = self.machine.path(CONFIG)
        text = file.read_text()
        section = text[text.index("#[Listener nginx.socket]"):].replace("\n#", "\n")[1:]
        self.write(DROP_IN, section.replace("nginx", "web"))
        self.machine.run("greetd", f"--config={CONFIG}", "--check")
        self.take_over()
        answer = self.finish_client(self.machine.start_on_network(sys.executable, "-c", FETCH))
        self.assertEqual(answer, "503 600 Closed for maintenance.\n")

    def test_a_reload_changes_the_greeting(self):
        self.take_over()
        self.assert_taken_over()
        self.write(DROP_IN, "[Greeting]\nMessage=Back at noon.\n")
        self.systemctl("reload", MAINTENANCE)
        self.eventually(lambda: self.assertEqual(self.greet(ADDRESS), "Back at noon."))
        self.write(DROP_IN, "[Greeting]\nMesage=Back at one.\n")
        with self.assertRaises(CommandError):
            self.systemctl("reload", MAINTENANCE)
        self.assertEqual(self.greet(ADDRESS), "Back at noon.")

    def test_it_has_the_sandbox_of_the_service(self):
        self.take_over()
        self.assert_taken_over()
        self.assertLessEqual(self.exposure(MAINTENANCE), EXPOSURE_MAX)
        self.assertEqual(self.exposure(MAINTENANCE), self.exposure("greetd.service"))
        self.assertEqual(self.machine.run("systemd-analyze", "verify", "--man=no", MAINTENANCE), "")


class Package(TakeoverTest):
    def test_an_upgrade_restarts_it_and_loses_no_client(self):
        self.assertEqual(self.systemctl("is-enabled", "greetd-maintenance@.service"), "static\n")
        with self.load(address=ADDRESS) as outcomes:
            self.take_over()
            before = self.main_pid_of(MAINTENANCE)
            self.install()
            self.assertNotEqual(self.main_pid_of(MAINTENANCE), before)
            self.assert_taken_over()
        self.assertEqual(set(outcomes), {"greeted", OF_MAINTENANCE}, outcomes)

    def test_removal_hands_the_clients_back(self):
        with self.load(address=ADDRESS) as outcomes:
            self.take_over()
            self.machine.run("dpkg", "--remove", "greeting-daemon")
            self.assertEqual(self.greet(ADDRESS), GREETING)
        self.assertEqual(set(outcomes), {"greeted", OF_MAINTENANCE}, outcomes)
        self.assertEqual(self.show(MAINTENANCE, "ActiveState"), {"ActiveState": "inactive"})
