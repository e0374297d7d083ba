#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs inputs of a fuzz target into a zip, the same bytes for the same inputs, and unpacks them.

    tests/fuzz/corpus.py ZIP SOURCE...

A SOURCE is a folder or another zip; one that does not exist is empty. In the zip each input is named
by its SHA-1, as libFuzzer names it.
"""

import hashlib
import pathlib
import sys
import zipfile


def inputs_of(sources):
    """Returns the inputs of SOURCES by their name."""
    contents = []
    for source in map(pathlib.Path, sources):
        if source.is_dir():
            contents += [path.read_bytes() for path in source.iterdir() if path.is_file()]
        elif source.exists():
            with zipfile.ZipFile(source) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
    return {hashlib.sha1(content).hexdigest(): content for content in contents}


def count(sources):
    """Returns how many inputs SOURCES have."""
    return len(inputs_of(sources))


def pack(path, sources):
    """Writes the inputs of SOURCES to the zip at PATH: sorted, without times, owners or modes."""
    inputs = inputs_of(sources)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(inputs):
            entry = zipfile.ZipInfo(name)  # of 1980, when times of zip begin
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, inputs[name], zipfile.ZIP_DEFLATED, 9)


def unpack(folder, sources):
    """Writes the inputs of SOURCES into FOLDER, and returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = inputs_of(sources)
    for name, content in inputs.items():
        (folder / name).write_bytes(content)
    return len(inputs)


if __name__ == "__main__":
    pack(sys.argv[1], sys.argv[2:])
