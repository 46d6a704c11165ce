"""More connections than `limits.connections`: who is too many is told so at little cost, who idles
gives way, and when there is room again there is room at once. More to do than a worker can: what
costs most is turned away, the others are served, and when it is over it is over."""

import concurrent.futures
import contextlib
import itertools
import socket
import threading

import pytest
from harness.client import Broken, Connection, ask, request_bytes
from harness.crowd import Crowd
from harness.program import descriptors
from harness.waiting import until
from harness.world import World

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
        before = descriptors(gateway.pid)
        holders = [stack.enter_context(Connection(gateway.port)) for _ in range(1000)]
        holders += [stack.enter_context(Connection(gateway.ports["tls"])) for _ in range(200)]
        kept[0].send(request_bytes("GET", "/x", person, token).split(b"\r\n", 1)[1])
        assert kept[0].answer().status == 200
        until(lambda: descriptors(gateway.pid) <= before + 4, "the holders to be dropped", 20)
        assert overloaded(gateway)
    until(lambda: ask_status(gateway, person, token) == 200, "service as before")


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


def test_before_the_limit_busy_callers_are_told_to_come_anew(gateway, world, person):
    """From 95 % of `limits.connections` on, a few at a time, until there is room."""
    token = world.issuer.token(person)
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(Connection(gateway.port)) for _ in range(LIMIT - 1)]
        told = 0
        for _ in range(100_000):
            caller = callers.pop(0)
            answer = caller.request("GET", "/x", person, token)
            assert answer.status == 200
            if answer.values("connection") == ["close"]:
                assert caller.ended()
                told += 1
            else:
                callers.append(caller)
            if told == 2:
                break
        assert told == 2
        for caller in callers[: LIMIT // 2]:
            assert caller.request("GET", "/x", person, token).status == 200


# -- more to do than a worker can

CROWD = 400


@pytest.fixture(scope="module")
def slow_world(tmp_path_factory):
    """Tokens that take long to verify."""
    world = World(tmp_path_factory.mktemp("slow"), algorithms=("ES384",))
    yield world
    world.close()


@pytest.fixture(scope="module")
def busy(slow_world):
    """A gateway with one worker."""
    with slow_world.gateway(slow_world.routes(workers=1)) as gateway:
        yield gateway


def metric(gateway, name):
    """The sum of a metric's samples that begin with `name`."""
    lines = gateway.admin("/metrics")[1].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def shed_count(gateway):
    lines = gateway.admin("/metrics")[1].splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("http_server_request_duration_seconds_count{")
        and 'error_type="overloaded"' in line
    )


@pytest.mark.timeout(240)
def test_too_much_to_do_is_turned_away_and_others_are_served(slow_world, busy, person):
    """Hundreds who send forged tokens without a pause: each costs a signature check. Some are told
    to come again later, on a connection that stays; whose token is known is served, and so are
    those who look after the gateway."""
    token = slow_world.issuer.token(person)
    forged = slow_world.issuer.forged("nobody")
    flood = request_bytes("GET", "/x", "nobody", forged)
    with Connection(busy.port) as known:
        assert known.request("GET", "/x", person, token).status == 200
        with Crowd(busy.port, flood, CROWD) as crowd:
            until(lambda: crowd.statuses[503] >= 100, "many to be turned away", 60)
            before = crowd.statuses[401]
            served = 0
            for _ in range(200):
                answer = known.request("GET", "/x", person, token)
                assert answer.status in (200, 503)
                served += answer.status == 200
                if served == 10:
                    break
            assert served == 10
            for path in ("/livez", "/readyz", "/metrics", "/status"):
                assert busy.admin(path)[0] == 200
            until(lambda: metric(busy, "tollgate_work_wait_seconds ") > 0.005, "the wait", 30)
            # Of those, too, some are always looked at.
            until(lambda: crowd.statuses[401] >= before + 30, "some to be verified", 60)
            assert busy.admin("/readyz")[0] == 200
    assert set(crowd.statuses) == {401, 503}
    assert crowd.ended == 0
    assert set(crowd.reasons) == {"signature_invalid", "overloaded"}
    # Not the same for all of them.
    assert set(crowd.waits) == {"1", "2", "3"}
    assert sum(crowd.waits.values()) == crowd.statuses[503]
    record = busy.logged(reason="overloaded", status=503, path="/x")
    assert record["route"] == "/*"
    until(lambda: shed_count(busy) >= crowd.statuses[503], "all of them in the metrics")
    until(lambda: "turned" in busy.err.read_text(), "a word to the operator")


