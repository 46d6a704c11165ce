"""Client certificates: who gets a connection, what the log says, and tokens bound to one."""

import datetime
import hashlib
import ssl
import subprocess
import threading

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from harness.certificates import Certificate
from harness.client import Connection, trusting
from harness.keys import b64u, mint, now

VERSIONS = ["TLSv1_2", "TLSv1_3"]
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class Clients:
    """The authorities and certificates of this module's callers, each written to files."""

    def __init__(self, folder):
        self.folder = folder
        self.root = Certificate(["Clients' root"], authority=True)
        self.middle = Certificate(["Clients' middle"], issuer=self.root, authority=True)
        self.stranger = Certificate(["Strangers' root"], authority=True)
        lookalike = Certificate(["Clients' root"], authority=True)
        made = {
            "ann": Certificate(["ann"], issuer=self.root, uses=[CLIENT]),
            "bob": Certificate(["bob"], issuer=self.root),
            "both": Certificate(["both"], issuer=self.root, uses=[SERVER, CLIENT]),
            "chained": Certificate(["chained"], issuer=self.middle, uses=[CLIENT]),
            "stranger": Certificate(["stranger"], issuer=self.stranger),
            "lookalike": Certificate(["lookalike"], issuer=lookalike),
            "selfmade": Certificate(["selfmade"]),
            "server": Certificate(["server"], issuer=self.root, uses=[SERVER]),
            "expired": Certificate(["expired"], issuer=self.root, days=5, starts_days_ago=9),
            "future": Certificate(["future"], issuer=self.root, starts_days_ago=-5),
            "leaf": Certificate(["leaf"], issuer=Certificate(["ann"], issuer=self.root)),
        }
        for name, certificate in made.items():
            certificate.files = certificate.write(folder, f"client-{name}")
        self.by_name = made
        self.ca = folder / "clients.pem"
        self.ca.write_bytes(self.root.pem)
        self.middle_ca = folder / "middle.pem"
        self.middle_ca.write_bytes(self.middle.pem)

    def __getitem__(self, name):
        return self.by_name[name]


@pytest.fixture(scope="module")
def clients(world):
    return Clients(world.folder)


@pytest.fixture(scope="module")
def gateway(world, clients):
    other = Certificate(["other.example"], issuer=world.authority).write(world.folder, "other")

    def listener(name, **tls):
        tls = {"certificates": [world.certificate_files, other]} | tls
        return {"name": name, "address": "127.0.0.1:0", "tls": tls}

    routes = world.routes(
        world.route("/*"),
        listeners=[
            listener("require", clientAuth="require", clientCA=str(clients.ca)),
            listener("request", clientAuth="request", clientCA=str(clients.ca)),
            listener("middle", clientAuth="require", clientCA=str(clients.middle_ca)),
            listener("nobody"),
            world.clear_listener,
        ],
    )
    with world.gateway(routes) as gateway:
        yield gateway


def caller(world, certificate=None, version=None, **settings):
    """A caller's context, with a certificate and in one version of TLS where these are given."""
    if version:
        number = ssl.TLSVersion[version]
        settings |= {"minimum_version": number, "maximum_version": number}
    context = trusting(world.authority, **settings)
    if certificate:
        context.load_cert_chain(certificate.files["chain"], certificate.files["key"])
    return context


def ask(world, gateway, listener, context, person, token=None, name="localhost", path="/x"):
    with Connection(gateway.ports[listener], context, name) as connection:
        token = token or world.issuer.token(person)
        return connection.request("GET", path, person, token, host=name)


def turned_away(world, gateway, listener, context, name="localhost"):
    """Whether the handshake ends. In TLS 1.3 a client learns of that with its first read."""
    seen = len(world.upstream.requests)
    try:
        answer = ask(world, gateway, listener, context, "nobody", name=name)
    except (ssl.SSLError, ConnectionError) as error:
        assert len(world.upstream.requests) == seen
        # An alert of TLS, as a peer can tell it from a fault of the network.
        assert isinstance(error, ssl.SSLError), repr(error)
        return True
    assert answer.status == 200, answer
    return False


