"""Attacks that one caller makes on the others, each found once and kept as a test."""

import pytest
from harness.client import Connection, request_bytes

# The buffer that a head is read into; what matters is that a head can fill it to the last byte.
BUFFER = 32 * 1024


@pytest.fixture(scope="module")
def gateway(world):
    answer = {"status": 200, "body": "here"}
    public = {"authenticate": "none", "exchange": None, "forward": None, "respond": answer}
    routes = world.routes(
        world.route("/*"),
        world.route("/answered", **public),
        limits={"bodyTimeout": "2s"},
        listeners=[world.clear_listener, world.tls_listener],
        workers=1,
    )
    with world.gateway(routes) as gateway:
        yield gateway


def head_of(size, person, token, *fields):
    """A head of exactly so many bytes."""
    bare = request_bytes("POST", "/long-head", person, token, [*fields, ("X-Pad", "")])
    pad = "a" * (size - len(bare))
    return request_bytes("POST", "/long-head", person, token, [*fields, ("X-Pad", pad)])


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("short", [0, 1, 7])
def test_a_body_comes_through_behind_a_head_that_fills_the_buffer(
    world, gateway, person, short, chunked
):
    """The head stayed in front and left no room: the body was never read, or a byte at a time."""
    content = b"x" * 100_000
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100000")
    head = head_of(BUFFER - short, person, world.issuer.token(person), framing)
    assert len(head) == BUFFER - short
    with Connection(gateway.port) as connection:
        connection.send(head)
        # The one worker has answered somebody else since: it has read the head alone.
        assert gateway.admin("/livez")[0] == 200
        connection.send(b"186a0\r\n" + content + b"\r\n0\r\n\r\n" if chunked else content)
        answer = connection.answer("POST")
        assert answer.status == 200 and answer.json()["size"] == len(content)
        assert connection.request("GET", "/next", person, world.issuer.token(person)).status == 200


@pytest.mark.parametrize("listener", ["clear", "tls"])
def test_a_caller_that_still_sends_is_not_reset_while_its_answer_is_on_its_way(
    world, gateway, person, listener
):
    """A reset takes what was not read yet with it (RFC 9112 §9.6), through TLS as well."""
    tls = world.tls if listener == "tls" else None
    fields = [("Content-Length", str(1 << 30))]
    with Connection(gateway.ports[listener], tls) as connection:
        token = world.issuer.token(person)
        connection.send(request_bytes("POST", "/large", person, token, fields))
        for _ in range(10):
            connection.send(b"x" * 16384)
        assert connection.answer("POST").problem == "body_too_large"
