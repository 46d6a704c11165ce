"""How the gateway shows the token service who it is: by a key, by a certificate, not at all.

The assertions are judged by joserfc in the token service of these tests, the certificates by
OpenSSL through Python.
"""

import base64
import hashlib
import json
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from harness.certificates import Certificate
from harness.keys import Key, claims_of, header_of, now
from harness.program import environment, tollgate_binary
from harness.token_service import TokenService
from harness.waiting import until

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
              "ES256", "ES384", "ES512", "EdDSA"]  # fmt: skip


def with_client(world, client, **exchange):
    """A routes file whose exchange has this client, and no secret."""
    client = {"id": "gateway", "secret": None} | client
    return world.routes(exchanges={"corp": {"retries": 0, "client": client} | exchange})


def keyed(world, key, name="gateway", **client):
    """The client of a key, which the token service expects from now on."""
    file = world.folder / f"{name}-{key.kid}.key"
    file.write_bytes(key.pem())
    world.tokens.method = "private_key_jwt"
    world.tokens.client_key = key.jwk()
    return {"method": "private_key_jwt", "key": str(file)} | client


def exchange_of(world, gateway, person, path="/x"):
    token = world.issuer.token(person)
    answer = world.ask(gateway, "GET", path, person, token)
    return answer, world.tokens.calls_for(token)


# -- private_key_jwt


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_an_assertion_of_each_algorithm_is_believed(world, person, alg):
    key = Key(alg)
    # RSA keys sign by RS256 unless told otherwise, the others by the one that they have.
    told = {} if alg in ("RS256", "ES256", "ES384", "ES512", "EdDSA") else {"algorithm": alg}
    client = keyed(world, key, **told)
    with world.gateway(with_client(world, client)) as gateway:
        answer, calls = exchange_of(world, gateway, person)
        assert answer.status == 200, answer
        assertion = calls[0].value("client_assertion")
        assert header_of(assertion) == {"alg": alg, "typ": "JWT"}
        claims = claims_of(assertion)
        assert abs(claims["iat"] - now()) <= 5
        assert claims["exp"] - claims["iat"] == 60
        world.tokens.client_key = Key(alg).jwk()
        assert exchange_of(world, gateway, person)[0].problem == "exchange_misconfigured"
    world.tokens.complaints.clear()


