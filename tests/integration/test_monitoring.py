# SPDX-License-Identifier: MIT
"""The dashboard and the alerts of packaging/monitoring, evaluated by a real Prometheus while greetd has
clients of all kinds: no panel is empty, and every alert can be raised."""

import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import sys
import threading
import time
import unittest

from support import daemon, metrics, namespaces
from support.daemon import connect
from support.examples import eventually
from support.metrics import PACKAGING
from support.prometheus import Prometheus

DASHBOARD = json.loads((PACKAGING / "monitoring" / "greetd-dashboard.json").read_text())
SECCOMP_DENY = pathlib.Path(__file__).with_name("support") / "seccomp_deny.py"
UNSENDABLE = 4321  # bytes
SLOW_SEC = 1  # more than the alert GreetdSlow allows
FUNCTIONS_OF_COUNTERS = r"\b(?:rate|irate|increase)\((greetd_\w+)"
LABEL = re.compile(r"\{\{(\w+)\}\}")
# A table of sources takes 131,072 of them to be full.
MAY_BE_ZERO = {"greetd_sources_forgotten_total", "greetd_sources_untracked_total"}
LISTENERS = {
    "server": "",
    "metrics": metrics.METRICS_CONF.partition("[Listener metrics]\n")[2],
    "refusing": "Deny=any",
    "long": "Message=" + "x" * 4000000,
    "data": "GreetOn=data\nDataTimeoutSec=50ms",
    "unsendable": "Message=" + "x" * UNSENDABLE,
    "watched": "Watch=yes\nMessageFile={file}",
}
CONFIG = """\
[Log]
RateLimitBurst=1
LogSilentConnections=no
[Limits]
MaxConnectionsPerSource=10000
"""


def setUpModule():
    namespaces.isolate()


def queries():
    """The panels and their targets, with Grafana's variables filled in."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m")
            yield panel, target, expression.replace("$instance", ".*")


def unit_of(expression):
    """The name that Grafana has for the unit of a query's values."""
    if "greetd_start_time_seconds" in expression:
        return "dateTimeFromNow"
    if "histogram_quantile" in expression or "age_seconds" in expression or "seconds_sum" in expression:
        return "s"
    if "rate(" in expression:
        return "Bps" if "bytes" in expression else "cps"
    return "short"


class Traffic(threading.Thread):
    """A shortage of descriptors, then clients of all kinds and reloads until stop()."""

    def __init__(self, test):
        super().__init__(daemon=True)
        self._test, self._stopping, self._slow, self.error = test, threading.Event(), [], None

    def run(self):
        try:
            self._lack_descriptors()
            while not self._stopping.is_set():
                self._round()
        except Exception as error:  # shown by stop()
            self.error = error

    def stop(self):
        self._stopping.set()
        self.join(daemon.TIMEOUT)
        for _, client in self._slow:
            client.close()
        if self.error:
            raise self.error

    def _round(self):
        test = self._test
        for name in ["server"] * 5 + ["refusing", "watched"]:
            daemon.greeted(test.addresses[name])
        with connect(test.addresses["long"], receive_buffer=4096) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connect(test.addresses["unsendable"]) as client:
            daemon.read_to_end(client)
        connect(test.addresses["data"]).close()
        with connect(test.addresses["data"]) as silent:
            daemon.read_to_end(silent)
        self._read_slowly()
        os.utime(test.file)
        self._reload()

    def _read_slowly(self):
        """A client reads its greeting SLOW_SEC after it has connected."""
        self._slow.append((time.monotonic(), connect(self._test.addresses["long"],
                                                     receive_buffer=65536)))
        while self._slow and time.monotonic() - self._slow[0][0] > SLOW_SEC:
            with self._slow.pop(0)[1] as client:
                daemon.read_to_end(client)

    def _reload(self):
        for mistake in ("", "[Mistake]\n"):
            self._test.write("greetd.conf", mistake + self._test.config)
            self._test.greetd.signal(signal.SIGHUP)
            self._test.greetd.wait_more("READY", 1)

    def _lack_descriptors(self):
        """More clients than greetd has descriptors for; it can't evict those of a greeting that
        they don't read."""
        greetd = self._test.greetd
        greetd.allow_descriptors(0)
        with contextlib.ExitStack() as clients:
            for _ in range(10):
                clients.enter_context(connect(self._test.addresses["long"], receive_buffer=4096))
            greetd.wait_line(".*Too many open files.*")
            greetd.allow_descriptors(1000)


