"""Whose token goes where when keys change, tokens end and connections break: never another's."""

import random
import threading
import time

import pytest
from harness.client import Broken, Connection, ask, request_bytes
from harness.issuer import Issuer
from harness.keys import Key, mint
from harness.waiting import until


@pytest.fixture
def source(world):
    issuer = Issuer(token_endpoint=world.tokens.endpoint)
    world.upstream.promise.issuers.append(issuer)
    yield issuer
    world.upstream.promise.issuers.remove(issuer)
    issuer.close()


def of_source(world, source, **more):
    settings = {
        "issuer": source.url,
        "audiences": ["https://gateway.example"],
        "jwks": source.url + "/jwks",
        "jwksRefresh": "1s",
    }
    return world.routes(issuers={"corp": settings | more})


def test_a_token_is_void_with_its_key_wherever_it_is_kept(world, source, person):
    """Every worker knows the token, and its exchanged one; then its key is withdrawn."""
    with world.gateway(of_source(world, source)) as gateway:
        token = source.token(person)
        for _ in range(24):  # on connections of their own: some at each worker
            assert ask(gateway.port, "GET", "/x", person, token).status == 200
        kept = [Connection(gateway.port) for _ in range(8)]
        for connection in kept:
            assert connection.request("GET", "/x", person, token).status == 200
        successor = Key("RS256")
        source.published = [successor.jwk()]
        until(
            lambda: ask(gateway.port, "GET", "/y", person, source.token(person, successor)).status
            == 200,
            "the new key to be taken",
        )
        seen = len(world.upstream.requests)
        for connection in kept:
            answer = connection.request("GET", "/x", person, token)
            assert (answer.status, answer.problem) == (401, "key_unknown")
            connection.close()
        for _ in range(24):
            answer = ask(gateway.port, "GET", "/x", person, token)
            assert (answer.status, answer.problem) == (401, "key_unknown")
        assert len(world.upstream.requests) == seen


def test_a_key_id_given_to_another_key_does_not_bring_old_tokens_back(world, source, person):
    with world.gateway(of_source(world, source)) as gateway:
        token = source.token(person)
        assert ask(gateway.port, "GET", "/x", person, token).status == 200
        successor = Key("RS256", kid=source.key.kid)
        source.published = [successor.jwk()]
        fresh = source.token(person, successor)
        until(lambda: ask(gateway.port, "GET", "/y", person, fresh).status == 200, "the new key")
        for _ in range(12):
            answer = ask(gateway.port, "GET", "/x", person, token)
            assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_a_token_that_ends_while_its_requests_are_pipelined_ends_for_them_all(world, person):
    """The promise's own check sees what arrives; here, what is answered: 200s, then 401s only."""
    with world.gateway(world.routes(workers=1)) as gateway:
        ends = time.time() + 2
        token = world.issuer.token(person, exp=ends)
        statuses, times = [], []
        with Connection(gateway.port) as connection:
            while time.time() < ends + 1:
                connection.send(request_bytes("GET", "/x", person, token) * 20)
                for _ in range(20):
                    statuses.append(connection.answer().status)
                    times.append(time.time())
    assert set(statuses) == {200, 401}
    assert statuses == sorted(statuses), "a token that had ended was taken again"
    assert all(when < ends + 0.5 for when, status in zip(times, statuses) if status == 200)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256", "EdDSA"])
