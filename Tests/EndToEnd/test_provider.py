"""The smallest routes file against a real identity provider, where TOLLGATE_IDP names one.

TOLLGATE_IDP is the folder of the running provider: its idp.json names issuer, endpoints, users and
clients, and a certificate authority where it speaks https.
"""

import base64
import hashlib
import html
import json
import os
import pathlib
import re
import secrets
import urllib.parse

import pytest
import requests
from harness.certificates import Certificate
from harness.client import ask, trusting
from harness.keys import Key, claims_of, header_of
from harness.upstream import Upstream
from harness.waiting import free_port
from harness.world import World

folder = os.environ.get("TOLLGATE_IDP")
pytestmark = pytest.mark.skipif(not folder, reason="TOLLGATE_IDP names no running provider")


class Provider:
    """The provider's own flows, as a browser and a program go through them."""

    def __init__(self, folder):
        self.about = json.loads(pathlib.Path(folder, "idp.json").read_text())
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = self.about.get("ca") or True

    def token(self, client, form):
        known = self.about["clients"][client]
        answer = self.session.post(
            self.about["token_endpoint"],
            data=form,
            auth=(known["client_id"], known["client_secret"]),
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def person(self, user, scope="openid profile orders:read orders:write"):
        """The authorization code grant with PKCE, the login form filled in."""
        client = self.about["clients"]["webapp"]
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        redirect = client.get("redirect_uri", "http://127.0.0.1/cb")
        form = self.session.get(
            self.about["authorization_endpoint"],
            params={
                "response_type": "code",
                "client_id": client["client_id"],
                "redirect_uri": redirect,
                "scope": scope,
                "state": secrets.token_urlsafe(8),
                "nonce": secrets.token_urlsafe(8),
                "code_challenge": challenge.rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            },
            timeout=30,
        )
        field = re.search(r'name="token" value="([^"]+)"', form.text)
        assert field, form.text[:400]
        answer = self.session.post(
            self.about["verify_endpoint"],
            data={
                "token": html.unescape(field.group(1)),
                "username": user,
                "password": self.about["users"][user],
            },
            allow_redirects=False,
            timeout=30,
        )
        location = urllib.parse.urlsplit(answer.headers["Location"])
        code = urllib.parse.parse_qs(location.query)["code"][0]
        grant = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        return self.token("webapp", grant)

    def system(self):
        return self.token("batch-job", {"grant_type": "client_credentials"})


@pytest.fixture(scope="module")
def provider():
    return Provider(folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("provider"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def gateway(world, provider):
    """ROUTES.md's smallest file, with this provider's names and one plain upstream filled in."""
    upstream = Upstream([], [])
    upstream.promise.kinds["/"] = "any"  # the provider's tokens are judged below
    Certificate(["localhost", "127.0.0.1"], issuer=world.authority).write(world.folder, "api")
    tls = {"chain": str(world.folder / "api.pem"), "key": str(world.folder / "api.key")}
    ca = provider.about.get("ca")
    trust = f', "tls": {{ "ca": "{ca}" }}' if ca else ""
    text = """
    {
      "issuers": { "corp": { "issuer": "%s", "audiences": ["https://gateway.example"]%s } },
      "exchanges": { "corp": { "tokenService": "corp"%s,
        "client": { "id": "gateway", "secret": { "env": "GATEWAY_SECRET" } } } },
      "listeners": [ { "address": "127.0.0.1:%d", "tls": { "certificates": [ %s ] } } ],
      "routes": [
        { "match": { "path": "/orders/*" }, "exchange": { "audience": "https://orders.example" },
          "forward": { "to": "%s" } }
      ],
      "admin": { "address": "127.0.0.1:%d" }
    }
    """
    port, admin = free_port(), free_port()
    text %= (provider.about["issuer"], trust, trust, port, json.dumps(tls), upstream.url, admin)
    secret = provider.about["clients"]["gateway"]["client_secret"]
    gateway = world.start(text, environ={"GATEWAY_SECRET": secret}, ready=None)
    gateway.port, gateway.admin_port = port, admin
    gateway.upstream = upstream
    gateway.tls = trusting(world.authority)
    try:
        gateway.wait_until(lambda: gateway.admin("/readyz")[0] == 200, "/readyz")
        yield gateway
        gateway.stop()
    finally:
        gateway.end()
        upstream.close()


def exchanging(world, provider, client, audience="https://orders.example", **exchange):
    """A gateway that is another of the provider's clients."""
    about = provider.about
    trust = {"tls": {"ca": about["ca"]}} if about.get("ca") else {}
    issuer = {"issuer": about["issuer"], "audiences": ["https://gateway.example"]} | trust
    corp = {"tokenService": "corp", "client": {"secret": None} | client, "retries": 0} | trust
    routes = world.routes(
        world.route("/*", exchange={"audience": audience}),
        issuers={"corp": issuer}, exchanges={"corp": corp | exchange},
    )  # fmt: skip
    world.upstream.promise.kinds["/"] = "any"
    secret = about["clients"][client["id"]].get("client_secret", "none")
    return world.gateway(routes, environ={"CLIENT_SECRET": secret})


def secret_of(name, **more):
    return {"id": name, "secret": {"env": "CLIENT_SECRET"}} | more


@pytest.mark.parametrize("client", ["gateway", "gateway-post", "gateway-pkjwt"])
def test_each_method_is_believed_and_the_signature_holds(world, provider, client):
    """What comes back is checked with the provider's own keys."""
    clients = {
        "gateway": secret_of("gateway"),
        "gateway-post": secret_of("gateway-post", method="client_secret_post"),
        "gateway-pkjwt": {
            "id": "gateway-pkjwt", "method": "private_key_jwt", "keyId": "gateway-pkjwt-key",
            "key": str(pathlib.Path(folder).resolve() / "gateway-pkjwt.pem"),
        },
    }  # fmt: skip
    verify = {"signature": True}
    with exchanging(world, provider, clients[client], verify=verify) as gateway:
        for name in ("diana", "bob"):  # two, and so two assertions
            token = provider.person(name)
            answer = ask(gateway.port, "GET", "/orders/1", name, token)
            assert answer.status == 200, answer
            claims = claims_of(answer.seen("authorization")[0].removeprefix("Bearer "))
            assert claims["sub"] == claims_of(token)["sub"]


def test_another_key_is_not_believed(world, provider, tmp_path):
    file = tmp_path / "other.key"
    file.write_bytes(Key("RS256").pem())
    client = {"id": "gateway-pkjwt", "method": "private_key_jwt", "key": str(file)}
    with exchanging(world, provider, client) as gateway:
        answer = ask(gateway.port, "GET", "/orders/1", "diana", provider.person("diana"))
        assert answer.status in (403, 502), answer


def test_a_client_that_may_not_exchange_gets_nothing(world, provider):
    before = len(world.upstream.requests)
    with exchanging(world, provider, secret_of("gateway-noexchange")) as gateway:
        answer = ask(gateway.port, "GET", "/orders/1", "diana", provider.person("diana"))
        assert answer.status in (403, 502), answer
    assert len(world.upstream.requests) == before


def test_a_narrow_client_gets_its_one_audience_only(world, provider):
    """Its answers say an hour of tokens that end after a minute: the token's own end counts."""
    token = provider.person("diana", "openid orders:read")
    narrow = secret_of("gateway-narrow")
    with exchanging(world, provider, narrow) as gateway:
        answer = ask(gateway.port, "GET", "/orders/1", "diana", token)
        assert answer.status == 200, answer
        claims = claims_of(answer.seen("authorization")[0].removeprefix("Bearer "))
        assert claims["exp"] - claims["iat"] <= 60
    with exchanging(world, provider, narrow, "https://billing.example") as gateway:
        answer = ask(gateway.port, "GET", "/orders/1", "diana", provider.person("diana"))
        assert answer.status in (403, 502), answer


def test_an_own_token_that_is_no_bearer_token_is_not_used(world, provider):
    """To client credentials this provider says `"token_type": "access_token"`, which no type is
    (RFC 6749 §7.1): whoever does not know a type must not use the token."""
    about = provider.about
    trust = {"tls": {"ca": about["ca"]}} if about.get("ca") else {}
    own = {"tokenService": "corp", "grant": "client-credentials", "retries": 0,
           "client": secret_of("gateway-noexchange"), "verify": {"signature": True}}  # fmt: skip
    routes = world.routes(
        world.route("/*", authenticate="none", exchange=None, clientCredentials={}),
        issuers={"corp": {"issuer": about["issuer"], "audiences": ["x"]} | trust},
        exchanges={"corp": None, "own": own | trust},
    )
    world.upstream.promise.kinds["/"] = "any"
    secret = about["clients"]["gateway-noexchange"]["client_secret"]
    with world.gateway(routes, environ={"CLIENT_SECRET": secret}) as gateway:
        answer = ask(gateway.port, "GET", "/orders/1")
        assert (answer.status, answer.problem) == (502, "exchange_misconfigured")
        record = gateway.logged(path="/orders/1")
        assert record["exchange_error"] == "token_type is not Bearer"


def test_a_persons_token_is_exchanged(provider, gateway):
    token = provider.person("diana")
    answer = ask(gateway.port, "GET", "/orders/1", "diana", token, gateway.tls)
    assert answer.status == 200, answer
    received = answer.seen("authorization")
    assert len(received) == 1
    exchanged = received[0].removeprefix("Bearer ")
    assert exchanged != token
    claims = claims_of(exchanged)
    audience = claims["aud"]
    assert audience in ("https://orders.example", ["https://orders.example"])
    assert claims["sub"] == claims_of(token)["sub"]
    assert claims["iss"] == provider.about["issuer"]
    assert token.split(".")[2].encode() not in gateway.upstream.requests[-1].head


def test_two_people_stay_apart(provider, gateway):
    tokens = {name: provider.person(name) for name in ("diana", "bob")}
    for _ in range(3):
        for name, token in tokens.items():
            answer = ask(gateway.port, "GET", "/orders/2", name, token, gateway.tls)
            exchanged = answer.seen("authorization")[0].removeprefix("Bearer ")
            assert claims_of(exchanged)["sub"] == claims_of(token)["sub"]


def test_a_systems_token_is_turned_away(provider, gateway):
    token = provider.system()
    before = len(gateway.upstream.requests)
    answer = ask(gateway.port, "GET", "/orders/3", "batch", token, gateway.tls)
    assert (answer.status, answer.problem) == (403, "system_identity")
    assert len(gateway.upstream.requests) == before


def test_a_token_of_theirs_with_another_signature_is_refused(provider, gateway):
    one, two = provider.person("diana"), provider.person("bob")
    assert header_of(one)["alg"] == header_of(two)["alg"]
    forged = one.rpartition(".")[0] + "." + two.rpartition(".")[2]
    answer = ask(gateway.port, "GET", "/orders/4", "diana", forged, gateway.tls)
    assert (answer.status, answer.problem) == (401, "signature_invalid")