class Monitored(daemon.GreetdTestCase):
    def setUp(self):
        super().setUp()
        self.file = self.write("watched", "Hello")
        self.config = CONFIG + "".join(f"[Listener {name}]\n{settings.format(file=self.file)}\n"
                                       for name, settings in LISTENERS.items())
        self.sockets = [self.listening_socket(socket.AF_INET, ("127.0.0.1", 0)) for _ in LISTENERS]
        self.addresses = {name: listener.getsockname()
                          for name, listener in zip(LISTENERS, self.sockets)}
        self.greetd = self.start_again()
        self.prometheus = Prometheus(self, self.addresses["metrics"])
        self.prometheus.wait_for("up", 1)

    def start_again(self):
        return self.serve("-c", self.write("greetd.conf", self.config), config=None,
                          sockets=self.sockets, names=list(LISTENERS),
                          wrapper=[sys.executable, str(SECCOMP_DENY), "sendto", str(UNSENDABLE)])

    def begin_traffic(self):
        traffic = Traffic(self)
        traffic.start()
        self.addCleanup(traffic.stop)

    def test_no_panel_is_empty_and_legends_tell_series_apart(self):
        self.begin_traffic()
        legends = collections.defaultdict(list)
        for panel, target, expression in queries():
            with self.subTest(panel["title"], target=target["refId"]):
                eventually(lambda: self.assert_shows(target, expression))
                legends[panel["title"]] += [
                    LABEL.sub(lambda match: labels[match[1]], target["legendFormat"])
                    for labels, _ in self.prometheus.query(expression)]
        for title, shown in legends.items():
            with self.subTest(title):
                self.assertEqual(len(shown), len(set(shown)), shown)

    def assert_shows(self, target, expression):
        series = self.prometheus.query(expression)
        self.assertTrue(series, expression)
        for labels, _ in series:
            for label in LABEL.findall(target["legendFormat"]):
                self.assertTrue(labels.get(label), (target["legendFormat"], labels))
        if not any(name in expression for name in MAY_BE_ZERO):
            self.assertTrue(any(value > 0 for _, value in series), (expression, series))

    def test_the_variable_has_values(self):
        query = next(v for v in DASHBOARD["templating"]["list"] if v["name"] == "instance")["query"]
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()
        eventually(lambda: self.assertTrue(self.prometheus.query(metric)))
        host, port = self.addresses["metrics"]
        found = {labels[label] for labels, _ in self.prometheus.query(metric)}
        self.assertEqual(found, {f"{host}:{port}"})

    def test_rates_are_of_counters_and_all_metrics_are_shown(self):
        eventually(lambda: self.assertTrue(self.prometheus.query("greetd_workers")))
        types = {name: entries[0]["type"]
                 for name, entries in self.prometheus.ask("metadata").items()
                 if name.startswith("greetd_")}
        self.assertIn("gauge", types.values())
        shown = set()
        for panel, target, expression in queries():
            counted = set(re.findall(FUNCTIONS_OF_COUNTERS, expression))
            for name in set(re.findall(r"\bgreetd_\w+", expression)):
                metric = re.sub("_(bucket|sum|count)$", "", name)
                shown.add(metric)
                with self.subTest(panel["title"], target=target["refId"], metric=name):
                    self.assertEqual(name in counted, types[metric] in ("counter", "histogram"))
        self.assertEqual(shown, set(types))

    def test_every_alert_can_be_raised(self):
        self.begin_traffic()
        raised = {"GreetdOutOfResources", "GreetdErrors", "GreetdUndelivered", "GreetdSlow",
                  "GreetdReloadFailed", "GreetdLogSuppressed"}
        rules = {rule["name"] for rule in self.alerts()}
        self.assertEqual(rules, raised | {"GreetdDown", "GreetdRestarting"})
        for name in sorted(raised):
            with self.subTest(name):
                eventually(lambda: self.assert_raised(name))

    def test_restarts_and_an_end_are_noticed(self):
        for _ in range(4):
            started = self.prometheus.query("greetd_start_time_seconds")
            self.stop(self.greetd)
            self.greetd = self.start_again()
            eventually(lambda: self.assertNotIn(
                self.prometheus.query("greetd_start_time_seconds"), (started, [])))
        eventually(lambda: self.assert_raised("GreetdRestarting"))
        self.stop(self.greetd)
        eventually(lambda: self.assert_raised("GreetdDown"))

    def alerts(self):
        groups = self.prometheus.ask("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def assert_raised(self, name):
        rule = next(rule for rule in self.alerts() if rule["name"] == name)
        self.assertEqual(rule["health"] if rule["health"] != "unknown" else "ok", "ok", rule)
        self.assertIn(rule["state"], ("pending", "firing"), name)
        for alert in rule["alerts"]:
            for text in alert["annotations"].values():
                self.assertNotRegex(text, r"no value|error expanding|on +\w* *$")


class Dashboard(unittest.TestCase):
    def test_units_are_those_of_the_values(self):
        for panel, target, expression in queries():
            with self.subTest(panel["title"], target=target["refId"]):
                unit = panel["fieldConfig"]["defaults"]["unit"]
                self.assertEqual(unit, unit_of(expression))

    def test_no_two_panels_are_in_the_same_place_or_explained_alike(self):
        places = [(x, y) for panel in DASHBOARD["panels"] for place in [panel["gridPos"]]
                  for x in range(place["x"], place["x"] + place["w"])
                  for y in range(place["y"], place["y"] + place["h"])]
        self.assertEqual(len(places), len(set(places)))
        texts = [panel["description"] for panel in DASHBOARD["panels"] if "description" in panel]
        self.assertEqual(len(texts), len(set(texts)))
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
