"""The admin address: alive, ready, what is missing, and who may ask."""

import http.client

import pytest
from harness.issuer import AUDIENCE, Issuer
from harness.waiting import free_port, until


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes()) as gateway:
        yield gateway


def test_a_running_gateway_is_alive_and_ready(gateway):
    assert gateway.admin("/livez")[0] == 200
    assert gateway.admin("/readyz")[0] == 200


def test_head_is_understood(gateway):
    assert gateway.admin("/livez", "HEAD") == (200, "")


def test_unknown_paths_are_not_found(gateway):
    assert gateway.admin("/nothing")[0] == 404
    assert gateway.admin("/status/more")[0] == 404


def test_other_methods_are_refused(gateway):
    assert gateway.admin("/livez", "DELETE")[0] == 405


def test_readiness_says_what_is_missing(world):
    source = Issuer()
    source.broken = (503, b"{}")
    settings = {"issuer": source.url, "audiences": [AUDIENCE]}
    try:
        with world.gateway(
            world.routes(issuers={"late-one": settings}), ready="listening"
        ) as gateway:
            until(lambda: source.fetched() >= 1, "the keys to be asked for")
            status, body = gateway.admin("/readyz")
            assert status == 503
            assert "late-one" in body and "key" in body
            assert gateway.admin("/livez")[0] == 200
            source.broken = None
            until(lambda: gateway.admin("/readyz")[0] == 200, "readiness")
    finally:
        source.close()


def test_another_host_is_refused(gateway):
    """A web page of elsewhere must not talk to it by a name of its own (DNS rebinding)."""
    port = gateway.admin_port
    for host, fine in (
        (f"127.0.0.1:{port}", True),
        (f"localhost:{port}", True),
        ("evil.example", False),
        (f"evil.example:{port}", False),
    ):
        status, _ = gateway.admin("/livez", headers={"Host": host})
        assert (status == 200) == fine, host


def test_nonsense_is_refused_and_survived(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=10)
    connection.connect()
    connection.sock.sendall(b"NONSENSE\r\n\r\n")
    assert connection.sock.recv(4096)[:12] in (b"HTTP/1.1 400", b"")
    connection.close()
    assert gateway.admin("/livez")[0] == 200


def test_the_address_may_be_off(world, person):
    with world.gateway(world.routes(admin="off"), ready="listening") as gateway:
        assert world.ask(gateway, "GET", "/x", person).status == 200


def test_other_names_may_be_allowed(world):
    admin = {"address": "127.0.0.1:0", "hosts": ["gateway.internal"]}
    with world.gateway(world.routes(admin=admin)) as gateway:
        port = gateway.admin_port
        headers = {"Host": f"gateway.internal:{port}"}
        assert gateway.admin("/livez", headers=headers)[0] == 200


def test_probes_may_have_an_address_of_their_own(world):
    probes = free_port()
    admin = {"address": "127.0.0.1:0", "probes": f"127.0.0.1:{probes}"}
    with world.gateway(world.routes(admin=admin)) as gateway:
        for path, status in (("/livez", 200), ("/readyz", 200), ("/config", 404)):
            connection = http.client.HTTPConnection("127.0.0.1", probes, timeout=10)
            connection.request("GET", path, headers={"Host": "10.1.2.3:8080"})
            assert connection.getresponse().status == status
            connection.close()
        assert gateway.admin("/livez")[0] == 200


def test_what_services_are_shown_of_secrets_is_not_shown(world):
    given = {"X-Api-Key": "${API_KEY}", "X-Auth-Token": "written-out", "X-Plain": "seen",
             "X-Gateway-Token": "written-too", "X-Origin-Key": "written-as-well",
             "Cookie": "sid=written-here"}  # fmt: skip
    routes = world.routes(world.route("/*", forward={"headers": {"set": given}}))
    with world.gateway(routes, environ={"API_KEY": "from-outside"}) as gateway:
        shown = gateway.admin("/config")[1]
    assert "seen" in shown
    assert "from-outside" not in shown and "written" not in shown


def test_what_came_from_the_environment_is_shown_as_it_is_written(world):
    routes = world.routes(
        world.route("/*", forward={"headers": {"set": {"X-Plain": "${ANY_NAME}-${UNSET:-x}"}}})
    )
    with world.gateway(routes, environ={"ANY_NAME": "from-outside"}) as gateway:
        shown = gateway.admin("/config")[1]
    assert '"${ANY_NAME}-${UNSET:-x}"' in shown and "from-outside" not in shown


def test_what_is_a_credential_is_hidden_wherever_it_stands(world):
    jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3cml0dGVuIn0.x"
    given = {"X-Origin-Verify": "written-a", "X-Plain": "Bearer written-b", "X-Other": jwt,
             "X-Scheme": "Bearer {claim:sub}", "X-Basic": "Basic d3JpdHRlbg=="}  # fmt: skip
    match = {"headers": {"x-shared-token": "written-c", "x-version": "2"}}
    routes = world.routes(
        world.route("/a", match=match, forward={"headers": {"set": given}}),
        {
            "match": {"path": "/b"}, "authenticate": "none",
            "respond": {"body": "Basic facts", "headers": {"X-Api-Key": "written-d"}},
        },
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        shown = gateway.admin("/config")[1]
    assert "written" not in shown and jwt not in shown and "d3JpdHRlbg" not in shown
    for text in ('"Bearer {claim:sub}"', '"x-version":"2"', '"Basic facts"'):
        assert text in shown


def test_probes_answer_to_any_name_and_change_nothing(world):
    probes = free_port()
    admin = {"address": "127.0.0.1:0", "probes": f"127.0.0.1:{probes}"}
    with world.gateway(world.routes(admin=admin)):
        for method, path, status in (
            ("GET", "/metrics", 200), ("POST", "/livez", 405), ("POST", "/reload", 404),
            ("GET", "/status", 404),
        ):  # fmt: skip
            connection = http.client.HTTPConnection("127.0.0.1", probes, timeout=10)
            connection.request(method, path, headers={"Host": "gateway.monitoring.svc"})
            assert connection.getresponse().status == status, path
            connection.close()
