"""Connections that become another protocol's: WebSocket, and what a route allows beside it."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import threading

import pytest
import websockets
from harness.client import Connection, ask, request_bytes
from harness.keys import claims_of
from harness.upstream import Upstream
from harness.waiting import until
from websockets.sync.client import connect
from websockets.sync.server import serve

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class EchoServer:
    """A server of the `websockets` library in a thread; `seen` are the requests' heads."""

    def __init__(self, context=None):
        self.seen = []
        self.server = serve(
            self.converse, "127.0.0.1", 0, ssl=context, max_size=64 << 20,
            select_subprotocol=lambda _, offered: "two" if "two" in offered else None,
        )
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.socket.getsockname()[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def converse(self, connection):
        self.seen.append(connection.request)
        if connection.request.path.endswith("/closes"):
            connection.close(4001, "enough")
            return
        with contextlib.suppress(websockets.ConnectionClosed):
            for message in connection:
                connection.send(message)


@pytest.fixture(scope="module")
def echo():
    server = EchoServer()
    yield server
    server.server.shutdown()


@pytest.fixture(scope="module")
def secure_echo(world):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.certificate_files["chain"], world.certificate_files["key"])
    server = EchoServer(context)
    yield server
    server.server.shutdown()


@pytest.fixture(scope="module")
def gateway(world, echo, secure_echo):
    ca = world.authority_file
    allowed = {"upgrade": ["websocket", "Echo/2"]}
    routes = world.routes(
        world.route("/ws/*", forward={"to": echo.url} | allowed),
        world.route("/wss/*", forward={"to": "secure"} | allowed),
        world.route("/raw/*", forward=allowed),
        world.route("/plain/*"),
        world.route("/idle/*", forward=allowed | {"idleTimeout": "2s"}),
        world.route(
            "/cookie/*", forward=allowed, authenticate={"from": "cookie:session"}
        ),
        world.route("/public/*", authenticate="none", exchange=None, forward=allowed),
        upstreams={"secure": {"servers": [secure_echo.url], "tls": {"ca": str(ca)}}},
        listeners=[world.clear_listener, world.tls_listener],
    )
    world.upstream.promise.kinds["/public"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


@contextlib.contextmanager
def websocket(world, gateway, listener, path, person, **more):
    tls = world.tls if listener == "tls" else None
    scheme = "wss" if tls else "ws"
    token = world.issuer.token(person)
    fields = {"Authorization": f"Bearer {token}", "X-Test-Person": person}
    with connect(
        f"{scheme}://localhost:{gateway.ports[listener]}{path}", ssl=tls, proxy=None,
        additional_headers=fields, max_size=64 << 20, **more,
    ) as connection:  # fmt: skip
        connection.token = token
        yield connection


# -- conversations


@pytest.mark.parametrize("path", ["/ws/talk", "/wss/talk"])
@pytest.mark.parametrize("listener", ["clear", "tls"])
def test_a_conversation_goes_both_ways(world, gateway, person, listener, path):
    with websocket(world, gateway, listener, path, person) as connection:
        for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
            message = os.urandom(size)
            connection.send(message)
            assert connection.recv() == message
        connection.send("żółć")
        assert connection.recv() == "żółć"


def test_the_service_gets_a_token_of_its_own(world, gateway, echo, person):
    with websocket(
        world, gateway, "clear", "/ws/token", person, origin="https://app.example",
        subprotocols=["one", "two"],
    ) as connection:  # fmt: skip
        assert connection.subprotocol == "two"
        token = connection.token
    headers = [request.headers for request in echo.seen if request.path == "/ws/token"][-1]
    assert claims_of(headers["Authorization"].removeprefix("Bearer "))["aud"] == "orders"
    assert token not in str(headers)
    assert headers["Origin"] == "https://app.example"
    assert headers["Connection"] == "upgrade" and headers["Upgrade"] == "websocket"
    assert headers["X-Forwarded-For"] == "127.0.0.1"


def test_the_servers_close_code_arrives(world, gateway, person):
    with websocket(world, gateway, "tls", "/ws/closes", person) as connection:
        with pytest.raises(websockets.ConnectionClosed):
            connection.recv()
        assert (connection.close_code, connection.close_reason) == (4001, "enough")
    record = gateway.logged(path="/ws/closes")
    assert record["status"] == 101 and "aborted" not in record


def test_a_caller_without_a_token_is_turned_away(world, gateway, echo):
    before = len(echo.seen)
    with Connection(gateway.port) as connection:
        answer = connection.request("GET", "/ws/nobody", fields=UPGRADE)
        assert (answer.status, answer.problem) == (401, "token_missing")
        # Whose the next bytes are is not clear, so there are none.
        assert answer.value("connection") == "close" and connection.ended()
    assert len(echo.seen) == before


def test_a_refusal_of_the_service_is_an_answer(world, gateway, person):
    with pytest.raises(websockets.InvalidStatus) as raised:
        with websocket(world, gateway, "clear", "/plain/none", person):
            pass
    assert raised.value.response.status_code == 200  # the echoing upstream knows no WebSocket


# -- the handshake


def switch(world, path, then=lambda exchange: None, answer=SWITCHED):
    """Has the upstream switch protocols there, and `then` have the connection."""
    done = threading.Event()
    world.upstream.on(path, switching(then, answer, done))
    return done


def switching(then, answer=SWITCHED, done=None):
    """A server's behaviour: `answer`, then whatever the other protocol is."""

    def behaviour(exchange):
        exchange.ended = True
        exchange.stream.socket.settimeout(20)
        exchange.send(answer)
        try:
            then(exchange)
        finally:
            exchange.stream.end()
            if done:
                done.set()

    return behaviour


def ask_for_upgrade(world, connection, path, person, fields=UPGRADE, ahead=b"", **token):
    token = world.issuer.token(person, **token)
    connection.send(request_bytes("GET", path, person, token, fields=fields) + ahead)


def answer_back(exchange):
    """Echoes, until the end."""
    while data := exchange.stream.pending or exchange.stream.socket.recv(65_536):
        exchange.stream.pending = b""
        exchange.send(data)


def test_behind_other_requests_on_a_connection(world, gateway, connection, person):
    switch(world, "/raw/behind", answer_back)
    token = world.issuer.token(person)
    for _ in range(3):
        assert connection.request("GET", "/raw/before", person, token).status == 200
    ask_for_upgrade(world, connection, "/raw/behind", person)
    answer = connection.answer()
    assert answer.status == 101
    assert answer.value("upgrade") == "websocket" and answer.value("connection") == "upgrade"
    connection.send(b"ping")
    assert connection.exactly(4) == b"ping"


def test_one_protocol_goes_on_of_those_that_are_allowed(world, gateway, person):
    for asked, seen in [
        ("websocket", ["websocket"]),
        ("WebSocket", ["websocket"]),
        ("h2c, foo/1 ,websocket", ["websocket"]),
        ("echo/2, websocket", ["echo/2"]),
        ("h2c", []),
        ("websocket/13", []),
    ]:
        fields = [("Connection", "upgrade"), ("Upgrade", asked)]
        answer = world.ask(gateway, "GET", "/raw/asked", person, fields=fields)
        assert answer.seen("upgrade") == seen, asked
        assert answer.seen("connection") == (["upgrade"] if seen else []), asked


def test_an_upgrade_that_is_not_listed_is_an_ordinary_request(world, gateway, connection, person):
    token = world.issuer.token(person)
    for _ in range(2):
        answer = connection.request("GET", "/plain/x", person, token, fields=UPGRADE)
        assert answer.status == 200 and answer.value("connection") is None
        assert answer.seen("upgrade") == [] and answer.seen("connection") == []


def test_content_leaves_no_room_for_an_upgrade(world, gateway, person):
    answer = world.ask(gateway, "POST", "/raw/content", person, fields=UPGRADE, body=b"content")
    assert answer.status == 200 and answer.seen("upgrade") == []


def test_upgrade_must_be_named_by_connection(world, gateway, person):
    fields = [("Upgrade", "websocket")]
    assert world.ask(gateway, "GET", "/raw/alone", person, fields=fields).seen("upgrade") == []


def test_bytes_sent_ahead_go_on_only_after_the_101(world, gateway, connection, person):
    early, gate = [], threading.Event()

    @world.upstream.on("/raw/ahead")
    def behaviour(exchange):
        exchange.ended = True
        raw = exchange.stream.socket
        early.append(exchange.stream.pending)
        raw.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            early.append(raw.recv(100))
        raw.settimeout(20)
        exchange.send(SWITCHED)
        assert gate.wait(20)
        exchange.send(exchange.stream.exactly(11).upper())
        exchange.stream.end()

    ask_for_upgrade(world, connection, "/raw/ahead", person, ahead=b"sent ahead,")
    assert connection.answer().status == 101
    gate.set()
    assert connection.exactly(11) == b"SENT AHEAD,"
    assert early == [b""]


def test_bytes_sent_ahead_are_no_request_where_there_is_no_101(world, gateway, connection, person):
    token = world.issuer.token(person)
    hidden = request_bytes("GET", "/raw/hidden", person, token)
    ask_for_upgrade(world, connection, "/raw/refused", person, ahead=hidden)
    answer = connection.answer()
    assert answer.status == 200 and answer.seen("upgrade") == ["websocket"]
    assert answer.value("connection") == "close" and connection.ended()
    assert not world.upstream.seen("/raw/hidden")


@pytest.mark.parametrize(
    "answer",
    [
        SWITCHED.replace(b"websocket", b"other"),
        SWITCHED.replace(b"websocket", b"websocket, echo/2"),
        SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
        SWITCHED.replace(b"Connection: Upgrade\r\n", b""),
        SWITCHED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["another", "two", "none", "unnamed", "old"],
)
def test_a_101_to_another_protocol_is_a_bad_gateway(world, gateway, person, answer):
    switch(world, "/raw/wrong", answer=answer)
    with Connection(gateway.port) as connection:
        ask_for_upgrade(world, connection, "/raw/wrong", person)
        refusal = connection.answer()
        assert (refusal.status, refusal.problem) == (502, "upstream_failed")
        assert connection.ended()


def test_a_101_that_nobody_asked_for_is_a_bad_gateway(world, gateway, person):
    switch(world, "/raw/unasked")
    answer = world.ask(gateway, "GET", "/raw/unasked", person)
    assert (answer.status, answer.problem) == (502, "upstream_failed")


def test_a_cookies_token_needs_an_origin(world, gateway, person):
    switch(world, "/cookie/x", answer_back)
    cookie = ("Cookie", f"session={world.issuer.token(person)}")
    own = ("Origin", f"http://localhost:{gateway.port}")
    host = f"localhost:{gateway.port}"
    for more, status in [([], 403), ([("Origin", "http://evil.example")], 403), ([own], 101)]:
        with Connection(gateway.port) as connection:
            fields = [*UPGRADE, cookie, *more]
            connection.send(request_bytes("GET", "/cookie/x", person, fields=fields, host=host))
            assert connection.answer().status == status, more


# -- ends


def test_the_caller_may_end_first_and_listen_on(world, gateway, person):
    def then(exchange):
        heard = exchange.stream.pending
        while data := exchange.stream.socket.recv(65_536):
            heard += data
        exchange.send(hashlib.sha256(heard).hexdigest().encode())

    sent = os.urandom(3_000_000)
    switch(world, "/raw/half", then)
    with Connection(gateway.port) as connection:
        ask_for_upgrade(world, connection, "/raw/half", person)
        assert connection.answer().status == 101
        connection.send(sent)
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.rest() == hashlib.sha256(sent).hexdigest().encode()
    record = gateway.logged(path="/raw/half")
    assert record["status"] == 101 and record["upstream_status"] == 101
    assert record["bytes_in"] == len(sent) and "aborted" not in record


def connection_name(gateway, connection):
    port = connection.socket.getpeername()[1] if connection.socket.fileno() >= 0 else None
    names = {number: name for name, number in gateway.ports.items()}
    return names.get(port, "tls")


def test_the_server_may_end_first(world, gateway, connection, person):
    heard = []

    def then(exchange):
        exchange.send(b"the end")
        exchange.stream.socket.shutdown(socket.SHUT_WR)
        heard.append(exchange.stream.exactly(5))

    done = switch(world, "/raw/first", then)
    ask_for_upgrade(world, connection, "/raw/first", person)
    assert connection.answer().status == 101
    assert connection.exactly(7) == b"the end"
    assert connection.rest() == b""
    connection.send(b"later")
    assert done.wait(20) and heard == [b"later"]


def test_a_break_is_passed_on_as_a_break(world, gateway, person):
    def breaks(exchange):
        exchange.stream.exactly(2)
        exchange.reset()

    switch(world, "/raw/break", breaks)
    with Connection(gateway.port) as connection:
        ask_for_upgrade(world, connection, "/raw/break", person)
        assert connection.answer().status == 101
        connection.send(b"go")
        with pytest.raises(ConnectionResetError):
            while connection.socket.recv(100):
                pass
    record = gateway.logged(path="/raw/break")
    assert (record["aborted"], record["reason"]) == ("upstream", "upstream_failed")

    seen = []

    def listens_on(exchange):
        try:
            seen.append(exchange.stream.socket.recv(100))
        except ConnectionResetError:
            seen.append("reset")

    done = switch(world, "/raw/broken", listens_on)
    connection = Connection(gateway.port)
    ask_for_upgrade(world, connection, "/raw/broken", person)
    assert connection.answer().status == 101
    connection.reset()
    assert done.wait(20) and seen == ["reset"]
    record = gateway.logged(path="/raw/broken")
    assert (record["aborted"], record["reason"]) == ("client", "caller_gone")


def test_a_side_that_takes_nothing_stops_the_other(world, gateway, connection, person):
    sent, piece = [0], os.urandom(1 << 16)
    stalled, finished = threading.Event(), threading.Event()
    digest = hashlib.sha256()

    def then(exchange):
        raw = exchange.stream.socket
        raw.settimeout(1)
        while sent[0] < 64 << 20 and not finished.is_set():
            try:
                count = raw.send(piece)
            except TimeoutError:
                stalled.set()
                raw.settimeout(20)
                finished.set()
                continue
            digest.update(piece[:count])
            sent[0] += count

    done = switch(world, "/raw/flood", then)
    ask_for_upgrade(world, connection, "/raw/flood", person)
    assert connection.answer().status == 101
    assert stalled.wait(20), "64 MiB went to a caller that takes nothing"
    got = connection.rest()
    assert done.wait(20)
    assert len(got) == sent[0] and hashlib.sha256(got).digest() == digest.digest()


def test_it_ends_when_nothing_comes(world, gateway, connection, person):
    seen = []

    def then(exchange):
        for _ in range(5):
            seen.append(exchange.stream.exactly(1))
        seen.append(exchange.stream.socket.recv(1))

    done = switch(world, "/idle/x", then)
    ask_for_upgrade(world, connection, "/idle/x", person)
    assert connection.answer().status == 101
    # Longer in all than the longest pause.
    for _ in range(5):
        connection.send(b".")
        assert not connection.ended(0.6)
    assert connection.ended()
    assert done.wait(20) and seen == [b"."] * 5 + [b""]
    record = gateway.logged(path="/idle/x", listener=connection_name(gateway, connection))
    assert (record["status"], record["reason"]) == (101, "request_timeout")
    assert record["bytes_in"] == 5 and "aborted" not in record


def test_it_ends_with_the_callers_token(world, gateway, connection, person):
    seen = []
    done = switch(world, "/raw/token", lambda exchange: seen.append(exchange.stream.socket.recv(1)))
    ends = world.issuer.claims(person)["iat"] + 3
    ask_for_upgrade(world, connection, "/raw/token", person, exp=ends)
    assert connection.answer().status == 101
    assert connection.ended()
    assert done.wait(20) and seen == [b""]
    record = gateway.logged(path="/raw/token", listener=connection_name(gateway, connection))
    assert (record["status"], record["reason"]) == (101, "token_expired")


def test_a_public_route_has_tunnels_too(world, gateway, person):
    switch(world, "/public/x", answer_back)
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/public/x", fields=UPGRADE))
        assert connection.answer().status == 101
        connection.send(b"hello")
        assert connection.exactly(5) == b"hello"


def test_it_goes_on_for_as_long_as_the_process_may_take(world, person):
    switch(world, "/raw/drain", answer_back)
    route = world.route("/raw/*", forward={"upgrade": "websocket"})
    gateway = world.start(world.routes(route, shutdown={"grace": "4s"}))
    try:
        with Connection(gateway.port) as connection:
            ask_for_upgrade(world, connection, "/raw/drain", person)
            assert connection.answer().status == 101
            gateway.signal(signal.SIGTERM)
            until(lambda: gateway.admin("/readyz")[0] != 200, "readiness to fail")
            connection.send(b"still here")
            assert connection.exactly(10) == b"still here"
            assert connection.ended()
        assert gateway.wait() == 0, gateway.said()
        assert "cut" not in gateway.said()
        record = gateway.logged(path="/raw/drain")
        assert (record["status"], record["bytes_in"]) == (101, 10)
        assert "aborted" not in record and "reason" not in record
    finally:
        gateway.end()


def test_it_goes_with_its_listener(world, person):
    done = switch(world, "/raw/listener", answer_back)
    route = world.route("/raw/*", forward={"upgrade": "websocket"})
    listeners = [world.clear_listener, world.tls_listener]
    routes = world.routes(route, listeners=listeners, shutdown={"grace": "2s"})
    with world.gateway(routes) as gateway:
        with Connection(gateway.ports["tls"], world.tls) as connection:
            ask_for_upgrade(world, connection, "/raw/listener", person)
            assert connection.answer().status == 101
            fewer = gateway.routes | {"listeners": gateway.routes["listeners"][:1]}
            gateway.file.write_text(json.dumps(fewer))
            gateway.signal(signal.SIGHUP)
            until(lambda: "reloaded" in gateway.said(), "the reload")
            connection.send(b"still here")
            assert connection.exactly(10) == b"still here"
            assert connection.ended() and done.wait(20)


def test_a_tunnel_is_a_connection_like_any_other(world, person):
    switch(world, "/raw/counted", answer_back)
    route = world.route("/raw/*", forward={"upgrade": ["websocket"]})
    routes = world.routes(route, limits={"connections": 1})
    with world.gateway(routes, ready="listening") as gateway:
        token = world.issuer.token(person)
        connection = until(lambda: one_that_is_served(world, gateway, person), "a connection")
        assert ask(gateway.port, "GET", "/raw/x", person, token).status == 503
        connection.close()
        until(lambda: ask(gateway.port, "GET", "/raw/x", person, token).status == 200, "room")


def one_that_is_served(world, gateway, person):
    """The harness's own look at the listener may still count."""
    connection = Connection(gateway.port)
    ask_for_upgrade(world, connection, "/raw/counted", person)
    if connection.answer().status == 101:
        return connection
    connection.close()
    return None


def test_tunnels_that_break_say_nothing_of_their_server(world, person):
    def breaks(exchange):
        exchange.stream.exactly(2)
        exchange.reset()

    second = Upstream([world.tokens], [world.issuer])
    servers = [world.upstream, second]
    for server in servers:
        server.on("/raw/breaks", switching(breaks))
    upstream = {
        "servers": [server.url for server in servers],
        "balance": "round-robin",
        "outlier": {"failures": 2},
    }
    route = world.route("/raw/*", forward={"to": "pair", "upgrade": ["websocket"]})
    routes = world.routes(route, upstreams={"pair": upstream}, workers=1)
    with contextlib.closing(second), world.gateway(routes) as gateway:
        for _ in range(8):
            with Connection(gateway.port) as connection:
                ask_for_upgrade(world, connection, "/raw/breaks", person)
                assert connection.answer().status == 101
                connection.send(b"go")
                assert connection.rest() == b""
        until(lambda: gateway.log_text().count("/raw/breaks") == 8, "the tunnels to have ended")
        for _ in range(8):
            assert world.ask(gateway, "GET", "/raw/both", person).status == 200
        assert [len(server.seen("/raw/both")) for server in servers] == [4, 4]


def test_what_it_carried_is_counted(world, gateway, person):
    def then(exchange):
        exchange.send(b"x" * len(exchange.stream.exactly(1234)))

    switch(world, "/raw/bytes", then)
    with Connection(gateway.port) as connection:
        ask_for_upgrade(world, connection, "/raw/bytes", person, ahead=b"a" * 1000)
        head = len(SWITCHED)
        assert connection.answer().status == 101
        connection.send(b"b" * 234)
        assert len(connection.rest()) == 1234
    record = gateway.logged(path="/raw/bytes")
    assert record["bytes_in"] == 1234 and record["bytes_out"] == 1234 + head
    assert (record["method"], record["host"]) == ("GET", "localhost")


def test_http2_in_the_clear_is_never_handed_over(world, tmp_path):
    route = world.route("/*", forward={"upgrade": ["h2c"]})
    gateway = world.start(world.routes(route), ready=None)
    assert gateway.wait() == 1
    assert "requests within it would be neither checked nor seen" in gateway.said()



def test_a_preflight_opens_no_tunnel(world):
    """It needs no token where the service answers preflights itself."""
    world.upstream.promise.kinds |= {"/cors": "none"}
    routes = world.routes(
        world.route("/cors/*", cors="upstream", forward={"upgrade": ["echo/2"]})
    )
    fields = [
        ("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET"),
        ("Connection", "Upgrade"), ("Upgrade", "echo/2"),
    ]  # fmt: skip
    with world.gateway(routes) as gateway:
        assert ask(gateway.port, "OPTIONS", "/cors/tunnel", fields=fields).status == 200
    assert world.upstream.seen("/cors/tunnel")[-1].values("upgrade") == []


def test_a_tunnels_life_is_no_latency(world, gateway, person):
    def report():
        return json.loads(gateway.admin("/status?json")[1])

    def numbers():
        for route in report()["routes"]:
            if route["name"] == "/ws/*":
                return route["requests"], sum(route["buckets"])
        return 0, 0

    before = numbers()
    with websocket(world, gateway, "clear", "/ws/echo", person) as tunnel:
        tunnel.send("x")
        assert tunnel.recv() == "x"
    until(lambda: numbers()[0] > before[0], "the tunnel to be counted")
    assert numbers() == (before[0] + 1, before[1])
    # Prometheus has it, by its status.
    counted = r'http_server_request_duration_seconds_count\{http_route="/ws/\*",.*"101"'
    assert re.search(counted, gateway.admin("/metrics")[1])
