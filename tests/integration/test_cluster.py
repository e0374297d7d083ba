# SPDX-License-Identifier: MIT
"""packaging/examples/haproxy: three machines with greetd behind one with HAProxy, under load. One greetd
is killed, one is drained, and one is restarted. What is lost was on the one that was killed."""

import datetime
import json
import re
import signal
import subprocess
import unittest

from support import examples, fake_journal, greet, network, receipts
from support.daemon import TIMEOUT
from support.examples import eventually
from support.haproxy import HAProxy

HERE, BALANCER = "192.0.2.1", "192.0.2.10"
SERVERS = {"web1": "192.0.2.21", "web2": "192.0.2.22", "web3": "192.0.2.23"}
# A session in HAProxy's log (option tcplog), and its number of retries, with + after a redispatch.
SESSION = re.compile(rf"{HERE}:(?P<port>\d+) \[(?P<accepted>[^]]+)\] greeting greetd/(?P<server>\S+) .*"
                     r" \d+/\d+/\d+/\d+/(?P<retries>\S+) \d+/\d+$", re.MULTILINE)
# Every connection has an entry, so that none is missing for another reason.
ALL_ENTRIES = "[Log]\nRateLimitBurst=infinity\n"


def setUpModule():
    fake_journal.isolate()


def sessions(log):
    """The sessions of HAProxy's LOG: lists of the time of accept in microseconds, a server and the
    number of retries, by the port of the client."""
    found = {}
    for match in SESSION.finditer(log):
        accepted = datetime.datetime.strptime(match["accepted"], "%d/%b/%Y:%H:%M:%S.%f")
        session = accepted.timestamp() * 1e6, match["server"], match["retries"]
        found.setdefault(int(match["port"]), []).append(session)
    return found


class ClusterTestCase(fake_journal.JournalTestCase):
    def setUp(self):
        super().setUp()
        machines = network.Network(self, f"{HERE}/24")
        self.machines = {name: machines.add(name, f"{address}/24")
                         for name, address in SERVERS.items()}
        self.stores = {}
        self.haproxy = HAProxy(self, examples.text("haproxy/haproxy.cfg"),
                               machines.add("balancer", f"{BALANCER}/24"))

    def serve_at(self, name):
        """Starts greetd on the machine NAME, and waits until HAProxy sends clients there."""
        config = examples.text("haproxy/greetd.conf") + ALL_ENTRIES
        greetd = self.serve(config=config, wrapper=self.machines[name], store=self.stores.get(name),
                            **self.to_journal())
        self.wait_state(name, "UP")
        return greetd

    def wait_state(self, name, status):
        eventually(lambda: self.assertTrue(
            self.haproxy.server(name)["status"].startswith(status), self.haproxy.server(name)))

    def wait_clients(self, name, more=20):
        """Waits until MORE clients were sent to the server NAME."""
        goal = int(self.haproxy.server(name)["stot"]) + more
        eventually(lambda: self.assertGreaterEqual(int(self.haproxy.server(name)["stot"]), goal))

    def kill(self, name, greetd):
        """Kills GREETD while it has clients: it has accepted some, and others are in its queue."""
        greetd.freeze()
        self.wait_clients(name, 5)
        greetd.signal(signal.SIGKILL)
        greetd.wait()
        eventually(lambda: self.assertGreater(int(self.haproxy.server("BACKEND")["wredis"]), 0))
        self.wait_state(name, "DOWN")

    def drain(self, name, greetd):
        """Stops GREETD, and waits until HAProxy sends no more clients there, and the end."""
        greetd.signal(signal.SIGTERM)
        self.wait_state(name, "DRAIN")
        self.assertEqual(greetd.wait(), 0)


class Load:
    """Clients that come all the time, and hold their connections for a moment, until end()."""

    def __init__(self, test):
        self._test, self.path = test, test.folder / "receipts"
        self._process = subprocess.Popen(
            [greet.program(), "--load", "--rate", "200", "--connections", "1000000", "--concurrent",
             "400", "--hold", "100ms", "--expect", rf"Hello {HERE}!\r\n", "--receipts",
             str(self.path), f"{BALANCER}:8000"],
            stdout=subprocess.DEVNULL, env=test.environment())
        test.addCleanup(self._process.wait)
        test.addCleanup(self._process.kill)

    def end(self):
        """The receipts of all clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(TIMEOUT)
        return [json.loads(line) for line in self.path.read_text().splitlines()]


class Cluster(ClusterTestCase):
    def reconcile(self, name, part):
        """The numbers of the verdicts on PART, a list of receipts."""
        lines = "".join(json.dumps(receipt) + "\n" for receipt in part)
        status, report = receipts.reconcile(greet.program(), self.write(name, lines), self.entries,
                                            env=self.environment())
        found = {verdict: n for verdict, n in report["verdicts"].items() if n > 0}
        print(f"  {name}: {found}", flush=True)
        return status, found

    def session_of(self, found, receipt):
        """The server that HAProxy names for RECEIPT, and the retries. A port may be used again, so it
        is the session with the nearest time: HAProxy looks at the clock once for many events."""
        candidates = found.get(receipt.get("port"), [])
        self.assertTrue(candidates, receipt)
        nearest = min(candidates, key=lambda session: abs(session[0] - receipt["connect_usec"]))
        candidates.remove(nearest)
        return nearest[1:]

    def run_load(self):
        """Kills web1, drains web2 and restarts web3 while clients come, and returns the receipts."""
        # In the place of systemd with FileDescriptorStoreMax=, as in greetd-standalone.conf.
        self.stores["web3"] = self.fd_store()
        greetds = {name: self.serve_at(name) for name in SERVERS}
        load = Load(self)
        for name in SERVERS:
            self.wait_clients(name)
        self.kill("web1", greetds["web1"])
        self.killed_usec = receipts.now_usec()
        self.drain("web2", greetds["web2"])
        greetds["web1"] = self.serve_at("web1")
        self.drain("web3", greetds["web3"])
        greetds["web3"] = self.serve_at("web3")
        greetds["web2"] = self.serve_at("web2")
        for name in SERVERS:
            self.wait_clients(name)
        ended = load.end()
        for greetd in greetds.values():
            greetd.signal(signal.SIGTERM)
        for greetd in greetds.values():
            self.assertEqual(greetd.wait(), 0)
        return ended

    def test_lost_is_only_what_was_on_the_server_that_was_killed(self):
        with fake_journal.collecting(self.journal) as entries:
            ended = [receipt for receipt in self.run_load() if receipt["end"] != "unfinished"]
        self.entries = "".join(json.dumps(entry) + "\n" for entry in entries)
        found, killed, others, redispatched = sessions(self.haproxy.output()), [], [], 0
        for receipt in ended:
            server, retries = self.session_of(found, receipt)
            on_killed = server == "web1" and receipt["connect_usec"] < self.killed_usec
            (killed if on_killed else others).append(receipt)
            redispatched += "+" in retries
        status, verdicts = self.reconcile("on the others", others)
        self.assertEqual((status, verdicts), (greet.OK, {"served": len(others)}))
        status, verdicts = self.reconcile("on the one that was killed", killed)
        self.assertLessEqual(set(verdicts), {"served", "unlogged", "greetd", "network", "unaccepted"})
        lost = [receipt for receipt in killed if receipt["end"] != "ok"]
        print(f"  {len(ended)} clients, {redispatched} redispatched, {len(lost)} lost", flush=True)
        self.assertGreater(len(lost), 0)
        self.assertGreater(redispatched, 0)


if __name__ == "__main__":
    unittest.main()
