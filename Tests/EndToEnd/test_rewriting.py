"""What a route changes on the way: paths, fields, hosts; and where it sends callers itself."""

import json
import os
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes, trusting
from harness.keys import now
from harness.program import Nginx
from harness.waiting import free_port

FIELDS = {
    "set": {
        "X-Tenant": "{claim:tenant}",
        "X-Who": "{claim:sub} of {claim:/realm/name}",
        "X-Id": "{request:id}",
        "X-Order": "{path:id}",
        "X-Host": "{request:host}",
        "X-Subject": "{tls:subject}",
        "X-Brace": "{{a}",
        "X-Constant": "one two",
        "Cookie": "a=b",
    },
    "remove": ["X-Debug", "Accept-Language"],
}


@pytest.fixture(scope="module")
def gateway(world):
    to = {"to": world.upstream.url}
    routes = [
        world.route("/fields/{id}/*", forward={"headers": FIELDS}),
        world.route("/api/*", forward={"path": {"stripPrefix": "/api"}}),
        world.route("/v1/*", forward={"path": {"stripPrefix": "/v1", "addPrefix": "/v2"}}),
        world.route("/t/{tenant}/*", forward={"path": {"stripPrefix": "/t/{tenant}"}}),
        world.route("/added/*", forward={"path": {"addPrefix": "/below/it/"}}),
        world.route("/host/own/*", forward={"host": "service.example:81"}),
        world.route("/host/kept/*", forward={"host": "preserve"}),
        world.route(
            "/answers/*",
            forward={
                "responseHeaders": {
                    "set": {"X-Id": "{request:id}", "Server": "gate", "X-Sub": "{claim:sub}",
                            "Cache-Control": "public, max-age=5", "X-None": "{claim:none}"},
                    "remove": ["X-Secret", "Set-Cookie"],
                }
            },
            authenticate={"from": ["header", "cookie:session", "query:access_token"]},
        ),
        {"match": {"path": "/open/*"}, "authenticate": "none", "forward": to | {
            "headers": {"set": {"X-Id": "{request:id}"}, "remove": ["X-Debug"]}}},
    ]
    for name, to, status in (
        ("rest", "https://new.example/base/*", 308), ("plain", "/elsewhere?x=1#y", 302),
        ("same", "https://{request:host}:8443/*", 301), ("see", "/seen", 303),
        ("again", "/kept/*", 307),
    ):  # fmt: skip
        routes.append({
            "match": {"path": f"/{name}/*"}, "authenticate": "none",
            "redirect": {"to": to, "status": status},
        })  # fmt: skip
    routes.append({
        "match": {"path": "/mine/{page}"}, "redirect": {"to": "/people/{claim:sub}/{path:page}"},
    })  # fmt: skip
    for prefix in ("/orders", "/", "/open", "/page", "/below", "/x", "/host", "/v2"):
        world.upstream.promise.kinds[prefix + ""] = "exchanged"
    world.upstream.promise.kinds["/open"] = "none"
    with world.gateway(world.routes(*routes)) as gateway:
        yield gateway


# -- fields of requests


def test_fields_are_set_from_the_verified_token_and_the_request(world, gateway, person):
    token = world.issuer.token(person, tenant="acme", realm={"name": "Köln 100%"})
    answer = world.ask(gateway, "GET", "/fields/a%20b/x", person, token, host="Api.Example:99")
    assert answer.status == 200, answer
    assert answer.seen("x-tenant") == ["acme"]
    # All but visible ASCII, and the percent sign, is escaped.
    assert answer.seen("x-who") == [f"{person} of K%C3%B6ln%20100%25"]
    assert answer.seen("x-id") == answer.seen("x-request-id")
    assert answer.seen("x-order") == ["a%20b"]
    assert answer.seen("x-host") == ["api.example"]
    assert answer.seen("x-brace") == ["{a}"]
    assert answer.seen("x-constant") == ["one two"]
    assert answer.seen("cookie") == ["a=b"]
    assert answer.seen("x-subject") == [], "no certificate, no field"


