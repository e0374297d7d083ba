# SPDX-License-Identifier: MIT
"""The trials of tests/bench/features: each starts a server as it needs it, and returns a verdict and what
was observed."""

import contextlib
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request
from typing import NamedTuple

from feature_lab import CLIENT_SEC, PATIENCE_SEC, pss_kib, read_all, wait_for
from feature_servers import GREETING
from support import proxy as proxy_header

N = 8
OTHER_GREETING = "Another one for you"
FIRST_WORDS = b"x" * 20000
SILENT_SEC = 0.1  # lines that come together are much closer
PROXY_HEADERS = [proxy_header.v1("192.0.2.7"), proxy_header.v2("192.0.2.7")]


def greets(lab):
    with lab.start() as server:
        return _equal(server.greeting(), GREETING)


def with_an_end(trial):
    """A TRIAL that a tarpit has no part in: it sends random lines without an end."""

    def of(lab):
        if lab.contender.name != "endlessh":
            return trial(lab)
        with lab.start() as server, server.connect() as client:
            try:
                return "no", f"its stream has an end: {read_all(client)!r}"
            except TimeoutError:
                return "n/a", f"no end of the greeting within {CLIENT_SEC} s, and none can be chosen"

    return of


def _listens(server):
    """Whether a server greets, with whatever greeting it has."""
    read = server.greeting()
    if server.contender.name == "endlessh" and read:
        return "yes", f"read {read[:40]!r}"
    return _equal(read, GREETING)


def _equal(read, expected):
    if read == expected.encode():
        return "yes", f"read {expected!r}"
    return "no", f"read {read[:40]!r} in place of {expected!r}"


def speaks_first(lab):
    """The server is stopped until the clients have spoken, as one that is busy."""
    with lab.start() as server, contextlib.ExitStack() as stack:
        server.stop()
        clients = [stack.enter_context(server.connect()) for _ in range(N)]
        for client in clients:
            client.sendall(FIRST_WORDS)
        server.resume()
        whole = 0
        for client in clients:
            with contextlib.suppress(OSError):
                whole += read_all(client) == GREETING.encode()
        return _share(whole, f"{whole} of {N} clients that send {len(FIRST_WORDS)} bytes first read the "
                      "greeting and the end of stream; a reset is neither")


def _share(good, text):
    return "yes" if good == N else "no" if good == 0 else "partly", text


def half_close(lab):
    with lab.start() as server:
        kept = 0
        for _ in range(N):
            with server.connect() as client:
                try:
                    read_all(client)
                    kept += not _is_closed(client)
                except OSError:
                    pass
        return _share(kept, f"{kept} of {N} clients could send thrice after the end of stream")


class Load:
    """Clients one after the other; counts those that did not read one of TEXTS."""

    def __init__(self, server, *texts):
        self._server, self._texts = server, [text.encode() for text in texts]
        self._stop, self.greeted, self.lost, self.seen = threading.Event(), 0, 0, set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            try:
                read = self._server.greeting()
            except OSError:
                read = None
            good = read in self._texts or self._server.contender.name == "endlessh" and bool(read)
            self.greeted, self.lost = self.greeted + good, self.lost + (not good)
            self.seen.add(read)

    def __enter__(self):
        self._thread.start()
        self.wait_more()
        return self

    def wait_more(self):
        """Waits for some more clients, greeted or not."""
        goal = self.greeted + self.lost + N
        wait_for(lambda: self.greeted + self.lost >= goal, "clients")

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def restart(lab):
    with lab.start(inherit=True) as server, Load(server, GREETING) as load:
        how = server.restart()
        load.wait_more()
    verdict = "yes" if load.lost == 0 and load.greeted else "no"
    return verdict, f"{how}: {load.lost} clients lost, {load.greeted} greeted"


def reload(lab):
    with lab.start() as server, Load(server, GREETING, OTHER_GREETING) as load:
        how = server.change_greeting(OTHER_GREETING)
        if load.greeted:
            wait_for(lambda: OTHER_GREETING.encode() in load.seen, "the other greeting")
        load.wait_more()
    verdict = "yes" if load.lost == 0 and OTHER_GREETING.encode() in load.seen else "no"
    return verdict, f"{how}: {load.lost} clients lost, {load.greeted} greeted"


