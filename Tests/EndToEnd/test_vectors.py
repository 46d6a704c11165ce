"""Large collections of hostile requests and tokens, where TOLLGATE_VECTORS names their folder."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from harness.client import ask
from harness.waiting import free_port

folder = os.environ.get("TOLLGATE_VECTORS")
pytestmark = pytest.mark.skipif(not folder, reason="TOLLGATE_VECTORS names no folder")


def run(program, *arguments):
    command = [sys.executable, pathlib.Path(folder, program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=400)


def rows(file):
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


@pytest.mark.parametrize("protected", [False, True], ids=["public", "protected"])
@pytest.mark.parametrize("with_tls", [False, True], ids=["clear", "tls"])
def test_hostile_requests_never_reach_an_upstream_in_a_second_reading(
    world, tmp_path, protected, with_tls
):
    if with_tls and not protected:
        pytest.skip("the protected route over TLS says it all")
    backend = free_port()
    target = {"to": f"http://127.0.0.1:{backend}"}
    open_route = {"authenticate": "none", "exchange": None} if not protected else {}
    routes = world.routes(
        world.route("/api/*", forward=target, **open_route),
        listeners=[world.tls_listener if with_tls else world.clear_listener],
    )
    out = tmp_path / "results.jsonl"
    arguments = ["--port", 0, "--backend-port", backend, "--prefix", "/api", "--vhost",
                 "localhost", "--out", out, "--quiet"]  # fmt: skip
    if protected:
        arguments += ["--token", world.issuer.token("vectors")]
    if with_tls:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(world.authority.pem)
        arguments += ["--tls", "--ca", ca]
    with world.gateway(routes) as gateway:
        arguments[1] = gateway.port
        result = run("http/run.py", *arguments)
        assert out.exists(), result.stdout + result.stderr
        bad = [
            f"{row['verdict']} {row.get('name')}: {row.get('why', row.get('reason', ''))}"
            for row in rows(out)
            if row["verdict"].isupper() and row["verdict"] != "PASS"
        ]
        assert len(rows(out)) > 300
        assert not bad, "\n".join(bad)
        assert ask(gateway.port, "GET", "/other", tls=world.tls if with_tls else None).status == 404


def test_hostile_tokens_are_refused_and_good_ones_taken(world, tmp_path):
    port = free_port()
    backend = world.route("/ok", authenticate="none", exchange=None, forward=None)
    backend |= {"respond": {"status": 200, "body": "ok"}}
    world.upstream.promise.kinds["/api"] = "any"
    settings = {
        "issuer": "https://issuer.test",
        "audiences": ["https://gateway.test"],
        "jwks": f"http://127.0.0.1:{port}/jwks",
    }
    exchange = {
        "tokenService": f"http://127.0.0.1:{port}/token",
        "client": {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}},
        "verify": {"audience": "any", "subject": "any"},
    }
    routes = world.routes(
        world.route("/api/*"), issuers={"corp": settings}, exchanges={"corp": exchange}
    )
    out = tmp_path / "results.jsonl"
    with world.gateway(routes, ready="listening") as gateway:
        result = run(
            "jwt/run.py", "--port", gateway.port, "--path", "/api/x", "--issuer-port", port,
            "--sets", "main", "--out", out,
        )  # fmt: skip
        assert out.exists(), result.stdout + result.stderr
        bad = [row for row in rows(out) if row["bad"]]
        assert len(rows(out)) > 300
        assert result.returncode == 0 and not bad, result.stdout[-3000:] + str(bad[:10])