# -- who gets a connection


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["ann", "bob", "both"])
@pytest.mark.parametrize("listener", ["require", "request"])
def test_a_certificate_of_the_authority_is_taken(
    world, gateway, clients, person, listener, name, version
):
    context = caller(world, clients[name], version)
    assert ask(world, gateway, listener, context, person, path=f"/{person}").status == 200
    record = gateway.logged(path=f"/{person}")
    assert (record["status"], record["tls_client"]) == (200, f"CN={name}")
    assert record["tls"] == version.replace("_", ".")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["stranger", "lookalike", "selfmade", "server", "expired", "future", "leaf"]
)
@pytest.mark.parametrize("listener", ["require", "request"])
def test_any_other_certificate_ends_the_handshake(
    world, gateway, clients, listener, name, version
):
    """Of another authority, one of the same name, none; for servers; past, future; of a person."""
    assert turned_away(world, gateway, listener, caller(world, clients[name], version))


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_certificate_it_depends(world, gateway, clients, person, version):
    context = caller(world, version=version)
    assert turned_away(world, gateway, "require", context)
    assert ask(world, gateway, "request", context, person, path=f"/{person}").status == 200
    assert "tls_client" not in gateway.logged(path=f"/{person}")


def test_an_intermediate_authority_comes_with_the_certificate(world, gateway, clients, person):
    context = caller(world, clients["chained"])
    assert ask(world, gateway, "require", context, person).status == 200
    # Without it the chain has a gap.
    bare = clients.folder / "bare.pem"
    bare.write_bytes(clients["chained"].pem)
    context = caller(world)
    context.load_cert_chain(bare, clients["chained"].files["key"])
    assert turned_away(world, gateway, "require", context)


def test_an_intermediate_authority_may_be_all_that_is_trusted(world, gateway, clients, person):
    chained = caller(world, clients["chained"])
    assert ask(world, gateway, "middle", chained, person).status == 200
    assert turned_away(world, gateway, "middle", caller(world, clients["ann"]))


def test_nobody_is_asked_where_nothing_says_so(world, gateway, clients, person):
    """A certificate that nobody asked for is not sent, and so not logged."""
    for certificate in (None, clients["ann"], clients["stranger"]):
        context = caller(world, certificate)
        assert ask(world, gateway, "nobody", context, person).status == 200
    gateway.logged(listener="nobody")
    records = [record for record in gateway.log() if record["listener"] == "nobody"]
    assert not any("tls_client" in record for record in records)


def test_a_certificate_needs_its_key(world, gateway, clients):
    """A stolen certificate without its key: the handshake is signed with another one."""
    stolen = clients.folder / "stolen.pem"
    stolen.write_bytes(clients["ann"].pem)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.ports['require']}",
               "-cert", str(stolen), "-key", clients["bob"].files["key"]]  # fmt: skip
    run = subprocess.run(command, input=b"", capture_output=True, timeout=20)
    assert run.returncode != 0


# -- names and tickets


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["localhost", "other.example", "unknown.example", None])
def test_every_server_name_asks_for_the_same_certificates(
    world, gateway, clients, person, name, version
):
    """The certificate that a name picks has a context of its own, and asks as the first does."""
    check = name not in ("unknown.example", None)
    without = caller(world, version=version, check_hostname=check)
    assert turned_away(world, gateway, "require", without, name)
    stranger = caller(world, clients["stranger"], version, check_hostname=check)
    assert turned_away(world, gateway, "require", stranger, name)
    assert turned_away(world, gateway, "request", stranger, name)
    context = caller(world, clients["ann"], version, check_hostname=check)
    with Connection(gateway.ports["require"], context, name) as connection:
        host = name if name == "other.example" else "localhost"
        answer = connection.request(
            "GET", "/x", person, world.issuer.token(person), host=host
        )
        assert answer.status == 200, answer


def s_client(port, *arguments):
    """A request without a token by OpenSSL's client: its exit status and all that it prints."""
    text = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
               "-ign_eof", *arguments]  # fmt: skip
    run = subprocess.run(command, input=text, capture_output=True, timeout=30)
    return run.returncode, run.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("listener", ["require", "request"])
