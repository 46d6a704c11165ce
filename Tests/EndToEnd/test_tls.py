"""TLS termination: chains by server name, versions, ALPN, resumption, ciphers, and bad peers."""

import os
import re
import socket
import ssl
import subprocess
import threading

import pytest
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes, trusting
from harness.waiting import until


@pytest.fixture(scope="module")
def certificates(world):
    middle = Certificate(["Middle"], issuer=world.authority, authority=True)
    made = {
        "localhost": world.certificate,
        "one.example": Certificate(["one.example", "uno.example"], issuer=middle),
        "wild.example": Certificate(["*.wild.example"], issuer=world.authority),
    }
    for name, certificate in made.items():
        certificate.files = certificate.write(world.folder, name)
    return made


@pytest.fixture(scope="module")
def gateway(world, certificates):
    tls = {"certificates": [certificate.files for certificate in certificates.values()]}
    old = {"certificates": [world.certificate_files], "minVersion": "1.3"}
    routes = world.routes(
        world.route("/*"),
        listeners=[
            {"name": "tls", "address": "127.0.0.1:0", "tls": tls},
            {"name": "only-1.3", "address": "127.0.0.1:0", "tls": old},
            world.clear_listener,
        ],
    )
    with world.gateway(routes) as gateway:
        yield gateway


def server_names(port, tls, name):
    with Connection(port, tls, name) as connection:
        names = connection.socket.getpeercert()["subjectAltName"]
    return [value for _, value in names]


@pytest.mark.parametrize(
    "asked, got",
    [
        ("localhost", "localhost"),
        ("one.example", "one.example"),
        ("ONE.example", "one.example"),
        ("uno.example", "one.example"),
        ("a.wild.example", "*.wild.example"),
    ],
)
def test_the_chain_is_picked_by_the_server_name(world, gateway, asked, got):
    """Each is trusted by the root alone: an intermediate certificate came with it."""
    assert got in server_names(gateway.port, world.tls, asked)


@pytest.mark.parametrize("asked", ["unknown.example", "a.b.wild.example", None])
def test_the_first_chain_is_the_default(world, gateway, asked):
    context = trusting(world.authority, check_hostname=False)
    assert "localhost" in server_names(gateway.port, context, asked)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_both_versions_forward_requests(world, gateway, person, version):
    number = ssl.TLSVersion[version]
    context = trusting(world.authority, minimum_version=number, maximum_version=number)
    with Connection(gateway.port, context) as connection:
        token = world.issuer.token(person)
        for size in (0, 10, 40_000, 300_000):
            answer = connection.request("POST", "/tls", person, token, body=b"z" * size)
            assert answer.json()["size"] == size
        assert answer.seen("x-forwarded-proto") == ["https"]
        assert connection.socket.version() == version.replace("_", ".")


def test_older_versions_are_refused(world, gateway):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_1",
               "-cipher", "DEFAULT@SECLEVEL=0"]  # fmt: skip
    run = subprocess.run(command, input=b"", capture_output=True, timeout=20)
    assert run.returncode != 0
    context = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Connection(gateway.ports["only-1.3"], context)


