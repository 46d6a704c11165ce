"""People, systems and the unknown: told apart by verified claims before anything is exchanged."""

import itertools
import json

import pytest
from harness.issuer import AUDIENCE, Issuer


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/people-only/*", admit={"unknown": "reject"}),
        world.route("/systems/*", admit={"system": "exchange"}),
        world.route("/no-people/*", admit={"person": "reject"}),
        world.route("/stripped/*", exchange="strip"),
    )
    world.upstream.promise.kinds["/stripped"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


def ask(world, gateway, person, path="/x", **changes):
    """A request with a token of these claims, and how often the token service was asked."""
    calls = len(world.tokens.calls)
    answer = world.ask(gateway, "GET", path, person, world.issuer.token(person, **changes))
    return answer, len(world.tokens.calls) - calls


SYSTEMS = [
    {"userType": "system"},
    {"userType": "System"},
    {"userType": "SYSTEM"},
    {"userType": None, "usertype": "system"},
    {"userType": None, "USERTYPE": "sYsTeM"},
    {"userType": None, "client_id": "{person}"},
    {"userType": None, "azp": "{person}"},
    {"userType": "user", "client_id": "{person}"},
]


@pytest.mark.parametrize("changes", SYSTEMS, ids=str)
def test_a_system_is_turned_away_before_the_token_service_is_asked(
    world, gateway, person, changes
):
    person = "svc-batch"
    changes = {
        name: value.replace("{person}", person) if value else value
        for name, value in changes.items()
    }
    answer, calls = ask(world, gateway, person, **changes)
    assert (answer.status, answer.problem, calls) == (403, "system_identity", 0)
    assert world.upstream.seen(person=person) == []
    assert answer.value("www-authenticate") is None or "error=" in answer.value(
        "www-authenticate"
    )


def test_a_system_is_turned_away_where_its_token_would_only_be_stripped_too(
    world, gateway, person
):
    answer, _ = ask(world, gateway, person, "/stripped/x", userType="system")
    assert (answer.status, answer.problem) == (403, "system_identity")


@pytest.mark.parametrize("marker", ["user", "person", "SystemUser", ""])
def test_a_person_is_let_in(world, gateway, person, marker):
    answer, calls = ask(world, gateway, person, "/people-only/x", userType=marker)
    assert (answer.status, calls) == (200, 1)
    record = gateway.logged(path="/people-only/x", identity="person")
    assert "tetrapak" in record["identity_rule"]


def test_a_forged_system_token_is_forged_before_it_is_a_system(world, gateway, person):
    """Only verified claims count."""
    token = world.issuer.forged(person, userType="system")
    answer = world.ask(gateway, "GET", "/x", person, token)
    assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_an_absent_marker_is_no_proof_of_a_person(world, gateway, person):
    answer, calls = ask(world, gateway, person, "/people-only/x", userType=None)
    assert (answer.status, answer.problem, calls) == (403, "identity_unknown", 0)
    answer, calls = ask(world, gateway, person, "/x", userType=None)
    assert (answer.status, calls) == (200, 1)
    assert gateway.logged(path="/x", status=200)["identity"] == "unknown"


def test_a_route_may_let_systems_be_exchanged(world, gateway, person):
    world.tokens.failing(400, {"error": "invalid_request"})
    answer, calls = ask(world, gateway, person, "/systems/x", userType="system")
    assert calls == 1
    assert answer.status in (401, 403)


def test_a_route_may_refuse_people(world, gateway, person):
    answer, calls = ask(world, gateway, person, "/no-people/x")
    assert (answer.status, calls) == (403, 0)


def test_the_log_says_which_rule_decided(world, gateway, person):
    ask(world, gateway, person, "/why", userType="system")
    record = gateway.logged(path="/why")
    assert record["identity"] == "system"
    assert record["reason"] == "system_identity"
    assert "tetrapak" in record["identity_rule"]
    ask(world, gateway, "svc-x", "/why-rfc", userType=None, client_id="svc-x")
    assert "rfc9068" in gateway.logged(path="/why-rfc")["identity_rule"]


PRESETS = {
    "keycloak": (
        [{"preferred_username": "service-account-x"}, {"clientHost": "10.0.0.1"},
         {"clientAddress": "10.0.0.1", "preferred_username": "ann"}],
        [{"preferred_username": "ann"}],
        [{}],
    ),
    "entra": (
        [{"idtyp": "app"}, {"idtyp": "app", "scp": "a"}, {}],
        [{"idtyp": "user"}, {"scp": "orders.read"}],
        [],
    ),
    "auth0": (
        [{"gty": "client-credentials"}, {"sub": "abc@clients"}],
        [{"sub": "auth0|123"}],
        [{"sub": "plain"}],
    ),
    "okta": (
        [{"sub": "0oa1", "cid": "0oa1"}, {"sub_profile": "service"}],
        [{"uid": "00u1"}, {"uid": "00u1", "sub": "a@b", "cid": "0oa1"}],
        [{"sub": "a@b", "cid": "0oa1"}],
    ),
    "cognito": (
        [{"sub": "abc", "client_id": "abc"}],
        [{"username": "ann"}],
        [{"sub": "abc", "client_id": "other"}],
    ),
    "duende": ([{"client_id": "c", "sub": None}], [{"sub": "ann", "client_id": "c"}], []),
    "google": (
        [{"email": "x@y.iam.gserviceaccount.com"}],
        [{"email": "ann@example.com"}],
        [{}],
    ),
    "kubernetes": ([{"sub": "system:serviceaccount:ns:name"}], [], [{"sub": "ann"}]),
    "spiffe": ([{"sub": "spiffe://domain/workload"}], [], [{"sub": "ann"}]),
}  # fmt: skip
CASES = [
    (preset, kind, changes)
    for preset, kinds in PRESETS.items()
    for kind, examples in zip(("system", "person", "unknown"), kinds)
    for changes in examples
]


@pytest.fixture(scope="module")
def preset_gateway(world):
    """One issuer a preset, one route an issuer; the route answers by itself whom it lets in."""
    issuers, sources = {}, {}
    for preset in PRESETS:
        source = Issuer()
        source.keys = [world.issuer.key]
        sources[preset] = source
        issuers[preset] = {
            "issuer": source.url,
            "audiences": [AUDIENCE],
            "identities": {
                "system": [preset],
                "person": [preset] if PRESETS[preset][1] else ["auto"],
            },
        }
    routes = world.routes(
        world.route("/preset/*", exchange="strip", admit={"unknown": "reject"}),
        issuers=issuers,
    )
    world.upstream.promise.kinds["/preset"] = "none"
    with world.gateway(routes) as gateway:
        gateway.sources = sources
        yield gateway
    for source in sources.values():
        source.close()


@pytest.mark.parametrize("preset, kind, changes", CASES, ids=str)
def test_presets_tell_people_and_systems_apart(
    world, preset_gateway, person, preset, kind, changes
):
    source = preset_gateway.sources[preset]
    base = {"userType": None, "azp": None, "scope": None}
    token = source.token(person, **(base | changes))
    answer = world.ask(preset_gateway, "GET", f"/preset/{preset}", person, token)
    if kind == "person":
        assert answer.status == 200, answer
    else:
        reason = "system_identity" if kind == "system" else "identity_unknown"
        assert (answer.status, answer.problem) == (403, reason)


RULES = [
    ({"claim": "kind", "equals": "robot"}, {"kind": "robot"}, {"kind": "Robot"}),
    ({"claim": "kind", "equals": "robot", "ignoreCase": True}, {"kind": "ROBOT"}, {"kind": "r"}),
    ({"claim": "sub", "equalsClaim": "owner"}, {"sub": "a", "owner": "a"}, {"owner": "b"}),
    ({"claim": "sub", "prefix": "svc-"}, {"sub": "svc-1"}, {"sub": "1-svc-"}),
    ({"claim": "sub", "suffix": "@bots"}, {"sub": "x@bots"}, {"sub": "@botsx"}),
    ({"claim": "uid", "absent": True}, {}, {"uid": "1"}),
    ({"claim": "/a/b~1c", "equals": "x"}, {"a": {"b/c": "x"}}, {"a/b~1c": "x"}),
    ({"claim": "https://x.y/kind", "equals": "bot"}, {"https://x.y/kind": "bot"}, {}),
    (
        {"all": [{"claim": "a", "equals": "1"}, {"claim": "b", "absent": True}]},
        {"a": "1"},
        {"a": "1", "b": "2"},
    ),
]


@pytest.fixture(scope="module")
def rule_gateway(world):
    issuers, sources = {}, []
    for number, (rule, _, _) in enumerate(RULES):
        source = Issuer()
        source.keys = [world.issuer.key]
        sources.append(source)
        issuers[f"rule{number}"] = {
            "issuer": source.url,
            "audiences": [AUDIENCE],
            "identities": {"system": [rule]},
        }
    routes = world.routes(world.route("/preset/*", exchange="strip"), issuers=issuers)
    world.upstream.promise.kinds["/preset"] = "none"
    with world.gateway(routes) as gateway:
        gateway.sources = sources
        yield gateway
    for source in sources:
        source.close()


@pytest.mark.parametrize("number", range(len(RULES)))
def test_rules_of_ones_own_mark_systems(world, rule_gateway, person, number):
    _, system, other = RULES[number]
    source = rule_gateway.sources[number]
    for changes, status in ((system, 403), (other, 200)):
        token = source.token(person, **changes)
        answer = world.ask(rule_gateway, "GET", "/preset/rule", person, token)
        assert answer.status == status, (changes, answer)


def test_a_token_that_both_lists_mark_is_a_systems(world, person):
    identities = {
        "system": [{"claim": "a", "equals": "1"}],
        "person": [{"claim": "sub", "prefix": "test"}],
    }
    routes = world.routes(issuers={"corp": {"identities": identities}})
    with world.gateway(routes) as gateway:
        answer, calls = ask(world, gateway, person, a="1")
        assert (answer.status, answer.problem, calls) == (403, "system_identity", 0)


# -- auto: by the issuer's URL

AUTO = [
    ("https://kc.example/realms/a", {"preferred_username": "service-account-x"}, "keycloak"),
    ("https://kc.example/auth/realms/a", {"clientHost": "10.0.0.1"}, "keycloak"),
    ("https://kc.example/realms/a", {"preferred_username": "ann"}, "keycloak"),
    ("https://kc.example/other/a", {"preferred_username": "service-account-x"}, None),
    ("https://login.microsoftonline.com/t/v2.0", {"idtyp": "app"}, "entra"),
    ("https://sts.windows.net/t/", {"scp": "a"}, "entra"),
    ("https://login.microsoftonline.com.evil.example/t", {"idtyp": "app"}, None),
    ("https://x.eu.auth0.com/", {"gty": "client-credentials"}, "auth0"),
    ("https://x.eu.auth0.com/", {"sub": "auth0|1"}, "auth0"),
    ("https://xauth0.com/", {"gty": "client-credentials"}, None),
    ("https://x.okta.com/oauth2/default", {"sub": "c", "cid": "c"}, "okta"),
    ("https://x.oktapreview.com", {"uid": "u"}, "okta"),
    ("https://cognito-idp.eu-west-1.amazonaws.com/p", {"username": "u"}, "cognito"),
    ("https://cognito-idp.eu-west-1.amazonaws.com/p", {"sub": "c", "client_id": "c"}, "rfc9068"),
    ("https://accounts.google.com", {"email": "x@p.iam.gserviceaccount.com"}, "google"),
    ("https://accounts.google.com", {"email": "ann@example.com"}, "google"),
    ("https://api-test.tetrapak.com", {"userType": "system"}, "tetrapak"),
    ("https://id.example", {"USERTYPE": "human"}, "tetrapak"),
    ("https://id.example", {"sub": "system:serviceaccount:a:b"}, None),
    ("https://id.example", {"sub": "spiffe://a/b"}, None),
    ("https://id.example", {"client_id": "c", "sub": None}, None),
]  # fmt: skip
SYSTEM_MARKS = ("service-account-x", "10.0.0.1", "app", "client-credentials", "c", "system",
                "x@p.iam.gserviceaccount.com")  # fmt: skip


@pytest.fixture(scope="module")
def auto_gateway(world):
    file = world.folder / "auto.jwks.json"
    file.write_text(json.dumps(world.issuer.jwks()))
    urls = sorted({url for url, _, _ in AUTO})
    issuers = {"corp": None} | {
        f"i{number}": {"issuer": url, "audiences": [AUDIENCE], "jwks": str(file)}
        for number, url in enumerate(urls)
    }
    routes = world.routes(world.route("/*", exchange="strip"), issuers=issuers)
    world.upstream.promise.kinds["/auto"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


@pytest.mark.parametrize("url, claims, rule", AUTO, ids=str)
def test_auto_knows_an_issuer_by_its_url(world, auto_gateway, person, url, claims, rule):
    base = {"userType": None, "azp": None, "scope": None, "iss": url}
    token = world.issuer.token(person, **(base | claims))
    answer = world.ask(auto_gateway, "GET", f"/auto/{person}", person, token)
    record = auto_gateway.logged(path=f"/auto/{person}")
    assert record.get("identity_rule") == rule
    is_system = rule and any(value in SYSTEM_MARKS for value in claims.values())
    assert record["identity"] == ("system" if is_system else "person" if rule else "unknown")
    assert answer.status == (403 if is_system else 200)


# -- what each route admits

KINDS = {"person": {"userType": "user"}, "system": {"userType": "system"}, "unknown": {}}
REASONS = {"person": "claim_refused", "system": "system_identity", "unknown": "identity_unknown"}
ONWARD = {"exchange": {"audience": "orders"}, "strip": "strip", "passthrough": "passthrough"}
VERDICTS = [
    dict(zip(KINDS, verdicts))
    for verdicts in itertools.product(("exchange", "reject"), repeat=3)
]


@pytest.fixture(scope="module")
def admitting_gateway(world):
    """A route for each way to admit and each way to go on."""
    routes = []
    for onward, exchange in ONWARD.items():
        kind = {"exchange": "exchanged", "strip": "none", "passthrough": "caller"}[onward]
        world.upstream.promise.kinds[f"/{onward}/"] = kind
        for number, admit in enumerate(VERDICTS):
            route = world.route(f"/{onward}/{number}", admit=admit)
            routes.append(route | {"exchange": exchange})
    with world.gateway(world.routes(*routes)) as gateway:
        yield gateway


@pytest.mark.parametrize("onward", ONWARD)
@pytest.mark.parametrize("number", range(len(VERDICTS)))
def test_each_route_says_whom_it_admits(world, admitting_gateway, person, onward, number):
    for kind, claims in KINDS.items():
        token = world.issuer.token(person, **({"userType": None, "azp": None} | claims))
        calls, seen = len(world.tokens.calls), len(world.upstream.requests)
        answer = world.ask(admitting_gateway, "GET", f"/{onward}/{number}", person, token)
        if VERDICTS[number][kind] == "exchange":
            if onward == "exchange" and kind == "system":
                # It is the token service that refuses it, having been asked.
                assert answer.problem == "exchange_denied"
            else:
                assert answer.status == 200, (kind, answer)
            assert len(world.tokens.calls) - calls == (1 if onward == "exchange" else 0)
        else:
            assert (answer.status, answer.problem) == (403, REASONS[kind])
            assert (len(world.tokens.calls), len(world.upstream.requests)) == (calls, seen)
