# SPDX-License-Identifier: MIT
"""The servers of the scoreboard. Those of tests/bench are started as there."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))

from servers import GREETING, Kind, greetd, haproxy, nginx, python, write  # noqa: E402

FAST_OPEN_QUEUE = 256
TCP_LEVEL, TCP_FASTOPEN = 6, 23  # netinet/tcp.h
LONG_GREETING = "".join(map(str, range(60000)))  # 289 KB, which no send buffer takes at once

# It does what greetd does, as a program with one client can: the end of stream at once, then it
# reads until the client has been silent for 2 s.
PROGRAM = f"""#!/usr/bin/perl
syswrite STDOUT, "{GREETING}";
shutdown STDOUT, 1;
do {{ alarm 2 }} while sysread STDIN, $_, 65536;
"""
XINETD_CONF = """defaults
{{
    log_type = FILE /dev/null
    cps = 10000 1
    instances = UNLIMITED
    per_source = UNLIMITED
}}
service greeting
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    bind = 127.0.0.1
    port = {port}
    wait = no
    user = root
    server = {program}
}}
"""


def _program(site):
    path = write(site, f"program-{site.port}", PROGRAM)
    path.chmod(0o755)
    return path


def _greetd(name, title, workers=1, linger="2s", message=GREETING):
    """One whose stderr, NAME.log, is connected to the journal as systemd would do it."""
    more = f"[Server]\nFastOpen=yes\nWorkers={workers}\n"
    log = "Connections=yes\nRateLimitIntervalSec=0"
    command = greetd(linger, log=log, message=message, more=more)

    def with_journal(site):
        stat = (site.scratch / f"{name}.log").stat()
        return ["env", f"JOURNAL_STREAM={stat.st_dev}:{stat.st_ino}", *command(site)]

    return Kind(name, title, with_journal, greeting=message)


def _xinetd(site):
    text = XINETD_CONF.format(port=site.port, program=_program(site))
    path = write(site, f"xinetd-{site.port}.conf", text)
    return ["xinetd", "-dontfork", "-f", path, "-pidfile", site.scratch / "xinetd.pid"]


def _socat(site):
    listen = (f"TCP-LISTEN:{site.port},bind=127.0.0.1,reuseaddr,fork,backlog=4096,"
              f"setsockopt-listen={TCP_LEVEL}:{TCP_FASTOPEN}:i{FAST_OPEN_QUEUE}")  # fmt: skip
    file = write(site, f"greeting-{site.port}", GREETING)
    return ["socat", "-t", "2", listen, f"OPEN:{file},rdonly!!OPEN:/dev/null,wronly"]


def _accept_yes(site):
    return ["systemd-socket-activate", f"--listen=127.0.0.1:{site.port}", "--accept", "--inetd",
            _program(site)]  # fmt: skip


GREETD = _greetd("greetd", "greetd")
OURS = [
    GREETD,
    _greetd("greetd-2", "greetd, Workers=2", workers=2),
    _greetd("greetd-held", "greetd, LingerSec=10min", linger="10min"),
    _greetd("greetd-long", "greetd, a long greeting", message=LONG_GREETING),
]
OTHERS = [
    Kind("nginx", "nginx", nginx(options=f" fastopen={FAST_OPEN_QUEUE}"), has_master=True),
    Kind("haproxy", "HAProxy", haproxy("tfo")),
    Kind("xinetd", "xinetd", _xinetd),
    Kind("socat", "socat", _socat),
    Kind("accept", "Accept=yes", _accept_yes),
    Kind("python", "ten lines of Python", python),
]
