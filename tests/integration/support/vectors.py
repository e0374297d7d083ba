# SPDX-License-Identifier: MIT
"""The tables of tests/vectors."""

import ast
import pathlib

FOLDER = pathlib.Path(__file__).parents[2] / "vectors"


def rows(name):
    """The columns of each line of the table NAME, as written."""
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def unquote(text):
    """The text in quotes at the beginning of a row of systemd's, without blanks around it."""
    return ast.literal_eval(text).strip(" \t")
