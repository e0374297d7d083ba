# SPDX-License-Identifier: MIT
"""The examples for browsers: what Chromium displays, and what curl prints."""

import shutil
import unittest

from support import examples
from support.examples import run

URL = "http://127.0.0.1/index.html"
DISPLAYED = [
    "Closed for maintenance",
    "We will be back at 18:00 UTC — thank you for your patience.",
    "Nous serons de retour à 18 h 00 UTC — merci de votre patience.",
]
# Ubuntu has no package of it; there another one may be installed.
BROWSERS = ["chromium-headless-shell", "chromium", "google-chrome"]


class MaintenancePage(examples.ExampleTestCase):
    def setUp(self):
        super().setUp()
        self.serve_example("maintenance-page.conf")

    def test_chromium_displays_it(self):
        browser = next(filter(shutil.which, BROWSERS), BROWSERS[0])
        page = f"{self.folder}/page.pdf"
        run(browser, "--headless", "--no-sandbox", "--no-pdf-header-footer",
            f"--user-data-dir={self.folder}/profile", f"--print-to-pdf={page}", URL,
            env=self.environment(HOME=str(self.folder)))
        words = run("pdftotext", page, "-").split()
        self.assertEqual(" ".join(words), " ".join(DISPLAYED))

    def test_the_status_and_retry_after_mark_it_as_temporary(self):
        head = run("curl", "--silent", "--show-error", "--dump-header", "-", "--output",
                   f"{self.folder}/body", URL).splitlines()
        self.assertEqual(head[0], "HTTP/1.0 503 Service Unavailable")
        self.assertIn("Retry-After: 3600", head)

    def test_the_page_waits_for_the_request(self):
        self.assert_answers_no_silent_client(80)


class WhatIsMyAddress(examples.ExampleTestCase):
    def test_curl_prints_the_address_it_connects_from(self):
        self.serve_example("what-is-my-address.conf")
        for host, address in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
            output = run("curl", "--silent", "--show-error", f"http://{host}:8003/")
            self.assertEqual(output, f"{address}\n")

    def test_the_answer_waits_for_the_request(self):
        self.serve_example("what-is-my-address.conf")
        self.assert_answers_no_silent_client(8003)


if __name__ == "__main__":
    unittest.main()
