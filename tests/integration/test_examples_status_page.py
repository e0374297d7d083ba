# SPDX-License-Identifier: MIT
"""The example of a status page: what Chromium makes of it, and whether its numbers are the metrics."""

import base64
import hashlib
import html.parser
import pathlib
import re
import shutil
import socket
import struct
import unittest
import zlib

from support import daemon, examples, metrics, namespaces
from support.daemon import read_to_end
from support.examples import EXAMPLES, eventually, run
from support.fake_bus import FakeBus

FOLDER = EXAMPLES / "status-page"
FILE = "/etc/greetd-status-page"
PORT, METRICS_PORT, REFUSING_PORT = 8005, 9109, 8006
URL = f"http://127.0.0.1:{PORT}/"
BROWSERS = ["chromium-headless-shell", "chromium", "google-chrome"]
N_CLIENTS = 1234
HOSTILE = "</textarea><script>document.title='injected'</script>"
VOID = {"meta", "link", "br", "img"}


class Page(html.parser.HTMLParser):
    """The text of each element with an id, and the rows of all tables."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.attributes, self.rows, self.tags = {}, {}, [], []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append((tag, attributes.get("id")))
        if "id" in attributes:
            self.ids[attributes["id"]] = ""
            self.attributes[attributes["id"]] = attributes

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, name in self._open:
            if name:
                self.ids[name] += data
        if any(tag in ("td", "th") for tag, _ in self._open):
            self.rows[-1][-1] += data

    def row(self, heading):
        return next(row for row in self.rows if row and row[0] == heading)


class StatusPage(examples.ExampleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = next(filter(shutil.which, BROWSERS), BROWSERS[0])

    def setUp(self):
        super().setUp()
        self.own_etc()
        self.bus = FakeBus(self.folder / "bus")
        self.bus.open()
        self.addCleanup(self.bus.close)
        self.bus.states = {"nginx.service": "active", "postgresql.service": "failed"}
        self.page = (FOLDER / "status-page.html").read_text(encoding="utf-8")

    def install(self):
        """Runs the commands in the header of the example; returns the drop-in."""
        folder = self.folder / "status-page"
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        (folder / "status-page.html").write_text(self.page, encoding="utf-8")
        header = (folder / "status-page.conf").read_text(encoding="utf-8").partition("\n[")[0]
        commands = re.findall(r"^#     (.*)$", header, re.MULTILINE)
        commands[0] = f"cd {folder}; mkdir -p /etc/greetd.conf.d"
        run("sh", "-e", "-c", "\n".join(commands))
        return pathlib.Path("/etc/greetd.conf.d/status-page.conf").read_text(encoding="utf-8")

    def serve_page(self, more="", name="server"):
        config = f"{self.install()}\n[Greeting]\nMessage=Hello\n{metrics.METRICS_CONF}\n{more}"
        names = [str(PORT), "metrics", name, str(REFUSING_PORT)]
        sockets = [self.socket_on(port) for port in (PORT, METRICS_PORT, 8007, REFUSING_PORT)]
        return self.serve(config=config, names=names, sockets=sockets, **self.bus.environment)

    def visit(self, *options):
        """The output of Chromium once it has run the page's script."""
        return run(self.browser, "--headless", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={self.folder}/profile", *options, URL,
                   env=self.environment(HOME=str(self.folder)))

    def dump(self):
        return self.visit("--dump-dom")

    def scrape(self):
        return metrics.parse(run("curl", "--silent", "--show-error",
                                 f"http://127.0.0.1:{METRICS_PORT}/"))

    def load(self):
        """Greets clients and refuses three; returns when the metrics have them."""
        for _ in range(N_CLIENTS):
            self.assert_greeted(("127.0.0.1", 8007), b"Hello")
        for _ in range(3):
            daemon.greeted(("127.0.0.1", REFUSING_PORT))

        def counted():
            samples = self.scrape()
            self.assertEqual(metrics.ended(samples), N_CLIENTS)
            self.assertEqual(metrics.total(samples, "greetd_refused_total"), 3)

        eventually(counted)

    def test_chromium_shows_the_numbers_of_the_metrics(self):
        self.serve_page(f"[Listener {REFUSING_PORT}]\nDeny=any\n")
        self.load()
        page = Page(self.dump())
        samples = metrics.parse(page.ids["metrics"].lstrip("\n"))
        self.assertEqual(metrics.ended(samples, 'result="delivered"'), N_CLIENTS)
        self.assertEqual(page.row("server"), ["server", "1,234", "0", "0", "0", "0", "0", "0"])
        self.assertEqual(page.row(str(REFUSING_PORT))[6], "3")
        self.assertEqual(page.ids["refused"], "3")
        greeted = samples["greetd_greeting_seconds_count", None]
        self.assertGreaterEqual(greeted, N_CLIENTS)
        self.assertEqual(page.ids["greeted"], f"{greeted:,.0f}")
        self.assertEqual(page.ids["bytes"], f"{samples['greetd_bytes_sent_total', None]:,.0f}")
        self.assertEqual(page.ids["active"], f"{samples['greetd_connections_active', None]:,.0f}")
        self.assertRegex(page.ids["uptime"], r"^\d+ (s|min \d+ s)$")
        self.assertIn(f'version="{page.ids["version"]}"', page.ids["metrics"])
        at = page.rows.index(["At most", "Greetings"])
        in_buckets = [int(row[2].replace(",", "")) for row in page.rows[at + 1 :]]
        self.assertEqual(sum(in_buckets), greeted)
        self.assertNotIn("hidden", page.attributes["numbers"])

    def test_it_has_the_states_of_units_the_host_and_the_client(self):
        self.serve_page()
        page = Page(self.dump())
        states = {row[0]: row[1] for row in page.rows if row[0].endswith(".service")}
        self.assertEqual(states, {"nginx.service": "active", "postgresql.service": "failed",
                                  "ssh.service": "inactive"})
        shown = {attributes.get("data-state") for tag, attributes in page.tags if tag == "td"}
        self.assertLessEqual(set(states.values()), shown)
        text = run("curl", "--silent", URL)
        self.assertIn(f"<h1>{socket.gethostname()}</h1>", text)
        self.assertIn("Your address is 127.0.0.1.", text)
        self.assertIn("Your address is ::1.", run("curl", "--silent", f"http://[::1]:{PORT}/"))

    def test_without_scripts_everything_can_be_read(self):
        self.page = re.sub(r"script-src '.*?'", "script-src 'none'", self.page)
        self.serve_page()
        page = Page(self.dump())
        self.assertIn("hidden", page.attributes["numbers"])
        self.assertIn("open", page.attributes["details"])
        self.assertIn('greetd_connections_total{listener="server"', page.ids["metrics"])
        self.assertEqual(page.row("nginx.service"), ["nginx.service", "active"])

    def test_no_text_in_a_variable_becomes_a_script(self):
        """Listeners have the only names with any character in them; those are the administrator's."""
        self.serve_page(name=HOSTILE)
        self.assertNotEqual(self.title(), "injected")
        self.page = re.sub(r"<meta http-equiv.*\n", "", self.page)
        self.install()
        eventually(lambda: self.assertEqual(self.title(), "injected", "it is the policy that helps"))

    def title(self):
        return re.search(r"<title>(.*?)</title>", self.dump())[1]

    def test_markup_in_the_name_of_a_listener_is_text(self):
        self.serve_page(name="<b>bold</b>")
        page = Page(self.dump())
        self.assertEqual(page.row("<b>bold</b>")[1], "0")
        self.assertNotIn("b", [tag for tag, _ in page.tags])

    def test_one_visit_is_one_connection(self):
        greetd = self.serve_page()
        self.dump()
        greetd.wait_line(r"Connection from 127\.0\.0\.1:\d+")
        self.dump()
        samples = self.scrape()
        page = f'listener="{PORT}"'
        self.assertEqual(metrics.total(samples, "greetd_connections_total", page, "delivered"), 2)

    def test_a_head_request_and_a_silent_client(self):
        self.serve_page()
        head = run("curl", "--silent", "--show-error", "--head", URL)
        self.assertEqual(head.splitlines()[:2],
                         ["HTTP/1.0 200 OK", "Content-Type: text/html; charset=utf-8"])
        self.assert_answers_no_silent_client(PORT)

    def test_others_are_refused(self):
        namespaces.add_address("2001:db8::1")
        self.serve_page()
        client = socket.create_connection(("2001:db8::1", PORT), daemon.TIMEOUT)
        self.addCleanup(client.close)
        self.assertEqual(read_to_end(client), b"")

    def test_the_page_is_valid_and_accessible_and_asks_for_nothing_else(self):
        self.serve_page()
        served = self.folder / "served.html"
        served.write_text(run("curl", "--silent", URL), encoding="utf-8")
        run("tidy", "-errors", "-quiet", "-utf8", "--warn-proprietary-attributes", "yes", served)
        page = Page(self.page)
        tags = [tag for tag, _ in page.tags]
        self.assertIn(("html", {"lang": "en"}), page.tags)
        for needed in ("title", "h1", "main"):
            self.assertEqual(tags.count(needed), 1, needed)
        self.assertIn("viewport", [attributes.get("name") for _, attributes in page.tags])
        loaded = [value for _, attributes in page.tags for key, value in attributes.items()
                  if key in ("src", "href", "action", "data")]
        self.assertTrue(all(v == "/" or v.startswith("data:") for v in loaded), loaded)
        script = re.search(r"<script>(.*?)</script>", self.page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self.assertIn(f"script-src 'sha256-{digest}'", self.page)

    def schemes(self):
        """The colours by name, in the light and in the dark."""
        schemes = re.findall(r":root \{(.*?)\}", self.page, re.DOTALL)
        self.assertEqual(len(schemes), 2)
        return [dict(re.findall(r"--(\w+): (#\w+);", scheme)) for scheme in schemes]

    def test_text_has_contrast(self):
        """WCAG 2.2, 1.4.3: 4.5 to 1."""
        for colours in self.schemes():
            for name in ("text", "quiet", "good", "bad", "busy"):
                for ground in ("page", "card"):
                    ratio = contrast(colours[name], colours[ground])
                    self.assertGreaterEqual(ratio, 4.5, (name, ground))

    def test_it_is_drawn_in_the_light_and_in_the_dark(self):
        self.serve_page()
        picture = self.folder / "page.png"
        light, dark = self.schemes()
        for scheme, colours in ((1, light), (0, dark)):
            self.visit(f"--blink-settings=preferredColorScheme={scheme}",
                       "--window-size=1000,1200", f"--screenshot={picture}")
            self.assertEqual(first_pixel(picture.read_bytes()), rgb(colours["page"]))


def first_pixel(png):
    """The red, green and blue of the first pixel of a PNG, which no filter of its row changes."""
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return tuple(zlib.decompress(data)[1:4])


def rgb(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
    return tuple(bytes.fromhex(digits))


def contrast(one, other):
    """The ratio of WCAG 2.2 between two colours."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    values = [value / 255 for value in rgb(colour)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


if __name__ == "__main__":
    unittest.main()