@pytest.mark.parametrize(
    "claims, seen",
    [
        ({"tenant": 7}, ["7"]),
        ({"tenant": True}, ["true"]),
        ({"tenant": ""}, [""]),
        ({"tenant": "x\r\nAuthorization: y"}, ["x%0D%0AAuthorization:%20y"]),
        ({"tenant": "\u0000\u007f"}, ["%00%7F"]),
        ({"tenant": ["acme"]}, []),
        ({"tenant": {"a": 1}}, []),
        ({"tenant": None}, []),
        ({}, []),
    ],
    ids=str,
)
def test_a_claim_that_is_not_one_value_removes_the_field(world, gateway, person, claims, seen):
    token = world.issuer.token(person, **claims)
    # Nobody can fill it in the gateway's place, however it is spelled.
    forged = [("X-Tenant", "evil"), ("x_tenant", "evil"), ("X-TENANT", "evil"), ("X_Who", "evil")]
    for _ in range(2):
        answer = world.ask(gateway, "GET", "/fields/1/x", person, token, fields=forged)
        assert answer.seen("x-tenant") == seen
        assert answer.seen("x_tenant") == answer.seen("x_who") == answer.seen("x-who") == []


def test_fields_are_removed_however_they_are_spelled(world, gateway, person):
    fields = [("X-Debug", "1"), ("x_debug", "1"), ("ACCEPT-LANGUAGE", "sv"), ("X-Debugger", "2"),
              ("Accept", "a/b")]  # fmt: skip
    answer = world.ask(gateway, "GET", "/fields/1/x", person, fields=fields)
    names = [name.lower() for name, _ in answer.json()["fields"]]
    assert not {"x-debug", "x_debug", "accept-language"} & set(names)
    assert answer.seen("x-debugger") == ["2"] and answer.seen("accept") == ["a/b"]


def test_hop_by_hop_fields_go_before_anything_is_set(world, gateway, person):
    """What `Connection` names ends here; what the route sets goes on all the same."""
    token = world.issuer.token(person, tenant="acme")
    fields = [("Connection", "x-tenant, x-hop"), ("X-Tenant", "evil"), ("X-Hop", "1")]
    answer = world.ask(gateway, "GET", "/fields/1/x", person, token, fields=fields)
    assert answer.seen("x-tenant") == ["acme"] and answer.seen("x-hop") == []


def test_authorization_is_the_last_field(world, gateway, person):
    answer = world.ask(gateway, "GET", "/fields/1/x", person)
    assert answer.json()["fields"][-1][0] == "Authorization"


def test_trailers_are_no_way_round(world, gateway, person):
    names = "X-Tenant: evil\r\nx_who: evil\r\nX-Debug: 1\r\nX-Kept: 1\r\n"
    token = world.issuer.token(person)
    with Connection(gateway.port) as connection:
        chunked = [("Transfer-Encoding", "chunked")]
        head = request_bytes("POST", "/fields/1/x", person, token, chunked)
        connection.send(head + b"1\r\nx\r\n0\r\n" + names.encode() + b"\r\n")
        answer = connection.answer("POST")
    assert [name for name, _ in answer.json()["trailers"]] == ["X-Kept"]


def test_a_public_route_strips_tokens_and_sets_what_needs_none(world, gateway):
    fields = [("Authorization", "Bearer x"), ("Cookie", "session=x; a=b"), ("X-Debug", "1")]
    answer = ask(gateway.port, "GET", "/open/x?access_token=x&b=c", fields=fields)
    assert answer.status == 200
    assert answer.json()["target"] == "/open/x?b=c"
    assert answer.seen("authorization") == answer.seen("x-debug") == []
    assert answer.seen("cookie") == ["a=b"]
    assert answer.seen("x-id") == answer.seen("x-request-id")


