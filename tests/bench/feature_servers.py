# SPDX-License-Identifier: MIT
"""The servers of tests/bench/features, each with its best configuration for what is wanted of it."""

import pathlib
from typing import NamedTuple

GREETING = "Hello from server!"
HERE = pathlib.Path(__file__).resolve().parent


class Lacks(Exception):
    """A server has no setting for something: no word in its program is about it."""

    def __init__(self, words):
        super().__init__(words)
        self.words = words  # for grep -E


class Site(NamedTuple):
    """Where a server is started, and what is wanted of it: names of features, or settings of them."""

    folder: pathlib.Path
    programs: pathlib.Path
    port: int
    want: dict

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def get(self, name, default=None):
        return self.want.get(name, default)

    def message(self):
        return self.get("message", GREETING)

    def lines(self):
        return ["first", "second", "third"]

    def host(self):
        return "::1" if self.get("ipv6") else "127.0.0.1"

    def socket(self):
        return self.folder / "socket"


# What the strings of a program would have if it had a setting for a feature.
WORDS = {
    "address": "remote_addr",
    "deny": "deny",
    "drip": "drip",
    "http": "HTTP/1",
    "ipv6": "ipv6|inet6",
    "limit": "per.?(source|host)",
    "metrics": "# TYPE",
    "proxy": "PROXY TCP|PROXY protocol",
    "tls": "SSL_accept|gnutls_handshake",
    "unix": "AF_UNIX|sun_path|unix:",
    "watch": "inotify_init",
}


def _lacks(site, *features):
    for feature in features:
        if site.get(feature):
            raise Lacks(WORDS[feature])


def _greetd_conf(site):
    server, greeting, limits = [], [f"Message={site.message()}"], []
    listen = f"[::1]:{site.port}" if site.get("ipv6") else f"127.0.0.1:{site.port}"
    server.append(f"ListenStream={site.socket() if site.get('unix') else listen}")
    if site.get("address"):
        greeting = ["Message=Hello $remote_addr"]
    if site.get("proxy"):
        greeting.append("ProxyProtocol=yes")
    if site.get("watch"):
        greeting = [f"MessageFile={site.get('watch')}", "Watch=yes"]
    if site.get("drip"):
        greeting = ["Message=" + "".join(line + "\\n" for line in site.lines()), "DripSec=300ms"]
    if site.get("metrics"):
        greeting = ["GreetOn=data",
                    r"Message=HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n$metrics"]
    if site.get("hold") or site.get("stay"):
        greeting.append("LingerSec=1min")
    if site.get("limit"):
        limits.append(f"MaxConnectionsPerSource={site.get('limit')}")
    if site.get("deny"):
        limits.append(f"Deny={site.get('deny')}")
    sections = {"Server": server, "Greeting": greeting, "Limits": limits}
    return "".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines)
                   for name, lines in sections.items())


def greetd(site):
    _lacks(site, "tls", "http")
    return [site.programs / "greetd", f"--config={site.write('greetd.conf', _greetd_conf(site))}"]


NGINX = """\
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ }}
{http}
stream {{
    log_format fields 'status=$status sent=$bytes_sent received=$bytes_received';
    access_log {folder}/access.log fields;
    limit_conn_zone $binary_remote_addr zone=sources:1m;
    server {{
        listen {listen};
{lines}
    }}
}}
"""
NGINX_HTTP = """\
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location = /metrics {{ stub_status; }}
        location = /one {{ return 200 one; }}
        location = /two {{ return 200 two; }}
    }}
}}
"""


