"""What the admin address counts, as Prometheus reads it."""

import json
import re
import signal
import socket
import ssl
import subprocess
import urllib.parse
import urllib.request

import pytest
from harness.certificates import Certificate
from harness.client import ask, trusting
from harness.program import Program, environment
from harness.waiting import free_port, until


@pytest.fixture(scope="module")
def gateway(world):
    """A gateway that has served: 3 answers, 2 refusals, and a path that no route has."""
    routes = world.routes(
        world.route("/orders/*", name="orders"),
        world.route("/open/{id}", name='un"usual', authenticate="none", exchange=None),
    )
    world.upstream.promise.kinds["/open"] = "none"
    with world.gateway(routes) as gateway:
        token = world.issuer.token("counted")
        for number in range(3):
            assert world.ask(gateway, "GET", f"/orders/{number}", "counted", token).status == 200
        for number in range(2):
            assert ask(gateway.port, "POST", f"/orders/{number}").status == 401
        assert ask(gateway.port, "BREW", "/elsewhere").status == 404
        assert ask(gateway.port, "GET", "/open/secret-name").status == 200
        until(lambda: counted(gateway) == 7, "all to be counted")
        yield gateway


def samples(gateway):
    status, text = gateway.admin("/metrics")
    assert status == 200
    return dict(
        re.fullmatch(r"(\S.*) (\S+)", line).groups()
        for line in text.splitlines()
        if not line.startswith("#")
    )


def counted(gateway, **labels):
    """Requests whose labels are these."""
    total = 0
    for name, value in samples(gateway).items():
        if name.startswith("http_server_request_duration_seconds_count{") and all(
            f'{label}="{wanted}"' in name for label, wanted in labels.items()
        ):
            total += int(value)
    return total


def test_requests_are_counted_by_route_method_status_and_reason(gateway):
    assert counted(gateway, http_route="orders") == 5
    assert counted(gateway, http_route="orders", http_response_status_code=200) == 3
    assert counted(gateway, http_request_method="POST", error_type="token_missing") == 2
    assert counted(gateway, http_request_method="_OTHER", error_type="no_route") == 1
    assert counted(gateway, http_route='un\\"usual') == 1


def test_nothing_that_a_caller_chooses_is_a_label(gateway):
    text = gateway.admin("/metrics")[1]
    for word in ("secret-name", "counted", "BREW", "elsewhere", "/orders/1"):
        assert word not in text


def test_a_histogram_has_the_buckets_of_the_conventions(gateway):
    bounds = [
        re.search(r'le="([^"]+)"', name)[1]
        for name in samples(gateway)
        if name.startswith("http_server_request_duration_seconds_bucket{")
        and 'http_route="orders"' in name and 'code="200"' in name
    ]  # fmt: skip
    assert bounds == (
        "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf".split()
    )


def test_the_parts_of_a_request_have_their_own(gateway):
    found = samples(gateway)
    assert int(found["tollgate_token_verification_duration_seconds_count"]) == 1
    name = 'tollgate_upstream_response_duration_seconds_count{http_route="orders"}'
    assert int(found[name]) == 3
    assert int(found['tollgate_exchange_call_duration_seconds_count{exchange="corp"}']) == 1


def test_the_process_is_told(gateway):
    found = samples(gateway)
    assert float(found["process_start_time_seconds"]) > 1.7e9
    assert 1e6 < float(found["process_resident_memory_bytes"]) < 1e9
    assert 5 < float(found["process_open_fds"]) <= float(found["process_max_fds"])
    assert float(found["process_cpu_seconds_total"]) > 0
    assert [name for name in found if name.startswith('tollgate_build_info{version="')]


