"""Faults of servers and of the way to them, one by one.

Where to find what must happen in each case:

28. refused                      test_upstreams.py (a server that takes no connection), here by name
    a server that stands still   test_dying_servers.py, test_upstream_health.py; a full backlog in
                                 test_upstream_failures.py
    names: NXDOMAIN, SERVFAIL,
    no answer, empty, changed    test_names_*, test_a_name_*
29. all are down: fail fast      test_upstream_health.py, test_upstreams.py
30. a reset at each place        test_a_reset_*
31. idle connections that ended  test_stale_connections_are_invisible; many more in Reliability
32. nonsense, bytes left over    test_upstream_failures.py; test_bytes_left_over_*
33. a byte now and then          test_an_answer_that_drips_*, test_a_head_that_drips_*
34. one of several is slow       test_upstream_health.py (left out, and never more than half)
61. no port left for connecting  test_without_a_port_*
"""

import collections
import contextlib
import os
import shutil
import threading

import pytest
from harness.client import Broken, Connection, ask, request_bytes
from harness.dns import NameServer
from harness.program import Nginx
from harness.upstream import Upstream
from harness.waiting import free_port, until
from test_listener_faults import Tracer, cpu_ticks

# -- 28: names


@pytest.fixture(scope="module")
def dns():
    try:
        server = NameServer()
    except OSError as error:
        pytest.skip(f"port 53 is not ours: {error}")
    yield server
    server.close()


@pytest.fixture(scope="module")
def port(world):
    """nginx at several addresses of this machine, with one port; each says which it is."""
    port = free_port()
    places = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    if os.path.exists("/proc/net/if_inet6") and open("/proc/net/if_inet6").read():
        places.append("[::1]")
    http = "".join(
        f"server {{ listen {place}:{port}; location / {{ return 200 '{place}'; }} }}\n"
        for place in places
    )
    folder = world.folder / "places"
    folder.mkdir()
    nginx = Nginx(folder, http, port)
    nginx.places = places
    yield port
    nginx.end()


@pytest.fixture
def named(world, dns, port):
    """A function that starts a gateway which asks `dns`, with an upstream for each of its names."""
    with contextlib.ExitStack() as closing:

        def start(names, **more):
            dns.names.update(names)
            upstreams = {
                name: {"servers": [f"http://{name}.test:{port}"], "resolveEvery": "1s"} | more
                for name in (full.removesuffix(".test") for full in names)
            }
            routes = [world.route(f"/{name}", forward={"to": name}) for name in upstreams]
            file = world.routes(*routes, world.route("/near"), upstreams=upstreams, workers=2)
            prepare = dns.prepare(world.folder)
            try:
                return closing.enter_context(world.gateway(file, prepare=prepare))
            except OSError as error:
                pytest.skip(f"a program can't have mounts of its own here: {error}")

        yield start


def places_seen(world, gateway, target, person, times=12):
    """Which addresses serve connections that are opened one after the other."""
    token = world.issuer.token(person)
    answers = [
        ask(gateway.port, "GET", target, person, token, fields=[("Connection", "close")])
        for _ in range(times)
    ]
    return collections.Counter(
        answer.body.decode() if answer.status == 200 else answer.status for answer in answers
    )


def test_names_stand_for_all_of_their_addresses(world, named, person):
    """Without idle connections, so that each request asks for one."""
    gateway = named({"all.test": ["127.0.0.2", "127.0.0.3"]}, idleConnections=0)
    token = world.issuer.token(person)
    gate_seen = collections.Counter()
    for _ in range(3):
        with contextlib.ExitStack() as closing:
            crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(8)]
            for connection in crowd:
                connection.send(request_bytes("GET", "/all", person, token))
            gate_seen.update(connection.answer().body.decode() for connection in crowd)
    assert set(gate_seen) == {"127.0.0.2", "127.0.0.3"}, gate_seen


def test_names_of_both_families_are_used(world, named, person):
    if not os.path.exists("/proc/net/if_inet6") or not open("/proc/net/if_inet6").read():
        pytest.skip("there is no IPv6 here")
    gateway = named({"six.test": ["::1"], "dual.test": ["::1", "127.0.0.2"]})
    assert set(places_seen(world, gateway, "/six", person)) == {"[::1]"}
    assert set(places_seen(world, gateway, "/dual", person)) <= {"[::1]", "127.0.0.2"}


