"""The PROXY protocol: who the caller is, as a proxy in front says, and nobody else."""

import contextlib
import json
import shutil
import socket
import subprocess

import pytest
from harness.client import Connection, request_bytes
from harness.program import Program
from harness.waiting import free_port, listens, until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + b"\xc8\x22\x01\xbb"
SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + b"\xc8\x22\x01\xbb"


def binary(family, content, command=0x21):
    return SIGNATURE + bytes([command, family]) + len(content).to_bytes(2, "big") + content


@pytest.fixture(scope="module")
def gateway(world):
    proxied = {"proxyProtocol": True}
    routes = world.routes(
        listeners=[
            world.clear_listener | proxied,
            world.tls_listener | proxied,
            {"name": "bare", "address": "127.0.0.1:0"},
        ],
        trustedProxies=["127.0.0.1/32", "203.0.113.0/24"],
        limits={"headerTimeout": "2s"},
    )
    with world.gateway(routes, ready="readyz") as gateway:
        yield gateway


@contextlib.contextmanager
def announced(world, gateway, header, listener="clear"):
    """A connection whose first bytes are this header."""
    raw = socket.create_connection(("127.0.0.1", gateway.ports[listener]), 20)
    raw.sendall(header)
    connection = Connection.__new__(Connection)
    connection.pending = b""
    connection.socket = (
        world.tls.wrap_socket(raw, server_hostname="localhost") if listener == "tls" else raw
    )
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("listener", ["clear", "tls"])
@pytest.mark.parametrize(
    "header, client",
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (binary(0x11, FOUR), "192.0.2.7"),
        (binary(0x21, SIX), "2001:db8::7"),
        (binary(0x11, FOUR + b"\x04\0\x02no" + b"\x20\0\x05\1\0\0\0\0"), "192.0.2.7"),
        (binary(0x00, b"", command=0x20), "127.0.0.1"),
        (binary(0x31, bytes(216)), "127.0.0.1"),
    ],
    ids=["text4", "text6", "unknown", "binary4", "binary6", "extras", "local", "unix"],
)
def test_the_caller_is_who_the_header_says(world, gateway, person, listener, header, client):
    path = f"/who/{person}"
    with announced(world, gateway, header, listener) as connection:
        for _ in range(2):
            answer = connection.request("GET", path, person, world.issuer.token(person))
            assert answer.seen("x-forwarded-for") == [client]
    assert gateway.logged(path=path, listener=listener)["client"] == client


def test_a_header_may_come_byte_by_byte_and_with_the_request(world, gateway, person):
    token = world.issuer.token(person)
    request = request_bytes("GET", "/bytes", person, token)
    for header in (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", binary(0x11, FOUR)):
        with announced(world, gateway, b"") as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header:
                connection.send(bytes([byte]))
            connection.send(request)
            assert connection.answer().seen("x-forwarded-for") == ["192.0.2.7"]
        with announced(world, gateway, header + request) as connection:
            assert connection.answer().seen("x-forwarded-for") == ["192.0.2.7"]


def test_only_who_is_trusted_itself_speaks_for_others(world, gateway, person):
    """The proxy vouches for the address of its caller, not for what that one says."""
    fields = [("X-Forwarded-For", "198.51.100.9")]
    token = world.issuer.token(person)
    for header, seen in [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n", "192.0.2.7"),
        (b"PROXY TCP4 203.0.113.5 198.51.100.1 1 2\r\n", "198.51.100.9, 203.0.113.5"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (binary(0x00, b"", command=0x20), "127.0.0.1"),
    ]:
        with announced(world, gateway, header) as connection:
            answer = connection.request("GET", "/trust", person, token, fields)
            assert answer.seen("x-forwarded-for") == [seen], header


@pytest.mark.parametrize(
    "header",
    [
        request_bytes("GET", "/", None),
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
        b"PROXY TCP4 " + b"1" * 100,
        binary(0x11, FOUR[:-1]),
        binary(0x11, FOUR + b"\x03\0\x04\0\0\0\0"),
        SIGNATURE + b"\x21\x11\xff\xff",
        b"PROXY TCP4 192.0.2.7 ",
        b"",
    ],
    ids=["http", "tls", "text", "long", "binary", "checksum", "huge", "slow", "silent"],
)
@pytest.mark.parametrize("listener", ["clear", "tls"])
def test_anything_else_is_closed(gateway, listener, header):
    with socket.create_connection(("127.0.0.1", gateway.ports[listener]), 20) as raw:
        raw.sendall(header)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100) == b""


def test_the_operator_is_told(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), 20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            raw.recv(100)
    until(lambda: "it sends no PROXY header" in gateway.said() or again(gateway), "a line")
    assert "a connection of 127.0.0.1 to clear is closed" in gateway.said()


def again(gateway):
    """One line a second at most: another test may have had it."""
    with socket.create_connection(("127.0.0.1", gateway.port), 20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return False


def test_a_header_where_none_is_taken_is_a_malformed_request(gateway):
    with Connection(gateway.ports["bare"]) as connection:
        connection.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n")
        assert connection.answer().status == 400


def test_nobody_else_may_send_it(world, person):
    listener = world.clear_listener | {"proxyProtocol": True}
    routes = world.routes(listeners=[listener], trustedProxies=["203.0.113.0/24"])
    with world.gateway(routes) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), 20) as raw:
            with contextlib.suppress(OSError):
                raw.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert raw.recv(100) == b""
        until(lambda: "it is no trusted proxy" in gateway.said(), "a line for the operator")


