"""Several issuers at one gateway: each with its own keys, audiences, claims, types and ages."""

import itertools
import json

import pytest
from harness.keys import Key, mint, now

ISSUERS = {
    "one": {"audiences": ["https://a.example", "https://b.example"]},
    "two": {"audiences": "https://b.example", "maxAge": "5m", "clockSkew": "10s"},
    "cognito": {"audiences": ["app-1", "app-2"], "audienceClaim": "client_id"},
    "nested": {"audiences": "api", "audienceClaim": "/resource/aud~1s"},
    "any": {"audiences": "any", "types": ["X+JWT", "application/at+jwt"]},
}


def url(name):
    return f"https://{name}.issuer.example/"


@pytest.fixture(scope="module")
def keys():
    """Each issuer has a key of its own; all have the same kid."""
    return {name: Key("ES256", kid="the-key") for name in ISSUERS}


@pytest.fixture(scope="module")
def gateway(world, keys):
    issuers = {"corp": None}
    for name, settings in ISSUERS.items():
        file = world.folder / f"{name}.jwks.json"
        file.write_text(json.dumps({"keys": [keys[name].jwk()]}))
        issuers[name] = {"issuer": url(name), "jwks": str(file)} | settings
    routes = world.routes(
        world.route("/*", exchange="strip"),
        world.route("/one/*", exchange="strip", authenticate={"issuers": ["one"]}),
        world.route("/not-one/*", exchange="strip", authenticate={
            "issuers": [name for name in ISSUERS if name != "one"]}),
        issuers=issuers,
    )  # fmt: skip
    world.upstream.promise.kinds["/"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


def ask(world, gateway, keys, name, person, path="/x", key=None, header=None, **changes):
    claims = world.issuer.claims(person, iss=url(name), **changes)
    token = world.issuer.remember(mint(keys[key or name], claims, header), person)
    return world.ask(gateway, "GET", path, person, token)


def fits(answer, reason):
    if reason is None:
        assert answer.status == 200, answer
    else:
        assert (answer.status, answer.problem) == (401, reason), answer


GOOD = {
    "one": {"aud": "https://a.example"},
    "two": {"aud": "https://b.example"},
    "cognito": {"aud": None, "client_id": "app-1", "token_use": "access"},
    "nested": {"aud": "whatever", "resource": {"aud/s": ["api"]}},
    "any": {"aud": None},
}


def good(name):
    return GOOD[name] | ({"header": {"typ": "at+jwt"}} if name == "any" else {})


@pytest.mark.parametrize("name", ISSUERS)
def test_each_issuers_tokens_are_taken_by_its_own_rules(world, gateway, keys, person, name):
    fits(ask(world, gateway, keys, name, person, f"/{person}", **good(name)), None)
    assert gateway.logged(path=f"/{person}")["issuer"] == name


@pytest.mark.parametrize("name, other", list(itertools.permutations(ISSUERS, 2)))
def test_a_key_is_its_issuers_though_others_call_theirs_the_same(
    world, gateway, keys, person, name, other
):
    answer = ask(world, gateway, keys, name, person, key=other, **good(name))
    fits(answer, "signature_invalid")
    # Without a key's name too: only the issuer's own are tried.
    header = (good(name).get("header") or {}) | {"kid": None}
    more = {"key": other, **GOOD[name], "header": header}
    answer = ask(world, gateway, keys, name, person, **more)
    assert answer.problem in ("signature_invalid", "key_unknown")
    fits(ask(world, gateway, keys, name, person, **GOOD[name], header=header), None)


CASES = [
    ("one", {"aud": "https://b.example"}, None),
    ("one", {"aud": ["x", "https://b.example"]}, None),
    ("one", {"aud": "https://c.example"}, "audience_wrong"),
    ("one", {"aud": "https://a.example https://b.example"}, "audience_wrong"),
    ("two", {"aud": "https://a.example"}, "audience_wrong"),
    ("two", {"aud": ["https://a.example", "https://b.example"]}, None),
    ("two", {"aud": "https://b.example", "iat": -290}, None),
    ("two", {"aud": "https://b.example", "iat": -308}, None),
    ("two", {"aud": "https://b.example", "iat": -330}, "token_expired"),
    ("two", {"aud": "https://b.example", "iat": 5}, None),
    ("two", {"aud": "https://b.example", "iat": 60}, "token_not_yet_valid"),
    ("two", {"aud": "https://b.example", "iat": None}, "claims_invalid"),
    ("one", {"aud": "https://b.example", "iat": -100_000}, None),
    ("one", {"aud": "https://b.example", "iat": None}, None),
    ("cognito", {"aud": None, "client_id": "app-2"}, None),
    ("cognito", {"aud": "app-1", "client_id": "app-3"}, "audience_wrong"),
    ("cognito", {"aud": "app-1"}, "audience_wrong"),
    ("cognito", {"aud": None, "client_id": ["app-3", "app-2"]}, None),
    ("cognito", {"aud": None, "client_id": 1}, "claims_invalid"),
    ("cognito", {"aud": 1, "client_id": "app-1"}, "claims_invalid"),
    ("cognito", {"aud": None, "client_id": "app-1", "token_use": "id"}, "type_refused"),
    ("nested", {"resource": {"aud/s": "api"}}, None),
    ("nested", {"resource": {"aud/s": ["x"]}}, "audience_wrong"),
    ("nested", {"resource": {"aud~1s": "api"}}, "audience_wrong"),
    ("nested", {"/resource/aud~1s": "api"}, "audience_wrong"),
    ("nested", {"resource": "api"}, "audience_wrong"),
    ("any", {"header": {"typ": "x+jwt"}}, None),
    ("any", {"header": {"typ": "application/X+JWT"}}, None),
    ("any", {"header": {"typ": "JWT"}}, "type_refused"),
    ("any", {"header": {"typ": None}}, "type_refused"),
    ("any", {"header": {"typ": "x+jwt"}, "nonce": "a"}, "type_refused"),
    ("any", {"header": {"typ": "at+jwt"}, "nonce": "a"}, None),
    ("any", {"header": {"typ": "x+jwt"}, "typ": "ID"}, "type_refused"),
    ("any", {"header": {"typ": "at+jwt"}, "events": {}}, "type_refused"),
]


@pytest.mark.parametrize("name, changes, reason", CASES, ids=str)
def test_audiences_types_and_ages_are_the_issuers(
    world, gateway, keys, person, name, changes, reason
):
    changes = dict(changes)
    if changes.get("iat") is not None:
        changes["iat"] += now()
    fits(ask(world, gateway, keys, name, person, **changes), reason)


def test_a_route_names_the_issuers_that_it_takes(world, gateway, keys, person):
    for name in ISSUERS:
        one = ask(world, gateway, keys, name, person, "/one/x", **good(name))
        fits(one, None if name == "one" else "issuer_unknown")
        others = ask(world, gateway, keys, name, person, "/not-one/x", **good(name))
        fits(others, "issuer_unknown" if name == "one" else None)


def test_an_issuer_is_not_believed_on_anothers_word(world, gateway, keys, person):
    """A known token of one issuer says nothing about the same claims signed by another."""
    claims = world.issuer.claims(person, iss=url("one"), aud="https://b.example")
    fine = world.issuer.remember(mint(keys["one"], claims), person)
    assert world.ask(gateway, "GET", "/x", person, fine).status == 200
    claims["iss"] = url("two")
    forged = world.issuer.remember(mint(keys["one"], claims), person)
    fits(world.ask(gateway, "GET", "/x", person, forged), "signature_invalid")
