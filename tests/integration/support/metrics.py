# SPDX-License-Identifier: MIT
"""Scrapes the metrics of greetd as Prometheus does, and parses them."""

import http.client
import pathlib
import re
import time
import urllib.request

from . import greet
from .daemon import TIMEOUT

PACKAGING = pathlib.Path(__file__).parents[3] / "packaging"
# The section as shipped.
METRICS_CONF = (PACKAGING / "greetd-metrics.conf").read_text()
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")


def parse(text):
    """The samples of TEXT: numbers by name and labels as written, in their order."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert (name, labels) not in samples, line
            samples[name, labels] = float(value)
    return samples


def total(samples, name, *parts):
    """The sum of the samples NAME that have all PARTS in their labels."""
    return sum(value for (of, labels), value in samples.items()
               if of == name and all(part in labels for part in parts))


def ended(samples, *parts):
    """The number of ended connections of the listener `server`."""
    return total(samples, "greetd_connections_total", 'listener="server"', *parts)


class MetricsTestCase(greet.GreetTestCase):
    """A test whose greetd serves its metrics at self.metrics_address."""

    metrics_address = None

    def url(self):
        return "http://%s:%d/metrics" % self.metrics_address

    def scrape(self):
        with urllib.request.urlopen(self.url(), timeout=TIMEOUT) as answer:
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["Content-Type"],
                             "text/plain; version=0.0.4; charset=utf-8")
            return answer.read().decode()

    def scrape_until(self, is_enough):
        """A connection is counted when it ends, a moment after the client has read everything."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            samples = parse(self.scrape())
            if is_enough(samples):
                return samples
            self.assertLess(time.monotonic(), deadline, samples)


class LimitedTestCase(MetricsTestCase):
    """Each scrape has a source of its own, which the limits of a test don't reach."""

    def setUp(self):
        super().setUp()
        self.n_scrapes = 0

    def scrape(self):
        self.n_scrapes += 1
        source = f"127.9.{self.n_scrapes // 256}.{self.n_scrapes % 256}"
        scraper = http.client.HTTPConnection(*self.metrics_address, timeout=TIMEOUT,
                                             source_address=(source, 0))
        self.addCleanup(scraper.close)
        scraper.request("GET", "/metrics")
        return scraper.getresponse().read().decode()
