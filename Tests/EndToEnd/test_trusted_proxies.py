"""What is believed of a proxy in front that the routes file trusts."""

import pytest
from harness.client import Connection


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes(trustedProxies=["127.0.0.0/8", "10.0.0.0/8"])) as gateway:
        yield gateway


def test_a_trusted_proxys_list_goes_on_with_the_peer_added(world, gateway, person):
    fields = [("X-Forwarded-For", "192.0.2.7, 203.0.113.9"), ("X-Forwarded-For", "10.1.2.3")]
    answer = world.ask(gateway, "GET", "/list", person, fields=fields)
    joined = ", ".join(answer.seen("x-forwarded-for")).replace(", ", ",")
    assert joined == "192.0.2.7,203.0.113.9,10.1.2.3,127.0.0.1"


def test_the_client_is_the_rightmost_address_that_is_not_trusted(world, gateway, person):
    fields = [("X-Forwarded-For", "192.0.2.7, 203.0.113.9, 10.1.2.3")]
    world.ask(gateway, "GET", "/who", person, fields=fields)
    assert gateway.logged(path="/who")["client"] == "203.0.113.9"


def test_a_trusted_proxys_host_and_scheme_go_on(world, gateway, person):
    fields = [("X-Forwarded-Host", "outer.example"), ("X-Forwarded-Proto", "https")]
    answer = world.ask(gateway, "GET", "/outer", person, fields=fields)
    assert answer.seen("x-forwarded-host") == ["outer.example"]
    assert answer.seen("x-forwarded-proto") == ["https"]


def test_a_trusted_proxys_request_id_is_kept_where_it_is_well_formed(world, gateway, person):
    for given, kept in (("abc-DEF_1.2", True), ("x" * 129, False), ("a b", False), ("", False)):
        fields = [("X-Request-Id", given)]
        seen = world.ask(gateway, "GET", "/id", person, fields=fields).seen("x-request-id")
        assert len(seen) == 1
        assert (seen[0] == given) == kept, given


def test_forwarded_is_dropped_from_everybody(world, gateway, person):
    fields = [("Forwarded", "for=192.0.2.1")]
    assert world.ask(gateway, "GET", "/f", person, fields=fields).seen("forwarded") == []


def test_a_forwarded_host_never_chooses_the_route(world, person):
    other = world.route("/*", forward={"host": "inner.example"})
    other["match"] = {"path": "/*", "host": "inner.example"}
    routes = world.routes(world.route("/*"), other, trustedProxies=["127.0.0.1/32"])
    with world.gateway(routes) as gateway, Connection(gateway.port) as connection:
        token = world.issuer.token(person)
        fields = [("X-Forwarded-Host", "inner.example")]
        answer = connection.request("GET", "/", person, token, fields, host="outer.example")
        assert answer.seen("host") == [f"127.0.0.1:{world.upstream.port}"]