def test_an_address_where_nobody_is_costs_nothing(world, named, person):
    """One refuses, one has no route or swallows everything: the next one is tried beside it."""
    addresses = ["127.0.0.9", "2001:db8::1", "127.0.0.3"]
    gateway = named({"some.test": addresses}, idleConnections=0, outlier={"failures": 1})
    assert set(places_seen(world, gateway, "/some", person)) == {"127.0.0.3"}
    assert "left out" not in gateway.err.read_text()


def test_a_name_that_has_another_address_is_followed(world, dns, named, person):
    """Also where a connection to the old one idles or is in use all the time."""
    gateway = named({"moves.test": ["127.0.0.2"]})
    token = world.issuer.token(person)
    with Connection(gateway.port) as connection:

        def place():
            return connection.request("GET", "/moves", person, token).body.decode()

        assert {place() for _ in range(5)} == {"127.0.0.2"}
        dns.names["moves.test"] = ["127.0.0.3"]
        until(lambda: place() == "127.0.0.3", "the new address")
        assert {place() for _ in range(20)} == {"127.0.0.3"}


@pytest.mark.parametrize("fault", ["nxdomain", "servfail", "silent", []], ids=str)
def test_a_name_that_no_longer_resolves_keeps_its_addresses(world, dns, named, person, fault):
    gateway = named({"lasts.test": ["127.0.0.3"]})
    assert set(places_seen(world, gateway, "/lasts", person, 2)) == {"127.0.0.3"}
    dns.names["lasts.test"] = fault
    asked = dns.times("lasts.test")
    until(lambda: dns.times("lasts.test") > asked + 3, "it to be asked again")
    assert set(places_seen(world, gateway, "/lasts", person, 5)) == {"127.0.0.3"}
    dns.names["lasts.test"] = ["127.0.0.2"]
    until(lambda: set(places_seen(world, gateway, "/lasts", person, 1)) == {"127.0.0.2"}, "news")


@pytest.mark.parametrize("fault", ["nxdomain", "servfail", "silent", []], ids=str)
def test_names_that_do_not_resolve_hold_nobody_else_up(world, dns, named, person, fault):
    """The file loads, others are served meanwhile, and when the name comes it is used."""
    bad = {f"never{number}.test": fault for number in range(3)}
    gateway = named(bad | {"fine.test": ["127.0.0.2"]}, connectTimeout="2s")
    token = world.issuer.token(person)
    with contextlib.ExitStack() as closing:
        waiting = []
        for number in range(3):
            waiting.append(closing.enter_context(Connection(gateway.port)))
            waiting[-1].send(request_bytes("GET", f"/never{number}", person, token))
        assert ask(gateway.port, "GET", "/fine", person, token).status == 200
        assert ask(gateway.port, "GET", "/near", person, token).status == 200
        for connection in waiting:
            answer = connection.answer()
            assert (answer.status, answer.problem) == (503, "upstream_unavailable")
    dns.names["never0.test"] = ["127.0.0.2"]
    until(
        lambda: ask(gateway.port, "GET", "/never0", person, token).status == 200, "the name to come"
    )


# -- 30: resets


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# What is sent before the reset, how often a GET may be sent, what its caller gets.
RESETS = {
    "before the head": (b"", 2, 502),
    "after a byte of the head": (b"H", 1, 502),
    "in the head": (b"HTTP/1.1 200 OK\r\nContent-Le", 1, 502),
    "after an interim answer": (b"HTTP/1.1 103 Early Hints\r\n\r\n", 1, 502),
    "after the head": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1, "broken"),
    "after a byte of content": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh", 1, "broken"),
    "in a chunk": (CHUNKED + b"5\r\nhe", 1, "broken"),
    "before the last chunk": (CHUNKED + b"5\r\nhello\r\n", 1, "broken"),
    "after the whole answer": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 1, 200),
}


@pytest.fixture(scope="module")
def pair(world):
    """Two servers that do the same, and a gateway that may send again."""
    servers = [Upstream([world.tokens], [world.issuer]) for _ in range(2)]
    upstreams = {
        "pair": {"servers": [server.url for server in servers], "balance": "round-robin",
                 "outlier": {"maxEjected": 0}}
    }  # fmt: skip
    to = {"to": "pair", "retries": 1, "timeout": "2s", "idleTimeout": "1s"}
    routes = world.routes(world.route("/*", forward=to), upstreams=upstreams, workers=1)
    with world.gateway(routes) as gateway:
        gateway.servers = servers
        yield gateway
    for server in servers:
        server.close()