def test_the_assertion_names_its_key_certificate_and_audience(world, person):
    certificate = Certificate(["gateway"], issuer=world.authority)
    files = certificate.write(world.folder, "asserting")
    key = Key("ES256", kid="key 1", private=certificate.key)
    world.tokens.method, world.tokens.client_key = "private_key_jwt", key.jwk()
    world.tokens.assertion_audience = "https://as.example/"
    client = {
        "method": "private_key_jwt", "key": files["key"], "keyId": "key 1",
        "certificate": files["chain"], "assertionAudience": "https://as.example/",
    }  # fmt: skip
    try:
        with world.gateway(with_client(world, client)) as gateway:
            answer, calls = exchange_of(world, gateway, person)
    finally:
        world.tokens.assertion_audience = None
    assert answer.status == 200
    der = certificate.certificate.public_bytes(serialization.Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert header_of(calls[0].value("client_assertion")) == {
        "alg": "ES256", "typ": "JWT", "kid": "key 1", "x5t#S256": thumbprint,
    }  # fmt: skip


def test_a_call_that_is_sent_again_has_an_assertion_of_its_own(world, person):
    client = keyed(world, Key("ES256"))
    failures = []

    def fail_once(call, handler):
        failures.append(call)
        if len(failures) > 1:
            return False
        world.tokens.jtis.add(claims_of(call.value("client_assertion"))["jti"])
        world.tokens.send(handler, 503, {})
        return True

    world.tokens.failure = fail_once
    with world.gateway(with_client(world, client, retries=1)) as gateway:
        answer, calls = exchange_of(world, gateway, person)
        assert (answer.status, len(calls)) == (200, 2)


def test_a_connection_that_ended_while_it_idled_costs_no_assertion_twice(world, person):
    """The service has read the call, used the assertion up, and hung up without a word."""
    client = keyed(world, Key("ES256"))
    routes = with_client(world, client) | {"workers": 1}
    with world.gateway(routes) as gateway:
        assert exchange_of(world, gateway, person)[0].status == 200
        dropped = []

        def drop_once(call, handler):
            if dropped:
                return False
            dropped.append(call)
            world.tokens.jtis.add(claims_of(call.value("client_assertion"))["jti"])
            handler.close_connection = True
            return True

        world.tokens.failure = drop_once
        answer, calls = exchange_of(world, gateway, person)
        assert len(dropped) == 1
        assert (answer.status, len(calls)) == (200, 2)


# -- tls_client_auth


@pytest.fixture(scope="module")
def certain(world):
    """A token service that demands a certificate, and the gateway's."""
    mine = Certificate(["gateway"], issuer=world.authority)
    files = mine.write(world.folder, "gateway-client")
    service = TokenService(
        certificate=world.certificate_files, client_authority=world.authority)  # fmt: skip
    service.method = "tls_client_auth"
    service.client_certificate = mine.certificate.public_bytes(serialization.Encoding.DER)
    world.upstream.promise.services.append(service)
    yield service, {"method": "tls_client_auth"} | {
        "certificate": files["chain"], "key": files["key"],
    }  # fmt: skip
    service.close()


def certified(world, certain, client=None, **exchange):
    service, own = certain
    exchange = {"tokenService": service.endpoint} | exchange
    return with_client(
        world, client or own, **exchange, tls={"ca": str(world.authority_file)})  # fmt: skip


def test_a_certificate_says_who_the_gateway_is(world, certain, person):
    service, _ = certain
    with world.gateway(certified(world, certain)) as gateway:
        token = world.issuer.token(person)
        answer = world.ask(gateway, "GET", "/x", person, token)
        assert answer.status == 200, answer
        (call,) = service.calls_for(token)
        assert call.certificate == service.client_certificate
        assert call.value("client_id") == "gateway"
        assert call.authorization is None


def test_a_service_that_wants_a_certificate_is_not_reached_without_one(world, certain, person):
    service, _ = certain
    with world.gateway(certified(world, certain, {"method": "none"})) as gateway:
        calls = len(service.calls)
        answer = world.ask(gateway, "GET", "/x", person, world.issuer.token(person))
        assert (answer.status, answer.problem) == (503, "exchange_unavailable")
        assert len(service.calls) == calls


def test_discovery_says_where_certificates_are_asked_for(world, certain, person):
    """RFC 8705 §5: the alias is for this client, and the plain endpoint for the others."""
    service, own = certain
    world.issuer.discovery_changes = {
        "mtls_endpoint_aliases": {"token_endpoint": service.endpoint}
    }
    try:
        with world.gateway(certified(world, certain, tokenService="corp")) as gateway:
            token = world.issuer.token(person)
            assert world.ask(gateway, "GET", "/x", person, token).status == 200
            assert len(service.calls_for(token)) == 1
        plain = world.routes(exchanges={"corp": {"tokenService": "corp"}})
        with world.gateway(plain) as gateway:
            answer, calls = exchange_of(world, gateway, person)
            assert (answer.status, len(calls)) == (200, 1)
    finally:
        world.issuer.discovery_changes = {}


def test_a_certificate_is_not_sent_in_the_clear(world, certain, person):
    """Discovery names an endpoint without TLS, where nothing would say who calls."""
    calls = len(world.tokens.calls)
    with world.gateway(certified(world, certain, tokenService="corp")) as gateway:
        answer = world.ask(gateway, "GET", "/x", person, world.issuer.token(person))
        assert (answer.status, answer.problem) == (502, "exchange_misconfigured")
        assert len(world.tokens.calls) == calls


# -- none


def test_a_public_client_says_its_id_and_no_more(world, person):
    world.tokens.method = "none"
    with world.gateway(with_client(world, {"method": "none"})) as gateway:
        answer, calls = exchange_of(world, gateway, person)
    assert answer.status == 200
    assert calls[0].value("client_id") == "gateway"
    assert calls[0].authorization is None
    assert calls[0].value("client_secret") is None


# -- what `check` says of keys and certificates


def checked(world, tmp_path, client):
    service = {"tokenService": "https://ts.example/token"} if client["method"] == TLS else {}
    routes = with_client(world, client, **service)
    routes |= {"listeners": [{"address": "127.0.0.1:0"}]}
    (tmp_path / "routes.json").write_text(json.dumps(routes, indent=2))
    run = subprocess.run(
        [tollgate_binary(), "check", "routes.json"],
        cwd=tmp_path, capture_output=True, text=True, env=environment(), timeout=30,
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def papers(tmp_path, world):
    """Files of keys and certificates, good and bad, by name."""
    one, other = (Certificate(["gateway"], issuer=world.authority) for _ in range(2))
    one.write(tmp_path, "one")
    other.write(tmp_path, "other")
    (tmp_path / "rsa.key").write_bytes(Key("RS256").pem())
    (tmp_path / "short.key").write_bytes(Key("RS256", bits=1024).pem())
    (tmp_path / "secret.key").write_bytes(
        one.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pass"),
        )
    )
    (tmp_path / "nonsense.pem").write_text("nonsense\n")
    old = Certificate(["gateway"], issuer=world.authority, days=1, starts_days_ago=3)
    old.write(tmp_path, "old")
    return tmp_path


JWT, TLS = "private_key_jwt", "tls_client_auth"


@pytest.mark.parametrize(
    "client, key, text",
    [
        ({"method": JWT, "key": "gone.key"}, "key", "can't read gone.key: no such file"),
        ({"method": JWT, "key": "nonsense.pem"}, "key", "not an unencrypted private key"),
        ({"method": JWT, "key": "one.pem"}, "key", "not an unencrypted private key"),
        ({"method": JWT, "key": "secret.key"}, "key", "not an unencrypted private key"),
        ({"method": JWT, "key": "short.key"}, "key", "an RSA modulus of 1024 bits"),
        ({"method": JWT, "key": "one.key", "certificate": "other.pem"}, "certificate",
         "other.pem: not the certificate of the key"),
        ({"method": JWT, "key": "one.key", "certificate": "one.key"}, "certificate",
         "not a certificate in PEM"),
        ({"method": JWT, "key": "one.key", "certificate": "gone.pem"}, "certificate",
         "can't read gone.pem"),
        ({"method": JWT, "key": "one.key", "algorithm": "RS256"}, "algorithm",
         "the key in one.key can't sign by it; it can by ES256"),
        ({"method": JWT, "key": "rsa.key", "algorithm": "EdDSA"}, "algorithm",
         "it can by RS256, RS384, RS512, PS256, PS384, PS512"),
        ({"method": TLS, "key": "gone.key", "certificate": "one.pem"}, "key",
         "can't read gone.key"),
        ({"method": TLS, "key": "one.key", "certificate": "gone.pem"}, "certificate",
         "can't read gone.pem"),
        ({"method": TLS, "key": "other.key", "certificate": "one.pem"}, "key",
         "other.key is not the private key of the chain's first certificate"),
        ({"method": TLS, "key": "secret.key", "certificate": "one.pem"}, "key",
         "holds no private key in PEM without a password"),
        ({"method": TLS, "key": "one.key", "certificate": "nonsense.pem"}, "certificate",
         "holds no certificate chain in PEM"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_check_says_which_file_is_of_no_use(world, papers, client, key, text):
    status, said = checked(world, papers, client)
    assert status == 1, said
    assert f"exchanges.corp.client.{key}: " in said, said
    assert text in said
    assert "PRIVATE KEY" not in said


def test_check_warns_of_a_client_certificate_that_has_expired(world, papers):
    client = {"method": TLS, "key": "old.key", "certificate": "old.pem"}
    status, said = checked(world, papers, client)
    assert status == 0, said
    assert "the certificate in old.pem has expired" in said


def test_a_gateway_does_not_start_without_its_key(world, papers):
    routes = with_client(world, {"method": JWT, "key": str(papers / "gone.key")})
    gateway = world.start(routes, ready=None)
    try:
        until(lambda: not gateway.running, "the gateway to end")
        assert gateway.wait(5) == 1
        assert "gone.key" in gateway.said()
    finally:
        gateway.end()
