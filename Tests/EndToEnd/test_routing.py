"""Which route a request takes, and what becomes of its path."""

import pytest
from harness.client import Connection, ask

ROUTES = {
    "/orders/*": {},
    "/orders/{id}/lines": {},
    "/orders/special": {},
    "/exact": {},
    "/read": {"methods": ["GET"]},
    "/both": {"methods": ["GET"]},
    "/versioned": {"headers": {"x-version": "2"}},
    "/hosted/*": {"host": "api.example"},
    "/wild/*": {"host": "*.example"},
}


def respond(name, **match):
    return {
        "name": name,
        "match": match,
        "authenticate": "none",
        "respond": {"status": 200, "headers": {"X-Route": name}, "body": name},
    }


@pytest.fixture(scope="module")
def gateway(world):
    routes = [respond(path, path=path, **match) for path, match in ROUTES.items()]
    routes += [
        respond("both-post", path="/both", methods=["POST", "PUT"]),
        respond("versioned-any", path="/versioned"),
        respond("hosted-default", path="/hosted/*"),
        respond("hosted-deeper", path="/hosted/deep/er"),
        respond("only-second", path="/listened", listeners=["second"]),
        respond("any-listener", path="/listened"),
        respond("second-only", path="/second-only", listeners=["second"]),
        respond("merge", path="/merge/a/b"),
        respond("root", path="/root/*"),
    ]
    for rule, value in (
        ("encodedSlash", "keep"), ("parameters", "keep"), ("emptySegments", "keep"),
        ("ignoreCase", True), ("emptySegments", "reject"),
    ):  # fmt: skip
        name = f"{rule}-{value}".lower()
        routes.append(world.route(f"/{name}/*", name=name, pathRules={rule: value}))
    routes.append(world.route("/paths/*"))
    second = {"name": "second", "address": "127.0.0.1:0"}
    with world.gateway(
        world.routes(*routes, listeners=[world.clear_listener, second])
    ) as gateway:
        yield gateway


def route(gateway, target, method="GET", listener=None, **more):
    port = gateway.ports[listener] if listener else gateway.port
    answer = ask(port, method, target, **more)
    return answer.value("x-route") if answer.status == 200 else answer.status


@pytest.mark.parametrize(
    "target, name",
    [
        ("/orders", "/orders/*"),
        ("/orders/", "/orders/*"),
        ("/orders/1", "/orders/*"),
        ("/orders/1/2/3", "/orders/*"),
        ("/orders/1/lines", "/orders/{id}/lines"),
        ("/orders/special", "/orders/special"),
        ("/orders/special/", "/orders/special"),
        ("/orders/special/x", "/orders/*"),
        ("/orders/special/lines", "/orders/{id}/lines"),
        ("/exact", "/exact"),
        ("/exact/", "/exact"),
        ("/exact/x", 404),
        ("/exactly", 404),
        ("/ordersx", 404),
        ("/Exact", 404),
        ("/exact?x=/orders", "/exact"),
        ("/%65xact", "/exact"),
        ("/./exact", "/exact"),
        ("/a/../exact", "/exact"),
        ("/a/%2e%2e/exact", "/exact"),
        ("//exact", "/exact"),
        ("/merge//a///b", "merge"),
        ("/", 404),
    ],
)
def test_the_most_specific_path_wins(gateway, target, name):
    assert route(gateway, target) == name


def test_a_method_that_a_path_lacks_is_told(gateway):
    answer = ask(gateway.port, "DELETE", "/both")
    assert (answer.status, answer.problem) == (405, "method_not_allowed")
    allowed = {method.strip() for method in answer.value("allow").split(",")}
    assert {"GET", "HEAD", "POST", "PUT"} <= allowed and "DELETE" not in allowed
    assert ask(gateway.port, "POST", "/read").status == 405


def test_methods_choose_among_routes_of_a_path(gateway):
    assert route(gateway, "/both") == "/both"
    assert route(gateway, "/both", "POST") == "both-post"
    assert ask(gateway.port, "HEAD", "/both").value("x-route") == "/both"