def on_both(gateway, path, behaviour):
    for server in gateway.servers:
        server.on(path, behaviour)


def arrivals(gateway, path):
    return sum(len(server.seen(path)) for server in gateway.servers)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("place", RESETS)
def test_a_reset_is_told_as_what_it_is(world, pair, person, place, method):
    sent, times, outcome = RESETS[place]
    path = f"/{place.replace(' ', '-')}/{method}"

    def reset(exchange):
        exchange.read_body()
        if sent:
            exchange.send(sent)
            # The gateway must have read it: a reset discards what has not been read.
            threading.Event().wait(0.1)
        exchange.reset()

    on_both(pair, path, reset)
    token = world.issuer.token(person)
    body = b"once" if method == "POST" else None
    with Connection(pair.port) as connection:
        connection.send(request_bytes(method, path, person, token, body=body))
        try:
            answer = connection.answer()
            seen = answer.status
            if seen == 502:
                assert answer.problem == "upstream_failed"
        except (Broken, ConnectionResetError):
            seen = "broken"
    assert seen == outcome
    assert arrivals(pair, path) == (times if method == "GET" else 1)


# -- 31: idle connections that ended


STALE = ["FIN while it idles", "FIN on the request", "RST on the request"]


def stale_trials(world, person, way, method, trials):
    """On each connection one request is served and the next one is not: a server that restarts,
    or whose patience ends just now. How many of each outcome, and how often it was served."""
    served = collections.Counter()
    server = Upstream([world.tokens], [world.issuer])
    last = {}

    def behave(exchange):
        exchange.read_body()
        connection = exchange.request.connection
        if last.get("connection") == connection and way != STALE[0]:
            exchange.close() if way == STALE[1] else exchange.reset()
            return
        last["connection"] = connection
        served[exchange.request.query] += 1
        exchange.answer(200, b"served")
        if way == STALE[0]:
            exchange.close()

    server.on("/stale", behave)
    upstreams = {"one": {"servers": [server.url]}}
    routes = world.routes(
        world.route("/stale", forward={"to": "one"}), upstreams=upstreams, workers=1
    )
    outcomes = collections.Counter()
    token = world.issuer.token(person)
    body = b"once" if method == "POST" else None
    with world.gateway(routes) as gateway, Connection(gateway.port) as connection:
        for number in range(trials):
            answer = connection.request(
                method, f"/stale?{number}", person, token, body=body
            )
            outcomes[answer.status] += 1
    server.close()
    twice = sum(1 for count in served.values() if count > 1)
    lost = outcomes[502] if method == "GET" else 0
    bound = f"{3 / trials:.1e}"
    print(f"\n{way}, {method}: N = {trials}, {dict(outcomes)}, served twice {twice}; "
          f"0 of N bounds the rate by {bound}")  # fmt: skip
    assert twice == 0
    if method == "GET":
        assert lost == 0 and outcomes == {200: trials}
    else:
        # A byte had been written: nobody can know what the server did with it.
        assert set(outcomes) <= {200, 502}
        if way == STALE[0]:
            # An end that had come is seen; on a busy machine many have yet to.
            assert outcomes[502] <= trials // 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("way", STALE)
def test_stale_connections_are_invisible(world, person, way, method):
    stale_trials(world, person, way, method, 150)


def deadly(world):
    """A server that answers `/warm` and dies of everything else, and how often that came."""
    server, deaths = Upstream([world.tokens], [world.issuer]), []

    def behave(exchange):
        exchange.read_body()
        deaths.append(exchange.request.connection)
        exchange.reset()

    server.on("/deadly", behave)
    return server, deaths


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_what_servers_die_of_is_repeated_once_beside_the_retries(world, person, count, retries):
    """A connection that idled is replaced once a request, and only there where the request began:
    elsewhere an idle one that ends is a server that failed."""
    made = [deadly(world) for _ in range(count)]
    servers = {"servers": [server.url for server, _ in made], "balance": "round-robin",
               "outlier": {"failures": 1000}}  # fmt: skip
    to = {"to": "some", "retries": retries}
    routes = world.routes(
        world.route("/*", forward=to), upstreams={"some": servers}, workers=1
    )
    token = world.issuer.token(person)
    with world.gateway(routes) as gateway, world.connect(gateway) as connection:
        for number in range(5):
            for _ in range(2 * count):
                assert connection.request("GET", "/warm", person, token).status == 200
            before = sum(len(deaths) for _, deaths in made)
            answer = connection.request("GET", "/deadly", person, token)
            assert (answer.status, answer.problem) == (502, "upstream_failed")
            seen = sum(len(deaths) for _, deaths in made) - before
            assert seen == min(count, 1 + retries) + 1
            assert gateway.logged(path="/deadly", method="GET")["attempts"] == seen
            # What may not be repeated is not, on a connection of either kind.
            assert connection.request("GET", "/warm", person, token).status == 200
            before = sum(len(deaths) for _, deaths in made)
            answer = connection.request("POST", "/deadly", person, token, body=b"once")
            assert answer.problem == "upstream_failed"
            assert sum(len(deaths) for _, deaths in made) - before == 1
    for server, _ in made:
        server.close()


