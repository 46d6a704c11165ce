"""An issuer's metadata where its keys don't come from them, but a token endpoint does."""

import socket

import pytest
from harness.waiting import until


@pytest.fixture
def issuer(world):
    yield world.issuer
    world.issuer.discovery_changes = {}


def routes_of(world, **issuer):
    """A route that needs the issuer's metadata, and one that does not."""
    routes = world.routes(
        world.route("/x/*"), world.route("/own", authenticate={"claims": {"iss": world.issuer.url}})
    )
    routes["routes"][1] |= {"exchange": "strip", "respond": {"status": 204}}
    del routes["routes"][1]["forward"]
    routes["issuers"]["corp"] |= {"jwks": world.issuer.url + "/jwks", "timeout": "1s"} | issuer
    routes["exchanges"]["corp"]["tokenService"] = "corp"
    return routes


def test_a_token_endpoint_that_can_not_be_had_is_asked_for_again_soon(world, issuer, person):
    """And not when the keys are due."""
    issuer.discovery_changes = {"token_endpoint": "http://10.0.0.1/not-secure"}
    fetched = issuer.fetched()
    with world.gateway(routes_of(world)) as gateway:
        assert world.ask(gateway, "GET", "/own", person).status == 204
        assert world.ask(gateway, "GET", "/x", person).problem == "exchange_unavailable"
        issuer.discovery_changes = {}
        until(lambda: world.ask(gateway, "GET", "/x", person).status == 200, "an exchange", 20)
        assert issuer.fetched() == fetched + 1
        said = gateway.err.read_text()
    assert said.count("discovery failed") == 1


def test_metadata_that_never_come_keep_nobody_from_the_keys(world, person):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with world.gateway(routes_of(world, discovery=url)) as gateway:
            assert world.ask(gateway, "GET", "/own", person).status == 204
            assert world.ask(gateway, "GET", "/x", person).problem == "exchange_unavailable"