def test_headers_choose_among_routes_of_a_path(gateway):
    assert route(gateway, "/versioned", fields=[("X-Version", "2")]) == "/versioned"
    assert route(gateway, "/versioned", fields=[("X-Version", "3")]) == "versioned-any"
    assert route(gateway, "/versioned") == "versioned-any"


@pytest.mark.parametrize(
    "host, target, name",
    [
        ("api.example", "/hosted/x", "/hosted/*"),
        ("API.Example.", "/hosted/x", "/hosted/*"),
        ("api.example:80", "/hosted/x", "/hosted/*"),
        ("other.test", "/hosted/x", "hosted-default"),
        # Within the most specific host that has any match: deeper paths elsewhere do not count.
        ("api.example", "/hosted/deep/er", "/hosted/*"),
        ("other.test", "/hosted/deep/er", "hosted-deeper"),
        ("a.example", "/wild/x", "/wild/*"),
        ("a.b.example", "/wild/x", 404),
        ("example", "/wild/x", 404),
        # This host has routes, but none that matches: the next less specific host is looked at.
        ("api.example", "/exact", "/exact"),
    ],
)
def test_the_most_specific_host_wins(gateway, host, target, name):
    assert route(gateway, target, host=host) == name


def test_a_route_of_one_listener_comes_before_one_of_all(gateway):
    assert route(gateway, "/listened") == "any-listener"
    assert route(gateway, "/listened", listener="second") == "only-second"
    assert route(gateway, "/second-only") == 404
    assert route(gateway, "/second-only", listener="second") == "second-only"


def test_no_route_is_told_without_naming_any(gateway):
    answer = ask(gateway.port, "GET", "/nowhere")
    assert (answer.status, answer.problem) == (404, "no_route")
    assert b"orders" not in answer.body


@pytest.mark.parametrize(
    "sent, forwarded",
    [
        ("/paths/a%2Db%7Ec", "/paths/a-b~c"),
        ("/paths/x/../y", "/paths/y"),
        ("/paths/./x/%2E", "/paths/x/"),
        ("/paths//x", "/paths/x"),
        ("/paths/%c3%a9", "/paths/%C3%A9"),
        ("/paths/a%20b", "/paths/a%20b"),
        ("/paths/x?q=a%2Fb/../c;d//", "/paths/x?q=a%2Fb/../c;d//"),
        ("/encodedslash-keep/a%2fb", "/encodedslash-keep/a%2Fb"),
        ("/parameters-keep/a;v=1/b", "/parameters-keep/a;v=1/b"),
        ("/emptysegments-keep//a//b", "/emptysegments-keep//a//b"),
        ("/IgnoreCase-True/X", "/IgnoreCase-True/X"),
    ],
)
def test_the_normalised_path_is_the_one_forwarded(world, gateway, person, sent, forwarded):
    answer = world.ask(gateway, "GET", sent, person)
    assert answer.status == 200, answer
    assert answer.json()["target"] == forwarded


@pytest.mark.parametrize(
    "target",
    [
        "/paths/a%2Fb",
        "/paths/a;b",
        "/paths/a;v=1/b",
        "/emptysegments-reject//x",
        "/paths/a\\b",
        "/paths/a%5Cb",
        "/paths/a%255Cb",
        "/paths/%00",
        "/paths/%0a",
        "/paths/%7f",
        "/paths/%250d",
        "/paths/%252e%252e/x",
        "/paths/%252Fx",
        "/paths/../../etc",
        "/..",
        "/paths/%zz",
        "/paths/%2",
        "/paths/%",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(world, gateway, person, target):
    answer = world.ask(gateway, "GET", target, person)
    assert (answer.status, answer.problem) == (400, "malformed_request")
    assert world.upstream.seen(person=person) == []


def test_one_connection_serves_many_routes(gateway):
    with Connection(gateway.port) as connection:
        for target in ("/exact", "/orders/1", "/nowhere", "/exact"):
            status = connection.request("GET", target).status
            assert status == (404 if target == "/nowhere" else 200)