# -- 32: bytes left over


LEFT_OVER = {
    "a second answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    "more than the length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
    "content after 204": b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "content after 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok",
    "content after HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    "more than the last chunk": CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore",
}


@pytest.mark.parametrize("what", LEFT_OVER)
def test_bytes_left_over_reach_nobody(world, pair, person, what):
    path = "/left/" + what.replace(" ", "-")
    on_both(pair, path, lambda exchange: exchange.send(LEFT_OVER[what]))
    token = world.issuer.token(person)
    method = "HEAD" if "HEAD" in what else "GET"
    with Connection(pair.port) as connection:
        for _ in range(4):
            answer = connection.request(method, path, person, token)
            assert answer.body in (b"ok", b""), answer
            echo = connection.request("GET", "/echo", person, token).json()
            assert echo["target"] == "/echo"
    tainted = {r.connection for server in pair.servers for r in server.seen(path)}
    assert len(tainted) >= 2, "each such connection is used once"


# -- 33: slow drip


def test_a_head_that_drips_ends_at_the_timeout(world, pair, person):
    def drip(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        while not exchange.wait_for_end(0.1):
            exchange.send(b"x-drip: 1\r\n")
        exchange.ended = True

    on_both(pair, "/drip/head", drip)
    answer = world.ask(pair, "GET", "/drip/head", person)
    assert (answer.status, answer.problem) == (504, "upstream_timeout")


def test_an_answer_that_drips_flows_and_one_that_stops_is_cut(world, pair, person):
    token = world.issuer.token(person)

    def drip(count):
        def behave(exchange):
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
            for _ in range(count):
                if exchange.wait_for_end(0.3):
                    break
                exchange.send(b"x")
            if count < 8:
                exchange.wait_for_end(20)
            exchange.ended = True

        return behave

    on_both(pair, "/drip/whole", drip(8))
    assert world.ask(pair, "GET", "/drip/whole", person, token).body == b"x" * 8
    on_both(pair, "/drip/stops", drip(3))
    with Connection(pair.port) as connection:
        connection.send(request_bytes("GET", "/drip/stops", person, token))
        with pytest.raises((Broken, ConnectionResetError)):
            connection.answer()
    assert pair.logged(path="/drip/stops")["aborted"] == "upstream"


# -- 61: no port left


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")
@pytest.mark.parametrize("error", ["EADDRNOTAVAIL", "ENOBUFS"])
def test_without_a_port_requests_are_turned_away_and_no_server_is_blamed(world, person, error):
    servers = [Upstream([world.tokens], [world.issuer]) for _ in range(3)]
    upstreams = {
        "u": {"servers": [s.url for s in servers], "idleConnections": 0,
              "outlier": {"failures": 1}}
    }  # fmt: skip
    routes = world.routes(world.route("/*", forward={"to": "u"}), upstreams=upstreams)
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        assert ask(gateway.port, "GET", "/x", person, token).status == 200
        tracer = Tracer(gateway.pid, "connect", error)
        try:
            before = cpu_ticks(gateway.pid)
            for _ in range(10):
                answer = ask(gateway.port, "POST", "/x", person, token, body=b"x")
                assert (answer.status, answer.problem) == (503, "upstream_unavailable")
            threading.Event().wait(0.5)
            assert cpu_ticks(gateway.pid) - before < 25, "it spins"
        finally:
            tracer.detach()
        assert gateway.logged(path="/x", status=503)["attempts"] == 3
        assert ask(gateway.port, "GET", "/x", person, token).status == 200
        assert "left out" not in gateway.err.read_text()
    for server in servers:
        server.close()
