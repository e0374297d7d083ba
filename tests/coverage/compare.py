#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the tests reach in src/ and include/ with the list `unreached` beside this script.

    tests/coverage/compare.py BUILD_FOLDER

BUILD_FOLDER is a build of the preset `coverage` whose tests have been run; their profiles are in its
folder profiles/. What no test reaches must be in the list, with its reason, and what is in the list
must exist and be unreached. The last line counts each mismatch as a failure; the exit status is 1 if
there is one.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
LIST = TREE / "tests/coverage/unreached"
FUNCTION = re.compile(r"^(?!#|typedef|struct \w+ \{|enum \w+ \{)[\w *]*?\b(\w+)\([^;]*$")
ENTRY = re.compile(r"^    (\S+): (\w+)\(\): (.+)$")
OURS = re.compile(r"(?:.*/)?((?:src|include/greetd)/.+)")
SOMETIMES = "Sometimes: "  # a reason that begins with this: reached in some runs


class Source:
    def __init__(self, path):
        self.lines = path.read_text(encoding="utf-8").split("\n")

    def text(self, begin, end):
        """The text from BEGIN to END, each a line and a column from 1, on one line."""
        lines = self.lines[begin[0] - 1 : end[0]]
        lines[-1] = lines[-1][: end[1] - 1]
        lines[0] = lines[0][begin[1] - 1 :]
        return " ".join(line.strip() for line in lines)

    def function(self, line):
        """The name of the function that LINE is in: the last definition that begins above it."""
        for text in reversed(self.lines[:line]):
            if (match := FUNCTION.match(text)) and not text.startswith((" ", "DEFINE", "}")):
                return match[1]
        return "file"

    def has(self, function, what):
        """Whether the source has FUNCTION and the condition or line that WHAT quotes."""
        text = " ".join(line.strip() for line in self.lines)
        return (function == "file" or f"{function}(" in text) and what.split("`")[1] in text


def exists(path, function, what):
    return (TREE / path).is_file() and Source(TREE / path).has(function, what)


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def export(build):
    """The branches and segments of each file of src/ and include/ by name, of all programs of BUILD."""
    profile = build / "all.profdata"
    raw = sorted(map(str, (build / "profiles").glob("*.profraw")))
    if not raw:
        sys.exit(f"{build}/profiles is empty: run the tests first")
    run("llvm-profdata", "merge", "-sparse", "-o", str(profile), *raw)
    programs = [build / "greetd", build / "greet"]
    for pattern in ("tests/test-*", "fuzz/out/fuzz_*"):
        programs += [path for path in sorted(build.glob(pattern))
                     if path.is_file() and path.stat().st_mode & 1]
    objects = [argument for program in programs[1:] for argument in ("-object", str(program))]
    text = run("llvm-cov", "export", "-format=text", f"-instr-profile={profile}", str(programs[0]), *objects)
    files = collections.defaultdict(lambda: {"branches": [], "segments": []})
    for file in json.loads(text)["data"][0]["files"]:
        # -ffile-prefix-map has made the names relative to each build folder.
        if match := OURS.fullmatch(file["filename"]):
            for kind, values in files[match[1]].items():
                values += file[kind]
    if not files.keys() >= {"src/main.c", "src/greet/main.c"}:
        sys.exit("llvm-cov does not name the sources")
    return files


def unreached_branches(file, source):
    """Yields (line, end line, what) for each outcome of a condition that no instance had."""
    counts = collections.defaultdict(lambda: [0, 0])
    for line, column, end_line, end_column, true, false, *_ in file["branches"]:
        count = counts[(line, column), (end_line, end_column)]
        count[0] += true
        count[1] += false
    for (begin, end), (true, false) in sorted(counts.items()):
        condition = source.text(begin, end)
        is_case = re.match(r"case\b|default\b", condition)
        if not true:
            yield begin[0], end[0], f"`{condition}` is never {'taken' if is_case else 'true'}"
        if not false and not is_case:
            yield begin[0], end[0], f"`{condition}` is never false"


def unreached_lines(file, source, branches):
    """Yields (line, what) for the first line of each region that is never entered, unless a branch
    just above, which is in BRANCHES, says so already."""
    regions = collections.defaultdict(int)
    for line, column, count, has_count, is_entry, is_gap in file["segments"]:
        if has_count and is_entry and not is_gap:
            regions[line, column] += count
    ends = {end for _, end, _ in branches} | {begin for begin, _, _ in branches}
    for (line, column), count in sorted(regions.items()):
        if count == 0 and not ends & {line, line - 1, line - 2}:
            yield line, f"`{source.lines[line - 1].strip()}`"


def unreached(build):
    """Counts (path, function, what) of all that no test reaches, and has a line for each."""
    found, lines = collections.Counter(), {}
    for name, file in export(build).items():
        source = Source(TREE / name)
        branches = list(unreached_branches(file, source))
        whats = [(line, what) for line, _, what in branches] + list(unreached_lines(file, source, branches))
        for line, what in whats:
            key = name, source.function(line), what
            found[key] += 1
            lines.setdefault(key, line)
    return found, lines


def read_list():
    """Counts the entries of the list, and has the reason and the line of each."""
    listed, reasons, lines = collections.Counter(), {}, {}
    reason = ""
    for number, text in enumerate(LIST.read_text(encoding="utf-8").split("\n"), 1):
        if match := ENTRY.match(text):
            listed[match.groups()] += 1
            reasons[match.groups()], lines[match.groups()] = reason, number
        elif not text.strip():
            reason = ""
        elif text.startswith(" "):
            sys.exit(f"{LIST}:{number}: not an entry: {text}")
        elif not text.startswith("#"):
            reason = f"{reason} {text}".strip()
    return listed, reasons, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--print", action="store_true", help="print all that is unreached, as entries")
    arguments = parser.parse_args()
    found, places = unreached(arguments.build.resolve())
    if arguments.print:
        for path, function, what in sorted(found.elements(), key=lambda key: (key[0], places[key])):
            print(f"    {path}: {function}(): {what}")
        return
    listed, reasons, lines = read_list()
    failures = []
    for key in sorted(found - listed, key=lambda key: (key[0], places[key])):
        failures.append(f"{key[0]}:{places[key]}: no test reaches this: {key[1]}(): {key[2]}")
    for key in sorted(listed - found, key=lines.get):
        if not reasons[key].startswith(SOMETIMES) or not exists(*key):
            failures.append(f"{LIST.relative_to(TREE)}:{lines[key]}: is reached, or not there: {key[2]}")
    for key in listed:
        if not reasons[key]:
            failures.append(f"{LIST.relative_to(TREE)}:{lines[key]}: has no reason")
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"{sum((found & listed).values())} unreached, each with its reason")
    print(f"{int(not failures)} passed, {len(failures)} failed, 0 skipped")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
