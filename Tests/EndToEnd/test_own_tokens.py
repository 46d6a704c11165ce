"""Client credentials: the gateway's own token, for systems that call and for public routes."""

import json
import subprocess
import threading

import pytest
from harness.client import Connection
from harness.keys import claims_of
from harness.program import environment, tollgate_binary
from harness.token_service import CLIENT_CREDENTIALS
from harness.waiting import until
from harness.world import SECRET

HEADER = "X-Calling-Client"


def own(world, **more):
    client = {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}}
    return {
        "tokenService": world.tokens.endpoint, "grant": "client-credentials",
        "client": client, "retries": 0,
    } | more  # fmt: skip


def system_route(world, path, target=None, **more):
    route = {
        "authenticate": {"scope": "jobs"},
        "admit": {"system": "client-credentials"},
        "clientCredentials": target or {"audience": "orders", "callerHeader": HEADER},
    }
    return world.route(path, **(route | more))


def public_route(world, path, target=None):
    return world.route(
        path, authenticate="none", exchange=None, clientCredentials=target or {"audience": "orders"}
    )


@pytest.fixture(scope="module")
def gateway(world):
    whole = {
        "with": "own", "audience": ["orders", "more"], "resource": "urn:r", "scope": ["a", "b"],
        "callerHeader": HEADER.replace("-", "_"),
    }  # fmt: skip
    routes = world.routes(
        world.route("/*"),
        system_route(world, "/jobs/*"),
        system_route(world, "/whole/*", whole),
        system_route(world, "/stripped/*", exchange="strip"),
        public_route(world, "/open/*"),
        world.route("/bare/*", authenticate="none", exchange=None),
        exchanges={"corp": {"retries": 0}, "own": own(world)},
    )
    promise = world.upstream.promise
    promise.kinds |= {path: "own" for path in ("/jobs/sys", "/whole", "/open")}
    promise.kinds |= {"/stripped/person": "none", "/bare": "none", "/stripped/sys": "own"}
    promise.audiences["/whole"] = ["orders", "more", "urn:r"]
    with world.gateway(routes) as gateway:
        yield gateway


def own_calls(world):
    return [call for call in world.tokens.calls if call.value("grant_type") == CLIENT_CREDENTIALS]


def job(world, name="batch-job", **changes):
    return world.issuer.system_token(name, **({"scope": "jobs"} | changes))


def test_a_systems_request_goes_on_with_the_gateways_own_token(world, gateway):
    answer = world.ask(gateway, "GET", "/jobs/sys/1", "batch-job", job(world))
    assert answer.status == 200, answer
    bearer = answer.seen("authorization")[0].removeprefix("Bearer ")
    assert claims_of(bearer)["sub"] == "gateway"
    assert answer.seen(HEADER) == ["batch-job"]
    record = gateway.logged(path="/jobs/sys/1")
    assert record["exchange"] == "client-credentials"
    assert record["client_id"] == "batch-job"
    assert record["identity"] == "system"
    assert record["audience"] == "orders"


def test_the_call_is_as_rfc_6749_says(world, gateway):
    assert world.ask(gateway, "GET", "/whole/1", "batch-job", job(world)).status == 200
    call = own_calls(world)[-1]
    assert sorted(call.form) == sorted(
        [
            ("grant_type", CLIENT_CREDENTIALS),
            ("audience", "orders"),
            ("audience", "more"),
            ("resource", "urn:r"),
            ("scope", "a b"),
        ]
    )
    assert call.authorization.startswith("Basic ")


def test_one_token_serves_all_callers_and_routes_of_a_target(world, gateway):
    bearers = set()
    before = len(own_calls(world))
    for number in range(20):
        token = job(world, f"job-{number}")
        for path in ("/jobs/sys/x", "/stripped/sys", "/open/x"):
            answer = world.ask(gateway, "GET", path, f"job-{number}", token)
            assert answer.status == 200, answer
            bearers.add(answer.seen("authorization")[0])
    assert len(bearers) == 1
    assert len(own_calls(world)) - before <= 1


def test_people_on_the_same_route_are_exchanged_as_ever(world, gateway, person):
    token = world.issuer.token(person, scope="jobs")
    answer = world.ask(gateway, "GET", "/jobs/person", person, token)
    assert answer.status == 200, answer
    assert claims_of(answer.seen("authorization")[0].removeprefix("Bearer "))["sub"] == person
    assert answer.seen(HEADER) == []
    assert gateway.logged(path="/jobs/person")["exchange"] == "miss"
    assert world.ask(gateway, "GET", "/stripped/person", person, token).status == 200


