#!/usr/bin/env python3
"""What tokens cost: exchanged once, from the cache, seen for the first time, and in memory.

20,000 callers' tokens for 4 audiences, 64 connections. The token service and the service behind are
nginx. CPU figures are differences between requests of one gateway that differ in one thing, and
what OpenSSL needs for a signature is asked of `openssl speed` in the same run. TOLLGATE names the
binary; README.md of this folder says what is measured how. Exit status 1: a target was missed.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from measure import (  # the programs and the kernel's figures are the same
    HERE,
    OTHER_CORE,
    PROXY_CORE,
    Proxy,
    environment,
    memory_kib,
    on_core,
    raise_open_files,
    say,
    session_of,
)
from harness.gateway import Gateway
from harness.issuer import AUDIENCE, Issuer
from harness.program import Nginx
from harness.waiting import free_port

TOKENS = int(os.environ.get("TOKENS", "20000"))
AUDIENCES = 4
ROUNDS = int(os.environ.get("ROUNDS", "15"))
FIRST_ROUNDS = 3
#: What the token service issues: opaque, and each another one.
ISSUED = 20 * "$request_id"
ISSUED_BYTES = 20 * 32


class Stage:
    """nginx as token service and as service, the issuer, and files of tokens."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        self.load = os.environ.get("TOLLGATE_LOAD", str(HERE / ".state" / "load"))
        self.port = free_port()
        self.calls_log = folder / "calls.log"
        answer = json.dumps(
            {
                "access_token": ISSUED,
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "expires_in": 36000,
            }
        )
        http = f"""
  keepalive_timeout 300s; keepalive_requests 100000000; default_type application/json;
  server {{
    listen 127.0.0.1:{self.port} backlog=8192;
    location = /token {{ access_log {self.calls_log}; return 200 '{answer}'; }}
    location / {{ return 200 '{{"status":"ok"}}'; }}
  }}"""
        nginx = Nginx(folder, http, self.port, name="services", prepare=on_core(OTHER_CORE))
        self.running.append(nginx)
        self.issuer = Issuer(token_endpoint=f"http://127.0.0.1:{self.port}/token")

    @property
    def calls(self):
        with open(self.calls_log, "rb") as file:
            return sum(1 for _ in file)

    def tokens(self, name, count):
        """A file of so many tokens, each of another person."""
        file = self.folder / name
        file.write_text(
            "".join(f"{self.issuer.token(f'{name}-{index}')}\n" for index in range(count))
        )
        return file

    def gateway(self, name, workers, core):
        upstream = f"http://127.0.0.1:{self.port}"
        routes = {
            "workers": workers,
            "listeners": [{"name": "clear", "address": "127.0.0.1:0"}],
            "issuers": {"corp": {"issuer": self.issuer.url, "audiences": [AUDIENCE]}},
            "exchanges": {
                "corp": {
                    "tokenService": f"{upstream}/token",
                    "client": {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}},
                    "cache": {"size": "1GiB"},
                }
            },
            "upstreams": {"small": {"servers": [upstream], "idleConnections": 512}},
            "limits": {"connections": 8000, "idleTimeout": "300s"},
            "routes": [
                {
                    "match": {"path": f"/{audience}"},
                    "exchange": {"audience": f"audience-{audience}"},
                    "forward": {"to": "small"},
                }
                for audience in range(AUDIENCES)
            ]
            + [{"match": {"path": "/verified"}, "exchange": "strip", "forward": {"to": "small"}}],
            "accessLog": "off",
        }
        program = Gateway(
            self.folder / name,
            routes,
            env=environment(GATEWAY_SECRET="performance"),
            prepare=on_core(core),
        )
        return Proxy(self, name, program, program.ports, ["-", "/verified"])

    def ask(self, gateway, tokens, path, seconds, core=OTHER_CORE):
        gateway.work = [str(tokens), path]
        return gateway.run_load("clear", seconds, core)

    def ask_all(self, gateway, tokens, paths, connections, count):
        """Asks for each path with every token, all paths at once."""
        waiting = list(paths)
        while waiting:
            loads = [
                subprocess.Popen(
                    [self.load, "requests", str(gateway.ports["clear"]), "5", str(connections),
                     str(tokens), path, "clear"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
                for path in waiting
            ]  # fmt: skip
            answers = []
            for load in loads:
                assert load.stdout.readline() == "ready\n"
                load.stdin.write("go\n")
                load.stdin.flush()
            for load in loads:
                answers.append(json.loads(load.stdout.readline()))
                load.wait(30)
            assert not any(answer["bad"] or answer["lost"] for answer in answers), answers
            waiting = [
                path for path, answer in zip(waiting, answers) if answer["done"] < count
            ]

    def close(self):
        for program in reversed(self.running):
            program.end()
        self.issuer.close()


def once_a_pair(stage, tokens, workers):
    """- Returns: calls of the token service, and bytes of each further entry beside its token."""
    gateway = stage.gateway(f"pairs-{workers}", workers, None)
    before, paths = stage.calls, [f"/{audience}" for audience in range(AUDIENCES)]
    stage.ask_all(gateway, tokens, paths[:1], 64, TOKENS)
    first = memory_kib(session_of(gateway.program.pid))[0]
    stage.ask_all(gateway, tokens, paths[1:], 21, TOKENS)
    last = memory_kib(session_of(gateway.program.pid))[0]
    stage.ask_all(gateway, tokens, paths, 16, TOKENS)
    calls = stage.calls - before
    gateway.stop()
    return calls, (last - first) * 1024 / (TOKENS * (AUDIENCES - 1)) - ISSUED_BYTES


def cost_of_exchanged(stage, tokens):
    """Microseconds of CPU that a cached exchange adds to a request with a verified token."""
    gateway = stage.gateway("exchanged", 1, PROXY_CORE)
    costs = {"/verified": [], "/0": []}
    for path in costs:
        stage.ask(gateway, tokens, path, 1)
    calls = stage.calls
    for number in range(ROUNDS):
        for path in costs if number % 2 else reversed(costs):
            costs[path].append(stage.ask(gateway, tokens, path, 0.6)["us"])
    assert stage.calls == calls, "exchanges happened while warm tokens were measured"
    gateway.stop()
    added = [with_one - without for with_one, without in zip(costs["/0"], costs["/verified"])]
    return statistics.median(added), min(costs["/0"]) - min(costs["/verified"]), costs


def cost_of_first(stage, files):
    """Microseconds of CPU of a token that was never seen, beyond one that was."""
    gateway = stage.gateway("first", 1, PROXY_CORE)
    stage.ask(gateway, stage.tokens("warm-up", 100), "/verified", 0.5)
    added = []
    for file in files:
        seconds = 0.4
        first = stage.ask(gateway, file, "/verified", seconds)
        count = first["rate"] * seconds
        if count > TOKENS - 64:
            raise SystemExit(f"{count:.0f} requests for {TOKENS} tokens: some came twice")
        # Every one of them, so that the next look finds all.
        stage.ask(gateway, file, "/verified", 3)
        again = stage.ask(gateway, file, "/verified", seconds)
        added.append(first["us"] - again["us"])
    gateway.stop()
    return added


def openssl_verify_us():
    """Microseconds of CPU for one RSA-2048 verification, on the core that is measured."""
    out = subprocess.run(
        ["openssl", "speed", "-seconds", "2", "rsa2048"],
        capture_output=True, text=True, check=True, preexec_fn=on_core(PROXY_CORE),
    ).stdout  # fmt: skip
    return 1e6 / float(re.search(r"rsa 2048 bits.* ([\d.]+)\s*$", out, re.M).group(1))


def main():
    raise_open_files()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-tokens-"))
    folder.chmod(0o755)
    rows = []
    with contextlib.ExitStack() as closing:
        closing.callback(shutil.rmtree, folder, True)
        stage = Stage(folder)
        closing.callback(stage.close)
        say(f"{TOKENS * (1 + FIRST_ROUNDS):,} tokens are being made")
        tokens = stage.tokens("everybody", TOKENS)
        files = [stage.tokens(f"first-{number}", TOKENS) for number in range(FIRST_ROUNDS)]
        for workers in (1, 2):
            say(f"{TOKENS:,} tokens × {AUDIENCES} audiences, {workers} workers")
            calls, entry = once_a_pair(stage, tokens, workers)
            ratio = calls / (TOKENS * AUDIENCES)
            what = f"exchanges ÷ pairs of token and audience, {workers} workers"
            rows.append((what, "= 1", f"{ratio:.5f} ({calls:,})", ratio == 1))
            if workers == 1:
                what = f"memory of an entry beside its token ({ISSUED_BYTES} bytes)"
                rows.append((what, "≤ 1,024 bytes", f"{entry:,.0f} bytes", entry <= 1024))
        say(*(f"{what}: {reached};" for what, _, reached, _ in rows))
        say("a cached exchange")
        added, added_least, costs = cost_of_exchanged(stage, stage.tokens("some", 1000))
        least = {path: f"{min(us):.1f}" for path, us in costs.items()}
        rows.append(
            ("CPU that a cached exchange adds to a verified token's request", "≤ 2 µs",
             f"{added:.2f} µs (of the least: {added_least:.2f}; {least})", added <= 2)
        )  # fmt: skip
        say("tokens seen for the first time")
        first, verify = cost_of_first(stage, files), openssl_verify_us()
        ratio = statistics.median(first) / verify
        rows.append(
            ("CPU of a first-seen RS256 token over a known one ÷ OpenSSL's verification",
             "≤ 1.5 ×", f"{ratio:.2f} × ({statistics.median(first):.1f} of {verify:.1f} µs; "
             f"rounds {', '.join(f'{us:.1f}' for us in first)})", ratio <= 1.5)
        )  # fmt: skip
    print("| what | target | reached | |\n|---|---|---|---|")
    for what, target, reached, is_met in rows:
        print(f"| {what} | {target} | {reached} | {'met' if is_met else '**missed**'} |")
    sys.exit(0 if all(row[3] for row in rows) else 1)


if __name__ == "__main__":
    main()