def handshakes(gateway):
    """By version and outcome; those that never were are left out."""
    found = {}
    for name, value in samples(gateway).items():
        if name.startswith("tollgate_tls_handshakes_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
            found[labels["version"], labels["outcome"]] = int(value)
    return {key: value for key, value in found.items() if value}


def test_handshakes_are_counted_by_version_and_outcome(world):
    routes = world.routes(
        world.route("/x/*"), listeners=[world.tls_listener],
        limits={"tlsHandshakeTimeout": "1s"},
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        at = ("127.0.0.1", gateway.port)

        def shake(version, session=None, context=None):
            context = context or trusting(world.authority)
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(at, 10) as raw:
                with context.wrap_socket(
                    raw, server_hostname="localhost", session=session
                ) as wrapped:
                    wrapped.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert wrapped.recv(100).startswith(b"HTTP/1.1 401")
                    return context, wrapped.session

        for _ in range(2):
            shake(ssl.TLSVersion.TLSv1_2)
        context, session = shake(ssl.TLSVersion.TLSv1_3)
        shake(ssl.TLSVersion.TLSv1_3, session, context)
        strangers = trusting(Certificate(["Another authority"], authority=True))
        with socket.create_connection(at, 10) as raw, pytest.raises(ssl.SSLError):
            strangers.wrap_socket(raw, server_hostname="localhost")
        assert ask(gateway.port, "GET", "/in-the-clear").status == 400
        with socket.create_connection(at, 10) as silent:
            assert silent.recv(1) == b""
        wanted = {
            ("1.2", "completed"): 2, ("1.3", "completed"): 1, ("1.3", "resumed"): 1,
            ("none", "failed"): 1, ("none", "clear-text"): 1, ("none", "timed-out"): 1,
        }  # fmt: skip
        until(lambda: handshakes(gateway) == wanted, "all to be counted")
        found = samples(gateway)
        assert int(found["tollgate_tls_handshake_duration_seconds_count"]) == 4
        assert 0 < float(found["tollgate_tls_handshake_duration_seconds_sum"]) < 60


def test_reloads_are_counted_by_outcome(world):
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:

        def reloads():
            found = samples(gateway)
            name = "tollgate_config_reloads_total"
            return [int(found[f'{name}{{outcome="{word}"}}']) for word in ("done", "refused")]

        assert reloads() == [0, 0]
        good = gateway.file.read_text()
        for text, wanted in (("{", [0, 1]), (good, [1, 1]), (good, [2, 1])):
            gateway.file.write_text(text)
            assert gateway.admin("/reload", "POST")[0] == (200 if text == good else 422)
            assert reloads() == wanted


def test_lines_that_were_dropped_are_counted(world):
    routes = world.routes(world.route("/x/*"), accessLog={"path": "/dev/full"})
    with world.gateway(routes) as gateway:
        assert ask(gateway.port, "GET", "/nowhere").status == 404
        name = "tollgate_access_log_dropped_lines_total"
        until(lambda: int(samples(gateway)[name]) == 1, "the line to be dropped")


def test_promtool_finds_nothing_to_complain_of(gateway):
    told = subprocess.run(
        ["promtool", "check", "metrics"], input=gateway.admin("/metrics")[1], text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert told.returncode == 0 and not told.stdout and not told.stderr


def test_numbers_outlive_a_reload(world, gateway):
    before = counted(gateway, http_route="orders")
    changed = gateway.routes | {"limits": {"headerCount": 99}}
    gateway.file.write_text(json.dumps(changed, indent=2))
    gateway.signal(signal.SIGHUP)
    until(lambda: "reload" in gateway.said(), "a reload")
    assert counted(gateway, http_route="orders") == before
    assert ask(gateway.port, "GET", "/orders/9").status == 401
    until(lambda: counted(gateway, http_route="orders") == before + 1, "one more")


def test_prometheus_scrapes_it(gateway, tmp_path):
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"""
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: tollgate
    static_configs: [{{ targets: ["127.0.0.1:{gateway.admin_port}"] }}]
"""
    )

    def query(text):
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(text)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    command = [
        "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    prometheus = Program(command, tmp_path, "prometheus", env=environment())
    try:
        prometheus.wait_until(lambda: scraped(query), "a scrape", 60)
        found = query(
            'sum by (http_route) (http_server_request_duration_seconds_count{error_type=""})'
        )
        counts = {result["metric"].get("http_route"): int(result["value"][1]) for result in found}
        assert counts["orders"] == 3
        quantile = query(
            "histogram_quantile(0.5, sum by (le) (http_server_request_duration_seconds_bucket))"
        )
        assert 0 < float(quantile[0]["value"][1]) < 10
    finally:
        prometheus.end()


def scraped(query):
    try:
        return query("up == 1")
    except OSError:
        return None