def test_the_subject_of_the_callers_certificate_is_passed_on(world, person):
    root = Certificate(["Clients' root"], authority=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ann Ä & Co")])
    ann = Certificate(["ann"], root, subject=subject, uses=[ExtendedKeyUsageOID.CLIENT_AUTH])
    authority = world.folder / "clients.pem"
    authority.write_bytes(root.pem)
    files = ann.write(world.folder, "ann")
    tls = {"certificates": [world.certificate_files], "clientAuth": "request",
           "clientCA": str(authority)}  # fmt: skip
    fields = {"headers": {"set": {"X-Subject": "{tls:subject}"}}}
    routes = world.routes(
        world.route("/*", forward=fields),
        listeners=[{"name": "tls", "address": "127.0.0.1:0", "tls": tls}],
    )
    with world.gateway(routes) as gateway:
        for shown in (True, False):
            context = trusting(world.authority)
            if shown:
                context.load_cert_chain(files["chain"], files["key"])
            forged = [("X-Subject", "CN=evil"), ("x_subject", "CN=evil")]
            answer = ask(gateway.port, "GET", "/x", person, world.issuer.token(person), context,
                         fields=forged)  # fmt: skip
            # As RFC 4514 writes it, and what a field can't hold is escaped once more.
            expected = ["CN=Ann%20\\C3\\84%20&%20Co"] if shown else []
            assert answer.seen("x-subject") == expected
            assert answer.seen("x_subject") == []


# -- paths and hosts


@pytest.mark.parametrize(
    "sent, forwarded, prefix",
    [
        ("/api/orders/1?x=/api", "/orders/1?x=/api", "/api"),
        ("/api", "/", "/api"),
        ("/api/", "/", "/api"),
        ("/api?x", "/?x", "/api"),
        ("/api/api/x", "/api/x", "/api"),
        ("/x/../api//orders", "/orders", "/api"),
        ("/v1/orders", "/v2/orders", "/v1"),
        ("/v1", "/v2", "/v1"),
        ("/t/a%20b/orders", "/orders", "/t/a%20b"),
        ("/added/orders", "/below/it/added/orders", None),
    ],
)
def test_a_prefix_is_taken_away_and_told(world, gateway, person, sent, forwarded, prefix):
    fields = [("X-Forwarded-Prefix", "/evil"), ("x_forwarded_prefix", "/evil")]
    answer = world.ask(gateway, "GET", sent, person, fields=fields)
    assert answer.status == 200, answer
    assert answer.json()["target"] == forwarded
    assert answer.seen("x-forwarded-prefix") == ([prefix] if prefix else [])
    assert answer.seen("x_forwarded_prefix") == []


def test_the_host_is_the_operators_choice(world, gateway, person):
    answer = world.ask(gateway, "GET", "/host/own/x", person, host="api.example")
    assert answer.seen("host") == ["service.example:81"]
    answer = world.ask(gateway, "GET", "/host/kept/x", person, host="Api.Example:99")
    assert answer.seen("host") == ["Api.Example:99"]


def test_paths_in_answers_are_those_that_callers_know(world, gateway, person):
    @world.upstream.on("/moved")
    def moved(exchange):
        exchange.read_body()
        fields = [("Location", "/login?next=/x"), ("Set-Cookie", "a=b; Path=/; Secure"),
                  ("Set-Cookie", "c=d; Path=/x"), ("Set-Cookie", "__Host-e=f; Path=/; Secure"),
                  ("Content-Location", "/moved")]  # fmt: skip
        exchange.answer(302, b"", fields)

    answer = world.ask(gateway, "GET", "/api/moved", person)
    assert answer.value("location") == "/api/login?next=/x"
    assert answer.values("set-cookie") == [
        "a=b; Path=/api; Secure", "c=d; Path=/api/x", "__Host-e=f; Path=/; Secure",
    ]  # fmt: skip
    assert answer.value("content-location") == "/moved"
    for location, expected in (
        (world.upstream.url + "/x", "/api/x"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("http://localhost/x", "http://localhost/api/x"),
        ("/api/x", "/api/x"),
        ("x", "x"),
    ):
        world.upstream.on(
            "/moved", lambda exchange, to=location: exchange.answer(301, b"", [("Location", to)])
        )
        assert world.ask(gateway, "GET", "/api/moved", person).value("location") == expected


# -- fields of answers


def test_fields_of_answers_are_set_and_removed(world, gateway, person):
    @world.upstream.on("/answers/x")
    def answered(exchange):
        exchange.read_body()
        fields = [("Server", "old"), ("X-Secret", "1"), ("x_secret", "1"), ("Set-Cookie", "a=b"),
                  ("X-None", "theirs"), ("X-Kept", "1"), ("Cache-Control", "no-store")]  # fmt: skip
        exchange.answer(200, b"x", fields)

    answer = world.ask(gateway, "GET", "/answers/x", person)
    assert answer.values("server") == ["gate"]
    assert answer.values("x-sub") == [person]
    assert answer.values("x-kept") == ["1"]
    assert answer.values("cache-control") == ["public, max-age=5"]
    assert len(answer.value("x-id")) == 32
    for gone in ("x-secret", "x_secret", "set-cookie", "x-none"):
        assert answer.values(gone) == [], gone
    # RFC 6750 §2.3: with a token from elsewhere the answer is the caller's alone, whatever is set.
    token = world.issuer.token(person)
    target = f"/answers/x?access_token={token}"
    answer = ask(gateway.port, "GET", target, person)
    assert answer.values("cache-control") == ["private", "max-age=5"]


def test_removed_fields_are_no_trailers_either(world, gateway, person):
    @world.upstream.on("/answers/t")
    def answered(exchange):
        exchange.read_body()
        exchange.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
            b"X-Secret: 1\r\nX-Sub: evil\r\nX-Kept: 1\r\n\r\n"
        )

    answer = world.ask(gateway, "GET", "/answers/t", person)
    assert answer.trailers == [("X-Kept", "1")]


# -- redirects


@pytest.mark.parametrize(
    "target, status, location",
    [
        ("/rest/a/b?x=1&y", 308, "https://new.example/base/a/b?x=1&y"),
        ("/rest", 308, "https://new.example/base/"),
        ("/rest/", 308, "https://new.example/base/"),
        ("/rest//evil.example/%2e%2e/x", 308, "https://new.example/base/x"),
        ("/rest/a?access_token=secret&b=c", 308, "https://new.example/base/a?b=c"),
        ("/plain/a?y=2", 302, "/elsewhere?x=1#y"),
        ("/same/a?b", 301, "https://localhost:8443/a?b"),
        ("/see/a", 303, "/seen"),
        ("/again//evil.example", 307, "/kept/evil.example"),
    ],
)
def test_callers_are_sent_elsewhere(gateway, target, status, location):
    answer = ask(gateway.port, "GET", target)
    assert (answer.status, answer.value("location")) == (status, location)
    assert answer.body == b""


def test_a_redirect_may_be_for_those_with_a_token(world, gateway, person):
    assert ask(gateway.port, "GET", "/mine/page").status == 401
    answer = world.ask(gateway, "GET", "/mine/page", person)
    assert (answer.status, answer.value("location")) == (308, f"/people/{person}/page")
    token = world.issuer.token("a/../b c")
    answer = world.ask(gateway, "GET", "/mine/page", person, token)
    assert answer.value("location") == "/people/a%2F..%2Fb%20c/page"
    assert world.upstream.seen(person=person) == []


# -- judged by programs that nobody here wrote


@pytest.fixture(scope="module")
def nginx(world):
    port = free_port()
    os.chmod(world.folder, 0o755)
    fields = ["x_tenant", "x_forwarded_prefix", "x_forwarded_host", "cookie", "authorization"]
    shown = {name: f"$http_{name}" for name in fields} | {"uri": "$request_uri"}
    http = f"""
  underscores_in_headers on;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{json.dumps(shown)}'; }}
    location /moved {{ return 302 /elsewhere; }}
    location /cookie {{ add_header Set-Cookie "a=b; Path=/; HttpOnly"; return 204; }}
  }}"""
    program = Nginx(world.folder, http, port)
    program.url = f"http://127.0.0.1:{port}"
    yield program
    program.end()


def test_nginx_behind_a_prefix_works_for_curl(world, nginx, tmp_path):
    """Its redirects name its own address, its cookies its own root; curl follows and sends both."""
    strip = {"to": nginx.url, "path": {"stripPrefix": "/shop"}}
    fields = {"set": {"X-Tenant": "{claim:tenant}"}}
    routes = world.routes(
        {"match": {"path": "/shop/*"}, "authenticate": "none", "forward": strip},
        world.route("/own/*", forward={"to": nginx.url, "headers": fields}),
    )
    with world.gateway(routes) as gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        jar = tmp_path / "jar"

        def curl(*words):
            words = ["curl", "-sS", "-L", "-c", str(jar), "-b", str(jar), *words]
            run = subprocess.run(words, capture_output=True, text=True, timeout=30)
            assert run.returncode == 0, run.stderr
            return run.stdout

        curl(f"{url}/shop/cookie")
        shown = json.loads(curl(f"{url}/shop/moved"))
        assert shown["uri"] == "/elsewhere"
        assert shown["x_forwarded_prefix"] == "/shop"
        assert shown["cookie"] == "a=b"
        token = world.issuer.token("nina", tenant="acme", exp=now() + 600)
        words = ["-H", f"Authorization: Bearer {token}", "-H", "X-Tenant: x", "-H", "X_Tenant: y"]
        shown = json.loads(curl(f"{url}/own/x", *words))
        assert shown["x_tenant"] == "acme"


def test_a_cookie_that_is_removed_or_set_stays_so_beside_tokens_in_cookies(world):
    world.upstream.promise.kinds |= {"/bare": "none", "/baked": "none"}
    public = {"authenticate": "none", "exchange": None}
    routes = world.routes(
        world.route("/bare/*", forward={"headers": {"remove": ["Cookie", "Referer"]}}, **public),
        world.route("/baked/*", forward={"headers": {"set": {"Cookie": "own=1"}}}, **public),
        world.route("/session/*", authenticate={"from": "cookie:session"}),
    )
    fields = [("Cookie", "session=x; admin=1"), ("Referer", "https://a.example/")]
    with world.gateway(routes) as gateway:
        for path, cookies in (("/bare/it", []), ("/baked/it", ["own=1"])):
            assert ask(gateway.port, "GET", path, fields=fields).status == 200
            assert world.upstream.seen(path)[-1].values("cookie") == cookies
    assert world.upstream.seen("/bare/it")[-1].values("referer") == []


@pytest.mark.parametrize("rest", ["//evil.example/x", "/\\evil.example", "/\t/evil.example"])
def test_no_address_that_is_put_back_is_another_hosts(world, rest):
    world.upstream.promise.kinds |= {"/v3": "none"}
    routes = world.routes(
        world.route(
            "/*", authenticate="none", exchange=None, forward={"path": {"addPrefix": "/v3"}}
        )
    )
    given = {"/path": f"/v3{rest}", "/url": f"{world.upstream.url}{rest}"}
    for path, to in given.items():
        head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
        world.upstream.on(f"/v3{path}", lambda exchange, head=head: exchange.send(head))
    with world.gateway(routes) as gateway:
        for path in given:
            assert ask(gateway.port, "GET", path).value("location") == f"/.{rest}"
