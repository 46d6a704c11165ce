"""Which tokens are let in: signatures, keys, claims, times, types, and where keys are from."""

import base64
import hashlib
import hmac
import json
import re

import pytest
from harness.issuer import AUDIENCE, Issuer
from harness.keys import Key, b64u, compact_json, mint, now
from harness.waiting import until
from harness.world import World

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA"]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"), algorithms=ALGORITHMS)
    yield world
    world.close()


@pytest.fixture(scope="module")
def other(world):
    """A second issuer of the same gateway."""
    other = Issuer(token_endpoint=world.tokens.endpoint)
    other.keys[0].kid = world.issuer.key.kid
    world.upstream.promise.issuers.append(other)
    yield other
    other.close()


@pytest.fixture(scope="module")
def gateway(world, other):
    routes = world.routes(
        world.route("/*"),
        world.route("/stripped/*", exchange="strip"),
        world.route("/realm/*", authenticate={"realm": "the realm"}),
        world.route("/corp/*", authenticate={"issuers": ["corp"]}),
        issuers={"other": {"issuer": other.url, "audiences": [AUDIENCE]}},
    )
    world.upstream.promise.kinds["/stripped"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


def refused(world, answer, status, *reasons):
    """Checks a refusal with its challenge, and that no upstream and no token service saw it."""
    assert answer.status == status, answer
    assert answer.problem in reasons, answer
    challenge = answer.value("www-authenticate")
    assert challenge.startswith("Bearer "), challenge
    assert 'realm="' in challenge
    if answer.problem == "token_missing":
        assert "error=" not in challenge
    else:
        error = "invalid_request" if status == 400 else "invalid_token"
        assert f'error="{error}"' in challenge, challenge
    assert answer.value("cache-control") != "public"


def try_token(world, gateway, person, token, path="/t"):
    calls, requests = len(world.tokens.calls), len(world.upstream.requests)
    answer = world.ask(gateway, "GET", path, person, token)
    if answer.status != 200:
        assert len(world.tokens.calls) == calls, "the token service was called"
        assert len(world.upstream.requests) == requests, "the upstream was called"
    return answer


# -- signatures and algorithms


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_is_understood(world, gateway, person, alg):
    key = world.issuer.key_of(alg)
    assert try_token(world, gateway, person, world.issuer.token(person, key)).status == 200


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_forged_signature_of_any_algorithm_is_refused(world, gateway, person, alg):
    key = world.issuer.key_of(alg)
    good = world.issuer.token(person, key)
    signed, _, signature = good.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    for index in (0, len(raw) // 2, len(raw) - 1):
        broken = bytearray(raw)
        broken[index] ^= 1
        token = world.issuer.remember(signed + "." + b64u(bytes(broken)), person)
        refused(world, try_token(world, gateway, person, token), 401, "signature_invalid")
    for length in (0, 1, len(raw) - 1, len(raw) + 1, 2 * len(raw)):
        token = signed + "." + b64u((bytes(raw) * 2)[:length])
        answer = try_token(world, gateway, person, token)
        refused(world, answer, 401, "signature_invalid", "token_malformed")


def test_a_signature_of_another_key_is_refused(world, gateway, person):
    stranger = Key("RS256", kid=world.issuer.key.kid)
    token = world.issuer.token(person, stranger)
    refused(world, try_token(world, gateway, person, token), 401, "signature_invalid")


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_the_trivial_ecdsa_signature_is_refused(world, gateway, person, alg):
    key = world.issuer.key_of(alg)
    signed, _, signature = world.issuer.token(person, key).rpartition(".")
    size = len(base64.urlsafe_b64decode(signature + "=="))
    token = f"{signed}.{b64u(bytes(size))}"
    refused(world, try_token(world, gateway, person, token), 401, "signature_invalid")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "HS256", "RS256 ", "rs256"])
def test_a_token_without_a_real_signature_is_refused(world, gateway, person, alg):
    for signature in ("", "AAAA"):
        token = world.issuer.unsigned(person, alg) + signature
        answer = try_token(world, gateway, person, token)
        refused(world, answer, 401, "algorithm_refused", "token_malformed")


