# SPDX-License-Identifier: MIT
"""What the samples say: a table, a plot, and the samples themselves for machines."""

import json
import pathlib
import re
import subprocess
import textwrap
from typing import NamedTuple

from ratios import spread, spread_of_ratios
from servers import KINDS

TABLE, PLOT, RESULTS = "results.md", "bench.svg", "results.json"
PLOT_PROGRAM = pathlib.Path(__file__).resolve().with_name("plot.gp")
MEBIBYTE_KIB = 1024
TITLE_WIDTH = 11  # in characters, of one below a bar


class Results(NamedTuple):
    """All that a run has found out."""

    machine: dict
    extent: dict
    rss_kib: dict  # by the server's name: "idle", and if it holds clients, "1000" of them
    samples: list
    failures: list


def cost(sample):
    """Processor time of the server for one connection, in nanoseconds."""
    return sample["greet"]["server"]["nsec_per_connection"]


def worker_cost(sample):
    """The same without what the other threads take; greetd's workers are greetd-0, greetd-1, ..."""
    threads = sample["greet"]["server"]["threads"]
    return sum(nsec for name, nsec in threads.items() if re.fullmatch(r"greetd-\d+", name))


def quantile(name):
    return lambda sample: sample["greet"]["usec"][name]


class Series:
    """The samples by what was measured. All are dictionaries from a round to a number."""

    def __init__(self, results):
        self._results = results

    def _select(self, server, measured, held=0):
        return [
            sample
            for sample in self._results.samples
            if (sample["server"], sample["measured"], sample["held"]) == (server, measured, held)
        ]

    def of(self, figure, server, measured="greet", held=0):
        return {s["round"]: figure(s) for s in self._select(server, measured, held)}

    def ratio(self, figure, server, peer):
        return spread_of_ratios(self.of(figure, server), self.of(figure, peer))

    def held_ratio(self, server, clients, fewer):
        return spread_of_ratios(
            self.of(cost, server, "held", clients), self.of(cost, server, "held", fewer)
        )

    def lost(self, server):
        """How many of the clients that speak first were lost, and of how many."""
        samples = self._select(server, "speak")
        return sum(s["greet"]["lost"] for s in samples), sum(
            s["greet"]["connections"] for s in samples
        )

    def idle_mib(self, server):
        rss = self._results.rss_kib.get(server)
        return spread([rss["idle"] / MEBIBYTE_KIB]) if rss else None

    def held_mib(self, server, clients):
        rss = self.of(lambda s: s["rss_kib"] / MEBIBYTE_KIB, server, "held", clients)
        return spread(rss.values())

    def bytes_per_held(self, server, clients, few=1000):
        """By how much the process grows for each client that it holds beyond FEW. This is the least of
        the rounds, since the load makes the process grow as well."""
        before = self._results.rss_kib.get(server, {}).get(str(few))
        if not before:
            return None
        held = self.of(lambda s: s["rss_kib"], server, "held", clients)
        grown = [(kib - before) * 1024 / (clients - few) for kib in held.values()]
        return spread([min(grown)]) if grown else None


class Target(NamedTuple):
    """What is aimed at, in the units that are shown."""

    what: str
    at_most: float
    measured: object  # from Series to Spread or None
    form: str = "{:.2f}"


