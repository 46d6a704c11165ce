"""Upstreams of several servers: which one is next, and when another gets the request instead."""

import threading

import pytest
from harness.client import Connection, request_bytes
from harness.upstream import Upstream
from harness.waiting import free_port, until


@pytest.fixture(scope="module")
def servers(world):
    made = [Upstream([world.tokens], [world.issuer]) for _ in range(3)]
    yield made
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def gateway(world, servers):
    urls = [server.url for server in servers]
    down = f"http://127.0.0.1:{free_port()}"
    upstreams = {
        "turns": {"servers": urls, "balance": "round-robin"},
        "least": {"servers": urls},
        "half-down": {"servers": [down, urls[0]], "balance": "round-robin"},
        "all-down": {"servers": [down, f"http://127.0.0.1:{free_port()}"]},
        "two": {"servers": urls[:2], "balance": "round-robin"},
        "few": {"servers": [urls[0]], "idleConnections": 1},
        # Of its own, for what other tests send again is counted for theirs.
        "pair": {"servers": urls[:2], "balance": "round-robin"},
    }
    routes = [world.route(f"/{name}/*", forward={"to": name}) for name in upstreams]
    routes.append(world.route("/once/*", forward={"to": "two", "retries": 0}))
    with world.gateway(world.routes(*routes, upstreams=upstreams, workers=1)) as gateway:
        yield gateway


def well_used(world, gateway, person):
    """Enough traffic that sending again is within a fifth of all requests."""
    token = world.issuer.token(person)
    with Connection(gateway.port) as connection:
        for _ in range(30):
            assert connection.request("GET", "/turns/plain", person, token).status == 200


def counts(servers, path):
    return [len(server.seen(path)) for server in servers]


def test_servers_take_turns(world, gateway, servers, person):
    token = world.issuer.token(person)
    with Connection(gateway.port) as connection:
        for _ in range(12):
            assert connection.request("GET", "/turns/x", person, token).status == 200
    assert counts(servers, "/turns/x") == [4, 4, 4]


def test_the_least_busy_server_is_next(world, gateway, servers, person):
    gate = threading.Event()
    for server in servers:
        server.on("/least/x", lambda exchange: (gate.wait(20), exchange.answer(200, b"x")))
    token = world.issuer.token(person)
    connections = [Connection(gateway.port) for _ in range(9)]
    for number, connection in enumerate(connections):
        connection.send(request_bytes("GET", "/least/x", person, token))
        until(lambda n=number: sum(counts(servers, "/least/x")) == n + 1, "it to arrive")
    assert counts(servers, "/least/x") == [3, 3, 3]
    gate.set()
    for connection in connections:
        assert connection.answer().status == 200
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_takes_no_connection_is_passed_over(
    world, gateway, servers, person, method
):
    """Not one byte was written to it: whatever the method, another gets the request."""
    token = world.issuer.token(person)
    body = b"b" * 50_000 if method == "POST" else None
    with Connection(gateway.port) as connection:
        for _ in range(6):
            answer = connection.request(method, f"/half-down/{method}", person, token, body=body)
            assert answer.status == 200
    assert counts(servers, f"/half-down/{method}")[0] == 6


def test_when_none_takes_a_connection_it_is_unavailable(world, gateway, person):
    answer = world.ask(gateway, "GET", "/all-down/x", person)
    assert (answer.status, answer.problem) == (503, "upstream_unavailable")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_failing_answer_is_asked_of_another_server(world, gateway, servers, person, status):
    well_used(world, gateway, person)
    path = f"/two/{status}"
    servers[0].on(path, lambda exchange: exchange.answer(status, b"sorry", reason="Sorry"))
    token = world.issuer.token(person)
    answers = [world.ask(gateway, "GET", path, person, token).status for _ in range(4)]
    assert answers == [200] * 4
    assert max(len(server.seen(path)) for server in servers[:2]) <= 4
    records = until(
        lambda: len(found := [r for r in gateway.log() if r.get("path") == path]) == 4 and found,
        "four records",
    )
    assert sorted(record["attempts"] for record in records)[-1] == 2


def test_a_post_that_failed_is_not_asked_of_another_server(world, gateway, servers, person):
    def sorry(exchange):
        exchange.read_body()
        exchange.answer(503, b"sorry", reason="Sorry")

    for server in servers[:2]:
        server.on("/two/post", sorry)
    answer = world.ask(gateway, "POST", "/two/post", person, body=b"pay")
    assert (answer.status, answer.body) == (503, b"sorry")
    assert sum(counts(servers, "/two/post")) == 1


def test_each_server_is_asked_once_and_no_more(world, gateway, servers, person):
    well_used(world, gateway, person)
    for server in servers[:2]:
        server.on("/pair/both", lambda exchange: exchange.answer(503, b"sorry", reason="Sorry"))
    answer = world.ask(gateway, "GET", "/pair/both", person)
    assert (answer.status, answer.body) == (503, b"sorry")
    assert counts(servers, "/pair/both")[:2] == [1, 1]


@pytest.mark.plain_build("the budget grows with time, and the program is slow")
def test_sending_again_is_bounded_by_a_budget(world, servers, person):
    """When every answer fails, a fifth of the requests and a few more are sent again, not all."""
    for server in servers[:2]:
        server.on("/budget", lambda exchange: exchange.answer(503, b"sorry", reason="Sorry"))
    upstreams = {"two": {"servers": [server.url for server in servers[:2]]}}
    routes = world.routes(
        world.route("/budget", forward={"to": "two"}), upstreams=upstreams, workers=1
    )
    with world.gateway(routes) as gateway, Connection(gateway.port) as connection:
        token = world.issuer.token(person)
        for _ in range(300):
            assert connection.request("GET", "/budget", person, token).status == 503
    assert 300 < sum(counts(servers, "/budget")) <= 300 * 1.2 + 60


def test_a_route_may_forbid_sending_again(world, gateway, servers, person):
    for server in servers[:2]:
        server.on("/once/x", lambda exchange: exchange.answer(503, b"sorry", reason="Sorry"))
    assert world.ask(gateway, "GET", "/once/x", person).status == 503
    assert sum(counts(servers, "/once/x")) == 1


def test_no_more_idle_connections_are_kept_than_allowed(world, gateway, servers, person):
    gate = threading.Event()
    servers[0].on("/few/x", lambda exchange: (gate.wait(20), exchange.answer(200, b"x")))
    before = len(servers[0].open)
    token = world.issuer.token(person)
    connections = [Connection(gateway.port) for _ in range(5)]
    for connection in connections:
        connection.send(request_bytes("GET", "/few/x", person, token))
    until(lambda: len(servers[0].seen("/few/x")) == 5, "all to arrive")
    gate.set()
    for connection in connections:
        assert connection.answer().status == 200
        connection.close()
    until(lambda: len(servers[0].open) <= before + 1, "the others to be closed")