def test_an_rsa_key_is_never_taken_as_a_secret(world, gateway, person):
    from cryptography.hazmat.primitives import serialization

    key = world.issuer.key
    forms = [
        key.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        key.public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        json.dumps(key.jwk()).encode(),
        b"",
    ]
    head = b64u(compact_json({"alg": "HS256", "typ": "JWT", "kid": key.kid}))
    signed = head + "." + b64u(compact_json(world.issuer.claims(person)))
    for secret in forms:
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        answer = try_token(world, gateway, person, signed + "." + b64u(mac))
        refused(world, answer, 401, "algorithm_refused")


@pytest.mark.parametrize(
    "key, alg", [("RS256", "RS512"), ("RS256", "PS256"), ("PS256", "RS256"), ("RS384", "RS256")]
)
def test_the_key_says_which_algorithm_and_not_the_token(world, gateway, person, key, alg):
    token = world.issuer.token(person, world.issuer.key_of(key), alg=alg)
    refused(world, try_token(world, gateway, person, token), 401, "algorithm_refused")


def test_a_key_that_the_token_brings_along_is_not_used(world, gateway, person):
    stranger = Key("RS256", kid=world.issuer.key.kid)
    fetched = len(world.issuer.fetches)
    for header in (
        {"jwk": stranger.jwk()},
        {"jku": world.issuer.url + "/stranger"},
        {"x5u": world.issuer.url + "/stranger"},
        {"x5c": ["AAAA"]},
    ):
        token = world.issuer.token(person, stranger, header)
        refused(world, try_token(world, gateway, person, token), 401, "signature_invalid")
        fine = world.issuer.token(person, header=header)
        assert try_token(world, gateway, person, fine).status == 200
    assert "/stranger" not in world.issuer.fetches[fetched:]


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"crit": []}]
)
def test_critical_extensions_are_not_understood(world, gateway, person, header):
    token = world.issuer.token(person, header=header)
    assert try_token(world, gateway, person, token).status == 401


def test_another_issuers_key_is_no_key(world, gateway, other, person):
    """The two issuers have a key of the same id; each key is its issuer's only."""
    fine = other.token(person)
    assert try_token(world, gateway, person, fine).status == 200
    crossed = mint(other.key, world.issuer.claims(person))
    refused(world, try_token(world, gateway, person, crossed), 401, "signature_invalid")
    crossed = mint(world.issuer.key, other.claims(person))
    refused(world, try_token(world, gateway, person, crossed), 401, "signature_invalid")


def test_a_route_may_take_one_issuer_only(world, gateway, other, person):
    assert try_token(world, gateway, person, world.issuer.token(person), "/corp/x").status == 200
    answer = try_token(world, gateway, person, other.token(person), "/corp/x")
    refused(world, answer, 401, "issuer_unknown")


def test_a_token_without_a_key_id_is_tried_with_the_keys_that_fit(world, gateway, person):
    for alg in ("ES256", "EdDSA", "RS512"):
        token = world.issuer.token(person, world.issuer.key_of(alg), {"kid": None})
        assert try_token(world, gateway, person, token).status == 200


def test_a_verified_token_is_not_verified_again(world, gateway, person):
    token = world.issuer.token(person)
    for _ in range(3):
        assert try_token(world, gateway, person, token, f"/again/{person}").status == 200
    records = until(
        lambda: [r for r in gateway.log() if r.get("path") == f"/again/{person}"][2:]
        and [r for r in gateway.log() if r.get("path") == f"/again/{person}"],
        "three records",
    )
    # Lines of two workers may come in another order.
    assert sorted(record["auth"] for record in records) == ["cached", "cached", "verified"]


# -- the credential


def with_authorization(world, gateway, person, *values):
    fields = [("Authorization", value) for value in values]
    return world.ask(gateway, "GET", "/t", person, token=False, fields=fields)


def test_no_token_is_asked_for(world, gateway, person):
    answer = world.ask(gateway, "GET", "/t", person, token=False, host="api.example:81")
    refused(world, answer, 401, "token_missing")
    assert answer.value("www-authenticate") == 'Bearer realm="api.example"'


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Negotiate abc", "DPoP abc", "Bearerx y"])
def test_another_scheme_is_no_token(world, gateway, person, value):
    refused(world, with_authorization(world, gateway, person, value), 401, "token_missing")


