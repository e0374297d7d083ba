# SPDX-License-Identifier: MIT
"""Watch=yes: a changed file is sent without a reload, and the last good version stays."""

import pathlib
import resource
import signal
import socket
import time
import unittest

from support import load_client, metrics, namespaces, reload, watched
from support.daemon import TIMEOUT, connect, greeted, instrumented, read_to_end

AT_ONCE = 64
REPLACEMENTS = 1000
VERSIONS = 50  # files for the load client
GREETING_SIZE = 64 << 10
SEND_BUFFER = 16 << 10  # so that a greeting is sent in many pieces
KIB = 1024
LARGE = 3_000_000
STAYS = "the last good greeting stays"
RETURNS = "is in order again"


def setUpModule():
    namespaces.isolate()


class Watch(watched.WatchTestCase):
    def test_the_next_clients_receive_a_replaced_file(self):
        self.replace("one")
        greetd = self.serve(config=self.watching())
        address = greetd.address()
        self.assert_greeted(address, b"one")
        times = []
        for i in range(100):
            began = time.monotonic()
            self.replace(f"version {i}")
            self.wait_greeting(address, b"version %d" % i)
            times.append(time.monotonic() - began)
        print(f"  in force after {sorted(times)[50] * 1000:.1f} ms, "
              f"at most {max(times) * 1000:.1f} ms", flush=True)
        self.stop(greetd)
        self.assertEqual(self.lines_with(greetd, STAYS, RETURNS, "watch"), [])

    def test_a_file_that_is_written_has_changed_when_its_writer_closes_it(self):
        self.replace("one")
        greetd = self.serve(config=self.watching())
        address = greetd.address()
        with open(self.file, "wb", buffering=0) as file:
            file.write(b"hal")
            for _ in range(10):
                self.assert_greeted(address, b"one")
            file.write(b"f")
        self.wait_greeting(address, b"half")

    def test_a_config_map_of_kubernetes(self):
        for version in ("..1", "..2"):
            self.write(f"map/{version}/message", version)
        folder = self.folder / "map"
        (folder / "..data").symlink_to("..1")
        (folder / "message").symlink_to("..data/message")
        self.file = folder / "message"
        greetd = self.serve(config=self.watching())
        self.assert_greeted(greetd.address(), b"..1")
        (folder / "..data_tmp").symlink_to("..2")
        (folder / "..data_tmp").rename(folder / "..data")
        self.assertEqual(set(self.wait_greeting(greetd.address(), b"..2")) - {b"..1"}, set())

    def test_a_file_that_is_mounted_alone_as_in_a_container(self):
        outside = self.write("outside", "one")
        self.replace("")
        namespaces.mount(outside, self.file, flags=namespaces.MS_BIND)
        self.addCleanup(namespaces.unmount, self.file)
        greetd = self.serve(config=self.watching())
        self.assert_greeted(greetd.address(), b"one")
        self.write("outside", "two")
        self.wait_greeting(greetd.address(), b"two")

    def test_the_last_good_version_stays(self):
        self.replace("one")
        greetd = self.serve(config=self.watching("Expand=yes\n"))
        address = greetd.address()
        for round_ in ("a", "b"):
            before = len(greetd.lines)
            self.replace("$nonsense")
            greetd.wait_until(lambda: any(STAYS in line for line in greetd.lines[before:]), STAYS)
            self.replace("$more $nonsense")
            self.file.unlink()
            self.file.mkdir()
            self.assertNotIn(b"nonsense", greeted(address))
            self.file.rmdir()
            self.replace(round_)
            self.wait_greeting(address, round_.encode())
            greetd.wait_until(lambda: any(RETURNS in line for line in greetd.lines[before:]),
                              RETURNS)
        self.stop(greetd)
        logged = self.lines_with(greetd, STAYS, RETURNS)
        self.assertEqual([STAYS in line for line in logged], [True, False] * 2, logged)
        self.assertIn(f"{self.file}:1: ", logged[0])

    def test_a_file_is_loaded_as_soon_as_descriptors_are_free_again(self):
        self.replace("one")
        greetd = self.serve(config=self.watching())
        limits = resource.prlimit(greetd.pid, resource.RLIMIT_NOFILE)
        greetd.allow_descriptors(0)
        self.replace("two")
        greetd.wait_line(f".*Too many open files.*{STAYS}")
        resource.prlimit(greetd.pid, resource.RLIMIT_NOFILE, limits)
        self.wait_greeting(greetd.address(), b"two")
        greetd.wait_line(f".*{RETURNS}")

    def test_each_section_has_its_own_watch(self):
        other = self.write("other", "other")
        self.replace("one")
        local = self.folder / "socket"
        greetd = self.serve(
            config=self.watching()
            + f"[Listener same]\nListenStream={local}\n"
            + f"[Listener other]\nListenStream=127.0.0.1:0\nMessageFile={other}\n"
            + "[Listener still]\nListenStream=127.0.0.1:0\nWatch=no\n"
        )
        server, same, third, still = (greetd.address(i) for i in range(4))
        self.replace("two")
        self.wait_greeting(server, b"two")
        self.wait_greeting(same, b"two")
        self.assert_greeted(third, b"other")
        self.replace("another", other)
        self.wait_greeting(third, b"another")
        self.assert_greeted(server, b"two")
        self.assert_greeted(still, b"one")

    def test_a_client_that_has_to_send_first_receives_the_newest_version(self):
        self.replace("one")
        greetd = self.serve(config=self.watching("GreetOn=data\nDataTimeoutSec=1min\n"))
        waiting = self.client(greetd.address())
        self.replace("two")
        while True:
            with connect(greetd.address()) as client:
                client.sendall(b"x")
                if read_to_end(client) == b"two":
                    break
        waiting.sendall(b"x")
        self.assertEqual(read_to_end(waiting), b"two")

    def test_the_memory_of_large_versions_is_given_back(self):
        self.replace(bytes(LARGE))
        greetd = self.serve(config=self.watching())
        readers = []
        for i in range(20):
            version = bytes([i]) * LARGE
            self.replace(version)
            self.wait_greeting(greetd.address(), version)
            readers.append(self.client(greetd.address(), receive_buffer=4096))
            readers[-1].recv(1)
        for reader in readers:
            reader.close()
        self.replace(b"small")
        self.wait_greeting(greetd.address(), b"small")
        if why := instrumented():
            print(f"  memory is not checked: {why}", flush=True)
            return
        deadline = time.monotonic() + TIMEOUT
        while (resident := int(self.status_of(greetd, "VmRSS"))) > 4 * LARGE // KIB:
            self.assertLess(time.monotonic(), deadline, f"{resident} KiB")

    def test_a_slow_reader_receives_one_version_whole(self):
        first, second = reload.big(1), reload.big(2)
        self.replace(first)
        greetd = self.serve(config=self.watching())
        slow = self.slow_reader(greetd.address(), first)
        self.replace(second)
        self.wait_greeting(greetd.address(), second)
        newer = self.slow_reader(greetd.address(), second)
        self.replace("three")
        self.wait_greeting(greetd.address(), b"three")
        self.assertEqual(read_to_end(slow), first[1000:])
        self.assertEqual(read_to_end(newer), second[1000:])

    def test_loads_and_the_age_are_in_the_metrics(self):
        self.replace("one")
        self.set_age(1000)
        greetd = self.serve(config=self.watching() + metrics.METRICS_CONF
                            + "ListenStream=127.0.0.1:0\n")
        self.metrics_address = greetd.address(1)
        loads, age = "greetd_message_file_loads_total", "greetd_message_file_age_seconds"
        samples = metrics.parse(self.scrape())
        self.assertEqual(samples[loads, 'listener="server",result="success"'], 1)
        self.assertGreaterEqual(samples[age, 'listener="server"'], 1000)
        self.assertFalse(any("metrics" in labels for name, labels in samples if name == age))
        self.file.unlink()
        self.scrape_until(lambda s: s[loads, 'listener="server",result="failure"'] == 1)
        self.replace("two")
        samples = self.scrape_until(lambda s: s[loads, 'listener="server",result="success"'] == 2)
        self.assertLess(samples[age, 'listener="server"'], 1000)


