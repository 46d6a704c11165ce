"""Cheap input cannot cost much: for each hostile input, the gateway's CPU time against that of who
sends it, and its memory against the bytes sent, measured in one run.

Envoy's rule: a hundred times the sender's CPU, or memory, is an attack, and fails here. What is
above ten is listed with the reason why it may be (`REASONS`). The sender is as cheap as can be: it
sends what was made before, in large pieces, and reads the answers without looking at them.
"""

import contextlib
import json
import os
import socket
import threading
import time

import pytest
from harness.client import request_bytes
from harness.issuer import AUDIENCE
from harness.keys import b64u
from harness.program import status_of
from harness.world import World

MIB = 1 << 20
PASSES, FAILS = 10, 100
# Why rows may be between the two: the sender makes each once and has the kernel copy it, some ten
# thousand at a time, so that any look at the bytes costs more than sending them. What is looked at
# grows with the bytes and not faster, and is bounded by `limits`.
SMALL = "thousands in one call of the sender's; each is read, answered and logged"
PATH = "each byte of a path is decoded and matched, some 10 ns"
FIELDS = "each field line is read and judged"
SIGNATURE = "a whole check of a signature, which OpenSSL makes: only that tells it is forged"
CLAIMS = "JSON is read strictly, in whole, before its issuer is known: some 50 ns a byte"
REASONS = {
    "tiny requests without a token": SMALL,
    "tiny requests, fixed answer": SMALL,
    "tiny requests, no route (TRACE)": SMALL,
    "99 fields of 1 byte": FIELDS,
    "99 fields, 32 of them hop-by-hop": FIELDS,
    "99 Authorization fields": FIELDS,
    "30 KB of Connection: ,,,": "each byte is looked at for the name of a field, some 5 ns",
    "8 KB of query pairs": PATH,
    "8 KB of escapes": PATH,
    "8 KB of escaped letters": PATH,
    "8 KB of /a/..": PATH,
    "8 KB of /././": PATH,
    "8 KB of slashes": PATH,
    "8 KB of segments": PATH,
    "chunks of 1 byte": "each chunk is read and written anew, some 45 ns",
    "forged, RS256": SIGNATURE,
    "forged, ES256": SIGNATURE,
    "forged, ES384": SIGNATURE,
    "forged, ES512": SIGNATURE,
    "token of an unknown key": "the token is decoded and its claims are read",
    "token that is no JSON": "16 KB are decoded from base64url, some 5 ns a byte",
    "token 32 deep": SIGNATURE,
    "token 5000 deep": "16 KB are decoded from base64url, some 5 ns a byte",
    "token with 1400 claims": CLAIMS,
    "token with a list of 5500": CLAIMS,
    "token with 11 KB of \\u escapes": CLAIMS,
    "token of another issuer, 1400 claims": CLAIMS,
    "16 KB of what is no token": "it is looked through, some 5 ns a byte",
}
table = []


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"), algorithms=("RS256", "ES256", "ES384", "ES512"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def gateway(world):
    """Its `/open` routes take anything; the upstream behind them reads and forgets."""
    sink = Sink()
    public = {"authenticate": "none", "exchange": None, "forward": {"to": sink.url}}
    respond = {"match": {"path": "/fixed/*"}, "authenticate": "none", "respond": {"status": 200}}
    routes = world.routes(
        world.route("/*"), world.route("/open/*", **public), respond, workers=1,
        limits={"body": "1GiB"},
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        token = world.issuer.token("first")
        assert world.ask(gateway, "GET", "/x", "first", token).status == 200  # keys are there
        yield gateway
    sink.close()
    show(table)


def verdict(name, ratio):
    if ratio <= PASSES:
        return "pass"
    if ratio > FAILS:
        return "FAIL"
    return f"look: {REASONS.get(name, 'no reason is known')}"


def show(rows):
    print("\n{:38}{:>9}{:>11}{:>10}{:>8}{:>10}{:>10}".format(
        "input", "MB sent", "gateway s", "sender s", "ratio", "µs each", "RSS/byte"))  # fmt: skip
    for name, count, megabytes, used, own, grown in rows:
        ratio = used / own
        print(
            f"{name:38}{megabytes:9.1f}{used:11.3f}{own:10.3f}{ratio:8.1f}"
            f"{used / count * 1e6:10.1f}{grown:10.4f}  {verdict(name, ratio)}"
        )


class Sink:
    """An upstream that answers each connection's first request when its content has ended."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.swallow, args=(connection,), daemon=True).start()

    @staticmethod
    def swallow(connection):
        buffer, last = bytearray(MIB), b""
        with contextlib.suppress(OSError), connection:
            while count := connection.recv_into(buffer):
                last = (last + bytes(buffer[max(0, count - 8) : count]))[-8:]
                if last.endswith(b"0\r\n\r\n") or last.endswith(b"\r\n\r\n"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        self.socket.close()


def cpu_seconds(pid):
    """What all threads of a process have used."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    return total / 1e9


def converse(port, data):
    """Sends all of `data` on one connection, reading what comes back meanwhile; to the end."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.setblocking(False)
        view, buffer, sent = memoryview(data), bytearray(MIB), 0
        while True:
            moved = False
            with contextlib.suppress(BlockingIOError):
                if sent < len(view):
                    try:
                        sent += connection.send(view[sent : sent + MIB])
                    except (BrokenPipeError, ConnectionResetError):
                        return sent
                    moved = True
                    if sent == len(view):
                        connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(BlockingIOError):
                try:
                    if not connection.recv_into(buffer):
                        return sent
                except ConnectionResetError:
                    return sent
                moved = True
            if not moved:
                wait_for(connection, sent < len(view))


def wait_for(connection, writing):
    import select

    select.select([connection], [connection] if writing else [], [], 20)


def token_of(world, alg, payload, signature_bytes):
    """Its signature is as long as it should be, and in range: a whole check is made of it."""
    head = {"alg": alg, "typ": "JWT", "kid": world.issuer.key_of(alg).kid}
    half = b"\x00" + os.urandom(signature_bytes // 2 - 1)
    signature = half + half
    return ".".join([b64u(json.dumps(head).encode()), b64u(payload), b64u(signature)])


def claims(world, **more):
    claims = {"iss": world.issuer.url, "sub": "s", "aud": AUDIENCE, "exp": int(time.time()) + 3600}
    return json.dumps(claims | more, separators=(",", ":")).encode()


def request(target="/x", token=None, fields=(), method="GET", body=b"", last=False):
    fields = [*fields, *([("Connection", "close")] if last else [])]
    return request_bytes(method, target, None, token, fields) + body


def many(data, count):
    """`count` requests on one connection."""
    return data * count


def chunked(pieces, extension=b""):
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n\r\n"


def upload(body):
    return request("/open/x", None, [("Transfer-Encoding", "chunked")], "POST", body)


def nested(world, depth):
    return claims(world)[:-1] + b',"d":' + b"[" * depth + b"]" * depth + b"}"


def members(world, count):
    return claims(world)[:-1] + b"".join(b',"%x":0' % n for n in range(count)) + b"}"


def elements(world, count):
    return claims(world)[:-1] + b',"d":[' + b",".join([b"0"] * count) + b"]}"


def escapes(world, count):
    return claims(world)[:-1] + b',"d":"' + b"\\u00e9" * count + b'"}'


INPUTS = {
    "tiny requests without a token": lambda w: (many(request(), 20_000), 1),
    "tiny requests, fixed answer": lambda w: (many(request("/fixed/x"), 20_000), 1),
    "tiny requests, no route (TRACE)": lambda w: (many(request("/", method="TRACE"), 20_000), 1),
    "a connection for each tiny request": lambda w: (request(last=True), 2_000),
    "a connection for each garbage byte": lambda w: (b"\x16", 2_000),
    "endless field lines": lambda w: (
        request()[:-2] + b"X-Y: z\r\n" * 5_000, 1_000),
    "endless field line": lambda w: (b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000, 1_000),
    "endless request line": lambda w: (b"GET /" + b"x" * 60_000, 1_000),
    "99 fields of 300 bytes": lambda w: (
        many(request(fields=[(f"X-{n}", "v" * 300) for n in range(99)]), 300), 1),
    "99 fields of 1 byte": lambda w: (
        many(request(fields=[("a", "b")] * 99), 3_000), 1),
    "99 fields, 32 of them hop-by-hop": lambda w: (
        many(request(fields=[
            ("Connection", ",".join(f"x{n:02}" for n in range(32))),
            *((f"x{n:02}", "") for n in range(32, 98))]), 2_000), 1),
    "30 KB of Connection: close,close": lambda w: (
        many(request(fields=[("Connection", "close," * 5_000)])[:-2] + b"\r\n", 1), 300),
    "30 KB of Connection: ,,,": lambda w: (
        many(request(fields=[("Connection", "," * 30_000)]), 300), 1),
    "30 KB of cookie pairs": lambda w: (
        many(request(fields=[("Cookie", "a=b; " * 6_000)]), 300), 1),
    "8 KB of query pairs": lambda w: (many(request("/x?" + "a=b&" * 2_000), 1_000), 1),
    "8 KB of escapes": lambda w: (many(request("/" + "%C3%A9" * 1_350), 1_000), 1),
    "8 KB of escaped letters": lambda w: (many(request("/" + "%61" * 2_700), 1_000), 1),
    "8 KB of /a/..": lambda w: (many(request("/a/.." * 1_600), 1_000), 1),
    "8 KB of /././": lambda w: (many(request("/." * 4_000), 1_000), 1),
    "8 KB of slashes": lambda w: (many(request("/" * 8_000), 1_000), 1),
    "8 KB of segments": lambda w: (many(request("/a" * 4_000), 1_000), 1),
    "chunks of 1 byte": lambda w: (upload(chunked([b"x"] * 500_000)), 1),
    "chunks of 64 bytes": lambda w: (upload(chunked([b"x" * 64] * 100_000)), 1),
    "chunks with extensions": lambda w: (
        upload(chunked([b"x"] * 1_000, b";e=" + b"v" * 200)), 20),
    "a large upload": lambda w: (upload(chunked([b"x" * 65_536] * 800)), 1),
    "63 lines of trailers": lambda w: (
        upload(b"0\r\n" + b"a: b\r\n" * 63 + b"\r\n"), 500),
    "forged, RS256": lambda w: (
        many(request(token=token_of(w, "RS256", claims(w), 256)), 3_000), 1),
    "forged, ES256": lambda w: (many(request(token=token_of(w, "ES256", claims(w), 64)), 2_000), 1),
    "forged, ES384": lambda w: (many(request(token=token_of(w, "ES384", claims(w), 96)), 300), 1),
    "forged, ES512": lambda w: (many(request(token=token_of(w, "ES512", claims(w), 132)), 300), 1),
    "token of an unknown key": lambda w: (
        many(request(token=token_of(w, "RS256", claims(w), 256).replace(
            b64u(json.dumps({"alg": "RS256", "typ": "JWT",
                             "kid": w.issuer.key_of("RS256").kid}).encode()),
            b64u(b'{"alg":"RS256","kid":"nobody"}'))), 3_000), 1),
    "token that is no JSON": lambda w: (
        many(request(token=token_of(w, "RS256", b"\xff" * 10_000, 256)), 500), 1),
    "token 32 deep": lambda w: (
        many(request(token=token_of(w, "RS256", nested(w, 31), 256)), 2_000), 1),
    "token 5000 deep": lambda w: (
        many(request(token=token_of(w, "RS256", nested(w, 5_000), 256)), 500), 1),
    "token with 1400 claims": lambda w: (
        many(request(token=token_of(w, "RS256", members(w, 1_400), 256)), 500), 1),
    "token with a list of 5500": lambda w: (
        many(request(token=token_of(w, "RS256", elements(w, 5_500), 256)), 500), 1),
    "token with 11 KB of \\u escapes": lambda w: (
        many(request(token=token_of(w, "RS256", escapes(w, 1_850), 256)), 500), 1),
    "token of another issuer, 1400 claims": lambda w: (
        many(request(token=token_of(
            w, "RS256", members(w, 1_400).replace(w.issuer.url.encode(), b"x"), 256)), 500), 1),
    "16 KB of what is no token": lambda w: (many(request(token="a" * 16_000), 500), 1),
    "99 Authorization fields": lambda w: (
        many(request(fields=[("Authorization", "Bearer a.b.c")] * 99), 1_000), 1),
}  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", INPUTS)
def test_no_input_costs_a_hundred_times_what_it_costs_to_send(world, gateway, name):
    data, times = INPUTS[name](world)
    converse(gateway.port, data[: len(data) if times > 1 else max(1, len(data) // 20)])  # warm
    rss, before = status_of(gateway.pid, "VmRSS"), cpu_seconds(gateway.pid)
    began, sent, rounds = time.thread_time(), 0, 0
    own = used = 0
    # Ratios of times below a twentieth of a second are the clock's.
    while rounds < times or (own < 0.05 and used < 2):
        sent += converse(gateway.port, data)
        rounds += 1
        own = time.thread_time() - began
        used = cpu_seconds(gateway.pid) - before
    grown = max(0, status_of(gateway.pid, "VmRSS") - rss) * 1024
    requests = rounds * max(1, data.count(b" HTTP/1.1\r\n"))
    table.append((name, requests, sent / 1e6, used, own, grown / sent))
    assert used / own <= FAILS, f"{used / own:.0f} times the sender's CPU time"
    assert grown < max(16 * MIB, sent * 100)
