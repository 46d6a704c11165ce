"""`tollgate explain`: what it says of a request is what a running gateway does with it."""

import base64
import json
import re
import subprocess

import pytest
from harness.client import ask
from harness.issuer import Issuer
from harness.keys import Key
from harness.program import environment, tollgate_binary
from harness.promise import secrets_in
from harness.world import SECRET

KEY_OF_THE_SERVICE = "key-that-only-the-service-knows"
PAGE = "https://page.example"


def explain(gateway, *arguments, token=None, stdin=None):
    """What it says, and that no secret is in it."""
    command = [tollgate_binary(), "explain", gateway.file, *arguments]
    if token is not None:
        file = gateway.world.folder / "token"
        file.write_text(token + "\n")
        command += ["--token", file]
    told = subprocess.run(
        [str(word) for word in command],
        input=stdin, capture_output=True, text=True, timeout=60,
        env=environment(GATEWAY_SECRET=SECRET),
    )  # fmt: skip
    world = gateway.world
    output = told.stdout + told.stderr
    assert not secrets_in(output.encode(), [world.issuer], [world.tokens]), output
    for secret in (KEY_OF_THE_SERVICE, SECRET):
        assert secret not in output
    if token:
        for part in token.split("."):
            assert len(part) < 16 or part not in output
    return told


