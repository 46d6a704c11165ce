"""Each limit of the routes file at its edge: what is just within is served, one byte more is not.

In the clear and over TLS; as a connection's first request, its second, and one that was sent right
behind another; in HTTP/1.1 and 1.0; with and without `Expect`.
"""

import pytest
from harness.client import request_bytes

LINE, HEAD, COUNT, BODY = 1024, 4096, 20, 16 * 1024


@pytest.fixture(scope="module")
def gateway(world):
    limits = {
        "requestLine": f"{LINE // 1024}KiB",
        "headers": f"{HEAD // 1024}KiB",
        "headerCount": COUNT,
        "body": f"{BODY // 1024}KiB",
    }
    open_route = world.route("/*", authenticate="none", exchange=None)
    world.upstream.promise.kinds |= {"/": "none"}
    listeners = [world.clear_listener, world.tls_listener]
    with world.gateway(world.routes(open_route, limits=limits, listeners=listeners)) as gateway:
        yield gateway


PLACES = pytest.mark.parametrize("place", ["first", "second", "pipelined"])
VERSIONS = pytest.mark.parametrize("version", ["1.1", "1.0"])


def put(connection, place, data):
    """Sends `data` at a place of the connection; its answer is the next one to read."""
    if place == "first":
        connection.send(data)
        return
    before = request_bytes("GET", "/before", fields=[("Connection", "keep-alive")])
    if place == "second":
        connection.send(before)
        assert connection.answer().status == 200
        connection.send(data)
        return
    connection.send(before + data)
    assert connection.answer().status == 200


def check(connection, over, status, reason):
    answer = connection.answer()
    if not over:
        assert answer.status == 200, answer
        return
    assert (answer.status, answer.problem) == (status, reason), answer
    assert answer.values("connection") == ["close"]
    assert connection.ended()


@PLACES
@VERSIONS
@pytest.mark.parametrize("over", [0, 1])
def test_the_request_line(connection, place, version, over):
    frame = len(f"GET / HTTP/{version}")
    target = "/" + "a" * (LINE - frame + over)
    put(connection, place, request_bytes("GET", target, version=version))
    check(connection, over, 414, "request_line_too_long")


@PLACES
@VERSIONS
@pytest.mark.parametrize("over", [0, 1])
def test_the_header_fields_bytes(connection, place, version, over):
    """All lines with their CRLFs, and the empty line behind them."""
    bare = request_bytes("GET", "/h", fields=[("X-Pad", "")], version=version)
    used = len(bare) - len(f"GET /h HTTP/{version}\r\n")
    fields = [("X-Pad", "p" * (HEAD - used + over))]
    put(connection, place, request_bytes("GET", "/h", fields=fields, version=version))
    check(connection, over, 431, "headers_too_large")


@PLACES
@VERSIONS
@pytest.mark.parametrize("over", [0, 1])
def test_the_number_of_header_fields(connection, place, version, over):
    fields = [("X-F", str(number)) for number in range(COUNT - 1 + over)]  # and Host
    put(connection, place, request_bytes("GET", "/c", fields=fields, version=version))
    check(connection, over, 431, "headers_too_large")


@PLACES
@VERSIONS
@pytest.mark.parametrize("over", [0, 1])
def test_a_body_of_known_length(connection, place, version, over):
    """Over the limit nothing of it is waited for."""
    fields = [("Content-Length", str(BODY + over))]
    head = request_bytes("POST", "/b", fields=fields, version=version)
    put(connection, place, head if over else head + b"b" * BODY)
    check(connection, over, 413, "body_too_large")


@PLACES
@pytest.mark.parametrize("pieces", [1, 16, 1024])
@pytest.mark.parametrize("over", [0, 1])
def test_a_body_in_chunks(connection, place, pieces, over):
    """Over the limit the last chunk is not waited for."""
    head = request_bytes("POST", "/chunks", fields=[("Transfer-Encoding", "chunked")])
    size = BODY // pieces
    body = b"%x\r\n%s\r\n" % (size, b"c" * size) * pieces
    put(connection, place, head + body + (b"1\r\nc\r\n" if over else b"0\r\n\r\n"))
    check(connection, over, 413, "body_too_large")


@PLACES
@pytest.mark.parametrize("over", [0, 1])
def test_a_body_whose_caller_waits_to_be_told(connection, place, over):
    """Over the limit there is no 100 before the 413."""
    fields = [("Content-Length", str(BODY + over)), ("Expect", "100-continue")]
    put(connection, place, request_bytes("POST", "/e", fields=fields))
    head = connection.head()
    if over:
        assert head.status == 413 and head.values("connection") == ["close"]
        return
    assert head.status == 100
    connection.send(b"e" * BODY)
    assert connection.answer().json()["size"] == BODY


@pytest.mark.parametrize("over", [0, 1])
def test_a_chunked_body_whose_caller_waits_to_be_told(connection, over):
    fields = [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]
    connection.send(request_bytes("POST", "/e", fields=fields))
    assert connection.head().status == 100
    body = b"%x\r\n%s\r\n" % (BODY, b"e" * BODY)
    connection.send(body + (b"1\r\nc\r\n" if over else b"0\r\n\r\n"))
    check(connection, over, 413, "body_too_large")


def test_the_limits_hold_however_the_bytes_arrive(connection):
    """A byte at a time the same edge is met."""
    frame = len("GET / HTTP/1.1")
    for over in (0, 1):
        target = "/" + "a" * (LINE - frame + over)
        data = request_bytes("GET", target)
        try:
            for index in range(len(data)):
                connection.send(data[index : index + 1])
        except OSError:
            assert over
        check(connection, over, 414, "request_line_too_long")
