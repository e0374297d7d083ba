# SPDX-License-Identifier: MIT
"""The tables of tests/vectors."""

import ast
import pathlib
import re

from . import proxy

FOLDER = pathlib.Path(__file__).parents[2] / "vectors"


def rows(name):
    """The columns of each line of the table NAME, as written."""
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def unquote(text):
    """The text in quotes at the beginning of a row of systemd's, without blanks around it."""
    return ast.literal_eval(text).strip(" \t")


def proxy_bytes(text):
    """The bytes of a row of proxy.tsv: texts in quotes, hexadecimal digits, HH*N for one byte N
    times, and sig for the signature of version 2."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', text)
    return b"".join(map(_part, parts))


def _part(part):
    if part == "sig":
        return proxy.SIGNATURE
    if part.startswith('"'):
        return ast.literal_eval(f"b{part}")
    byte, times, n = part.partition("*")
    return bytes.fromhex(byte) * (int(n) if times else 1)