def test_a_listener_that_asks_gives_no_tickets(gateway, clients, listener, version, tmp_path):
    ann = clients["ann"].files
    identity = ["-cert", ann["chain"], "-key", ann["key"]]
    _, said = s_client(gateway.ports[listener], version, *identity)
    assert "HTTP/1.1 401" in said, said
    assert "session ticket" not in said.lower(), said
    # The names of those whose certificates are taken are told.
    assert "Acceptable client certificate CA names" in said and "Clients' root" in said
    file = tmp_path / "session"
    s_client(gateway.ports[listener], version, *identity, "-sess_out", str(file))
    if file.exists():
        _, said = s_client(gateway.ports[listener], version, *identity, "-sess_in", str(file))
        assert "Reused" not in said and "HTTP/1.1 401" in said
        # And without the certificate it is no way in.
        _, said = s_client(gateway.ports[listener], version, "-sess_in", str(file))
        assert "Reused" not in said
        assert ("HTTP/1.1" in said) == (listener == "request")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_from_elsewhere_is_no_certificate(gateway, clients, version, tmp_path):
    """All listeners share their ticket keys; a session without a certificate stays outside."""
    file = tmp_path / "session"
    _, said = s_client(gateway.ports["nobody"], version, "-sess_out", str(file))
    assert "HTTP/1.1 401" in said and file.exists(), said
    _, said = s_client(gateway.ports["nobody"], version, "-sess_in", str(file))
    assert "Reused" in said, said
    for listener, gets_in in (("require", False), ("request", True)):
        _, said = s_client(gateway.ports[listener], version, "-sess_in", str(file))
        assert "Reused" not in said, said
        assert ("HTTP/1.1" in said) == gets_in, said


# -- what the log says


def subject(*attributes):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


SUBJECTS = [
    (
        subject(
            (NameOID.COUNTRY_NAME, "SE"),
            (NameOID.ORGANIZATION_NAME, "Lünd, Inc. \"x\" <a+b>;#\\"),
            (NameOID.COMMON_NAME, " #anna=b "),
        ),
        "CN=\\ #anna=b\\ ,O=L\\C3\\BCnd\\, Inc. \\\"x\\\" \\<a\\+b\\>\\;#\\\\,C=SE",
    ),
    (subject((NameOID.COMMON_NAME, 'a\n{"b":"c"}\x1b[2J\x7f')),
     'CN=a\\0A{\\"b\\":\\"c\\"}\\1B[2J\\7F'),
    (subject((NameOID.COMMON_NAME, "a\x00.example")), "CN=a\\00.example"),
    (subject(), ""),
    (subject((NameOID.USER_ID, "u1"), (NameOID.DOMAIN_COMPONENT, "x")), "DC=x,UID=u1"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SUBJECTS)))
def test_the_log_has_the_subject_on_one_line(world, gateway, clients, person, number):
    name, text = SUBJECTS[number]
    certificate = Certificate(["x.example"], issuer=clients.root, subject=name)
    certificate.files = certificate.write(world.folder, f"subject-{number}")
    target = f"/subject-{number}"
    with Connection(gateway.ports["require"], caller(world, certificate)) as connection:
        for _ in range(2):
            token = world.issuer.token(person)
            assert connection.request("GET", target, person, token).status == 200
    record = gateway.logged(path=target)
    assert record["tls_client"] == text


def test_a_long_subject_is_cut(world, gateway, clients, person):
    units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, str(n) * 60) for n in range(10, 40)]
    certificate = Certificate(["x"], issuer=clients.root, subject=subject(*units))
    certificate.files = certificate.write(world.folder, "long")
    context = caller(world, certificate)
    with Connection(gateway.ports["require"], context) as connection:
        token = world.issuer.token(person)
        assert connection.request("GET", "/long", person, token).status == 200
    text = gateway.logged(path="/long")["tls_client"]
    assert len(text) == 512 and text.startswith("OU=3939")


# -- tokens bound to a certificate (RFC 8705 §3)


def bound(world, person, certificate, **more):
    return world.issuer.token(person, cnf={"x5t#S256": certificate.thumbprint}, **more)


def unproved(world, answer):
    assert (answer.status, answer.problem) == (401, "binding_unverified"), answer
    assert 'error="invalid_token"' in answer.value("www-authenticate")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("listener", ["require", "request"])
