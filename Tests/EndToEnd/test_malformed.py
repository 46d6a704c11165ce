"""Requests that are not HTTP or could be read in two ways: 400, closed, and nothing sent on."""

import pytest
from harness.client import Connection

GET = b"GET /evil HTTP/1.1\r\n"
POST = b"POST /evil HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes(world.route("/*"))) as gateway:
        yield gateway


def with_token(world, person, data):
    """The bytes with a good token and the person's name after the Host line."""
    token = world.issuer.token(person)
    extra = f"X-Test-Person: {person}\r\nAuthorization: Bearer {token}\r\n".encode()
    return data.replace(HOST, HOST + extra, 1)


MALFORMED = {
    "two lengths": POST + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": POST + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + HOST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": POST + HOST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + HOST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + HOST + b"Content-Length: 0x5\r\n\r\nhello",
    "an empty length": POST + HOST + b"Content-Length: \r\n\r\n",
    "a length too large": POST + HOST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "a length with a space": POST + HOST + b"Content-Length: 5 5\r\n\r\nhello",
    "both framings": POST + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "both framings, other order": POST + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKS,
    "chunked twice": POST + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    "chunked in two fields": POST + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked not last": POST + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "chunked in HTTP/1.0": b"POST /evil HTTP/1.0\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked after a vertical tab": POST + HOST
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS,
    "a space before a colon": POST + HOST + b"Content-Length : 5\r\n\r\nhello",
    "a tab before a colon": POST + HOST + b"Transfer-Encoding\t: chunked\r\n\r\n" + CHUNKS,
    "a folded field": GET + HOST + b"X-Folded: a\r\n b\r\n\r\n",
    "a folded first field": GET + b" X: y\r\n" + HOST + b"\r\n",
    "no colon": GET + HOST + b"nonsense\r\n\r\n",
    "an empty field name": GET + HOST + b": value\r\n\r\n",
    "a field name with a space": GET + HOST + b"X Y: z\r\n\r\n",
    "a field name with a quote": GET + HOST + b'X"Y: z\r\n\r\n',
    "a field name with bytes": GET + HOST + b"X\xff: z\r\n\r\n",
    "a NUL in a value": GET + HOST + b"X: a\x00b\r\n\r\n",
    "a bare CR in a value": GET + HOST + b"X: a\rb\r\n\r\n",
    "a bare LF after a field": GET + HOST + b"X: a\nY: b\r\n\r\n",
    "a bare LF after the request line": b"GET /evil HTTP/1.1\n" + HOST + b"\r\n",
    "an end of bare LFs": b"GET /evil HTTP/1.1\r\n" + HOST + b"\n\n",
    "a control character in a value": GET + HOST + b"X: a\x01b\r\n\r\n",
    "a delete character in a value": GET + HOST + b"X: a\x7fb\r\n\r\n",
    "no host": b"GET /evil HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": GET + HOST + b"Host: other\r\n\r\n",
    "two equal hosts": GET + HOST + b"Host: localhost\r\n\r\n",
    "a host with a path": GET + b"Host: localhost/evil\r\n\r\n",
    "a host with a user": GET + b"Host: user@localhost\r\n\r\n",
    "a host with a space": GET + b"Host: local host\r\n\r\n",
    "a host with a bad port": GET + b"Host: localhost:http\r\n\r\n",
    "a host with a huge port": GET + b"Host: localhost:99999\r\n\r\n",
    "a host with a comma": GET + b"Host: a, b\r\n\r\n",
    "an absolute target that disagrees": b"GET http://other/evil HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute target with a user": b"GET http://u@localhost/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target without a slash": b"GET evil HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a fragment": b"GET /evil#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with bytes": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a NUL": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a tab": b"GET /\tevil HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces": b"GET  /evil HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space at the end": b"GET /evil HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a fourth word": b"GET /evil HTTP/1.1 more\r\n" + HOST + b"\r\n",
    "no version": b"GET /evil\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /evil\r\n",
    "a version in small letters": b"GET /evil http/1.1\r\n" + HOST + b"\r\n",
    "a version without a dot": b"GET /evil HTTP/11\r\n" + HOST + b"\r\n",
    "a version of two digits": b"GET /evil HTTP/1.10\r\n" + HOST + b"\r\n",
    "a method with a bracket": b"G(T /evil HTTP/1.1\r\n" + HOST + b"\r\n",
    "no method": b" /evil HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_its_connection_closed(world, gateway, person, name):
    before = len(world.upstream.requests)
    with Connection(gateway.port) as connection:
        connection.send(with_token(world, person, MALFORMED[name]) + INNER)
        answer = connection.answer()
        assert answer.status in (400, 501, 505), answer
        if answer.status == 400:
            assert answer.problem == "malformed_request"
        assert connection.ended(), "the connection goes on after what could not be understood"
    assert len(world.upstream.requests) == before
    assert world.ask(gateway, "GET", "/alive", person).status == 200


@pytest.mark.parametrize(
    "line, status, reason",
    [
        (b"GET / HTTP/2.0", 505, "version_unsupported"),
        (b"GET / HTTP/3.0", 505, "version_unsupported"),
        (b"GET / HTTP/0.9", 505, "version_unsupported"),
        (b"CONNECT a:443 HTTP/1.1", 501, "not_implemented"),
    ],
)
def test_what_is_http_but_not_ours_is_told_so(gateway, line, status, reason):
    with Connection(gateway.port) as connection:
        connection.send(line + b"\r\nHost: localhost\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.problem) == (status, reason)


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity", "xchunked", "chunkedx"])
def test_an_unknown_transfer_coding_is_not_implemented(world, gateway, person, coding):
    data = POST + HOST + f"Transfer-Encoding: {coding}\r\n\r\n".encode() + CHUNKS
    with Connection(gateway.port) as connection:
        connection.send(with_token(world, person, data))
        answer = connection.answer()
        assert answer.status in (501, 400)
        assert answer.problem in ("not_implemented", "malformed_request")
        assert connection.ended()


def test_the_preface_of_http_2_in_the_clear_is_refused(gateway):
    with Connection(gateway.port) as connection:
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        assert connection.answer().status in (400, 505)
        assert connection.ended()


BAD_CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no number": b"g\r\nhello\r\n0\r\n\r\n",
    "a signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "an overflowing size": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a huge size": b"fffffffffffffff0\r\nhello",
    "no end of a chunk": b"5\r\nhelloX\r\n0\r\n\r\n",
    "a longer chunk than told": b"3\r\nhello\r\n0\r\n\r\n",
    "a bare LF after a size": b"5\nhello\r\n0\r\n\r\n",
    "a bare LF after a chunk": b"5\r\nhello\n0\r\n\r\n",
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an endless extension": b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X-T: y\r\n" * 20_000 + b"\r\n",
    "a broken trailer": b"0\r\nno colon\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_broken_chunks_end_the_request_and_the_connection(world, gateway, person, name):
    data = with_token(world, person, POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    with Connection(gateway.port) as connection:
        try:
            connection.send(data + BAD_CHUNKS[name] + INNER)
            answer = connection.answer()
            assert answer.status in (400, 413, 431), answer
        except (ConnectionError, OSError):
            pass
        assert b"200" not in connection.rest()[:20]
    assert all(not request.whole for request in world.upstream.seen("/evil", person))
    assert world.upstream.seen("/smuggled") == []


def test_a_refused_body_is_never_read_as_a_request(world, gateway, person):
    """Whatever is refused, the bytes behind it that may be its body start no request."""
    for head in (
        POST + HOST + b"Content-Length: 3\r\nContent-Length: %d\r\n\r\n" % len(INNER),
        POST + HOST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\n",
        b"POST /nowhere%00 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n",
    ):
        with Connection(gateway.port) as connection:
            connection.send(with_token(world, person, head) + with_token(world, person, INNER))
            said = connection.rest()
        assert said.count(b"HTTP/1.1 200") == 0
    assert world.upstream.seen("/smuggled") == []


def test_a_field_with_an_underscore_does_not_pass_for_its_twin(world, gateway, person):
    data = POST + HOST + b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n"
    with Connection(gateway.port) as connection:
        connection.send(with_token(world, person, data))
        answer = connection.answer()
        if answer.status == 200:
            assert answer.json()["size"] == 0
            assert not [n for n, _ in answer.json()["fields"] if "_" in n and "ncoding" in n]
