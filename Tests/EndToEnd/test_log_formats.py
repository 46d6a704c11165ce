"""How the access log can be written, and the programs that people read it with."""

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest
from harness.client import ask
from harness.waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = [("User-Agent", 'curl/8 "quoted" \tx')]


def lines_of(world, person, **log):
    """What three requests leave: one answered, one without a token, one for no route."""
    file = world.folder / f"log-{os.urandom(4).hex()}"
    log = {"path": str(file)} | log
    # One worker: two have a batch of lines each, and either may be written first.
    routes = world.routes(world.route("/orders/*", name="orders"), accessLog=log, workers=1)
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person, client_id="web shop")
        answer = world.ask(
            gateway, "POST", "/orders/1?q=1", person, token, fields=AGENT, body=b"abc"
        )
        assert answer.status == 200
        assert ask(gateway.port, "GET", "/orders/2").status == 401
        assert ask(gateway.port, "BREW", "/tea", fields=AGENT).status == 404
        text = until(
            lambda: file.exists() and len((t := file.read_text()).splitlines()) == 3 and t,
            "three lines",
        )
    return text.splitlines()


def test_opentelemetry_has_its_names_and_units(world, person):
    whole, refused, unknown = map(json.loads, lines_of(world, person, format="otel"))
    expected = {
        "client.address": "127.0.0.1",
        "http.request.method": "POST",
        "url.path": "/orders/1",
        "network.protocol.version": "1.1",
        "user_agent.original": 'curl/8 "quoted" \tx',
        "http.route": "orders",
        "http.response.status_code": 200,
        "http.request.body.size": 3,
        "tollgate.claim.client_id": "web shop",
        "tollgate.identity": "person",
    }
    assert {name: whole.get(name) for name in expected} == expected
    assert 0 < whole["http.server.request.duration"] < 60
    assert re.fullmatch(r"[\d-]+T[\d:.]+Z", whole["timestamp"])
    assert "error.type" not in whole and "sub" not in whole
    assert refused["error.type"] == "token_missing"
    assert unknown["http.request.method"] == "_OTHER"
    assert unknown["http.request.method_original"] == "BREW"


def test_elastic_has_its_names_and_units(world, person):
    whole, refused, _ = map(json.loads, lines_of(world, person, format="ecs"))
    expected = {
        "ecs.version": "8.11.0",
        "event.kind": "event",
        "event.category": ["web"],
        "event.outcome": "success",
        "client.ip": "127.0.0.1",
        "http.request.method": "POST",
        "http.version": "1.1",
        "url.path": "/orders/1",
        "http.response.status_code": 200,
        "http.request.body.bytes": 3,
        "tollgate.route": "orders",
        "tollgate.claim.client_id": "web shop",
    }
    assert {name: whole.get(name) for name in expected} == expected
    assert isinstance(whole["event.duration"], int) and whole["event.duration"] > 10_000
    assert "@timestamp" in whole
    assert (refused["event.outcome"], refused["event.reason"]) == ("failure", "token_missing")


def test_logfmt_quotes_what_needs_quotes(world, person):
    whole, refused, _ = lines_of(world, person, format="logfmt", claims=["client_id"])
    # As a shell reads it, which knows the same quotes.
    pairs = dict(part.split("=", 1) for part in shlex.split(whole))
    assert pairs["method"] == "POST" and pairs["path"] == "/orders/1"
    assert pairs["status"] == "200" and pairs["client_id"] == "web shop"
    assert pairs["user_agent"] == r'curl/8 "quoted" \tx'
    assert whole.startswith("time=20") and ' client_id="web shop" ' in whole
    assert "reason=token_missing" in refused.split()


def test_combined_is_apaches(world, person):
    whole, refused, unknown = lines_of(world, person, format="combined")
    line = re.compile(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
        r'"(\S+) (\S+) (HTTP/1\.1)" (\d{3}) (\d+) "-" "(.*)"'
    )
    assert line.fullmatch(whole).groups()[:4] == ("POST", "/orders/1", "HTTP/1.1", "200")
    assert line.fullmatch(whole).group(6) == r'curl/8 \"quoted\" \tx'
    assert line.fullmatch(refused).groups()[3:] == ("401", line.fullmatch(refused).group(5), "-")
    assert line.fullmatch(unknown).group(1) == "BREW"


def test_a_template_says_what_a_line_has(world, person):
    template = '{status} {{{method}}} {path} by={client_id} "{reason}" {identity}'
    whole, refused, _ = lines_of(world, person, format=template)
    assert whole == '200 {POST} /orders/1 by=web shop "-" person'
    assert refused == '401 {GET} /orders/2 by=- "token_missing" -'


