"""Requests as an attacker writes them, a row each: refused, or what reached the upstream.

Behind every row a second request follows on the same connection. It is answered where the row left
no doubt about its end, and the connection is closed where it did.
"""

import dataclasses

import pytest
from harness.client import Broken, Connection, request_bytes
from harness.waiting import until

BUFFER = 32 * 1024
POST = b"POST /raw HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /raw HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FIVE = b"5\r\nhello\r\n0\r\n\r\n"
# What a service reads where the gateway's reading and its own differ.
INNER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(world):
    public = {"authenticate": "none", "exchange": None}
    world.upstream.promise.kinds |= {"/raw": "none", "/behind": "none", "/": "none"}
    routes = world.routes(
        world.route("/*", **public),
        world.route("/preserved/*", forward={"host": "preserve"}, **public),
        world.route("/deep/admin/*", match={"methods": ["DELETE"]}, **public),
        workers=1,
    )
    with world.gateway(routes) as gateway:
        yield gateway


def get(target, host=b"localhost", more=b"", version=b"1.1", method=b"GET"):
    host = b"" if host is None else b"Host: " + host + b"\r\n"
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + host + more + b"\r\n"


def coded(coding, body=FIVE):
    return POST + b"Transfer-Encoding:" + coding + b"\r\n\r\n" + body


def sized(length, body=b"hello"):
    return POST + b"Content-Length:" + length + b"\r\n\r\n" + body


