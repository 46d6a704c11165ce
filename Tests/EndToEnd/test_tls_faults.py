"""Faults of TLS: what hostile, broken and half-hearted callers do, and what must happen.

Where to find each case:

 8. ClientHello in fragments        test_a_client_hello_in_records_of_one_byte_*, and in test_tls.py
                                    test_a_handshake_in_single_bytes_*
 9. a handshake that stalls         test_a_handshake_that_*
10. plain HTTP on the TLS port      test_http_in_the_clear_*
11. garbage beside good callers     test_garbage_and_old_versions_beside_uploads_*, and in
                                    test_tls.py test_garbage_beside_good_callers_*
12. an end without close_notify     test_a_caller_that_ends_without_close_notify_*,
                                    test_an_answer_cut_by_an_upstream_*
13. renegotiation                   test_tls.py: test_renegotiation_is_refused
14. KeyUpdate                       Swift: TLSHostilityTests
15. certificate files that are wrong  test_a_certificate_that_is_wrong_* (at the start)
16. server names                    test_a_server_name_*, test_tls.py: test_the_first_chain_*,
                                    test_a_name_of_another_chain_*
17. tickets of rotated-out keys     Swift: TLSResumptionTests
18. floods of handshakes            Reliability: test_tls_pressure.py; stalls: test_stalled_*
"""

import contextlib
import itertools
import os
import socket
import ssl
import subprocess
import threading

import pytest
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes, trusting
from harness.hello import client_hello, records, with_server_name
from harness.upstream import Upstream
from harness.waiting import until

VERSIONS = ["TLSv1_2", "TLSv1_3"]


def only(version, certificate=None, **more):
    number = ssl.TLSVersion[version]
    return trusting(certificate, minimum_version=number, maximum_version=number, **more)


@pytest.fixture(scope="module")
def certificates(world):
    a = Certificate(["a.example", "aa.example"], issuer=world.authority)
    b = Certificate(["b.example"], issuer=world.authority)
    return {"a": a.write(world.folder, "a"), "b": b.write(world.folder, "b")}


@pytest.fixture(scope="module")
def gateway(world, certificates):
    a, b = certificates["a"], certificates["b"]

    def listener(name, *chains, **tls):
        tls = {"certificates": list(chains)} | tls
        return {"name": name, "address": "127.0.0.1:0", "tls": tls}

    routes = world.routes(
        world.route("/*"),
        listeners=[
            listener("tls", world.certificate_files, a, b),
            listener("strict", world.certificate_files, a, b, minVersion="1.3"),
            listener("other", b, a),
            world.clear_listener,
        ],
        limits={"tlsHandshakeTimeout": "2s"},
    )
    with world.gateway(routes) as gateway:
        yield gateway


def served(world, gateway, person):
    return ask(gateway.port, "GET", "/", person, world.issuer.token(person), world.tls).status


# -- 8, 9: handshakes that come slowly, or not at all


@pytest.mark.parametrize("size", [1, 7])
def test_a_client_hello_in_records_of_one_byte_is_answered(gateway, size):
    message = client_hello()[5:]
    with Connection(gateway.port) as connection:
        connection.send(records(message, size))
        assert connection.exactly(5)[:1] in (b"\x16", b"\x15")


def test_a_handshake_that_stalls_after_its_first_message_is_ended(world, gateway, person):
    """Answered first, so that the gateway's own flight is out; then nothing comes."""
    with Connection(gateway.port) as connection:
        connection.send(client_hello())
        assert connection.exactly(5)[:1] == b"\x16"
        assert served(world, gateway, person) == 200
        connection.socket.settimeout(15)
        with contextlib.suppress(ConnectionResetError):
            while connection.socket.recv(65536):
                pass


def test_a_handshake_that_drips_is_ended_in_total(gateway):
    """The deadline is for the whole handshake and not for each byte."""
    hello = client_hello()
    with Connection(gateway.port) as connection:
        sent, stop = 0, threading.Event()
        with contextlib.suppress(OSError):
            for byte in itertools.islice(itertools.cycle(hello[:-1]), 400):
                connection.send(hello[sent : sent + 1] if sent < len(hello) - 1 else b"")
                sent += 1
                stop.wait(0.05)
                connection.socket.setblocking(False)
                try:
                    if connection.socket.recv(1) == b"":
                        break
                except BlockingIOError:
                    pass
                finally:
                    connection.socket.settimeout(20)
        assert sent < 200, "it was never ended"


