"""Requests and answers forwarded over HTTP/1.1: what goes on, what is dropped, what is added."""

import re
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.waiting import until


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/preserved/*", forward={"host": "preserve"}),
        world.route("/literal/*", forward={"host": "inner.example"}),
        world.route("/fixed", exchange=None, forward=None, authenticate="none")
        | {"respond": {"status": 203, "headers": {"X-Fixed": "yes"}, "body": "fixed"}},
        workers=1,
    )
    with world.gateway(routes) as gateway:
        yield gateway


def test_a_request_and_its_answer_go_through_unchanged(world, gateway, person):
    @world.upstream.on("/through")
    def behaviour(exchange):
        exchange.read_body()
        exchange.answer(
            201, b"made", [("X-One", "1"), ("X-One", "2"), ("Set-Cookie", "a=b")], "Made Well"
        )

    answer = world.ask(gateway, "POST", "/through?a=b&c=%20d", person, body=b"some body")
    assert (answer.status, answer.body) == (201, b"made")
    assert answer.values("x-one") == ["1", "2"]
    assert answer.values("set-cookie") == ["a=b"]
    request = world.upstream.seen("/through", person)[0]
    assert (request.method, request.target) == ("POST", "/through?a=b&c=%20d")
    assert request.body == b"some body"


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-OWN"]
)
def test_every_method_is_forwarded(world, gateway, person, method):
    answer = world.ask(gateway, method, "/methods", person)
    assert answer.status == 200
    assert answer.json()["method"] == method


def test_a_method_is_told_by_its_case(world, gateway, person):
    assert world.ask(gateway, "get", "/methods", person).json()["method"] == "get"


def test_head_is_answered_without_a_body(world, gateway, person):
    world.upstream.on("/head", lambda exchange: exchange.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-Here: yes\r\n\r\n"
    ))  # fmt: skip
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        for _ in range(2):
            answer = connection.request("HEAD", "/head", person, token)
            assert answer.value("content-length") == "12345"
            assert answer.value("x-here") == "yes"
            assert connection.pending == b""


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_have_none(world, gateway, person, status):
    path = f"/nobody{status}"
    fields = b"ETag: x\r\nContent-Length: 77\r\n" if status == 304 else b"X-A: b\r\n"
    world.upstream.on(path, lambda exchange: exchange.send(
        b"HTTP/1.1 %d Fine\r\n%s\r\n" % (status, fields)
    ))  # fmt: skip
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        for _ in range(2):
            assert connection.request("GET", path, person, token).status == status
        assert connection.request("GET", "/after", person, token).status == 200


def test_many_requests_share_a_connection(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        seen = {
            connection.request("GET", f"/shared/{n}", person, token).json()["connection"]
            for n in range(20)
        }
    assert len(seen) == 1, "the upstream's connection was not kept"


def test_pipelined_requests_are_answered_in_order(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        requests = [
            request_bytes("POST", f"/pipelined/{n}", person, token, body=b"x" * n)
            for n in range(30)
        ]
        connection.send(b"".join(requests))
        for n in range(30):
            answer = connection.answer("POST").json()
            assert (answer["target"], answer["size"]) == (f"/pipelined/{n}", n)
    assert len(world.upstream.seen(person=person)) == 30


def test_a_refused_request_does_not_disturb_those_pipelined_behind_it(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        connection.send(
            request_bytes("GET", "/one", person, token)
            + request_bytes("GET", "/two", person, None)
            + request_bytes("GET", "/three", person, token)
        )
        assert connection.answer().status == 200
        assert connection.answer().problem == "token_missing"
        assert connection.answer().json()["target"] == "/three"


def test_a_request_in_pieces_of_one_byte_is_understood(world, gateway, person):
    with world.connect(gateway) as connection:
        data = request_bytes("POST", "/bytes", person, world.issuer.token(person), body=b"body")
        for index in range(len(data)):
            connection.send(data[index : index + 1])
        assert connection.answer("POST").json()["size"] == 4


def test_an_empty_line_before_a_request_is_forgiven(world, gateway, person):
    with world.connect(gateway) as connection:
        connection.send(b"\r\n" + request_bytes("GET", "/", person, world.issuer.token(person)))
        assert connection.answer().status == 200


# -- versions and persistence


def test_a_caller_who_asks_for_it_gets_the_connection_closed(world, gateway, person):
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        fields = [("Connection", "close")]
        answer = connection.request("GET", "/close", person, token, fields)
        assert answer.status == 200
        assert answer.value("connection") == "close"
        assert connection.ended()


def test_an_http_1_0_caller_is_served_and_the_connection_closed(world, gateway, person):
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/old", person, token, version="1.0"))
        answer = connection.answer()
        assert answer.status == 200
        assert connection.ended()
        assert answer.seen("via") == ["1.0 tollgate"]


def test_an_http_1_0_caller_may_keep_the_connection(world, gateway, person):
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        for _ in range(2):
            fields = [("Connection", "keep-alive")]
            connection.send(request_bytes("GET", "/old", person, token, fields, version="1.0"))
            answer = connection.answer()
            assert answer.status == 200
            assert answer.value("connection") == "keep-alive"


def test_an_http_1_0_caller_gets_a_chunked_answer_until_the_end(world, gateway, person):
    world.upstream.on("/chunks", lambda exchange: exchange.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    ))  # fmt: skip
    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        fields = [("Connection", "keep-alive")]
        connection.send(request_bytes("GET", "/chunks", person, token, fields, version="1.0"))
        answer = connection.answer()
        assert answer.value("transfer-encoding") is None
        assert answer.body == b"abcdefg"
        assert connection.ended()


def test_an_answer_that_ends_with_the_connection_is_delivered_whole(world, gateway, person):
    @world.upstream.on("/until-close")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nX-Kind: close\r\n\r\nall of it")
        exchange.close()

    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        for _ in range(2):
            answer = connection.request("GET", "/until-close", person, token)
            assert (answer.status, answer.body) == (200, b"all of it")


def test_an_http_1_0_upstream_is_understood(world, gateway, person):
    @world.upstream.on("/old-upstream")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.0 200 OK\r\n\r\nold")
        exchange.close()

    answer = world.ask(gateway, "GET", "/old-upstream", person)
    assert (answer.status, answer.body, answer.version) == (200, b"old", "HTTP/1.1")


def test_an_upstream_that_says_close_is_not_used_again(world, gateway, person):
    @world.upstream.on("/says-close")
    def behaviour(exchange):
        exchange.answer(200, b"bye", [("Connection", "close")])

    first = world.ask(gateway, "GET", "/says-close", person)
    assert first.status == 200 and first.value("connection") != "close"
    number = world.upstream.seen("/says-close", person)[0].connection
    for _ in range(3):
        assert world.ask(gateway, "GET", "/next", person).json()["connection"] != number


# -- interim answers


def test_early_hints_are_passed_on(world, gateway, person):
    @world.upstream.on("/hints")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
        exchange.answer(200, b"done")

    answer = world.ask(gateway, "GET", "/hints", person)
    assert [interim.status for interim in answer.interim] == [103, 103]
    assert answer.interim[1].value("link") == "</b.css>; rel=preload"
    assert answer.body == b"done"


def test_an_http_1_0_caller_gets_no_interim_answers(world, gateway, person):
    @world.upstream.on("/hints-1.0")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        exchange.answer(200, b"done")

    with world.connect(gateway) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("GET", "/hints-1.0", person, token, version="1.0"))
        answer = connection.answer()
        assert (answer.status, answer.interim) == (200, [])


# -- fields


HOP_BY_HOP = [
    ("Connection", "X-Named, keep-alive"),
    ("X-Named", "for this hop only"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Authorization", "Basic abc"),
    ("TE", "gzip"),
    ("Upgrade", "websocket"),
]


def test_hop_by_hop_fields_are_not_forwarded(world, gateway, person):
    fields = [*HOP_BY_HOP, ("X-Kept", "yes")]
    fields[0] = ("Connection", "X-Named, keep-alive, Upgrade, TE")
    answer = world.ask(gateway, "GET", "/hops", person, fields=fields)
    assert answer.seen("x-kept") == ["yes"]
    for name, _ in HOP_BY_HOP[1:]:
        assert answer.seen(name) == [], name
    assert "X-Named" not in str(answer.seen("connection"))


@pytest.mark.parametrize(
    "named",
    ["Authorization", "authorization", "Host", "Via", "X-Request-Id", "X-Forwarded-For",
     "X-Forwarded-Proto", "X-Forwarded-Host", "Content-Length", "Transfer-Encoding"],
)  # fmt: skip
def test_connection_cannot_touch_what_the_gateway_sets(world, gateway, person, named):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        fields = [("Connection", f"close, {named}")]
        answer = connection.request("POST", "/named", person, token, fields, body=b"1234")
    if answer.status == 400:  # naming a framing field may be refused
        assert named in ("Content-Length", "Transfer-Encoding", "Host")
        return
    assert answer.status == 200
    assert answer.json()["size"] == 4
    for name in ("Host", "Via", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto"):
        assert len(answer.seen(name)) == 1, name


def test_hop_by_hop_fields_of_an_answer_are_not_passed_on(world, gateway, person):
    fields = [
        ("Connection", "X-Inner"),
        ("X-Inner", "secret"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"),
        ("X-Outer", "kept"),
    ]
    world.upstream.on("/hops-back", lambda exchange: exchange.answer(200, b"", fields))
    answer = world.ask(gateway, "GET", "/hops-back", person)
    assert answer.value("x-outer") == "kept"
    for name in ("X-Inner", "Keep-Alive", "Proxy-Authenticate", "Upgrade"):
        assert answer.values(name) == [], name


def test_repeated_fields_keep_their_order(world, gateway, person):
    fields = [("X-Many", "1"), ("Accept", "a/b"), ("x-many", "2"), ("X-MANY", "3")]
    answer = world.ask(gateway, "GET", "/many", person, fields=fields)
    assert answer.seen("x-many") == ["1", "2", "3"]


def test_bytes_above_ascii_in_a_value_are_forwarded_as_they_are(world, gateway, person):
    answer = world.ask(gateway, "GET", "/latin", person, fields=[("X-Name", "J\xf6rg")])
    assert answer.seen("x-name") == ["J\xf6rg"]


def test_the_peer_is_told_and_a_strangers_word_is_not_taken(world, gateway, person):
    fields = [
        ("X-Forwarded-For", "10.9.8.7"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X_Forwarded_For", "10.9.8.6"),
        ("X-Forwarded_Host", "evil.example"),
        ("Forwarded", "for=10.9.8.7;host=evil.example"),
        ("X-Request-Id", "mine"),
        ("X_Request_Id", "mine"),
    ]
    answer = world.ask(gateway, "GET", "/told", person, fields=fields, host="api.example:88")
    assert answer.seen("x-forwarded-for") == ["127.0.0.1"]
    assert answer.seen("x-forwarded-host") == ["api.example:88"]
    assert answer.seen("x-forwarded-proto") == ["http"]
    for name in ("X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded"):
        assert answer.seen(name) == [], name
    for name in ("X_Forwarded_For", "X-Forwarded_Host", "X_Request_Id"):
        assert answer.seen(name) == [], name
    assert "mine" not in answer.seen("x-request-id")
    assert "evil" not in answer.body.decode()


def test_every_request_has_an_id_of_its_own(world, gateway, person):
    ids = [world.ask(gateway, "GET", "/id", person).seen("x-request-id") for _ in range(3)]
    assert all(len(each) == 1 for each in ids)
    assert len({each[0] for each in ids}) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", each[0]) for each in ids)


def test_the_gateway_names_itself_in_via(world, gateway, person):
    assert world.ask(gateway, "GET", "/via", person).seen("via") == ["1.1 tollgate"]
    answer = world.ask(gateway, "GET", "/via", person, fields=[("Via", "1.0 fred")])
    assert ", ".join(answer.seen("via")) == "1.0 fred, 1.1 tollgate"


def test_the_host_is_the_upstreams_unless_the_route_says_otherwise(world, gateway, person):
    port = world.upstream.port
    asked = {"host": "api.example:1234"}
    assert world.ask(gateway, "GET", "/x", person, **asked).seen("host") == [f"127.0.0.1:{port}"]
    preserved = world.ask(gateway, "GET", "/preserved/x", person, **asked)
    assert preserved.seen("host") == ["api.example:1234"]
    assert world.ask(gateway, "GET", "/literal/x", person, **asked).seen("host") == [
        "inner.example"
    ]


def test_an_absolute_target_is_forwarded_in_origin_form(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        target = "http://api.example/absolute?x=1"
        answer = connection.request("GET", target, person, token, host="api.example")
        assert answer.json()["target"] == "/absolute?x=1"


def test_options_of_the_server_itself_is_answered_here(world, gateway):
    with world.connect(gateway) as connection:
        answer = connection.request("OPTIONS", "*")
        assert answer.status == 204
        assert connection.request("OPTIONS", "*").status == 204


def test_trace_and_connect_are_refused(world, gateway, person):
    answer = world.ask(gateway, "TRACE", "/", person)
    assert (answer.status, answer.problem) == (405, "method_not_allowed")
    assert "TRACE" not in (answer.value("allow") or "")
    with world.connect(gateway) as connection:
        connection.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.problem) == (501, "not_implemented")
    assert world.upstream.seen(person=person) == []


def test_an_upgrade_that_is_not_listed_is_an_ordinary_request(world, gateway, person):
    fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "x"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ]
    answer = world.ask(gateway, "GET", "/upgrade", person, fields=fields)
    assert answer.status == 200
    assert answer.seen("upgrade") == []
    assert answer.seen("http2-settings") == []


def test_a_route_may_answer_by_itself(gateway):
    answer = ask(gateway.port, "GET", "/fixed")
    assert (answer.status, answer.body) == (203, b"fixed")
    assert answer.value("x-fixed") == "yes"
    head = ask(gateway.port, "HEAD", "/fixed")
    assert (head.status, head.body) == (203, b"")


# -- connections to the upstream


def test_a_stale_connection_is_noticed_and_nobody_sees_it(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        for number in range(10):
            connection.request("GET", "/warm", person, token)
            world.upstream.drop_connections()
            connection.request("GET", "/fixed")
            method = "POST" if number % 2 else "GET"
            body = b"once" if number % 2 else None
            answer = connection.request(method, f"/stale/{number}", person, token, body=body)
            assert answer.status == 200, f"{method} {number}: {answer}"
            assert len(world.upstream.seen(f"/stale/{number}")) == 1


def test_a_get_on_a_connection_that_dies_under_it_is_sent_again(world, gateway, person):
    seen = []

    @world.upstream.on("/dies-once")
    def behaviour(exchange):
        seen.append(exchange.request.connection)
        if len(seen) == 1:
            return exchange.reset()
        exchange.answer(200, b"second")

    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        connection.request("GET", "/warm", person, token)
        answer = connection.request("GET", "/dies-once", person, token)
    assert (answer.status, answer.body) == (200, b"second")
    assert len(seen) == 2


def test_a_post_that_was_sent_is_never_sent_again(world, gateway, person):
    seen = []

    @world.upstream.on("/post-dies")
    def behaviour(exchange):
        exchange.read_body()
        seen.append(exchange.request.connection)
        exchange.reset()

    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        connection.request("GET", "/warm", person, token)
        answer = connection.request("POST", "/post-dies", person, token, body=b"pay 10")
    assert (answer.status, answer.problem) == (502, "upstream_failed")
    assert len(seen) == 1


def test_bytes_after_an_answer_do_not_become_the_next_one(world, gateway, person):
    """Such a connection is not used again (response smuggling)."""

    @world.upstream.on("/too-much")
    def behaviour(exchange):
        exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )

    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        for _ in range(5):
            assert connection.request("GET", "/too-much", person, token).body == b"ok"
            answer = connection.request("GET", "/after", person, token)
            assert answer.json()["target"] == "/after"


def test_a_caller_who_hangs_up_ends_the_call_of_the_upstream(world, gateway, person):
    arrived, ended = threading.Event(), []

    @world.upstream.on("/hung-up")
    def behaviour(exchange):
        arrived.set()
        ended.append(exchange.wait_for_end(10))
        exchange.ended = True

    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/hung-up", person, world.issuer.token(person)))
        assert arrived.wait(10)
    record = gateway.logged(path="/hung-up")
    assert (record["status"], record["reason"]) == (499, "caller_gone")
    assert record["aborted"] == "client"
    until(lambda: ended, "the upstream's connection to end")
    assert ended == [True]


@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
def test_a_caller_who_leaves_a_download_ends_it(world, gateway, person, by_reset):
    path, ended = f"/left-download-{by_reset}", []

    @world.upstream.on(path)
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                exchange.send(bytes(100_000))
        except OSError:
            ended.append(True)
            raise

    connection = Connection(gateway.port)
    connection.send(request_bytes("GET", path, person, world.issuer.token(person)))
    assert connection.head().status == 200
    connection.reset() if by_reset else connection.close()
    until(lambda: ended, "the upstream's sending to fail")
    assert gateway.logged(path=path)["aborted"] == "client"
