# SPDX-License-Identifier: MIT
"""What a system in namespaces of its own needs to install packages and to build greetd.

The packages git and slirp4netns have to be installed.
"""

import contextlib
import os
import pathlib
import subprocess

TREE = pathlib.Path(__file__).resolve().parents[3]
NAMESERVER = "10.0.2.3"  # slirp4netns(1) asks the host's there


@contextlib.contextmanager
def apt_network(pid, root):
    """Connects the network of the process PID, whose system is in ROOT, while the block runs. Its apt
    reaches what the host's apt reaches."""
    ready, ready_end = os.pipe()
    slirp = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "slirp4netns", "--configure", "--disable-host-loopback",
         f"--ready-fd={ready_end}", str(pid), "tap0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=[ready_end])
    os.close(ready_end)
    with slirp:
        with open(ready) as file:
            if file.read(1) != "1":
                raise OSError(f"slirp4netns exited {slirp.wait()}")
        settings = subprocess.run(
            ["apt-config", "dump", "--no-empty", "--format=%f \"%v\";%n", "Acquire"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        replace(root / "etc/apt/apt.conf.d/99host", settings)
        replace(root / "etc/hosts", pathlib.Path("/etc/hosts").read_text())
        replace(root / "etc/resolv.conf", f"nameserver {NAMESERVER}\n")
        try:
            yield
        finally:
            slirp.kill()


def replace(path, text):
    """Writes a new file, since the old one may be a link to a file outside."""
    path.unlink(missing_ok=True)
    path.write_text(text)


def copy_tree(folder):
    """Copies the files of this tree that git does not ignore to the new FOLDER."""
    git = ["git", "-c", f"safe.directory={TREE}", "ls-files", "-z", "--cached", "--others",
           "--exclude-standard"]
    files = subprocess.run(git, cwd=TREE, check=True, stdout=subprocess.PIPE).stdout
    tar = ["tar", "--null", "--verbatim-files-from", "--files-from=-"]
    archive = subprocess.run([*tar, "-c"], cwd=TREE, input=files, check=True,
                             stdout=subprocess.PIPE).stdout
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-x", "--no-same-owner"], cwd=folder, input=archive, check=True)