@pytest.mark.parametrize(
    "cipher", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ADH-AES128-SHA"]
)
def test_weak_ciphers_are_refused(gateway, cipher):
    """No key exchange without forward secrecy, no CBC, no anonymous peer."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2",
               "-cipher", f"{cipher}:@SECLEVEL=0"]  # fmt: skip
    run = subprocess.run(command, input=b"", capture_output=True, timeout=20)
    assert run.returncode != 0, run.stdout


def test_alpn_agrees_on_what_both_speak(gateway):
    for offered, wanted in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1")):
        context = trusting()
        context.set_alpn_protocols(offered)
        with Connection(gateway.port, context) as connection:
            assert connection.socket.selected_alpn_protocol() == wanted


def test_alpn_without_anything_in_common_is_refused(gateway):
    """RFC 7301 §3.2: no_application_protocol, rather than a protocol nobody asked for."""
    context = trusting()
    context.set_alpn_protocols(["acme-tls/1"])
    with pytest.raises(ssl.SSLError):
        Connection(gateway.port, context)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_resume_whatever_worker_takes_them(world, gateway, person, version):
    number = ssl.TLSVersion[version]
    context = trusting(world.authority, minimum_version=number, maximum_version=number)
    token = world.issuer.token(person)
    with Connection(gateway.port, context) as connection:
        assert connection.request("GET", "/first", person, token).status == 200
        session = connection.socket.session
    resumed = 0
    for _ in range(12):
        with Connection(gateway.port, context, session=session) as connection:
            assert connection.request("GET", "/again", person, token).status == 200
            resumed += connection.socket.session_reused
            session = connection.socket.session
    assert resumed == 12


def test_a_session_of_one_name_is_no_way_into_another(world, gateway):
    """A ticket is of the chain it was made under."""
    number = ssl.TLSVersion.TLSv1_3
    context = trusting(check_hostname=False, minimum_version=number)
    with Connection(gateway.port, context, "one.example") as connection:
        connection.request("GET", "/")
        session = connection.socket.session
    with Connection(gateway.port, context, "localhost", session=session) as connection:
        connection.request("GET", "/")
        assert not connection.socket.session_reused


def test_a_name_of_another_chain_on_this_connection_is_misdirected(world, gateway, person):
    token = world.issuer.token(person)
    with Connection(gateway.port, world.tls, "localhost") as connection:
        answer = connection.request("GET", "/x", person, token, host="one.example")
        assert (answer.status, answer.problem) == (421, "misdirected")
    with Connection(gateway.port, world.tls, "localhost") as connection:
        # One that no certificate holds is matched as usual.
        answer = connection.request("GET", "/x", person, token, host="unknown.example")
        assert answer.status == 200
    with Connection(gateway.port, world.tls, "one.example") as connection:
        answer = connection.request("GET", "/x", person, token, host="UNO.example:443")
        assert answer.status == 200


def test_the_connection_ends_with_close_notify(world, gateway, person):
    """A caller can tell a whole answer from a truncated one."""
    with Connection(gateway.port, world.tls) as connection:
        connection.socket.suppress_ragged_eofs = False
        token = world.issuer.token(person)
        fields = [("Connection", "close")]
        assert connection.request("GET", "/bye", person, token, fields).status == 200
        assert connection.socket.recv(1) == b""  # and not SSLEOFError


def test_an_answer_without_length_is_whole_only_with_the_upstreams_end(world, gateway, person):
    """Over TLS too, a broken answer must not look like a whole one."""

    @world.upstream.on("/broken-tls")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        exchange.reset()

    with Connection(gateway.port, world.tls) as connection:
        connection.socket.suppress_ragged_eofs = False
        connection.send(request_bytes("GET", "/broken-tls", person, world.issuer.token(person)))
        with pytest.raises(Exception):  # whatever of its kind: anything but a clean answer
            connection.answer()


def test_clear_text_on_the_tls_port_is_refused_quickly(world, gateway, person):
    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/", person, world.issuer.token(person)))
        said = connection.rest()
    assert b"200" not in said[:20]
    assert world.upstream.seen(person=person) == []


def test_tls_on_the_clear_port_is_refused(gateway):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Connection(gateway.ports["clear"], trusting())


def test_garbage_beside_good_callers_does_not_disturb_them(world, gateway, person):
    """OpenSSL's error queue is a thread's: what one peer breaks must not end another's."""
    token = world.issuer.token(person)
    good = [Connection(gateway.port, world.tls) for _ in range(8)]
    try:
        for number in range(60):
            with Connection(gateway.port) as bad:
                bad.send([b"\x80\x2e\x01\x03\x01", os.urandom(60), b"\x16\x03\x01\xff\xff",
                          b"\x15\x03\x03\x00\x02\x02\x28"][number % 4])  # fmt: skip
                if number % 3 == 0:
                    bad.reset()
            connection = good[number % len(good)]
            answer = connection.request("POST", "/good", person, token, body=b"g" * 5000)
            assert answer.status == 200
    finally:
        for connection in good:
            connection.close()


class Flights:
    """A TLS caller that decides itself which bytes go out together."""

    def __init__(self, port, context, server_name="localhost"):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)

    def handshake(self, send):
        """Shakes hands; the last flight is left in `outgoing`."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                send(self.outgoing.read())
                self.take()

    def take(self):
        data = self.socket.recv(65536)
        assert data, "the gateway ended the connection"
        self.incoming.write(data)

    def head(self):
        """The answer's head; 20 s without a byte fail."""
        got = b""
        while b"\r\n\r\n" not in got:
            try:
                got += self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.take()
        return got

    def send_bytes(self, data):
        for byte in data:
            self.socket.sendall(bytes([byte]))


def test_a_handshake_in_single_bytes_succeeds(world, gateway, person):
    caller = Flights(gateway.port, world.tls)
    with caller.socket:
        caller.handshake(caller.send_bytes)
        caller.tls.write(request_bytes("GET", "/bytes", person, world.issuer.token(person)))
        caller.send_bytes(caller.outgoing.read())
        assert caller.head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [0, 10_000, 60_000])
def test_a_request_in_the_last_flight_of_the_handshake_is_seen(world, gateway, person, size):
    """It lies in OpenSSL by then, and the socket has nothing more to tell."""
    request = request_bytes(
        "POST", "/last-flight", person, world.issuer.token(person), body=b"f" * size
    )
    for _ in range(25):
        caller = Flights(gateway.port, world.tls)
        with caller.socket:
            caller.handshake(caller.socket.sendall)
            caller.tls.write(request)
            caller.socket.sendall(caller.outgoing.read())
            assert caller.head().startswith(b"HTTP/1.1 200 ")