@pytest.mark.parametrize(
    "log, message",
    [
        ({"format": "{staus}"}, 'did you mean "status"?'),
        ({"format": "{status"}, 'a "{" without a "}"'),
        ({"format": "status}{status}"}, 'a "}" without a "{"'),
        ({"format": "jsno"}, 'did you mean "json"?'),
        ({"format": "combined", "fields": ["status"]}, "leave it out"),
        ({"sample": {"2xx": 1.5}}, "from 0.0 to 1.0"),
        ({"sample": {"9xx": 0.5}}, "a class of statuses"),
    ],
)
def test_a_format_that_cannot_be_written_is_named(world, log, message, tmp_path):
    from harness.program import environment, tollgate_binary

    file = tmp_path / "routes.json"
    file.write_text(json.dumps(world.routes(accessLog=log, listeners=[world.clear_listener])))
    told = subprocess.run(
        [tollgate_binary(), "check", file], capture_output=True, text=True,
        env=environment(GATEWAY_SECRET="x"),
    )  # fmt: skip
    assert told.returncode == 1
    assert "accessLog." in told.stderr and message in told.stderr


def test_a_part_of_the_lines_can_do(world, person):
    file = world.folder / "sampled.log"
    log = {"path": str(file), "sample": {"2xx": 0, "404": 1, "4xx": 0.5}}
    with world.gateway(world.routes(world.route("/orders/*"), accessLog=log)) as gateway:
        token = world.issuer.token(person)
        for _ in range(20):
            assert world.ask(gateway, "GET", "/orders/1", person, token).status == 200
        for _ in range(200):
            assert ask(gateway.port, "GET", "/orders/1").status == 401
        for _ in range(20):
            assert ask(gateway.port, "GET", "/elsewhere").status == 404
    statuses = [json.loads(line)["status"] for line in file.read_text().splitlines()]
    assert statuses.count(200) == 0 and statuses.count(404) == 20
    # 200 tosses of a coin: 40 of one side come once in 10^18 times.
    assert 40 < statuses.count(401) < 160


# ---------------------------------------------------------------- other people's programs


def test_lnav_reads_it(world, person, tmp_path):
    (tmp_path / "access.log").write_text("\n".join(lines_of(world, person)) + "\n")
    home = tmp_path / "home"
    home.mkdir()
    env = dict(os.environ, HOME=str(home), TERM="xterm")
    format_file = ROOT / "deploy" / "tollgate.lnav.json"
    subprocess.run(["lnav", "-i", format_file], env=env, check=True, capture_output=True)
    checked = subprocess.run(["lnav", "-C"], env=env, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    query = (
        ";SELECT method, path, status, reason, log_level FROM tollgate_log ORDER BY log_line"
    )
    told = subprocess.run(
        ["lnav", "-n", "-c", query, "-c", ":write-json-to -", tmp_path / "access.log"],
        env=env, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert json.loads(told.stdout) == [
        {"method": "POST", "path": "/orders/1", "status": 200, "reason": None, "log_level": "info"},
        {
            "method": "GET", "path": "/orders/2", "status": 401, "reason": "token_missing",
            "log_level": "warning",
        },
        {
            "method": "BREW", "path": "/tea", "status": 404, "reason": "no_route",
            "log_level": "warning",
        },
    ]  # fmt: skip


def test_goaccess_reads_it(world, person, tmp_path):
    (tmp_path / "access.log").write_text("\n".join(lines_of(world, person)) + "\n")
    subprocess.run(
        ["goaccess", tmp_path / "access.log", "--config-file", ROOT / "deploy/goaccess.conf",
         "--no-global-config", "-o", tmp_path / "report.json"],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    # BREW may be no method to it.
    assert report["general"]["valid_requests"] >= 2
    paths = {entry["data"] for entry in report["requests"]["data"]}
    assert "/orders/1" in paths


def test_goaccess_reads_the_combined_format(world, person, tmp_path):
    lines = lines_of(world, person, format="combined")
    (tmp_path / "access.log").write_text("\n".join(lines) + "\n")
    subprocess.run(
        ["goaccess", tmp_path / "access.log", "--log-format", "COMBINED", "--no-global-config",
         "-o", tmp_path / "report.json"],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["general"]["valid_requests"] >= 2


def test_logrotate_rotates_it(world, person, tmp_path):
    with world.gateway(world.routes()) as gateway:
        world.ask(gateway, "GET", "/before", person)
        gateway.logged(path="/before")
        text = (ROOT / "deploy" / "logrotate.conf").read_text()
        command = "systemctl kill --kill-whom=main --signal=USR1 tollgate.service"
        assert command in text
        text = text.replace(command, f"kill -USR1 {gateway.pid}")
        text = text.replace("/var/log/tollgate/access.log", str(gateway.log_file))
        (tmp_path / "logrotate.conf").write_text(text)
        os.chmod(tmp_path / "logrotate.conf", 0o644)
        os.chmod(gateway.log_file.parent, 0o755)
        subprocess.run(
            ["/usr/sbin/logrotate", "--force", "--state", tmp_path / "state",
             tmp_path / "logrotate.conf"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        until(lambda: gateway.log_file.exists(), "a new log file")
        world.ask(gateway, "GET", "/after", person)
        gateway.logged(path="/after")
        rotated = pathlib.Path(f"{gateway.log_file}.1").read_text()
        assert "/before" in rotated and "/after" not in rotated