@pytest.fixture(scope="module")
def gateway(world):
    world.upstream.promise.kinds.update({"/strip": "none", "/pass": "any", "/cookie": "none",
                                         "/query": "none", "/open": "none",
                                         "/beta": "none", "/cors": "none"})  # fmt: skip
    strip = {"exchange": "strip"}
    routes = world.routes(
        world.route(
            "/orders/*", name="orders", match={"path": "/orders/*", "methods": ["GET", "POST"]},
            forward={
                "to": world.upstream.url,
                "path": {"stripPrefix": "/orders", "addPrefix": "/v2"},
                "headers": {
                    "set": {"X-User": "{claim:sub}", "X-Key": KEY_OF_THE_SERVICE},
                    "remove": ["X-Debug"],
                },
            },
        ),
        world.route("/orders/{id}/secret", name="secret", authenticate={"scope": ["orders:all"]}),
        world.route("/strip/*", name="strip", **strip),
        world.route("/pass/*", name="pass", exchange="passthrough"),
        world.route("/cookie/*", name="cookie", authenticate={"from": "cookie:session"}, **strip),
        world.route("/query/*", name="query", authenticate={"from": "query:t"}, **strip),
        world.route("/systems/*", name="systems", admit={"system": "exchange"}),
        world.route("/known/*", name="known", admit={"unknown": "reject"}),
        world.route("/nobody/*", name="nobody", admit={"person": "reject"}),
        world.route("/gold/*", name="gold", authenticate={"claims": {"tier": ["gold", "vip"]}}),
        world.route("/any/*", name="any", authenticate={"anyScope": ["a", "b"]}),
        world.route(
            "/beta/*", name="beta", match={"path": "/beta/*", "headers": {"X-Beta": "1"}}, **strip
        ),
        world.route("/cors/*", name="cors", cors={"origins": [PAGE]}, **strip),
        {"name": "open", "match": {"path": "/open"}, "authenticate": "none",
         "forward": {"to": world.upstream.url}},
        {"name": "own", "match": {"path": "/own"}, "authenticate": "none",
         "respond": {"status": 418, "body": "short"}},
        {"name": "moved", "match": {"path": "/moved/*"}, "authenticate": "none",
         "redirect": {"to": "https://new.example/", "status": 308}},
        issuers={"closed": {"issuer": "https://closed.example", "audiences": ["x"],
                            "jwks": world.issuer.url + "/jwks"}},
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        yield gateway


# What is asked: method, path, the token's claims changed (None: no token), and fields.
PLAIN = {}
CASES = {
    "exchanged": ("GET", "/orders/7", PLAIN, {}),
    "exchanged post": ("POST", "/orders/7", PLAIN, {"Content-Length": "0"}),
    "stripped": ("GET", "/strip/x", PLAIN, {}),
    "passed through": ("GET", "/pass/x", PLAIN, {}),
    "public": ("GET", "/open", None, {}),
    "public with a token": ("GET", "/open", PLAIN, {}),
    "own answer": ("GET", "/own", None, {}),
    "redirect": ("GET", "/moved/a", None, {}),
    "no route": ("GET", "/nowhere", None, {}),
    "wrong method": ("DELETE", "/orders/7", PLAIN, {}),
    "trace": ("TRACE", "/strip/x", None, {}),
    "header wanted": ("GET", "/beta/x", PLAIN, {}),
    "header there": ("GET", "/beta/x", PLAIN, {"X-Beta": "1"}),
    "encoded slash": ("GET", "/orders/a%2Fb", PLAIN, {}),
    "dots": ("GET", "/strip/../orders/7", PLAIN, {}),
    "null byte": ("GET", "/orders/%00", PLAIN, {}),
    "no token": ("GET", "/orders/7", None, {}),
    "another scheme": ("GET", "/orders/7", None, {"Authorization": "Negotiate abc"}),
    "expired": ("GET", "/orders/7", {"exp": 1_700_000_000}, {}),
    "not yet": ("GET", "/orders/7", {"nbf": 4_000_000_000}, {}),
    "no end": ("GET", "/orders/7", {"exp": None}, {}),
    "wrong audience": ("GET", "/orders/7", {"aud": ["account", "else"]}, {}),
    "unknown issuer": ("GET", "/orders/7", {"iss": "https://else.example"}, {}),
    "no issuer": ("GET", "/orders/7", {"iss": None}, {}),
    "an ID token": ("GET", "/orders/7", {"nonce": "n"}, {}),
    "bound": ("GET", "/orders/7", {"cnf": {"jkt": "x"}}, {}),
    "broken sub": ("GET", "/orders/7", {"sub": 7}, {}),
    "system": ("GET", "/orders/7", {"userType": "system"}, {}),
    "system by its client": ("GET", "/strip/x", {"userType": None, "azp": "{person}"}, {}),
    "unknown": ("GET", "/known/x", {"userType": None}, {}),
    "unknown let through": ("GET", "/strip/x", {"userType": None}, {}),
    "a person where none is wanted": ("GET", "/nobody/x", PLAIN, {}),
    "scope missing": ("GET", "/orders/7/secret", PLAIN, {}),
    "scope there": ("GET", "/orders/7/secret", {"scope": "orders:all"}, {}),
    "no scope of any": ("GET", "/any/x", PLAIN, {}),
    "a scope of any": ("GET", "/any/x", {"scope": "b"}, {}),
    "claim wrong": ("GET", "/gold/x", {"tier": "tin"}, {}),
    "claim right": ("GET", "/gold/x", {"tier": ["vip"]}, {}),
    "cookie": ("GET", "/cookie/x", PLAIN, {}),
    "cookie from elsewhere": ("POST", "/cookie/x", PLAIN,
                              {"Origin": PAGE, "Content-Length": "0"}),
    "query": ("GET", "/query/x?a=1", PLAIN, {}),
    "preflight": ("OPTIONS", "/cors/x", None,
                  {"Origin": PAGE, "Access-Control-Request-Method": "GET"}),
    "page": ("GET", "/cors/x", PLAIN, {"Origin": PAGE}),
    "not implemented": ("GET", "/strip/x", PLAIN, {"Transfer-Encoding": "gzip"}),
    "expectation": ("GET", "/strip/x", PLAIN, {"Expect": "tea"}),
    "too long": ("GET", "/strip/" + "x" * 9_000, PLAIN, {}),
}  # fmt: skip


def token_of(world, person, changes):
    changes = {
        name: person if value == "{person}" else value for name, value in changes.items()
    }
    return world.issuer.token(person, **changes)


def asked(gateway, method, path, person, token, fields):
    """Status and reason of the running gateway, in its answer and in its log."""
    fields = dict(fields)
    if token and path.startswith("/cookie"):
        fields["Cookie"] = f"session={token}"
    elif token and path.startswith("/query"):
        path += f"&t={token}"
    elif token:
        fields["Authorization"] = f"Bearer {token}"
    answer = ask(gateway.port, method, path, person, fields=list(fields.items()))
    log = gateway.logged(status=answer.status)
    reason = None
    if answer.value("content-type") == "application/problem+json":
        reason = answer.problem
        log = gateway.logged(id=answer.json()["requestId"])
    assert log.get("reason") == reason
    return answer.status, reason


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_the_verdict_is_the_running_gateways(world, gateway, person, case):
    method, path, changes, fields = CASES[case]
    token = None if changes is None else token_of(world, person, changes)
    status, reason = asked(gateway, method, path, person, token, fields)
    url = f"http://127.0.0.1:{gateway.port}{path}"
    headers = [f"--header={name}: {value}" for name, value in fields.items()]
    calls = len(world.tokens.calls)
    fetches = len(world.issuer.fetches)
    told = explain(gateway, method, url, *headers, "--json", token=token)
    verdict = json.loads(told.stdout)["verdict"]
    assert verdict.get("reason") == reason, told.stdout
    if reason:
        assert (told.returncode, verdict["outcome"], verdict["status"]) == (4, "refused", status)
        assert verdict["advice"]
    else:
        assert told.returncode == 0
        own = case in ("own answer", "redirect", "preflight")
        assert verdict["outcome"] == ("answered" if own else "forwarded")
        assert not own or verdict["status"] == status
    assert (len(world.tokens.calls), len(world.issuer.fetches)) == (calls, fetches)


def step(told, name):
    return next(step for step in json.loads(told.stdout)["steps"] if step["step"] == name)


def facts(told, name):
    return {fact["name"]: fact for fact in step(told, name)["facts"]}


def test_live_checks_the_signature_with_the_issuers_keys(world, gateway, person):
    arguments = ("GET", f"http://127.0.0.1:{gateway.port}/orders/7", "--live", "--json")
    told = explain(gateway, *arguments, token=world.issuer.token(person))
    assert told.returncode == 0
    assert facts(told, "checks")["signature"]["got"] == "holds"
    told = explain(gateway, *arguments, token=world.issuer.forged(person))
    assert told.returncode == 4
    assert json.loads(told.stdout)["verdict"]["reason"] == "signature_invalid"
    told = explain(gateway, *arguments, token=world.issuer.token(person, key=Key("RS256")))
    assert json.loads(told.stdout)["verdict"]["reason"] == "key_unknown"
    offline = explain(gateway, *arguments[:2], "--json", token=world.issuer.forged(person))
    assert offline.returncode == 0
    assert facts(offline, "checks")["signature"]["got"] == "unchecked"
    assert any("--live" in caveat for caveat in json.loads(offline.stdout)["caveats"])


def test_live_says_why_keys_cannot_be_had(world, gateway, person):
    other = Issuer()
    routes = world.routes(
        listeners=[world.clear_listener],
        issuers={"corp": {"issuer": other.url, "audiences": ["https://gateway.example"]}},
    )
    file = world.folder / "other.json"
    file.write_text(json.dumps(routes | {"accessLog": "off"}))
    token = other.token(person)
    other.close()
    gateway_file, gateway.file = gateway.file, file
    try:
        told = explain(gateway, "GET", "/x", "--live", "--json", token=token)
    finally:
        gateway.file = gateway_file
    assert told.returncode == 4, told.stderr
    assert json.loads(told.stdout)["verdict"]["reason"] == "keys_unavailable"
    assert "refused" in facts(told, "checks")["signature"]["got"]


def test_expected_stands_beside_got(world, gateway, person):
    token = world.issuer.token(person, aud="account")
    told = explain(gateway, "GET", "/orders/7", "--json", token=token)
    audience = facts(told, "checks")["aud"]
    assert audience["got"] == "account" and audience["mark"] == "wrong"
    assert "https://gateway.example" in audience["expected"]
    told = explain(gateway, "GET", "/orders/7/secret", token=world.issuer.token(person))
    assert re.search(r"✗ scope .*orders:read.*expected: all of orders:all", told.stdout)


def test_times_are_told_as_people_say_them(world, gateway, person):
    token = world.issuer.token(person, exp=int(world.issuer.claims(person)["iat"]) - 200)
    told = explain(gateway, "GET", "/orders/7", token=token)
    assert re.search(r"✗ life +expired 3 min \d+ s ago \(\d{4}-\d\d-\d\d ", told.stdout)


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_of_a_token_that_is_no_good_it_is_told_what_it_is(world, gateway, person):
    good = world.issuer.token(person)
    _, payload, signature = good.split(".")
    five = ".".join([encoded({"alg": "RSA-OAEP", "enc": "A256GCM"}), *["aaaa"] * 4])
    for token, name, got, expected in (
        ("2YotnFZFEjr1zCsicMWpAA", "form", "one part", "three parts"),
        (five, "form", "an encrypted token (JWE)", "a signed JWT"),
        (f"{good}=", "form", "the signature is not base64url", "a signed JWT"),
        (f"{encoded({'alg': 'none'})}.{payload}.", "algorithm", "none", "RS256"),
        (f"{encoded({'alg': 'HS256'})}.{payload}.{signature}", "algorithm", "HS256", "RS256"),
    ):
        told = explain(gateway, "GET", "/orders/7", "--json", token=token)
        assert told.returncode == 4
        fact = facts(told, "checks")[name]
        assert fact["mark"] == "wrong", fact
        assert got in fact["got"] and expected in fact["expected"], fact
    told = explain(gateway, "GET", "/orders/7", "--json", token=five)
    assert facts(told, "token")["header"]["got"] == "alg RSA-OAEP, enc A256GCM"


def test_what_is_easily_overlooked_is_pointed_at(world, gateway, person):
    for changes, name, got, expected in (
        ({"iss": world.issuer.url + "/"}, "issuer", "slash at its end", world.issuer.url),
        ({"nonce": "n", "at_hash": "h"}, "type", "nonce, at_hash", "an access token's"),
        ({"exp": "tomorrow"}, "life", "exp is no number", "seconds since 1970"),
        ({"exp": None}, "life", "no exp", "seconds since 1970"),
        ({"nbf": 4_000_000_000}, "life", "valid in ", "a beginning that has been"),
    ):
        token = world.issuer.token(person, **changes)
        told = explain(gateway, "GET", "/orders/7", "--json", token=token)
        fact = facts(told, "checks")[name]
        assert fact["mark"] == "wrong" and got in fact["got"] and expected in fact["expected"]
    other = world.issuer.token(person, header={"kid": "another"})
    told = explain(gateway, "GET", "/orders/7", "--live", "--json", token=other)
    fact = facts(told, "checks")["signature"]
    assert fact["got"] == 'no key "another"' and world.issuer.key.kid in fact["expected"]


def test_no_secret_needs_to_be_there(world, gateway, person):
    token = world.folder / "token"
    token.write_text(world.issuer.token(person))
    command = [tollgate_binary(), "explain", gateway.file, "GET", "/orders/7", "--token", token]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment()
    )
    assert told.returncode == 0, told.stderr
    assert "by Basic; its secret is not shown" in told.stdout