def test_stalled_handshakes_make_room_for_those_who_mean_it(world, person):
    """More stalls than there are places, with a deadline far away."""
    routes = world.routes(
        listeners=[world.tls_listener, world.clear_listener],
        limits={"tlsHandshakeTimeout": "60s"},
        workers=1,
    )
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        token = world.issuer.token(person)
        old = closing.enter_context(Connection(gateway.port, world.tls))
        assert old.request("GET", "/old", person, token).status == 200
        hello = client_hello()
        crowd = []
        for _ in range(700):
            crowd.append(closing.enter_context(Connection(gateway.port)))
            crowd[-1].send(hello[:100])
        # Nobody else has to wait, neither who is connected nor who comes in the clear.
        assert old.request("GET", "/old", person, token).status == 200
        assert ask(gateway.ports["clear"], "GET", "/clear", person, token).status == 200
        for _ in range(3):
            assert ask(gateway.port, "GET", "/new", person, token, world.tls).status == 200
        assert old.request("GET", "/old", person, token).status == 200


# -- 10, 11: what is no TLS


def test_http_in_the_clear_on_a_tls_port_is_told_so(world, gateway, person):
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/", person, world.issuer.token(person)))
        answer = connection.answer()
        assert answer.status == 400 and answer.value("connection") == "close"
        assert answer.body == b"This port speaks HTTPS only.\n"
        assert connection.ended()
    assert world.upstream.seen(person=person) == []
    assert served(world, gateway, person) == 200


def test_tls_on_a_clear_port_is_told_at_once_and_to_the_operator(world, person):
    """A caller who mistook the port waits for no timeout, and whoever runs it learns why."""
    with world.gateway(world.routes(limits={"headerTimeout": "1h"})) as gateway:
        for _ in range(3):
            with pytest.raises(OSError):
                Connection(gateway.port, trusting())
        assert gateway.logged(reason="malformed_request")["status"] == 400
        until(lambda: "begins with a TLS handshake" in gateway.said(), "the operator to be told")
        # Once: anybody can do it.
        assert gateway.said().count("begins with a TLS handshake") == 1
        assert world.ask(gateway, "GET", "/", person).status == 200


GARBAGE = [
    b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01\x00\x80" * 7,  # SSLv2
    b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + b"s" * 41,  # SSLv3
    b"\x16\x03\x01\xff\xff" + b"z" * 100,
    b"\x17\x03\x03\x00\x20" + b"d" * 32,
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x14\x03\x03\x00\x01\x01",
    b"\x00" * 600,
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
]


def test_garbage_and_old_versions_beside_uploads_do_no_harm(world, gateway, person):
    """OpenSSL's error queue is a thread's: one caller's fault must not be read as another's."""
    token = world.issuer.token(person)
    body, broken, done = os.urandom(400_000), [], threading.Event()

    def good():
        try:
            with Connection(gateway.port, world.tls) as connection:
                for _ in range(6):
                    answer = connection.request("POST", "/up", person, token, body=body)
                    assert answer.status == 200 and answer.json()["size"] == len(body)
        except Exception as error:  # noqa: BLE001
            broken.append(repr(error))

    def bad(seed):
        count = 0
        while not done.is_set():
            with contextlib.suppress(OSError), Connection(gateway.port) as connection:
                connection.send(GARBAGE[(seed + count) % len(GARBAGE)])
                connection.reset() if count % 2 else connection.rest()
            count += 1

    bads = [threading.Thread(target=bad, args=(seed,)) for seed in range(3)]
    goods = [threading.Thread(target=good) for _ in range(4)]
    for thread in bads + goods:
        thread.start()
    for thread in goods:
        thread.join(60)
    done.set()
    for thread in bads:
        thread.join(30)
    assert not broken, broken


# -- 12: ends that are no ends


def test_a_caller_that_ends_without_close_notify_is_no_news(world, gateway, person):
    said = gateway.err.read_text()
    token = world.issuer.token(person)
    for _ in range(10):
        connection = Connection(gateway.port, world.tls)
        connection.send(request_bytes("GET", "/cut", person, token))
        assert connection.answer().status == 200
        connection.socket.detach()
        with Connection(gateway.port, world.tls) as connection:
            connection.send(request_bytes("GET", "/cut", person, token))
            raw = socket.socket(fileno=os.dup(connection.socket.fileno()))
            raw.shutdown(socket.SHUT_RDWR)
            raw.close()
    assert served(world, gateway, person) == 200
    assert gateway.err.read_text() == said