def test_the_scheme_is_told_without_case(world, gateway, person):
    for scheme in ("bearer", "BEARER", "bEaReR"):
        value = f"{scheme} {world.issuer.token(person)}"
        assert with_authorization(world, gateway, person, value).status == 200


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", 'Bearer "a"'])
def test_a_broken_credential_is_refused(world, gateway, person, value):
    answer = with_authorization(world, gateway, person, value)
    refused(world, answer, 400, "token_malformed")


def test_two_tokens_are_refused(world, gateway, person):
    first, second = world.issuer.token(person), world.issuer.token(person)
    for values in ((first, second), (first, first)):
        values = [f"Bearer {token}" for token in values]
        answer = with_authorization(world, gateway, person, *values)
        refused(world, answer, 400, "token_malformed")
    answer = with_authorization(world, gateway, person, f"Bearer {first}", "Basic abc")
    refused(world, answer, 400, "token_malformed")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "abc",
        lambda t: "a.b.c",
        lambda t: "...",
        lambda t: t.rpartition(".")[0],
        lambda t: t + ".",
        lambda t: t + ".AAAA.BBBB",
        lambda t: t + "=",
        lambda t: t.replace(".", "=.", 1),
        lambda t: t[:20] + "+" + t[21:],
        lambda t: "." + t,
        lambda t: t.partition(".")[2],
        lambda t: b64u(b"[]") + "." + t.partition(".")[2],
        lambda t: b64u(b'{"alg":"RS256"') + "." + t.partition(".")[2],
        lambda t: b64u(b'{"alg":"RS256","alg":"RS256"}') + "." + t.partition(".")[2],
        lambda t: b64u(b'{"alg":["RS256"]}') + "." + t.partition(".")[2],
        lambda t: b64u(b'{"alg":null}') + "." + t.partition(".")[2],
        lambda t: b64u(b"{}") + "." + t.partition(".")[2],
        lambda t: b64u(b'\xef\xbb\xbf{"alg":"RS256"}') + "." + t.partition(".")[2],
        lambda t: b64u(b'{"alg":"RS256","x":"\xff"}') + "." + t.partition(".")[2],
    ],
)
def test_what_is_not_a_jwt_is_refused(world, gateway, person, change):
    token = change(world.issuer.token(person))
    answer = with_authorization(world, gateway, person, f"Bearer {token}")
    refused(world, answer, 401, "token_malformed", "algorithm_refused")


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"text"', b"{", b'{"iss":1}', b"{} {}", b'{"a":"\\ud800"}',
     b"[" * 5000, b'{"a":' * 900, b"\xff", b'{"exp":1e400}'],
)  # fmt: skip
def test_a_signed_payload_that_is_no_claims_set_is_refused(world, gateway, person, payload):
    token = mint(world.issuer.key, payload)
    answer = try_token(world, gateway, person, token)
    refused(world, answer, 401, "token_malformed", "claims_invalid", "issuer_unknown")


@pytest.mark.parametrize("member", ["sub", "iss", "aud", "exp", "s\\u0075b"])
def test_a_member_that_is_there_twice_is_refused(world, gateway, person, member):
    claims = compact_json(world.issuer.claims(person)).decode()
    for value in ('"x"', "1"):
        payload = claims[:-1] + f',"{member}":{value}' + "}"
        token = mint(world.issuer.key, payload.encode())
        answer = try_token(world, gateway, person, token)
        refused(world, answer, 401, "token_malformed", "claims_invalid")


def test_a_realm_of_the_routes_own_is_told(world, gateway):
    answer = world.ask(gateway, "GET", "/realm/x", token=False)
    assert answer.value("www-authenticate") == 'Bearer realm="the realm"'


# -- claims


@pytest.mark.parametrize(
    "iss",
    ["https://stranger.example", "", "{url}/", "{url} ", "{URL}", "{url}#", "{url}\u0000"],
)
def test_an_issuer_is_compared_byte_by_byte(world, gateway, person, iss):
    iss = iss.replace("{url}", world.issuer.url).replace("{URL}", world.issuer.url.upper())
    token = world.issuer.token(person, iss=iss)
    refused(world, try_token(world, gateway, person, token), 401, "issuer_unknown")


def test_a_token_of_nobody_is_refused(world, gateway, person):
    for iss in (None, 5, [world.issuer.url], {"a": 1}):
        token = world.issuer.token(person, iss=iss)
        answer = try_token(world, gateway, person, token)
        refused(world, answer, 401, "issuer_unknown", "claims_invalid", "token_malformed")