def test_a_system_needs_what_the_route_asks_for(world, gateway):
    calls = len(world.tokens.calls)
    token = world.issuer.system_token("curious", scope="other")
    answer = world.ask(gateway, "GET", "/jobs/sys/no", "curious", token)
    assert (answer.status, answer.problem) == (403, "scope_missing")
    answer = world.ask(gateway, "GET", "/plain", "batch-job", job(world))
    assert (answer.status, answer.problem) == (403, "system_identity")
    assert len(world.tokens.calls) == calls


@pytest.mark.parametrize(
    "claims, sent",
    [
        ({"client_id": "one", "azp": "two"}, "one"),
        ({"client_id": None, "azp": "two"}, "two"),
        ({"client_id": None, "azp": None}, "batch-job"),
        ({"client_id": "a b%ü\r\nX-Evil: 1"}, "a%20b%25%C3%BC%0D%0AX-Evil:%201"),
    ],
    ids=str,
)
def test_the_callers_client_id_goes_on_and_into_the_log(world, gateway, claims, sent, person):
    token = job(world, **claims)
    path = f"/jobs/sys/{person}"
    answer = world.ask(gateway, "GET", path, "batch-job", token)
    assert answer.status == 200, answer
    assert answer.seen(HEADER) == [sent]
    assert answer.seen("X-Evil") == []
    logged = gateway.logged(path=path)["client_id"]
    assert logged == next(v for v in [*claims.values(), "batch-job"] if v)


@pytest.mark.parametrize("path", ["/jobs/sys/f", "/whole/f", "/open/f", "/bare/f", "/plain"])
def test_nobody_can_say_who_calls_but_the_gateway(world, gateway, person, path):
    """Dropped on every route, however it is spelled, also as a trailer."""
    names = ["X-Calling-Client", "x-calling-client", "X_Calling_Client", "x_CALLING-client"]
    fields = [(name, "forged") for name in names] + [("X-Calling-Clients", "stays")]
    system = path.startswith(("/jobs", "/whole"))
    who = "batch-job" if system else person
    token = job(world) if system else (world.issuer.token(person) if path == "/plain" else False)
    answer = world.ask(gateway, "GET", path, who, token, fields=fields)
    assert answer.status == 200, answer
    told = [v for name in set(map(str.lower, names)) for v in answer.seen(name)]
    assert told == (["batch-job"] if system else [])
    assert answer.seen("X-Calling-Clients") == ["stays"]

    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"X-Test-Person: {who}",
             "Transfer-Encoding: chunked", "Connection: X-Calling-Client"]  # fmt: skip
    if token:
        lines.append(f"Authorization: Bearer {token}")
    trailers = "".join(f"{name}: forged\r\n" for name in [*names, "X-Ok"])
    with Connection(gateway.port) as connection:
        connection.send("\r\n".join(lines) + f"\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n")
        assert connection.answer().status == 200
    received = world.upstream.seen(path)[-1]
    assert b"forged" not in received.head
    assert received.trailer_bytes.count(b"forged") == 1  # of X-Ok


def test_a_public_route_may_bear_the_gateways_own_token(world, gateway):
    answer = world.ask(gateway, "GET", "/open/1")
    assert answer.status == 200, answer
    assert claims_of(answer.seen("authorization")[0].removeprefix("Bearer "))["sub"] == "gateway"
    # What a caller brings is dropped, and never looked at.
    answer = world.ask(gateway, "GET", "/open/2", "somebody", "not.even.a-token")
    assert claims_of(answer.seen("authorization")[0].removeprefix("Bearer "))["sub"] == "gateway"
    record = gateway.logged(path="/open/1")
    assert (record["exchange"], record["auth"]) == ("client-credentials", "none")
    assert world.ask(gateway, "GET", "/bare/1").seen("authorization") == []


# -- how it is kept, and how it fails


def alone(world, path="/own/*", **exchange):
    world.upstream.promise.kinds["/own"] = "own"
    return world.routes(
        public_route(world, path), exchanges={"corp": None, "own": own(world, **exchange)}
    )


