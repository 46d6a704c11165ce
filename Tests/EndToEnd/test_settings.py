"""Settings of issuers, exchanges and routes that other files do not try."""

import threading

import pytest
from harness.certificates import Certificate
from harness.client import Connection, request_bytes
from harness.issuer import AUDIENCE, Issuer
from harness.keys import now
from harness.token_service import TokenService
from harness.waiting import until
from harness.world import SECRET


# -- what a token must have


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/all/*", authenticate={"scope": ["orders:read", "orders:write"]}),
        world.route("/any/*", authenticate={"anyScope": ["orders:read", "admin"]}),
        world.route("/plain/*"),
        issuers={"corp": {"maxAge": "1h", "clockSkew": "5s"}},
    )
    with world.gateway(routes) as gateway:
        yield gateway


@pytest.mark.parametrize("claim", ["scope", "scp"])
@pytest.mark.parametrize("as_list", [False, True], ids=["text", "list"])
def test_every_scope_that_a_route_wants_must_be_there(world, gateway, person, claim, as_list):
    for scopes, status in (
        (["orders:read", "orders:write", "more"], 200),
        (["orders:read"], 403),
        (["orders:readers", "orders:write"], 403),
        ([], 403),
    ):
        value = scopes if as_list else " ".join(scopes)
        token = world.issuer.token(person, **({"scope": None} | {claim: value}))
        calls = len(world.tokens.calls)
        answer = world.ask(gateway, "GET", "/all/x", person, token)
        assert answer.status == status
        if status == 403:
            assert answer.problem == "scope_missing"
            challenge = answer.value("www-authenticate")
            assert 'error="insufficient_scope"' in challenge
            assert 'scope="orders:read orders:write"' in challenge
            assert len(world.tokens.calls) == calls


def test_one_of_several_scopes_may_do(world, gateway, person):
    for scopes, status in (("admin", 200), ("x orders:read", 200), ("x", 403)):
        token = world.issuer.token(person, scope=scopes)
        assert world.ask(gateway, "GET", "/any/x", person, token).status == status


def test_an_old_token_is_refused_whatever_its_end(world, gateway, person):
    for age, status in ((0, 200), (3000, 200), (4000, 401), (-3600, 401)):
        token = world.issuer.token(person, iat=now() - age, exp=now() + 9000)
        answer = world.ask(gateway, "GET", "/plain/x", person, token)
        if age < 0 and answer.status == 200:
            continue  # one from the future is no older than allowed
        assert answer.status == status, age
    token = world.issuer.token(person, iat=None)
    assert world.ask(gateway, "GET", "/plain/x", person, token).status == 401


def test_the_skew_is_as_configured(world, gateway, person):
    token = world.issuer.token(person, nbf=now() + 12)
    answer = world.ask(gateway, "GET", "/plain/x", person, token)
    assert answer.problem == "token_not_yet_valid"


def test_the_audience_may_be_in_another_claim(world, person):
    routes = world.routes(issuers={"corp": {"audienceClaim": "client_id"}})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person, aud=None, client_id=AUDIENCE)
        assert world.ask(gateway, "GET", "/x", person, token).status == 200
        token = world.issuer.token(person, client_id="another")
        answer = world.ask(gateway, "GET", "/x", person, token)
        assert answer.problem == "audience_wrong"


# -- TLS towards others


def test_an_issuer_and_a_token_service_with_a_private_authority(world, person):
    ca = world.authority_file
    tokens = TokenService(secret=SECRET, certificate=world.certificate_files)
    issuer = Issuer(token_endpoint=tokens.endpoint, certificate=world.certificate_files)
    promise = world.upstream.promise
    promise.issuers.append(issuer)
    promise.services.append(tokens)
    trust = {"tls": {"ca": str(ca)}}
    try:
        routes = world.routes(
            issuers={"corp": {"issuer": issuer.url, **trust}},
            exchanges={"corp": {"tokenService": "corp", **trust}},
        )
        with world.gateway(routes) as gateway:
            token = issuer.token(person)
            answer = world.ask(gateway, "GET", "/x", person, token)
            assert answer.status == 200, answer
            assert len(tokens.calls_for(token)) == 1
        assert not tokens.complaints
    finally:
        promise.issuers.remove(issuer)
        tokens.close()
        issuer.close()
        promise.services.remove(tokens)


@pytest.mark.parametrize("names", [["localhost", "127.0.0.1"], ["elsewhere.example"]], ids=str)
def test_a_strangers_certificate_is_not_trusted(world, person, names):
    """Neither another signer's, nor the right signer's for another name."""
    ca = world.authority_file
    signer = None if "localhost" in names else world.authority
    files = Certificate(names, issuer=signer).write(world.folder, "strange")
    tokens = TokenService(secret=SECRET, certificate=files)
    issuer = Issuer(certificate=files)
    trust = {"tls": {"ca": str(ca)}}
    try:
        routes = world.routes(
            world.route("/keys/*", authenticate={"issuers": ["strange"]}),
            world.route("/exchange/*"),
            issuers={"strange": {"issuer": issuer.url, "audiences": [AUDIENCE], **trust}},
            exchanges={"corp": {"tokenService": tokens.endpoint, "retries": 0, **trust}},
        )
        with world.gateway(routes, ready="listening") as gateway:
            answer = world.ask(gateway, "GET", "/keys/x", person, issuer.token(person))
            assert (answer.status, answer.problem) == (503, "keys_unavailable")
            answer = world.ask(gateway, "GET", "/exchange/x", person)
            assert (answer.status, answer.problem) == (503, "exchange_unavailable")
        assert tokens.calls == [] and issuer.fetches == []
    finally:
        tokens.close()
        issuer.close()


# -- the exchange's numbers


def test_calls_of_an_exchange_wait_for_their_turn(world, person):
    """`concurrency` is of the whole process, and a hit waits for nobody."""
    routes = world.routes(exchanges={"corp": {"concurrency": 3}})
    with world.gateway(routes) as gateway:
        warm = world.issuer.token("warm")
        assert world.ask(gateway, "GET", "/x", "warm", warm).status == 200
        gate = world.tokens.held()
        connections = []
        for number in range(10):
            connection = Connection(gateway.port)
            name = f"{person}-{number}"
            connection.send(request_bytes("GET", "/x", name, world.issuer.token(name)))
            connections.append(connection)
        assert world.tokens.wait_for_calls(3) == 3
        for _ in range(20):
            assert world.ask(gateway, "GET", "/x", "warm", warm).status == 200
        assert world.tokens.waiting == 3
        gate.set()
        assert [connection.answer().status for connection in connections] == [200] * 10
        for connection in connections:
            connection.close()


def test_what_waits_too_long_for_its_turn_times_out(world, person):
    settings = {"concurrency": 1, "timeout": "400ms", "retries": 0}
    with world.gateway(world.routes(exchanges={"corp": settings})) as gateway:
        gate = world.tokens.held()
        answers = []

        def caller(name):
            answers.append(world.ask(gateway, "GET", "/x", name))

        threads = [
            threading.Thread(target=caller, args=(f"{person}-{number}",)) for number in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        gate.set()
        assert {answer.problem for answer in answers} <= {
            "exchange_timeout", "exchange_unavailable",
        }  # fmt: skip
        assert len(answers) == 3


def test_a_kept_token_lives_no_longer_than_allowed(world, person):
    routes = world.routes(exchanges={"corp": {"cache": {"maxLife": "1s"}}})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x", person, token).status == 200

        def again():
            world.ask(gateway, "GET", "/x", person, token)
            return len(world.tokens.calls_for(token)) > 1

        until(again, "a second exchange", 10, pause=0.2)


def test_a_refusal_is_forgotten_in_time(world, person):
    routes = world.routes(exchanges={"corp": {"cache": {"denied": "500ms"}}})
    with world.gateway(routes) as gateway:
        world.tokens.failing(400, {"error": "invalid_target"})
        token = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x", person, token).status == 403
        assert world.ask(gateway, "GET", "/x", person, token).status == 403
        world.tokens.reset()
        until(
            lambda: world.ask(gateway, "GET", "/x", person, token).status == 200,
            "the refusal to be forgotten",
            10,
            pause=0.1,
        )


def test_nothing_is_kept_where_the_cache_has_no_room(world, person):
    routes = world.routes(exchanges={"corp": {"cache": {"size": "0KiB"}}})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        for _ in range(3):
            assert world.ask(gateway, "GET", "/x", person, token).status == 200
        assert len(world.tokens.calls_for(token)) == 3


def test_which_errors_mean_the_subject_is_configurable(world, person):
    errors = [{"error": "invalid_request", "description": "subject gone"}]
    routes = world.routes(exchanges={"corp": {"subjectErrors": errors}})
    with world.gateway(routes) as gateway:
        for body, status in (
            ({"error": "invalid_request", "error_description": "subject gone"}, 401),
            ({"error": "invalid_request", "error_description": "subject gone."}, 403),
            ({"error": "invalid_grant"}, 403),
        ):
            world.tokens.failing(400, body)
            assert world.ask(gateway, "GET", "/x", person).status == status


# -- smaller things


def test_via_may_be_left_out(world, person):
    routes = world.routes(world.route("/*", forward={"via": False}))
    with world.gateway(routes) as gateway:
        assert world.ask(gateway, "GET", "/x", person).seen("via") == []


def test_a_passed_through_token_arrives_as_it_came(world, person):
    routes = world.routes(world.route("/*", exchange="passthrough"))
    world.upstream.promise.kinds["/passed"] = "caller"
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        answer = world.ask(gateway, "GET", "/passed", person, token)
        assert answer.seen("authorization") == [f"Bearer {token}"]
        forged = world.issuer.forged(person)
        assert world.ask(gateway, "GET", "/passed", person, forged).status == 401


def test_keys_are_fetched_again_as_configured(world, person):
    """A key taken out of the set stops verifying, cached tokens included."""
    source = Issuer()
    world.upstream.promise.issuers.append(source)
    settings = {"issuer": source.url, "audiences": [AUDIENCE], "jwksRefresh": "1s"}
    try:
        with world.gateway(world.routes(issuers={"corp": None, "own": settings})) as gateway:
            old, key = source.token(person), source.key
            assert world.ask(gateway, "GET", "/x", person, old).status == 200
            from harness.keys import Key

            source.keys = [Key("RS256")]
            until(
                lambda: world.ask(gateway, "GET", "/x", person, old).status == 401,
                "the old key to be forgotten",
                20,
                pause=0.2,
            )
            fresh = source.token(person)
            assert world.ask(gateway, "GET", "/x", person, fresh).status == 200
            # The keys are kept while their source is down.
            source.broken = (503, b"{}")
            before = source.fetched()
            until(lambda: source.fetched() > before, "another fetch", 20, pause=0.1)
            assert world.ask(gateway, "GET", "/x", person, source.token(person)).status == 200
            assert key.kid != source.key.kid
    finally:
        world.upstream.promise.issuers.remove(source)
        source.close()