TARGETS = [
    Target("processor time, LingerSec=0 / floor", 1.10,
           lambda s: s.ratio(cost, "greetd-nolinger", "floor")),
    Target("processor time, LingerSec=0 / nginx", 0.80,
           lambda s: s.ratio(cost, "greetd-nolinger", "nginx")),
    Target("processor time, default / lingering floor", 1.05,
           lambda s: s.ratio(cost, "greetd", "floor-linger")),
    Target("processor time, default / nginx, which loses greetings", 0.95,
           lambda s: s.ratio(cost, "greetd", "nginx")),
    Target("p99 at 128 clients, default / nginx", 1.0,
           lambda s: s.ratio(quantile("p99"), "greetd", "nginx")),
    Target("processor time, 10,000 held / 100 held", 1.1,
           lambda s: s.held_ratio("greetd-held", 10000, 100)),
    Target("memory of the process, idle, MiB", 3,
           lambda s: s.idle_mib("greetd")),
    Target("memory of the process for a held client, bytes", 96,
           lambda s: s.bytes_per_held("greetd-held", 10000), "{:.0f}"),
    Target("processor time of the worker, a live journal / no log", 1.05,
           lambda s: s.ratio(worker_cost, "greetd-journal", "greetd")),
    Target("processor time of the worker, a blocked journal / no log", 1.05,
           lambda s: s.ratio(worker_cost, "greetd-stalled", "greetd")),
    Target("processor time of the worker, every entry to /dev/null / no log", 1.05,
           lambda s: s.ratio(worker_cost, "greetd-every", "greetd")),
    Target("processor time, every entry to /dev/null / nginx with access_log", 1.0,
           lambda s: s.ratio(cost, "greetd-every", "nginx-log")),
    Target("processor time, LingerSec=0, every entry to /dev/null / nginx with access_log", 1.0,
           lambda s: s.ratio(cost, "greetd-every-nolinger", "nginx-log")),
    Target("p99 at 128 clients, a blocked journal / a live one", 1.1,
           lambda s: s.ratio(quantile("p99"), "greetd-stalled", "greetd-journal")),
]  # fmt: skip


def show(value, form="{:.2f}", with_range=True):
    """A Spread as text: the median, and how far the rounds differ."""
    if value is None:
        return "–"
    text = form.format(value.median)
    if with_range and value.least != value.most:
        text += f" ({form.format(value.least)}–{form.format(value.most)})"
    return text


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def show_lost(lost, total):
    if total == 0:
        return "–"
    return "none" if lost == 0 else f"{100 * lost / total:.1f} %"


def kinds_of(series, name):
    """Those of a table that were measured."""
    return [kind for kind in KINDS if kind.table == name and series.of(cost, kind.name)]


def median(series, figure, server, form):
    return show(spread(series.of(figure, server).values()), form, with_range=False)


def in_units(figure, unit):
    return lambda sample: figure(sample) / unit


def server_rows(series):
    yield row("server", "cost / floor", "cost / nginx", "µs of processor", "connections/s",
              "p50 ms", "p99 ms", "lost if clients speak first", "MiB idle")  # fmt: skip
    yield "|---|" + "---:|" * 8
    for kind in kinds_of(series, "plain"):
        yield row(
            kind.title,
            show(series.ratio(cost, kind.name, "floor")),
            show(series.ratio(cost, kind.name, "nginx")),
            median(series, in_units(cost, 1000), kind.name, "{:.1f}"),
            median(series, lambda s: s["greet"]["per_second"], kind.name, "{:,.0f}"),
            median(series, in_units(quantile("p50"), 1000), kind.name, "{:.1f}"),
            median(series, in_units(quantile("p99"), 1000), kind.name, "{:.1f}"),
            show_lost(*series.lost(kind.name)),
            show(series.idle_mib(kind.name), "{:.1f}"),
        )


def log_rows(series):
    yield row("server", "workers / no log", "cost / no log", "cost / nginx, access_log",
              "µs of processor", "p99 ms")  # fmt: skip
    yield "|---|" + "---:|" * 5
    for kind in kinds_of(series, "log"):
        yield row(
            kind.title,
            show(series.ratio(worker_cost, kind.name, kind.unlogged)),
            show(series.ratio(cost, kind.name, kind.unlogged)),
            show(series.ratio(cost, kind.name, "nginx-log")),
            median(series, in_units(cost, 1000), kind.name, "{:.1f}"),
            median(series, in_units(quantile("p99"), 1000), kind.name, "{:.1f}"),
        )


def variable_rows(series):
    yield row("greetd with", "cost / a message without variables", "µs of processor")
    yield "|---|" + "---:|" * 2
    for kind in kinds_of(series, "variables"):
        yield row(
            kind.title,
            show(series.ratio(cost, kind.name, kind.fixed)),
            median(series, in_units(cost, 1000), kind.name, "{:.1f}"),
        )