@pytest.mark.parametrize(
    "aud, fits",
    [
        (AUDIENCE, True),
        ([AUDIENCE], True),
        (["https://other.example", AUDIENCE], True),
        ("https://other.example", False),
        (AUDIENCE + "/", False),
        (AUDIENCE.upper(), False),
        (["https://other.example"], False),
        ([], False),
        ([[AUDIENCE]], False),
        ({AUDIENCE: 1}, False),
        (5, False),
        ("", False),
        (None, False),
    ],
)
def test_the_audience_must_be_this_gateway(world, gateway, person, aud, fits):
    token = world.issuer.token(person, aud=aud)
    answer = try_token(world, gateway, person, token)
    if fits:
        assert answer.status == 200
    else:
        refused(world, answer, 401, "audience_wrong", "claims_invalid")


def test_canonically_equivalent_text_is_not_the_same(world, person):
    """Bytes are compared: é as one code point is not e with an accent."""
    routes = world.routes(issuers={"corp": {"audiences": ["caf\u00e9"]}})
    with world.gateway(routes) as gateway:
        fine = world.issuer.token(person, aud="caf\u00e9")
        assert try_token(world, gateway, person, fine).status == 200
        other = world.issuer.token(person, aud="cafe\u0301")
        refused(world, try_token(world, gateway, person, other), 401, "audience_wrong")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"exp": -3600}, "token_expired"),
        ({"exp": -1}, "token_expired"),
        ({"nbf": 3600}, "token_not_yet_valid"),
        ({"nbf": 60}, "token_not_yet_valid"),
    ],
)
def test_a_token_outside_its_time_is_refused(world, gateway, person, changes, reason):
    changes = {name: now() + offset for name, offset in changes.items()}
    token = world.issuer.token(person, **changes)
    refused(world, try_token(world, gateway, person, token), 401, reason)


def test_a_little_skew_is_forgiven_but_not_at_the_end_where_a_token_is_exchanged(
    world, gateway, person
):
    early = world.issuer.token(person, nbf=now() + 15)
    assert try_token(world, gateway, person, early).status == 200
    late = world.issuer.token(person, exp=now() - 10)
    refused(world, try_token(world, gateway, person, late), 401, "token_expired")
    assert try_token(world, gateway, person, late, "/stripped/x").status == 200
    too_late = world.issuer.token(person, exp=now() - 60)
    answer = try_token(world, gateway, person, too_late, "/stripped/x")
    refused(world, answer, 401, "token_expired")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": [9999999999]},
        {"exp": -5},
        {"nbf": "1"},
        {"nbf": {}},
        {"iat": "now"},
    ],
)
def test_times_that_are_no_times_are_refused(world, gateway, person, changes):
    token = world.issuer.token(person, **changes)
    answer = try_token(world, gateway, person, token)
    refused(world, answer, 401, "claims_invalid", "token_expired")


def test_times_may_have_fractions_and_exponents(world, gateway, person):
    claims = compact_json(world.issuer.claims(person, exp=None, nbf=None)).decode()
    for exp in (f"{now() + 100}.75", "9.9e9"):
        payload = claims[:-1] + f',"exp":{exp}' + "}"
        token = world.issuer.remember(mint(world.issuer.key, payload.encode()), person)
        assert try_token(world, gateway, person, token).status == 200


def test_a_cached_token_ends_when_it_expires(world, gateway, person):
    token = world.issuer.token(person, exp=now() + 3)
    assert try_token(world, gateway, person, token).status == 200
    assert try_token(world, gateway, person, token).status == 200
    answer = until(
        lambda: (a := try_token(world, gateway, person, token)).status != 200 and a,
        "the token to expire",
        10,
        pause=0.2,
    )
    refused(world, answer, 401, "token_expired")
    assert now() >= json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["exp"]


# -- types and bindings


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "JOSE", "at+jwt", "AT+JWT",
                                 "application/at+jwt", "application/JWT"])  # fmt: skip
def test_access_tokens_of_every_usual_type_are_taken(world, gateway, person, typ):
    token = world.issuer.token(person, header={"typ": typ})
    assert try_token(world, gateway, person, token).status == 200


