"""Large collections of hostile requests and tokens, where TOLLGATE_VECTORS names their folder."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
from harness.client import ask
from harness.program import Program
from harness.waiting import free_port

folder = os.environ.get("TOLLGATE_VECTORS")
pytestmark = pytest.mark.skipif(not folder, reason="TOLLGATE_VECTORS names no folder")


def run(program, *arguments):
    return subprocess.Popen(
        [sys.executable, pathlib.Path(folder, program), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(file):
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


@pytest.fixture(scope="module")
def judged(world, tmp_path_factory):
    """The requests sent to a public and to a protected route at once: mostly they wait."""
    judging, results = {}, {}
    with contextlib.ExitStack() as closing:
        for kind in ("public", "protected"):
            backend = free_port()
            changes = {} if kind == "protected" else {"authenticate": "none", "exchange": None}
            target = {"to": f"http://127.0.0.1:{backend}"}
            routes = [world.route("/api/*", forward=target, **changes)]
            if kind == "protected":
                # A route that has the queries and cookies of all others' requests written anew.
                places = ["cookie:session", "query:access_token"]
                routes.append(world.route("/places/*", authenticate={"from": places}))
            routes = world.routes(*routes)
            gateway = closing.enter_context(world.gateway(routes))
            out = tmp_path_factory.mktemp(kind) / "results.jsonl"
            arguments = ["--port", gateway.port, "--backend-port", backend, "--prefix", "/api",
                         "--vhost", "localhost", "--out", out, "--quiet"]  # fmt: skip
            if kind == "protected":
                arguments += ["--token", world.issuer.token("vectors")]
            judging[kind] = (run("http/run.py", *arguments), out, gateway)
        for kind, (judge, out, gateway) in judging.items():
            said, _ = judge.communicate(timeout=300)
            alive = ask(gateway.port, "GET", "/other").status == 404
            results[kind] = (judge.returncode, said, rows(out) if out.exists() else [], alive)
    return results


@pytest.mark.timeout(330)
@pytest.mark.parametrize("kind", ["public", "protected"])
def test_hostile_requests_never_reach_an_upstream_in_a_second_reading(judged, kind):
    status, said, judgements, alive = judged[kind]
    assert status in (0, 1) and judgements, said
    bad = [
        f"{row['verdict']} {row['id']}: {row['why']}"
        for row in judgements
        if row["verdict"].isupper() and row["verdict"] != "PASS"
    ]
    assert not bad, "\n".join(bad)
    assert alive and len(judgements) > 300


def test_hostile_tokens_are_refused_and_good_ones_taken(world, tmp_path):
    port = free_port()
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
    # The collection serves its own keys and token endpoint: once to let the gateway have the keys,
    # and again, on the same port, while it sends its tokens.
    command = [sys.executable, pathlib.Path(folder, "jwt/serve.py"), "--port", port]
    server = Program(command, tmp_path, "serve")
    with world.gateway(routes) as gateway:
        server.end()
        judge = run(
            "jwt/run.py", "--port", gateway.port, "--path", "/api/x", "--issuer-port", port,
            "--sets", "main", "--out", out,
        )  # fmt: skip
        said, _ = judge.communicate(timeout=80)
        assert out.exists(), said
        # A tab after the token is white space around the field's value (RFC 9110 §5.5), and not a
        # part of the token that the gateway sees.
        bad = [
            f"{row['name']}: {row['bad']}"
            for row in rows(out)
            if row["bad"] and row["name"] != "b64url/signature-tab-end"
        ]
        assert not bad, "\n".join(bad)
        assert len(rows(out)) > 300, "the gateway went away"