def test_every_bit_of_a_signature_counts(world, person, alg):
    issuer = Issuer(token_endpoint=world.tokens.endpoint, algorithms=(alg,))
    try:
        with world.gateway(of_source(world, issuer)) as gateway:
            token = issuer.token(person)
            head, _, signature = token.rpartition(".")
            for position in random.Random(7).sample(range(len(signature)), 40):
                old = signature[position]
                new = random.Random(position).choice([c for c in "ABCDwxyz0189-_" if c != old])
                changed = signature[:position] + new + signature[position + 1 :]
                answer = ask(gateway.port, "GET", "/x", person, f"{head}.{changed}")
                assert answer.status == 401, changed
                assert answer.problem in ("signature_invalid", "token_malformed")
            for cut in (1, 2, 3, 4, len(signature) // 2):
                answer = ask(gateway.port, "GET", "/x", person, f"{head}.{signature[:-cut]}")
                assert answer.status == 401
            for more in ("A", "AA", "AAAA", signature):
                answer = ask(gateway.port, "GET", "/x", person, token + more)
                assert answer.status == 401
            assert world.upstream.seen("/x", person) == []
    finally:
        issuer.close()


NAMES = ["none", "None", "NONE", "nOnE", "none ", " none", "", "HS256", "HS384", "HS512", "hs256",
         "RS256 ", "rs256", "RS256\x00", "RSA-OAEP", "dir", "A128GCM", "ES256K", "Ed448", "RS1",
         "PBES2-HS256+A128KW", "\uff32\uff33256"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_algorithm_of_another_name_is_none(world, gateway, person, name):
    key = world.issuer.key
    good = mint(key, world.issuer.claims(person), {"alg": name})
    for token in (good, good.rpartition(".")[0] + "."):
        answer = ask(gateway.port, "GET", "/x", person, token)
        assert (answer.status, answer.problem) == (401, "algorithm_refused")


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes()) as gateway:
        yield gateway


FIELDS = [
    (["Bearer {0}", "Bearer {0}"], 400),
    (["Bearer {0}", "Bearer {1}"], 400),
    (["Bearer {0}", "Basic eDp5"], 400),
    (["Basic eDp5", "Bearer {0}"], 400),
    (["Bearer {0}", ""], 400),
    (["Bearer {0}, Bearer {1}"], 400),
    (["Bearer {0},Bearer {1}"], 400),
    (["Bearer {0} {1}"], 400),
    (["Bearer {0};x"], 400),
    (["Bearer\t{0}"], 400),
    (["Bearer"], 400),
    (['Bearer "{0}"'], 400),
    (["Bearer realm=x, {0}"], 400),
    (["Basic eDp5, Bearer {0}"], 401),
    (["{0}"], 401),
    (["BearerX {0}"], 401),
    (["Bearer:{0}"], 401),
    ([" \tBearer {0}\t "], 200),
    (["bEaReR    {0}"], 200),
]


@pytest.mark.parametrize("values, status", FIELDS, ids=[" + ".join(v) for v, _ in FIELDS])
def test_only_one_bearer_token_in_one_field_is_one(world, gateway, person, values, status):
    tokens = [world.issuer.token(person), world.issuer.token("somebody-else")]
    fields = [("Authorization", value.format(*tokens)) for value in values]
    answer = ask(gateway.port, "GET", "/x", person, fields=fields)
    assert answer.status == status, answer


def test_people_never_get_each_others_answers_while_all_breaks(world):
    """Connections that die, answers that come early, late, twice or broken; retries and reuse.

    Each answer that is whole is the caller's own, and each request bore its own person's token,
    which the upstream checks."""
    dice = random.Random(3)
    lock = threading.Lock()

    def behaviour(exchange):
        with lock:
            fate = dice.randrange(12)
        request = exchange.request
        name = (request.person or "").encode()
        own = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name)
        if fate == 0:
            exchange.reset()
        elif fate == 1:
            exchange.close()
        elif fate == 2:
            exchange.send(own + own)  # once too often
        elif fate == 3:
            exchange.send(own[:-1])
            exchange.close()
        elif fate == 4:
            exchange.send(b"HTTP/1.1 103 Hints\r\n\r\n" + own)
        elif fate == 5:
            exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0"
                          b"\r\n\r\n" % (len(name), name) + own)  # fmt: skip
        elif fate == 6:
            exchange.send(own)
            exchange.close()
        elif fate == 7:
            exchange.send(b"HTTP/1.1 204 No\r\nContent-Length: %d\r\n\r\n" % len(own) + own)
        elif fate == 8:
            exchange.send(own)  # before the content was read
            exchange.read_body()
        else:
            exchange.read_body()
            exchange.send(own)

    world.upstream.on("/chaos", behaviour)
    wrong, whole = [], []
    routes = world.routes(world.route("/*", forward={"retries": 2, "timeout": "5s"}))

    def caller(number, port):
        connection = None
        own_dice = random.Random(number)
        for turn in range(60):
            person = f"chaos-{number}-{turn % 3}"
            token = tokens[person]
            try:
                connection = connection or Connection(port)
                body = b"x" * own_dice.choice([1, 100, 40_000]) if turn % 2 else None
                method = "POST" if body else own_dice.choice(["GET", "GET", "HEAD", "DELETE"])
                connection.send(request_bytes(method, "/chaos", person, token, body=body))
                if own_dice.randrange(15) == 0:
                    raise Broken("the caller leaves")
                answer = connection.answer(method)
                if answer.status == 200 and method != "HEAD":
                    whole.append(answer.body)
                    if answer.body != person.encode():
                        wrong.append((person, answer.body))
                if answer.values("connection") == ["close"]:
                    raise Broken("closed")
            except (Broken, OSError, ValueError):
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    tokens = {
        f"chaos-{number}-{turn}": world.issuer.token(f"chaos-{number}-{turn}")
        for number in range(12)
        for turn in range(3)
    }
    with world.gateway(routes) as gateway:
        threads = [
            threading.Thread(target=caller, args=(number, gateway.port)) for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert gateway.live()
    assert not wrong, wrong[:5]
    assert len(whole) > 100