def test_no_request_is_lost_behind_a_handshake(world, gateway, person):
    """Many at once, so that handshakes are woken by everything that can wake them.

    A request that came into OpenSSL with the end of a handshake was lost once in 1,500 times: the
    socket's own state said that there was nothing to read.
    """
    request = request_bytes("GET", "/behind", person, world.issuer.token(person))
    broken = []

    def callers():
        for _ in range(60):
            caller = Flights(gateway.port, world.tls)
            try:
                with caller.socket:
                    caller.socket.settimeout(5)
                    caller.handshake(caller.socket.sendall)
                    caller.tls.write(request)
                    caller.socket.sendall(caller.outgoing.read())
                    assert caller.head().startswith(b"HTTP/1.1 200 ")
            except Exception as error:  # noqa: BLE001
                broken.append(repr(error))
                return

    threads = [threading.Thread(target=callers) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not broken, broken


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_many_records_at_once_are_all_seen(world, gateway, person, version):
    """Requests and bodies in records of every size, sent together and in two halves."""
    number = ssl.TLSVersion[version]
    context = trusting(world.authority, minimum_version=number, maximum_version=number)
    token = world.issuer.token(person)
    request = request_bytes("POST", "/records", person, token, body=b"r" * 30_000)
    for piece in (1, 100, 4096, 16_384):
        if piece == 1:
            request = request_bytes("GET", "/records", person, token)
        caller = Flights(gateway.port, context)
        with caller.socket:
            caller.handshake(caller.socket.sendall)
            caller.socket.sendall(caller.outgoing.read())
            for turn in range(4):
                for start in range(0, len(request), piece):
                    caller.tls.write(request[start : start + piece])
                data = caller.outgoing.read()
                middle = len(data) * turn // 4
                caller.socket.sendall(data[:middle])
                caller.socket.sendall(data[middle:])
                answer = caller.head()
                assert answer.startswith(b"HTTP/1.1 200 ")
                length = re.search(rb"Content-Length: (\d+)", answer, re.I)
                left = int(length[1]) - len(answer.partition(b"\r\n\r\n")[2])
                while left > 0:
                    try:
                        left -= len(caller.tls.read(left))
                    except ssl.SSLWantReadError:
                        caller.take()
        request = request_bytes("POST", "/records", person, token, body=b"r" * 30_000)


def test_renegotiation_is_refused(gateway):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2"]
    run = subprocess.run(command, input=b"R\n", capture_output=True, timeout=30)
    said = run.stdout + run.stderr
    assert b"renegotiat" in said.lower() and b"alert no renegotiation" in said or run.returncode


def test_no_early_data_is_offered(gateway):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_3"]
    run = subprocess.run(
        command, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=30
    )
    said = run.stdout.decode(errors="replace")
    assert "Max Early Data: 0" in said or "Max Early Data" not in said


def test_a_caller_that_vanishes_in_the_handshake_costs_nothing_lasting(world, gateway, person):
    before = len(os.listdir(f"/proc/{gateway.pid}/fd"))
    for _ in range(50):
        with Connection(gateway.port) as connection:
            connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            connection.reset()
    assert world.ask(gateway, "GET", "/", person, tls=world.tls).status == 200
    until(
        lambda: len(os.listdir(f"/proc/{gateway.pid}/fd")) <= before + 6,
        "the descriptors to be given back",
    )


def test_an_upstream_with_tls_is_verified(world, person):
    """`https://` upstreams: a good certificate is used, another's name or signer is a 502/503."""
    from harness.upstream import Upstream

    inner = Upstream([world.tokens], [world.issuer], certificate=world.certificate_files)
    stranger = Certificate(["localhost", "127.0.0.1"])
    bad = Upstream(
        [world.tokens], [world.issuer], certificate=stranger.write(world.folder, "stranger")
    )
    ca = world.authority_file
    upstreams = {
        name: {"servers": [server.url], "tls": {"ca": str(ca)}}
        for name, server in (("good", inner), ("bad", bad))
    }
    routes = world.routes(
        world.route("/good/*", forward={"to": "good"}),
        world.route("/bad/*", forward={"to": "bad"}),
        upstreams=upstreams,
    )
    try:
        with world.gateway(routes) as gateway:
            with world.connect(gateway) as connection:
                token = world.issuer.token(person)
                for _ in range(3):
                    answer = connection.request(
                        "POST", "/good/x", person, token, body=b"i" * 100_000
                    )
                    assert answer.json()["size"] == 100_000
                assert connection.request("GET", "/bad/x", person, token).status in (502, 503)
            assert bad.requests == []
    finally:
        inner.close()
        bad.close()


def test_ask_over_tls_keeps_people_apart(world, gateway):
    for number in range(6):
        name = f"tls-person-{number}"
        token = world.issuer.token(name)
        assert ask(gateway.port, "GET", "/p", name, token, world.tls).status == 200
