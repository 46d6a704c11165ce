"""The grants: RFC 8693 with every parameter, Entra's on-behalf-of, and what is verified of both.

Client credentials, which stand for no caller, are test_own_tokens.py's.
"""

import threading

import pytest
from harness.issuer import Issuer
from harness.keys import Key, claims_of, mint
from harness.token_service import ACCESS_TOKEN, EXCHANGE, ON_BEHALF_OF
from harness.waiting import until
from harness.world import SECRET

JWT = "urn:ietf:params:oauth:token-type:jwt"


def exchange_of(world, gateway, person, path="/x", **changes):
    token = world.issuer.token(person, **changes)
    answer = world.ask(gateway, "GET", path, person, token)
    return answer, world.tokens.calls_for(token)


# -- RFC 8693


def test_every_parameter_is_sent_as_rfc_8693_names_it(world, person):
    exchange = {
        "subjectTokenType": JWT,
        "requestedTokenType": ACCESS_TOKEN,
        "actorToken": {"env": "ACTOR_TOKEN"},
        "actorTokenType": JWT,
        "parameters": {"tenant": ["a&b", "c"], "über": "1"},
    }
    target = {
        "audience": ["one", "two"],
        "resource": ["https://r.example/a?b=c", "urn:r:2"],
        "scope": ["read", "write"],
    }
    routes = world.routes(
        world.route("/whole/*", exchange=target), exchanges={"corp": exchange}
    )
    world.upstream.promise.audiences["/whole"] = [*target["audience"], *target["resource"]]
    world.tokens.wrong_with = lambda handler, call: None  # `tenant` comes twice, as it was told
    try:
        with world.gateway(routes, environ={"ACTOR_TOKEN": "acting.token+1"}) as gateway:
            answer, calls = exchange_of(world, gateway, person, "/whole/x")
    finally:
        del world.tokens.wrong_with
    assert answer.status == 200, answer
    (call,) = calls
    assert sorted(call.form) == sorted(
        [
            ("grant_type", EXCHANGE),
            ("subject_token", call.subject),
            ("subject_token_type", JWT),
            ("requested_token_type", ACCESS_TOKEN),
            ("actor_token", "acting.token+1"),
            ("actor_token_type", JWT),
            ("audience", "one"),
            ("audience", "two"),
            ("resource", "https://r.example/a?b=c"),
            ("resource", "urn:r:2"),
            ("scope", "read write"),
            ("tenant", "a&b"),
            ("tenant", "c"),
            ("über", "1"),
        ]
    )
    for file in gateway.folder.glob("*"):
        if file.is_file():
            assert b"acting.token" not in file.read_bytes(), file.name


def test_targets_that_differ_in_anything_share_nothing(world, person):
    """Scope, resource, grant: what is asked for is part of what is kept."""
    more = {
        "/a": {"audience": "orders"},
        "/b": {"audience": "orders", "scope": "read"},
        "/c": {"audience": "orders", "resource": "urn:r"},
        "/d": {"audience": "orders", "with": "other"},
    }
    client = {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}}
    other = {"tokenService": world.tokens.endpoint, "client": client, "parameters": {"x": "1"}}
    routes = world.routes(
        *(world.route(path, exchange={"with": "corp"} | to) for path, to in more.items()),
        exchanges={"other": other},
    )
    world.upstream.promise.audiences["/c"] = ["orders", "urn:r"]
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        seen = set()
        for _ in range(3):
            for path in more:
                answer = world.ask(gateway, "GET", path, person, token)
                assert answer.status == 200, answer
                seen.add((path, answer.seen("authorization")[0]))
        assert len(world.tokens.calls_for(token)) == len(more)
        assert len({bearer for _, bearer in seen}) == len(seen) == len(more)


# -- on-behalf-of


ENTRA = {"grant": "on-behalf-of", "client": {"method": "client_secret_post"}}
SCOPE = "api://orders/.default"


@pytest.fixture(scope="module")
def behalf(world):
    routes = world.routes(
        world.route("/*", exchange={"audience": None, "scope": [SCOPE]}),
        exchanges={"corp": ENTRA | {"retries": 0}},
    )
    world.upstream.promise.audiences["/behalf"] = "api://orders"
    with world.gateway(routes) as gateway:
        yield gateway


def on_behalf(world, gateway, person, path="/behalf/x", **changes):
    world.tokens.method = "client_secret_post"
    return exchange_of(world, gateway, person, path, **({"oid": f"oid-{person}"} | changes))


def test_on_behalf_of_has_the_form_that_entra_documents(world, behalf, person):
    answer, calls = on_behalf(world, behalf, person)
    assert answer.status == 200, answer
    (call,) = calls
    assert dict(call.form) == {
        "grant_type": ON_BEHALF_OF,
        "client_id": "gateway",
        "client_secret": SECRET,
        "assertion": call.value("assertion"),
        "scope": SCOPE,
        "requested_token_use": "on_behalf_of",
    }
    assert len(call.form) == 6
    exchanged = answer.seen("authorization")[0].removeprefix("Bearer ")
    assert claims_of(exchanged)["sub"] == f"pairwise-{person}"
    assert world.ask(behalf, "GET", "/behalf/x", person, call.subject).status == 200
    assert len(world.tokens.calls_for(call.subject)) == 1


@pytest.mark.parametrize("changes", [{"oid": "oid-of-somebody-else"}, {"oid": None}], ids=str)
def test_on_behalf_of_another_person_is_not_sent_on(world, behalf, person, changes):
    world.tokens.claim_changes = changes
    answer, _ = on_behalf(world, behalf, person)
    assert (answer.status, answer.problem) == (502, "exchange_unverified")
    assert world.upstream.seen(person=person) == []


