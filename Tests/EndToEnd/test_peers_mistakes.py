"""What other gateways were seen to get wrong, each as a test of this one."""

import threading

import pytest
from harness.client import Connection, ask, request_bytes


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(listeners=[world.clear_listener, world.tls_listener])
    with world.gateway(routes) as gateway:
        yield gateway


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("with_tls", [False, True], ids=["clear", "tls"])
def test_a_body_that_comes_late_goes_with_its_own_persons_token(
    world, gateway, with_tls, chunked
):
    """A's head, then B's whole request, then A's body: A's request must carry A's token.

    One gateway kept the exchanged token in the location's configuration, and sent B's.
    """
    listener, tls = ("tls", world.tls) if with_tls else ("clear", None)
    port = gateway.ports[listener]
    for number in range(20):
        first, second = f"late-a-{number}", f"late-b-{number}"
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "10")
        with Connection(port, tls) as connection:
            token = world.issuer.token(first)
            connection.send(request_bytes("POST", "/late", first, token, [framing]))
            other = ask(port, "GET", "/other", second, world.issuer.token(second), tls)
            assert other.status == 200
            connection.send(b"a\r\n0123456789\r\n0\r\n\r\n" if chunked else b"0123456789")
            answer = connection.answer("POST")
            bearer = answer.seen("authorization")[0].removeprefix("Bearer ")
            assert world.tokens.issued[bearer].person == first
            bearer = other.seen("authorization")[0].removeprefix("Bearer ")
            assert world.tokens.issued[bearer].person == second


def test_forged_tokens_do_not_disturb_other_connections(world, gateway):
    """One gateway lost half of the good requests and their TLS connections: an error that a failed
    verification left in OpenSSL's queue was taken for one of the next connection's."""
    forged = [world.issuer.forged(f"forger-{number}") for number in range(50)]
    failures, stop = [], threading.Event()

    def forger():
        with Connection(gateway.ports["tls"], world.tls) as connection:
            number = 0
            while not stop.is_set():
                token = forged[number % len(forged)]
                answer = connection.request("GET", "/forged", "forger", token)
                if answer.status != 401 or answer.problem != "signature_invalid":
                    failures.append(answer)
                number += 1

    def honest(number):
        name = f"honest-{number}"
        token = world.issuer.token(name)
        with Connection(gateway.ports["tls"], world.tls) as connection:
            for turn in range(150):
                if turn % 10 == 0:
                    token = world.issuer.token(name)
                answer = connection.request("POST", "/good", name, token, body=b"x" * 3000)
                if answer.status != 200:
                    failures.append(answer)

    def guarded(work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        return threading.Thread(target=run)

    forgers = [guarded(forger) for _ in range(4)]
    honest_ones = [guarded(honest, number) for number in range(4)]
    for thread in [*forgers, *honest_ones]:
        thread.start()
    for thread in honest_ones:
        thread.join(60)
    stop.set()
    for thread in forgers:
        thread.join(10)
    assert not failures, failures[:3]
    assert world.upstream.seen("/forged") == []


def test_simultaneous_first_requests_make_one_exchange(world, gateway):
    """Four gateways made one call a request: 64 calls for one new token."""
    name = "simultaneous"
    token = world.issuer.token(name)
    request = request_bytes("GET", "/burst", name, token)
    connections = [Connection(gateway.ports["tls"], world.tls) for _ in range(64)]
    gate = world.tokens.held()
    for connection in connections:
        connection.send(request)
    assert world.tokens.wait_for_calls(1) == 1
    gate.set()
    statuses = [connection.answer().status for connection in connections]
    for connection in connections:
        connection.close()
    assert statuses == [200] * 64
    assert len(world.tokens.calls_for(token)) == 1


def test_a_slow_token_service_does_not_slow_warm_traffic(world):
    """Two gateways blocked their worker while the token service was waited for.

    Here the service answers nothing at all until the warm requests are done.
    """
    routes = world.routes(
        listeners=[world.clear_listener, world.tls_listener], exchanges={"corp": {"timeout": "60s"}}
    )
    warm = {f"warm-{n}": world.issuer.token(f"warm-{n}") for n in range(10)}
    with world.gateway(routes) as gateway:
        for name, token in warm.items():
            assert ask(gateway.port, "GET", "/warm", name, token).status == 200
        gate = world.tokens.held()
        cold = []
        for number in range(20):
            name = f"cold-{number}"
            connection = Connection(gateway.port, seconds=60)
            connection.send(request_bytes("GET", "/cold", name, world.issuer.token(name)))
            cold.append(connection)
        assert world.tokens.wait_for_calls(20) == 20
        with Connection(gateway.port) as first:
            with Connection(gateway.ports["tls"], world.tls) as second:
                for _ in range(20):
                    for name, token in warm.items():
                        assert first.request("GET", "/warm", name, token).status == 200
                        assert second.request("GET", "/warm", name, token).status == 200
        assert world.tokens.waiting == 20
        gate.set()
        for connection in cold:
            assert connection.answer().status == 200
            connection.close()


@pytest.mark.parametrize("name", ["userType", "usertype", "USERTYPE", "UserType"])
@pytest.mark.parametrize("value", ["system", "System", "SYSTEM", "sysTem"])
def test_the_marker_of_a_system_is_told_in_any_case(world, gateway, name, value):
    """In one gateway a claim with capital letters could not be matched, and systems passed."""
    token = world.issuer.token("svc", **({"userType": None} | {name: value}))
    calls = len(world.tokens.calls)
    answer = ask(gateway.port, "GET", "/x", "svc", token)
    assert (answer.status, answer.problem) == (403, "system_identity")
    assert len(world.tokens.calls) == calls


def test_two_workers_share_what_they_know(world, gateway):
    """One cache a worker would exchange the same token once a worker."""
    name = "shared"
    token = world.issuer.token(name)
    for _ in range(24):  # each on a connection of its own: some at each worker
        assert ask(gateway.port, "GET", "/x", name, token).status == 200
    assert len(world.tokens.calls_for(token)) == 1


def test_the_cache_is_bounded(world):
    """Two gateways' caches grew without bound: here a small one still serves, and forgets."""
    small = {"cache": {"size": "64KiB"}}
    with world.gateway(world.routes(exchanges={"corp": small})) as gateway:
        tokens = [world.issuer.token(f"many-{n}") for n in range(200)]
        for number, token in enumerate(tokens):
            assert ask(gateway.port, "GET", "/x", f"many-{number}", token).status == 200
        before = len(world.tokens.calls)
        for number, token in enumerate(tokens):
            assert ask(gateway.port, "GET", "/x", f"many-{number}", token).status == 200
        assert len(world.tokens.calls) > before