def nginx(site):
    address = f"[::1]:{site.port}" if site.get("ipv6") else f"127.0.0.1:{site.port}"
    listen = f"unix:{site.socket()}" if site.get("unix") else address
    text = "Hello $remote_addr" if site.get("address") else site.message()
    lines, http = [], ""
    _lacks(site, "drip", "watch")
    if site.get("proxy"):
        listen, text = listen + " proxy_protocol", "Hello $proxy_protocol_addr"
    if site.get("udp"):
        listen += " udp"
    if site.get("tls"):
        listen += " ssl"
        lines.append(f"ssl_certificate {site.get('tls')}; ssl_certificate_key {site.get('tls')};")
    if site.get("deny"):
        lines.append(f"deny {site.get('deny')};")
    if site.get("limit"):
        lines.append(f"limit_conn sources {site.get('limit')};")
    if site.get("hold"):  # no client reads so much, and nginx holds those that don't
        lines.append(f'set $t0 "{"x" * 1000}";')
        lines += [f'set $t{n + 1} "$t{n}$t{n}";' for n in range(14)]
        text = "$t14"
    if site.get("metrics") or site.get("http"):
        http, listen = NGINX_HTTP.format(port=site.port), f"unix:{site.folder}/other"
    lines.append(f'return "{text}";')
    module = next(iter(sorted(pathlib.Path("/usr").glob("lib*/nginx/modules/ngx_stream_module.so"))))
    conf = NGINX.format(module=module, folder=site.folder, listen=listen, http=http,
                        lines="\n".join(" " * 8 + line for line in lines))
    return ["nginx", "-p", site.folder, "-e", "stderr", "-c", site.write("nginx.conf", conf)]


HAPROXY = """\
global
    lua-load {folder}/greet.lua
    log stdout format raw local0
    stats socket {folder}/stats
defaults
    log global
    timeout client 1m
    timeout server 1m
    timeout connect 5s
frontend greet
    mode {mode}
    option {mode}log
    bind {bind}
{lines}
"""


def _lua(site):
    send = f'applet:send("{site.message()}")'
    if site.get("address") or site.get("proxy"):
        send = 'applet:send("Hello " .. applet.sf:src())'
    if site.get("watch"):
        send = f'local f = io.open("{site.get("watch")}") applet:send(f:read("a")) f:close()'
    if site.get("drip"):
        send = "\n".join(f'core.msleep(300) applet:send("{line}\\n")' for line in site.lines())
    return f'core.register_service("greet", "tcp", function(applet) {send} end)\n'


def haproxy(site):
    bind = f"unix@{site.socket()}" if site.get("unix") else f"{site.host()}:{site.port}"
    if site.get("inherit"):
        bind = "fd@3"
    lines, mode = [], "tcp"
    if site.get("proxy"):
        bind += " accept-proxy"
    if site.get("tls"):
        bind += f" ssl crt {site.get('tls')}"
    if site.get("deny"):
        lines.append(f"tcp-request connection reject if {{ src {site.get('deny')} }}")
    if site.get("limit"):
        lines += ["stick-table type ip size 1m store conn_cur", "tcp-request connection track-sc0 src",
                  f"tcp-request connection reject if {{ sc0_conn_cur gt {site.get('limit')} }}"]
    if site.get("metrics"):
        mode = "http"
        lines.append("http-request use-service prometheus-exporter if { path /metrics }")
    elif site.get("http"):
        mode = "http"
        answer = "http-request return status 200 content-type text/plain string"
        lines += [f"{answer} {word} if {{ path /{word} }}" for word in ("one", "two")]
    else:
        lines.append("tcp-request content use-service lua.greet")
    site.write("greet.lua", _lua(site))
    conf = HAPROXY.format(folder=site.folder, bind=bind, mode=mode,
                          lines="\n".join("    " + line for line in lines))
    return ["haproxy", "-Ws", "-f", site.write("haproxy.cfg", conf)]


# What a program with one client can do: the end of stream at once, then it reads until the client has
# been silent for 2 s.
PROGRAM = """\
#!/usr/bin/perl
use Socket qw(:DEFAULT getnameinfo NI_NUMERICHOST);
$| = 1;
{send}
shutdown STDOUT, 1 or exit 1;
do {{ alarm {linger} }} while sysread STDIN, $_, 65536;
"""