def watched(lab):
    file = lab.folder / "watched"
    file.write_text(GREETING)
    with lab.start(watch=file) as server:
        if server.greeting() != GREETING.encode():
            return "no", "another greeting than the file"
        new = lab.folder / "watched.new"
        new.write_text(OTHER_GREETING)
        new.rename(file)
        wait_for(lambda: server.greeting() == OTHER_GREETING.encode(), "the new file")
        return "yes", "the file was renamed over, and the next clients read the new one"


def address(lab):
    with lab.start(address=True) as server:
        return _equal(server.greeting("127.0.0.5"), "Hello 127.0.0.5")


def proxy(lab):
    with lab.start(proxy=True, address=True) as server:
        answers = [server.greeting(data=header) for header in PROXY_HEADERS]
        good = answers.count(b"Hello 192.0.2.7")
        evidence = f"greeted the address in {good} of 2 headers, of versions 1 and 2"
        return ("no", "partly", "yes")[good], evidence


def by_systemd(feature, setting):
    """The trial FEATURE; for Accept=yes, which needs PID 1 for it, whether units know SETTING."""

    def trial(lab):
        if lab.contender.name != "accept":
            return feature(lab)
        if not setting:
            return "not tried", "needs systemd as PID 1"
        unit = lab.folder / "greeting.socket"
        unit.write_text(f"[Socket]\nListenStream=7\nAccept=yes\n{setting}\n")
        (lab.folder / "greeting@.service").write_text("[Service]\nExecStart=/bin/true\n")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0 or "Unknown key" in done.stderr:
            return "no", done.stderr.replace("\n", " ")[:200]
        return "yes", f"`systemd-analyze verify` takes {setting} in the socket unit"

    return trial


def limits(lab):
    with lab.start(limit=2, hold=True) as server:
        held = [server.connect("127.0.0.5") for _ in range(2)]
        try:
            for client in held:
                if not client.recv(1):
                    return "no", "a client within the limit was refused"
            refused = _is_refused(server, "127.0.0.5")
            other = not _is_refused(server, "127.0.0.6")
        finally:
            for client in held:
                client.close()
        return ("yes" if refused and other else "no",
                f"the third client of an address was {'refused' if refused else 'greeted'}, "
                f"one of another address {'greeted' if other else 'refused'}")


def _is_refused(server, source):
    try:
        with server.connect(source) as client:
            return client.recv(1) == b""
    except OSError:
        return True


def lists(lab):
    with lab.start(deny="127.0.0.5") as server:
        denied, other = _is_refused(server, "127.0.0.5"), not _is_refused(server, "127.0.0.6")
        return ("yes" if denied and other else "no",
                f"127.0.0.5 was {'refused' if denied else 'greeted'}, "
                f"127.0.0.6 {'greeted' if other else 'refused'}")


def drip(lab):
    with lab.start(drip=True) as server, server.connect() as client:
        times = []
        for _ in range(3):
            if not client.recv(1000):
                return "no", "the connection ended"
            times.append(time.monotonic())
        pauses = [after - before for before, after in zip(times, times[1:])]
        verdict = "yes" if min(pauses) > SILENT_SEC else "no"
        return verdict, f"lines came {', '.join(f'{pause:.1f} s' for pause in pauses)} apart"


def _fetch(server, path):
    url = f"http://127.0.0.1:{server.port}/{path}"
    with urllib.request.urlopen(url, timeout=PATIENCE_SEC) as answer:
        return answer.read().decode()


def metrics(lab):
    with lab.start(metrics=True) as server:
        text = _fetch(server, "metrics")
    if "# TYPE" in text:
        return "yes", f"{text.count('# TYPE')} metrics in the format of Prometheus"
    return "partly", f"not in the format of Prometheus: {text.splitlines()[0]!r}"


def log(lab):
    """Whether the log tells a client that has read everything from one that has reset before."""
    with lab.start(journal=True) as server:
        kinds = []
        for reset in (False, True):
            before = len(server.log())
            if reset:
                server.stop()  # so that the reset is there before the greeting
            with server.connect() as client:
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    client.recv(100)
            if reset:
                server.resume()
            time.sleep(0.5)  # nothing reports that a log is complete
            kinds.append(_normal(server.log()[before:]))
        shown = [" / ".join(sorted(set(kind) - set(other))) for kind, other in (kinds, kinds[::-1])]
        if kinds[0] == kinds[1]:
            text = kinds[0][-1] if kinds[0] else "nothing"
            return "no", f"the same for a client that reads and one that resets: {text[:90]}"
        return "yes", f"{shown[0][:90] or 'nothing'} — reset: {shown[1][:90] or 'nothing'}"


