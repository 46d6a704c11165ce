"""Answers as a broken or hostile service writes them, a row each.

They are passed on whole and understood, or not at all; and no byte of one is ever part of another
caller's answer. Behind every row another caller's request goes to the same service.
"""

import time
from email.utils import parsedate_to_datetime

import pytest
from harness.client import Broken, Connection, request_bytes
from harness.waiting import until

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"


@pytest.fixture(scope="module")
def gateway(world):
    public = {"authenticate": "none", "exchange": None}
    world.upstream.promise.kinds |= {"/": "none"}
    patient = world.route("/*", forward={"timeout": "5s", "idleTimeout": "2s"}, **public)
    with world.gateway(world.routes(patient, workers=1)) as gateway:
        yield gateway


def told(status_line=b"HTTP/1.1 200 OK", *lines, body=b"ok"):
    return status_line + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def length(value, body=b"hello"):
    return told(OK[:-2], b"Content-Length:" + value, body=body)


def coding(value, body=b"5\r\nhello\r\n0\r\n\r\n"):
    return told(OK[:-2], b"Transfer-Encoding:" + value, body=body)


TWO = b"Content-Length: 2"
NONSENSE = {
    # Framing
    "two equal lengths": told(OK[:-2], TWO, TWO),
    "a list of equal lengths": length(b" 2, 2", b"ok"),
    "a signed length": length(b" +5"),
    "a negative length": length(b" -5"),
    "an empty length": length(b""),
    "a length and a semicolon": length(b" 5;"),
    "a length beyond 64 bits": length(b" 18446744073709551621"),
    "a length in hexadecimal": length(b" 0x5"),
    "length then coding": told(OK[:-2], TWO, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "Content_Length": told(OK[:-2], TWO, b"Content_Length: 0"),
    "Transfer_Encoding": told(OK[:-2], TWO, b"Transfer_Encoding: chunked"),
    "coding twice": coding(b" chunked, chunked"),
    "coding in two fields": told(
        OK[:-2], b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "coding gzip, chunked": coding(b" gzip, chunked"),
    "coding with a parameter": coding(b" chunked;q=1"),
    "coding empty": coding(b""),
    "coding identity": coding(b" identity"),
    "coding behind a vertical tab": coding(b" \x0bchunked"),
    "coding in 1.0": coding(b" chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    # Status lines
    "status line empty": b"\r\n" + told(body=b""),
    "status line of HTTP/2": told(b"HTTP/2 200 OK", TWO),
    "status line of HTTP/1.2": told(b"HTTP/1.2 200 OK", TWO),
    "status line in small letters": told(b"http/1.1 200 OK", TWO),
    "status line with two spaces": told(b"HTTP/1.1  200 OK", TWO),
    "status line with a tab": told(b"HTTP/1.1\t200 OK", TWO),
    "status line behind a space": told(b" HTTP/1.1 200 OK", TWO),
    "status line of a radio": told(b"ICY 200 OK", TWO),
    "status with letters": told(b"HTTP/1.1 2OO OK", TWO),
    "status signed": told(b"HTTP/1.1 +20 OK", TWO),
    "status in bytes": told(b"HTTP/1.1 \xb2\xb0\xb0 OK", TWO),
    "status alone": told(b"HTTP/1.1 20", TWO),
    "a phrase with a NUL": told(b"HTTP/1.1 200 O\x00K", TWO),
    "a phrase with a CR": told(b"HTTP/1.1 200 O\rK", TWO),
    "a phrase that ends in LF": told(b"HTTP/1.1 200 OK\nX: y", TWO),
    # Lines
    "lines end in LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "one line ends in LF": told(OK[:-2], b"X: y\nZ: a", TWO),
    "the end is LF": OK + TWO + b"\r\n\nok",
    "a value with a NUL": told(OK[:-2], b"X: \x00", TWO),
    "a value with an escape": told(OK[:-2], b"X: \x1b[2J", TWO),
    "a value with a CR": told(OK[:-2], b"X: a\rSet-Cookie: b", TWO),
    "folded with a tab": told(OK[:-2], b"X: a", b"\tb", TWO),
    "folded at once": told(OK[:-2], b" X: a", TWO),
    "no colon": told(OK[:-2], b"nonsense", TWO),
    "no name": told(OK[:-2], b": x", TWO),
    "a name with a space": told(OK[:-2], b"X Y: x", TWO),
    "a name with bytes": told(OK[:-2], b"X\xe9: x", TWO),
    "a tab before a colon": told(OK[:-2], b"Content-Length\t: 2"),
    "a bad option of Connection": told(OK[:-2], b"Connection: close;", TWO),
    "too many fields": told(OK[:-2], *[b"X-%d: y" % n for n in range(400)], TWO),
    "a large field": told(OK[:-2], b"X: " + b"y" * 70_000, TWO),
    # Before the answer
    "switching, and a tunnel's bytes": told(
        b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x", b"Connection: Upgrade") + POISON,
    "switching without fields": told(b"HTTP/1.1 101 Go", body=b"") + POISON,
    "interim answers, too many": told(b"HTTP/1.1 103 Hints", body=b"") * 17 + POISON,
    "an interim answer with content": told(b"HTTP/1.1 102 Wait", TWO) + POISON,
    "an interim answer with a broken length": told(b"HTTP/1.1 102 Wait", TWO, TWO, body=b"")
    + POISON,
    "an interim answer in chunks": told(
        b"HTTP/1.1 103 Hints", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n") + POISON,
    "an interim answer, then nonsense": told(b"HTTP/1.1 103 Hints", body=b"") + b"nonsense\r\n\r\n",
}  # fmt: skip


def other(world, gateway):
    """Another caller's request, which must be answered by its own echo."""
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/other", None, None))
        answer = connection.answer()
        assert answer.status == 200 and answer.json()["target"] == "/other", answer
        assert answer.values("x-poison") == []
    return world.upstream.seen("/other")[-1]


@pytest.mark.parametrize("name", NONSENSE)
def test_an_answer_that_two_could_read_differently_is_none(world, gateway, name):
    world.upstream.on("/nonsense", lambda exchange: exchange.send(NONSENSE[name]))
    count = len(world.upstream.requests)
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/nonsense", None, None))
        answer = connection.answer()
        assert (answer.status, answer.problem) == (502, "upstream_failed"), answer
        assert answer.values("x-poison") == [] and b"poison" not in answer.body
        # It is the service that failed: the caller's connection is as good as before.
        connection.send(request_bytes("GET", "/next", None, None))
        assert connection.answer().json()["target"] == "/next"
    request = world.upstream.seen("/nonsense")[-1]
    assert other(world, gateway).connection != request.connection
    assert len(world.upstream.requests) == count + 3, "sent again, though an answer had come"


BROKEN = {
    "a length that does not come": length(b" 9"),
    "chunks without an end": CHUNKED + b"5\r\nhello\r\n",
    "chunks cut in a size": CHUNKED + b"5\r\nhello\r\n1",
    "chunks cut before the last line": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "chunks cut in a trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n",
    "chunk size signed": CHUNKED + b"5\r\nhello\r\n-1\r\nx\r\n0\r\n\r\n",
    "chunk size prefixed": CHUNKED + b"5\r\nhello\r\n0x1\r\nx\r\n0\r\n\r\n",
    "chunk size of 2^64": CHUNKED + b"5\r\nhello\r\n10000000000000000\r\nx\r\n0\r\n\r\n",
    "chunk size and a space": CHUNKED + b"5\r\nhello\r\n1 \r\nx\r\n0\r\n\r\n",
    "chunk longer than said": CHUNKED + b"5\r\nhello, more\r\n0\r\n\r\n",
    "chunk lines in LF": CHUNKED + b"5\r\nhello\n0\n\n",
    "chunk extension with a CR": CHUNKED + b"5\r\nhello\r\n1;\rx\r\ny\r\n0\r\n\r\n",
    "chunk extensions for ever": CHUNKED + b"5\r\nhello\r\n" + b"1;" + b"x" * 300 + b"\r\ny\r\n",
    "chunks, a folded trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
    "chunks, a broken trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    "chunks, trailers for ever": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 3_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_breaks_off_is_never_a_whole_one(world, gateway, name):
    def behaviour(exchange):
        exchange.send(BROKEN[name])
        exchange.close()

    world.upstream.on("/broken", behaviour)
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/broken", None, None))
        with pytest.raises((Broken, ConnectionResetError, ValueError)):
            answer = connection.answer()
            assert answer.status == 502, answer
            raise Broken("refused, which is as well")
    other(world, gateway)


# name: (method, what the service sends, status, content that the caller gets)
SURPLUS = {
    "an answer behind the answer": ("GET", length(b" 5") + POISON, 200, b"hello"),
    "a byte behind the answer": ("GET", length(b" 5") + b"x", 200, b"hello"),
    "a CRLF behind the answer": ("GET", length(b" 5") + b"\r\n", 200, b"hello"),
    "an answer behind the last chunk": (
        "GET", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + POISON, 200, b"hello"),
    "an answer behind nothing": ("GET", length(b" 0", b"") + POISON, 200, b""),
    "an interim answer behind the answer": (
        "GET", length(b" 5") + told(b"HTTP/1.1 100 Go", body=b""), 200, b"hello"),
    "a content of HEAD": ("HEAD", length(b" 5"), 200, b""),
    "an answer as the content of HEAD": (
        "HEAD", length(b" %d" % len(POISON), POISON), 200, b""),
    "chunks of HEAD": ("HEAD", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, b""),
    "a content of 204": ("GET", told(b"HTTP/1.1 204 No", TWO), 204, b""),
    "an answer as the content of 204": (
        "GET", told(b"HTTP/1.1 204 No", b"Content-Length: %d" % len(POISON), body=POISON),
        204, b""),
    "chunks of 204": (
        "GET", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        204, b""),
    "a content of 304": ("GET", told(b"HTTP/1.1 304 Same", TWO), 304, b""),
    "an answer as the content of 304": (
        "GET", told(b"HTTP/1.1 304 Same", b"Content-Length: %d" % len(POISON), body=POISON),
        304, b""),
    "a 204 that announces content and sends none": (
        "GET", told(b"HTTP/1.1 204 No", b"Content-Length: 99", body=b""), 204, b""),
    "a content of 205": ("GET", told(b"HTTP/1.1 205 Reset", TWO) + POISON, 205, b"ok"),
    "close": ("GET", told(OK[:-2], b"Connection: close", TWO) + POISON, 200, b"ok"),
    "close among others": (
        "GET", told(OK[:-2], b"Connection: keep-alive, X, CLOSE", TWO), 200, b"ok"),
    "HTTP/1.0": ("GET", told(b"HTTP/1.0 200 OK", TWO), 200, b"ok"),
}  # fmt: skip


@pytest.mark.parametrize("name", SURPLUS)
def test_what_comes_behind_an_answer_is_no_answer(world, gateway, name):
    """The connection is not used again, so nobody can be given it."""
    method, data, status, content = SURPLUS[name]
    world.upstream.on("/surplus", lambda exchange: exchange.send(data))
    with Connection(gateway.port) as connection:
        connection.send(request_bytes(method, "/surplus", None, None))
        answer = connection.answer(method)
        assert (answer.status, answer.body) == (status, content)
        assert answer.values("x-poison") == []
        if status == 204:
            assert answer.values("content-length") == answer.values("transfer-encoding") == []
        connection.send(request_bytes("GET", "/next", None, None))
        following = connection.answer()
        assert following.json()["target"] == "/next"
    request = world.upstream.seen("/surplus")[-1]
    assert request.connection != world.upstream.seen("/next")[-1].connection
    assert other(world, gateway).connection != request.connection


# name: (method, what the service sends, status, content)
WELL = {
    "a length": ("GET", length(b" 5"), 200, b"hello"),
    "a length with zeros": ("GET", length(b" 005"), 200, b"hello"),
    "chunks": ("GET", CHUNKED + b"5;x=y\r\nhello\r\n00\r\nX: y\r\n\r\n", 200, b"hello"),
    "no content of HEAD": ("HEAD", length(b" 5", b""), 200, b""),
    "no chunks of HEAD": ("HEAD", CHUNKED, 200, b""),
    "no content of 304": ("GET", told(b"HTTP/1.1 304 Same", TWO, body=b""), 304, b""),
    "204": ("GET", told(b"HTTP/1.1 204 No", body=b""), 204, b""),
    "204 of length 0": ("GET", told(b"HTTP/1.1 204 No", b"Content-Length: 0", body=b""), 204, b""),
    "no phrase": ("GET", told(b"HTTP/1.1 200 ", TWO), 200, b"ok"),
    "no phrase, no space": ("GET", told(b"HTTP/1.1 200", TWO), 200, b"ok"),
    "a phrase in bytes": ("GET", told(b"HTTP/1.1 200 \xc3\x89h", TWO), 200, b"ok"),
    "status 599": ("GET", told(b"HTTP/1.1 599 Hm", TWO), 599, b"ok"),
    "interim answers": (
        "GET", told(b"HTTP/1.1 102 Wait", body=b"") * 16 + length(b" 5"), 200, b"hello"),
    "a 100 that nobody waits for": (
        "GET", told(b"HTTP/1.1 100 Go", body=b"") + length(b" 5"), 200, b"hello"),
    "HTTP/1.0 that stays": (
        "GET", told(b"HTTP/1.0 200 OK", b"Connection: keep-alive", TWO), 200, b"ok"),
}  # fmt: skip


@pytest.mark.parametrize("name", WELL)
def test_an_answer_that_is_well_leaves_its_connection_to_the_next(world, gateway, name):
    method, data, status, content = WELL[name]
    world.upstream.on("/well", lambda exchange: exchange.send(data))
    with Connection(gateway.port) as connection:
        connection.send(request_bytes(method, "/well", None, None))
        answer = connection.answer(method)
        assert (answer.status, answer.body) == (status, content)
        assert len(answer.values("via")) == len(answer.values("date")) == 1
    request = world.upstream.seen("/well")[-1]
    assert other(world, gateway).connection == request.connection


@pytest.mark.parametrize("lines", [[], [b"Connection: Date", b"Date: yesterday"]])
def test_an_answer_without_a_date_gets_one(world, gateway, lines):
    """RFC 9110 §6.6.1."""
    world.upstream.on("/dateless", lambda exchange: exchange.send(told(OK[:-2], TWO, *lines)))
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/dateless", None, None))
        (date,) = connection.answer().values("date")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 100


def test_an_answers_own_date_is_passed_on(world, gateway):
    date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"
    world.upstream.on("/dated", lambda exchange: exchange.send(told(OK[:-2], TWO, date)))
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/dated", None, None))
        assert connection.answer().values("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_every_interim_answer_is_passed_on(world, gateway, status):
    """RFC 9110 §15.2: also a 100 that the caller did not wait for, but not to HTTP/1.0."""
    data = told(b"HTTP/1.1 %d So" % status, b"X-In: 1", body=b"") + length(b" 5")
    world.upstream.on("/interim", lambda exchange: exchange.send(data))
    for version, statuses in (("1.1", [status]), ("1.0", [])):
        with Connection(gateway.port) as connection:
            connection.send(request_bytes("GET", "/interim", None, None, version=version))
            answer = connection.answer()
            assert [interim.status for interim in answer.interim] == statuses
            assert answer.body == b"hello"


FORBIDDEN = [b"Content-Length", b"Transfer-Encoding", b"Set-Cookie", b"Set_Cookie", b"Location",
             b"Cache-Control", b"WWW-Authenticate", b"Connection", b"Via", b"Content-Type",
             b"Access-Control-Allow-Origin", b"Vary", b"Age", b"Retry-After"]  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_trailer_of_an_answer_never_says_what_matters(world, gateway, name):
    data = CHUNKED + b"5\r\nhello\r\n0\r\n" + name + b": 5\r\nX-Sum: 1\r\n\r\n"
    world.upstream.on("/trailers", lambda exchange: exchange.send(data))
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/trailers", None, None))
        answer = connection.answer()
        assert (answer.body, answer.trailers) == (b"hello", [("X-Sum", "1")])


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(world, gateway):
    """It comes while the connection idles, after an answer that was whole."""
    world.upstream.on("/quiet", lambda exchange: exchange.answer(200, b"quiet"))
    for _ in range(5):
        with Connection(gateway.port) as connection:
            connection.send(request_bytes("GET", "/quiet", None, None))
            assert connection.answer().body == b"quiet"
        request = world.upstream.seen("/quiet")[-1]
        stream = world.upstream.open[request.connection]
        stream.socket.sendall(POISON)
        number = request.connection
        until(lambda: number not in world.upstream.open, "the poisoned connection to be closed")
        assert other(world, gateway).connection != number


@pytest.mark.parametrize("off", [-3, -2, -1, 0, 1, 2, 3])
@pytest.mark.parametrize("edge", [16 << 10, 32 << 10, 64 << 10])
def test_heads_and_contents_that_end_at_a_buffers_edge_end_there(world, gateway, edge, off):
    head = OK + b"Content-Length: 5\r\nX-Pad: "
    full = head + b"p" * (edge + off - len(head) - 4) + b"\r\n\r\n"
    rest = OK + b"Content-Length: %d\r\n\r\n" % (edge + off - 50)
    for data, size in ((full + b"hello", 5), (rest + b"b" * (edge + off - 50), edge + off - 50)):
        world.upstream.on("/edge", lambda exchange, data=data: exchange.send(data))
        with Connection(gateway.port) as connection:
            connection.send(request_bytes("GET", "/edge", None, None))
            answer = connection.answer()
            if len(full) > 64 << 10 and size == 5:
                assert answer.status == 502
            else:
                assert (answer.status, len(answer.body)) == (200, size)
            connection.send(request_bytes("GET", "/next", None, None))
            assert connection.answer().json()["target"] == "/next"
