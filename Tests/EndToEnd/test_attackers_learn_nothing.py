"""What callers write into logs and answers, and what answers tell them."""

import json

import pytest
from harness.client import Connection, ask
from harness.keys import b64u, compact_json
from harness.waiting import until

# What ends a line, moves a terminal's cursor or turns a text around, raw or in JSON's escapes.
HOSTILE = (
    '\u2028\u2029\u202e\u2066\u200f\x1b[2J\x07\x00\x85\x9b\r\n'
    '"}{"status":200,"path":"/forged"\\'
)
ALLOWED = {0x0A}


@pytest.fixture(scope="module")
def gateway(world):
    log = {"claims": ["client_id", "note", {"hash": "sub"}]}
    answer = {"status": 200, "body": "here"}
    public = {"authenticate": "none", "exchange": None, "forward": None, "respond": answer}
    routes = world.routes(world.route("/*"), world.route("/public/*", **public), workers=1)
    folder = world.folder / "learn"
    folder.mkdir()
    routes["accessLog"] = log | {"path": str(folder / "access.log")}
    with world.gateway(routes) as gateway:
        gateway.log_file = folder / "access.log"
        yield gateway


def lines_of(gateway, mark):
    """The log's lines that hold the mark, and no byte in them that a line should not hold."""
    until(lambda: mark.encode() in found_in(gateway), "the line")
    text = found_in(gateway)
    for character in text.decode("utf-8"):
        code = ord(character)
        assert code in ALLOWED or 0x20 <= code < 0x7F or code > 0x9F, hex(code)
        assert code not in (0x2028, 0x2029, 0x200E, 0x200F, 0x061C, 0xFEFF), hex(code)
        assert not 0x202A <= code <= 0x202E and not 0x2066 <= code <= 0x2069, hex(code)
    records = [json.loads(line) for line in text.decode().split("\n") if line]
    assert not [record for record in records if record.get("path") == "/forged"]
    return [record for record in records if mark in json.dumps(record, ensure_ascii=False)]


def found_in(gateway):
    return gateway.log_file.read_bytes() if gateway.log_file.exists() else b""


def test_claims_cannot_forge_a_line(world, gateway, person):
    claims = {"jti": f"jti-{person} {HOSTILE}", "client_id": HOSTILE, "note": HOSTILE}
    assert world.ask(gateway, "GET", "/claims", person, token=world.issuer.token(
        person, **claims)).status == 200  # fmt: skip
    (record,) = lines_of(gateway, f"jti-{person}")
    assert record["jti"] == claims["jti"] and record["client_id"] == HOSTILE


@pytest.mark.parametrize(
    "agent",
    [HOSTILE.encode().translate(None, b"\x00\x07\x1b\r\n"), b"\xff\xfe\x80\xc3\x28\xed\xa0\x80",
     b'","reason":"none', b"\xe2\x80\xa8", b"\xd8\x9c\xef\xbb\xbf", b"\xf4\x90\x80\x80",
     b"%0a%e2%80%a8", b"\\u000a\\"],
)  # fmt: skip
def test_a_user_agent_cannot_forge_a_line(gateway, person, agent):
    with Connection(gateway.port) as connection:
        mark = person.encode()
        connection.send(b"GET /public/" + mark + b" HTTP/1.1\r\nHost: localhost\r\n"
                        b"User-Agent: " + mark + b" " + agent + b"\r\n\r\n")  # fmt: skip
        assert connection.answer().status == 200
    (record,) = lines_of(gateway, person)
    assert record["path"] == f"/public/{person}" and record["status"] == 200


def test_a_long_field_makes_no_long_line(world, gateway, person):
    """A flood of such lines would push other callers' out of the log's queue."""
    token = world.issuer.token(person, jti=f"{person} " + "j" * 5_000)
    fields = [("User-Agent", f"{person} " + "\x85" * 20_000)]
    assert world.ask(gateway, "GET", "/long", person, token=token, fields=fields).status == 200
    (record,) = lines_of(gateway, person)
    assert record["jti"].startswith(person) and record["user_agent"].startswith(person)
    assert len(record["jti"]) <= 256 and len(record["user_agent"]) <= 1024


