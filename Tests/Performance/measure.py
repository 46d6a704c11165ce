#!/usr/bin/env python3
"""Measures what Tollgate costs beside nginx on this machine, and says whether it is little enough.

Each figure is measured as README.md of this folder says. `Tests/Performance/run --help` lists the
options; the exit status is 1 when a target was missed.
"""

import argparse
import contextlib
import fcntl
import http.client
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Support"))

from harness.certificates import Certificate  # noqa: E402
from harness.gateway import Gateway  # noqa: E402
from harness.issuer import AUDIENCE, Issuer  # noqa: E402
from harness.program import Nginx, environment, session_of, status_of  # noqa: E402
from harness.token_service import TokenService  # noqa: E402
from harness.waiting import free_port, listens, until  # noqa: E402

PROXY_CORE, OTHER_CORE = 0, 1
CONNECTIONS = 64
TOKENS = 1000
SMALL = '{"status":"ok","items":[1,2,3,4,5,6,7,8],"note":"a small JSON answer"}\\n'
GIB = 1 << 30


def say(*words):
    print("#", *words, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- reading the kernel's figures


def cpu_ns(pids):
    """Scheduler's nanoseconds of every thread of these processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0])
    return total


def memory_kib(pids):
    """Resident and proportional memory, summed over the processes."""
    resident = proportional = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            text = file.read()
        resident += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
        proportional += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return resident, proportional


def machine_busy_ns():
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    ticks = sum(fields[:3]) + sum(fields[5:8])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def on_core(core):
    """What a child does before it starts: one core (None: all of them) and a little priority."""

    def prepare():
        if core is not None:
            os.sched_setaffinity(0, {core})
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, -10)
            # With the kernel's automatic grouping a session's priority is the group's.
            with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
                file.write("-15")

    return prepare


@contextlib.contextmanager
def machine_to_ourselves():
    """One measurement at a time on this machine, whoever takes it."""
    path = os.environ.get("BENCH_LOCK", os.path.join(tempfile.gettempdir(), "bench.lock"))
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- the programs of a measurement


class World:
    """The upstream, the issuer, the token service and the proxies, in one temporary folder."""

    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-performance-"))
        self.folder.chmod(0o755)
        self.serial = itertools.count(1)
        self.load = os.environ.get("TOLLGATE_LOAD", str(HERE / ".state" / "load"))
        self.running = []
        self.service = TokenService(secret="performance", alg="RS256", pad=230)
        self.issuer = Issuer(token_endpoint=self.service.endpoint)
        self.certificate = Certificate(["localhost", "127.0.0.1"]).write(self.folder, "server")
        self.token_file = self.folder / "tokens"
        tokens = [self.token(index) for index in range(TOKENS)]
        self.token_file.write_text("\n".join(tokens) + "\n")
        self.ten_tokens = self.folder / "ten-tokens"
        self.ten_tokens.write_text("\n".join(tokens[:10]) + "\n")
        self.tokens = tokens
        self.sink = Sink()
        self.upstream_port = free_port()
        self.upstream = {}

    def token(self, index):
        roles = {"roles": ["offline_access", "customer", "orders-reader"]}
        return self.issuer.token(
            f"person-{index:04}",
            preferred_username=f"person-{index:04}",
            realm_access=roles,
            sid=f"{index:032x}",
        )

    def start_upstream(self, core):
        """One nginx of our own on its core; `/t` answers 418 unless the token was swapped."""
        if core in self.upstream:
            return
        for program, _ in self.upstream.values():
            program.end()
        self.upstream.clear()
        exchanged = self.service.issue(self.tokens[0], FakeCall())["access_token"].split(".")[0]
        big = self.folder / "www"
        if not big.exists():
            big.mkdir()
            with open(big / "gib", "wb") as file:
                file.truncate(GIB)
            with open(big / "mib", "wb") as file:
                file.truncate(1 << 20)
        name = f"upstream-{next(self.serial)}"
        port = self.upstream_port
        http_block = f"""
  keepalive_timeout 300s; keepalive_requests 100000000; sendfile on;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    root {big};
    location = /p {{ return 200 '{SMALL}'; }}
    location = /t {{
      if ($http_authorization !~ "^Bearer {re.escape(exchanged)}\\.") {{ return 418; }}
      return 200 '{SMALL}';
    }}
    location = /who {{ return 200 "$http_authorization"; }}
    location = /gib {{ }}
    location = /mib {{ }}
  }}"""
        program = Nginx(
            self.folder, http_block, port, name=name, prepare=on_core(core)
        )
        self.upstream[core] = (program, port)
        self.running.append(program)

    def nginx(self, name, core=PROXY_CORE, workers=1):
        """nginx as a plain reverse proxy, in the clear and with TLS."""
        clear, tls = free_port(), free_port()
        http_block = f"""
  keepalive_timeout 300s; keepalive_requests 100000000; client_max_body_size 0;
  upstream up {{
    server 127.0.0.1:{self.upstream_port};
    keepalive 512; keepalive_requests 100000000; keepalive_timeout 300s;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k;
  proxy_max_temp_file_size 0;
  server {{
    listen 127.0.0.1:{clear} backlog=8192 reuseport;
    location / {{ proxy_pass http://up; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl backlog=8192 reuseport;
    ssl_certificate {self.certificate["chain"]};
    ssl_certificate_key {self.certificate["key"]};
    ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
    location / {{ proxy_pass http://up; }}
  }}"""
        folder = f"{name}-{next(self.serial)}"
        program = Nginx(self.folder, http_block, tls, workers, folder, on_core(core))
        return Proxy(self, name, program, {"clear": clear, "tls": tls}, ["-", "/p"])

    def tollgate(
        self, name="tollgate", core=PROXY_CORE, workers=1, binary=None, access_log="off"
    ):
        """The gateway: the token verified, exchanged and swapped on every route but /p."""
        tls = {"certificates": [self.certificate]}
        upload = f"http://127.0.0.1:{self.sink.port}"
        routes = {
            "workers": workers,
            "listeners": [
                {"name": "clear", "address": "127.0.0.1:0"},
                {"name": "tls", "address": "127.0.0.1:0", "tls": tls},
            ],
            "issuers": {"corp": {"issuer": self.issuer.url, "audiences": [AUDIENCE]}},
            "exchanges": {
                "corp": {
                    "tokenService": self.service.endpoint,
                    "client": {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}},
                }
            },
            "upstreams": {
                "small": {
                    "servers": [f"http://127.0.0.1:{self.upstream_port}"],
                    "idleConnections": 512,
                },
            },
            "limits": {"connections": 8000, "idleTimeout": "300s"},
            "routes": [
                {
                    "match": {"path": "/*"},
                    "exchange": {"audience": "orders"},
                    "forward": {"to": "small"},
                },
                {
                    "match": {"path": "/sink"},
                    "exchange": {"audience": "orders"},
                    "forward": {"to": upload},
                    "limits": {"body": "2GiB"},
                },
                {
                    "match": {"path": "/p"},
                    "authenticate": "none",
                    "exchange": "strip",
                    "forward": {"to": "small"},
                },
            ],
            "accessLog": access_log,
        }
        folder = self.folder / f"{name}-{next(self.serial)}"
        program = Gateway(
            folder,
            routes,
            env=environment(GATEWAY_SECRET="performance"),
            prepare=on_core(core),
            binary=binary,
        )
        return Proxy(self, name, program, program.ports, [str(self.token_file), "/t"])

    def close(self):
        for program in reversed(self.running):
            program.end()
        self.issuer.close()
        self.service.close()
        self.sink.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class FakeCall:
    """Stands for a token request where the token service is asked directly."""

    def values(self, name):
        return ["orders"] if name == "audience" else []

    def value(self, name):
        return None


class Sink:
    """An upstream that takes any body, and says at the end how long it was."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = bytearray(1 << 18)
        with contextlib.suppress(OSError), connection:
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    more = connection.recv(65536)
                    if not more:
                        return
                    pending += more
                head, _, rest = pending.partition(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
                left = int(length.group(1)) - len(rest)
                while left > 0:
                    count = connection.recv_into(buffer)
                    if not count:
                        return
                    left -= count
                pending = b""
                body = length.group(1)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )

    def close(self):
        self.socket.close()


class Proxy:
    """A proxy under measurement; `work` is the tokens and the path of its requests."""

    def __init__(self, world, name, program, ports, work):
        self.world, self.name, self.program = world, name, program
        self.ports, self.work = ports, work
        world.running.append(program)
        self.pids = session_of(program.pid)

    def run_load(self, scheme, seconds, core=OTHER_CORE, during=None):
        """One measurement; connections and first requests are not in it."""
        world = self.world
        command = [
            world.load, "requests", str(self.ports[scheme]), str(seconds), str(CONNECTIONS),
            self.work[0], self.work[1], scheme,
        ]  # fmt: skip
        load = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=on_core(core),
        )
        try:
            if load.stdout.readline() != "ready\n":
                raise SystemExit(f"load could not begin at {self.name}\n{self.program.said()}")
            helper = during(self) if during else None
            self.pids = session_of(self.program.pid)
            cpu, busy, start = cpu_ns(self.pids), machine_busy_ns(), time.monotonic()
            load.stdin.write("go\n")
            load.stdin.flush()
            answer = json.loads(load.stdout.readline())
            cpu, took = cpu_ns(self.pids) - cpu, time.monotonic() - start
            busy = machine_busy_ns() - busy
            load.wait(10)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        if helper:
            helper.wait()
        if answer["bad"] or answer["lost"] or not answer["done"]:
            raise SystemExit(f"{self.name}: not every answer was a 200: {answer}")
        return {
            "us": cpu / 1000 / answer["done"],
            "rate": answer["done"] / answer["seconds"],
            "core": cpu / 1e9 / took,
            "machine": busy / 1e9 / took,
            "p50": answer["p50"],
            "p99": answer["p99"],
        }

    def speed(self):
        """How fast the measured core is just now."""
        out = subprocess.run(
            [self.world.load, "speed"],
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=on_core(PROXY_CORE),
        )
        return json.loads(out.stdout)["per_second"]

    def stop(self):
        self.program.end(20)
        self.world.running.remove(self.program)


def check_swap(world, proxy):
    """Before anything is measured: each person's own exchanged token reaches the upstream."""
    for scheme in ("clear", "tls"):
        for index in (0, 1, 7, 0):
            got = get(proxy.ports[scheme], "/who", world.tokens[index], scheme == "tls")
            issued = world.service.issued.get(got.removeprefix("Bearer "))
            if not issued or issued.person != f"person-{index:04}":
                raise SystemExit(f"{proxy.name}: person {index} arrived with {got[:60]!r}…")
        answer = get(proxy.ports[scheme], "/t", None, scheme == "tls", want=401)
        assert answer is not None


def get(port, path, token, tls, want=200):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode("latin-1")
        if answer.status != want:
            raise SystemExit(f"GET {path} on {port}: {answer.status} instead of {want}: {body}")
        return body
    finally:
        connection.close()


# ---------------------------------------------------------------- the figures


class Figure:
    """One line of the report: what was measured, its target, and what was reached."""

    def __init__(self, name, what, target, reached, unit="", details=()):
        self.name, self.what, self.target = name, what, target
        self.reached, self.unit, self.details = reached, unit, list(details)

    @property
    def met(self):
        return self.target is None or self.reached <= self.target


def interleaved(world, contestants, measure):
    """Rounds in which each contestant has its turn, forwards and backwards by turns."""
    rows = []
    for number in range(world.options.rounds):
        order = list(contestants.items())
        row = {}
        for name, proxy in order if number % 2 == 0 else order[::-1]:
            with machine_to_ourselves():
                before = proxy.speed()
                row[name] = measure(proxy)
                row[name]["speed"] = (before + proxy.speed()) / 2
        # CPU time as it would be if the core's speed were the same for all of the round.
        middle = statistics.median(cell["speed"] for cell in row.values())
        for cell in row.values():
            cell["us"] *= cell["speed"] / middle
        rows.append(row)
        shown = ", ".join(f"{name} {cell['us']:.1f}" for name, cell in row.items())
        say(f"round {number + 1}: {shown} µs a request")
    return rows


def ratio(rows, name, base):
    return statistics.median(row[name]["us"] / row[base]["us"] for row in rows)


def spread(rows, name, base):
    values = sorted(row[name]["us"] / row[base]["us"] for row in rows)
    return f"{values[0]:.2f} to {values[-1]:.2f}"


def column(rows, name, key):
    return statistics.median(row[name][key] for row in rows)


def describe(rows, names):
    lines = []
    for name in names:
        lines.append(
            f"{name}: {column(rows, name, 'us'):.1f} µs CPU a request,"
            f" {column(rows, name, 'rate'):,.0f} requests/s,"
            f" {column(rows, name, 'core') * 100:.0f} % of a core,"
            f" p50 {column(rows, name, 'p50'):.2f} p99 {column(rows, name, 'p99'):.2f} ms"
        )
    return lines


def figure_path(world, scheme, target):
    """The whole token path beside nginx's plain proxying, over `scheme`."""
    world.start_upstream(OTHER_CORE)
    nginx, again = world.nginx("nginx"), world.nginx("nginx-again")
    gateway = world.tollgate()
    check_swap(world, gateway)
    contestants = {"nginx": nginx, "tollgate": gateway, "nginx again": again}
    if world.options.also:
        contestants["the other"] = world.tollgate("other", binary=world.options.also)
    if world.options.same_requests:
        same = world.nginx("nginx-tokens")
        same.work = [str(world.token_file), "/p"]
        contestants["nginx, same requests"] = same
    for proxy in contestants.values():  # every token verified and exchanged, every pool filled
        proxy.run_load(scheme, 1.5)
    calls = len(world.service.calls)
    rows = interleaved(
        world, contestants, lambda proxy: proxy.run_load(scheme, world.options.seconds)
    )
    if len(world.service.calls) != calls:
        raise SystemExit("exchanges happened while warm tokens were measured")
    for proxy in contestants.values():
        proxy.stop()
    details = describe(rows, contestants)
    details.append(
        f"noise, nginx against nginx: {ratio(rows, 'nginx again', 'nginx'):.2f}"
        f" ({spread(rows, 'nginx again', 'nginx')})"
    )
    details.append(f"tollgate against nginx, over the rounds: {spread(rows, 'tollgate', 'nginx')}")
    if world.options.also:
        details.append(
            f"tollgate against the other binary: {ratio(rows, 'tollgate', 'the other'):.2f}"
            f" ({spread(rows, 'tollgate', 'the other')})"
        )
    if world.options.same_requests:
        details.append(
            "against nginx with the same requests, tokens and all:"
            f" {ratio(rows, 'tollgate', 'nginx, same requests'):.2f}"
        )
    what = f"CPU per request, token verified, exchanged, swapped; {scheme}; ÷ nginx plain"
    return Figure(scheme, what, target, ratio(rows, "tollgate", "nginx"), " ×", details)


def figure_workers(world):
    """Two workers beside one, all requests bearing the same ten tokens."""
    world.start_upstream(None)
    contestants = {}
    for workers in (1, 2):
        contestants[f"tollgate {workers}"] = world.tollgate(f"tollgate-{workers}", None, workers)
        contestants[f"tollgate {workers}"].work = [str(world.ten_tokens), "/t"]
        contestants[f"nginx {workers}"] = world.nginx(f"nginx-{workers}", None, workers)
    for proxy in contestants.values():
        proxy.run_load("tls", 1, None)
    rows = interleaved(
        world, contestants, lambda proxy: proxy.run_load("tls", world.options.seconds, None)
    )
    for proxy in contestants.values():
        proxy.stop()
    details = describe(rows, contestants)
    details.append(
        f"nginx's own two workers against its one: {ratio(rows, 'nginx 2', 'nginx 1'):.2f}"
    )
    what = "CPU per request with two workers ÷ with one; TLS, the same ten tokens"
    return Figure(
        "workers", what, 1.10, ratio(rows, "tollgate 2", "tollgate 1"), " ×", details
    )


def figure_log(world):
    """What the access log costs: the gateway with it beside the gateway without it."""
    world.start_upstream(OTHER_CORE)
    file = world.folder / "access.log"
    contestants = {
        "off": world.tollgate("tollgate-off"),
        "on": world.tollgate("tollgate-on", access_log={"path": str(file), "format": "json"}),
        "off again": world.tollgate("tollgate-off-again"),
    }
    check_swap(world, contestants["on"])
    for proxy in contestants.values():
        proxy.run_load("tls", 1.5)
    rows = interleaved(
        world, contestants, lambda proxy: proxy.run_load("tls", world.options.seconds)
    )
    for proxy in contestants.values():
        proxy.stop()
    with open(file, "rb") as log:
        lines = sum(1 for _ in log)
    details = describe(rows, contestants)
    details.append(
        f"noise, off against off: {ratio(rows, 'off again', 'off'):.2f}"
        f" ({spread(rows, 'off again', 'off')})"
    )
    details.append(f"on against off, over the rounds: {spread(rows, 'on', 'off')}")
    details.append(f"{lines:,} lines, {file.stat().st_size / max(1, lines):.0f} bytes each")
    what = "CPU per request with the access log (json, to a file) ÷ without; TLS"
    return Figure("log", what, 1.03, ratio(rows, "on", "off"), " ×", details)


def high_water(pid):
    return status_of(pid, "VmHWM")


def reset_high_water(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


def open_tls(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port), 30)
    return context.wrap_socket(raw, server_hostname="localhost")


def upload(port, token, size):
    block = bytes(1 << 20)
    with open_tls(port) as connection:
        connection.sendall(
            f"POST /sink HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Length: {size}\r\nConnection: close\r\n\r\n".encode()
        )
        for offset in range(0, size, len(block)):
            connection.sendall(block[: size - offset])
        answer = b""
        while part := connection.recv(65536):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(str(size).encode()):
        raise SystemExit(f"the upload was answered {answer[:300]!r}")


def download(port, token, path, size):
    with open_tls(port) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        buffer, head = bytearray(1 << 18), b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, rest = head.partition(b"\r\n\r\n")
        got = len(rest)
        while count := connection.recv_into(buffer):
            got += count
    if not head.startswith(b"HTTP/1.1 200 ") or got != size:
        raise SystemExit(f"the download was {got} of {size} bytes: {head[:300]!r}")


def figure_transfer(world, direction):
    """How much the gateway grows while 1 GiB goes through."""
    world.start_upstream(OTHER_CORE)
    gateway = world.tollgate(f"tollgate-{direction}")
    port, token, pid = gateway.ports["tls"], world.tokens[0], gateway.program.pid

    def transfer(count):
        if direction == "up":
            upload(port, token, count)
        else:
            download(port, token, "/gib" if count == GIB else "/mib", count)

    for _ in range(3):
        transfer(1 << 20)
    reset_high_water(pid)
    before, start = high_water(pid), time.monotonic()
    transfer(GIB)
    took, grown = time.monotonic() - start, (high_water(pid) - before) / 1024
    gateway.stop()
    what = f"growth of resident memory while 1 GiB goes {direction} through TLS"
    details = [f"from {before / 1024:.1f} MiB, {GIB / took / (1 << 20):,.0f} MiB/s"]
    return Figure(direction, what, 8, grown, " MiB", details)


def figure_idle(world):
    """Resident memory with idle keep-alive TLS connections, beside nginx's."""
    world.start_upstream(OTHER_CORE)
    wanted, rows = world.options.idle, {}
    for name in ("nginx", "tollgate"):
        proxy = getattr(world, name)(f"{name}-idle")
        get(proxy.ports["tls"], "/p", None, True)
        proxy.pids = session_of(proxy.program.pid)
        before = memory_kib(proxy.pids)
        load = subprocess.Popen(
            [world.load, "idle", str(proxy.ports["tls"]), str(wanted), "/p", "tls"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=on_core(OTHER_CORE),
        )
        try:
            if load.stdout.readline() != f"ready {wanted}\n":
                raise SystemExit(f"{name} did not keep {wanted} connections")
            last = [None]

            def steady():
                """What is given back a moment after the last answer counts as given back."""
                now = memory_kib(proxy.pids)
                same, last[0] = last[0] == now, now
                return same

            until(steady, "memory to settle", 10, pause=0.5)
            after = memory_kib(proxy.pids)
            load.stdin.write("\n")
            load.stdin.flush()
            answer = json.loads(load.stdout.readline())
            if answer["open"] != wanted or answer["bad"]:
                raise SystemExit(f"{name} lost connections: {answer}")
        finally:
            load.kill()
            load.wait()
        rows[name] = (before, after)
        proxy.stop()
    details = []
    for name, (before, after) in rows.items():
        details.append(
            f"{name}: {after[0] / 1024:.1f} MiB resident ({after[1] / 1024:.1f} proportional),"
            f" {before[0] / 1024:.1f} before,"
            f" {(after[0] - before[0]) / wanted:.1f} KiB a connection"
        )
    proportional = rows["tollgate"][1][1] / rows["nginx"][1][1]
    details.append(f"ratio of the proportional memory: {proportional:.2f}")
    reached = rows["tollgate"][1][0] / rows["nginx"][1][0]
    what = f"resident memory with {wanted:,} idle keep-alive TLS connections ÷ nginx"
    return Figure("idle", what, 1.10, reached, " ×", details)


def profile(world, scheme):
    """Where the gateway's CPU time goes, by perf, and which system calls it makes, by strace."""
    world.start_upstream(OTHER_CORE)
    gateway = world.tollgate()
    check_swap(world, gateway)
    gateway.run_load(scheme, 1.5)
    out = pathlib.Path(world.options.profile)
    out.mkdir(parents=True, exist_ok=True)
    data = out / f"{scheme}.data"

    def perf(proxy):
        return subprocess.Popen(
            ["perf", "record", "-q", "-F", "1999", "-g", "-o", data, "-p", str(proxy.program.pid),
             "--", "sleep", str(world.options.seconds - 0.5)],
        )  # fmt: skip

    say(gateway.run_load(scheme, world.options.seconds, during=perf))
    for name, more in (("flat", ["--no-children"]), ("tree", ["--children"])):
        text = subprocess.run(
            ["perf", "report", "-i", data, "--stdio", "-g", "none", *more],
            capture_output=True,
            text=True,
        ).stdout
        (out / f"{scheme}-{name}.txt").write_text(text)
        if name == "flat":
            print("\n".join(text.splitlines()[:60]))

    def strace(proxy):
        program = subprocess.Popen(
            ["strace", "-f", "-c", "-p", str(proxy.program.pid), "-o", out / f"{scheme}-calls.txt"],
            stderr=subprocess.DEVNULL,
        )
        until(lambda: status_of(proxy.program.pid, "TracerPid"), "strace to attach")
        threading.Timer(
            world.options.seconds + 0.5, lambda: program.send_signal(signal.SIGINT)
        ).start()
        return program

    with contextlib.suppress(OSError):
        gateway.run_load(scheme, world.options.seconds, during=strace)
        print((out / f"{scheme}-calls.txt").read_text())
    gateway.stop()
    say(f"whole profiles are in {out}")


# ---------------------------------------------------------------- the command

FIGURES = {
    "tls": lambda world: figure_path(world, "tls", 1.0),
    "clear": lambda world: figure_path(world, "clear", 0.9),
    "workers": figure_workers,
    "log": figure_log,
    "up": lambda world: figure_transfer(world, "up"),
    "down": lambda world: figure_transfer(world, "down"),
    "idle": figure_idle,
}


def report(figures, options):
    print(f"\n{options.rounds} rounds of {options.seconds:g} s, {CONNECTIONS} connections,")
    print(f"{TOKENS:,} tokens of about {options.token_bytes} bytes; the median of the rounds.\n")
    print("| figure | what | target | reached | |")
    print("|---|---|---:|---:|---|")
    for figure in figures:
        target = "-" if figure.target is None else f"≤ {figure.target:g}{figure.unit}"
        verdict = "met" if figure.met else "**missed**"
        print(
            f"| {figure.name} | {figure.what} | {target} |"
            f" {figure.reached:.2f}{figure.unit} | {verdict} |"
        )
    for figure in figures:
        print(f"\n{figure.name}:")
        for line in figure.details:
            print(f"  {line}")


def raise_open_files():
    """As many open files as this user may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (max(hard, 65536), hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return


def main():
    parser = argparse.ArgumentParser(
        prog="Tests/Performance/run", description="Measures Tollgate beside nginx."
    )
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="only these figures")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement")
    parser.add_argument("--idle", type=int, default=5000, help="idle connections")
    parser.add_argument("--same-requests", action="store_true", help="nginx also with the tokens")
    parser.add_argument("--also", metavar="BINARY", help="another build, in the same rounds")
    parser.add_argument("--profile", metavar="FOLDER", help="profile tls (or clear) instead")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    raise_open_files()
    world = World(options)
    options.token_bytes = len(world.tokens[0])
    try:
        wanted = options.figures or list(FIGURES)
        if options.profile:
            for scheme in [name for name in wanted if name in ("tls", "clear")]:
                profile(world, scheme)
            return 0
        figures = []
        for name in wanted:
            say(f"figure {name}")
            figures.append(FIGURES[name](world))
        report(figures, options)
        if options.json:
            rows = {f.name: {"target": f.target, "reached": f.reached} for f in figures}
            pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
        return 0 if all(figure.met for figure in figures) else 1
    finally:
        world.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
