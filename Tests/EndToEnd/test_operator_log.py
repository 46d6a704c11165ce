"""What the process says of itself on standard error: levels, JSON, repetition, nothing forged."""

import contextlib
import json
import re
import signal
import subprocess
import urllib.error
import urllib.request

import pytest
from harness.client import ask
from harness.gateway import Gateway
from harness.program import environment, tollgate_binary
from harness.waiting import free_port, until
from harness.world import SECRET
from test_reload import Reloader
from test_upstream_health import CHECK, Service

LEVELS = {"info", "warning", "error"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BIDI = "\u202e"


class JSONGateway(Gateway):
    """One that says what it says in JSON."""

    def __init__(self, world, routes, name):
        script = world.folder / f"{name}.sh"
        script.write_text(f'#!/bin/sh\nexec {tollgate_binary()} "$@" --log-format json\n')
        script.chmod(0o755)
        super().__init__(
            world.folder / name, routes, env=environment(GATEWAY_SECRET=SECRET), binary=script
        )

    def lines(self):
        """All that was said; every line is an object of these three members."""
        lines = [json.loads(line) for line in self.err.read_text().splitlines()]
        for line in lines:
            assert set(line) == {"time", "level", "message"}, line
            assert TIME.fullmatch(line["time"]) and line["level"] in LEVELS, line
            assert not line["message"].startswith("tollgate: "), line
        return lines

    def find(self, level, *words):
        lines = self.lines()
        return [
            line["message"]
            for line in lines
            if line["level"] == level and all(word in line["message"] for word in words)
        ]


def run(folder, text, *arguments):
    file = folder / "routes.json"
    file.write_text(text)
    command = [tollgate_binary(), "run", file, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)


def test_a_gateways_life_is_told_in_json_with_a_level_each(world):
    routes = world.routes(world.route("/x/*"))
    gateway = JSONGateway(world, routes, "life")
    try:
        assert gateway.find("info", "listening at", str(gateway.port))
        until(lambda: gateway.find("info", "issuer corp:", "key"), "the keys")
        good = gateway.file.read_text()
        gateway.file.write_text(good.replace('"routes"', '"rutes"'))
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.find("error", "nothing has changed"), "the refusal")
        # A problem with its place and its caret is one line.
        (problem,) = gateway.find("error", "rutes", 'did you mean "routes"?')
        assert "\n" in problem and "^~" in problem
        gateway.file.write_text(good)
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.find("info", "reloaded"), "the reload")
        gateway.stop()
        assert gateway.find("info", "ending")
    finally:
        gateway.end()
    world.look_for_secrets(gateway)


@pytest.mark.parametrize("form", [["--log-format", "json"], ["--log-format=json"]])
def test_why_nothing_was_started_is_json_too(tmp_path, form):
    run_ = run(tmp_path, '{ "listeners": 1 }', *form)
    assert run_.returncode == 1
    lines = [json.loads(line) for line in run_.stderr.splitlines()]
    assert {line["level"] for line in lines} == {"error"}
    assert any("listeners: expected a list" in line["message"] for line in lines)


def test_a_warning_of_the_routes_file_says_its_level_beside_it(world):
    routes = world.routes(world.route("/p/:id"), issuers={"corp": {"audiences": "any"}})
    gateway = JSONGateway(world, routes, "warned")
    try:
        for key in ("routes[0].match.path: ", "issuers.corp.audiences: "):
            (message,) = gateway.find("warning", key)
            assert "warning" not in message.splitlines()[0]
    finally:
        gateway.end()


@pytest.mark.parametrize("form", [["--log-format", "xml"], ["--log-format"], ["--log-format="]])
def test_another_format_is_a_mistake_in_how_it_is_called(tmp_path, form):
    run_ = run(tmp_path, "{}", *form)
    assert run_.returncode == 2 and "--log-format is text or json" in run_.stderr


def test_in_text_a_line_says_its_level_where_it_matters(world, person):
    routes = world.routes(world.route("/x/*"))
    with world.gateway(routes) as gateway:
        world.tokens.failing(401, {"error": "invalid_client", "error_description": "who?"})
        assert world.ask(gateway, "GET", "/x/1", person).problem == "exchange_misconfigured"
        line = until(
            lambda: [
                line
                for line in gateway.err.read_text().splitlines()
                if "exchange_misconfigured" in line or "misconfigured" in line
            ],
            "the trouble",
        )[0]
        assert line.startswith("tollgate: error: exchange corp: "), line
        # And what to do.
        assert "client id, secret and grant" in line
        listening = [line for line in gateway.err.read_text().splitlines() if "listening" in line]
        assert listening[0].startswith("tollgate: listening at ")
    world.tokens.reset()