# -- programs that nobody here wrote


def ask_with_curl(world, port, person, *more):
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "-H", f"X-Test-Person: {person}",
         "-H", f"Authorization: Bearer {world.issuer.token(person)}", *more,
         f"http://127.0.0.1:{port}/curl"],
        capture_output=True, timeout=40,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout)["fields"])


def test_curl_announces_itself(world, gateway, person):
    fields = ask_with_curl(world, gateway.port, person, "--haproxy-protocol")
    assert fields["X-Forwarded-For"] == "127.0.0.1"


@contextlib.contextmanager
def haproxy(folder, bind, gateway, option):
    """A real proxy that listens there and announces its callers to the gateway."""
    (folder / "haproxy.cfg").write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend callers
  bind {bind}
  default_backend gateway
backend gateway
  server gateway 127.0.0.1:{gateway.port} {option}
""")
    binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
    program = Program([binary, "-db", "-f", "haproxy.cfg"], folder, "haproxy")
    try:
        yield program
    finally:
        program.end()


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 crc32c"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_haproxy_announces_its_callers(world, gateway, tmp_path, person, version, family):
    port = free_port()
    address, peer = ("127.0.0.1", "127.0.0.1") if family == "ipv4" else ("[::1]", "::1")
    option = version.replace(" crc32c", " proxy-v2-options crc32c")
    with haproxy(tmp_path, f"{address}:{port}", gateway, option) as program:
        program.wait_until(lambda: listens(port, peer), "haproxy to listen")
        token = world.issuer.token(person)
        raw = socket.create_connection((peer, port), 20)
        connection = Connection.__new__(Connection)
        connection.socket, connection.pending = raw, b""
        answer = connection.request("GET", f"/haproxy-{family}", person, token)
        assert answer.seen("x-forwarded-for") == [peer]
        connection.close()


def test_haproxy_names_no_caller_that_came_by_a_unix_socket(world, gateway, tmp_path, person):
    """It says LOCAL of such a connection, which is not its own: what the caller claims counts as
    little as any caller's."""
    bind = f"unix@{tmp_path}/callers.sock"
    with haproxy(tmp_path, bind, gateway, "send-proxy-v2") as program:
        program.wait_until((tmp_path / "callers.sock").exists, "haproxy to listen")
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(20)
        raw.connect(str(tmp_path / "callers.sock"))
        connection = Connection.__new__(Connection)
        connection.socket, connection.pending = raw, b""
        fields = [("X-Forwarded-For", "198.51.100.9"), ("X-Request-Id", "theirs")]
        answer = connection.request("GET", "/h", person, world.issuer.token(person), fields)
        assert answer.seen("x-forwarded-for") == ["127.0.0.1"]
        assert answer.seen("x-request-id") != ["theirs"]
        connection.close()
