# SPDX-License-Identifier: MIT
"""Machines for a test: network namespaces at the bridge of the test's own, which it has made with
namespaces.isolate() and a tmpfs at /run."""

from . import examples

BRIDGE = "cluster0"


def _ip(*arguments):
    examples.run("ip", *arguments)


def make_bridge(address):
    """The test's own end of the network, at ADDRESS with a prefix."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", address, "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def add_machine(name, address):
    """Adds the machine NAME at ADDRESS, and returns the command that ends by executing a program
    there."""
    _ip("netns", "add", name)
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", name, "master", BRIDGE, "up")
    for command in (["address", "add", address, "dev", "eth0"], ["link", "set", "eth0", "up"],
                    ["link", "set", "lo", "up"]):
        _ip("-netns", name, *command)
    return ["nsenter", f"--net=/run/netns/{name}"]
