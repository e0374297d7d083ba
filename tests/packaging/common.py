# SPDX-License-Identifier: MIT
"""What the tests of the packages share: this tree, commands, and what has to be installed."""

import atexit
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_SEC = 600
PATIENCE_SEC = 180
LONG_TESTS = "GREETD_LONG_TESTS"  # in the environment

sys.path.append(str(TREE / "tests"))
from integration.support import poll  # noqa: E402

# git reads a tree of another user as well, where root runs the tests.
ANY_OWNER = os.environ | {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                          "GIT_CONFIG_VALUE_0": "*"}


def long(tests):
    """A class decorator for tests that `tests/packaging/run --all` runs."""
    reason = "it takes long; tests/packaging/run --all has it"
    return unittest.skipUnless(LONG_TESTS in os.environ, reason)(tests)


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


def eventually(assertion):
    """Polls until ASSERTION holds and its connections succeed, and returns what it returns."""
    return poll.eventually(assertion, PATIENCE_SEC, (AssertionError, ConnectionError))


def files():
    """The files of the tree, committed or not, by their names in it. git is needed."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                env=ANY_OWNER)[1].split("\0")
    return [name for name in names if (TREE / name).is_file()]


@functools.cache
def debian_package():
    """The path of the .deb of the files of this tree as they are: $GREETD_DEB, or built here once."""
    return _named_or_built("deb")


@functools.cache
def container_image():
    """The path of the image of the files of this tree as they are, built here once, and what the build
    printed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-image-"))
    atexit.register(shutil.rmtree, folder)
    return folder / "image.tar", run(TREE / "packaging/oci/build", "--worktree", folder / "image.tar")[1]


@functools.cache
def rpm_package():
    """The path of the .rpm of the files of this tree as they are: $GREETD_RPM, or built here once."""
    return _named_or_built("rpm")


def _named_or_built(kind):
    named = os.environ.get(f"GREETD_{kind.upper()}")
    if named:
        return pathlib.Path(named)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"greetd-{kind}-"))
    atexit.register(shutil.rmtree, folder)
    run(TREE / f"packaging/build-{kind}", "--worktree", folder)
    return next(folder.glob(f"*.{kind}"))


def installed_files(package):
    """What the .deb PACKAGE installs: a dictionary of paths without .gz, as Fedora and Arch have them, to
    modes. Its changelog and its license have other names there."""
    listing = run("dpkg-deb", "--contents", package)[1].splitlines()
    files = {}
    for line in listing:
        mode, _, _, _, _, path = line.split(None, 5)
        path = re.sub(r"^\.(/lib/)?", lambda match: "/usr/lib/" if match[1] else "", path)
        path = path.replace("/zsh/vendor-completions/", "/zsh/site-functions/")
        if not path.endswith("/"):
            files[path.removesuffix(".gz")] = mode
    doc = "/usr/share/doc/greeting-daemon"
    files[f"{doc}/CHANGELOG.md"] = files.pop(f"{doc}/changelog")
    files["/usr/share/licenses/greeting-daemon/LICENSE"] = files.pop(f"{doc}/copyright")
    return {path: mode for path, mode in files.items() if "/lintian/" not in path}