@pytest.mark.parametrize(
    "header, changes",
    [
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "secevent+jwt"}, {}),
        ({"typ": "entity-statement+jwt"}, {}),
        ({"typ": "JWTX"}, {}),
        ({}, {"typ": "ID"}),
        ({}, {"typ": "Refresh"}),
        ({}, {"typ": "Offline"}),
        ({}, {"typ": "Logout"}),
        ({"typ": "at+jwt"}, {"typ": "ID"}),
        ({}, {"token_use": "id"}),
        ({"typ": "at+jwt"}, {"token_use": "id"}),
        ({}, {"c_hash": "abc"}),
        ({}, {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ({}, {"nonce": "abc"}),
        ({}, {"at_hash": "abc"}),
    ],
)
def test_a_token_made_for_another_use_is_refused(world, gateway, person, header, changes):
    token = world.issuer.token(person, header=header, **changes)
    refused(world, try_token(world, gateway, person, token), 401, "type_refused")


@pytest.mark.parametrize(
    "header, changes",
    [
        ({"typ": "at+jwt"}, {"nonce": "abc"}),
        ({}, {"nonce": "abc", "typ": "Bearer"}),
        ({}, {"at_hash": "abc", "typ": "Bearer"}),
        ({}, {"token_use": "access"}),
    ],
)
def test_an_access_token_that_says_so_may_have_a_nonce(world, gateway, person, header, changes):
    token = world.issuer.token(person, header=header, **changes)
    assert try_token(world, gateway, person, token).status == 200


@pytest.mark.parametrize(
    "cnf", [{"x5t#S256": "A" * 43}, {"jkt": "A" * 43}, {"kid": "x"}, {}, "text", {"unknown": 1}]
)
def test_a_bound_token_that_cannot_be_checked_is_refused(world, gateway, person, cnf):
    token = world.issuer.token(person, cnf=cnf)
    answer = try_token(world, gateway, person, token)
    refused(world, answer, 401, "binding_unverified", "claims_invalid")


def test_types_may_be_narrowed_or_widened(world, person):
    with world.gateway(world.routes(issuers={"corp": {"types": ["at+jwt"]}})) as gateway:
        fine = world.issuer.token(person, header={"typ": "application/at+jwt"})
        assert try_token(world, gateway, person, fine).status == 200
        for typ in ("JWT", None):
            token = world.issuer.token(person, header={"typ": typ})
            refused(world, try_token(world, gateway, person, token), 401, "type_refused")


def test_algorithms_may_be_narrowed(world, person):
    with world.gateway(world.routes(issuers={"corp": {"algorithms": ["ES256"]}})) as gateway:
        fine = world.issuer.token(person, world.issuer.key_of("ES256"))
        assert try_token(world, gateway, person, fine).status == 200
        token = world.issuer.token(person)
        refused(world, try_token(world, gateway, person, token), 401, "algorithm_refused")


def test_any_audience_must_be_written_out(world, person):
    with world.gateway(world.routes(issuers={"corp": {"audiences": "any"}})) as gateway:
        token = world.issuer.token(person, aud="https://whoever.example")
        assert try_token(world, gateway, person, token).status == 200


# -- where keys come from


@pytest.fixture
def source(world):
    """An issuer that only this test knows."""
    source = Issuer(token_endpoint=world.tokens.endpoint)
    world.upstream.promise.issuers.append(source)
    yield source
    world.upstream.promise.issuers.remove(source)
    source.close()


def of_source(world, source, **more):
    settings = {"issuer": source.url, "audiences": [AUDIENCE]} | more
    return world.routes(issuers={"corp": None, "own": settings})


def test_keys_come_by_discovery_and_once(world, source, person):
    with world.gateway(of_source(world, source)) as gateway:
        for number in range(10):
            token = source.token(f"{person}-{number}")
            assert try_token(world, gateway, f"{person}-{number}", token).status == 200
    assert source.fetched("/.well-known/openid-configuration") == 1
    assert source.fetched("/jwks") == 1


def test_keys_come_from_a_url(world, source, person):
    with world.gateway(of_source(world, source, jwks=source.url + "/jwks")) as gateway:
        assert try_token(world, gateway, person, source.token(person)).status == 200
    assert source.fetched("/.well-known/openid-configuration") == 0


