# SPDX-License-Identifier: MIT
"""The container image: what it consists of, and its life under podman and runc."""

import concurrent.futures
import ctypes
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import unittest

from common import PATIENCE_SEC, TIMEOUT_SEC, TREE, container_image, eventually, install, run

BUILD = TREE / "packaging/oci/build"
IMAGE = "localhost/greeting-daemon:latest"
SIZE_MAX = 5_000_000
FIGURE_TOLERANCE = 0.1  # of the figures in the README
PROGRAMS = {"usr/sbin/greetd", "usr/bin/greet"}
CONFIGURATION = {"etc/greetd.conf", "etc/greetd.conf.d"}
USER = 65532

CLONE_NEWNET = 0x40000000
ADDRESS = ("127.0.0.1", 12345)
GREETING = b"Hello from server!"
# Larger than the socket buffers of both ends.
BIG_GREETING = bytes(range(256)) * 64 * 1024

# Of the folder of a test: state that is shared with no other podman on this machine.
CONTAINERS_CONF = """
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
[containers]
pids_limit = 0
"""
# podman's own limits are more than a machine without CAP_SYS_RESOURCE may set.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=512:512")
SANDBOX = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


def setUpModule():
    global folder, image, built
    install("binutils", "iproute2", "podman", "runc", "systemd", "util-linux")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="greetd-oci-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    image, built = container_image()


def git(*command):
    return subprocess.run(["git", "-C", TREE, *command], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class Archive(unittest.TestCase):
    def setUp(self):
        with tarfile.open(image) as archive:
            [manifest] = json.load(archive.extractfile("manifest.json"))
            [layer] = manifest["Layers"]
            self.names = set(archive.getnames()) - {layer, manifest["Config"], "manifest.json"}
            self.config = json.load(archive.extractfile(manifest["Config"]))
            self.layer = archive.extractfile(layer).read()
        self.manifest = manifest

    def members(self):
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as layer:
            return layer.getmembers()

    def extract(self):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(dir=folder)))
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as layer:
            layer.extractall(root)
        return root

    def test_has_the_programs_their_libraries_the_configuration_and_nothing_else(self):
        root = self.extract()
        linked = run("ldd", *(root / program for program in PROGRAMS))[1]
        libraries = {path.lstrip("/") for path in re.findall(r"(/\S+) \(0x", linked)}
        self.assertIn("libsystemd.so.0", {pathlib.Path(path).name for path in libraries})
        expected = PROGRAMS | CONFIGURATION | libraries
        parents = {str(parent) for path in expected for parent in pathlib.Path(path).parents}
        self.assertEqual({member.name for member in self.members()}, (expected | parents) - {"."})
        self.assertEqual(self.names, set())

    def test_has_only_plain_files_that_root_alone_may_write(self):
        for member in self.members():
            with self.subTest(member.name):
                self.assertTrue(member.isfile() or member.isdir())
                self.assertEqual((member.uid, member.gid), (0, 0))
                self.assertEqual(member.mode & 0o7022, 0)

    def test_has_stripped_programs(self):
        root = self.extract()
        for program in PROGRAMS:
            sections = run("readelf", "--wide", "--section-headers", root / program)[1]
            self.assertIn(".text", sections)
            self.assertNotRegex(sections, r"\.symtab|\.debug")

    def test_is_small_and_the_build_prints_how_small(self):
        size = len(gzip.compress(self.layer))
        self.assertLess(size, SIZE_MAX)
        total, systemd = map(int, re.search(
            r"(\d+) bytes compressed, of them (\d+) for libsystemd", built).groups())
        self.assertAlmostEqual(total, size, delta=size * 0.02)
        self.assertLess(0, systemd)
        self.assertLess(systemd, total)

    @unittest.skipUnless("VERSION_CODENAME=bookworm" in pathlib.Path("/etc/os-release").read_text(),
                         "the figures of the README are those of Debian 12")
    def test_has_the_size_that_the_readme_names(self):
        total, systemd = map(int, re.search(r"(\d+) bytes .* (\d+) for", built).groups())
        text = (TREE / "packaging/oci/README.md").read_text().replace("\n", " ")
        named = re.search(r"has ([\d.]+) MB compressed\. Without libsystemd it would have ([\d.]+) MB", text)
        for figure, size in zip(named.groups(), (total, total - systemd)):
            self.assertAlmostEqual(float(figure), size / 1e6, delta=FIGURE_TOLERANCE)

    def test_runs_greetd_as_another_user_than_root(self):
        config = self.config["config"]
        self.assertEqual(config["User"], f"{USER}:{USER}")
        self.assertEqual(config["Entrypoint"], ["/usr/sbin/greetd"])
        self.assertFalse(config["Cmd"])
        self.assertEqual(config["ExposedPorts"], {"12345/tcp": {}})
        self.assertEqual(config["StopSignal"], "SIGTERM")

    def test_has_the_labels_of_the_image_specification(self):
        labels = {name.removeprefix("org.opencontainers.image."): value
                  for name, value in self.config["config"]["Labels"].items()}
        version = run(self.extract() / "usr/sbin/greetd", "--version")[1].split()[-1]
        self.assertEqual(labels.pop("version"), version)
        self.assertEqual(labels.pop("title"), "greeting-daemon")
        self.assertTrue(labels.pop("description"))
        licenses = labels.pop("licenses").split(" AND ")
        self.assertLessEqual({"MIT", "LGPL-2.1-or-later"}, set(licenses))
        revision = {} if git("status", "--porcelain") else {"revision": git("rev-parse", "HEAD")}
        self.assertEqual(labels, revision)

    def test_is_named_by_what_is_in_it(self):
        config = self.manifest["Config"]
        with tarfile.open(image) as archive:
            content = archive.extractfile(config).read()
        self.assertEqual(hashlib.sha256(content).hexdigest(), config.removesuffix(".json"))

    def test_has_the_times_of_the_commit(self):
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct"))
        self.assertEqual({member.mtime for member in self.members()}, {epoch})
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
        self.assertEqual(self.config["created"], created)


