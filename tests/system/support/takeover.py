# SPDX-License-Identifier: MIT
"""A service that is not greetd, activated by a socket, for greetd to take over."""

import contextlib

from .case import GREETING, SystemTest

ADDRESS = "127.0.0.1:7000"
MAINTENANCE = "greetd-maintenance@web.service"
CLOSED = b"Closed for maintenance. Please try again later.\r\n"
TEXT = CLOSED.decode().replace("\r\n", "\n")

# Without limits: a fast machine takes the service over and back more often than they allow.
SOCKET = f"""\
[Socket]
ListenStream={ADDRESS}
TriggerLimitIntervalSec=0
"""

# On SIGTERM it ends between two clients.
SERVER = r"""
use strict; use warnings; use Socket; use POSIX ':signal_h';
my ($term, $pending) = (POSIX::SigSet->new(SIGTERM), POSIX::SigSet->new);
sigprocmask(SIG_BLOCK, $term);
my @servers = map { open(my $server, '+<&=', $_) or die; $server } 3 .. 2 + $ENV{LISTEN_FDS};
my $bits = '';
vec($bits, fileno($_), 1) = 1 for @servers;
for (;;) {
    select(my $ready = $bits, undef, undef, 0.05);
    sigpending($pending);
    exit 0 if $pending->ismember(SIGTERM);
    for my $server (grep { vec($ready, fileno($_), 1) } @servers) {
        accept(my $client, $server) or die "accept: $!";
        syswrite($client, 'Hello from server!');
    }
}
"""
UNLIMITED = "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
SERVICE = f"{UNLIMITED}ExecStart=/usr/bin/perl /usr/local/bin/web\n"
# The greeting comes from greetd.socket.
PROXY = f"{UNLIMITED}ExecStart=/lib/systemd/systemd-socket-proxyd 127.0.0.1:12345\n"


class TakeoverTest(SystemTest):
    """web.service is activated by web.socket, and answers with the greeting of greetd."""

    def setUp(self):
        super().setUp()
        self.write("/usr/local/bin/web", SERVER)
        self.make_web()

    def make_web(self, socket=SOCKET, service=SERVICE):
        self.write("/etc/systemd/system/web.socket", socket)
        self.write("/etc/systemd/system/web.service", service)
        self.systemctl("daemon-reload")
        self.systemctl("start", "web.socket")

    def take_over(self):
        self.systemctl("start", MAINTENANCE)

    def hand_back(self):
        self.systemctl("stop", MAINTENANCE)

    def assert_taken_over(self, *addresses):
        for address in addresses or [ADDRESS]:
            self.assertEqual(self.greet(address), TEXT)
        self.assert_active(MAINTENANCE, "web.socket", inactive="web.service")

    def assert_handed_back(self, *addresses):
        for address in addresses or [ADDRESS]:
            self.assertEqual(self.greet(address), GREETING)
        self.assert_active("web.service", "web.socket", inactive=MAINTENANCE)

    def assert_active(self, *active, inactive):
        *states, state = self.systemctl("is-active", *active, inactive, check=False).split()
        self.assertEqual(set(states), {"active"}, active)
        self.assertIn(state, ("inactive", "failed"))

    def main_pid_of(self, unit):
        return int(self.show(unit, "MainPID")["MainPID"])

    @contextlib.contextmanager
    def clients_in_the_queue_of(self, unit, clients=20):
        """CLIENTS clients that UNIT does not accept, since it is stopped by a signal until it ends in
        the block. Yields a dictionary that has their outcomes in the end."""
        outcomes = {}
        self.systemctl("kill", "--signal=STOP", unit)
        crowd = self.start_client("crowd", ADDRESS, clients)
        self.assertEqual(crowd.stdout.readline(), "connected\n")
        yield outcomes
        outcomes.update(self.outcomes(crowd))
