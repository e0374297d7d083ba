# SPDX-License-Identifier: MIT
"""packaging/examples/kubernetes: what kubectl makes of it is valid, fits together, is allowed at the level
`restricted`, and works with the real programs, as the kubelet would start and probe them."""

import copy
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import common
import kubernetes_rules
from common import TREE, eventually, run

EXAMPLE = TREE / "packaging/examples/kubernetes"
KUBECTL = "kubernetes-client"
USER = "65532:65532"
# That of the image; the image itself is tested elsewhere.
IMAGE_CONFIG = "[Server]\nListenStream=0.0.0.0:12345\n"
NEW_TEXT = "Closed until noon.\n"


def setUpModule():
    common.install("python3-kubernetes", "python3-yaml", "iproute2", "util-linux")
    if not shutil.which("kubectl"):
        if "Candidate: " not in run("apt-cache", "policy", KUBECTL)[1].replace("Candidate: (none)", ""):
            raise unittest.SkipTest(f"there is no kubectl, and this distribution has no {KUBECTL}")
        common.install(KUBECTL)
    # Where Debian has them, for a Python that is not Debian's.
    sys.path.append("/usr/lib/python3/dist-packages")


def render():
    """The manifests as `kubectl apply --kustomize` would send them, by kind; with that for Prometheus."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
        file = pathlib.Path(folder) / "kustomization.yaml"
        file.write_text(file.read_text("utf-8").replace("#- service-monitor", "- service-monitor"), "utf-8")
        found = {}
        for manifest in yaml.safe_load_all(run("kubectl", "kustomize", folder)[1]):
            found.setdefault(manifest["kind"], []).append(manifest)
        return found


class ManifestTestCase(unittest.TestCase):
    def setUp(self):
        self.manifests = render()
        [self.deployment] = self.manifests["Deployment"]
        [self.service] = self.manifests["Service"]
        self.template = self.deployment["spec"]["template"]
        self.pod = self.template["spec"]
        [self.container] = self.pod["containers"]

    def volumes(self):
        """The content of each volume of the pod, a dictionary of file names, by the path where the
        container has it."""
        data = {manifest["metadata"]["name"]: manifest["data"] for manifest in self.manifests["ConfigMap"]}
        maps = {volume["name"]: data[volume["configMap"]["name"]] for volume in self.pod["volumes"]}
        return {mount["mountPath"]: maps[mount["name"]] for mount in self.container["volumeMounts"]}

    def setting(self, name):
        return re.search(rf"^{name}=(\d+)s$", self.volumes()["/etc/greetd.conf.d"]["greetd.conf"],
                         re.MULTILINE)[1]


class Schema(ManifestTestCase):
    def test_each_file_is_used(self):
        used = {path.name for path in EXAMPLE.iterdir()} - {"kustomization.yaml"}
        text = (EXAMPLE / "kustomization.yaml").read_text("utf-8")
        self.assertEqual(used, set(re.findall(r"^ *#?- ([\w.-]+\.(?:yaml|conf))$", text, re.MULTILINE)))

    def test_every_field_is_one_of_the_api(self):
        checked = [manifest for kind, of_kind in self.manifests.items() for manifest in of_kind
                   if kind != "ServiceMonitor"]  # whose schema is the Prometheus Operator's
        self.assertEqual(len(checked), 5)
        for manifest in checked:
            self.assertEqual(kubernetes_rules.mistakes(manifest), [])

    def test_a_mistake_would_be_found(self):
        for change in ({"replica": 1}, {"replicas": "3"}, {"selector": None}, {"template": {"spec": []}}):
            broken = copy.deepcopy(self.deployment)
            broken["spec"] |= change
            self.assertNotEqual(kubernetes_rules.mistakes(broken), [], change)


class Fit(ManifestTestCase):
    """What one manifest says of another is so."""

    def test_selectors_match(self):
        labels = self.template["metadata"]["labels"]
        [budget], [monitor] = self.manifests["PodDisruptionBudget"], self.manifests["ServiceMonitor"]
        [spread] = self.pod["topologySpreadConstraints"]
        for selector in (self.deployment["spec"]["selector"]["matchLabels"], self.service["spec"]["selector"],
                         budget["spec"]["selector"]["matchLabels"], spread["labelSelector"]["matchLabels"]):
            self.assertTrue(selector)
            self.assertLessEqual(selector.items(), labels.items())
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(),
                             self.service["metadata"]["labels"].items())

    def test_ports_match(self):
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        listening = re.findall(r"^ListenStream=(\d+)$", self.volumes()["/etc/greetd.conf.d"]["greetd.conf"],
                               re.MULTILINE)
        self.assertEqual(sorted(ports.values()), sorted(map(int, listening)))
        service = {port["name"]: port["targetPort"] for port in self.service["spec"]["ports"]}
        self.assertLessEqual(set(service.values()), set(ports))
        [endpoint] = self.manifests["ServiceMonitor"][0]["spec"]["endpoints"]
        self.assertEqual(service[endpoint["port"]], "metrics")

    def test_a_pod_may_take_as_long_to_end_as_greetd(self):
        needed = int(self.setting("StopDelaySec")) + int(self.setting("StopTimeoutSec"))
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], needed)

    def test_a_budget_lets_a_node_be_drained(self):
        [budget] = self.manifests["PodDisruptionBudget"]
        self.assertGreaterEqual(budget["spec"]["maxUnavailable"], 1)
        self.assertGreater(self.deployment["spec"]["replicas"], budget["spec"]["maxUnavailable"])

    def test_a_probe_ends_before_its_time(self):
        for name in ("readinessProbe", "livenessProbe"):
            probe = self.container[name]
            [timeout] = re.findall(r"--timeout=(\d+)s", " ".join(probe["exec"]["command"]))
            self.assertLess(int(timeout), probe["timeoutSeconds"])

    def test_the_image_is_the_one_that_is_built_here(self):
        build = (TREE / "packaging/oci/build").read_text("utf-8")
        self.assertIn(f"name={self.container['image']}\n", build)


class Restricted(ManifestTestCase):
    def test_the_pod_is_allowed(self):
        self.assertEqual(kubernetes_rules.violations(self.pod), [])
        self.assertTrue(self.container["securityContext"]["readOnlyRootFilesystem"])

    def assert_violates(self, name, change):
        pod = copy.deepcopy(self.pod)
        change(pod, pod["containers"][0])
        self.assertEqual(kubernetes_rules.violations(pod), [name])

    def test_each_line_of_it_is_needed(self):
        self.assert_violates("runAsNonRoot", lambda pod, _: pod["securityContext"].pop("runAsNonRoot"))
        self.assert_violates("seccompProfile", lambda pod, _: pod["securityContext"].pop("seccompProfile"))
        self.assert_violates("allowPrivilegeEscalation",
                             lambda _, own: own["securityContext"].pop("allowPrivilegeEscalation"))
        self.assert_violates("capabilities.drop",
                             lambda _, own: own["securityContext"]["capabilities"].pop("drop"))
        self.assert_violates("hostNetwork", lambda pod, _: pod.update(hostNetwork=True))
        self.assert_violates("volume bad", lambda pod, _: pod["volumes"].append(
            {"name": "bad", "hostPath": {"path": "/"}}))


def write_volume(folder, data):
    """Writes DATA as the kubelet does: new files in a new folder, to which `..data` then points."""
    new = pathlib.Path(tempfile.mkdtemp(prefix="..2026_", dir=folder))
    new.chmod(0o755)
    for name, text in data.items():
        (new / name).write_text(text, "utf-8")
        (new / name).chmod(0o644)
    before = (folder / "..data").resolve() if (folder / "..data").exists() else None
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in data:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if before:
        shutil.rmtree(before)


def make_root(folder):
    """The file system of the image in FOLDER, from the Debian package."""
    package = folder / "package"
    root = folder / "root"
    run("dpkg-deb", "-x", common.debian_package(), package)
    programs = [package / "usr/sbin/greetd", package / "usr/bin/greet"]
    for program in programs:
        run("install", "-D", program, f"{root}/{program.relative_to(package)}")
    for library in set(re.findall(r"(/\S+) \(0x", run("ldd", *programs)[1])):
        run("install", "-D", library, f"{root}{library}")
    (root / "etc").mkdir()
    (root / "etc/greetd.conf").write_text(IMAGE_CONFIG, "ascii")
    return root


class Probed(ManifestTestCase):
    """The container, with a root and a network of its own, and its probes."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-pod-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.folder.chmod(0o755)
        cls.root = make_root(cls.folder)

    def setUp(self):
        super().setUp()
        self.mounts = {path: self.root / path.lstrip("/") for path in self.volumes()}
        for path, data in self.volumes().items():
            shutil.rmtree(self.mounts[path], ignore_errors=True)
            self.mounts[path].mkdir(mode=0o755, parents=True)
            write_volume(self.mounts[path], data)
        self.greetd = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
             "chroot", f"--userspec={USER}", self.root, "/usr/sbin/greetd"],
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.greetd.communicate)
        self.addCleanup(self.greetd.kill)
        for port in self.container["ports"]:
            self.assertIn(f":{port['containerPort']}\n", self.greetd.stderr.readline())

    def execute(self, *command):
        """The exit status and the output of COMMAND in the container."""
        return run("nsenter", "--net", f"--target={self.greetd.pid}", "chroot", f"--userspec={USER}",
                   self.root, *command, check=False)

    def assert_probe(self, name, status=0):
        def assertion():
            found, output = self.execute(*self.container[name]["exec"]["command"])
            self.assertEqual(found, status, output)
        eventually(assertion)

    def test_it_is_alive_and_ready(self):
        self.assertEqual(self.execute("/usr/sbin/greetd", "--check")[0], 0)
        self.assert_probe("livenessProbe")
        self.assert_probe("readinessProbe")

    def test_a_changed_greeting_is_sent_without_a_restart(self):
        write_volume(self.mounts["/etc/greeting"], {"greeting.txt": NEW_TEXT})
        eventually(lambda: self.assertEqual(self.execute("/usr/bin/greet"), (0, NEW_TEXT)))
        self.assert_probe("readinessProbe")

    def test_it_is_not_ready_but_alive_with_another_greeting_than_is_configured(self):
        write_volume(self.mounts["/etc/greetd.conf.d"], {"greetd.conf": "[Greeting]\nMessage=Other\n"})
        self.assert_probe("readinessProbe", status=1)
        self.assert_probe("livenessProbe")

    def test_metrics_are_on_their_port(self):
        status, answer = self.execute("/usr/bin/greet", r"--send=GET / HTTP/1.0\r\n\r\n", "9109")
        self.assertEqual(status, 0)
        self.assertIn("\ngreetd_workers 2\n", answer)

    def test_a_pod_that_is_deleted_greets_late_clients_and_ends_in_its_time(self):
        began = time.monotonic()
        self.greetd.send_signal(signal.SIGTERM)
        self.assertIn("Stopping in 10s", self.greetd.stderr.readline())
        self.assertEqual(self.execute("/usr/bin/greet", "--quiet", "--expect-config")[0], 0)
        self.assertEqual(self.greetd.wait(self.pod["terminationGracePeriodSeconds"]), 0)
        self.assertGreaterEqual(time.monotonic() - began, int(self.setting("StopDelaySec")))


if __name__ == "__main__":
    unittest.main()
