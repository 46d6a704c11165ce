"""Upstreams of several servers: which one is next, and when another gets the request instead."""

import collections
import contextlib
import json
import re
import signal
import threading

import pytest
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes
from harness.program import Nginx
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


def test_sending_again_is_bounded_by_a_budget(world, servers, person):
    """When every answer fails, a fifth of the requests are sent again, not all."""
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
    assert 300 < sum(counts(servers, "/budget")) <= 300 * 1.2


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


def seen_by(gateway, world, person, target, fields=(), times=1, token=None):
    """Which of nginx's servers answered, and how often: each says its own name."""
    token = token or world.issuer.token(person)
    with Connection(gateway.port) as connection:
        answers = [connection.request("GET", target, person, token, fields) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return collections.Counter(answer.body.decode() for answer in answers)


@pytest.fixture(scope="module")
def named(world):
    """nginx with servers that answer with their names: a, b, c by TCP, d by a unix socket."""
    ports = {name: free_port() for name in "abc"}
    folder = world.folder / "named"
    socket = world.folder / "d.sock"
    places = [(name, f"127.0.0.1:{port}") for name, port in ports.items()]
    places.append(("d", f"unix:{socket}"))
    http = "".join(
        f"server {{ listen {place}; keepalive_requests 100000;"
        f" location = /host {{ return 200 '$http_host'; }}"
        f" location / {{ return 200 '{name}'; }} }}\n"
        for name, place in places
    )
    folder.mkdir()
    program = Nginx(folder, http, ports["a"])
    program.urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    program.urls["d"] = f"unix:{socket}"
    yield program
    program.end()


@pytest.fixture(scope="module")
def balanced(world, named):
    a, b, c, d = (named.urls[name] for name in "abcd")
    heavy = [{"url": a, "weight": 3}, {"url": b, "weight": 1}]
    upstreams = {
        "turns": {"servers": heavy, "balance": "round-robin"},
        "chance": {"servers": heavy, "balance": "random"},
        "least": {"servers": heavy},
        "header": {"servers": [a, b, c], "balance": "hash:header:X-Tenant"},
        "claim": {"servers": [a, b, c], "balance": "hash:claim:sub"},
        "socket": {"servers": [d]},
    }
    routes = [world.route(f"/{name}/*", forward={"to": name}) for name in upstreams]
    routes.append(world.route("/host", forward={"to": "socket"}))
    with world.gateway(world.routes(*routes, upstreams=upstreams, workers=1)) as gateway:
        yield gateway


def test_turns_are_as_many_as_the_weights_say(world, balanced, person):
    assert seen_by(balanced, world, person, "/turns/x", times=40) == {"a": 30, "b": 10}


@pytest.mark.parametrize("balance", ["chance", "least"])
def test_chance_goes_by_weight(world, balanced, person, balance):
    seen = seen_by(balanced, world, person, f"/{balance}/x", times=1200)
    # 300 expected; eight standard deviations are 120.
    assert 180 < seen["b"] < 420, seen


def test_one_value_has_one_server(world, balanced, person):
    servers = {}
    for value in range(60):
        seen = seen_by(balanced, world, person, "/header/x", [("X-Tenant", f"t{value}")], 3)
        assert len(seen) == 1, seen
        servers[value] = next(iter(seen))
    assert set(servers.values()) == set("abc")
    # Without a value any server will do.
    assert len(seen_by(balanced, world, person, "/header/x", times=60)) == 3


def test_one_caller_has_one_server(world, balanced, person):
    found = set()
    for number in range(12):
        seen = seen_by(balanced, world, f"{person}-{number}", "/claim/x", times=3)
        assert len(seen) == 1, seen
        found |= set(seen)
    assert len(found) > 1


def test_values_move_only_when_their_server_goes(world, named, person):
    """The same file without one server: what it had is spread, all else stays."""
    servers = [named.urls[name] for name in "abc"]

    def assignment(urls):
        upstreams = {"u": {"servers": urls, "balance": "hash:header:x"}}
        routes = world.routes(world.route("/*", forward={"to": "u"}), upstreams=upstreams)
        with world.gateway(routes) as gateway:
            return {
                value: next(iter(seen_by(gateway, world, person, "/x", [("X", str(value))])))
                for value in range(60)
            }

    whole, without_b = assignment(servers), assignment([servers[2], servers[0]])
    assert set(whole.values()) == set("abc")
    for value, server in whole.items():
        assert without_b[value] == server or server == "b"


def test_a_server_may_be_a_socket_in_the_file_system(world, balanced, person):
    assert seen_by(balanced, world, person, "/socket/x", times=5) == {"d": 5}
    assert seen_by(balanced, world, person, "/host") == {"localhost": 1}
    record = balanced.logged(path="/host")
    assert record["upstream"].startswith("unix:/") and record["upstream"].endswith("/d.sock")


def test_a_socket_that_is_not_there_is_unavailable(world, person):
    upstreams = {"gone": {"servers": ["unix:nowhere.sock"]}}
    routes = world.routes(world.route("/*", forward={"to": "gone"}), upstreams=upstreams)
    with world.gateway(routes) as gateway:
        answer = world.ask(gateway, "GET", "/x", person)
        assert (answer.status, answer.problem) == (503, "upstream_unavailable")


# -- limits


class Held:
    """A server whose answers wait until they are let go."""

    def __init__(self, world, path):
        self.server = Upstream([world.tokens], [world.issuer])
        self.gate = threading.Event()
        self.path = path
        self.server.on(path, lambda exchange: (self.gate.wait(30), exchange.answer(200, b"x")))

    @property
    def arrived(self):
        return len(self.server.seen(self.path))

    def close(self):
        self.gate.set()
        self.server.close()


def test_requests_over_the_queue_are_turned_away_and_the_others_served_in_order(world, person):
    held = Held(world, "/q")
    upstreams = {"q": {"servers": [held.server.url], "maxConnections": 1, "queue": 2}}
    routes = world.routes(
        world.route("/q", forward={"to": "q"}), upstreams=upstreams, workers=1,
        admin={"address": "127.0.0.1:0"},
    )  # fmt: skip
    token = world.issuer.token(person)
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        waiting = []
        for number in range(3):
            connection = closing.enter_context(Connection(gateway.port))
            connection.send(request_bytes("GET", f"/q?{number}", person, token))
            waiting.append(connection)
            if number == 0:
                until(lambda: held.arrived == 1, "the first to arrive")
            else:
                wanted = f"waiting_requests{{upstream=\"q\",server=\"{held.server.url}\"}} {number}"
                until(lambda w=wanted: w in gateway.admin("/metrics")[1], wanted)
        answer = ask(gateway.port, "GET", "/q?over", person, token)
        assert (answer.status, answer.problem) == (503, "overloaded")
        assert answer.value("retry-after") in ("1", "2", "3")
        # One that goes leaves the queue.
        waiting[1].close()
        until(lambda: 'waiting_requests{upstream="q"' in (m := gateway.admin("/metrics")[1])
              and re.search(r"waiting_requests\{[^}]*\} 1\n", m), "one to be left")  # fmt: skip
        late = closing.enter_context(Connection(gateway.port))
        late.send(request_bytes("GET", "/q?late", person, token))
        until(lambda: re.search(r"waiting_requests\{[^}]*\} 2\n", gateway.admin("/metrics")[1]),
              "the late one to wait")  # fmt: skip
        held.gate.set()
        for connection in (waiting[0], waiting[2], late):
            assert connection.answer().status == 200
        assert [r.query for r in held.server.seen("/q")] == ["0", "2", "late"]
    held.close()


def test_a_request_waits_for_a_connection_no_longer_than_its_timeout(world, person):
    held = Held(world, "/w")
    upstreams = {"w": {"servers": [held.server.url], "maxConnections": 1}}
    routes = world.routes(
        world.route("/w", forward={"to": "w", "timeout": "20s"}),
        world.route("/hasty", forward={"to": "w", "timeout": "300ms"}), upstreams=upstreams,
    )  # fmt: skip
    token = world.issuer.token(person)
    with world.gateway(routes) as gateway, Connection(gateway.port) as first:
        first.send(request_bytes("GET", "/w", person, token))
        until(lambda: held.arrived == 1, "it to arrive")
        answer = ask(gateway.port, "GET", "/hasty", person, token)
        assert (answer.status, answer.problem) == (503, "overloaded")
        held.gate.set()
        assert first.answer().status == 200
    held.close()


def test_a_server_with_room_is_asked_before_one_that_is_full(world, servers, person):
    held = Held(world, "/full")
    upstreams = {
        "u": {"servers": [held.server.url, servers[0].url], "balance": "round-robin",
              "maxConnections": 1, "queue": 0}
    }  # fmt: skip
    routes = world.routes(
        world.route("/full", forward={"to": "u"}), upstreams=upstreams, workers=1
    )
    token = world.issuer.token(person)
    before = len(servers[0].seen("/full"))
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        first = closing.enter_context(Connection(gateway.port))
        while not held.arrived:
            with contextlib.suppress(TimeoutError):
                first.send(request_bytes("GET", "/full", person, token))
                until(lambda: held.arrived or len(servers[0].seen("/full")) > before, "it")
                if not held.arrived:
                    before = len(servers[0].seen("/full"))
                    first.answer()
        for _ in range(6):
            assert ask(gateway.port, "GET", "/full", person, token).status == 200
        assert held.arrived == 1
        held.gate.set()
        assert first.answer().status == 200
    held.close()


# -- TLS


def test_a_server_that_asks_for_a_certificate_gets_the_gateways_own(world, person):
    """And when its file changes, the new one; requests with another upstream's are apart."""
    authority = Certificate(["Clients"], authority=True)
    folder = world.folder / "own"
    folder.mkdir()
    (folder / "clients.pem").write_bytes(authority.pem)
    (folder / "servers.pem").write_bytes(world.authority.pem)
    own = Certificate(["gateway one"], issuer=authority).write(folder, "own")
    other = Certificate(["gateway other"], issuer=authority).write(folder, "other")
    served = world.certificate_files
    port = free_port()
    nginx = Nginx(
        folder,
        f"""server {{ listen 127.0.0.1:{port} ssl;
          ssl_certificate {served["chain"]}; ssl_certificate_key {served["key"]};
          ssl_client_certificate {folder}/clients.pem; ssl_verify_client optional;
          location / {{ return 200 '$ssl_client_verify $ssl_client_s_dn'; }} }}""",
        port,
    )
    tls = {"ca": str(folder / "servers.pem"), "serverName": "localhost"}

    def upstream(files):
        certificate = {"certificate": files["chain"], "key": files["key"]} if files else {}
        return {"servers": [f"https://127.0.0.1:{port}"], "tls": tls | certificate}

    upstreams = {"own": upstream(own), "other": upstream(other), "none": upstream(None)}
    routes = [world.route(f"/{name}", forward={"to": name}) for name in upstreams]
    with world.gateway(world.routes(*routes, upstreams=upstreams, workers=1)) as gateway:
        token = world.issuer.token(person)

        def said(path):
            return ask(gateway.port, "GET", path, person, token).body.decode()

        for _ in range(3):
            assert said("/own") == "SUCCESS CN=gateway one"
            assert said("/other") == "SUCCESS CN=gateway other"
            assert said("/none") == "NONE "
        Certificate(["gateway two"], issuer=authority).write(folder, "own")
        until(lambda: said("/own") == "SUCCESS CN=gateway two", "the new certificate")
        assert said("/other") == "SUCCESS CN=gateway other"
    nginx.end()


def test_a_server_is_asked_for_and_held_to_the_name_that_is_given(world, person):
    """Two servers at one address, told apart by the name; and one whose certificate has another."""
    folder = world.folder / "asked"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(world.authority.pem)
    port, servers = free_port(), ""
    for asked, held in (("one.test", "one.test"), ("two.test", "two.test"), ("x.test", "y.test")):
        files = Certificate([held], issuer=world.authority).write(folder, asked)
        servers += f"""server {{ listen 127.0.0.1:{port} ssl; server_name {asked};
          ssl_certificate {files["chain"]}; ssl_certificate_key {files["key"]};
          location / {{ return 200 '$ssl_server_name of {held}'; }} }}\n"""
    nginx = Nginx(folder, servers, port)
    upstreams = {
        name: {"servers": [f"https://127.0.0.1:{port}"],
               "tls": {"ca": str(folder / "ca.pem"), "serverName": f"{name}.test"}}
        for name in ("one", "two", "x")
    }  # fmt: skip
    routes = [
        world.route(f"/{name}", forward={"to": name, "host": f"{name}.test"}) for name in upstreams
    ]
    with world.gateway(world.routes(*routes, upstreams=upstreams, workers=1)) as gateway:
        token = world.issuer.token(person)
        for _ in range(2):
            for name in ("one", "two"):
                answer = ask(gateway.port, "GET", f"/{name}", person, token)
                assert answer.body.decode() == f"{name}.test of {name}.test"
            answer = ask(gateway.port, "GET", "/x", person, token)
            assert (answer.status, answer.problem) == (503, "upstream_unavailable")
    nginx.end()


# -- numbers


def numbers(gateway):
    """The samples of /metrics: {(name, upstream, server): value}."""
    found = {}
    for line in gateway.admin("/metrics")[1].splitlines():
        pattern = r'tollgate_upstream_(\w+)\{upstream="([^"]*)",server="([^"]*)"\} (\S+)'
        if match := re.fullmatch(pattern, line):
            found[match[1], match[2], match[3]] = float(match[4])
    return found


def test_metrics_count_what_each_server_got_and_failed(world, person):
    good, bad = (Upstream([world.tokens], [world.issuer]) for _ in range(2))
    bad.on("/m", lambda exchange: exchange.answer(503, b"sorry", reason="Sorry"))
    upstreams = {"m": {"servers": [good.url, bad.url], "balance": "round-robin"}}
    routes = world.routes(world.route("/m", forward={"to": "m"}), upstreams=upstreams, workers=2)
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        statuses = [ask(gateway.port, "GET", "/m", person, token).status for _ in range(20)]
        assert statuses == [200] * 20
        seen = numbers(gateway)
        assert seen["requests_total", "m", good.url] == 20
        assert seen["requests_total", "m", bad.url] == 5, "it is left out after five"
        assert seen["failures_total", "m", bad.url] == 5
        assert seen["failures_total", "m", good.url] == 0
        assert seen["resends_total", "m", bad.url] == 5
        assert seen["ejections_total", "m", bad.url] == 1
        assert seen["ejected", "m", bad.url] == 1 and seen["ejected", "m", good.url] == 0
        assert seen["healthy", "m", bad.url] == 1
        assert seen["connections", "m", good.url] >= 1
        # A reload sets nothing back.
        routes["upstreams"]["m"]["queue"] = 5
        reload(gateway, routes)
        assert numbers(gateway)["requests_total", "m", good.url] == 20
        assert numbers(gateway)["ejected", "m", bad.url] == 1
    good.close()
    bad.close()


def reload(gateway, routes):
    """Has the gateway take up other routes, and waits until it has."""
    said = gateway.err.read_text().count("reloaded")
    gateway.file.write_text(json.dumps(gateway.routes | {"upstreams": routes["upstreams"]}))
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.err.read_text().count("reloaded") > said, "the reload")
