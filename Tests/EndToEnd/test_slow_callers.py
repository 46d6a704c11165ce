"""Callers who are slow, who stop, who don't read, or who leave: each ends at its own deadline, and
nobody else notices."""

import contextlib
import os
import socket
import threading
import time

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import status_of
from harness.waiting import until

MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/read/*", forward={"idleTimeout": "1s"}),
        world.route("/impatient/*", forward={"timeout": "2s"}),
        limits={"headerTimeout": "700ms", "bodyTimeout": "700ms", "idleTimeout": "1500ms"},
        listeners=[world.clear_listener, world.tls_listener],
    )
    with world.gateway(routes) as gateway:
        yield gateway


def timed_out(connection):
    answer = connection.answer()
    assert (answer.status, answer.problem) == (408, "request_timeout"), answer
    assert answer.values("connection") == ["close"]
    assert connection.ended()


@contextlib.contextmanager
def dripping(connection, data, pause=0.05):
    """Sends `data` a byte at a time, and its last byte again and again, until the end."""
    stop = threading.Event()
    connection.share()

    def drip():
        with contextlib.suppress(OSError):
            for byte in data:
                connection.send(bytes([byte]))
                if stop.wait(pause):
                    return
            while not stop.wait(pause):
                connection.send(data[-1:])

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# -- slow heads


@pytest.mark.parametrize("place", ["first", "second", "behind another"])
def test_a_head_in_one_byte_writes_is_told_and_closed(world, connection, person, place):
    """RELIABILITY 19: the deadline is for the whole head, wherever it stands."""
    before = request_bytes("GET", "/x", person, world.issuer.token(person))
    start = b"GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaaaaaaaaaaa"
    if place == "second":
        connection.send(before)
        assert connection.answer().status == 200
    if place == "behind another":
        connection.send(before + start[:9])
        start = start[9:]
        assert connection.answer().status == 200
    # A byte that comes after the end makes the kernel reset the connection; the 408 has come by
    # then.
    with dripping(connection, start):
        answer = connection.answer()
    assert (answer.status, answer.problem) == (408, "request_timeout")


def test_a_head_that_stops_is_told_and_closed(connection):
    connection.send(b"GET / HTTP/1.1\r\nHo")
    timed_out(connection)


def test_a_slow_head_of_http_1_0_is_told_and_closed(connection):
    connection.send(b"GET / HTTP/1.0\r\n")
    timed_out(connection)


def test_empty_lines_in_front_of_a_head_buy_no_time(connection):
    connection.send(b"\r\n")
    timed_out(connection)


# -- slow content


@pytest.mark.parametrize(
    "content",
    [b"", b"4", b"4\r\nab", b"4\r\nabcd", b"4;ext=", b"0\r\n", b"0\r\nX-Trailer: a",
     b"5\r\nabcde\r\n"],
    ids=["none", "size", "chunk", "chunk end", "extension", "last", "trailer", "between"],
)  # fmt: skip
def test_chunks_that_stop_are_told_and_closed(world, connection, person, content):
    fields = [("Transfer-Encoding", "chunked")]
    head = request_bytes("POST", "/stops", person, world.issuer.token(person), fields)
    connection.send(head + content)
    timed_out(connection)


def test_content_that_stops_behind_a_100_is_told_and_closed(world, connection, person):
    fields = [("Content-Length", "10"), ("Expect", "100-continue")]
    connection.send(request_bytes("POST", "/stops", person, world.issuer.token(person), fields))
    assert connection.head().status == 100
    connection.send(b"part")
    timed_out(connection)


def test_content_of_http_1_0_that_stops_is_told_and_closed(world, connection, person):
    fields = [("Content-Length", "10")]
    token = world.issuer.token(person)
    connection.send(request_bytes("POST", "/stops", person, token, fields, version="1.0") + b"p")
    timed_out(connection)


def test_a_refused_caller_who_stops_in_its_content_is_not_waited_for_long(connection):
    """It was told at once; its content is dropped for as long as a pause may be, then it ends."""
    connection.send(request_bytes("POST", "/x", fields=[("Content-Length", "1000")]) + b"part")
    assert connection.answer().status == 401
    assert connection.ended(10)


# -- slow reading


@pytest.mark.parametrize("with_tls", [False, True], ids=["clear", "tls"])
def test_a_caller_who_stops_reading_is_cut_and_holds_nothing(world, gateway, person, with_tls):
    """RELIABILITY 22: 50 MB; the server's sending stops, memory stays, the deadline cuts both."""
    path, sent, ended = f"/read/stops-{with_tls}", [0], threading.Event()

    @world.upstream.on(path)
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (50 * MIB))
        try:
            while sent[0] < 50 * MIB:
                exchange.send(bytes(MIB // 4))
                sent[0] += MIB // 4
        except OSError:
            ended.set()
            raise

    before = status_of(gateway.pid, "VmRSS")
    listener, tls = ("tls", world.tls) if with_tls else ("clear", None)
    with Connection(gateway.ports[listener], tls) as connection:
        connection.send(request_bytes("GET", path, person, world.issuer.token(person)))
        assert connection.head().status == 200
        assert ended.wait(20), "the server's connection to be closed"
        assert sent[0] < 40 * MIB
        if "TOLLGATE_SANITIZER" not in os.environ:  # it keeps what was freed for a while
            assert status_of(gateway.pid, "VmRSS") - before < 2 * 1024
        with pytest.raises(Exception):  # noqa: B017  Reset, or an end where there is none.
            connection.exactly(50 * MIB)
    record = gateway.logged(path=path)
    assert (record["aborted"], record["reason"]) == ("client", "request_timeout")


def test_a_caller_who_reads_slowly_and_steadily_is_served(world, gateway, person):
    """It takes 400 KB a second. The kernel would tell of that only every few seconds, with what it
    holds by default, and the gateway would take a caller for stopped who never stopped."""

    @world.upstream.on("/read/slowly")
    def behaviour(exchange):
        exchange.answer(200, bytes(8 * MIB))

    pause = threading.Event()
    with world.connect(gateway) as connection:
        # Else its own side takes megabytes and is silent for as long itself.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.send(request_bytes("GET", "/read/slowly", person, world.issuer.token(person)))
        head = connection.head()
        got, size = len(connection.pending), int(head.value("content-length"))
        began = time.monotonic()
        while got < size:
            is_slow = time.monotonic() - began < 4
            count = len(connection.socket.recv(20_000 if is_slow else MIB))
            assert count, f"cut after {got}"
            got += count
            if is_slow:
                pause.wait(0.05)
    assert got == size == 8 * MIB


def test_a_caller_who_reads_none_of_its_refusals_is_cut(world, gateway):
    """It sends on and on, and its answers fill what the kernel holds: then it has its deadline."""
    with Connection(gateway.port) as connection:
        connection.socket.setblocking(False)
        block = request_bytes("GET", "/refused") * 200

        def is_cut():
            try:
                while True:
                    connection.socket.send(block)
            except BlockingIOError:
                return False
            except OSError:
                return True

        until(is_cut, "the end", 20)


# -- many requests ahead


def test_a_thousand_requests_sent_ahead_are_answered_in_order(world, gateway, person):
    """RELIABILITY 24: and what the gateway holds of them is bounded."""
    token = world.issuer.token(person)
    before = status_of(gateway.pid, "VmRSS")
    with world.connect(gateway) as connection:
        data = b"".join(
            request_bytes("GET", f"/ahead?n={number}", person, token) for number in range(1000)
        )
        thread = threading.Thread(target=connection.send, args=(data,))
        thread.start()
        targets = [connection.answer().json()["target"] for _ in range(1000)]
        thread.join()
    assert targets == [f"/ahead?n={number}" for number in range(1000)]
    if "TOLLGATE_SANITIZER" not in os.environ:  # it keeps what was freed for a while
        assert status_of(gateway.pid, "VmRSS") - before < 2 * 1024


# -- Expect


def test_a_server_that_stays_silent_costs_a_waiting_caller_a_second_and_no_more(
    world, gateway, person
):
    """RELIABILITY 25: the gateway says 100 itself then; and the server's own deadline holds."""
    release = threading.Event()

    @world.upstream.on("/impatient/silent")
    def behaviour(exchange):
        release.wait(20)
        exchange.ended = True

    with world.connect(gateway) as connection:
        fields = [("Content-Length", "4"), ("Expect", "100-continue")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/impatient/silent", person, token, fields))
        assert connection.head().status == 100
        connection.send(b"body")
        answer = connection.answer()
        release.set()
        assert (answer.status, answer.problem) == (504, "upstream_timeout")


@pytest.mark.parametrize("status", [200, 401, 417, 500])
def test_a_server_that_answers_at_once_to_a_waiting_caller_is_heard(
    world, gateway, person, status
):
    """RELIABILITY 25: no 100 before it; the connection closes, the content never came."""

    @world.upstream.on(f"/at-once-{status}")
    def behaviour(exchange):
        exchange.answer(status, b"no need", reason="Whatever")
        exchange.wait_for_end(10)
        exchange.ended = True

    with world.connect(gateway) as connection:
        fields = [("Content-Length", "1000"), ("Expect", "100-continue")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", f"/at-once-{status}", person, token, fields))
        answer = connection.answer()
        assert (answer.status, answer.body, answer.interim) == (status, b"no need", [])
        assert answer.values("connection") == ["close"]
        assert connection.ended()


# -- an answer before the content has ended


def test_an_answer_that_comes_while_content_is_sent_is_delivered_then_it_closes(
    world, gateway, connection, person
):
    """RELIABILITY 26: the caller goes on sending, megabytes, and still reads the whole answer."""

    @world.upstream.on("/enough")
    def behaviour(exchange):
        next(exchange.pieces())
        exchange.answer(403, b"enough" * 1000, reason="Forbidden")
        exchange.wait_for_end(10)
        exchange.ended = True

    fields = [("Content-Length", str(9 * MIB))]
    connection.send(request_bytes("POST", "/enough", person, world.issuer.token(person), fields))
    connection.share()
    sender = threading.Thread(target=send_quietly, args=(connection, bytes(9 * MIB)))
    sender.start()
    answer = connection.answer()
    assert (answer.status, answer.body) == (403, b"enough" * 1000)
    assert answer.values("connection") == ["close"]
    sender.join(30)
    assert connection.ended()


def send_quietly(connection, data):
    with contextlib.suppress(OSError):
        connection.send(data)


# -- callers who leave


@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_caller_who_leaves_an_upload_ends_the_servers_connection(
    world, gateway, person, by_reset, chunked
):
    """RELIABILITY 23."""
    path, ended = f"/left-upload-{by_reset}-{chunked}", []
    arrived = threading.Event()

    @world.upstream.on(path)
    def behaviour(exchange):
        try:
            for _ in exchange.pieces():
                arrived.set()
            ended.append("whole")
        except (EOFError, OSError):
            ended.append("broken")
            raise

    connection = Connection(gateway.port)
    field = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100000")
    connection.send(request_bytes("POST", path, person, world.issuer.token(person), [field]))
    connection.send(b"5\r\nstart\r\n")
    assert arrived.wait(10)
    connection.reset() if by_reset else connection.close()
    until(lambda: ended, "the server to see the end")
    assert ended == ["broken"]
    record = gateway.logged(path=path)
    assert (record["status"], record["aborted"]) == (499, "client")


def test_callers_who_leave_during_an_exchange_do_not_disturb_those_who_stay(
    world, gateway, person
):
    """RELIABILITY 23: of twenty who wait for one call, the first and every second one leave."""
    gate, token = world.tokens.held(), world.issuer.token(person)
    connections = [Connection(gateway.port) for _ in range(20)]
    for number, connection in enumerate(connections):
        connection.send(request_bytes("GET", f"/stay-{number}", person, token))
        if number == 0:
            assert world.tokens.wait_for_calls(1) == 1
    for connection in connections[::4]:
        connection.reset()
    for connection in connections[2::4]:
        connection.close()
    for number in range(0, 20, 2):
        assert gateway.logged(path=f"/stay-{number}")["reason"] == "caller_gone"
    gate.set()
    for connection in connections[1::2]:
        assert connection.answer().status == 200
        connection.close()
    assert len(world.tokens.calls_for(token)) == 1
    for number in range(0, 20, 2):
        assert world.upstream.seen(f"/stay-{number}") == []
    assert ask(gateway.port, "GET", "/after", person, token).status == 200
