# SPDX-License-Identifier: MIT
"""The examples for keepalived and BIRD: the address of a greetd that has died goes to another server, or
from the router, by the health check of the examples."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

from support import examples, greet, network, peer
from support.examples import eventually, run

IS_ROOT = os.getuid() == 0  # before the user namespace of namespaces.isolate()
ADDRESS = "192.0.2.20"
CONFIG = "[Server]\nListenStream=0.0.0.0:12345\n[Greeting]\nMessage={}\n"
# The other end of bird.conf.
ROUTER = """\
router id 192.0.2.254;
protocol device {
}
protocol kernel {
    ipv4 { export all; };
}
protocol bgp server {
    local as 64500;
    neighbor 192.0.2.21 as 64512;
    ipv4 { import all; export none; };
}
"""


class FailoverTestCase(examples.ExampleTestCase):
    def setUp(self):
        super().setUp()
        # keepalived runs no script that others than root can change.
        os.chmod("/run", 0o755)
        self.greet = shutil.copy(greet.program(), "/run/greet")
        self.network = network.Network(self, "192.0.2.1/24")

    def serve_on(self, machine, name):
        """A greetd whose greeting is NAME, and the command that checks it."""
        path = pathlib.Path(f"/run/{name}.conf")
        path.write_text(CONFIG.format(name), "ascii")
        return self.serve("-c", str(path), config=None, wrapper=machine), f"--expect-config={path}"

    def visit(self):
        """The greeting of the server that has the address, or what went wrong."""
        done = subprocess.run([self.greet, "--timeout=1s", f"{ADDRESS}:12345"], text=True,
                              capture_output=True, check=False)
        return done.stdout


@unittest.skipUnless(IS_ROOT, "keepalived runs only programs that belong to the machine's root")
class Keepalived(FailoverTestCase):
    def keepalived(self, machine, name, check, priority):
        config = examples.text("keepalived/keepalived.conf").replace("priority 100", f"priority {priority}")
        config = config.replace("--expect-config", check).replace("/usr/bin/greet", self.greet)
        path = self.write(f"{name}.conf", config)
        self.check_syntax(machine, config)
        return peer.Peer(self, "keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", path,
                         "--pid", f"/run/{name}.pid", "--vrrp_pid", f"/run/{name}-vrrp.pid",
                         wrapper=machine)

    def check_syntax(self, machine, config):
        # keepalived 2.2.7 ends itself by a signal if a test looks for a script as another user.
        path = self.write("root.conf", config.replace("script_user nobody", "script_user root"))
        command = *machine, "keepalived", "--config-test", "--use-file"
        self.assertEqual(run(*command, path), "")
        text = pathlib.Path(path).read_text("utf-8")
        wrong = self.write("wrong.conf", text.replace("interval", "intreval"))
        self.assertIn("intreval", run("sh", "-c", '! "$@"', "sh", *command, wrong))

    def test_the_address_goes_to_the_server_that_greets_and_comes_back(self):
        machines = {name: self.network.add(name, f"192.0.2.{n}/24")
                    for name, n in (("web1", 21), ("web2", 22))}
        served = {name: self.serve_on(machine, name) for name, machine in machines.items()}
        for name, priority in (("web1", 100), ("web2", 99)):
            self.keepalived(machines[name], name, served[name][1], priority)
        eventually(lambda: self.assertEqual(self.visit(), "web1"))
        served["web1"][0].signal(signal.SIGKILL)
        eventually(lambda: self.assertEqual(self.visit(), "web2"))
        self.serve_on(machines["web1"], "web1")
        eventually(lambda: self.assertEqual(self.visit(), "web1"))


class Anycast(FailoverTestCase):
    def bird(self, machine, name, config):
        path = self.write(f"{name}.conf", config)
        run("bird", "-p", "-c", path)
        return peer.Peer(self, "bird", "-f", "-c", path, "-s", f"/run/{name}.ctl", wrapper=machine)

    def command(self, setting, machine, check):
        """The command of SETTING in the unit, on MACHINE, with CHECK in the place of --expect-config."""
        unit = examples.text("anycast/greetd-anycast.service")
        line = re.search(rf"^{setting}=-?/bin/sh -c '(.*)'$", unit, re.MULTILINE)[1]
        return [*machine, "sh", "-c", line.replace("--expect-config", check).replace("greet ", "/run/greet ")]

    def assert_route(self, router, n):
        """The router has N routes to the address."""
        routes = json.loads(run(*router, "ip", "-json", "route", "show", ADDRESS))
        self.assertEqual(len(routes), n, routes)

    def test_systemd_finds_no_error_in_the_unit(self):
        path = str(examples.EXAMPLES / "anycast/greetd-anycast.service")
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", path), "")

    def test_the_route_is_withdrawn_when_greetd_has_died(self):
        router = self.network.add("router", "192.0.2.254/24")
        machine = self.network.add("web1", "192.0.2.21/24")
        greetd, check = self.serve_on(machine, "web1")
        self.bird(router, "router", ROUTER)
        self.bird(machine, "web1", examples.text("anycast/bird.conf"))
        unit = subprocess.Popen(self.command("ExecStart", machine, check))
        self.addCleanup(unit.wait)
        self.addCleanup(unit.kill)
        eventually(lambda: self.assert_route(router, 1))
        run("ip", "route", "add", ADDRESS, "via", "192.0.2.254")
        run(*router, "sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
        eventually(lambda: self.assertEqual(self.visit(), "web1"))
        greetd.signal(signal.SIGKILL)
        unit.wait(examples.TIMEOUT)
        run(*self.command("ExecStopPost", machine, check))
        eventually(lambda: self.assert_route(router, 0))


if __name__ == "__main__":
    unittest.main()
