"""People, systems and the unknown: told apart by verified claims before anything is exchanged."""

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
