# SPDX-License-Identifier: MIT
"""Several sockets of one address: those of .socket units, and those that greetd opens itself."""

from support.case import ADDRESS, GREETING, StandaloneTest, SystemTest

RESTARTS = 5
LISTENING = f" 0100007F:{int(ADDRESS.rpartition(':')[2]):04X} 00000000:0000 0A "  # in /proc/net/tcp

REUSE_PORT = """\
[Socket]
ReusePort=yes
"""

SECOND_SOCKET = f"""\
[Socket]
ListenStream={ADDRESS}
ReusePort=yes
Service=greetd.service
"""


class ReusePort:
    def assert_sockets(self, n):
        self.assertEqual(self.machine.run("cat", "/proc/net/tcp").count(LISTENING), n)

    def set_workers(self, workers, more=""):
        self.write("/etc/greetd.conf.d/60-workers.conf", f"[Server]\nWorkers={workers}\n{more}")


class Units(ReusePort, SystemTest):
    def assert_shared(self, n):
        """greetd accepts from N sockets of the address, and loses no client in restarts."""
        self.assertEqual(self.greet(), GREETING)
        self.assert_sockets(n)
        for workers in (n, n - 1, n + 1):
            self.set_workers(workers)
            self.assert_restarts_lose_no_client(RESTARTS)
        started = RESTARTS * 3 + 1
        listening = self.entries(MESSAGE=f"Server is listening on {ADDRESS}")
        self.assertEqual(len(listening), started)

    def test_two_units_may_have_the_same_address(self):
        self.systemctl("stop", "greetd.socket")
        self.drop_in(REUSE_PORT, "greetd.socket")
        self.write("/etc/systemd/system/greetd-2.socket", SECOND_SOCKET)
        self.systemctl("daemon-reload")
        self.systemctl("start", "greetd.socket", "greetd-2.socket")
        self.assert_shared(2)

    def test_one_unit_may_have_the_address_several_times(self):
        self.systemctl("stop", "greetd.socket")
        self.drop_in(f"{REUSE_PORT}ListenStream={ADDRESS}\nListenStream={ADDRESS}\n",
                     "greetd.socket")
        self.systemctl("start", "greetd.socket")
        self.assert_shared(3)


class Store(ReusePort, StandaloneTest):
    def test_restarts_with_other_workers_lose_no_client(self):
        self.set_workers(1)
        self.systemctl("restart", "greetd")
        with self.load_all_served():
            for workers, reuse_port, sockets in (
                    (4, "yes", 4), (2, "yes", 4), (1, "no", 4), (3, "no", 4), (5, "yes", 5)):
                self.set_workers(workers, f"ReusePort={reuse_port}\n")
                self.systemctl("restart", "greetd")
                self.assert_sockets(sockets)
        self.systemctl("stop", "greetd")
        self.assert_sockets(0)

    def test_another_user_serves_the_stored_sockets_until_a_stop(self):
        self.set_workers(4, "ReusePort=yes\n")
        self.drop_in("[Service]\nDynamicUser=no\nUser=nobody\n")
        self.systemctl("restart", "greetd")
        self.wait_for_entry(MESSAGE=f"Failed to listen on {ADDRESS} with a socket for each worker: "
                            "Address already in use")
        self.assertEqual(self.greet(), GREETING)
        self.assert_sockets(1)
        self.systemctl("stop", "greetd")
        self.systemctl("start", "greetd")
        self.assert_sockets(4)

    def test_restarts_lose_no_client_if_the_store_has_room_for_some(self):
        self.drop_in("[Service]\nFileDescriptorStoreMax=2\nEnvironment=FDSTORE=2\n")
        self.set_workers(4, "ReusePort=yes\n")
        self.systemctl("stop", "greetd")
        self.systemctl("start", "greetd")
        self.wait_for_entry(MESSAGE="systemd keeps 2 of 4 sockets over a restart: "
                            "FileDescriptorStoreMax= is too small")
        self.assert_restarts_lose_no_client(RESTARTS)
        self.assert_sockets(4)
