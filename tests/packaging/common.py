# SPDX-License-Identifier: MIT
"""What the tests of the packages share: this tree, commands, and what has to be installed."""

import functools
import os
import pathlib
import subprocess
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_SEC = 600


def install(*packages, idle=""):
    """Installs those of the Debian PACKAGES that are missing. The services in IDLE, a list of words,
    are neither started nor enabled."""
    options = ["--idle", idle] if idle else []
    run(TREE / "packaging/install-missing", *options, *packages)


def run(*command, check=True, **options):
    """Runs COMMAND and returns its exit status and its output with errors, as text. With CHECK, a
    status other than 0 is an AssertionError with the output."""
    options = {"cwd": TREE, "stdin": subprocess.DEVNULL, "timeout": TIMEOUT_SEC} | options
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} exited {done.returncode}:\n{done.stdout}")
    return done.returncode, done.stdout


@functools.cache
def debian_package():
    """The path of the .deb of the files of this tree as they are: $GREETD_DEB, or built here once."""
    if "GREETD_DEB" in os.environ:
        return pathlib.Path(os.environ["GREETD_DEB"])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-deb-"))
    unittest.addModuleCleanup(run, "rm", "-rf", folder)
    unittest.addModuleCleanup(debian_package.cache_clear)
    run(TREE / "packaging/build-deb", "--worktree", folder)
    return next(folder.glob("*.deb"))