# name: (bytes, statuses)
REFUSED = {
    # Transfer codings
    "te parameter": (coded(b" chunked;q=1"), {400}),
    "te empty parameter": (coded(b" chunked;"), {400}),
    "te empty element before": (coded(b" , chunked"), {400}),
    "te empty element behind": (coded(b" chunked,"), {400}),
    "te quoted": (coded(b' "chunked"'), {400}),
    "te two words": (coded(b" chunked chunked"), {400}),
    "te cut word": (coded(b" chun ked"), {400}),
    "te empty": (coded(b""), {400}),
    "te other": (coded(b" identity, chunked"), {501}),
    "te two fields": (
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + FIVE, {400}),
    "te chunked then length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + FIVE, {400}),
    "te named by connection, with length": (
        POST + b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n" + FIVE, {400}),
    "te in 1.0": (
        b"POST /raw HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
        + FIVE, {400}),
    "te underscore": (POST + b"Transfer_Encoding: chunked\r\n\r\n" + FIVE, {400}),
    "te tab before colon": (POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + FIVE, {400}),
    "te obs-fold": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + FIVE, {400}),
    "te obs-text": (coded(b" chunked\xa0"), {400}),
    "te form feed": (coded(b"\x0cchunked"), {400}),
    "te NUL": (coded(b" chunked\x00"), {400}),
    "te xchunked": (coded(b" xchunked"), {501}),
    "te chunked twice, in fields": (
        POST + b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n" + FIVE, {400}),
    # Lengths
    "cl float": (sized(b" 5.0"), {400}),
    "cl exponent": (sized(b" 5e0"), {400}),
    "cl underscore": (sized(b" 1_0"), {400}),
    "cl wide digits": (sized(b" \xef\xbc\x95"), {400}),
    "cl beyond 64 bits": (sized(b" 18446744073709551621"), {400}),
    "cl below 64 bits": (sized(b" 9223372036854775808"), {400}),
    "cl semicolon": (sized(b" 5;"), {400}),
    "cl list with empty": (sized(b" 5,"), {400}),
    "cl quoted": (sized(b' "5"'), {400}),
    "cl two, other case": (
        POST + b"Content-Length: 5\r\ncontent-length: 0\r\n\r\nhello", {400}),
    "cl and Content_Length": (
        POST + b"Content-Length: 5\r\nContent_Length: 0\r\n\r\nhello", {400}),
    "cl named by connection, twice": (
        POST + b"Connection: content-length\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        {400}),
    "cl too large": (sized(b" 899999999999999999"), {413}),
    # Lines
    "LF before the request line": (b"\n" + get(b"/raw"), {400}),
    "two empty lines": (b"\r\n\r\n" + get(b"/raw"), {400}),
    "CR before the request line": (b"\r" + get(b"/raw"), {400}),
    "a tab in the request line": (b"GET\t/raw HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "NUL in the method": (b"GE\x00T /raw HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "version with a suffix": (b"GET /raw HTTP/1.1x\r\nHost: localhost\r\n\r\n", {400}),
    "version in obs-text": (b"GET /raw HTTP/1.\xb1\r\nHost: localhost\r\n\r\n", {400}),
    "HTTP/0.9 with a head": (b"GET /raw\r\nHost: localhost\r\n\r\n", {400}),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
    "CONNECT": (get(b"inner:22", method=b"CONNECT"), {501}),
    "CONNECT with a path": (get(b"/raw", method=b"CONNECT"), {501}),
    "CONNECT with a length": (
        get(b"inner:22", method=b"CONNECT", more=b"Content-Length: 43\r\n") + INNER, {501}),
    # Names and values
    "name empty": (GET + b":x\r\n\r\n", {400}),
    "name with a parenthesis": (GET + b"X(): y\r\n\r\n", {400}),
    "name with a slash": (GET + b"X/Y: y\r\n\r\n", {400}),
    "name with a NUL": (GET + b"X\x00: y\r\n\r\n", {400}),
    "name with DEL": (GET + b"X\x7f: y\r\n\r\n", {400}),
    "name behind a tab": (GET + b"\tX: y\r\n\r\n", {400}),
    "CR CR LF": (GET + b"X: y\r\r\n\r\n", {400}),
    "CR at a value's end": (GET + b"X: y\r \r\n\r\n", {400}),
    "vertical tab in a value": (GET + b"X: a\x0bb\r\n\r\n", {400}),
    "escape in a value": (GET + b"X: \x1b[2J\r\n\r\n", {400}),
    "LF in the middle of the end": (GET + b"X: y\r\n\n" + INNER, {400}),
    "connection with a bad option": (GET + b"Connection: close; x\r\n\r\n", {400}),
    "connection with a quote": (GET + b'Connection: "close"\r\n\r\n', {400}),
    # Host
    "host empty": (get(b"/raw", b""), {400}),
    "host dot": (get(b"/raw", b"."), {400}),
    "host two dots": (get(b"/raw", b"localhost.."), {400}),
    "host dot in front": (get(b"/raw", b".localhost"), {400}),
    "host port 0": (get(b"/raw", b"localhost:0"), {400}),
    "host port with zero": (get(b"/raw", b"localhost:080"), {400}),
    "host colon": (get(b"/raw", b"localhost:"), {400}),
    "host two ports": (get(b"/raw", b"localhost:80:80"), {400}),
    "host port signed": (get(b"/raw", b"localhost:+80"), {400}),
    "host escaped": (get(b"/raw", b"local%68ost"), {400}),
    "host NUL escaped": (get(b"/raw", b"localhost%00"), {400}),
    "host IDN bytes": (get(b"/raw", b"l\xc3\xb6calhost"), {400}),
    "host IPv4 short": (get(b"/raw", b"127.1"), {400}),
    "host IPv4 octal": (get(b"/raw", b"0177.0.0.1"), {400}),
    "host IPv4 hexadecimal": (get(b"/raw", b"0x7f.0.0.1"), {400}),
    "host IPv4 hexadecimal last": (get(b"/raw", b"127.0.0.0x1"), {400}),
    "host IPv4 a number": (get(b"/raw", b"2130706433"), {400}),
    "host IPv4 five parts": (get(b"/raw", b"1.2.3.4.5"), {400}),
    "host IPv6 open": (get(b"/raw", b"[::1"), {400}),
    "host IPv6 without brackets": (get(b"/raw", b"::1"), {400}),
    "host IPv6 colon": (get(b"/raw", b"[::1]:"), {400}),
    "host IPv6 more": (get(b"/raw", b"[::1]x"), {400}),
    "host IPv6 zone": (get(b"/raw", b"[fe80::1%eth0]"), {400}),
    "host IPv6 zone escaped": (get(b"/raw", b"[fe80::1%25eth0]"), {400}),
    "host IPv4 in brackets": (get(b"/raw", b"[127.0.0.1]"), {400}),
    "host IPvFuture": (get(b"/raw", b"[v1.x]"), {400}),
    "host two, second folded": (GET + b"X: y\r\n Host: evil\r\n\r\n", {400}),
    "host two, one in 1.0": (
        b"GET /raw HTTP/1.0\r\nHost: localhost\r\nHost: evil\r\n\r\n", {400}),
    # Targets
    "absolute, another port": (get(b"http://localhost:81/raw"), {400}),
    "absolute, another host": (get(b"http://evil/raw"), {400}),
    "absolute, no host": (get(b"http:///raw"), {400}),
    "absolute, one slash": (get(b"http:/localhost/raw"), {400}),
    "absolute, another scheme": (get(b"ftp://localhost/raw"), {400}),
    "absolute, a script": (get(b"javascript:alert(1)"), {400}),
    "absolute, backslash in the authority": (get(b"http://localhost\\@evil/raw"), {400}),
    "absolute, userinfo": (get(b"http://localhost@evil/raw", b"evil"), {400}),
    "absolute, empty port": (get(b"http://localhost:/raw"), {400}),
    "absolute, fragment": (get(b"http://localhost#/raw"), {400}),
    "absolute, no path but dots": (get(b"http://localhost/../raw"), {400}),
    "asterisk for POST": (get(b"*", method=b"POST"), {400}),
    "asterisk and more": (get(b"*/raw", method=b"OPTIONS"), {400}),
    "only a query": (get(b"?x=/raw"), {400}),
    # What https needs and a connection in the clear does not give (RFC 9110 §7.4)
    "absolute, https in the clear": (get(b"https://localhost/raw"), {421}),
    "absolute, HTTPS in the clear": (get(b"HTTPS://LOCALHOST:443/raw"), {421}),
    # Paths
    "path climbs": (get(b"/raw/../../etc"), {400}),
    "path climbs escaped": (get(b"/%2e%2e/etc"), {400}),
    "path climbs half escaped": (get(b"/.%2E/etc"), {400}),
    "path climbs twice escaped": (get(b"/raw/%252e%252e/x"), {400}),
    "path climbs thrice escaped": (get(b"/raw/%25252e%25252e/x"), {400}),
    "path escaped slash": (get(b"/deep%2fadmin/x"), {400}),
    "path twice escaped slash": (get(b"/deep%252fadmin/x"), {400}),
    "path escaped backslash": (get(b"/deep%5cadmin/x"), {400}),
    "path backslash": (get(b"/deep\\admin/x"), {400}),
    "path overlong slash": (get(b"/deep%c0%afadmin"), {400}),
    "path overlong dot": (get(b"/raw/%c0%ae%c0%ae/x"), {400}),
    "path overlong in three": (get(b"/deep%e0%80%afadmin"), {400}),
    "path overlong in four": (get(b"/deep%f0%80%80%afadmin"), {400}),
    "path NUL": (get(b"/raw%00.html"), {400}),
    "path line feed": (get(b"/raw%0aX:%20y"), {400}),
    "path C1": (get(b"/raw%c2%85"), {400}),
    "path dots and a parameter": (get(b"/raw/..;/deep/admin"), {400}),
    "path dots and an escaped parameter": (get(b"/raw/..%3b/deep/admin"), {400}),
    "path dots and an escaped slash": (get(b"/raw/..%2fdeep/admin"), {400}),
    "path parameter": (get(b"/deep;x/admin"), {400}),
    "path parameter of a dot": (get(b"/raw/.;/x"), {400}),
    "path dots behind nothing": (get(b"/raw//../deep"), {400}),
    "path IIS": (get(b"/raw/%u002e%u002e/x"), {400}),
    "path half an escape": (get(b"/raw/%2"), {400}),
    "path hash": (get(b"/raw#/../x"), {400}),
    "path without a slash": (get(b"raw"), {400}),
    "absolute, path escaped slash": (get(b"http://localhost/deep%2fadmin"), {400}),
    # Expectations
    "expect another": (get(b"/raw", more=b"Expect: 200-ok\r\n"), {417}),
    "expect a list": (get(b"/raw", more=b"Expect: 100-continue, x\r\n"), {417}),
    "expect twice": (
        get(b"/raw", more=b"Expect: 100-continue\r\nExpect: x\r\nContent-Length: 0\r\n"), {417}),
    "expect quoted": (get(b"/raw", more=b'Expect: "100-continue"\r\n'), {417}),
    # Chunks, before anything of them goes on
    "chunk 17 digits": (CHUNKED + b"1" + b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk of 2^63": (CHUNKED + b"8000000000000000\r\nhello", {400}),
    "chunk space behind": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", {400}),
    "chunk tab behind": (CHUNKED + b"5\t\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk space before its extension": (CHUNKED + b"5 ;a=b\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk comma": (CHUNKED + b"5,5\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk CR CR LF": (CHUNKED + b"5\r\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk LF in its extension": (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk LF ends its extension": (CHUNKED + b"5;a\nhello\r\n0\r\n\r\n", {400}),
    "chunk NUL in its extension": (CHUNKED + b"5;a\x00\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk long extension": (
        CHUNKED + b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk zeros for ever": (CHUNKED + b"0" * 300 + b"5\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk empty size": (CHUNKED + b";a\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk empty line": (CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n", {400}),
}  # fmt: skip


# name: (bytes, target that arrives, body that arrives)
FORWARDED = {
    "te in capitals": (coded(b" CHUNKED"), "/raw", b"hello"),
    "te between blanks": (coded(b" \t chunked \t "), "/raw", b"hello"),
    "te without a blank": (coded(b"chunked"), "/raw", b"hello"),
    "te named by connection": (
        POST + b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + FIVE,
        "/raw", b"hello"),
    "cl with zeros": (sized(b" 0005"), "/raw", b"hello"),
    "cl between blanks": (sized(b"\t5 \t"), "/raw", b"hello"),
    "cl named by connection": (
        POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
        "/raw", b"hello"),
    "cl of a GET that is a request": (
        GET + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER, "/raw", INNER),
    "chunks of a GET that are a request": (
        GET + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(INNER) + INNER
        + b"\r\n0\r\n\r\n", "/raw", INNER),
    "chunk in capitals and zeros": (
        CHUNKED + b"000000000000000000A\r\n0123456789\r\n000\r\n\r\n", "/raw", b"0123456789"),
    "chunk extensions": (
        CHUNKED + b'5;a=b;c="d e";f\r\nhello\r\n0;last\r\n\r\n', "/raw", b"hello"),
    "an empty line before": (b"\r\n" + get(b"/raw"), "/raw", b""),
    "a method in small letters": (get(b"/raw", method=b"get"), "/raw", b""),
    "a long method": (get(b"/raw", method=b"X" * 100), "/raw", b""),
    "host in capitals": (get(b"/raw", b"LOCALHOST"), "/raw", b""),
    "host with a dot": (get(b"/raw", b"localhost."), "/raw", b""),
    "host with a port": (get(b"/raw", b"localhost:80"), "/raw", b""),
    "host IPv6": (get(b"/raw", b"[::1]:8080"), "/raw", b""),
    "host IPv4 in IPv6": (get(b"/raw", b"[::ffff:127.0.0.1]"), "/raw", b""),
    "host underscore": (get(b"/raw", b"local_host"), "/raw", b""),
    "absolute": (get(b"http://localhost/raw"), "/raw", b""),
    "absolute in capitals": (get(b"HTTP://LOCALHOST:80/raw"), "/raw", b""),
    "absolute without a path": (get(b"http://localhost"), "/", b""),
    "absolute with a query only": (get(b"http://localhost?x=/../y"), "/?x=/../y", b""),
    "two slashes in front": (get(b"//localhost/raw"), "/localhost/raw", b""),
    "dots inside": (get(b"/a/./b/%2e%2E/../raw/%7e"), "/raw/~", b""),
    "three dots": (get(b"/raw/.../x"), "/raw/.../x", b""),
    "a colon that is no scheme": (get(b"/http://evil/"), "/http:/evil/", b""),
    "a percent sign": (get(b"/raw/100%25"), "/raw/100%25", b""),
    "a query of slashes": (get(b"/raw?%2F..%2F;//\\"), "/raw?%2F..%2F;//\\", b""),
    "two question marks": (get(b"/raw??"), "/raw??", b""),
    "a value of nothing": (GET + b"X:\r\nY: \t \r\n\r\n", "/raw", b""),
    "a value of bytes": (GET + b"X: \x80\xff\r\n\r\n", "/raw", b""),
    "websocket, and bytes ahead": (
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "/raw", b""),
    "h2c": (
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
        b"AAQAAP__\r\n\r\n", "/raw", b""),
}  # fmt: skip


@dataclasses.dataclass
class Seen:
    """What the upstream had seen before a row."""

    upstream: object
    count: int

    def since(self):
        return self.upstream.requests[self.count :]


@pytest.fixture
def seen(world):
    return Seen(world.upstream, len(world.upstream.requests))


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_could_read_differently_is_refused_and_nothing_of_it_sent(gateway, seen, name):
    data, statuses = REFUSED[name]
    with Connection(gateway.port) as connection:
        connection.send(data + get(b"/behind"))
        answer = connection.answer("POST")
        assert answer.status in statuses, answer
        assert answer.problem
        goes_on = answer.status in (417, 421)
        if goes_on and answer.values("connection") != ["close"]:
            assert connection.answer().json()["target"] == "/behind"
        else:
            assert answer.values("connection") == ["close"]
            assert connection.ended(), "the connection goes on after what was not understood"
    # The head of chunked content goes on before the content is seen; never all of it.
    chunked = name.startswith("chunk ")
    if chunked:
        # Read by then, and not by the next test for one of its own.
        until(seen.since, "the head to be read")
    arrived = [(request.target, request.whole) for request in seen.since()]
    assert all(chunked and not whole or target == "/behind" for target, whole in arrived)


SINGLE = ("host", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "via")
NEVER = ("connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection",
         "http2-settings", "transfer_encoding", "content_length", "forwarded")  # fmt: skip


@pytest.mark.parametrize("name", FORWARDED)
def test_what_goes_on_is_written_anew_and_the_next_request_is_the_next(gateway, seen, name):
    data, target, body = FORWARDED[name]
    with Connection(gateway.port) as connection:
        connection.send(data + get(b"/behind"))
        first = connection.answer()
        assert (first.status, first.json()["target"]) == (200, target)
        assert connection.answer().json()["target"] == "/behind"
        assert connection.pending == b""
    request, behind = seen.since()
    assert (request.target, request.body, behind.target) == (target, body, "/behind")
    for field in SINGLE:
        assert len(request.values(field)) == 1, field
    for field in NEVER:
        assert request.values(field) == [], field
    assert request.values("host") == [f"127.0.0.1:{seen.upstream.port}"]


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_row_in_pieces_is_judged_as_in_one(gateway, seen, cut):
    """Every row that goes on, cut into pieces of a few bytes; the buffers never end where lines do.
    """
    for name, (data, target, _) in FORWARDED.items():
        with Connection(gateway.port) as connection:
            for start in range(0, len(data), cut * 7):
                connection.send(data[start : start + cut * 7])
            assert connection.answer().json()["target"] == target, name
    assert [r.target for r in seen.since()] == [row[1] for row in FORWARDED.values()]


FIELDS = [
    # sent, and the values that arrive under each name
    (b"X_Forwarded_For: 6.6.6.6\r\n", {"x_forwarded_for": [], "x-forwarded-for": ["127.0.0.1"]}),
    (b"X-Forwarded_For: 6.6.6.6\r\n", {"x-forwarded_for": []}),
    (b"X_Request_ID: forged\r\n", {"x_request_id": []}),
    (b"X-Request-Id: forged\r\nx_request-id: forged\r\n", {"x_request-id": []}),
    (b"X_Forwarded_Whatever: 1\r\n", {"x_forwarded_whatever": []}),
    (b"X-Forwarded-Client-Cert: 1\r\n", {"x-forwarded-client-cert": []}),
    (b"Forwarded: for=6.6.6.6\r\n", {"forwarded": []}),
    (b"X_Own: 1\r\nX-Own: 2\r\n", {"x_own": ["1"], "x-own": ["2"]}),
    (b"Authorization: Bearer x\r\n", {"authorization": []}),
    (b"Authorization: Bearer x\r\nAuthorization: Basic y\r\n", {"authorization": []}),
    (b"Connection: x-own, host\r\nX-Own: 1\r\n", {"x-own": []}),
    (b"Connection: x-forwarded-for, x-request-id, via\r\n", {"x-forwarded-for": ["127.0.0.1"]}),
    (b"Connection: X_Own\r\nX_Own: 1\r\nX-Own: 2\r\n", {"x_own": [], "x-own": ["2"]}),
    (b"Keep_Alive: 1\r\nProxy_Authorization: x\r\n", {"keep_alive": [], "proxy_authorization": []}),
    (b"Via: 1.0 before\r\n", {"via": ["1.0 before", "1.1 tollgate"]}),
    (b"Expect: 100-continue\r\n", {"expect": []}),
    (b"Max-Forwards: 0\r\n", {"max-forwards": ["0"]}),
]


@pytest.mark.parametrize("sent, arrives", FIELDS, ids=[sent[:24].decode() for sent, _ in FIELDS])
def test_a_caller_cannot_say_what_the_gateway_says(gateway, seen, sent, arrives):
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw", more=sent))
        assert connection.answer().status == 200
    (request,) = seen.since()
    for name, values in arrives.items():
        assert request.values(name) == values, name
    assert len(request.values("host")) == 1 and len(request.values("x-request-id")) == 1
    assert "forged" not in str(request.fields)


MAX_FORWARDS = [
    # sent with OPTIONS, the answer's status, and what arrives (RFC 9110 §7.6.2)
    (b"Max-Forwards: 0\r\n", 204, None),
    (b"Max-Forwards: 000\r\n", 204, None),
    (b"Max-Forwards: 1\r\n", 200, ["0"]),
    (b"Max-Forwards: 10\r\n", 200, ["9"]),
    (b"Max-Forwards: 9223372036854775807\r\n", 200, ["9223372036854775806"]),
    (b"Max-Forwards: 9223372036854775808\r\n", 400, None),
    (b"Max-Forwards: 1\r\nMax-Forwards: 0\r\n", 400, None),
    (b"Max-Forwards: -1\r\n", 400, None),
    (b"Max-Forwards: 1, 0\r\n", 400, None),
    (b"Max-Forwards:\r\n", 400, None),
    (b"Max_Forwards: 0\r\n", 200, []),
    (b"Connection: max-forwards\r\nMax-Forwards: 1\r\n", 200, ["0"]),
]


@pytest.mark.parametrize(
    "sent, status, arrives", MAX_FORWARDS, ids=[sent[:40].decode() for sent, _, _ in MAX_FORWARDS]
)
def test_an_options_request_is_counted_down(gateway, seen, sent, status, arrives):
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw", method=b"OPTIONS", more=sent))
        answer = connection.answer()
        assert answer.status == status, answer
        if status == 204:
            assert "GET" in answer.value("allow")
    assert [request.values("max-forwards") for request in seen.since()] == (
        [] if arrives is None else [arrives]
    )


TRAILERS = [b"Host", b"Content-Length", b"Transfer-Encoding", b"Authorization", b"Cookie",
            b"X-Forwarded-For", b"X_Forwarded_For", b"X-Request-Id", b"x_request_id", b"Via",
            b"Connection", b"Forwarded", b"Expect", b"If-Match", b"Range", b"Content-Type",
            b"Content-Encoding", b"Cache-Control", b"TE", b"Trailer", b"Upgrade", b"X-Real-IP",
            b"Max-Forwards", b"Proxy-Authorization", b"Set-Cookie"]  # fmt: skip


@pytest.mark.parametrize("name", TRAILERS)
def test_a_trailer_never_says_what_matters(gateway, seen, name):
    with Connection(gateway.port) as connection:
        trailer = name + b": 5\r\nX-Sum: 1\r\n"
        connection.send(CHUNKED + b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n" + get(b"/behind"))
        assert connection.answer().status == 200
        assert connection.answer().json()["target"] == "/behind"
    request, _ = seen.since()
    assert request.trailers == [("X-Sum", "1")]
    assert len(request.values("host")) == 1


@pytest.mark.parametrize("lines", [b"X: a\r\n b\r\n", b"no colon\r\n", b": x\r\n", b"X : y\r\n",
                                   b"X: a\x00\r\n", b"X: a\nY: b\r\n", b"X: a\rb\r\n"])  # fmt: skip
def test_a_broken_trailer_ends_the_connection(gateway, seen, lines):
    with Connection(gateway.port) as connection:
        connection.send(CHUNKED + b"5\r\nhello\r\n0\r\n" + lines + b"\r\n" + get(b"/behind"))
        assert connection.answer().status == 400
        assert connection.ended()
    assert not [request for request in seen.since() if request.whole]


# Where heads and contents end, against the buffers that they are read into.


def padded(size, target=b"/raw", more=b""):
    bare = len(get(target, more=b"X-Pad: \r\n" + more))
    return get(target, more=b"X-Pad: " + b"p" * (size - bare) + b"\r\n" + more)


@pytest.mark.parametrize("edge", [BUFFER // 2, BUFFER])
@pytest.mark.parametrize("off", [-5, -4, -3, -2, -1, 0, 1, 2, 3])
def test_heads_that_end_at_a_buffers_edge_are_read_as_others(gateway, seen, edge, off):
    first = padded(edge + off)
    second = padded(300, b"/second")
    with Connection(gateway.port) as connection:
        connection.send(first + second + get(b"/behind"))
        for target in ("/raw", "/second", "/behind"):
            assert connection.answer().json()["target"] == target
    assert [request.target for request in seen.since()] == ["/raw", "/second", "/behind"]


@pytest.mark.parametrize("off", [-3, -2, -1, 0, 1, 2])
@pytest.mark.parametrize("size", [900, 4096, 16_000])
def test_pipelined_heads_that_straddle_the_buffer_are_whole(gateway, seen, size, off):
    count = 3 * BUFFER // size
    heads = b"".join(
        padded(size + (off if number == 0 else 0), b"/raw/%d" % number) for number in range(count)
    )
    with Connection(gateway.port) as connection:
        connection.send(heads)
        for number in range(count):
            assert connection.answer().json()["target"] == f"/raw/{number}"
    assert len(seen.since()) == count


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("off", [-20, -10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2])
def test_contents_that_end_at_a_buffers_edge_end_there(gateway, seen, off, chunked):
    framing = b"Transfer-Encoding: chunked\r\n"
    for edge in (BUFFER, 2 * BUFFER):
        head = POST + framing + b"\r\n"
        length = edge + off - len(head)
        if chunked:
            length -= len(b"%x\r\n\r\n0\r\n\r\n" % length)
            data = head + b"%x\r\n" % length + b"b" * length + b"\r\n0\r\n\r\n"
        else:
            framing = b"Content-Length: %d\r\n" % length
            data = POST + framing + b"\r\n" + b"b" * length
        with Connection(gateway.port) as connection:
            connection.send(data + get(b"/behind"))
            assert connection.answer("POST").json()["size"] == length
            assert connection.answer().json()["target"] == "/behind"


def test_chunks_of_every_small_size_come_through(gateway, seen):
    content = bytes(range(256)) * 40
    parts, start, size = [], 0, 1
    while start < len(content):
        part = content[start : start + size]
        parts.append(b"%x;%s\r\n%s\r\n" % (len(part), b"e" * (size % 7), part))
        start, size = start + size, size + 1
    with Connection(gateway.port) as connection:
        connection.send(CHUNKED + b"".join(parts) + b"0\r\n\r\n" + get(b"/behind"))
        assert connection.answer("POST").status == 200
        assert connection.answer().json()["target"] == "/behind"
    assert seen.since()[0].body == content


# What one gateway got wrong and mended, by its names (Pingora, CVE-2026-2833, -2835, -2836).


def count_of(seen, answers):
    """As many requests arrived as answers came of the upstream's making."""
    until(lambda: len(seen.since()) >= answers, "the requests to arrive")
    assert len(seen.since()) == answers
    return seen.since()


def test_upgrade_body_after_101(gateway, seen):
    """Bytes sent ahead of a 101 are no tunnel's: they are requests, and held to the rules."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw", more=upgrade) + get(b"/deep/admin/x") + get(b"/behind"))
        assert connection.answer().json()["target"] == "/raw"
        assert connection.answer().status == 405
        assert connection.answer().json()["target"] == "/behind"
    for request in count_of(seen, 2):
        assert request.values("upgrade") == request.values("connection") == []


def test_upgrade_with_a_body_keeps_its_framing(gateway, seen):
    upgrade = b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: %d\r\n" % len(INNER)
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw", more=upgrade) + INNER + get(b"/behind"))
        assert connection.answer().json()["size"] == len(INNER)
        assert connection.answer().json()["target"] == "/behind"
    count_of(seen, 2)


def test_te_and_cl_disables_keepalive(gateway, seen):
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw"))
        assert connection.answer().status == 200
        both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.send(POST + both + b"0\r\n\r\n" + INNER + get(b"/behind"))
        assert connection.answer().status == 400
        assert connection.ended()
    count_of(seen, 1)


@pytest.mark.parametrize("length", [b"-1", b"+5", b"5, 5", b"0x5", b"", b"99999999999999999999"])
def test_a_request_of_invalid_length_is_refused_on_a_used_connection(gateway, seen, length):
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw"))
        assert connection.answer().status == 200
        connection.send(POST + b"Content-Length: " + length + b"\r\n\r\n" + INNER + INNER)
        assert connection.answer().status == 400
        assert connection.ended()
    count_of(seen, 1)


def test_a_close_delimited_request_is_refused(gateway, seen):
    """HTTP/1.0 with chunks, which some read until the end of the connection."""
    with Connection(gateway.port) as connection:
        connection.send(b"POST /raw HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + INNER)
        first = connection.answer()
        assert (first.status, first.json()["size"]) == (200, 0)
        assert connection.answer().json()["target"] == "/smuggled"
    with Connection(gateway.port) as connection:
        connection.send(b"POST /raw HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n" + INNER)
        assert connection.answer().status == 400
        assert connection.ended()
    # Without framing there is no content (RFC 9112 §6.3): what follows is a request of its own.
    assert [r.target for r in count_of(seen, 2)] == ["/raw", "/smuggled"]


@pytest.mark.parametrize("body", [b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n"], ids=["some", "none"])
def test_reuse_with_preread_body_overread(world, gateway, seen, body):
    """What was read beyond a content is the next request, once."""
    with Connection(gateway.port) as connection:
        for _ in range(3):
            connection.send(CHUNKED + body + get(b"/behind") + CHUNKED + body)
            assert connection.answer("POST").status == 200
            assert connection.answer().json()["target"] == "/behind"
            assert connection.answer("POST").status == 200
    assert len({request.connection for request in count_of(seen, 9)}) == 1


def test_reuse_with_chunked_body_overread(gateway, seen):
    """An upstream that answers before the content has come gets no other request behind it."""
    seen.upstream.on("/early", lambda exchange: exchange.answer(200, b"early"))
    with Connection(gateway.port) as connection:
        connection.send(b"POST /early HTTP/1.1\r\nHost: localhost\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")  # fmt: skip
        answer = connection.answer("POST")
        assert (answer.status, answer.body) == (200, b"early")
        assert answer.values("connection") == ["close"]
        connection.send(b"0\r\n\r\n" + get(b"/behind"))
        assert connection.ended()
    with Connection(gateway.port) as connection:
        connection.send(get(b"/raw"))
        assert connection.answer().status == 200
    early, later = count_of(seen, 2)
    assert early.connection != later.connection


def test_a_flood_of_rows_leaves_the_gateway_as_it_was(world, gateway):
    """All rows at once, each on a connection of its own that nobody reads."""
    connections = []
    for data, _ in REFUSED.values():
        connection = Connection(gateway.port)
        connection.send(data)
        connections.append(connection)
    for connection in connections:
        try:
            connection.answer("POST")
        except (Broken, ConnectionError):
            pass
        connection.close()
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/raw", None, None))
        assert connection.answer().status == 200
