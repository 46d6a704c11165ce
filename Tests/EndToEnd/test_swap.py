"""The swap: one exchanged token goes upstream, and the caller's own goes nowhere."""

import threading
import urllib.parse

import pytest
from harness import promise
from harness.client import Connection, request_bytes


@pytest.fixture(scope="module")
def gateway(world):
    public = world.route("/public/*", authenticate="none", exchange=None)
    routes = world.routes(
        world.route("/*"),
        world.route("/stripped/*", exchange="strip"),
        public,
    )
    world.upstream.promise.kinds |= {"/stripped": "none", "/public": "none"}
    with world.gateway(routes) as gateway:
        yield gateway


def test_the_upstream_gets_an_exchanged_token_and_not_the_callers(world, gateway, person):
    token = world.issuer.token(person)
    answer = world.ask(gateway, "GET", "/x", person, token)
    seen = answer.seen("authorization")
    assert len(seen) == 1
    exchanged = seen[0].removeprefix("Bearer ")
    assert exchanged != token
    issued = world.tokens.issued[exchanged]
    assert (issued.subject_token, issued.person, issued.audience) == (token, person, ["orders"])


def test_no_part_of_the_callers_token_is_in_the_forwarded_head(world, gateway, person):
    token = world.issuer.token(person)
    world.ask(gateway, "POST", "/x", person, token, body=b"body")
    head = world.upstream.seen("/x", person)[0].head
    signature = token.split(".")[2]
    for start in range(0, len(signature) - 12):
        assert signature[start : start + 12].encode() not in head


def test_an_authorization_hidden_from_the_gateway_does_not_get_through(world, gateway, person):
    """Spellings that some servers take as Authorization."""
    token = world.issuer.token(person)
    evil = "Bearer evil.evil.evil"
    for name in ("Authorization_", "authorization", "AUTHORIZATION", "X-Authorization"):
        fields = [(name, evil)]
        answer = world.ask(gateway, "GET", "/x", person, token, fields=fields)
        if answer.status == 200:
            assert len(answer.seen("authorization")) == 1
            assert evil not in answer.seen("authorization")
        else:
            assert answer.status == 400


@pytest.mark.parametrize("path", ["/stripped/x", "/public/x"])
def test_no_token_goes_on_where_none_should(world, gateway, person, path):
    answer = world.ask(gateway, "GET", path, person)
    assert answer.status == 200
    assert answer.seen("authorization") == []


def test_a_public_route_strips_any_authorization(world, gateway, person):
    for value in ("Basic dXNlcjpwYXNz", "Bearer x", "Bearer", "nonsense"):
        fields = [("Authorization", value)]
        answer = world.ask(gateway, "GET", "/public/x", person, token=False, fields=fields)
        assert answer.status == 200
        assert answer.seen("authorization") == []
    assert world.ask(gateway, "GET", "/public/x", person, token=False).status == 200


def test_the_answer_does_not_show_the_exchanged_token(world, gateway, person):
    world.upstream.on("/quiet", lambda exchange: exchange.answer(200, b"quiet"))
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        connection.send(request_bytes("GET", "/quiet", person, token))
        connection.socket.settimeout(5)
        raw = connection.socket.recv(65536)
    assert not promise.secrets_in(raw, [world.issuer], [world.tokens])


def test_many_people_at_once_each_get_their_own(world, gateway):
    """Pipelined, on shared upstream connections, over and over: the upstream checks each one."""
    people = [f"crowd-{number}" for number in range(24)]
    tokens = {name: world.issuer.token(name) for name in people}
    wrong = []

    def caller(offset):
        with Connection(gateway.port) as connection:
            for number in range(40):
                batch = [people[(offset + number + k) % len(people)] for k in range(3)]
                connection.send(
                    b"".join(
                        request_bytes("POST", f"/crowd?of={name}", name, tokens[name], body=b"b")
                        for name in batch
                    )
                )
                for name in batch:
                    answer = connection.answer("POST")
                    target = urllib.parse.parse_qs(
                        urllib.parse.urlsplit(answer.json()["target"]).query
                    )
                    exchanged = answer.seen("authorization")[0].removeprefix("Bearer ")
                    if target["of"] != [name] or world.tokens.issued[exchanged].person != name:
                        wrong.append((name, answer))

    threads = [threading.Thread(target=caller, args=(n * 3,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert len(world.upstream.seen("/crowd")) == 8 * 40 * 3


def test_upgraded_and_interim_answers_show_no_token(world, gateway, person):
    """An upstream that switches protocols unasked is broken, and gets nobody's bytes."""

    @world.upstream.on("/switches")
    def behaviour(exchange):
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        exchange.send(head)
        exchange.wait_for_end(5)
        exchange.ended = True

    answer = world.ask(gateway, "GET", "/switches", person)
    assert (answer.status, answer.problem) == (502, "upstream_failed")


def test_the_upstreams_own_check_notices_what_it_should():
    """The judge is judged: each kind of breach is told."""
    from harness.issuer import Issuer
    from harness.keys import mint
    from harness.promise import Promise
    from harness.token_service import TokenService
    from harness.upstream import Request

    service, issuer = TokenService(), Issuer()
    try:
        judge = Promise([service], [issuer], "orders")
        token = issuer.token("ann")

        class Call:
            def values(self, name):
                return ["orders"] if name == "audience" else []

            def value(self, name):
                return None

        good = service.issue(token, Call())["access_token"]

        def verdict(*fields, person="ann", target="/"):
            lines = [f"GET {target} HTTP/1.1", "Host: a", f"X-Test-Person: {person}", *fields]
            request = Request("\r\n".join([*lines, "", ""]).encode(), 1)
            return judge.problem(request, "exchanged")

        assert verdict(f"Authorization: Bearer {good}") is None
        assert verdict()
        assert verdict(f"Authorization: Bearer {good}", f"Authorization: Bearer {good}")
        assert verdict(f"Authorization: Bearer {token}")
        assert verdict(f"Authorization: Bearer {good}x")
        assert verdict(f"Authorization: Bearer {mint(service.key, {'sub': 'ann'})}")
        assert verdict(f"Authorization: Bearer {good}", person="bob")
        signature = token.split(".")[2]
        assert verdict(f"Authorization: Bearer {good}", f"X-Old: {signature}")
        assert verdict(f"Authorization: Bearer {good}", f"Cookie: t=%2e{signature}")
        assert verdict(f"Authorization: Bearer {good}", target=f"/?t={token}")
        judge.audience = "billing"
        assert verdict(f"Authorization: Bearer {good}")
    finally:
        service.close()
        issuer.close()