class WatchUnderLoad(watched.WatchTestCase, load_client.LoadTestCase):
    def versions(self):
        """Files with greetings. No two have the same size or a line in common."""
        return [self.write(f"version-{i}", (b"%07d\n" % i) * (GREETING_SIZE // 8 + i))
                for i in range(VERSIONS)]

    def send(self, version):
        """Puts a VERSION in the place of the file, by rename and by a symbolic link in turn."""
        new = self.folder / "new"
        new.symlink_to(version)
        new.rename(self.file)

    def resident_kib(self, greetd):
        return int(self.status_of(greetd, "VmRSS"))

    def listener(self):
        listener = self.listening_socket(socket.AF_INET, ("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return listener

    def settings(self):
        return f"[Log]\nConnections=no\n[Greeting]\nMessageFile={self.file}\nWatch=yes\n"

    def test_a_thousand_replacements(self):
        files = self.versions()
        self.send(files[0])
        listener = self.listener()
        greetd = self.serve(config=self.settings(), sockets=[listener])
        descriptors = greetd.n_descriptors()
        address = listener.getsockname()
        client = self.load(address[1], 1, AT_ONCE, "-u", expected=files)
        slow = [self.client(address, receive_buffer=4096) for _ in range(8)]
        resident = []
        for i in range(1, REPLACEMENTS + 1):
            number = i % VERSIONS
            self.send(files[number])
            if i % 20 == 0:
                self.wait_greeting(address, pathlib.Path(files[number]).read_bytes())
            if i in (REPLACEMENTS // 5, REPLACEMENTS):
                resident.append(self.resident_kib(greetd))
        whole = {pathlib.Path(file).read_bytes() for file in files}
        for reader in slow:
            self.assertIn(read_to_end(reader), whole)
            reader.close()
        counts = self.assert_none_lost(client, 1)
        self.assertGreater(counts["versions"], 1)
        print(f"  resident: {resident} KiB", flush=True)
        if why := instrumented():
            print(f"  memory is not checked: {why}", flush=True)
        else:
            self.assertLess(resident[1], resident[0] + 8 * KIB)
        self.wait_descriptors(greetd, descriptors)
        self.stop(greetd)

    def wait_descriptors(self, greetd, expected):
        """Clients are closed a moment after they have read everything."""
        deadline = time.monotonic() + 20
        while greetd.n_descriptors() != expected and time.monotonic() < deadline:
            pass
        self.assertEqual(greetd.n_descriptors(), expected)

    def test_reloads_and_restarts_in_between(self):
        files = self.versions()
        self.send(files[0])
        listener = self.listener()
        greetd = self.serve_with(self.settings(), sockets=[listener])
        port = listener.getsockname()[1]
        client = self.load(port, 1, AT_ONCE, "-u", expected=files)
        for i in range(200):
            self.send(files[i % VERSIONS])
            if i % 10 == 5:
                self.request_reload(greetd)
            if i % 10 == 8:
                self.assert_reloads(greetd)
            self.send(files[(i + 1) % VERSIONS])
            if i % 50 == 49:
                greetd.signal(signal.SIGTERM)
                self.send(files[i % VERSIONS])
                self.assert_ends(greetd, 0)
                self.send(files[(i + 1) % VERSIONS])
                greetd = self.serve_with(self.settings(), sockets=[listener])
        self.send(files[7])
        self.wait_greeting(listener.getsockname(), pathlib.Path(files[7]).read_bytes())
        self.assert_none_lost(client, 1)
        self.stop(greetd)


if __name__ == "__main__":
    unittest.main()