def test_concurrent_callers_wait_for_one_call(world):
    with world.gateway(alone(world)) as gateway:
        before = len(own_calls(world))
        gate, answers = world.tokens.held(), []
        threads = [
            threading.Thread(target=lambda: answers.append(world.ask(gateway, "GET", "/own/x")))
            for _ in range(24)
        ]
        for thread in threads:
            thread.start()
        assert world.tokens.wait_for_calls(1) == 1
        gate.set()
        for thread in threads:
            thread.join(30)
        assert [answer.status for answer in answers] == [200] * 24
        assert len(own_calls(world)) - before == 1


def test_it_is_had_anew_before_it_ends(world):
    world.tokens.lifetime = 5
    with world.gateway(alone(world)) as gateway:
        before = len(own_calls(world))

        def ask():
            # The upstream's promise refuses a token that has ended.
            assert world.ask(gateway, "GET", "/own/x").status == 200
            return len(own_calls(world)) - before >= 2

        until(ask, "a second token", 15, pause=0.1)


def test_a_token_without_an_end_is_used_once(world):
    world.tokens.claim_changes, world.tokens.answer_changes = {"exp": None}, {"expires_in": None}
    with world.gateway(alone(world)) as gateway:
        world.upstream.promise.kinds["/own/endless"] = "any"
        before = len(own_calls(world))
        for _ in range(3):
            assert world.ask(gateway, "GET", "/own/endless").status == 200
        assert len(own_calls(world)) - before == 3


@pytest.mark.parametrize(
    "status, body, problem",
    [
        (400, {"error": "invalid_grant"}, (403, "exchange_denied")),
        (400, {"error": "invalid_scope"}, (403, "exchange_denied")),
        (401, {"error": "invalid_client"}, (502, "exchange_misconfigured")),
        (400, {"error": "unauthorized_client"}, (502, "exchange_misconfigured")),
        (500, {}, (503, "exchange_unavailable")),
        (302, {}, (502, "exchange_misconfigured")),
        (200, b"<html>", (502, "exchange_misconfigured")),
        (429, {"error": "slow_down"}, (503, "exchange_unavailable")),
    ],
    ids=str,
)
def test_a_refusal_is_the_gateways_and_never_the_callers(world, status, body, problem):
    """No 401: a public route's caller has no token that could be wrong."""
    with world.gateway(alone(world, cache={"denied": "0s"})) as gateway:
        world.tokens.failing(status, body)
        answer = world.ask(gateway, "GET", "/own/refused")
        assert (answer.status, answer.problem) == problem
        assert answer.value("www-authenticate") is None
        word = gateway.logged(path="/own/refused")["exchange"]
        assert word in ("denied", "failed")
        assert world.upstream.seen("/own/refused") == []
        world.tokens.reset()
        assert world.ask(gateway, "GET", "/own/again").status == 200


def test_the_audience_is_verified_and_the_subject_is_not(world):
    with world.gateway(alone(world)) as gateway:
        world.tokens.claim_changes = {"aud": "billing"}
        answer = world.ask(gateway, "GET", "/own/x")
        assert (answer.status, answer.problem) == (502, "exchange_unverified")
        world.tokens.claim_changes = {"sub": "the-gateways-account"}
        assert world.ask(gateway, "GET", "/own/x").status == 200


# -- what the file may say


def test_clients_credentials_have_their_places(world, tmp_path):
    def complaint(*routes, **exchanges):
        text = world.routes(*routes, exchanges={"own": own(world)} | exchanges)
        text["listeners"] = [{"address": "127.0.0.1:0"}]
        (tmp_path / "routes.json").write_text(json.dumps(text, indent=1))
        run = subprocess.run(
            [tollgate_binary(), "check", "routes.json"], cwd=tmp_path, capture_output=True,
            text=True, env=environment(GATEWAY_SECRET=SECRET), timeout=30,
        )  # fmt: skip
        return run.returncode, run.stdout + run.stderr

    assert complaint(system_route(world, "/a"), public_route(world, "/b"))[0] == 0
    for route, text in (
        (system_route(world, "/a", authenticate={"scope": []}), "needs authenticate.scope"),
        (system_route(world, "/a", admit={"system": "reject"}), "only with \"admit\""),
        (system_route(world, "/a", {"with": "corp"}), "its grant is token-exchange"),
        (world.route("/a", exchange={"with": "own"}), "its grant is client-credentials"),
        (system_route(world, "/a", {"callerHeader": "Authorization"}), "another meaning"),
    ):
        status, said = complaint(route)
        assert status == 1 and text in said, said