def _normal(text):
    """Lines without numbers, except those of a status and of bytes."""
    text = re.sub(r"(?<!status[= ])(?<!sent=)(?<!bytes=)\b\d+(\.\d+)?\b", "N", text)
    lines = text.splitlines()
    return sorted(line for line in lines if not re.search("loop|accept4|status: ", line))


def unix(lab):
    with lab.start(unix=True) as server:
        return _listens(server)


def ipv6(lab):
    with lab.start(ipv6=True) as server:
        return _listens(server)


def readiness(lab):
    with lab.start(notify=True) as server:
        said = server.notifications()
        return ("yes", "READY=1 on $NOTIFY_SOCKET") if "READY=1" in said else ("no", f"sent {said!r}")


def memory(lab):
    """Clients that have their greeting and stay."""
    with lab.start(stay=True) as server:
        clients = [server.connect()]
        clients[0].recv(1)
        idle = pss_kib(server.pid)
        try:
            clients += [server.connect() for _ in range(100)]
            for client in clients[1:]:
                client.recv(1)
            used = (pss_kib(server.pid) - idle) / 100
            if _is_closed(clients[-1]):
                return "none, it closes", "the server resets a client that sends data afterwards"
        finally:
            for client in clients:
                client.close()
        size = "under 1 KiB" if used < 1 else f"{used:.0f} KiB"
        return size, "more proportional set size for each of 100 clients"


def _is_closed(client):
    """A server that has closed answers data with a reset."""
    try:
        for _ in range(3):
            client.sendall(b"x")
            time.sleep(0.02)
        return False
    except OSError:
        return True


def tls(lab):
    certificate = lab.folder / "both.pem"
    key = lab.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + key.read_text())
    with lab.start(tls=certificate) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(server.connect()) as client:
            return _equal(read_all(client), GREETING)


def http(lab):
    with lab.start(http=True) as server:
        answers = []
        for path in ("one", "two"):
            answers.append(_fetch(server, path))
        return "yes" if answers == ["one", "two"] else "no", f"/one and /two answered {answers}"


def udp(lab):
    with lab.start(udp=True) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.sendto(b"x", ("127.0.0.1", server.port))
        try:
            return "yes", f"a datagram was answered with {client.recv(100)[:30]!r}"
        except OSError as error:
            return "no", f"a datagram was not answered: {error}"


class Feature(NamedTuple):
    name: str
    title: str
    trial: object
    is_figure: bool = False  # differs from run to run


FEATURES = [
    Feature("greets", "sends a greeting of your choice", greets),
    Feature("first", "whole greeting if the client speaks first", with_an_end(speaks_first)),
    Feature("half-close", "end of stream first, close later", with_an_end(half_close)),
    Feature("restart", "restart without a lost client", restart),
    Feature("reload", "new greeting without a lost client", with_an_end(reload)),
    Feature("watch", "sends a changed file without a signal", watched),
    Feature("address", "greeting with the client's address", address),
    Feature("proxy", "reads the PROXY protocol", proxy),
    Feature("limits", "limit of connections per source",
            by_systemd(limits, "MaxConnectionsPerSource=2")),
    Feature("lists", "allowed and denied networks", by_systemd(lists, "IPAddressDeny=127.0.0.5")),
    Feature("drip", "drips lines (tarpit)", drip),
    Feature("metrics", "metrics for Prometheus", metrics),
    Feature("log", "log tells delivered from reset", by_systemd(log, None)),
    Feature("unix", "Unix socket", unix),
    Feature("ipv6", "IPv6", ipv6),
    Feature("ready", "reports READY=1 (sd_notify)", by_systemd(readiness, None)),
    Feature("memory", "memory for a client that stays", memory, is_figure=True),
    Feature("tls", "TLS", tls),
    Feature("http", "HTTP: answers that depend on the request", http),
    Feature("udp", "UDP", udp),
]