@pytest.mark.timeout(240)
def test_when_it_is_over_everybody_is_served_at_once(slow_world, busy, person):
    forged = request_bytes("GET", "/x", "nobody", slow_world.issuer.forged("nobody"))
    with Crowd(busy.port, forged, CROWD) as crowd:
        until(lambda: crowd.statuses[503] >= 100, "many to be turned away", 60)

    numbers = itertools.count()

    def serves_new_ones():
        statuses = set()
        for _ in range(20):
            other = f"{person}-{next(numbers)}"
            statuses.add(slow_world.ask(busy, "GET", "/x", other).status)
        assert statuses <= {200, 503}
        return statuses == {200}

    until(serves_new_ones, "tokens that nobody knows yet to be served")
    until(lambda: metric(busy, "tollgate_work_wait_seconds ") == 0, "the wait to be over")
    before = shed_count(busy)
    assert serves_new_ones()
    assert shed_count(busy) == before


@pytest.mark.timeout(240)
def test_who_has_gone_meanwhile_is_served_by_nobody(slow_world, busy):
    """A queue of requests whose callers have left is no work: the log says that they have."""
    forged = request_bytes("GET", "/gone", "nobody", slow_world.issuer.forged("nobody"))
    with Crowd(busy.port, forged, CROWD) as crowd:
        until(lambda: crowd.statuses[503] >= 100, "many to be turned away", 60)
    record = busy.logged(path="/gone", reason="caller_gone")
    assert record["status"] == 499 and record.get("auth") != "verified"


@pytest.mark.timeout(240)
def test_who_is_slow_with_content_does_not_have_all_others_served(slow_world, busy):
    """Content that is yet to come when its request is turned away: that wait is no work, and takes
    nothing of the time that may go into turning away."""
    forged = slow_world.issuer.forged("nobody")
    flood = request_bytes("GET", "/x", "nobody", forged)
    head = request_bytes("POST", "/x", "nobody", forged, [("Content-Length", "4")])
    with Crowd(busy.port, flood, CROWD) as crowd, contextlib.ExitStack() as stack:
        until(lambda: crowd.statuses[503] >= 100, "many to be turned away", 60)
        slow = [stack.enter_context(Connection(busy.port)) for _ in range(60)]
        for connection in slow:
            connection.send(head)
        before, late = None, threading.Event()
        for _ in range(16):
            for connection in slow:
                late.wait(0.005)
                connection.send(b"body" + head)
            before = before or dict(crowd.statuses)
        turned, looked = (crowd.statuses[status] - before[status] for status in (503, 401))
        assert turned > looked


NEWCOMERS = 60


@pytest.mark.plain_build("its handshakes take too long")
@pytest.mark.timeout(240)
def test_newcomers_get_in_over_tls_while_others_have_to_wait(slow_world, person):
    """A worker that is behind looks up seldom. Were there one step of one handshake each time, some
    five hundred of those who flood it would be answered for each newcomer; and who waits for its
    step has not stalled: no handshake that was begun is thrown away."""
    listeners = [slow_world.clear_listener, slow_world.tls_listener]
    flood = request_bytes("GET", "/x", "nobody", slow_world.issuer.forged("nobody"))
    with slow_world.gateway(slow_world.routes(workers=1, listeners=listeners)) as gateway:

        def come(_):
            with Connection(gateway.ports["tls"], slow_world.tls, seconds=60) as connection:
                return connection.request("GET", "/x").status

        with Crowd(gateway.port, flood, CROWD) as crowd:
            until(lambda: crowd.statuses[503] >= 100, "many to be turned away", 60)
            before = sum(crowd.statuses.values())
            with concurrent.futures.ThreadPoolExecutor(NEWCOMERS) as pool:
                statuses = set(pool.map(come, range(NEWCOMERS)))
            answered = sum(crowd.statuses.values()) - before
        assert statuses <= {401, 503}
        print(f"\n{answered / NEWCOMERS:.0f} others were answered for each newcomer")
        assert answered < 200 * NEWCOMERS
        handshakes = "tollgate_tls_handshakes_total{"
        assert metric(gateway, handshakes) == NEWCOMERS
        lost = [line for line in gateway.admin("/metrics")[1].splitlines()
                if line.startswith(handshakes) and "timed-out" in line]  # fmt: skip
        assert all(line.endswith(" 0") for line in lost)
