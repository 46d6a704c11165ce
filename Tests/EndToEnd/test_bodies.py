"""Bodies of requests and answers: framing, streaming, backpressure, trailers, Expect."""

import hashlib
import threading

import pytest
from harness.client import Broken, Connection, request_bytes
from harness.program import status_of
from harness.waiting import until

MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"), world.route("/big/*", limits={"body": "1GiB"}), workers=1
    )
    with world.gateway(routes) as gateway:
        yield gateway


def chunked(*pieces, trailers=b""):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n" + trailers + b"\r\n"


def send_chunked(connection, target, person, token, body, fields=()):
    fields = [("Transfer-Encoding", "chunked"), *fields]
    connection.send(request_bytes("POST", target, person, token, fields))
    connection.send(body)
    return connection.answer("POST")


@pytest.mark.parametrize("size", [0, 1, 1023, 16384, 65536, 100_001, 3 * MIB])
def test_a_body_of_known_length_arrives_whole(world, gateway, person, size):
    body = hashlib.sha256(person.encode()).digest() * (size // 32 + 1)
    body = body[:size]
    answer = world.ask(gateway, "POST", "/sized", person, body=body).json()
    assert (answer["size"], answer["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert world.upstream.seen("/sized", person)[0].length == size


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"abc", b"d" * 70000, b"e"], [b"xy"] * 500])
def test_a_chunked_body_arrives_whole(world, gateway, person, pieces):
    token, whole = world.issuer.token(person), b"".join(pieces)
    with world.connect(gateway) as connection:
        for _ in range(2):
            answer = send_chunked(connection, "/chunks", person, token, chunked(*pieces))
            seen = answer.json()
            assert seen["size"] == len(whole)
            assert seen["sha256"] == hashlib.sha256(whole).hexdigest()


def test_a_chunked_body_may_come_byte_by_byte(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        fields = [("Transfer-Encoding", "chunked")]
        connection.send(request_bytes("POST", "/slow-chunks", person, token, fields))
        for byte in chunked(b"hello", b"w" * 20):
            connection.send(bytes([byte]))
        assert connection.answer("POST").json()["size"] == 25


def test_chunk_extensions_are_dropped(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        body = b'5;name=value;other="quoted"\r\nhello\r\n0;last\r\n\r\n'
        answer = send_chunked(connection, "/extended", person, token, body)
    assert answer.json()["size"] == 5


def test_a_get_may_have_a_body(world, gateway, person):
    assert world.ask(gateway, "GET", "/get", person, body=b"query").json()["size"] == 5


def test_a_post_without_a_body_says_so(world, gateway, person):
    answer = world.ask(gateway, "POST", "/empty", person)
    assert answer.json()["size"] == 0


def test_trailers_of_a_request_go_on_and_forbidden_ones_do_not(world, gateway, person):
    token = world.issuer.token(person)
    trailers = (
        b"X-Checksum: abc\r\nAuthorization: Bearer evil\r\nContent-Length: 7\r\nHost: evil\r\n"
        b"X-Request-Id: evil\r\nX-Forwarded-For: 6.6.6.6\r\nTransfer-Encoding: chunked\r\n"
    )
    with world.connect(gateway) as connection:
        fields = [("Trailer", "X-Checksum")]
        body = chunked(b"data", trailers=trailers)
        answer = send_chunked(connection, "/trailers", person, token, body, fields)
    names = {name.lower() for name, _ in answer.json()["trailers"]}
    assert "x-checksum" in names
    assert names <= {"x-checksum"}


def test_trailers_of_an_answer_are_passed_on(world, gateway, person):
    world.upstream.on("/answer-trailers", lambda exchange: exchange.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + chunked(b"body", trailers=b"X-Sum: 42\r\nContent-Length: 9\r\n")
    ))  # fmt: skip
    answer = world.ask(gateway, "GET", "/answer-trailers", person, fields=[("TE", "trailers")])
    assert answer.body == b"body"
    assert ("X-Sum", "42") in answer.trailers
    assert all(name.lower() != "content-length" for name, _ in answer.trailers)


def test_an_answer_of_many_megabytes_arrives_whole(world, gateway, person):
    block = bytes(range(256)) * 4096

    @world.upstream.on("/large")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (20 * len(block)))
        for _ in range(20):
            exchange.send(block)

    answer = world.ask(gateway, "GET", "/large", person)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(block * 20).digest()


def test_both_directions_stream_at_once(world, gateway, person):
    """Each piece of the body is answered before the next is sent: nothing is held back."""

    @world.upstream.on("/conversation")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in exchange.pieces():
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece.upper()))
        exchange.send(b"0\r\n\r\n")

    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        fields = [("Transfer-Encoding", "chunked")]
        connection.send(request_bytes("POST", "/conversation", person, token, fields))
        assert connection.head().status == 200
        for word in (b"one", b"two", b"three"):
            connection.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert int(connection.line(), 16) == len(word)
            assert connection.exactly(len(word)) == word.upper()
            assert connection.exactly(2) == b"\r\n"
        connection.send(b"0\r\n\r\n")
        assert connection.line() == b"0"


@pytest.mark.plain_build("its memory is measured")
def test_a_slow_upstream_holds_an_upload_up(world, gateway, person):
    """Backpressure: what the upstream does not take stays with the caller."""
    reading = threading.Event()

    @world.upstream.on("/big/slow")
    def behaviour(exchange):
        reading.wait(30)
        for _ in exchange.pieces():
            pass
        exchange.answer(200, str(exchange.request.body_size).encode())

    size = 256 * MIB
    before = status_of(gateway.pid, "VmRSS")
    with world.connect(gateway) as connection:
        head = request_bytes(
            "POST", "/big/slow", person, world.issuer.token(person),
            [("Content-Length", str(size))],
        )  # fmt: skip
        connection.send(head)
        sent = [0]

        def upload():
            block = bytes(MIB)
            while sent[0] < size:
                connection.send(block)
                sent[0] += MIB

        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        last = [-1]

        def stalled():
            now, last[0] = last[0], sent[0]
            return now == sent[0] and sent[0] > 0

        until(stalled, "the upload to stall", 20, pause=0.3)
        assert sent[0] < 64 * MIB
        assert status_of(gateway.pid, "VmRSS") - before < 8 * 1024
        reading.set()
        thread.join(60)
        assert connection.answer("POST").body == str(size).encode()
    assert status_of(gateway.pid, "VmRSS") - before < 8 * 1024


@pytest.mark.plain_build("its memory is measured")
def test_a_slow_caller_holds_a_download_up(world, gateway, person):
    sent, size = [0], 256 * MIB

    @world.upstream.on("/slow-reader")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(MIB)
        while sent[0] < size:
            exchange.send(block)
            sent[0] += MIB

    before = status_of(gateway.pid, "VmRSS")
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/slow-reader", person, token))
        assert connection.head().status == 200
        last = [-1]

        def stalled():
            now, last[0] = last[0], sent[0]
            return now == sent[0] and sent[0] > 0

        until(stalled, "the download to stall", 20, pause=0.3)
        assert sent[0] < 64 * MIB
        assert status_of(gateway.pid, "VmRSS") - before < 8 * 1024
        got = len(connection.pending)
        connection.pending = b""
        buffer = bytearray(MIB)
        while got < size:
            count = connection.socket.recv_into(buffer)
            assert count, f"ended after {got}"
            got += count
    assert got == size
    assert status_of(gateway.pid, "VmRSS") - before < 8 * 1024


# -- Expect: 100-continue


def test_a_caller_is_told_to_continue(world, gateway, person):
    with world.connect(gateway) as connection:
        fields = [("Expect", "100-continue"), ("Content-Length", "4")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/continue", person, token, fields))
        assert connection.head().status == 100
        connection.send(b"body")
        assert connection.answer("POST").json()["size"] == 4


def test_a_refused_request_is_not_told_to_continue(world, gateway, person):
    with world.connect(gateway) as connection:
        fields = [("Expect", "100-continue"), ("Content-Length", "1000000")]
        connection.send(request_bytes("POST", "/continue", person, None, fields))
        answer = connection.answer("POST")
        assert (answer.status, answer.interim) == (401, [])
    assert world.upstream.seen(person=person) == []


def test_an_upstreams_refusal_reaches_a_caller_who_waits_to_continue(world, gateway, person):
    @world.upstream.on("/no-thanks")
    def behaviour(exchange):
        exchange.answer(409, b"no", [("Connection", "close")], "Conflict")
        exchange.close()

    with world.connect(gateway) as connection:
        fields = [("Expect", "100-continue"), ("Content-Length", "1000")]
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/no-thanks", person, token, fields))
        answer = connection.answer("POST")
        assert (answer.status, answer.body) == (409, b"no")


def test_a_body_that_is_sent_without_waiting_is_taken(world, gateway, person):
    with world.connect(gateway) as connection:
        fields = [("Expect", "100-continue")]
        token = world.issuer.token(person)
        answer = connection.request("POST", "/hasty", person, token, fields, body=b"at once")
        assert answer.json()["size"] == 7
        assert connection.request("GET", "/after", person, token).status == 200


def test_another_expectation_fails(world, gateway, person):
    answer = world.ask(gateway, "GET", "/", person, fields=[("Expect", "a-miracle")])
    assert (answer.status, answer.problem) == (417, "expectation_failed")


# -- bodies that break off


def test_an_upload_that_breaks_off_is_not_passed_on_as_whole(world, gateway, person):
    arrived, result = threading.Event(), []

    @world.upstream.on("/broken-upload")
    def behaviour(exchange):
        try:
            for _ in exchange.pieces():
                arrived.set()
            result.append("whole")
        except (EOFError, OSError):
            result.append("broken")
            raise

    for fields, start in (
        ([("Content-Length", "100")], b"only this"),
        ([("Transfer-Encoding", "chunked")], b"9\r\nonly this\r\n"),
    ):
        arrived.clear()
        with world.connect(gateway) as connection:
            token = world.issuer.token(person)
            connection.send(request_bytes("POST", "/broken-upload", person, token, fields))
            connection.send(start)
            assert arrived.wait(10)
        until(lambda: result, "the upstream to see the end")
        assert result.pop() == "broken"


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_an_answer_that_breaks_off_is_not_passed_on_as_whole(world, gateway, person, framing):
    @world.upstream.on("/broken-answer")
    def behaviour(exchange):
        start = b"only this" if b"Length" in framing else b"9\r\nonly this\r\n"
        exchange.send(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (framing, start))
        exchange.close()

    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/broken-answer", person, token))
        with pytest.raises((Broken, ConnectionResetError)):
            connection.answer()
    record = gateway.logged(path="/broken-answer", aborted="upstream")
    assert record["status"] == 200


def test_an_early_answer_to_an_upload_is_delivered(world, gateway, person):
    @world.upstream.on("/early")
    def behaviour(exchange):
        exchange.answer(403, b"enough", [("Connection", "close")], "Forbidden")
        exchange.close()

    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        fields = [("Content-Length", str(5 * MIB))]
        connection.send(request_bytes("POST", "/early", person, token, fields))
        connection.send(b"x" * 1000)
        answer = connection.answer("POST")
        assert (answer.status, answer.body) == (403, b"enough")


def test_the_connection_is_sane_after_an_early_refusal(world, gateway, person):
    """A refused request's body is read away, or the connection closed: never taken as a request."""
    smuggled = request_bytes("GET", "/smuggled", person, world.issuer.token(person))
    with Connection(gateway.port) as connection:
        answer = connection.request("POST", "/refused", person, None, body=smuggled)
        assert answer.status == 401
        if not connection.ended(0.5):
            assert connection.request("GET", "/x", person, None).status == 401
    assert world.upstream.seen("/smuggled") == []
