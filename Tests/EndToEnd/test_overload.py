"""More connections than `limits.connections`: who is too many is told so at little cost, who idles
gives way, and when there is room again there is room at once."""

import contextlib
import os
import socket

import pytest
from harness.client import Broken, Connection, ask, request_bytes
from harness.waiting import until

LIMIT = 20


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        limits={"connections": LIMIT, "headerTimeout": "60s"},
        listeners=[world.clear_listener, world.tls_listener],
        workers=1,
    )
    with world.gateway(routes) as gateway:
        yield gateway


@contextlib.contextmanager
def full(gateway):
    """As many callers as may be, each in the middle of a request's head."""
    with contextlib.ExitStack() as stack:
        kept = []
        while len(kept) < LIMIT:
            connection = stack.enter_context(Connection(gateway.port))
            connection.send(b"GET /held HTTP/1.1\r\n")
            kept.append(connection)
        until(lambda: overloaded(gateway), "the limit to be reached")
        yield kept


def overloaded(gateway):
    try:
        with Connection(gateway.port, seconds=5) as connection:
            connection.socket.shutdown(socket.SHUT_WR)
            return connection.head().status == 503
    except (Broken, OSError):
        return False


def tls_status(world, gateway):
    try:
        return ask(gateway.ports["tls"], "GET", "/x", tls=world.tls).status
    except (OSError, Broken, EOFError):
        return None


def test_one_too_many_is_told_when_to_come_again_and_logged(gateway):
    with full(gateway), Connection(gateway.port) as connection:
        answer = connection.answer()
        assert (answer.status, answer.problem) == (503, "overloaded")
        assert answer.value("retry-after") in ("1", "2", "3")
        assert answer.values("connection") == ["close"]
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ended()
        record = gateway.logged(reason="overloaded", status=503)
        assert record["client"] == "127.0.0.1" and record["listener"] == "clear"


def test_one_too_many_is_told_over_tls_too(world, gateway):
    with full(gateway), Connection(gateway.ports["tls"], world.tls) as connection:
        answer = connection.request("GET", "/x")
        assert (answer.status, answer.problem) == (503, "overloaded")
        assert connection.ended()
        assert gateway.logged(reason="overloaded", listener="tls")["tls"].startswith("TLSv1")


@pytest.mark.plain_build("so many handshakes a second are more than it can make")
def test_handshakes_that_only_say_no_are_few(world, gateway):
    """A handshake is what costs: beyond a number a second a connection is closed without one, and
    logged all the same."""

    def logged():
        return sum(r.get("listener") == "tls" for r in gateway.log() if r["status"] == 503)

    before = logged()
    with full(gateway):
        statuses = []
        for _ in range(400):
            statuses.append(tls_status(world, gateway))
            if None in statuses and 503 in statuses:
                break
        assert None in statuses and 503 in statuses, "none was closed without a handshake"
        until(lambda: logged() - before == len(statuses), "all of them in the log")


def test_there_is_room_again_at_once(world, gateway, person):
    token = world.issuer.token(person)
    with full(gateway) as kept:
        for connection in kept:
            connection.send(request_bytes("GET", "/x", person, token).split(b"\r\n", 1)[1])
            assert connection.answer().status == 200
        kept[0].close()
        until(lambda: not overloaded(gateway), "room for one")
    until(lambda: ask_status(gateway, person, token) == 200, "service as before")
    assert tls_status(world, gateway) == 401


def ask_status(gateway, person, token):
    with contextlib.suppress(OSError, Broken, EOFError):
        return ask(gateway.port, "GET", "/x", person, token).status


def test_those_who_are_turned_away_cannot_hold_anything_either(world, gateway, person):
    """A thousand who are told, and neither read, nor send, nor go: they are dropped, others are
    told meanwhile, and those who were there first are served."""
    token = world.issuer.token(person)
    with full(gateway) as kept, contextlib.ExitStack() as stack:
        before = descriptors(gateway)
        holders = [stack.enter_context(Connection(gateway.port)) for _ in range(1000)]
        holders += [stack.enter_context(Connection(gateway.ports["tls"])) for _ in range(200)]
        kept[0].send(request_bytes("GET", "/x", person, token).split(b"\r\n", 1)[1])
        assert kept[0].answer().status == 200
        until(lambda: descriptors(gateway) <= before + 4, "the holders to be dropped", 20)
        assert overloaded(gateway)
    until(lambda: ask_status(gateway, person, token) == 200, "service as before")


def descriptors(gateway):
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def test_a_caller_who_idles_gives_way_to_a_new_one(world, gateway, person):
    """Otherwise a few thousand idle connections would keep everybody out."""
    token = world.issuer.token(person)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(Connection(gateway.port)) for _ in range(LIMIT)]
        for connection in idle:
            assert connection.request("GET", "/x", person, token).status == 200
        assert ask_status(gateway, person, token) == 503, "just now they were in use"
        until(lambda: ask_status(gateway, person, token) == 200, "one to give way", 20, pause=0.2)
        ended = [connection for connection in idle if connection.ended(0.05)]
        assert 1 <= len(ended) < LIMIT
        kept = next(connection for connection in idle if connection not in ended)
        assert kept.request("GET", "/x", person, token).status == 200


def test_a_caller_who_says_nothing_gives_way_to_a_new_one(world, person):
    """Nor may those who begin a TLS handshake and leave it at that keep others out until its
    timeout, which is long here."""
    token = world.issuer.token(person)
    routes = world.routes(
        limits={"connections": LIMIT, "tlsHandshakeTimeout": "600s"},
        listeners=[world.clear_listener, world.tls_listener],
        workers=1,
    )
    with world.gateway(routes) as gateway, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Connection(gateway.ports["tls"])) for _ in range(LIMIT)]
        for connection in silent[::2]:
            connection.send(b"\x16\x03\x01")  # the beginning of a ClientHello
        until(lambda: ask_status(gateway, person, token) == 503, "the limit to be reached")
        until(lambda: ask_status(gateway, person, token) == 200, "one to give way", 20, pause=0.2)
        until(lambda: tls_status(world, gateway) == 401, "another, for TLS", 20, pause=0.2)
        ended = [connection for connection in silent if connection.ended(0.05)]
        assert 1 <= len(ended) < LIMIT