def test_an_answer_cut_by_an_upstream_is_never_a_whole_one(world, person):
    """RFC 9112 §9.8: an answer that the connection's end delimits is whole only with
    close_notify; without it, it may have been cut by anybody on the way."""
    inner = Upstream([world.tokens], [world.issuer], certificate=world.certificate_files)
    ca = world.authority_file

    @inner.on("/whole")
    def whole(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        with contextlib.suppress(OSError):
            exchange.stream.end()
        exchange.ended = True

    @inner.on("/cut")
    def cut(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of i")
        raw = socket.socket(fileno=os.dup(exchange.stream.socket.fileno()))
        raw.shutdown(socket.SHUT_RDWR)
        raw.close()

    upstreams = {"inner": {"servers": [inner.url], "tls": {"ca": str(ca)}}}
    routes = world.routes(world.route("/*", forward={"to": "inner"}), upstreams=upstreams)
    try:
        with world.gateway(routes) as gateway:
            token = world.issuer.token(person)
            answer = ask(gateway.port, "GET", "/whole", person, token)
            assert (answer.status, answer.body) == (200, b"all of it")
            for _ in range(5):
                with Connection(gateway.port) as connection:
                    connection.send(request_bytes("GET", "/cut", person, token))
                    with pytest.raises(Exception):
                        answer = connection.answer()
                        assert answer.status >= 500, answer
                        raise EOFError  # refused before any of it was sent: as good
    finally:
        inner.close()


# -- 15: certificates


@pytest.mark.parametrize("fault", ["half", "empty", "mismatch", "missing", "unreadable key"])
def test_a_certificate_that_is_wrong_keeps_the_gateway_from_starting(world, fault, tmp_path):
    good = Certificate(["c.example"], issuer=world.authority)
    files = good.write(tmp_path, "c")
    if fault == "half":
        (tmp_path / "c.pem").write_bytes(good.pem[: len(good.pem) // 2])
    elif fault == "empty":
        (tmp_path / "c.pem").write_bytes(b"")
    elif fault == "mismatch":
        (tmp_path / "c.key").write_bytes(Certificate(["d.example"]).key_pem)
    elif fault == "missing":
        (tmp_path / "c.key").unlink()
    else:
        (tmp_path / "c.key").write_bytes(good.key_pem[:-60])
    named = "c.pem" if fault in ("half", "empty") else "c.key"
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [files]}}
    gateway = world.start(world.routes(listeners=[listener]), ready=None)
    try:
        assert gateway.wait() == 1
        said = gateway.err.read_text()
        assert named in said and "listeners[0].tls.certificates[0]" in said, said
        assert "PRIVATE" not in said
    finally:
        gateway.end()


def test_a_certificate_that_has_expired_is_told_of_and_served(world, person, tmp_path):
    """A caller may know better; refusing to start would take all other chains down too."""
    old = Certificate(["localhost"], issuer=world.authority, days=3, starts_days_ago=10)
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [old.write(tmp_path, "old")]}}
    with world.gateway(world.routes(listeners=[listener])) as gateway:
        assert "has expired" in gateway.err.read_text()
        with pytest.raises(ssl.SSLCertVerificationError):
            Connection(gateway.port, world.tls)


# -- 16: server names


@pytest.mark.parametrize(
    "name",
    [
        b"a.example\x00", b"\x00", b"a.example\x00.evil.example", b"x" * 256, b"x." * 4000, b"",
        b"a.exam\xffple", b"a b", b"\r\nX-Evil: 1",
    ],
    ids=["NUL at the end", "NUL", "NUL inside", "256", "8000", "empty", "not ASCII", "space",
         "line end"],
)  # fmt: skip
def test_a_server_name_that_is_none_gets_no_other_certificate(world, gateway, person, name):
    """Refused, or served as if no name were sent; never a name's that it is not."""
    said = gateway.err.read_text()
    with Connection(gateway.port) as connection:
        connection.send(with_server_name(name))
        kind = connection.socket.recv(5)[:1]
        assert kind in (b"\x15", b"\x16", b"")
        if b"\x00" in name or len(name) > 255:
            assert kind == b"\x15", "an alert"
    assert served(world, gateway, person) == 200
    assert gateway.err.read_text() == said
    assert "Evil" not in gateway.log_text()