@pytest.mark.parametrize(
    "method, target",
    [("'`|!#$%&*+.^_~", "/public/{}"), ("GET", "/public/{}\"',:[]<>^`|"), ("GET", "/{}%E2%80%A8"),
     ("GET", "/{}%0a"), ("GET", "/{}\\"), ("GET", "/{}%00")],
)  # fmt: skip
def test_a_request_line_cannot_forge_a_line(gateway, person, method, target):
    with Connection(gateway.port) as connection:
        connection.send(f"{method} {target.format(person)} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.answer()
    assert len(lines_of(gateway, person)) <= 1


@pytest.mark.parametrize("text", [HOSTILE, "\n\ntollgate: listening at evil", "\x1b]0;x\x07"])
def test_a_token_service_cannot_forge_a_line(world, gateway, person, text):
    """Neither in the access log nor in what the gateway tells its operator."""
    body = {"error": "unauthorized_client", "error_description": f"desc-{person} {text}"}
    world.tokens.failing(400, body)
    answer = world.ask(gateway, "GET", "/refused", person)
    assert (answer.status, answer.problem) == (502, "exchange_misconfigured")
    assert person.encode() not in answer.body and b"unauthorized_client" not in answer.body
    (record,) = lines_of(gateway, f"desc-{person}")
    assert record["exchange_error"].startswith("unauthorized_client")
    said = gateway.err.read_bytes() + gateway.out.read_bytes()
    assert b"\x1b" not in said and b"\x07" not in said and "\u2028".encode() not in said
    assert not [line for line in said.split(b"\n") if b"listening at evil" in line
                and b"exchange" not in line]  # fmt: skip


def test_a_token_service_that_repeats_what_it_was_sent_puts_no_token_in_a_log(
    world, gateway, person
):
    token = world.issuer.token(person)
    for body in ({"error": token[:90]}, {"error": "invalid_request", "error_description": token}):
        world.tokens.failing(400, body)
        other = world.issuer.token(person, note="again")
        answer = world.ask(gateway, "GET", "/echo", person, token=other)
        assert answer.status in (403, 502)
        assert token[:40].encode() not in answer.body
    until(lambda: found_in(gateway).count(b'"/echo"') >= 2, "the lines")
    for part in token.split("."):
        assert part[:30].encode() not in found_in(gateway)


# What the token service hands out that is a JWT to a lenient reader and none to a strict one.


def broken_jwt(payload, header=b'{"alg":"none"}'):
    return f"{b64u(header)}.{b64u(payload)}.{b64u(b'signature')}"


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: broken_jwt(claims[:-1] + b',"aud":"orders"}'),
        lambda claims: broken_jwt(claims.replace(b'"aud"', b'"aud":"orders","aud"')),
        lambda claims: broken_jwt(b'{"x":"\xff",' + claims[1:]),
        lambda claims: broken_jwt(claims[:-1] + b",}"),
        lambda claims: broken_jwt(b"\xef\xbb\xbf" + claims),
        lambda claims: broken_jwt(claims, b'{ "alg":"none","alg":"RS256"}'),
        lambda claims: broken_jwt(claims, b'{"alg":"none",}'),
        lambda claims: broken_jwt(b"[" * 100),
        lambda claims: broken_jwt(b""),
    ],
)
def test_an_issued_token_that_cannot_be_read_is_not_taken_for_an_opaque_one(
    world, gateway, person, change
):
    claims = compact_json({"iss": "x", "sub": "somebody-else", "aud": "elsewhere"})
    answer = {"access_token": change(claims), "token_type": "Bearer", "expires_in": 300}
    world.tokens.failing(200, answer)
    answer = world.ask(gateway, "GET", "/unreadable", person)
    assert (answer.status, answer.problem) == (502, "exchange_unverified")
    assert world.upstream.seen("/unreadable", person) == []


# Answers


SECRETS = ["127.0.0.1:{upstream}", "{upstream}", "{tokens}", "s3cret", "Bearer ey", "swift",
           "Fatal", "/root", "routes.json"]  # fmt: skip


@pytest.mark.parametrize("path", ["/down/x", "/x", "/..", "/refused", "/nonsense"])
def test_a_refusal_names_nothing_inside(world, gateway, person, path):
    world.upstream.on("/nonsense", lambda exchange: exchange.send(b"nonsense\r\n\r\n"))
    world.tokens.failing(500, {"error": "s3cret 127.0.0.1:1"})
    for token in (None, world.issuer.token(person), world.issuer.forged(person)):
        answer = ask(gateway.port, "GET", path, person, token)
        assert answer.status >= 400
        said = str(answer.fields) + answer.body.decode()
        for secret in SECRETS:
            text = secret.format(upstream=world.upstream.port, tokens=world.tokens.port)
            assert text not in said, text
        assert answer.values("server") == [] and answer.values("x-powered-by") == []


@pytest.mark.parametrize(
    "host", ["a.example", "A_b.example:8080", "[::1]", "xn--a", "x" * 63 + ".example"]
)
def test_a_realm_is_a_host_and_nothing_more(gateway, host):
    with Connection(gateway.port) as connection:
        connection.send(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")
        (challenge,) = connection.answer().values("www-authenticate")
    realm = challenge.removeprefix('Bearer realm="').removesuffix('"')
    assert set(realm) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")


def test_what_a_token_service_claims_cannot_leave_its_quotes(world, gateway, person):
    claims = '{"a":"b"}", error="none\r\nSet-Cookie: x=y\r\n\x00\u2028\\'
    world.tokens.failing(400, {"error": "interaction_required", "claims": claims})
    answer = world.ask(gateway, "GET", "/entra", person)
    assert answer.status == 401 and answer.values("set-cookie") == []
    (challenge,) = answer.values("www-authenticate")
    assert challenge.count(' error="') == 1 and '\\"a\\":\\"b\\"' in challenge
    assert all(0x20 <= ord(character) < 0x7F for character in challenge)


# The admin address


ADMIN = [
    (b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (b"GET /livez HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421),
    (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421),
    (b"GET /livez HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", 421),
    (b"GET http://evil.example/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
    (b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: LOCALHOST.\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x.localhost\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
    (b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
    (b"TRACE /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET /../livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"GET /livez%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 9_000 + b"\r\n\r\n", 400),
    (b"GET /" + b"y" * 4_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
     + b"x" * 100_000, 413),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize("data, status", ADMIN, ids=[f"{d[:60]!r} {s}" for d, s in ADMIN])
def test_the_admin_address_answers_its_own_names_only(gateway, data, status):
    with Connection(gateway.admin_port) as connection:
        connection.send(data)
        answer = connection.answer()
        assert answer.status == status, answer
        if status in (400, 413):
            assert answer.values("connection") == ["close"]
            assert connection.ended()
    assert gateway.live()