def test_a_bound_token_is_its_certificates_only(
    world, gateway, clients, person, listener, version
):
    ann, bob = (caller(world, clients[name], version) for name in ("ann", "bob"))
    token = bound(world, person, clients["ann"])
    calls = len(world.tokens.calls)
    # The thief comes first, then when the token is known, then on a worker that knows it.
    unproved(world, ask(world, gateway, listener, bob, person, token))
    assert len(world.tokens.calls) == calls, "exchanged for a thief"
    assert ask(world, gateway, listener, ann, person, token).status == 200
    for _ in range(8):
        unproved(world, ask(world, gateway, listener, bob, person, token))
        if listener == "request":
            without = caller(world, version=version)
            unproved(world, ask(world, gateway, listener, without, person, token))
        unproved(world, ask(world, gateway, "nobody", caller(world), person, token))
        with Connection(gateway.ports["clear"]) as connection:
            unproved(world, connection.request("GET", "/x", person, token))
        assert ask(world, gateway, listener, ann, person, token).status == 200
    assert len(world.tokens.calls) == calls + 1
    record = gateway.logged(reason="binding_unverified", tls_client="CN=bob")
    assert record["auth"] in ("cached", "verified")


def test_a_bound_token_is_asked_for_its_certificate_on_each_request(
    world, gateway, clients, person
):
    """On one connection, between tokens that are bound to it, to another one, and to none."""
    good, free = bound(world, person, clients["ann"]), world.issuer.token(person)
    bad = bound(world, person, clients["bob"])
    with Connection(gateway.ports["require"], caller(world, clients["ann"])) as connection:
        for token, status in [(good, 200), (bad, 401), (free, 200), (bad, 401), (good, 200)] * 2:
            answer = connection.request("GET", "/x", person, token)
            assert answer.status == status
            if status == 401:
                unproved(world, answer)


