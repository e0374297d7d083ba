# SPDX-License-Identifier: MIT
"""The mutants that have one access or fence in a weaker order."""

import collections
import pathlib
import subprocess

# As memory_order of <stdatomic.h>. An access with seq_cst counts as release and acquire: memory.h.
RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST = 0, 2, 3, 4, 5
NAMES = {RELAXED: "relaxed", ACQUIRE: "acquire", RELEASE: "release", ACQ_REL: "acq_rel",
         SEQ_CST: "seq_cst"}
WEAKER = {
    ("load", ACQUIRE): [RELAXED],
    ("load", SEQ_CST): [RELAXED],
    ("store", RELEASE): [RELAXED],
    ("store", SEQ_CST): [RELAXED],
    ("modify", ACQUIRE): [RELAXED],
    ("modify", RELEASE): [RELAXED],
    ("modify", ACQ_REL): [ACQUIRE, RELEASE],
    ("modify", SEQ_CST): [ACQUIRE, RELEASE],
    ("fence", SEQ_CST): [ACQ_REL, RELAXED],
}


class Place:
    """One access in the sources. It may have an address in several programs, or many in one."""

    def __init__(self, function, kind, order):
        self.function, self.kind, self.order = function, kind, order
        self.addresses = collections.defaultdict(set)  # of each program
        self.reached_by = []                           # (program, scenario)


class Mutant:
    """A place with a weaker order."""

    def __init__(self, place, label, order):
        self.place, self.order = place, order
        self.reached_by = place.reached_by
        before = NAMES[place.order]
        after = "taken out" if (place.kind, order) == ("fence", RELAXED) else NAMES[order]
        self.name = f"{label}: {before} {place.kind}: {after}"

    def weakened(self, program):
        """The addresses in a program, with their order."""
        return [(address, self.order) for address in sorted(self.place.addresses[program])]


def look_up(program, addresses):
    """The function, file and line of each address."""
    calls = "\n".join(hex(address - 1) for address in addresses)
    lines = subprocess.run(["addr2line", "-f", "-e", str(program)], input=calls, text=True,
                           stdout=subprocess.PIPE, check=True).stdout.splitlines()
    places = [place.partition(" (discriminator")[0].rpartition(":") for place in lines[1::2]]
    return [(function, pathlib.Path(path).resolve(), int(line))
            for function, (path, _, line) in zip(lines[0::2], places)]


def places_of(outcomes, tree):
    """The places of greetd that the scenarios reach, by path, line and kind."""
    places = {}
    for outcome in outcomes:
        found = look_up(outcome.program, [site[0] for site in outcome.sites])
        for (address, kind, order), (function, path, line) in zip(outcome.sites, found):
            if "tests" in path.relative_to(tree).parts:
                continue
            place = places.setdefault((path, line, kind), Place(function, kind, order))
            place.addresses[outcome.program].add(address)
            scenario = (outcome.program, outcome.name)
            if scenario not in place.reached_by:
                place.reached_by.append(scenario)
    return places


def mutants_of(outcomes, tree):
    """All mutants, with names that stay the same when lines move. Short scenarios come first."""
    places, mutants, numbers = places_of(
        sorted(outcomes, key=lambda outcome: outcome.steps), tree), [], collections.Counter()
    for (path, _, _), place in sorted(places.items()):
        room = path.relative_to(tree).parts[-2]
        label = f"{room}/{path.name}: {place.function}()"
        key = (label, place.kind, place.order)
        numbers[key] += 1
        if numbers[key] > 1:
            label += f" #{numbers[key]}"
        mutants += [Mutant(place, label, order)
                    for order in WEAKER.get((place.kind, place.order), [])]
    return mutants