def test_entras_wish_for_interaction_is_passed_on(world, behalf, person):
    wanted = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    world.tokens.failing(
        400,
        {"error": "interaction_required", "error_description": "AADSTS50076", "claims": wanted},
    )
    answer, _ = on_behalf(world, behalf, person)
    assert (answer.status, answer.problem) == (401, "subject_refused")
    assert "claims=" in answer.value("www-authenticate")


def test_a_systems_token_never_reaches_on_behalf_of(world, behalf):
    calls = len(world.tokens.calls)
    answer = world.ask(behalf, "GET", "/behalf/x", "batch", world.issuer.system_token())
    assert (answer.status, answer.problem) == (403, "system_identity")
    assert len(world.tokens.calls) == calls


# -- verify.signature


@pytest.fixture(scope="module")
def signed(world):
    """A gateway that knows the token service as an issuer, and checks what it signs."""
    issuers = {
        "tokens": {
            "issuer": world.tokens.url,
            "audiences": ["nobody"],
            "jwks": world.tokens.url + "/jwks",
        }
    }
    routes = world.routes(
        issuers=issuers,
        exchanges={"corp": {"retries": 0, "verify": {"signature": True}}},
    )
    with world.gateway(routes) as gateway:
        yield gateway


def refused(world, gateway, person):
    answer, _ = exchange_of(world, gateway, person, f"/refused/{person}")
    assert (answer.status, answer.problem) == (502, "exchange_unverified"), answer
    assert world.upstream.seen(person=person) == []
    return gateway.logged(path=f"/refused/{person}", status=502)["exchange_error"]


def answering(world, person, key=None, header=None, **changes):
    """The token service answers with a token made here."""
    token = mint(
        key or world.tokens.key,
        claims_of(world.tokens.issue(world.issuer.token(person), Asked()) ["access_token"])
        | changes,
        header,
    )  # fmt: skip
    body = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
    world.tokens.failing(200, body)


class Asked:
    """A call for `orders`, as far as `issue` looks at it."""

    def values(self, name):
        return ["orders"] if name == "audience" else []

    def value(self, name):
        return None


def test_an_issued_signature_that_holds_is_taken(world, signed, person):
    assert exchange_of(world, signed, person)[0].status == 200


def test_an_issued_signature_by_another_key_is_refused(world, signed, person):
    other = Key("ES256", kid=world.tokens.key.kid)
    answering(world, person, key=other)
    assert "signature" in refused(world, signed, person)


def test_an_issued_token_of_an_unknown_issuer_is_refused(world, signed, person):
    answering(world, person, iss="https://elsewhere.example")
    assert "issuer" in refused(world, signed, person)


@pytest.mark.parametrize("token", ["opaque-token", "a.b.c"])
def test_what_is_no_jwt_has_no_signature(world, signed, person, token):
    world.tokens.failing(
        200, {"access_token": token, "token_type": "Bearer", "expires_in": 300})  # fmt: skip
    assert "no JWT" in refused(world, signed, person)


def test_an_unsigned_issued_token_is_refused(world, signed, person):
    answering(world, person, header={"alg": "none"})
    refused(world, signed, person)


def test_an_unknown_key_is_asked_for_and_then_refused(world, signed, person):
    answering(world, person, key=Key("ES256", kid="nobody-has-this"))
    refused(world, signed, person)


def test_the_keys_are_waited_for(person, tmp_path, world):
    """Their first fetch is still under way when the first token comes back."""
    other = Issuer()
    other.gate = threading.Event()
    issuers = {"other": {"issuer": other.url, "audiences": ["nobody"]}}
    routes = world.routes(
        issuers=issuers,
        exchanges={"corp": {"retries": 0, "verify": {"signature": True, "subject": "any"}}},
    )
    try:
        with world.gateway(routes, ready="listening") as gateway:
            until(lambda: other.fetched() == 1, "the keys to be asked for")
            world.upstream.promise.kinds["/waited"] = "any"
            issued = other.token("x", aud="orders")
            world.tokens.failing(
                200, {"access_token": issued, "token_type": "Bearer", "expires_in": 300})
            token = until(
                lambda: (t := world.issuer.token(person)) and
                world.ask(gateway, "GET", "/none", person, "no-token").status == 401 and t,
                "the gateway to answer",
            )  # fmt: skip
            answers = []
            thread = threading.Thread(
                target=lambda: answers.append(
                    world.ask(gateway, "GET", "/waited/x", person, token)
                )
            )
            thread.start()
            until(lambda: world.tokens.calls_for(token), "the exchange to be made")
            assert answers == []
            other.gate.set()
            thread.join(20)
            assert [answer.status for answer in answers] == [200], answers
            assert answers[0].seen("authorization") == [f"Bearer {issued}"]
    finally:
        other.gate.set()
        other.close()


def test_keys_that_never_come_are_no_reason_to_believe(world, person):
    other = Issuer()
    other.broken = (500, b"")
    issuers = {"other": {"issuer": other.url, "audiences": ["nobody"]}}
    settings = {"retries": 0, "timeout": "2s", "verify": {"signature": True, "subject": "any"}}
    routes = world.routes(issuers=issuers, exchanges={"corp": settings})
    try:
        with world.gateway(routes, ready="listening") as gateway:
            issued = other.token("x", aud="orders")
            world.tokens.failing(
                200, {"access_token": issued, "token_type": "Bearer", "expires_in": 300})
            token = world.issuer.token(person)
            answer = until(
                lambda: (a := world.ask(gateway, "GET", "/never", person, token)).problem
                != "keys_unavailable" and a,
                "the caller's issuer to be known",
            )  # fmt: skip
            assert (answer.status, answer.problem) == (503, "exchange_unavailable")
            assert world.upstream.seen(person=person) == []
    finally:
        other.close()
