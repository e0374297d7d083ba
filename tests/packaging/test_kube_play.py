# SPDX-License-Identifier: MIT
"""packaging/examples/kubernetes, played by `podman kube play`: a real container runtime with the image,
the volumes and the restrictions of the manifests."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import common
import test_kubernetes
from common import run

# Locks in files, so that no other podman of this machine has the same.
ENGINE = '[engine]\nlock_type = "file"\n'
# podman sets this limit of open files, which not every machine lets root do.
PODMAN_LIMIT = "--nofile=1048576:1048576"
RUNTIME_WITHOUT_LIMITS = r"""#!/bin/sh
for argument; do
    case ${previous:-} in
        --bundle) sed -i 's/,"rlimits":\[[^]]*\]//' "$argument/config.json" ;;
        --process) sed -i 's/,"rlimits":\[[^]]*\]//' "$argument" ;;
    esac
    previous=$argument
done
exec runc "$@"
"""


def setUpModule():
    # catatonit is what podman makes the image of a pod's first container of.
    common.install("podman", "runc", "catatonit")
    test_kubernetes.setUpModule()


class Played(test_kubernetes.ManifestTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-play-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.storage = ["--storage-driver", "vfs", "--root", cls.folder / "storage",
                       "--runroot", cls.folder / "run"]
        (cls.folder / "containers.conf").write_text(ENGINE, "ascii")
        cls.make_image()

    @classmethod
    def make_image(cls):
        cls.podman("load", "--quiet", "--input", common.container_image()[0])

    @classmethod
    def podman(cls, *arguments, check=True):
        return run("podman", *cls.storage, "--tmpdir", cls.folder / "tmp", "--runtime", cls.runtime(),
                   "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--log-level", "fatal",
                   *arguments, check=check,
                   env=os.environ | {"CONTAINERS_CONF": str(cls.folder / "containers.conf")})

    @classmethod
    def runtime(cls):
        if subprocess.run(["prlimit", PODMAN_LIMIT, "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return shutil.which("runc")
        path = cls.folder / "bin/runc"
        path.parent.mkdir(exist_ok=True)
        path.write_text(RUNTIME_WITHOUT_LIMITS, "ascii")
        path.chmod(0o755)
        return path

    def setUp(self):
        super().setUp()
        import yaml

        # podman would write the volumes again for a second pod, while the first one reads them.
        self.deployment["spec"]["replicas"] = 1
        # podman would publish the ports on this machine. Each pod has a network of its own instead.
        del self.container["ports"]
        file = self.folder / "manifests.yaml"
        file.write_text(yaml.safe_dump_all([*self.manifests["ConfigMap"], self.deployment]), "utf-8")
        self.addCleanup(self.podman, "pod", "rm", "--all", "--force", "--time", "0")
        self.podman("play", "kube", "--network", "none", file)
        names = self.podman("ps", "--format", "{{.Names}}")[1].split()
        [self.name] = [name for name in names if name.endswith("-greetd")]

    def execute(self, command):
        return self.podman("exec", self.name, *command, check=False)

    def status(self):
        """The lines of proc(5) about the process of the pod."""
        pid = self.podman("inspect", "--format", "{{.State.Pid}}", self.name)[1].strip()
        lines = pathlib.Path(f"/proc/{pid}/status").read_text("ascii")
        return dict(re.findall(r"^(\w+):\t(.*)$", lines, re.MULTILINE))

    def test_the_pod_is_ready_and_alive_within_its_restrictions(self):
        for name in ("readinessProbe", "livenessProbe"):
            command = self.container[name]["exec"]["command"]
            common.eventually(lambda: self.assertEqual(self.execute(command), (0, "")))
        self.assertEqual(self.execute(["/usr/bin/greet"]), (0, "Hello from server!\n"))
        status = self.status()
        self.assertNotIn("0", status["Uid"].split())
        self.assertEqual({status[name] for name in ("CapEff", "CapPrm", "CapBnd")}, {"0" * 16})
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))

    def test_a_pod_that_is_stopped_ends_by_itself(self):
        self.podman("stop", "--time", self.pod["terminationGracePeriodSeconds"], self.name)
        self.assertEqual(self.podman("inspect", "--format", "{{.State.ExitCode}}", self.name), (0, "0\n"))
        self.assertIn("Stopping in 10s", self.podman("logs", self.name)[1])


if __name__ == "__main__":
    unittest.main()