def test_one_trouble_with_a_token_service_hides_no_other(world, person):
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        world.tokens.failing(500)
        assert world.ask(gateway, "GET", "/x/1", person).problem == "exchange_unavailable"
        world.tokens.failing(401, {"error": "invalid_client"})
        assert world.ask(gateway, "GET", "/x/2", person).problem == "exchange_misconfigured"
        until(lambda: "error: exchange corp: " in gateway.err.read_text(), "the other trouble")
        assert "warning: exchange corp: exchange_unavailable" in gateway.err.read_text()
        world.tokens.reset()
        world.tokens.claim_changes = {"aud": "billing"}
        assert world.ask(gateway, "GET", "/x/3", person).problem == "exchange_unverified"
        until(lambda: "no service gets what was issued" in gateway.err.read_text(), "the third")
    world.tokens.reset()


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_others_say_forges_no_line_and_moves_no_cursor(world, person, form):
    text = f"\n\ntollgate: listening at evil\r\x1b]0;x\x07{BIDI}\u2028\u0085\x00"
    routes = world.routes(world.route("/x/*"))
    gateway = JSONGateway(world, routes, "forged") if form == "json" else world.start(routes)
    try:
        world.tokens.failing(401, {"error": "invalid_client", "error_description": text})
        world.ask(gateway, "GET", "/x/1", person)
        until(lambda: "exchange corp" in gateway.err.read_text(), "the trouble")
        said = gateway.err.read_bytes().decode()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", said), said
        assert all(not line.startswith("tollgate: listening at evil") for line in said.split("\n"))
        if form == "json":
            gateway.lines()
        gateway.stop()
    finally:
        gateway.end()
        world.tokens.reset()


def test_what_repeats_is_left_out_and_counted(world, person):
    service = Service(world)
    check = CHECK | {"interval": "20ms", "healthyAfter": 1, "unhealthyAfter": 1}
    routes = world.routes(
        world.route("/h", forward={"to": "h"}),
        upstreams={"h": {"servers": [service.url], "healthCheck": check}},
        accessLog={"path": "-"},
    )
    times = 8
    with world.gateway(routes) as gateway:

        def well():
            text = gateway.admin("/metrics")[1]
            return re.search(r'^tollgate_upstream_healthy\{.*\} (\d)$', text, re.M).group(1)

        for _ in range(times):
            service.status = 500
            until(lambda: well() == "0", "it to be unwell")
            service.status = 200
            until(lambda: well() == "1", "it to be well again")
        # Another line is not taken for it.
        gateway.signal(signal.SIGHUP)
        until(lambda: "reloading" in gateway.err.read_text(), "the reload")
    service.close()
    lines = gateway.err.read_text().splitlines()
    for words in ("is unwell", "is well again"):
        said = [line for line in lines if words in line]
        assert len(said) == 6, said
        assert said[-1].endswith(f"(left out here {times - 5} times: it repeats)"), said
    assert said[0].startswith("tollgate: upstream")


def test_answers_to_what_the_operator_does_are_never_left_out(world):
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        reload = Reloader(gateway)
        for _ in range(8):
            reload()
        assert gateway.err.read_text().count("tollgate: reloaded") == 8


def test_a_collector_of_nothing_is_told_of_once(world):
    routes = world.routes(
        world.route("/x/*"), sharedCache={
            "url": f"redis://127.0.0.1:{free_port()}",
            "keys": [{"file": str(key_file(world))}],
        }
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        until(lambda: "sharedCache:" in gateway.err.read_text(), "the trouble")
        assert ask(gateway.port, "GET", "/x/1").status == 401
        (line,) = [line for line in gateway.err.read_text().splitlines() if "sharedCache" in line]
        assert line.startswith("tollgate: warning: sharedCache: redis://127.0.0.1:")


def key_file(world):
    file = world.folder / "cache.key"
    file.write_bytes(bytes(range(128, 160)))
    return file


def test_where_it_listens_is_said_with_what_it_speaks_there(world, tmp_path):
    probes = free_port()
    routes = world.routes(
        listeners=[
            world.clear_listener | {"name": "public"},
            {"address": f"unix:{tmp_path}/t.sock"},
            world.tls_listener | {"name": "safe"},
        ],
        admin={"address": "127.0.0.1:0", "probes": f"127.0.0.1:{probes}"},
    )
    with world.gateway(routes) as gateway:
        words = ("listening at", "admin at", "probes at")
        lines = gateway.err.read_text().splitlines()
        said = [line for line in lines if any(word in line for word in words)]
        ports = gateway.ports
        assert said == [
            f"tollgate: listening at http://127.0.0.1:{ports['public']} (public)",
            f"tollgate: listening at unix:{tmp_path}/t.sock, http",
            f"tollgate: listening at https://127.0.0.1:{ports['safe']} (safe)",
            f"tollgate: admin at http://127.0.0.1:{gateway.admin_port}/status"
            " (also /readyz, /metrics, /config)",
            f"tollgate: probes at http://127.0.0.1:{probes}/readyz (also /livez, /metrics)",
        ]
        # As it stands there it is asked.
        for line in said[:1] + said[3:]:
            url = re.search(r"http://\S+", line)[0]
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(url, timeout=20).close()
