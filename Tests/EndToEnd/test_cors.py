"""Pages of other origins: what a browser is told, header by header (Fetch, "CORS protocol")."""

import pytest
from harness.client import Connection, ask

APP = "https://app.example"
LOCAL = "http://localhost:3000"
EVIL = "https://evil.example"
OWN = {
    "origins": [APP, LOCAL],
    "methods": ["GET", "PUT"],
    "headers": ["Authorization", "X-Trace"],
    "exposeHeaders": ["X-Total", "Link"],
    "credentials": True,
    "maxAge": "5m",
}


@pytest.fixture(scope="module")
def gateway(world):
    public = {"authenticate": "none", "forward": {"to": world.upstream.url}}
    routes = world.routes(
        world.route("/own/*", cors=OWN),
        world.route("/small/*", match={"path": "/small/*", "methods": ["GET", "DELETE"]},
                    cors={"origins": APP}),
        world.route("/small/*", match={"path": "/small/*", "methods": ["PUT"]}, name="no-cors"),
        world.route("/theirs/*", cors="upstream",
                    authenticate={"from": ["header", "cookie:session", "query:token"]}),
        world.route("/passed/*", cors="upstream", exchange="passthrough"),
        world.route("/cookie/*", cors=OWN, authenticate={"from": ["cookie:session"]}),
        world.route("/star-cookie/*", cors={"origins": "*"},
                    authenticate={"from": ["cookie:session"]}),
        world.route("/none/*"),
        {"match": {"path": "/any/*"}, "cors": {"origins": "*", "headers": "*"}} | public,
        {"match": {"path": "/fixed"}, "cors": OWN, "authenticate": "none",
         "respond": {"body": "x", "headers": {"Vary": "Accept"}}},
        {"match": {"path": "/gone"}, "cors": OWN, "authenticate": "none",
         "redirect": {"to": "/fixed"}},
        {"match": {"path": "/options", "methods": ["OPTIONS"]}, "authenticate": "none",
         "respond": {"status": 200, "body": "mine"}},
        world.route("/options"),
        world.route("/down/*", cors=OWN, forward={"to": "http://127.0.0.1:9", "retries": 0}),
        world.route("/counted/*", cors=OWN, rateLimit={"requests": 2, "per": "1h", "by": "ip"}),
    )  # fmt: skip
    world.upstream.promise.kinds["/any"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


def cors(answer):
    """What a browser looks at, each name in lower case and once."""
    found = [
        (name.lower(), value)
        for name, value in answer.fields
        if name.lower().startswith("access-control-")
    ]
    assert len(found) == len({name for name, _ in found}), found
    return dict(found)


def preflight(gateway, path, method="PUT", origin=APP, **more):
    fields = [("Origin", origin), ("Access-Control-Request-Method", method),
              *more.pop("fields", [])]  # fmt: skip
    return ask(gateway.port, "OPTIONS", path, fields=fields, **more)


# -- preflights


@pytest.mark.parametrize("origin", [APP, LOCAL, "HTTPS://APP.example"])
def test_a_preflight_of_a_named_origin_is_told_everything(world, gateway, origin):
    before = len(world.upstream.requests)
    asked = [("Access-Control-Request-Headers", "authorization,x-trace")]
    answer = preflight(gateway, "/own/x", origin=origin, fields=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert cors(answer) == {
        "access-control-allow-origin": origin.lower(),
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "Authorization, X-Trace",
        "access-control-max-age": "300",
    }
    assert answer.values("vary") == ["Origin"]
    assert answer.value("content-length") is None and answer.value("www-authenticate") is None
    assert len(world.upstream.requests) == before, "the gateway answers it alone"


@pytest.mark.parametrize("origin", [EVIL, "null", APP + ".evil.example", APP + ":444", "x", "*"])
def test_a_preflight_of_another_origin_is_told_nothing(gateway, origin):
    answer = preflight(gateway, "/own/x", origin=origin)
    assert answer.status == 204 and cors(answer) == {}
    assert answer.values("vary") == ["Origin"]


def test_two_origins_are_nobodys(gateway):
    answer = preflight(gateway, "/own/x", fields=[("Origin", EVIL)])
    assert cors(answer) == {}


def test_a_preflight_is_routed_by_the_method_it_asks_for(gateway):
    answer = preflight(gateway, "/small/x", "DELETE")
    assert answer.status == 204
    allowed = cors(answer)["access-control-allow-methods"]
    assert allowed == "GET, DELETE, HEAD" or set(allowed.split(", ")) == {"GET", "HEAD", "DELETE"}
    assert cors(answer)["access-control-allow-headers"] == "Authorization, Content-Type"
    assert cors(answer)["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in cors(answer)
    # The route for PUT says nothing of other origins, so it is an ordinary OPTIONS request.
    assert preflight(gateway, "/small/x", "PUT").status == 405
    assert preflight(gateway, "/small/x", "PATCH").status == 405
    assert preflight(gateway, "/none/x", "GET").status == 401


def test_options_that_is_no_preflight_is_an_ordinary_request(gateway):
    for fields in ([], [("Origin", APP)], [("Access-Control-Request-Method", "GET")],
                   [("Origin", APP), ("Access-Control-Request-Method", "")]):  # fmt: skip
        assert ask(gateway.port, "OPTIONS", "/own/x", fields=fields).status == 401, fields


def test_a_route_for_options_of_ones_own_still_answers(gateway):
    answer = preflight(gateway, "/options", "GET")
    assert (answer.status, answer.body) == (200, b"mine")


def test_any_origin_may_be_allowed(gateway):
    answer = preflight(gateway, "/any/x", "PATCH", EVIL)
    assert cors(answer) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        # Fetch: the star does not stand for Authorization.
        "access-control-allow-headers": "*, Authorization",
        "access-control-max-age": "600",
    }


def test_a_preflight_keeps_the_connection(gateway):
    with Connection(gateway.port) as connection:
        fields = [("Origin", APP), ("Access-Control-Request-Method", "GET")]
        for _ in range(3):
            assert connection.request("OPTIONS", "/own/x", fields=fields).status == 204


@pytest.mark.parametrize("by", ["ip", "route", "header:X-Key"])
def test_preflights_count_by_who_sends_them(world, by):
    """Not by the route, whose service they don't reach, nor by a field that no preflight has."""
    limit = {"requests": 2, "per": "1h", "by": by}
    routes = world.routes(
        {"match": {"path": "/counted"}, "cors": OWN, "rateLimit": limit,
         "authenticate": "none", "respond": {"body": "x"}}
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        answers = [preflight(gateway, "/counted") for _ in range(4)]
        own = ask(gateway.port, "GET", "/counted", fields=[("Origin", APP)])
    if by == "ip":
        assert [answer.status for answer in answers] == [204, 204, 429, 429]
        assert answers[-1].problem == "rate_limited"
        assert cors(answers[-1])["access-control-allow-origin"] == APP
        assert own.status == 429, "they count together"
    else:
        assert [answer.status for answer in answers] == [204] * 4
        assert own.status == 200


# -- the requests themselves


def test_an_answer_says_who_may_read_it(world, gateway, person):
    @world.upstream.on("/own/answer")
    def answered(exchange):
        exchange.read_body()
        fields = [("Access-Control-Allow-Origin", "*"), ("Vary", "Accept-Encoding"),
                  ("Access-Control-Allow-Private-Network", "true"), ("X-Total", "7"),
                  ("access_control_allow_origin", EVIL)]  # fmt: skip
        exchange.answer(200, b"x", fields)

    answer = world.ask(gateway, "GET", "/own/answer", person, fields=[("Origin", APP)])
    assert cors(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total, Link",
    }
    assert answer.values("access_control_allow_origin") == []
    assert answer.values("vary") == ["Accept-Encoding", "Origin"]
    for origin in ([("Origin", EVIL)], [], [("Origin", "null")]):
        answer = world.ask(gateway, "GET", "/own/answer", person, fields=origin)
        assert cors(answer) == {} and answer.values("vary") == ["Accept-Encoding", "Origin"]
        assert answer.value("x-total") == "7"
    assert world.upstream.seen("/own/answer", person)[0].values("origin") == [APP]


def test_refusals_can_be_read_too(world, gateway, person):
    origin = [("Origin", APP)]
    told = {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total, Link",
    }
    refused = [
        (ask(gateway.port, "GET", "/own/x", fields=origin), 401),
        (ask(gateway.port, "GET", "/own/x", token="x.y.z", fields=origin), 401),
        (world.ask(gateway, "GET", "/down/x", person, fields=origin), 503),
        (ask(gateway.port, "GET", "/own/a%2Fb", fields=origin), 400),
        (ask(gateway.port, "TRACE", "/own/x", fields=origin), 405),
    ]
    for answer, status in refused:
        assert answer.status == status, answer
        assert cors(answer) == told, answer
        assert answer.values("vary") == ["Origin"]
    answer = ask(gateway.port, "GET", "/own/x", fields=[("Origin", EVIL)])
    assert answer.status == 401 and cors(answer) == {} and answer.values("vary") == ["Origin"]


def test_the_gateways_own_answers_can_be_read_too(gateway):
    for path, status in (("/fixed", 200), ("/gone", 308)):
        answer = ask(gateway.port, "GET", path, fields=[("Origin", LOCAL)])
        assert answer.status == status
        assert cors(answer)["access-control-allow-origin"] == LOCAL
        assert answer.values("vary")[-1] == "Origin"


def test_too_many_requests_can_be_read(world, gateway, person):
    fields = [("Origin", APP)]
    statuses = [
        world.ask(gateway, "GET", "/counted/x", person, fields=fields) for _ in range(3)
    ]
    assert [answer.status for answer in statuses] == [200, 200, 429]
    assert cors(statuses[2])["access-control-allow-origin"] == APP


def test_other_routes_say_nothing(world, gateway, person):
    answer = world.ask(gateway, "GET", "/none/x", person, fields=[("Origin", APP)])
    assert cors(answer) == {} and answer.values("vary") == []


# -- a service that answers for itself


def test_the_services_own_preflight_goes_on_without_a_token(world, gateway, person):
    for prefix in ("/theirs", "/passed"):
        path = f"{prefix}/preflight"
        world.upstream.promise.kinds[path] = "none"

        @world.upstream.on(path)
        def answered(exchange):
            exchange.read_body()
            exchange.answer(200, b"", [("Access-Control-Allow-Origin", "https://theirs.example")])

        token = world.issuer.token(person)
        fields = [("Cookie", f"session={token}; a=b"), ("Authorization", f"Bearer {token}")]
        answer = preflight(gateway, f"{path}?token={token}&b=c", fields=fields)
        assert answer.status == 200
        assert cors(answer) == {"access-control-allow-origin": "https://theirs.example"}
        assert answer.values("vary") == []
        seen = world.upstream.seen(path)[-1]
        assert seen.method == "OPTIONS" and seen.target == f"{path}?b=c"
        assert seen.values("authorization") == [] and seen.values("cookie") == ["a=b"]
        assert seen.values("access-control-request-method") == ["PUT"]
    answer = ask(gateway.port, "GET", "/theirs/x", fields=[("Origin", APP)])
    assert answer.status == 401 and cors(answer) == {}


# -- tokens in cookies


def test_a_named_origin_may_use_the_cookie(world, gateway, person):
    def post(path, origin):
        token = world.issuer.token(person)
        fields = [("Cookie", f"session={token}"), ("Origin", origin)]
        return ask(gateway.port, "POST", path, person, fields=fields, body=b"x")

    assert post("/cookie/x", APP).status == 200
    assert post("/cookie/x", LOCAL).status == 200
    for origin in (EVIL, "null"):
        answer = post("/cookie/x", origin)
        assert (answer.status, answer.problem) == (403, "origin_refused")
    # A star says who may read, and not who may act in the cookie's owner's name.
    assert post("/star-cookie/x", EVIL).problem == "origin_refused"
    assert post("/star-cookie/x", "http://localhost").status == 200


def test_a_preflight_with_content_is_none(world):
    """No browser sends one, and a service may do what content says."""
    routes = world.routes(world.route("/full/*", cors="upstream"))
    fields = [
        ("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"),
        ("X-HTTP-Method-Override", "POST"),
    ]  # fmt: skip
    with world.gateway(routes) as gateway:
        answer = ask(gateway.port, "OPTIONS", "/full/x", fields=fields, body=b"do=it")
        assert (answer.status, answer.problem) == (401, "token_missing")
    assert not world.upstream.seen("/full/x")
