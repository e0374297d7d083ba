# SPDX-License-Identifier: MIT
"""$metrics as others read it: the parsers of Debian's python3-prometheus-client, promtool(1), and the
manual. Its format is Prometheus' text format 0.0.4, as its Content-Type says. The stricter parser is
that of OpenMetrics, and reads it with the few changes that OpenMetrics needs."""

import itertools
import math
import re
import subprocess
import sys
import unittest

from support import load_client, metrics, namespaces, reload
from support.metrics import PACKAGING, ended

sys.path.append("/usr/lib/python3/dist-packages")  # also for a Python that is not Debian's

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

ODD_NAME = 'a "b" \\c\\n {d="e"}, f'
CONFIG = f"""\
[Server]
ListenStream=127.0.0.1:0
Workers=2
[Log]
Connections=no
[Limits]
MaxConnectionsPerSource=10000
{metrics.METRICS_CONF}
ListenStream=127.0.0.1:0
[Listener board]
ListenStream=127.0.0.1:0
MessageFile=BOARD
Watch=yes
[Listener {ODD_NAME}]
ListenStream=127.0.0.1:0
"""
AT_ONCE = 16
SCRAPES = 20
MANUAL = re.compile(r"\b(greetd_[a-z_]+)(?:\{([a-z,]*)\})?")


def setUpModule():
    namespaces.isolate()


def families_of_manual():
    """The labels of each family that the section METRICS of greetd(8) describes."""
    page = (PACKAGING / "greetd.8").read_text(encoding="utf-8").replace("\\-", "-")
    section = re.search(r"^\.SH METRICS$(.*?)^\.SH ", page, re.DOTALL | re.MULTILINE)[1]
    tags = re.findall(r"^\.TP\n(\..*)$", section, re.MULTILINE)
    return {name: set(filter(None, labels.split(",")))
            for tag in tags for name, labels in MANUAL.findall(tag)}


def full_name(family):
    """The name in the text: the parser removes the end of a counter's."""
    return family.name + ("_total" if family.type == "counter" else "")


def to_openmetrics(text):
    """TEXT as OpenMetrics: counters are declared without _total, and the end is marked."""
    return re.sub(r"^(# (?:HELP|TYPE) \w+)_total ", r"\1 ", text, flags=re.MULTILINE) + "# EOF\n"


class ParserTestCase(reload.ReloadTestCase, metrics.MetricsTestCase, load_client.LoadTestCase):
    def setUp(self):
        super().setUp()
        self.text = CONFIG.replace("BOARD", self.write("board", "Back at noon.\n"))
        self.greetd = self.serve_with(self.text)
        self.address, self.metrics_address = self.greetd.address(0), self.greetd.address(1)

    def families(self):
        """The families of a scrape, checked by themselves."""
        text = self.scrape()
        families = list(text_string_to_metric_families(text))
        names = [full_name(family) for family in families]
        self.assertEqual(len(names), len(set(names)), names)
        samples = [sample for family in families for sample in family.samples]
        self.assertEqual([(s.name, s.value) for s in samples],
                         [(name, value) for (name, _), value in metrics.parse(text).items()])
        for family in families:
            self.assert_is_sound(family)
        stricter = openmetrics.text_string_to_metric_families(to_openmetrics(text))
        self.assertEqual([(f.name, f.type, f.documentation, len(f.samples)) for f in stricter],
                         [(f.name, f.type, f.documentation, len(f.samples)) for f in families])
        return {full_name(family): family for family in families}

    def assert_is_sound(self, family):
        name = full_name(family)
        self.assertRegex(family.documentation, r"^[A-Z].+\.$", name)
        is_counter = name.endswith("_total")
        self.assertIn(family.type, ["counter"] if is_counter else ["gauge", "histogram"], name)
        keys = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
        self.assertEqual(len(keys), len(set(keys)), keys)
        for sample in family.samples:
            self.assertTrue(math.isfinite(sample.value) and sample.value >= 0, sample)
        if family.type == "histogram":
            self.assert_is_histogram(family)
        else:
            self.assertEqual({s.name for s in family.samples} - {name}, set())

    def assert_is_histogram(self, family):
        buckets = [s for s in family.samples if s.name == f"{family.name}_bucket"]
        others = {s.name: s.value for s in family.samples if s not in buckets}
        self.assertEqual(set(others), {f"{family.name}_sum", f"{family.name}_count"})
        bounds = [float(s.labels["le"]) for s in buckets]
        self.assertEqual(bounds, sorted(set(bounds)))
        self.assertEqual(bounds[-1], math.inf)
        counts = [s.value for s in buckets]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], others[f"{family.name}_count"])

    def assert_no_counter_falls(self, before, after):
        """Every series of BEFORE is in AFTER, and those that count have not become smaller."""
        for name, family in before.items():
            values = {(s.name, str(s.labels)): s.value for s in after[name].samples}
            for sample in family.samples:
                value = values[sample.name, str(sample.labels)]
                if family.type != "gauge":
                    self.assertGreaterEqual(value, sample.value, sample)

    def assert_promtool_has_no_remark(self):
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.scrape(), text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((checked.returncode, checked.stdout), (0, ""))


class Parsers(ParserTestCase):
    def test_the_manual_has_every_family_with_its_labels(self):
        families = self.families()
        manual = families_of_manual()
        self.assertEqual(set(families), set(manual))
        for name, family in families.items():
            for sample in family.samples:
                if not sample.name.endswith(("_sum", "_count")):
                    self.assertEqual(set(sample.labels), manual[name], sample)
        self.assertEqual([name for name, family in families.items() if not family.samples], [])

    def test_a_listener_keeps_its_name(self):
        results = self.families()["greetd_connections_total"].samples
        self.assertEqual({s.labels["listener"] for s in results},
                         {"server", "metrics", "board", ODD_NAME})

    def test_they_read_it_under_load_and_over_reloads(self):
        client = self.load(self.address[1], 1, AT_ONCE, "-u")
        before = self.families()
        for i in range(SCRAPES):
            if i == SCRAPES // 3:
                self.assert_promtool_has_no_remark()
                self.assert_reloads(self.greetd, self.text)
            elif i == 2 * SCRAPES // 3:
                self.reload(self.greetd, "[Server]\nLingerSec=1\n")  # a setting of [Greeting]
            self.wait_progress(client, 500)
            after = self.families()
            self.assert_no_counter_falls(before, after)
            before = after
        counts = self.assert_none_lost(client, 1)
        self.scrape_until(lambda samples: ended(samples) >= counts["connections"])
        self.assert_no_counter_falls(before, self.families())
        self.assert_promtool_has_no_remark()
        samples = self.families()["greetd_reloads_total"].samples
        reloads = {s.labels["result"]: s.value for s in samples}
        self.assertEqual(reloads, {"success": 1, "failure": 1})

    def test_the_sum_of_the_times_is_within_the_bounds_of_their_buckets(self):
        for _ in range(100):
            self.assert_greeted(self.address)
        self.scrape_until(lambda samples: ended(samples) == 100)
        samples = self.families()["greetd_greeting_seconds"].samples
        bounds = [0.0] + [float(s.labels["le"]) for s in samples if "le" in s.labels]
        counts = [0.0] + [s.value for s in samples if "le" in s.labels]
        total = next(s.value for s in samples if s.name.endswith("_sum"))
        n = [after - before for before, after in itertools.pairwise(counts)]
        self.assertLessEqual(sum(map(lambda x, low: x * low, n, bounds)), total)
        self.assertGreaterEqual(sum(x * high for x, high in zip(n, bounds[1:]) if x), total)


if __name__ == "__main__":
    unittest.main()
