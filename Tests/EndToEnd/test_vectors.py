"""Large collections of hostile requests and tokens, where TOLLGATE_VECTORS names their folder.

Every row of them is judged: a row that was left out fails as one that went wrong does.
"""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest
from harness.client import Connection, ask
from harness.waiting import free_port

folder = os.environ.get("TOLLGATE_VECTORS")
pytestmark = pytest.mark.skipif(not folder, reason="TOLLGATE_VECTORS names no folder")

# Rows on which servers in good standing differ and this one is on the lenient side, with the
# reason. Nothing else may be judged anything but PASS.
LENIENT = {
    # `%` is a letter of field names (RFC 9110 §5.6.2): Transfer-%45ncoding is a field like others,
    # that nobody decodes, and the Content-Length beside it frames the request.
    "te/obf-encode",
}


def rows(file):
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


class TLSRelay:
    """Takes connections in the clear to a port of TLS, all in one thread.

    The collection's own TLS reads and writes one session in two threads, which OpenSSL forbids.
    """

    def __init__(self, port, context):
        self.target, self.context = port, context
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.relay, "127.0.0.1", self.port, limit=1 << 20)
        )
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def relay(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self.target, ssl=self.context, server_hostname="localhost"
        )
        # Whichever end goes, the other goes too.
        both = [
            asyncio.ensure_future(self.copy(reader, far_writer)),
            asyncio.ensure_future(self.copy(far_reader, writer)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for copying in both:
            copying.cancel()
        writer.close()
        far_writer.close()

    @staticmethod
    async def copy(reader, writer):
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

    def close(self):
        async def end():
            self.server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


KINDS = ("public", "protected", "protected over TLS")


@pytest.fixture(scope="module")
def judged(world, tmp_path_factory):
    """The requests sent to a public and to a protected route, and over TLS, all at once: mostly
    they wait."""
    judging, results = {}, {}
    with contextlib.ExitStack() as closing:
        for kind in KINDS:
            backend = free_port()
            changes = {"authenticate": "none", "exchange": None} if kind == "public" else {}
            target = {"to": f"http://127.0.0.1:{backend}"}
            listener = world.tls_listener if "TLS" in kind else world.clear_listener
            routes = [world.route("/api/*", forward=target, **changes)]
            if kind == "protected":
                # A route that has the queries and cookies of all others' requests written anew.
                places = ["cookie:session", "query:access_token"]
                routes.append(world.route("/places/*", authenticate={"from": places}))
            routes = world.routes(*routes, listeners=[listener])
            gateway = closing.enter_context(world.gateway(routes))
            port = gateway.port
            if "TLS" in kind:
                relay = TLSRelay(gateway.port, world.tls)
                closing.callback(relay.close)
                port = relay.port
            out = tmp_path_factory.mktemp("vectors") / "results.jsonl"
            command = [sys.executable, pathlib.Path(folder, "http/run.py"), "--port", port,
                       "--backend-port", backend, "--prefix", "/api", "--vhost", "localhost",
                       "--out", out, "--quiet"]  # fmt: skip
            if "TLS" in kind:
                command += ["--wait", "3"]
            if kind != "public":
                command += ["--token", world.issuer.token("vectors")]
            judge = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            judging[kind] = (judge, out, gateway)
        for kind, (judge, out, gateway) in judging.items():
            said, _ = judge.communicate(timeout=300)
            tls = world.tls if "TLS" in kind else None
            alive = ask(gateway.port, "GET", "/other", tls=tls).status == 404
            results[kind] = (judge.returncode, said, rows(out) if out.exists() else [], alive)
    return results


@pytest.mark.timeout(330)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_requests_never_reach_an_upstream_in_a_second_reading(judged, kind):
    status, said, judgements, alive = judged[kind]
    assert status in (0, 1) and judgements, said
    bad = [
        f"{row['verdict']} {row['id']}: {row['why']}"
        for row in judgements
        if row["verdict"] != "PASS" and row["id"] not in LENIENT
    ]
    assert not bad, "\n".join(bad)
    assert alive
    wanted = rows(pathlib.Path(folder, "http/requests.jsonl"))
    left_out = {row["id"] for row in wanted if row.get("needs") == "token" and kind == "public"}
    counts = collections.Counter(row["id"] for row in judgements)
    assert counts == {row["id"]: 1 for row in wanted if row["id"] not in left_out}
    assert not left_out or kind == "public", "what needs a token is judged on the protected route"


# -- tokens

# Rows whose expectation is not what a request can show, with the reason.
TAKEN = {
    # A tab after the token is white space around the field's value (RFC 9110 §5.5), and not a part
    # of the token that the gateway sees.
    "b64url/signature-tab-end",
}


def text_of(row):
    """The token; large ones are written as pieces and how often each comes."""
    return row["token"] if "token" in row else "".join(t * n for t, n in row["token_parts"])


def answer_to(gateway, token):
    """(status, reason), or ("closed", None)."""
    head = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "
    try:
        with Connection(gateway.port) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(head + token.encode("utf-8", "surrogatepass") + b"\r\n\r\n")
            answer = connection.answer()
            return answer.status, None if answer.status == 200 else answer.problem
    except ConnectionResetError:
        return "closed", None


def wrong_with(row, token, status, reason, calls, has_keys):
    """What is wrong with the answer to a row, or None."""
    # Where none of the set's keys can be used, no token can be judged: 503, and never let through.
    refused = status in (400, 401) or (not has_keys and reason == "keys_unavailable")
    if row["class"] == "limits" or len(token) > 16_000:
        refused = refused or status in (413, 431, "closed")
    if status != 200 and not refused:
        return f"answered {status} ({reason})"
    if status != 200 and calls:
        return "refused, and went to the token service"
    # What is only a signature's test has a payload that is no claims set: the gateway takes none.
    expect = "reject" if row["level"] == "jws" or row["name"] in TAKEN else row["expect"]
    if row["name"] in TAKEN:
        return None if status == 200 else f"answered {status}"
    if expect == "accept" and status != 200:
        return f"a good token was answered {status} ({reason})"
    return "A BAD TOKEN WAS TAKEN" if expect == "reject" and status == 200 else None


@pytest.mark.timeout(600)
def test_hostile_tokens_are_refused_and_good_ones_taken(world, tmp_path):
    """Each key set has a gateway of its own; the collection's tokens are all of one issuer."""
    world.upstream.promise.kinds["/api"] = "any"
    sets = collections.defaultdict(list)
    for row in rows(pathlib.Path(folder, "jwt/vectors.jsonl")):
        sets[row["jwks_id"]].append(row)
    answer = {"access_token": "exchanged", "token_type": "Bearer", "expires_in": 300}
    world.tokens.failing(200, answer)  # whatever it is asked, and without a look at the token
    bad, judged = [], 0
    for number, group in enumerate(sets.values()):
        keys = tmp_path / f"keys-{number}.json"
        keys.write_text(json.dumps(group[0]["jwks"]))
        settings = {
            "issuer": "https://issuer.test",
            "audiences": ["https://gateway.test"],
            "jwks": str(keys),
        }
        routes = world.routes(
            world.route("/api/*"),
            issuers={"corp": settings},
            exchanges={"corp": {"verify": {"audience": "any", "subject": "any"}}},
            workers=1,
        )
        with world.gateway(routes, ready="listening") as gateway:
            has_keys = gateway.admin("/readyz")[0] == 200
            for row in group:
                token = text_of(row)
                before = len(world.tokens.calls)
                status, reason = answer_to(gateway, token)
                wrong = wrong_with(
                    row, token, status, reason, len(world.tokens.calls) - before, has_keys
                )
                if wrong:
                    bad.append(f"{row['name']} ({row['jwks_id']}): {wrong}; {row['reason']}")
                judged += 1
            assert gateway.live()
    assert not bad, "\n".join(bad)
    assert judged == sum(1 for _ in open(pathlib.Path(folder, "jwt/vectors.jsonl"), "rb"))
