"""Upstreams that are down, slow, hang up half-way or talk nonsense."""

import socket
import threading

import pytest
from harness.client import Broken, Connection, request_bytes
from harness.waiting import free_port, until


@pytest.fixture(scope="module")
def gateway(world):
    down = f"http://127.0.0.1:{free_port()}"
    routes = world.routes(
        world.route("/*", forward={"timeout": "10s"}),
        world.route("/hasty/*", forward={"timeout": "400ms"}),
        world.route("/drip/*", forward={"idleTimeout": "400ms"}),
        world.route("/down/*", forward={"to": down}),
        world.route("/nowhere/*", forward={"to": "http://does-not-exist.invalid:80"}),
    )
    with world.gateway(routes) as gateway:
        yield gateway


def test_an_upstream_that_is_down_is_unavailable(world, gateway, person):
    answer = world.ask(gateway, "GET", "/down/x", person)
    assert (answer.status, answer.problem) == (503, "upstream_unavailable")
    answer = world.ask(gateway, "POST", "/down/x", person, body=b"x" * 100_000)
    assert (answer.status, answer.problem) == (503, "upstream_unavailable")
    assert gateway.logged(path="/down/x")["reason"] == "upstream_unavailable"


def test_an_upstream_without_an_address_is_unavailable(world, gateway, person):
    answer = world.ask(gateway, "GET", "/nowhere/x", person)
    assert answer.status in (502, 503, 504)
    assert answer.problem in ("upstream_unavailable", "upstream_timeout", "upstream_failed")


NONSENSE = {
    "nothing": b"",
    "not HTTP": b"220 smtp.example ready\r\n\r\n",
    "binary": bytes(range(256)) * 20,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 Hm\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "chunked not last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "a NUL in a field": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a field": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a space before a colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X-Pad: yyyyyyyyyyyyyyyyyyyyyyy\r\n" * 40_000,
    "switching unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
    b"Connection: upgrade\r\n\r\n",
    "interim answers for ever": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_a_bad_gateway(world, gateway, person, name):
    seen = []

    @world.upstream.on("/nonsense")
    def behaviour(exchange):
        exchange.read_body()
        seen.append(1)
        exchange.send(NONSENSE[name])
        exchange.close()

    with Connection(gateway.port) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/nonsense", person, token, body=b"once"))
        answer = connection.answer()
    assert (answer.status, answer.problem) == (502, "upstream_failed"), answer
    assert len(seen) == 1, "what was sent whole must not be sent again"
    assert b"smtp" not in answer.body
    assert world.ask(gateway, "GET", "/alive", person).status == 200


def test_a_get_that_fails_is_tried_no_more_often_than_configured(world, gateway, person):
    seen = []

    @world.upstream.on("/always-dies")
    def behaviour(exchange):
        seen.append(1)
        exchange.reset()

    answer = world.ask(gateway, "GET", "/always-dies", person)
    assert (answer.status, answer.problem) == (502, "upstream_failed")
    assert 1 <= len(seen) <= 2


def test_a_slow_upstream_times_out(world, gateway, person):
    gate, ended = threading.Event(), []

    @world.upstream.on("/hasty/slow")
    def behaviour(exchange):
        ended.append(exchange.wait_for_end(10))
        exchange.ended = True

    answer = world.ask(gateway, "GET", "/hasty/slow", person)
    gate.set()
    assert (answer.status, answer.problem) == (504, "upstream_timeout")
    until(lambda: ended, "the upstream's connection to end")
    assert ended == [True]


def test_the_timeout_is_for_the_head_and_not_for_the_body(world, gateway, person):
    @world.upstream.on("/hasty/long")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        pause = threading.Event()
        for _ in range(8):
            pause.wait(0.1)
            exchange.send(b"x")

    assert world.ask(gateway, "GET", "/hasty/long", person).body == b"x" * 8


def test_an_answer_that_stops_coming_is_cut(world, gateway, person):
    @world.upstream.on("/drip/stops")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart")
        exchange.wait_for_end(10)
        exchange.ended = True

    with Connection(gateway.port) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/drip/stops", person, token))
        with pytest.raises((Broken, ConnectionResetError)):
            connection.answer()
    assert gateway.logged(path="/drip/stops")["aborted"] == "upstream"


BROKEN_CHUNKS = [
    b"g\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello",
    b"5\r\nhello\r\n",
    b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
]


@pytest.mark.parametrize("chunks", BROKEN_CHUNKS, ids=lambda chunks: repr(chunks)[:30])
def test_a_broken_chunked_answer_never_ends_well(world, gateway, person, chunks):
    @world.upstream.on("/broken-chunks")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        exchange.close()

    with Connection(gateway.port) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/broken-chunks", person, token))
        try:
            answer = connection.answer()
            assert answer.status == 502, answer
        except (Broken, ConnectionResetError, ValueError):
            pass


def test_a_server_that_does_not_accept_is_not_waited_for_forever(world, person):
    """A full backlog: connecting hangs, up to connectTimeout."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        upstreams = {
            "full": {"servers": [f"http://127.0.0.1:{port}"], "connectTimeout": "300ms"}
        }
        routes = world.routes(
            world.route("/*"), world.route("/full/*", forward={"to": "full"}), upstreams=upstreams
        )
        with world.gateway(routes) as gateway:
            answer = world.ask(gateway, "GET", "/full/x", person)
            assert answer.status in (503, 504)
            assert answer.problem in ("upstream_unavailable", "upstream_timeout")
            assert world.ask(gateway, "GET", "/x", person).status == 200
        for filler in fillers:
            filler.close()


def test_a_broken_upstream_does_not_disturb_a_good_one(world, gateway, person):
    @world.upstream.on("/hangs")
    def behaviour(exchange):
        exchange.wait_for_end(15)
        exchange.ended = True

    token = world.issuer.token(person)
    hanging = [Connection(gateway.port) for _ in range(20)]
    for connection in hanging:
        connection.send(request_bytes("GET", "/hangs", person, token))
    until(lambda: len(world.upstream.seen("/hangs")) == 20, "all to arrive")
    with Connection(gateway.port) as connection:
        for _ in range(20):
            assert connection.request("GET", "/good", person, token).status == 200
    for connection in hanging:
        connection.close()


def test_connections_of_an_upstream_are_limited_and_others_wait(world, person):
    gate = threading.Event()
    at_once, most, arrived = [0], [0], [0]
    lock = threading.Lock()

    @world.upstream.on("/limited")
    def behaviour(exchange):
        with lock:
            arrived[0] += 1
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        gate.wait(20)
        with lock:
            at_once[0] -= 1
        exchange.answer(200, b"served")

    upstreams = {"few": {"servers": [world.upstream.url], "maxConnections": 3}}
    routes = world.routes(world.route("/limited", forward={"to": "few"}), upstreams=upstreams)
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        connections = [Connection(gateway.port) for _ in range(10)]
        for connection in connections:
            connection.send(request_bytes("GET", "/limited", person, token))
        until(lambda: arrived[0] == 3, "three to arrive")
        gate.set()
        assert [connection.answer().status for connection in connections] == [200] * 10
        assert most[0] <= 3
        for connection in connections:
            connection.close()
