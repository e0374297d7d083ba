# SPDX-License-Identifier: MIT
"""Machines for a test: network namespaces at the bridge of the test's own, which it has made with
namespaces.isolate() and a tmpfs at /run. They end with the test."""

from . import examples

BRIDGE = "cluster0"


class Network:
    """Its own end, the bridge, has ADDRESS, with a prefix."""

    def __init__(self, test, address):
        self._test = test
        self._ip("link", "add", BRIDGE, "type", "bridge")
        test.addCleanup(self._ip, "link", "delete", BRIDGE)
        self._ip("address", "add", address, "dev", BRIDGE)
        self._ip("link", "set", BRIDGE, "up")

    @staticmethod
    def _ip(*arguments):
        examples.run("ip", *arguments)

    def add(self, name, address):
        """Adds the machine NAME at ADDRESS, and returns the command that ends by executing a program
        there."""
        self._ip("netns", "add", name)
        self._test.addCleanup(self._ip, "netns", "delete", name)
        self._ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        self._test.addCleanup(self._ip, "link", "delete", name)
        self._ip("link", "set", name, "master", BRIDGE, "up")
        for command in (["address", "add", address, "dev", "eth0"], ["link", "set", "eth0", "up"],
                        ["link", "set", "lo", "up"]):
            self._ip("-netns", name, *command)
        return ["nsenter", f"--net=/run/netns/{name}"]
