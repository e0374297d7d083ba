# SPDX-License-Identifier: MIT
"""greetd-metrics.socket, which the package ships disabled."""

import sys

from support.case import GREETING, SystemTest

ADDRESS = "127.0.0.1:9109"
SOCKET = "greetd-metrics.socket"
UNITS = (SOCKET, "greetd.socket", "greetd.service")
SECTION = "[Listener metrics]\nMessage=numbers\n"
EXAMPLE = "/usr/share/doc/greeting-daemon/examples/greetd-metrics.conf"
RESTARTS = 3
SCRAPE = f"import urllib.request as r; print(r.urlopen('http://{ADDRESS}/').read().decode())"


class MetricsSocket(SystemTest):
    def enable(self):
        self.write("/etc/greetd.conf.d/metrics.conf", SECTION)
        self.systemctl("stop", "greetd.service")
        self.systemctl("enable", "--now", SOCKET)

    def assert_all_inactive(self, load_state):
        for unit in UNITS:
            self.assertEqual((unit, self.show(unit, "LoadState", "ActiveState")),
                             (unit, {"LoadState": load_state, "ActiveState": "inactive"}))
        self.assert_refused()
        self.assert_refused(ADDRESS)

    def assert_both_answer(self):
        self.assertEqual(self.greet(), GREETING)
        self.assertEqual(self.greet(ADDRESS), "numbers")

    def test_the_package_neither_enables_nor_starts_it(self):
        enabled = self.systemctl("is-enabled", SOCKET, check=False)
        self.assertEqual(enabled, "disabled\n")
        self.assertEqual(self.state(SOCKET), "inactive")
        self.assert_refused(ADDRESS)
        self.assertEqual(self.greet(), GREETING)

    def test_enabled_it_is_answered_by_the_section_of_its_name(self):
        self.assertEqual(self.greet(), GREETING)
        self.enable()
        self.assertEqual(self.greet(ADDRESS), "numbers")
        self.assertEqual(self.greet(), GREETING)
        self.wait_for_entry(GREETD_LISTENER="metrics", GREETD_RESULT="delivered")

    def test_the_commands_of_its_header_let_prometheus_scrape(self):
        self.assertEqual(self.greet(), GREETING)
        self.machine.run("cp", EXAMPLE, "/etc/greetd.conf.d/")
        self.systemctl("stop", "greetd.service")
        self.systemctl("enable", "--now", SOCKET)
        self.assertEqual(self.greet(), GREETING)
        metrics = self.finish_client(self.machine.start_on_network(sys.executable, "-c", SCRAPE))
        self.assertIn('\ngreetd_connections_total{listener="server",result="delivered"} ', metrics)
        self.assertIn("\ngreetd_greeting_seconds_count 1\n", metrics)

    def test_an_upgrade_leaves_it_alone_and_removal_ends_it(self):
        self.enable()
        before = self.show(SOCKET, "InvocationID")
        self.install()
        self.assertEqual(self.show(SOCKET, "InvocationID"), before)
        self.assertEqual(self.greet(ADDRESS), "numbers")
        self.machine.run("dpkg", "--remove", "greeting-daemon")
        self.assert_refused(ADDRESS)

    def assert_removal_while_scraped(self, removal):
        self.enable()
        with self.polled(ADDRESS):
            self.machine.run("dpkg", removal, "greeting-daemon")
            self.assert_all_inactive("not-found")
            self.install()
            self.assertEqual(self.greet(), GREETING)

    def test_installed_again_it_is_still_enabled(self):
        self.enable()
        self.machine.run("dpkg", "--remove", "greeting-daemon")
        self.install()
        self.assert_both_answer()

    def test_removal_while_it_is_scraped_leaves_nothing_and_installing_again_works(self):
        self.assert_removal_while_scraped("--remove")

    def test_a_purge_while_it_is_scraped_leaves_nothing_and_installing_again_works(self):
        self.assert_removal_while_scraped("--purge")

    def test_an_upgrade_while_it_is_scraped_refuses_no_client(self):
        self.enable()
        with self.polled(ADDRESS) as outcomes:
            self.install()
        self.assertEqual(list(outcomes), ["connected"], outcomes)
        self.assert_both_answer()

    def test_stopping_the_servers_socket_stops_everything_while_it_is_scraped(self):
        self.enable()
        with self.polled(ADDRESS):
            self.systemctl("stop", "greetd.socket")
            self.assert_all_inactive("loaded")
        self.systemctl("start", "greetd.socket")
        self.assert_both_answer()

    def test_restarting_the_servers_socket_while_it_is_scraped(self):
        self.enable()
        with self.polled(ADDRESS):
            for _ in range(RESTARTS):
                self.systemctl("restart", "greetd.socket")
                self.assert_both_answer()

    def test_the_section_without_the_socket_does_no_harm(self):
        self.write("/etc/greetd.conf.d/metrics.conf", SECTION)
        self.assertEqual(self.greet(), GREETING)
        self.wait_for_entry(
            MESSAGE="No socket is named metrics: [Listener metrics] is not used", PRIORITY="4")
