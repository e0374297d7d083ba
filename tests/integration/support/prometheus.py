# SPDX-License-Identifier: MIT
"""A real Prometheus that scrapes greetd ten times a second, with the rules of packaging/monitoring."""

import json
import socket
import urllib.parse
import urllib.request

from . import peer, poll
from .daemon import TIMEOUT
from .metrics import PACKAGING

CONFIG = """\
global: {{scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: greetd
    static_configs: [{{targets: ['{target}']}}]
"""


class Prometheus(peer.Peer):
    """One that scrapes the greetd with its metrics at the pair METRICS_ADDRESS."""

    def __init__(self, test, metrics_address):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        config = CONFIG.format(rules=PACKAGING / "monitoring" / "greetd-rules.yml",
                               target="%s:%d" % metrics_address)
        self._url = f"http://{address}/api/v1/"
        super().__init__(test, "prometheus", f"--web.listen-address={address}",
                         f"--config.file={test.write('prometheus.yml', config)}",
                         f"--storage.tsdb.path={test.folder}/tsdb")
        self.wait_until(self._listens)

    def _listens(self):
        try:
            return self.ask("status/buildinfo")
        except OSError:
            return None

    def ask(self, path, **parameters):
        """The data of an answer of the HTTP API."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """The series of EXPRESSION: pairs of labels and value."""
        result = self.ask("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def wait_for(self, expression, value):
        """Polls until EXPRESSION has one series, with VALUE."""

        def assertion():
            values = [number for _, number in self.query(expression)]
            if values != [value]:
                raise AssertionError((expression, values))

        poll.eventually(assertion, TIMEOUT)
