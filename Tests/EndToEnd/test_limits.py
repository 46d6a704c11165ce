"""Every limit of the routes file: what a caller sees who goes over it, and that others do not."""

import contextlib
import socket
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import descriptors
from harness.waiting import until

KIB = 1024


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/large/*", limits={"body": "3MiB"}),
        limits={
            "requestLine": "1KiB",
            "headers": "8KiB",
            "headerCount": 20,
            "body": "64KiB",
            "headerTimeout": "700ms",
            "bodyTimeout": "700ms",
            "idleTimeout": "1s",
            "tlsHandshakeTimeout": "700ms",
        },
        listeners=[world.clear_listener, world.tls_listener],
    )
    with world.gateway(routes) as gateway:
        yield gateway


def refused(connection, status, reason):
    answer = connection.answer()
    assert (answer.status, answer.problem) == (status, reason), answer
    return answer


def test_a_long_request_line_is_refused(world, gateway, person):
    fine = "/" + "a" * 900
    assert world.ask(gateway, "GET", fine, person).status == 200
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/" + "a" * 2000, person))
        refused(connection, 414, "request_line_too_long")
        assert connection.ended()


def test_an_endless_request_line_is_refused_while_it_comes(gateway):
    with Connection(gateway.port) as connection:
        connection.send(b"GET /" + b"a" * 4000)
        refused(connection, 414, "request_line_too_long")
        assert connection.ended()


def test_a_large_head_is_refused(world, gateway, person):
    fields = [("X-Pad", "p" * 6000)]
    assert world.ask(gateway, "GET", "/", person, fields=fields).status == 200
    with Connection(gateway.port) as connection:
        fields = [(f"X-Pad-{n}", "p" * 3000) for n in range(4)]
        connection.send(request_bytes("GET", "/", person, None, fields))
        refused(connection, 431, "headers_too_large")
        assert connection.ended()


def test_an_endless_head_is_refused_while_it_comes(gateway):
    with Connection(gateway.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000)
        refused(connection, 431, "headers_too_large")


def test_too_many_fields_are_refused(world, gateway, person):
    for count, status in ((15, 200), (30, 431)):
        with Connection(gateway.port) as connection:
            fields = [(f"X-{n}", "1") for n in range(count)]
            token = world.issuer.token(person)
            connection.send(request_bytes("GET", "/", person, token, fields))
            assert connection.answer().status == status


def test_a_body_over_the_limit_is_refused_by_its_length(world, gateway, person):
    token = world.issuer.token(person)
    assert world.ask(gateway, "POST", "/", person, token, body=b"x" * 64 * KIB).status == 200
    with Connection(gateway.port) as connection:
        fields = [("Content-Length", str(64 * KIB + 1))]
        connection.send(request_bytes("POST", "/over", person, token, fields))
        refused(connection, 413, "body_too_large")
    assert world.upstream.seen("/over") == []


def test_a_chunked_body_over_the_limit_is_cut(world, gateway, person):
    with Connection(gateway.port) as connection:
        fields = [("Transfer-Encoding", "chunked")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/cut", person, token, fields))
        with contextlib.suppress(OSError):
            for _ in range(10):
                connection.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        refused(connection, 413, "body_too_large")
    assert all(not request.whole for request in world.upstream.seen("/cut"))


def test_a_route_may_take_more(world, gateway, person):
    answer = world.ask(gateway, "POST", "/large/x", person, body=b"x" * (2 << 20))
    assert answer.json()["size"] == 2 << 20


# -- time


def test_a_caller_who_never_ends_the_head_is_told(gateway):
    with Connection(gateway.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        refused(connection, 408, "request_timeout")
        assert connection.ended()


def test_the_heads_deadline_is_for_the_whole_and_not_for_each_byte(gateway):
    with Connection(gateway.port) as connection:
        stop = threading.Event()

        def drip():
            with contextlib.suppress(OSError):
                connection.send(b"GET / HTTP/1.1\r\n")
                while not stop.wait(0.1):
                    connection.send(b"X: y\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with contextlib.suppress(ConnectionResetError):
                refused(connection, 408, "request_timeout")
        finally:
            stop.set()
            thread.join()


def test_a_body_that_stops_coming_is_given_up(world, gateway, person):
    with Connection(gateway.port) as connection:
        fields = [("Content-Length", "100")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/pause", person, token, fields) + b"start")
        refused(connection, 408, "request_timeout")
        assert connection.ended()
    assert all(not request.whole for request in world.upstream.seen("/pause"))
    assert gateway.logged(path="/pause")["reason"] == "request_timeout"


def test_a_body_with_short_pauses_is_taken(world, gateway, person):
    with Connection(gateway.port) as connection:
        fields = [("Content-Length", "12")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/short-pauses", person, token, fields))
        pause = threading.Event()
        for _ in range(12):
            pause.wait(0.1)
            connection.send(b"x")
        assert connection.answer().json()["size"] == 12


def test_an_idle_connection_is_ended(world, gateway, person):
    token = world.issuer.token(person)
    with Connection(gateway.port) as connection:
        assert connection.request("GET", "/", person, token).status == 200
        assert connection.ended(10)
    with Connection(gateway.port) as connection:  # one that never said anything
        assert connection.ended(10)


def test_a_stalled_handshake_is_ended(world, gateway, person):
    with Connection(gateway.ports["tls"]) as silent, Connection(gateway.ports["tls"]) as half:
        half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        token = world.issuer.token(person)
        assert ask(gateway.ports["tls"], "GET", "/", person, token, world.tls).status == 200
        assert silent.ended(10)
        with contextlib.suppress(ConnectionResetError):
            half.rest()


# -- how many


def test_connections_over_the_limit_are_refused_and_others_served(world, person):
    routes = world.routes(limits={"connections": 20}, workers=2)
    with world.gateway(routes) as gateway, contextlib.ExitStack() as open_ones:
        token = world.issuer.token(person)
        kept = []
        for _ in range(15):
            connection = open_ones.enter_context(Connection(gateway.port))
            assert connection.request("GET", "/x", person, token).status == 200
            kept.append(connection)
        refused_ones = 0
        for _ in range(20):
            with contextlib.suppress(OSError, EOFError):
                connection = open_ones.enter_context(Connection(gateway.port))
                connection.send(request_bytes("GET", "/x", person, token))
                connection.socket.settimeout(10)
                got = connection.socket.recv(4096)
                if got.startswith(b"HTTP/1.1 200 "):
                    continue
                assert got == b"" or b" 503 " in got.split(b"\r\n")[0]
            refused_ones += 1
        assert refused_ones >= 13
        for connection in kept:
            assert connection.request("GET", "/x", person, token).status == 200
        for connection in kept[:10]:
            connection.close()
        until(
            lambda: ask_quietly(gateway.port, person, token) == 200, "room for new connections"
        )


def ask_quietly(port, person, token):
    try:
        return ask(port, "GET", "/x", person, token).status
    except Exception:  # noqa: BLE001
        return None


def test_descriptors_that_run_out_do_not_spin_or_stop_it(world, person):
    """It goes on with what it has, and takes new ones when there is room."""
    import resource

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    routes = world.routes(workers=2)
    with world.gateway(routes, prepare=few_files) as gateway, contextlib.ExitStack() as open_ones:
        token = world.issuer.token(person)
        first = open_ones.enter_context(Connection(gateway.port))
        assert first.request("GET", "/x", person, token).status == 200
        crowd = [open_ones.enter_context(Connection(gateway.port)) for _ in range(100)]
        until(
            lambda: descriptors(gateway.pid) >= 40,
            "the descriptors to be taken",
        )
        assert first.request("GET", "/x", person, token).status in (200, 503)
        before = cpu_ticks(gateway.pid)
        threading.Event().wait(0.5)
        assert cpu_ticks(gateway.pid) - before < 30, "it spins"
        for connection in crowd:
            connection.close()
        until(lambda: ask_quietly(gateway.port, person, token) == 200, "service as before")


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_callers_who_connect_and_leave_cost_no_descriptor(world, gateway, person):
    token = world.issuer.token(person)
    assert ask(gateway.port, "GET", "/", person, token).status == 200
    before = descriptors(gateway.pid)
    for number in range(200):
        connection = Connection(gateway.port)
        if number % 2:
            connection.send(b"GET / HT")
        connection.reset() if number % 3 else connection.close()
    until(
        lambda: descriptors(gateway.pid) <= before + 4,
        "the descriptors to be given back",
    )


def test_a_half_closed_caller_is_taken_as_gone(world, gateway, person):
    """A caller that shuts its sending side down is taken as gone: end of stream while an answer
    was outstanding. Its request must not run on for nobody."""
    arrived, ended = threading.Event(), []

    @world.upstream.on("/half-closed")
    def behaviour(exchange):
        arrived.set()
        ended.append(exchange.wait_for_end(10))
        exchange.ended = True

    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/half-closed", person, world.issuer.token(person)))
        assert arrived.wait(10)
        connection.socket.shutdown(socket.SHUT_WR)
        until(lambda: ended, "the upstream call to be dropped")
    assert gateway.logged(path="/half-closed")["reason"] == "caller_gone"