def test_the_exchange_is_told_without_its_secrets(world, gateway, person):
    told = explain(gateway, "GET", "/orders/7", "--json", token=world.issuer.token(person))
    form = {name: fact["got"] for name, fact in facts(told, "exchange").items()}
    assert form["POST"] == world.tokens.endpoint
    assert form["audience"] == "orders"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert re.fullmatch(r"‹SHA-256 [0-9a-f]{16}…›", form["subject_token"])


def test_what_goes_on_is_told_field_by_field(world, gateway, person):
    token = world.issuer.token(person)
    url = "http://localhost/orders/7?a=1"
    told = explain(gateway, "GET", url, "--header", "X-Debug: 1", "--json", token=token)
    sent = {name: fact["got"] for name, fact in facts(told, "forward").items()}
    answer = world.ask(gateway, "GET", "/orders/7?a=1", person, token, fields=[("X-Debug", "1")])
    assert answer.status == 200
    for name in ("Host", "X-Forwarded-Proto", "X-Forwarded-Host", "X-User", "Via"):
        assert answer.seen(name) == [sent[f"+ {name}"]], name
    assert sent["path"].split(",")[0] == "/v2/7"
    assert sent["+ X-Key"] == "‹not shown›" and answer.seen("X-Key") == [KEY_OF_THE_SERVICE]
    assert sent["- X-Debug"] == "removed" and answer.seen("X-Debug") == []
    assert sent["+ Authorization"] == "Bearer ‹the token for orders›"


