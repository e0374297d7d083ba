# SPDX-License-Identifier: MIT
"""Scripts of packets, parsed: README.md has the notation."""

import re
from typing import NamedTuple

import segment

LINE = re.compile(r"\+(?P<after>\d+(\.\d+)?)(~\+(?P<within>\d+(\.\d+)?))? (?P<event>.*)")
USUAL_WINDOW = 65535
NUMBER_OR_PLACE = r"\d+|greeting|end"
# What a line does is the name of a method of player.Player, with the groups as arguments.
FORMS = {
    "send": r"< (?P<flags>[FSRPUEW.]+) (?P<seq>\d+):(?P<end>\d+)\((?P<length>\d+)\)"
    rf"( ack (?P<ack>{NUMBER_OR_PLACE}))?( win (?P<window>\d+))?( urg (?P<urgent>\d+))?"
    r"( <(?P<options>[^>]+)>)?",
    "send_rest": r"< P\. rest:(?P<end>\d+) ack (?P<ack>\d+) win (?P<window>\d+)",
    "acknowledge": r"< acks win (?P<window>\d+)",
    "upload": r"< upload (?P<size>\d+)",
    "lose": r"lost",
    "connect": r"connection(?P<same> same port)?( isn (?P<isn>\d+))?",
    "await_answer": r"> S\.( ack (?P<ack>\d+))?",
    "await_greeting": r"> greeting",
    "await_end": r"> end",
    "await_ack": r"> ack (?P<ack>\d+)",
    "await_nothing": r"> no reset",
}
OPTION = re.compile(
    r"(?P<name>mss|wscale) (?P<number>\d+)|(?P<word>sackOK|nop|TS|TS old|FO|FO cookie|FO wrong)"
)


class Event(NamedTuple):
    line: int
    after: float  # seconds after the line before
    within: float  # seconds in which it must happen; None is the player's patience
    action: str  # a key of FORMS
    arguments: dict


class Script(NamedTuple):
    name: str
    title: str  # the first line of its comment
    events: tuple

    def takes_any_length(self):
        """Whether the client acknowledges all of a greeting as it arrives, with a usual window."""
        window = 0
        for event in self.events:
            if event.action == "connect":
                window = 0
            elif event.action == "acknowledge":
                window = event.arguments["window"]
            elif event.action == "await_greeting" and window < USUAL_WINDOW:
                return False
        return True


class Mistake(Exception):
    """A line that is not in the notation."""


def _parse_options(text):
    """The options as pairs of kind and value; the value is a word if only the player knows it."""
    fixed = {"sackOK": (segment.SACK_PERMITTED, b""), "nop": (segment.NO_OPERATION, b"")}
    kinds = {"TS": segment.TIMESTAMPS, "FO": segment.FAST_OPEN}
    for part in text.split(","):
        found = OPTION.fullmatch(part)
        if not found:
            raise Mistake(f"unknown option {part!r}")
        if found["name"] == "mss":
            yield segment.MSS, int(found["number"]).to_bytes(2, "big")
        elif found["name"] == "wscale":
            yield segment.WINDOW_SCALE, bytes([int(found["number"])])
        else:
            yield fixed.get(found["word"]) or (kinds[found["word"][:2]], found["word"])


def _complete_send(arguments):
    seq, end, length = (arguments.pop(key) for key in ("seq", "end", "length"))
    if end - seq != length:
        raise Mistake(f"{seq}:{end} are not {length} bytes")
    if ("." in arguments["flags"]) != (arguments["ack"] is not None):
        raise Mistake("a segment has an ack number if it has the flag '.'")
    options = tuple(_parse_options(arguments["options"])) if arguments["options"] else ()
    return {**arguments, "seq": seq, "length": length, "options": options}


def _number(text):
    return int(text) if text and text.isdigit() else text


def _parse_event(number, text):
    line = LINE.fullmatch(text)
    if not line:
        raise Mistake("a line begins with a time such as +0.5")
    for action, form in FORMS.items():
        found = re.fullmatch(form, line["event"])
        if found:
            arguments = {key: _number(value) for key, value in found.groupdict().items()}
            if action == "send":
                arguments = _complete_send(arguments)
            after, within = (text and float(text) for text in line.group("after", "within"))
            return Event(number, after, within, action, arguments)
    raise Mistake("neither a packet nor an expectation")


def parse(name, text):
    """The script in TEXT. Raises Mistake, with the place."""
    title, events = None, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            title = title or line.lstrip("# ")
        elif line.strip():
            try:
                events.append(_parse_event(number, line.strip()))
            except Mistake as mistake:
                raise Mistake(f"{name}:{number}: {mistake}: {line}") from None
    if not title or not any(event.action.startswith("await_") for event in events):
        raise Mistake(f"{name}: a script needs a title and an expectation")
    return Script(name, title, tuple(events))


def load(path):
    return parse(path.stem, path.read_text(encoding="utf-8"))