class Network:
    """A network of its own, with nothing but a loopback interface."""

    def __init__(self):
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", f"ip link set lo up && echo up && exec sleep {TIMEOUT_SEC}"],
            stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "up\n"
        self._thread = concurrent.futures.ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self):
        with open(f"/proc/{self._holder.pid}/ns/net", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def run(self, function, *arguments, **named):
        """Calls FUNCTION in a thread that is in this network, as are the processes it starts."""
        return self._thread.submit(function, *arguments, **named).result()

    def close(self):
        self._thread.shutdown()
        self._holder.kill()
        self._holder.communicate()


def receive(client):
    """Reads CLIENT up to the end of stream."""
    return b"".join(iter(lambda: client.recv(1 << 20), b""))


class Container(unittest.TestCase):
    """A test with a container, in a network of its own."""

    @classmethod
    def setUpClass(cls):
        (folder / "containers.conf").write_text(CONTAINERS_CONF)
        cls.podman("load", "--quiet", f"--input={image}")

    def setUp(self):
        self.network = Network()
        self.addCleanup(self.network.close)
        self.conf = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.conf.chmod(0o755)
        self.addCleanup(self.podman, "rm", "--force", "--ignore", "--time=0", "greetd")

    @staticmethod
    def environment():
        """Without systemd, nothing runs health checks regularly."""
        return os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf"),
                             "DISABLE_HC_SYSTEMD": "true"}

    @staticmethod
    def command(*arguments):
        return ["podman", f"--root={folder / 'storage'}", f"--runroot={folder / 'run'}",
                f"--tmpdir={folder / 'tmp'}", "--storage-driver=vfs", "--runtime=runc", *arguments]

    @classmethod
    def podman(cls, *arguments, check=True):
        """Runs podman, and returns what is done."""
        done = subprocess.run(cls.command(*arguments), env=cls.environment(), text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_SEC)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} exited {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def inspect(self, what):
        return self.podman("inspect", "--format={{json %s}}" % what, "greetd").stdout.strip()

    def configure(self, text):
        (self.conf / "test.conf").write_text(text)

    def options(self, *more):
        return ("--name=greetd", *LIMITS, *SANDBOX, f"--volume={self.conf}:/etc/greetd.conf.d:ro", *more)

    def start(self, *options):
        self.network.run(self.podman, "run", "--detach", "--network=host", *self.options(*options), IMAGE)
        # The network is that of the clients, so a client can connect when greetd listens.
        eventually(lambda: self.connect().close())

    def connect(self, address=ADDRESS):
        client = self.network.run(socket.create_connection, address, PATIENCE_SEC)
        self.addCleanup(client.close)
        return client

    def greet(self, address=ADDRESS):
        return receive(self.connect(address))


class Run(Container):
    def test_greets_without_privileges_on_a_read_only_root(self):
        self.start()
        client = self.connect()
        self.assertEqual(receive(client), GREETING)
        port = client.getsockname()[1]
        eventually(lambda: self.assertIn(f"Connection from 127.0.0.1:{port}\n",
                                         self.podman("logs", "greetd").stderr))
        process = pathlib.Path("/proc") / self.inspect(".State.Pid")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        self.assertEqual(status["Uid"].split(), [str(USER)] * 4)
        self.assertEqual(status["Gid"].split(), [str(USER)] * 4)
        self.assertEqual({status[name] for name in ("CapPrm", "CapEff", "CapBnd")}, {"0" * 16})
        self.assertEqual(status["NoNewPrivs"], "1")
        root = re.search(r"^\S+ / \S+ (\S+)", (process / "mounts").read_text(), re.MULTILINE)[1]
        self.assertIn("ro", root.split(","))

    def test_has_no_shell(self):
        self.start()
        for shell in ("sh", "/bin/sh", "/bin/bash", "/bin/busybox"):
            self.assertIn(self.podman("exec", "greetd", shell, check=False).returncode, (126, 127))

    def check_health(self):
        """The exit status of one health check, as a timer of podman starts it. The network of the
        container is that of podman itself."""
        return self.network.run(self.podman, "healthcheck", "run", "greetd", check=False).returncode

    def test_is_healthy_while_it_greets_as_configured(self):
        self.start()
        self.assertEqual(self.check_health(), 0)
        self.assertEqual(json.loads(self.inspect(".State.Health.Status")), "healthy")
        self.configure("[Greeting]\nMessage=Back at noon.\n")
        for _ in range(3):
            self.assertEqual(self.check_health(), 1)
        self.assertEqual(json.loads(self.inspect(".State.Health.Status")), "unhealthy")
        self.podman("kill", "--signal=HUP", "greetd")
        eventually(lambda: self.assertEqual(self.greet(), b"Back at noon."))
        self.assertEqual(self.check_health(), 0)
        self.assertEqual(json.loads(self.inspect(".State.Health.Status")), "healthy")

    def test_is_unhealthy_while_it_hangs(self):
        self.start()
        self.podman("kill", "--signal=STOP", "greetd")
        self.assertEqual(self.check_health(), 1)
        self.podman("kill", "--signal=CONT", "greetd")
        self.assertEqual(self.check_health(), 0)

    def test_a_stop_waits_for_a_client_in_progress(self):
        (self.conf / "greeting").write_bytes(BIG_GREETING)
        self.configure("[Server]\nStopTimeoutSec=5min\n"
                       "[Greeting]\nMessageFile=/etc/greetd.conf.d/greeting\n")
        self.start("--stop-timeout=600")
        client = self.connect()
        begin = client.recv(1)
        stop = subprocess.Popen(self.command("stop", "greetd"), env=self.environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        self.addCleanup(stop.wait)
        self.addCleanup(stop.kill)
        # While greetd stops, it does not listen.
        eventually(lambda: self.assertRaises(ConnectionRefusedError, self.connect))
        self.assertIsNone(stop.poll())
        self.assertEqual(hashlib.sha256(begin + receive(client)).digest(),
                         hashlib.sha256(BIG_GREETING).digest())
        client.close()
        self.assertEqual(stop.wait(PATIENCE_SEC), 0)
        self.assertEqual(self.inspect(".State.ExitCode"), "0")
        self.assertEqual(json.loads(self.inspect(".State.Status")), "exited")

    def swap(self, volume, version):
        """Replaces the files of a ConfigMap as the kubelet does: by a link to a new folder."""
        (volume / f"..{version}").mkdir()
        (volume / f"..{version}/message").write_text(version)
        (volume / "..data_tmp").symlink_to(f"..{version}")
        before = (volume / "..data").resolve() if (volume / "..data").exists() else None
        (volume / "..data_tmp").rename(volume / "..data")
        if before:
            shutil.rmtree(before)

    def test_watches_the_volume_of_a_config_map(self):
        volume = pathlib.Path(tempfile.mkdtemp(dir=folder))
        volume.chmod(0o755)
        (volume / "message").symlink_to("..data/message")
        self.swap(volume, "version 0")
        self.configure("[Greeting]\nMessageFile=/etc/greeting/message\nWatch=yes\n")
        self.start(f"--volume={volume}:/etc/greeting:ro")
        self.assertEqual(self.greet(), b"version 0")
        times = []
        for version in (f"version {number}" for number in range(1, 21)):
            began = time.monotonic()
            self.swap(volume, version)
            eventually(lambda: self.assertEqual(self.greet(), version.encode()))
            times.append(time.monotonic() - began)
        print(f"in force after {sorted(times)[10] * 1000:.1f} ms, at most {max(times) * 1000:.1f} ms")

    def test_a_socket_that_is_passed_from_outside(self):
        self.configure("[Listener outside]\nMessage=From $listener.\n")
        settings = [f"--setenv={name}={value}" for name, value in self.environment().items()
                    if name in ("CONTAINERS_CONF", "DISABLE_HC_SYSTEMD", "PATH")]
        activate = self.network.run(
            subprocess.Popen,
            ["systemd-socket-activate", "--listen=127.0.0.1:7000", "--fdname=outside", *settings,
             *self.command("run", "--network=none", *self.options(), IMAGE)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(activate.communicate)
        self.addCleanup(activate.kill)
        client = eventually(lambda: self.connect(("127.0.0.1", 7000)))
        self.assertEqual(receive(client), b"From outside.")
        self.podman("stop", "greetd")
        self.assertEqual(activate.wait(PATIENCE_SEC), 0)
