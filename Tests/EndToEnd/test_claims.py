"""Claims that a route asks for: each equals, or holds, one of the values."""

import pytest

PATHS = {
    "tenant": {"tenant": ["a", "b"]},
    "one": {"tenant": "a"},
    "nested": {"/realm_access/roles": ["admin", "owner"]},
    "url": {"https://x.y/roles": "admin"},
    "escaped": {"/a~1b/m~0n": "yes"},
    "indexed": {"/groups/0": "first"},
    "number": {"level": [2, 3.5]},
    "flag": {"email_verified": True},
    "both": {"tenant": "a", "level": 1},
    "umlaut": {"city": "Lünd"},
}


@pytest.fixture(scope="module")
def gateway(world):
    routes = [
        world.route(f"/{name}/*", authenticate={"claims": claims})
        for name, claims in PATHS.items()
    ]
    with world.gateway(world.routes(*routes, world.route("/*"))) as gateway:
        yield gateway


CASES = [
    ("tenant", {"tenant": "a"}, True),
    ("tenant", {"tenant": "b"}, True),
    ("tenant", {"tenant": "c"}, False),
    ("tenant", {"tenant": "A"}, False),
    ("tenant", {"tenant": "a "}, False),
    ("tenant", {"tenant": ""}, False),
    ("tenant", {"tenant": ["x", "b"]}, True),
    ("tenant", {"tenant": ["x", "y"]}, False),
    ("tenant", {"tenant": []}, False),
    ("tenant", {"tenant": [["a"]]}, False),
    ("tenant", {"tenant": {"a": "a"}}, False),
    ("tenant", {"tenant": "a b"}, False),
    ("tenant", {}, False),
    ("tenant", {"Tenant": "a"}, False),
    ("one", {"tenant": "a"}, True),
    ("one", {"tenant": "b"}, False),
    ("nested", {"realm_access": {"roles": ["user", "admin"]}}, True),
    ("nested", {"realm_access": {"roles": "owner"}}, True),
    ("nested", {"realm_access": {"roles": ["user"]}}, False),
    ("nested", {"realm_access": ["admin"]}, False),
    ("nested", {"/realm_access/roles": "admin"}, False),
    ("url", {"https://x.y/roles": ["admin"]}, True),
    ("url", {"https:": {"": {"x.y": {"roles": "admin"}}}}, False),
    ("escaped", {"a/b": {"m~n": "yes"}}, True),
    ("escaped", {"a~1b": {"m~0n": "yes"}}, False),
    ("indexed", {"groups": ["first", "second"]}, True),
    ("indexed", {"groups": ["second", "first"]}, False),
    ("number", {"level": 2}, True),
    ("number", {"level": "2"}, True),
    ("number", {"level": "3.50"}, False),
    ("number", {"level": 3.5}, True),
    ("number", {"level": [1, 2]}, True),
    ("number", {"level": 1}, False),
    ("flag", {"email_verified": True}, True),
    ("flag", {"email_verified": "true"}, True),
    ("flag", {"email_verified": False}, False),
    ("flag", {"email_verified": 1}, False),
    ("both", {"tenant": "a", "level": 1}, True),
    ("both", {"tenant": "a", "level": 2}, False),
    ("both", {"level": 1}, False),
    ("umlaut", {"city": "Lünd"}, True),
    ("umlaut", {"city": "Lu\u0308nd"}, False),
]


@pytest.mark.parametrize("path, claims, fits", CASES, ids=str)
def test_a_route_takes_the_values_that_it_asks_for(world, gateway, person, path, claims, fits):
    calls, requests = len(world.tokens.calls), len(world.upstream.requests)
    token = world.issuer.token(person, **claims)
    # Twice: the second time the token is known, and so is what was found of it.
    for _ in range(2):
        answer = world.ask(gateway, "GET", f"/{path}/{person}", person, token)
        if fits:
            assert answer.status == 200, answer
        else:
            assert (answer.status, answer.problem) == (403, "claim_refused"), answer
            assert answer.value("www-authenticate") is None
            assert "tenant" not in answer.json()["detail"], "what is asked for is not told"
    if not fits:
        assert len(world.tokens.calls) == calls, "the token service was called"
        assert len(world.upstream.requests) == requests, "the upstream was called"
        assert gateway.logged(path=f"/{path}/{person}")["reason"] == "claim_refused"


def test_each_route_asks_for_itself(world, gateway, person):
    """What is kept of a token for one route's rules says nothing about another's."""
    token = world.issuer.token(person, tenant="b", level=2)
    statuses = [
        world.ask(gateway, "GET", f"/{path}/x", person, token).status
        for path in ("tenant", "one", "number", "both", "x", "one", "tenant")
    ]
    assert statuses == [200, 403, 200, 403, 200, 403, 200]


def test_claims_are_looked_at_after_identity_and_scope(world, person):
    route = world.route("/*", authenticate={"claims": {"tenant": "a"}, "scope": "big"})
    with world.gateway(world.routes(route)) as gateway:

        def reason(**claims):
            token = world.issuer.token(person, **claims)
            return world.ask(gateway, "GET", "/x", person, token).problem

        assert reason(userType="system", scope="small", tenant="b") == "system_identity"
        assert reason(scope="small", tenant="b") == "scope_missing"
        assert reason(scope="big", tenant="b") == "claim_refused"
        token = world.issuer.token(person, scope="big", tenant="a")
        assert world.ask(gateway, "GET", "/x", person, token).status == 200


def test_more_different_rules_than_a_token_keeps_answers_for(world, person):
    """The first 64 rules have their answers kept; those after them hold all the same."""
    routes = [
        world.route(f"/r{number}", authenticate={"claims": {"level": number}}, exchange="strip")
        for number in range(70)
    ]
    world.upstream.promise.kinds["/r"] = "none"
    try:
        with world.gateway(world.routes(*routes)) as gateway:
            token = world.issuer.token(person, level=[3, 63, 64, 69])
            for _ in range(2):
                for number in range(70):
                    answer = world.ask(gateway, "GET", f"/r{number}", person, token)
                    fits = number in (3, 63, 64, 69)
                    assert answer.status == (200 if fits else 403), number
    finally:
        del world.upstream.promise.kinds["/r"]
