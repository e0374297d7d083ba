# SPDX-License-Identifier: MIT
"""The health examples: HAProxy and HTTP probes see what the check finds, and that it has died."""

import os
import pathlib
import signal
import time
import unittest

from support import examples, haproxy
from support.examples import EXAMPLES, eventually, run

FOLDER = "/run/greetd-check"
MAX_AGE_SEC = 30  # as in the examples
PROBE = ("curl", "--silent", "--show-error", "--fail", "--max-time", "10", "http://127.0.0.1:8002/health")
CURL_HTTP_ERROR = 22


class HealthTestCase(examples.ExampleTestCase):
    def check(self, *command):
        """Runs the check once, as greetd-check.service does."""
        pathlib.Path(FOLDER).mkdir(exist_ok=True)
        run(str(EXAMPLES / "greetd-check"), FOLDER, *command)

    def age(self, name):
        """Makes a file as old as if the check had died."""
        then = time.time() - MAX_AGE_SEC - 1
        os.utime(f"{FOLDER}/{name}", (then, then))


class AgentCheck(HealthTestCase):
    def setUp(self):
        super().setUp()
        self.haproxy = haproxy.checking(self, "agent-check agent-port 8001 agent-inter 50ms")

    def assert_server(self, status, weight=None, reason=""):
        def check():
            server = self.haproxy.server()
            self.assertTrue(server["status"].startswith(status), server)
            self.assertIn(weight, (None, server["weight"]), server)
            self.assertIn(reason, server["last_agt"], server)

        eventually(check)

    def test_the_weight_goes_down_and_up(self):
        self.check("echo", "75%")
        self.serve_example("agent-check.conf")
        self.assert_server("no check", "75")
        self.check("echo", "20%")
        self.assert_server("no check", "20")
        self.check("echo", "100%")
        self.assert_server("no check", "100")

    def test_a_drained_server_is_ready_again(self):
        self.check("echo", "drain")
        self.serve_example("agent-check.conf")
        self.assert_server("DRAIN")
        self.check("true")
        self.assert_server("no check")

    def test_a_failed_check_takes_the_server_down_with_its_reason_until_it_succeeds(self):
        self.check("true")
        self.serve_example("agent-check.conf")
        self.assert_server("no check")
        self.check("sh", "-c", "echo the disk is full; false")
        self.assert_server("DOWN", reason="the disk is full")
        self.check("echo", "50%")
        self.assert_server("no check", "50")

    def test_a_check_that_has_died_takes_the_server_down_until_it_runs_again(self):
        self.check("true")
        self.serve_example("agent-check.conf")
        self.assert_server("no check")
        self.age("agent")
        self.assert_server("DOWN", reason="The check has not run for 30 s.")
        self.check("true")
        self.assert_server("no check")

    def test_a_check_that_has_never_run_takes_the_server_down(self):
        self.serve_example("agent-check.conf")
        self.assert_server("DOWN", reason="The check has not run for 30 s.")
        self.check("true")
        self.assert_server("no check")

    def test_a_stop_drains_the_server(self):
        self.check("true")
        greetd = self.serve_alone()
        self.assert_server("no check")
        greetd.signal(signal.SIGTERM)
        self.assert_server("DRAIN")

    def serve_alone(self):
        """Without sockets of systemd: with the end of the example, which is a comment otherwise."""
        begin, server, end = examples.text("agent-check.conf").partition("\n#[Server]")
        return self.serve(config=begin + (server + end).replace("#", ""))


class HttpHealth(HealthTestCase):
    def assert_probe(self, text):
        eventually(lambda: self.assertEqual(run(*PROBE), text + "\n"))

    def assert_probe_fails(self):
        eventually(lambda: self.assertIn("error: 503", run(*PROBE, status=CURL_HTTP_ERROR)))

    def test_a_probe_of_kubernetes_succeeds_while_the_check_does(self):
        self.check("echo", "all is well")
        self.serve_example("http-health.conf")
        self.assert_probe("all is well")
        self.check("sh", "-c", "echo the disk is full; false")
        self.assert_probe_fails()
        self.check("echo", "all is well again")
        self.assert_probe("all is well again")

    def test_a_probe_fails_when_the_check_has_died_or_has_never_run(self):
        self.serve_example("http-health.conf")
        self.assert_probe_fails()
        self.check("echo", "all is well")
        self.assert_probe("all is well")
        self.age("http")
        self.assert_probe_fails()

    def test_the_answer_waits_for_the_request(self):
        self.check("true")
        self.serve_example("http-health.conf")
        self.assert_answers_no_silent_client(8002)

    def test_a_configmap_that_is_replaced_is_sent(self):
        """The kubelet has files as links through ..data, and replaces that link."""
        self.put_version("1", "200 OK", "one")
        folder = pathlib.Path(FOLDER)
        (folder / "http").symlink_to("..data/http")
        self.serve_example("http-health.conf", more="[Listener 8002]\nMaxAgeSec=infinity\n")
        self.age("http")
        self.assert_probe("one")
        self.put_version("2", "200 OK", "two")
        self.assert_probe("two")
        self.put_version("3", "503 Service Unavailable", "three")
        self.assert_probe_fails()

    def put_version(self, version, status, text):
        folder = pathlib.Path(FOLDER)
        (folder / f"..{version}").mkdir(parents=True)
        answer = f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\n\r\n{text}\n"
        (folder / f"..{version}" / "http").write_bytes(answer.encode())
        (folder / "..data_tmp").symlink_to(f"..{version}")
        (folder / "..data_tmp").rename(folder / "..data")

    def test_haproxy_takes_the_server_down_and_up(self):
        self.check("true")
        self.serve_example("http-health.conf")
        checker = haproxy.checking(self, "check port 8002 inter 50ms fall 1 rise 1",
                                   "option httpchk GET /health")

        def assert_server(status, code):
            eventually(lambda: self.assertEqual(
                [checker.server()[key] for key in ("status", "check_code")], [status, code]))

        assert_server("UP", "200")
        self.check("false")
        assert_server("DOWN", "503")
        self.check("true")
        assert_server("UP", "200")
        self.age("http")
        assert_server("DOWN", "503")


if __name__ == "__main__":
    unittest.main()
