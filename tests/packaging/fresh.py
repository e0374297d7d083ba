# SPDX-License-Identifier: MIT
"""A fresh Debian or Ubuntu, with apt and little else, as in a new container.

It is an overlay in memory on a tree that mmdebstrap makes once, in
~/.cache/greetd/fresh/SUITE (or below $XDG_CACHE_HOME); remove that to make it anew. It has processes,
mounts and a network of its own, from which apt reaches what the host's apt reaches.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

from common import TIMEOUT_SEC, install, run
from integration.support import fresh_system

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
UBUNTU_KEYRING = pathlib.Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "HOME": "/root", "LC_ALL": "C.UTF-8"} | {
    name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}

# The first process is a shell, since a shell waits for orphans: a zombie would still be a process.
INIT = """
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
mount -t proc proc "$2/root/proc"
echo made
sleep infinity & wait
"""


def base_tree(suite):
    """The path of the tree of SUITE, which is made if it is missing."""
    install("debian-archive-keyring", "git", "mmdebstrap", "mount", "slirp4netns", "util-linux")
    base = CACHE / "greetd/fresh" / suite
    base.parent.mkdir(parents=True, exist_ok=True)
    with open(base.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not base.exists():
            new = base.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            run("mmdebstrap", "--quiet", "--variant=apt", suite, new)
            new.rename(base)
    return base


class Fresh:
    """A fresh system of SUITE; as a context manager it ends with all its processes."""

    def __init__(self, suite):
        self._base = base_tree(suite)
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="greetd-fresh-"))
            self.root = f"{folder}/root"
            unshare = self._start(stack, "unshare", "--mount", "--propagation=private", "--pid",
                                  "--net", "--fork", "--kill-child=KILL",
                                  "sh", "-ec", INIT, "init", self._base, folder,
                                  stdout=subprocess.PIPE)
            if unshare.stdout.readline() != "made\n":
                raise AssertionError("no namespaces, or no overlay in them")
            children = pathlib.Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
            self._init = children.read_text().strip()
            stack.enter_context(fresh_system.apt_network(self._init, self._path("/")))
            self._add_guest()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)

    def _start(self, stack, *command, **options):
        """Starts COMMAND, which ends with STACK."""
        process = subprocess.Popen(["setpriv", "--pdeathsig=KILL", *map(str, command)],
                                   stdin=subprocess.DEVNULL, text=True, **options)
        stack.callback(process.communicate)
        stack.callback(process.kill)
        return process

    def _add_guest(self):
        """A user who is not root: useradd(8) may be missing."""
        for file, line in (("passwd", "guest:*:1000:1000::/home/guest:/bin/sh\n"),
                           ("group", "guest:*:1000:\n")):
            with open(self._path(f"/etc/{file}"), "a", encoding="ascii") as entries:
                entries.write(line)

    def command(self, *command, user="root"):
        """The command of the host that runs COMMAND inside as USER."""
        return ["nsenter", f"--target={self._init}", "--mount", "--pid", "--net", "--", "chroot",
                f"--userspec={user}", self.root, *map(str, command)]

    def run(self, *command, user="root", **options):
        """Runs COMMAND inside as USER; see common.run()."""
        options = {"env": ENVIRONMENT, "timeout": 2 * TIMEOUT_SEC} | options
        return run(*self.command(*command, user=user), **options)

    def output(self, script):
        """What the shell SCRIPT prints inside, without the end of the last line."""
        return self.run("sh", "-ec", script)[1].rstrip("\n")

    def _path(self, path):
        """The path of the host for PATH inside."""
        return pathlib.Path(f"/proc/{self._init}/root{self.root}{path}")

    def write(self, path, text, mode=0o644):
        """Makes the file PATH inside."""
        self._path(path).write_text(text)
        self._path(path).chmod(mode)

    def mount(self, *arguments):
        """Mounts inside; the last two ARGUMENTS are paths inside."""
        *options, what, where = arguments
        run("nsenter", f"--target={self._init}", "--mount", "--", "mount", *options,
            f"{self.root}{what}", f"{self.root}{where}")

    def copy_tree(self, folder, owner="root"):
        """Copies the files of this tree to the new FOLDER of OWNER."""
        fresh_system.copy_tree(self._path(folder))
        self.run("chown", "-R", owner, folder)
