# SPDX-License-Identifier: MIT
"""Runs greet against a server, pinned to a processor of its own."""

import contextlib
import json
import subprocess

from servers import Unmeasured, end, wait_until

CONCURRENT = 128
HOLD_SEC = 600  # longer than any use of the held clients
CLIENT_TIMEOUT_SEC = 20
EXIT_UNABLE = 3  # of greet: not the server's fault


class Generator:
    """Makes load on one processor."""

    def __init__(self, greet, processor):
        self._prefix = ["taskset", "--cpu-list", str(processor), str(greet), "--load",
                        f"--timeout={CLIENT_TIMEOUT_SEC}s"]  # fmt: skip

    def _start(self, server, *options):
        greeting = server.kind.greeting
        expect = [f"--expect={greeting}"] if greeting else []
        return subprocess.Popen(
            [*self._prefix, *expect, *options, server.address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, server, connections, seconds, speak=0):
        """Makes so many connections, or as many as there is time for; each first sends SPEAK bytes.
        Returns the results of greet."""
        process = self._start(
            server, "--json", "-n", str(connections), "-c", str(CONCURRENT),
            "--send", str(speak), "--pid", str(server.pid)
        )  # fmt: skip
        try:
            return self._finish(server, process, seconds)
        finally:
            end(process)

    @staticmethod
    def _finish(server, process, seconds):
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                out, err = process.communicate(timeout=CLIENT_TIMEOUT_SEC)
            except subprocess.TimeoutExpired:
                raise Unmeasured(f"greet did not end against {server.kind.name}") from None
        if process.returncode not in range(EXIT_UNABLE) or not out:
            status = process.returncode
            raise Unmeasured(f"greet against {server.kind.name}: status {status}: {err.strip()}")
        sample = json.loads(out)
        if sample["ok"] == 0 and sample["lost"] == 0:
            raise Unmeasured(f"{server.kind.name} greeted nobody in {seconds} s")
        return sample

    @contextlib.contextmanager
    def holding(self, server, clients):
        """While this is entered, so many clients have had their greeting and do not close."""
        wait_until(server.is_quiet, f"{server.kind.name} still has clients")
        process = self._start(
            server, "-n", str(clients), "-c", str(clients), "--hold", f"{HOLD_SEC}s"
        )

        def all_held():
            if process.poll() is not None:
                raise Unmeasured(f"greet holds no clients: {process.stderr.read().strip()}")
            return server.count_clients() >= clients

        try:
            wait_until(all_held, f"{server.kind.name} did not hold {clients} clients")
            yield
        finally:
            end(process)
            process.stdout.close()
            process.stderr.close()
