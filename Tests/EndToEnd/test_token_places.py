"""Tokens from a cookie or a query: taken from there, removed from there, and never elsewhere."""

import subprocess
import urllib.parse

import pytest
import requests
from harness.client import Connection, request_bytes

EVERYWHERE = ["header", "cookie:session", "query:access_token"]


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/cookie/*", authenticate={"from": "cookie:session"}),
        world.route("/query/*", authenticate={"from": ["query:access_token"]}),
        world.route("/either/*", authenticate={"from": EVERYWHERE}),
        world.route("/two/*", authenticate={"from": ["cookie:session", "cookie:__Host-s"]}),
        world.route("/strip/*", authenticate={"from": EVERYWHERE}, exchange="strip"),
        world.route("/pass/*", authenticate={"from": EVERYWHERE}, exchange="passthrough"),
        world.route("/public/*", authenticate="none", exchange=None),
        world.route(
            "/own/*",
            authenticate={"from": EVERYWHERE},
            forward=None,
            exchange=None,
            respond={
                "status": 200,
                "headers": {"Cache-Control": "public, max-age=5", "X-Own": "1"},
                "body": "own",
            },
        ),
        listeners=[world.clear_listener, world.tls_listener],
    )
    kinds = {"/strip": "none", "/public": "none", "/pass": "any"}
    world.upstream.promise.kinds.update(kinds)
    with world.gateway(routes) as gateway:
        yield gateway


def get(world, gateway, target, person, *fields, method="GET", **more):
    """A request with these fields and no Authorization of the harness's."""
    return world.ask(gateway, method, target, person, token=False, fields=fields, **more)


def refused(answer, status, reason):
    assert (answer.status, answer.problem) == (status, reason), answer
    assert answer.value("cache-control") == "no-store"


# -- from a cookie


@pytest.mark.parametrize(
    "cookie, left",
    [
        ("session={}", []),
        ("session={};", []),
        ("session = {} ", []),
        ('session="{}"', []),
        ("a=1; session={}; b=2", ["a=1; b=2"]),
        ("a=1; session={}", ["a=1"]),
        ("session={}; b=2", ["b=2"]),
        ("a=1;session={};b=2", ["a=1;b=2"]),
        ("s%65ssion={}; %61=%3B", ["%61=%3B"]),
        ("Session=1; session={}; session2=2; xsession=3", ["Session=1; session2=2; xsession=3"]),
        ('a="x y"; ;; session={};b', ['a="x y"; ;;b']),
    ],
)
def test_a_cookies_token_is_taken_and_every_other_byte_stays(
    world, gateway, person, cookie, left
):
    token = world.issuer.token(person)
    answer = get(world, gateway, "/cookie/x", person, ("Cookie", cookie.format(token)))
    assert answer.status == 200, answer
    assert answer.seen("cookie") == left
    assert len(answer.seen("authorization")) == 1, "the exchanged token"


def test_cookies_on_several_lines_are_one_list(world, gateway, person):
    token = world.issuer.token(person)
    fields = [("Cookie", "a=1"), ("X-A", "1"), ("Cookie", f"session={token}"), ("cookie", "b=2;")]
    answer = get(world, gateway, "/cookie/x", person, *fields)
    assert answer.status == 200
    assert answer.seen("cookie") == ["a=1", "b=2;"]
    assert answer.seen("x-a") == ["1"]
    fields.append(("Cookie", f"c=3; session={token}"))
    refused(get(world, gateway, "/cookie/x", person, *fields), 400, "token_malformed")


def test_a_token_with_escapes_is_the_token_without(world, gateway, person):
    token = world.issuer.token(person)
    escaped = "".join(f"%{ord(c):02x}" if index % 3 == 0 else c for index, c in enumerate(token))
    first = get(world, gateway, "/cookie/x", person, ("Cookie", f"session={escaped}"))
    assert first.status == 200, first
    second = get(world, gateway, f"/query/x?access_token={escaped}", person)
    assert second.status == 200, second
    third = world.ask(gateway, "GET", "/x", person, token)
    assert third.status == 200
    assert [first.seen("authorization")] * 2 == [
        second.seen("authorization"),
        third.seen("authorization"),
    ], "one token, one exchange"
    for broken in ("%", "%4", "%zz", escaped + "%"):
        answer = get(world, gateway, "/cookie/x", person, ("Cookie", f"session={broken}"))
        refused(answer, 400, "token_malformed")


@pytest.mark.parametrize(
    "cookie", ["session=", "session", 'session=""', "other=1", "Session=x", ""]
)
def test_no_token_in_a_cookie_is_no_token(world, gateway, person, cookie):
    answer = get(world, gateway, "/cookie/x", person, ("Cookie", cookie))
    refused(answer, 401, "token_missing")
    assert answer.value("www-authenticate") == 'Bearer realm="localhost"'


@pytest.mark.parametrize("value", ["a b", "a,b", "a;b", "é", "\u00ff", "a%00b", "a%0d%0aX: 1"])
def test_a_broken_token_in_a_cookie_is_refused(world, gateway, person, value):
    answer = get(world, gateway, "/cookie/x", person, ("Cookie", f"session={value}"))
    assert answer.problem == "token_malformed"
    assert answer.status == (401 if value == "a;b" else 400)


def test_authorization_is_no_token_where_a_cookie_is_asked_for(world, gateway, person):
    token = world.issuer.token(person)
    refused(world.ask(gateway, "GET", "/cookie/x", person, token), 401, "token_missing")
    for value in ("Basic dXNlcjpwYXNz", f"Bearer {world.issuer.token('other')}"):
        fields = [("Cookie", f"session={token}"), ("Authorization", value)]
        answer = get(world, gateway, "/cookie/x", person, *fields)
        assert answer.status == 200
        assert "Basic" not in answer.seen("authorization")[0]


# -- from a query


@pytest.mark.parametrize(
    "query, left",
    [
        ("access_token={}", ""),
        ("access_token={}&a=1", "?a=1"),
        ("a=1&access_token={}", "?a=1"),
        ("a=1&access_token={}&b=2", "?a=1&b=2"),
        ("%61ccess%5Ftoken={}&a=%2f%3d&b", "?a=%2f%3d&b"),
        ("&&access_token={}&&", "?&&&"),
        ("ACCESS_TOKEN=1&access_token={}&access_tokens=2", "?ACCESS_TOKEN=1&access_tokens=2"),
        ("a=access_token=x&access_token={}", "?a=access_token=x"),
        ("a=b?access_token=1&access_token={}", "?a=b?access_token=1"),
    ],
)
def test_a_querys_token_is_taken_and_every_other_byte_stays(world, gateway, person, query, left):
    token = world.issuer.token(person)
    answer = get(world, gateway, "/query/x?" + query.format(token), person)
    assert answer.status == 200, answer
    assert answer.json()["target"] == "/query/x" + left
    record = gateway.logged(path="/query/x", status=200)
    assert "access_token" not in str(record)


def test_an_absolute_target_is_read_in_the_same_way(world, gateway, person):
    token = world.issuer.token(person)
    target = f"http://localhost/query/x?a&access_token={token}"
    answer = get(world, gateway, target, person)
    assert (answer.status, answer.json()["target"]) == (200, "/query/x?a")


@pytest.mark.parametrize("query", ["", "?", "?a=1", "?access_token", "?access_token=", "?token=x"])
def test_no_token_in_a_query_is_no_token(world, gateway, person, query):
    refused(get(world, gateway, "/query/x" + query, person), 401, "token_missing")


# -- several


def places(token, order):
    """A request's target and fields with a token at each of the places named."""
    query = "&".join(f"access_token={token}" for place in order if place == "query")
    fields = [("Cookie", f"session={token}") for place in order if place == "cookie"]
    fields += [("Authorization", f"Bearer {token}") for place in order if place == "header"]
    return f"/either/x?{query}", fields


@pytest.mark.parametrize("place", ["header", "cookie", "query"])
def test_any_of_several_places_will_do(world, gateway, person, place):
    target, fields = places(world.issuer.token(person), [place])
    answer = get(world, gateway, target, person, *fields)
    assert answer.status == 200
    assert len(answer.seen("authorization")) == 1
    assert answer.seen("cookie") == []
    private = answer.value("cache-control")
    assert private == (None if place == "header" else "private")


@pytest.mark.parametrize(
    "order",
    [
        ["header", "cookie"],
        ["header", "query"],
        ["cookie", "query"],
        ["cookie", "cookie"],
        ["query", "query"],
        ["header", "header"],
        ["header", "cookie", "query"],
    ],
    ids="+".join,
)
def test_two_tokens_are_refused_also_where_they_are_one(world, gateway, person, order):
    calls, seen = len(world.tokens.calls), len(world.upstream.requests)
    target, fields = places(world.issuer.token(person), order)
    answer = get(world, gateway, target, person, *fields)
    refused(answer, 400, "token_malformed")
    assert 'error="invalid_request"' in answer.value("www-authenticate")
    assert (len(world.tokens.calls), len(world.upstream.requests)) == (calls, seen)


def test_an_empty_occurrence_beside_a_token_counts(world, gateway, person):
    """Somebody behind might take the first and somebody else the last."""
    token = world.issuer.token(person)
    for cookie in (f"session=; session={token}", f"session={token}; session", "session=;session="):
        answer = get(world, gateway, "/cookie/x", person, ("Cookie", cookie))
        refused(answer, 400, "token_malformed")
    answer = get(world, gateway, f"/query/x?access_token=&access_token={token}", person)
    refused(answer, 400, "token_malformed")
    fields = [("Cookie", f"session={token}; __Host-s={token}")]
    refused(get(world, gateway, "/two/x", person, *fields), 400, "token_malformed")
    fields = [("Cookie", f"__Host-s={token}; a=1")]
    assert get(world, gateway, "/two/x", person, *fields).seen("cookie") == ["a=1"]


def test_another_scheme_in_the_header_is_no_token_beside_a_cookie(world, gateway, person):
    token = world.issuer.token(person)
    fields = [("Cookie", f"session={token}"), ("Authorization", "Basic dXNlcjpwYXNz")]
    answer = get(world, gateway, "/either/x", person, *fields)
    assert answer.status == 200
    assert answer.seen("authorization")[0].startswith("Bearer ")
    for value in ("Bearer", "Bearer a b"):
        fields = [("Cookie", f"session={token}"), ("Authorization", value)]
        refused(get(world, gateway, "/either/x", person, *fields), 400, "token_malformed")


# -- what goes on


def dirty(token):
    """The same caller's token in every place of the file, beside what is to stay."""
    return f"?a=1&access_token={token}&b", [
        ("Cookie", f"a=1; session={token}; __Host-s={token}; b=2"),
        ("Referer", f"http://localhost/page?access_token={token}"),
    ]


def test_every_place_is_removed_on_routes_that_do_not_look_there(world, gateway, person):
    """The harness fails the test where any part of the token goes on."""
    token = world.issuer.token(person)
    query, fields = dirty(token)
    answer = world.ask(gateway, "GET", "/x" + query, person, token, fields=fields)
    assert answer.status == 200
    assert answer.json()["target"] == "/x?a=1&b"
    assert answer.seen("cookie") == ["a=1; b=2"]
    assert answer.seen("referer") == []
    assert answer.value("cache-control") is None, "the token was in the header"


def test_a_public_route_forwards_no_token_from_any_place(world, gateway, person):
    query, fields = dirty(world.issuer.token(person))
    fields.append(("Authorization", f"Bearer {world.issuer.token(person)}"))
    answer = get(world, gateway, "/public/x" + query, person, *fields)
    assert answer.status == 200
    assert answer.json()["target"] == "/public/x?a=1&b"
    assert answer.seen("cookie") == ["a=1; b=2"]
    assert answer.seen("authorization") == answer.seen("referer") == []
    assert answer.value("cache-control") is None


def test_a_stripping_route_forwards_no_token_from_any_place(world, gateway, person):
    token = world.issuer.token(person)
    answer = get(world, gateway, "/strip/x?c", person, ("Cookie", f"session={token};d"))
    assert (answer.status, answer.json()["target"]) == (200, "/strip/x?c")
    assert answer.seen("cookie") == ["d"]
    assert answer.seen("authorization") == []


def test_where_no_route_looks_elsewhere_cookies_queries_and_referer_go_on(world, person):
    with world.gateway(world.routes(world.route("/*"))) as gateway:
        fields = [("Cookie", "session=1;;"), ("Referer", "http://x/?access_token=1")]
        token = world.issuer.token(person)
        answer = world.ask(gateway, "GET", "/x?access_token=1", person, token, fields=fields)
        assert answer.json()["target"] == "/x?access_token=1"
        assert answer.seen("cookie") == ["session=1;;"]
        assert answer.seen("referer") == ["http://x/?access_token=1"]


def test_a_referer_is_kept_where_tokens_are_in_cookies_only(world, person):
    """It can't hold a cookie; but a request with a cookie's token sends none on."""
    routes = world.routes(
        world.route("/*"), world.route("/cookie/*", authenticate={"from": "cookie:session"})
    )
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        referer = ("Referer", "http://localhost/page")
        answer = world.ask(gateway, "GET", "/x", person, token, fields=[referer])
        assert answer.seen("referer") == ["http://localhost/page"]
        fields = [referer, ("Cookie", f"session={token}")]
        answer = get(world, gateway, "/cookie/x", person, *fields)
        assert (answer.status, answer.seen("referer")) == (200, [])


@pytest.mark.parametrize("place", ["header", "cookie", "query"])
def test_a_passed_through_token_goes_on_in_its_own_place_only(world, gateway, person, place):
    token, other = world.issuer.token(person), world.issuer.token("other")
    query, fields = "?a=1", [("Cookie", f"__Host-s={other}; c=1"), ("Referer", "http://a/")]
    if place == "header":
        fields.append(("Authorization", f"Bearer {token}"))
    if place == "cookie":
        fields.append(("Cookie", f"b=1; session={token}"))
    if place == "query":
        query += f"&access_token={token}"
    if place != "header":
        fields.append(("Authorization", "Basic dXNlcjpwYXNz"))
    answer = get(world, gateway, "/pass/x" + query, person, *fields)
    assert answer.status == 200, answer
    assert answer.json()["target"] == "/pass/x" + query
    assert answer.seen("authorization") == ([f"Bearer {token}"] if place == "header" else [])
    cookies = ["c=1"] + ([f"b=1; session={token}"] if place == "cookie" else [])
    assert answer.seen("cookie") == cookies
    assert answer.seen("referer") == []


def test_a_connection_forgets_the_place_of_the_request_before(world, gateway, person):
    token = world.issuer.token(person)
    by_cookie = {"fields": [("Cookie", f"session={token}")]}
    by_query = {"fields": []}
    with Connection(gateway.port) as connection:
        for _ in range(2):
            answer = connection.request("GET", "/either/x", person, **by_cookie)
            assert answer.value("cache-control") == "private"
            answer = connection.request("GET", "/x", person, token)
            assert answer.value("cache-control") is None
            target = "/either/x?access_token=" + token.replace(".", "%2E")
            answer = connection.request("GET", target, person, **by_query)
            assert answer.value("cache-control") == "private"
            answer = connection.request("GET", "/x", person, world.issuer.token(person))
            assert answer.status == 200
            assert connection.request("GET", "/x", person).problem == "token_missing"


# -- caches


@pytest.mark.parametrize(
    "given, seen",
    [
        ([], "private"),
        (["max-age=60"], "private,max-age=60"),
        (["public, max-age=60"], "private,max-age=60"),
        (["PUBLIC", "S-MaxAge=9, s-maxage=9 , must-revalidate"], "private,must-revalidate"),
        (["no-store"], "private,no-store"),
        (["private"], "private"),
        (['no-cache="a, public", publicity, private="x", ,'],
         'private,no-cache="a, public",publicity'),
        (['ext="a\\", public'], 'private,ext="a\\", public'),
        (["", ","], "private"),
    ],
    ids=str,
)  # fmt: skip
def test_only_the_callers_own_cache_may_keep_an_answer(world, gateway, person, given, seen):
    @world.upstream.on("/cookie/cached")
    def cached(exchange):
        exchange.read_body()
        fields = [("Cache-Control", value) for value in given]
        exchange.answer(200, b"x", [("ETag", '"1"'), *fields, ("X-Last", "1")])

    token = world.issuer.token(person)
    answer = get(world, gateway, "/cookie/cached", person, ("Cookie", f"session={token}"))
    assert answer.values("cache-control") == [seen]
    assert (answer.value("etag"), answer.value("x-last"), answer.body) == ('"1"', "1", b"x")


@pytest.mark.parametrize("status", [204, 206, 301, 304, 404, 500])
def test_only_good_answers_are_made_private(world, gateway, person, status):
    @world.upstream.on("/query/status")
    def other(exchange):
        exchange.read_body()
        exchange.answer(status, b"", [("Cache-Control", "public")])

    target = f"/query/status?access_token={world.issuer.token(person)}"
    answer = get(world, gateway, target, person)
    assert answer.status == status
    assert answer.values("cache-control") == ["private" if status < 300 else "public"]


def test_the_gateways_own_answer_is_private_too(world, gateway, person):
    token = world.issuer.token(person)
    answer = get(world, gateway, "/own/x", person, ("Cookie", f"session={token}"))
    assert answer.values("cache-control") == ["private,max-age=5"]
    assert (answer.value("x-own"), answer.body) == ("1", b"own")
    answer = world.ask(gateway, "GET", "/own/x", person, token)
    assert answer.values("cache-control") == ["public, max-age=5"]


# -- other people's pages


def from_page(
    world, gateway, person, origins, method="POST", port=None, tls=None, fields=(), **more
):
    token = world.issuer.token(person)
    fields = [("Cookie", f"session={token}"), *fields]
    fields += [("Origin", origin) for origin in origins]
    if port is None:
        return get(world, gateway, "/cookie/x", person, *fields, method=method, **more)
    with Connection(port, tls) as connection:
        return connection.request(method, "/cookie/x", person, fields=fields, **more)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_what_may_change_something_needs_the_requests_own_origin(world, gateway, person, method):
    calls, seen = len(world.tokens.calls), len(world.upstream.requests)
    for origins in (
        [],
        ["null"],
        ["https://localhost"],
        ["http://localhost:81"],
        ["http://evil.example"],
        ["http://localhost.evil.example"],
        ["http://xlocalhost"],
        ["http://localhost@evil.example"],
        ["localhost"],
        ["http://"],
        ["http:localhost"],
        ["http://localhost http://evil.example"],
        ["http://localhost, http://evil.example"],
        ["http://localhost/"],
        ["http://localhost", "http://localhost"],
        ["http://evil.example", "http://localhost"],
        [""],
    ):
        answer = from_page(world, gateway, person, origins, method)
        refused(answer, 403, "origin_refused")
    assert (len(world.tokens.calls), len(world.upstream.requests)) == (calls, seen)
    for origins in (["http://localhost"], ["HTTP://LOCALHOST"], ["http://localhost:80"]):
        assert from_page(world, gateway, person, origins, method).status == 200, origins
    assert gateway.logged(reason="origin_refused")["status"] == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_needs_none(world, gateway, person, method):
    for origins in ([], ["null"], ["http://evil.example"]):
        assert from_page(world, gateway, person, origins, method).status == 200


def test_an_upgrade_needs_one_too(world, gateway, person):
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    for origins in ([], ["http://evil.example"]):
        answer = from_page(world, gateway, person, origins, "GET", fields=upgrade)
        refused(answer, 403, "origin_refused")
    answer = from_page(world, gateway, person, ["http://localhost"], "GET", fields=upgrade)
    assert answer.status == 200


def test_the_own_origin_has_the_hosts_name_and_port(world, gateway, person):
    for host, origin, fits in (
        ("api.example", "http://api.example", True),
        ("api.example", "http://localhost", False),
        ("API.example.:80", "http://api.example", True),
        ("api.example:8080", "http://api.example:8080", True),
        ("api.example:8080", "http://api.example", False),
        ("[::1]:8080", "http://[0:0::1]:8080", True),
    ):
        answer = from_page(world, gateway, person, [origin], host=host)
        assert answer.status == (200 if fits else 403), (host, origin)


def test_the_own_origin_has_the_listeners_scheme(world, gateway, person):
    tls = {"port": gateway.ports["tls"], "tls": world.tls}
    assert from_page(world, gateway, person, ["https://localhost"], **tls).status == 200
    answer = from_page(world, gateway, person, ["http://localhost"], **tls)
    refused(answer, 403, "origin_refused")


def test_tokens_from_header_and_query_need_no_origin(world, gateway, person):
    """No browser sends those along by itself."""
    token = world.issuer.token(person)
    evil = [("Origin", "http://evil.example")]
    answer = world.ask(gateway, "POST", "/either/x", person, token, fields=evil)
    assert answer.status == 200
    target = f"/either/x?access_token={token}"
    assert get(world, gateway, target, person, *evil, method="POST").status == 200


@pytest.mark.parametrize("trusts", [True, False])
def test_behind_a_trusted_proxy_the_origin_is_what_the_proxy_was_asked_for(world, person, trusts):
    routes = world.routes(
        world.route("/cookie/*", authenticate={"from": "cookie:session"}),
        trustedProxies=["127.0.0.0/8"] if trusts else [],
    )
    with world.gateway(routes) as gateway:
        for fields, origin, trusted, direct in (
            ([("X-Forwarded-Proto", "https")], "https://localhost", True, False),
            ([("X-Forwarded-Proto", "https")], "http://localhost", False, True),
            ([("X-Forwarded-Host", "www.example")], "http://www.example", True, False),
            ([("X-Forwarded-Host", "www.example")], "http://localhost", False, True),
            ([("X-Forwarded-Host", "a, b")], "http://localhost", False, True),
        ):
            answer = from_page(world, gateway, person, [origin], fields=fields)
            fits = trusted if trusts else direct
            assert answer.status == (200 if fits else 403), (fields, origin)


# -- real clients


def test_a_session_of_requests_sends_its_cookie(world, gateway, person):
    url = f"http://localhost:{gateway.port}"
    with requests.Session() as session:
        session.headers["X-Test-Person"] = person
        session.cookies.set("session", world.issuer.token(person), domain="localhost.local")
        session.cookies.set("theme", "dark", domain="localhost.local")
        seen = session.get(f"{url}/cookie/x", timeout=20)
        assert seen.status_code == 200, seen.text
        fields = {name.lower(): value for name, value in seen.json()["fields"]}
        assert fields["cookie"] == "theme=dark"
        assert session.post(f"{url}/cookie/x", timeout=20).status_code == 403
        own = {"Origin": url}
        assert session.post(f"{url}/cookie/x", headers=own, timeout=20).status_code == 200
        query = {"access_token": world.issuer.token(person), "q": "a b&c"}
        session.cookies.clear()
        seen = session.get(f"{url}/query/x", params=query, timeout=20).json()
        assert seen["target"] == "/query/x?q=a+b%26c"


def test_curl_with_a_cookie_and_with_a_query(world, gateway, person):
    token = world.issuer.token(person)
    url = f"http://127.0.0.1:{gateway.port}"
    who = ["-H", f"X-Test-Person: {person}"]
    for arguments in (
        ["-b", f"a=1; session={token}", f"{url}/cookie/x"],
        ["-G", "--data-urlencode", f"access_token={token}", f"{url}/query/x"],
    ):
        command = ["curl", "-sS", "--noproxy", "*", "--fail", *who, *arguments]
        run = subprocess.run(command, capture_output=True, timeout=20)
        assert run.returncode == 0, run.stderr


# -- however it is cut


def test_the_place_is_found_however_the_head_arrives(world, gateway, person):
    token = world.issuer.token(person)
    fields = [("Cookie", f"a=1; session={token}; b=2")]
    whole = request_bytes("GET", "/cookie/x?access_token=1&q", person, fields=fields)
    start, end = whole.index(b"Cookie"), whole.index(b"\r\n\r\n")
    for cut in [10, 30, *range(start, start + 30), *range(end - 12, end + 3)]:
        with Connection(gateway.port) as connection:
            connection.send(whole[:cut])
            connection.send(whole[cut:])
            answer = connection.answer()
            assert (answer.status, answer.seen("cookie")) == (200, ["a=1; b=2"])
            assert answer.json()["target"] == "/cookie/x?q"


def test_many_cookies_and_parameters_are_forwarded_as_they_are(world, gateway, person):
    token = world.issuer.token(person)
    cookies = [f"c{number}=" + "%2e" * (number % 20) for number in range(150)]
    query = [f"q{number}=" + urllib.parse.quote("&;=" * (number % 5)) for number in range(150)]
    fields = [("Cookie", "; ".join(cookies + [f"session={token}"]))]
    answer = get(world, gateway, "/cookie/x?" + "&".join(query), person, *fields)
    assert answer.status == 200, answer
    assert answer.seen("cookie") == ["; ".join(cookies)]
    assert answer.json()["target"] == "/cookie/x?" + "&".join(query)