def test_people_with_bound_tokens_at_once_are_kept_apart(world, gateway, clients, person):
    names = ["ann", "bob", "both", "chained"]
    tokens = {name: bound(world, f"{person}-{name}", clients[name]) for name in names}
    wrong = []

    def calls(own):
        context = caller(world, clients[own])
        with Connection(gateway.ports["require"], context) as connection:
            for turn in range(60):
                name = names[turn % len(names)]
                answer = connection.request("GET", "/x", f"{person}-{name}", tokens[name])
                if answer.status != (200 if name == own else 401):
                    wrong.append((own, name, answer))

    threads = [threading.Thread(target=calls, args=(name,)) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


CONFIRMATIONS = [
    {},
    None,
    "{t}",
    ["{t}"],
    {"x5t#S256": None},
    {"x5t#S256": 5},
    {"x5t#S256": ["{t}"]},
    {"x5t#S256": ""},
    {"x5t#S256": "{t}="},
    {"x5t#S256": "{t}A"},
    {"x5t#S256": " {t}"},
    {"x5t#s256": "{t}"},
    {"x5t": "{t}"},
    {"x5t#S256": "{hex}"},
    {"x5t#S256": "{key}"},
    {"x5t#S256": "{t}", "jkt": "{t}"},
    {"x5t#S256": "{t}", "kid": "1"},
    {"jkt": "{t}"},
    {"jwk": {"kty": "EC"}},
    {"kid": "{t}"},
    {"jwe": "{t}"},
    {"jku": "https://x.example"},
    {"jkt": "{t}", "unknown": 1},
    {"unknown": "{t}"},
]


@pytest.mark.parametrize("number", range(len(CONFIRMATIONS)))
def test_a_binding_that_is_not_understood_is_not_proved(world, gateway, clients, person, number):
    """With the right certificate at hand: nothing else may pass for a bearer token."""
    der = clients["ann"].certificate.public_bytes(serialization.Encoding.DER)
    key = clients["ann"].certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    values = {
        "{t}": clients["ann"].thumbprint,
        "{hex}": hashlib.sha256(der).hexdigest(),
        "{key}": b64u(hashlib.sha256(key).digest()),
    }

    def filled(value):
        if isinstance(value, dict):
            return {name: filled(member) for name, member in value.items()}
        if isinstance(value, list):
            return [filled(member) for member in value]
        if isinstance(value, str):
            for name, text in values.items():
                value = value.replace(name, text)
        return value

    cnf = filled(CONFIRMATIONS[number])
    claims = world.issuer.claims(person) | {"cnf": cnf}
    token = world.issuer.remember(mint(world.issuer.key, claims), person)
    context = caller(world, clients["ann"])
    for _ in range(2):
        unproved(world, ask(world, gateway, "require", context, person, token))


def test_dpop_is_no_bearer_token(world, gateway, clients, person):
    token = world.issuer.token(person, cnf={"jkt": clients["ann"].thumbprint})
    fields = [("Authorization", f"DPoP {token}"), ("DPoP", "a.b.c")]
    with Connection(gateway.ports["require"], caller(world, clients["ann"])) as connection:
        answer = connection.request("GET", "/x", person, fields=fields)
    assert (answer.status, answer.problem) == (401, "token_missing")


def test_behind_a_trusted_proxy_no_binding_is_proved(world, clients, person):
    """The certificate is the proxy's own, whoever sent it the token."""
    tls = {
        "certificates": [world.certificate_files],
        "clientAuth": "require",
        "clientCA": str(clients.ca),
    }
    routes = world.routes(
        listeners=[{"name": "require", "address": "127.0.0.1:0", "tls": tls}],
        trustedProxies=["127.0.0.1/32"],
    )
    with world.gateway(routes) as gateway:
        context = caller(world, clients["ann"])
        token = bound(world, person, clients["ann"])
        unproved(world, ask(world, gateway, "require", context, person, token))
        assert ask(world, gateway, "require", context, person).status == 200
        assert gateway.logged(status=200)["tls_client"] == "CN=ann"


def test_a_bound_token_ends_like_any_other(world, gateway, clients, person):
    context = caller(world, clients["ann"])
    token = bound(world, person, clients["ann"], exp=now() - 1)
    answer = ask(world, gateway, "require", context, person, token)
    assert answer.problem == "token_expired"
    token = bound(world, person, clients["ann"], aud="https://other.example")
    answer = ask(world, gateway, "require", context, person, token)
    assert answer.problem == "audience_wrong"


# -- real clients


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_with_a_certificate(world, gateway, clients, person, version):
    token = bound(world, person, clients["ann"])
    ca = world.authority_file

    def curl(name):
        files = clients[name].files
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(ca), "--tls-max", version,
                   "--tlsv" + version, "--cert", files["chain"], "--key", files["key"],
                   "-H", f"X-Test-Person: {person}", "-H", f"Authorization: Bearer {token}",
                   "-w", "%{http_code}", "-o", "/dev/null",
                   f"https://localhost:{gateway.ports['require']}/x"]  # fmt: skip
        return subprocess.run(command, capture_output=True, timeout=20, text=True)

    assert curl("ann").stdout == "200"
    assert curl("bob").stdout == "401"
    stranger = curl("stranger")
    assert stranger.returncode != 0 and stranger.stdout == "000"


def test_requests_with_a_certificate(world, gateway, clients, person):
    ca = world.authority_file
    url = f"https://localhost:{gateway.ports['require']}/x"
    token = bound(world, person, clients["ann"])
    headers = {"X-Test-Person": person, "Authorization": f"Bearer {token}"}

    def get(name):
        files = clients[name].files
        pair = (files["chain"], files["key"])
        return requests.get(url, headers=headers, cert=pair, verify=str(ca), timeout=20)

    assert get("ann").status_code == 200
    assert get("bob").json()["reason"] == "binding_unverified"
    with pytest.raises(requests.exceptions.RequestException):
        get("stranger")


def test_the_certificates_end_is_looked_at_when_it_is_shown(world, gateway, clients, person):
    """One that ends in a minute is good now."""
    short = Certificate(["short"], issuer=clients.root)
    builder = x509.CertificateBuilder(
        issuer_name=clients.root.certificate.subject,
        subject_name=short.certificate.subject,
        public_key=short.key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=datetime.datetime.now(datetime.timezone.utc)
        - datetime.timedelta(minutes=1),
        not_valid_after=datetime.datetime.now(datetime.timezone.utc)
        + datetime.timedelta(minutes=1),
    )
    short.certificate = builder.sign(clients.root.key, hashes.SHA256())
    short.files = short.write(world.folder, "short")
    context = caller(world, short)
    assert ask(world, gateway, "require", context, person).status == 200