def _program(site):
    send = f"open F, '<', '{site.get('watch') or site.write('message', site.message())}'; print <F>;"
    if site.get("address"):
        send = 'print "Hello ", (getnameinfo(getpeername(STDIN), NI_NUMERICHOST))[1];'
    if site.get("drip"):
        send = "\n".join(f'select(undef, undef, undef, 0.3); print "{line}\\n";'
                         for line in site.lines())
    linger = 60 if site.get("hold") or site.get("stay") else 2
    path = site.write("program", PROGRAM.format(send=send, linger=linger))
    path.chmod(0o755)
    return path


XINETD = """\
defaults
{{
    log_type = FILE {folder}/access.log
    log_on_success = PID HOST EXIT DURATION
    cps = 10000 1
    instances = UNLIMITED
    per_source = {limit}
}}
service greeting
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    bind = {host}
    port = {port}
    wait = no
    user = root
    server = {program}
{lines}
}}
{more}
"""
XINETD_UDP = """\
service daytime
{{
    type = INTERNAL UNLISTED
    id = daytime-dgram
    socket_type = dgram
    protocol = udp
    wait = yes
    bind = 127.0.0.1
    port = {port}
}}
"""


def xinetd(site):
    _lacks(site, "unix", "proxy", "metrics", "tls", "http")
    lines = f"    no_access = {site.get('deny')}" if site.get("deny") else ""
    conf = XINETD.format(folder=site.folder, limit=site.get("limit", "UNLIMITED"), host=site.host(),
                         port=site.port, program=_program(site), lines=lines,
                         more=XINETD_UDP.format(port=site.port) if site.get("udp") else "")
    return ["xinetd", "-dontfork", "-f", site.write("xinetd.conf", conf),
            "-pidfile", site.folder / "xinetd.pid"]


def tcpserver(site):
    _lacks(site, "unix", "proxy", "limit", "metrics", "tls", "http", "ipv6")
    rules = []
    if site.get("deny"):
        site.write("rules", f"{site.get('deny')}:deny\n:allow\n")
        rules = ["-x", site.folder / "rules.cdb"]
    command = ["tcpserver", "-v", "-H", "-R", "-l0", "-c1000", *rules, site.host(), str(site.port),
               _program(site)]
    compile_rules = 'tcprules "$1.cdb" "$1.tmp" <"$1"; shift; exec "$@"'
    return ["sh", "-c", compile_rules, "sh", site.folder / "rules", *command] if rules else command


def accept_yes(site):
    _lacks(site, "proxy", "metrics", "tls", "http")
    listen = site.socket() if site.get("unix") else (
        f"[::1]:{site.port}" if site.get("ipv6") else f"127.0.0.1:{site.port}")
    return ["systemd-socket-activate", f"--listen={listen}", "--accept", "--inetd", _program(site)]


def endlessh(site):
    _lacks(site, "unix", "proxy", "limit", "deny", "metrics", "tls", "http", "address", "watch")
    conf = f"Port {site.port}\nDelay 300\nMaxLineLength 32\nMaxClients 4096\nLogLevel 1\n" \
           f"BindFamily {6 if site.get('ipv6') else 4}\n"
    return ["endlessh", "-f", site.write("endlessh.conf", conf)]


class Contender(NamedTuple):
    name: str
    title: str
    command: object  # from a Site to a command line; raises Lacks
    package: str
    program: str  # whose words Lacks is about


CONTENDERS = [
    Contender("greetd", "greetd", greetd, "greeting-daemon", "greetd"),
    Contender("nginx", "nginx", nginx, "nginx", "nginx"),
    Contender("haproxy", "HAProxy", haproxy, "haproxy", "haproxy"),
    Contender("xinetd", "xinetd", xinetd, "xinetd", "xinetd"),
    Contender("tcpserver", "tcpserver", tcpserver, "ucspi-tcp", "tcpserver"),
    Contender("accept", "`Accept=yes`", accept_yes, "systemd", "systemd-socket-activate"),
    Contender("endlessh", "endlessh", endlessh, "endlessh", "endlessh"),
]