def test_a_server_name_of_an_unknown_kind_is_refused(gateway):
    with Connection(gateway.port) as connection:
        connection.send(with_server_name(b"a.example", kind=7))
        assert connection.socket.recv(5)[:1] in (b"\x15", b"")


# -- resumption across policies

PLACES = [(listener, name) for listener in ("tls", "strict", "other")
          for name in ("localhost", "a.example", "aa.example", "b.example")]  # fmt: skip

# Where a session is of another certificate or another minimum it must not resume; of one
# certificate and one minimum, the name decides.
POLICY = {
    ("tls", "localhost"): "localhost 1.2",
    ("strict", "localhost"): "localhost 1.3",
    ("other", "localhost"): "b 1.2",
}
for _listener, _minimum in (("tls", "1.2"), ("strict", "1.3"), ("other", "1.2")):
    POLICY[_listener, "a.example"] = POLICY[_listener, "aa.example"] = f"a {_minimum}"
    POLICY[_listener, "b.example"] = f"b {_minimum}"


@pytest.mark.parametrize("tickets", [True, False], ids=["ticket", "session id"])
@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_resumes_under_another_policy(gateway, version, tickets):
    """Every place with every other one's session: other certificate, name, minimum version."""
    context = only(version)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    places = [place for place in PLACES if version == "TLSv1_3" or place[0] != "strict"]
    sessions = {}

    def visit(place, session=None):
        with Connection(gateway.ports[place[0]], context, place[1], session=session) as connection:
            connection.request("GET", "/")
            return connection.socket.session_reused, connection.socket.session

    for place in places:
        sessions[place] = visit(place)[1]
    crossed, resumed, tried = [], 0, 0
    for origin, target in itertools.product(places, places):
        tried += 1
        reused, _ = visit(target, sessions[origin])
        same = POLICY[origin] == POLICY[target] and origin[1] == target[1]
        if reused and not same:
            crossed.append((origin, target))
        resumed += reused
        if tickets and same:
            assert reused, (origin, target)
    print(f"{version}: {tried} attempts, {resumed} resumed, {len(crossed)} across a policy")
    assert not crossed
    assert tickets or version == "TLSv1_3" or resumed == 0


# -- certificates of upstreams


def test_an_upstream_certificate_with_a_nul_in_its_name_is_refused(world, person):
    stranger = Certificate(["localhost\x00.evil.example"], issuer=world.authority)
    inner = Upstream(
        [world.tokens], [world.issuer], certificate=stranger.write(world.folder, "nul")
    )
    ca = world.authority_file
    url = f"https://localhost:{inner.url.rpartition(':')[2]}"
    upstreams = {"inner": {"servers": [url], "tls": {"ca": str(ca)}}}
    routes = world.routes(world.route("/*", forward={"to": "inner"}), upstreams=upstreams)
    try:
        with world.gateway(routes) as gateway:
            assert world.ask(gateway, "GET", "/", person).status in (502, 503)
            assert inner.requests == []
    finally:
        inner.close()


def test_an_upstream_that_asks_to_renegotiate_is_told_no(world, person):
    """`openssl s_server` renegotiates on a line with an R; the other lines are its answer."""
    from harness.waiting import free_port

    port = free_port()
    ca = world.authority_file
    files = world.certificate_files
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_2",
               "-cert", files["chain"], "-key", files["key"]]  # fmt: skip
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    heard = []

    def listen():
        while part := os.read(server.stdout.fileno(), 65536):
            heard.append(part)

    thread = threading.Thread(target=listen)
    thread.start()
    upstreams = {"inner": {"servers": [f"https://127.0.0.1:{port}"], "tls": {"ca": str(ca)}}}
    routes = world.routes(
        world.route("/*", authenticate="none", exchange=None, forward={"to": "inner"}),
        upstreams=upstreams,
    )
    try:
        until(lambda: b"ACCEPT" in b"".join(heard), "s_server to listen")
        with world.gateway(routes) as gateway, Connection(gateway.port) as connection:
            connection.send(request_bytes("GET", "/again"))
            until(lambda: b"GET /again" in b"".join(heard), "the request to arrive")
            server.stdin.write(b"R\n")
            server.stdin.flush()
            until(lambda: b"no renegotiation" in b"".join(heard), "the gateway's refusal")
            assert b"".join(heard).count(b"CIPHER is") <= 1
    finally:
        server.terminate()
        server.wait(10)
        thread.join(10)
        server.stdout.close()
        with contextlib.suppress(OSError):
            server.stdin.close()