def held_rows(series):
    yield row("server", "cost, 1,000 held / 100", "cost, 10,000 held / 100", "MiB, 10,000 held",
              "bytes per held client")  # fmt: skip
    yield "|---|" + "---:|" * 4
    for kind in KINDS:
        if kind.holds and series.of(cost, kind.name, "held", 100):
            yield row(
                kind.title,
                show(series.held_ratio(kind.name, 1000, 100)),
                show(series.held_ratio(kind.name, 10000, 100)),
                show(series.held_mib(kind.name, 10000), "{:.1f}", with_range=False),
                show(series.bytes_per_held(kind.name, 10000), "{:,.0f}", with_range=False),
            )


def judge(target, series):
    """Whether the target is met, by the digits that are shown, and what was measured."""
    value = target.measured(series)
    if value is None:
        return "not measured", None
    shown = float(target.form.format(value.median))
    return ("met" if shown <= target.at_most else "missed"), value


def target_rows(series):
    yield row("target", "at most", "measured", "")
    yield "|---|---:|---:|---|"
    for target in TARGETS:
        verdict, value = judge(target, series)
        yield row(
            target.what, target.form.format(target.at_most), show(value, target.form), verdict
        )


def describe(results):
    machine, extent = results.machine, results.extent
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['date']}, Linux {machine['kernel']}, {machine['processors']} processors"
        f" ({machine['processor']}); {versions}.\n"
        f"{extent['rounds']} rounds, 128 clients at a time, up to {extent['connections']:,}"
        f" connections or {extent['seconds']:g} s for each server in each round."
    )


def table(results):
    series = Series(results)
    parts = [
        "# What a greeting costs",
        describe(results),
        "Ratios are of one round each; shown are their median and, in parentheses, the least and"
        " the most.",
        "\n".join(server_rows(series)),
        "With clients that have had their greeting and do not close:",
        "\n".join(held_rows(series)),
        "With a log of the connections:",
        "\n".join(log_rows(series)),
        "With a greeting that is rendered for each client:",
        "\n".join(variable_rows(series)),
        "What greetd aims at:",
        "\n".join(target_rows(series)),
    ]
    if results.failures:
        parts += ["Not measured:", "\n".join(f"- {failure}" for failure in results.failures)]
    return "\n\n".join(parts) + "\n"


def for_machines(results):
    series = Series(results)
    targets = []
    for target in TARGETS:
        verdict, value = judge(target, series)
        targets.append(
            {
                "target": target.what,
                "at_most": target.at_most,
                "measured": value._asdict() if value else None,
                "verdict": verdict,
            }
        )
    return json.dumps({**results._asdict(), "targets": targets}, indent=1, ensure_ascii=False)


def plot_rows(series):
    """The cheapest comes first."""
    costs = [(series.ratio(cost, kind.name, "floor"), kind) for kind in kinds_of(series, "plain")]
    costs = [(ratio, kind) for ratio, kind in costs if ratio]
    for ratio, kind in sorted(costs, key=lambda pair: pair[0].median):
        lost, total = series.lost(kind.name)
        percent = 100 * lost / total if total else 0
        title = r"\n".join(textwrap.wrap(kind.title, TITLE_WIDTH))
        yield f'"{title}" {ratio.median:.4f} {ratio.least:.4f} {ratio.most:.4f} {percent:.4f}'


def plot(results, outdir):
    """Draws the costs, unless the floor they are compared with was left out."""
    rows = list(plot_rows(Series(results)))
    if not rows:
        return
    (outdir / "bench.dat").write_text("\n".join(rows) + "\n", encoding="utf-8")
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    subject = f"{machine['date']}, Linux {machine['kernel']}, {versions}"
    subprocess.run(
        ["gnuplot", "-e", f"subject='{subject}'", PLOT_PROGRAM], cwd=outdir, check=True
    )


def write(results, outdir):
    """Leaves everything in OUTDIR and prints the table."""
    try:
        plot(results, outdir)
    except (OSError, subprocess.CalledProcessError) as error:
        results.failures.append(f"the plot: {error}")
    text = table(results)
    (outdir / TABLE).write_text(text, encoding="utf-8")
    (outdir / RESULTS).write_text(for_machines(results) + "\n", encoding="utf-8")
    print(text, end="")