def test_keys_come_from_a_file(world, source, person):
    file = world.folder / f"{person}.json"
    file.write_text(json.dumps(source.jwks()))
    with world.gateway(of_source(world, source, jwks=str(file))) as gateway:
        assert try_token(world, gateway, person, source.token(person)).status == 200
    assert source.fetches == []


def test_discovery_of_another_issuer_is_not_believed(world, source, person):
    source.discovery_changes = {"issuer": "https://stranger.example"}
    with world.gateway(of_source(world, source), ready="listening") as gateway:
        answer = try_token(world, gateway, person, source.token(person))
        assert (answer.status, answer.problem) == (503, "keys_unavailable")
        status, body = gateway.admin("/readyz")
        assert status == 503 and "own" in body


def test_an_unknown_key_is_looked_up_once(world, source, person):
    with world.gateway(of_source(world, source)) as gateway:
        assert try_token(world, gateway, person, source.token(person)).status == 200
        assert source.fetched() == 1
        fresh = Key("RS256")
        source.keys.append(fresh)
        token = source.token(person, fresh)
        answer = try_token(world, gateway, person, token)
        # At once on an unknown kid, at most every 30 s an issuer: this is the first such look-up.
        assert answer.status == 200, answer
        assert source.fetched() == 2
        for number in range(20):
            token = source.token(person, fresh, {"kid": f"made-up-{number}"})
            refused(world, try_token(world, gateway, person, token), 401, "key_unknown")
        assert source.fetched() == 2


def test_keys_that_cannot_be_used_do_not_spoil_those_that_can(world, source, person):
    small = Key("RS256", bits=1024)
    source.published = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        {"kty": "strange", "kid": "x"},
        {"kty": "RSA", "kid": "half", "n": "AQAB"},
        {"kty": "EC", "crv": "P-256", "kid": "off", "x": "AAAA", "y": "AAAA"},
        small.jwk(),
        Key("RS256", kid="for-encryption").jwk(use="enc"),
        "not even an object",
        source.key.jwk(),
    ]
    with world.gateway(of_source(world, source)) as gateway:
        assert try_token(world, gateway, person, source.token(person)).status == 200
        answer = try_token(world, gateway, person, source.token(person, small))
        assert answer.status == 401


def test_keys_that_cannot_be_had_are_told_and_waited_for(world, source, person):
    source.broken = (500, b"{}")
    with world.gateway(of_source(world, source), ready="listening") as gateway:
        answer = try_token(world, gateway, person, source.token(person))
        assert (answer.status, answer.problem) == (503, "keys_unavailable")
        assert gateway.admin("/readyz")[0] == 503
        assert gateway.admin("/livez")[0] == 200
        source.broken = None
        until(lambda: gateway.admin("/readyz")[0] == 200, "the keys to be fetched", 15)
        assert try_token(world, gateway, person, source.token(person)).status == 200


@pytest.mark.parametrize(
    "body",
    [b"<html>sorry</html>", b'{"keys":[]}', b'{"keys":', b"[]", b"x" * (11 << 20), b""],
    ids=["html", "empty", "cut off", "list", "huge", "nothing"],
)
def test_a_broken_key_set_is_no_key_set(world, source, person, body):
    source.broken = (200, body)
    with world.gateway(of_source(world, source), ready="listening") as gateway:
        answer = try_token(world, gateway, person, source.token(person))
        assert answer.status in (401, 503)
        assert answer.problem in ("keys_unavailable", "key_unknown")


def test_a_request_waits_for_a_key_fetch_under_way(world, source, person):
    import threading

    source.gate = threading.Event()
    with world.gateway(of_source(world, source), ready="listening") as gateway:
        until(lambda: source.fetched() == 1, "the fetch to begin")
        answers = []
        token = source.token(person)
        threads = [
            threading.Thread(
                target=lambda: answers.append(try_token(world, gateway, person, token).status)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        source.gate.set()
        for thread in threads:
            thread.join(20)
        assert answers == [200] * 4
        assert source.fetched() == 1


def test_refusals_are_logged_with_their_reason(world, gateway, person):
    token = world.issuer.token(person, exp=now() - 100)
    answer = world.ask(gateway, "GET", "/logged", person, token)
    record = gateway.logged(path="/logged", reason="token_expired")
    assert record["status"] == 401
    assert record["id"] == answer.json()["requestId"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", record["id"])