def test_a_token_comes_from_standard_input_too(world, gateway, person):
    token = world.issuer.token(person)
    told = explain(gateway, "GET", "/strip/x", "--token", "-", stdin=f"Bearer {token}\n")
    assert told.returncode == 0, told.stderr
    assert token.split(".")[1] not in told.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--header", "Authorization: Bearer {}"], ["--token", "{}"], ["--token={}"], ["{}"]],
    ids=str,
)
def test_a_token_is_no_argument(world, gateway, person, arguments):
    token = world.issuer.token(person)
    told = explain(gateway, "GET", "/x", *[word.replace("{}", token) for word in arguments])
    assert told.returncode == 2 and "--token FILE" in told.stderr and not told.stdout
    assert token not in told.stderr


@pytest.mark.parametrize(
    "arguments, status, word",
    [
        (["GET"], 2, "expected"),
        (["GET", "/x", "/y"], 2, "expected"),
        (["GET", "/x", "--what"], 2, "--what"),
        (["GET", "/x", "--log", "f"], 2, "--id"),
        (["GET", "/x", "--listener", "none"], 2, "clear"),
        (["GET", "ftp://x/"], 2, "http"),
        (["GET", "/x", "--header", "none"], 2, "Name: value"),
        (["GET", "/x", "--token", "/nowhere/token"], 1, "ENOENT"),
        (["--id", "nobody"], 1, "no request"),
        (["--id", "x", "--live"], 2, "--log"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(gateway, arguments, status, word):
    told = explain(gateway, *arguments)
    assert told.returncode == status, told.stderr
    assert word in told.stderr and not told.stdout


def test_a_broken_routes_file_is_told_as_check_does(gateway, tmp_path):
    file = tmp_path / "broken.json"
    file.write_text('{ "routes": [], "ruotes": 1 }')
    command = [tollgate_binary(), "check", str(file)]
    check = subprocess.run(command, capture_output=True, text=True, timeout=60)
    command = [tollgate_binary(), "explain", str(file), "GET", "/"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stderr) == (1, check.stderr)


def test_a_request_of_the_log_is_explained_again(world, gateway, person):
    token = world.issuer.token(person, userType="system")
    answer = world.ask(gateway, "GET", "/orders/7", person, token)
    name = answer.json()["requestId"]
    gateway.logged(id=name)
    told = explain(gateway, "--id", name)
    assert told.returncode == 4
    assert "refused 403 system_identity" in told.stdout and "admit.system" in told.stdout
    assert re.search(r"✓ route +orders", told.stdout)
    assert "the routes file is" not in told.stdout
    elsewhere = explain(gateway, "--id", name, "--log", "-", stdin=gateway.log_text())
    assert elsewhere.stdout == told.stdout


def test_a_request_of_the_log_that_was_answered(world, gateway, person):
    answer = world.ask(gateway, "GET", "/strip/x", person)
    name = answer.seen("x-request-id")[0]
    gateway.logged(id=name)
    told = explain(gateway, "--id", name, "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["verdict"]["outcome"] == "forwarded"


@pytest.mark.parametrize("members", [
    {"http.request.method": "GET", "url.path": "/x", "http.response.status_code": 200,
     "tollgate.request.id": "abc", "http.server.request.duration": 0.692482},
    {"http.request.method": "GET", "url.path": "/x", "http.response.status_code": 200,
     "http.request.id": "abc", "event.duration": 692482000},
], ids=["otel", "ecs"])  # fmt: skip
def test_a_duration_is_in_milliseconds_whatever_the_log_counts_in(gateway, members):
    told = explain(gateway, "--id", "abc", "--log", "-", stdin=json.dumps(members) + "\n")
    assert re.search(r"duration_ms +692\.482\b", told.stdout), told


def test_help_names_every_exit_status():
    command = [tollgate_binary(), "explain", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0
    for status in ("0 it would", "1 the routes", "2 usage", "3 the system", "4 it would"):
        assert status in told.stdout
