# SPDX-License-Identifier: MIT
"""A client may send any number of bytes, for any time, before it reads its greeting. After that
greetd reads its input for a limited time, unless another client needs the place."""

import http.client
import threading
import time
import unittest

from support import daemon, namespaces
from support.daemon import GREETING, connect, read_to_end

PAGE = b"Back soon.\n"
HTTP = f"HTTP/1.0 503 Service Unavailable\\r\\nContent-Length: {len(PAGE)}\\r\\n\\r\\nBack soon.\\n"
MEGABYTE = 1024 * 1024
BIG = bytes(range(256)) * (16 * MEGABYTE // 256)
STEP = 0.1  # seconds between two pieces of a slow upload
UPLOAD_SEC = 6  # three times LingerSec=
LINGERING_TIME_SEC = 30  # greetd reads input after a greeting for at most this time
PROMPT = 10  # seconds


def setUpModule():
    namespaces.isolate()


def slowly(seconds):
    """The pieces of an upload that takes SECONDS."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield b"x" * 1000
        time.sleep(STEP)


class LongUpload(daemon.GreetdTestCase):
    def serve_with(self, greeting, server=""):
        greetd = self.serve(
            "-l",
            "127.0.0.1:0",
            config=f"[Server]\nStopTimeoutSec=0\nWorkers=1\n{server}\n[Greeting]\n{greeting}\n",
        )
        return greetd, greetd.address()

    def post(self, address, seconds):
        """The status and the body that the client of Python reads."""
        host, port = address
        connection = http.client.HTTPConnection(host, port, timeout=daemon.TIMEOUT)
        self.addCleanup(connection.close)
        headers = {"Content-Length": str(MEGABYTE)}
        connection.request("POST", "/", body=slowly(seconds), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


class BeforeAcknowledgement(LongUpload):
    """Only WriteTimeoutSec=, without progress in reading, limits these clients."""

    def test_a_client_that_sends_40_megabytes_first_reads_all_of_16(self):
        _, address = self.serve_with(f"MessageFile={self.write('greeting', BIG)}")
        with connect(address) as client:
            for _ in range(40):
                client.sendall(bytes(MEGABYTE))
            self.assertEqual(read_to_end(client), BIG)


class AfterAcknowledgement(LongUpload):
    def test_a_post_that_takes_longer_than_lingering_is_answered(self):
        for greet_on in ("connect", "data"):
            with self.subTest(greet_on=greet_on):
                _, address = self.serve_with(f"Message={HTTP}\nLingerSec=2s\nGreetOn={greet_on}")
                self.assertEqual(self.post(address, UPLOAD_SEC), (503, PAGE))

    def test_a_client_that_stops_sending_is_dropped_after_lingering(self):
        greetd, address = self.serve_with("LingerSec=2s")
        with connect(address) as client:
            for piece in slowly(UPLOAD_SEC):
                client.sendall(piece)
            greetd.wait_line(f"Connection from 127\\.0\\.0\\.1:{client.getsockname()[1]}")

    def test_a_client_that_keeps_sending_makes_room_for_the_next(self):
        _, address = self.serve_with("LingerSec=1min", "MaxConnections=1")
        with connect(address) as client:
            flood = threading.Thread(target=self.send_until_closed, args=[client])
            flood.start()
            with connect(address) as other:
                other.settimeout(PROMPT)
                self.assertEqual(read_to_end(other), GREETING)
            flood.join()

    def test_a_client_that_keeps_sending_is_dropped_in_the_end(self):
        _, address = self.serve_with("LingerSec=1s")
        with connect(address) as client:
            self.assertEqual(read_to_end(client), GREETING)
            began = time.monotonic()
            flood = threading.Thread(target=self.send_until_closed, args=[client])
            flood.start()
            while flood.is_alive():
                self.assert_greeted(address)
            seconds = time.monotonic() - began
        print(f"  dropped after {seconds:.1f} s", flush=True)
        self.assertGreater(seconds, LINGERING_TIME_SEC - 1)

    @staticmethod
    def send_until_closed(client):
        try:
            while True:
                client.send(bytes(65536))
        except (BrokenPipeError, ConnectionResetError):
            pass


if __name__ == "__main__":
    unittest.main()
