"""A token service that checks what it is asked, counts it, and can be made to fail.

It knows RFC 8693's exchange, Entra's on-behalf-of and client credentials, and each way in which a
client can show who it is. Assertions are judged by others' library, not by what is written here.
"""

import base64
import binascii
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field

from joserfc import errors as jose_errors
from joserfc import jwk, jwt

from .issuer import Service
from .keys import Key, claims_of, mint, now

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_CREDENTIALS = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass
class Call:
    """One request of the token endpoint, as it arrived."""

    form: list
    authorization: str | None
    content_type: str | None
    accept: str | None
    head: dict = field(default_factory=dict)
    certificate: bytes | None = None  # DER of what the connection showed

    @property
    def subject(self):
        """The caller's token, wherever the grant puts it."""
        return self.value("subject_token") or self.value("assertion")

    def values(self, name):
        return [value for key, value in self.form if key == name]

    def value(self, name):
        values = self.values(name)
        return values[0] if values else None


@dataclass
class Issued:
    """What is known of an exchanged token."""

    subject_token: str | None  # none: the client's own
    person: str
    audience: list
    scope: str | None


class TokenService(Service):
    """`failure(call, handler)` may answer instead (and return true); `complaints` lists what a
    call of the gateway got wrong, and fails the tests."""

    def __init__(self, client="gateway", secret="s3cret", alg="ES256", pad=0, certificate=None,
                 client_authority=None):  # fmt: skip
        self.certificate, self.client_authority = certificate, client_authority
        self.client_key = None  # of private_key_jwt: the client's public JWK
        self.assertion_audience = None  # what an assertion's aud must be, if not the endpoint
        self.client_certificate = None  # of tls_client_auth: DER
        self.jtis = set()
        self.client, self.secret = client, secret
        self.method = "client_secret_basic"
        self.key = Key(alg, kid="issued-1")
        self.pad = "x" * pad
        self.calls = []
        self.issued = {}
        self.complaints = []
        self.lifetime = 3600
        self.claim_changes = {}
        self.answer_changes = {}
        self.failure = None
        self.gate = None  # an Event that every call waits for
        self.waiting = 0
        self.lock = threading.Lock()
        super().__init__()

    @property
    def endpoint(self):
        return self.url + "/token"

    def reset(self):
        """Well-behaved again; what was issued stays known."""
        self.failure = self.gate = None
        self.method = "client_secret_basic"
        self.lifetime, self.claim_changes, self.answer_changes = 3600, {}, {}

    def calls_for(self, token):
        return [call for call in list(self.calls) if call.subject == token]

    # -- one call

    def answer(self, handler):
        if handler.path == "/jwks":
            return self.send(handler, 200, {"keys": [self.key.jwk()]})
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size).decode("utf-8", "replace")
        call = Call(
            urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body)),
            handler.headers.get("Authorization"),
            handler.headers.get("Content-Type"),
            handler.headers.get("Accept"),
            dict(handler.headers.items()),
            self.certificate and handler.connection.getpeercert(binary_form=True),
        )
        with self.lock:
            self.calls.append(call)
            self.waiting += 1
        try:
            if self.gate:
                self.gate.wait(30)
        finally:
            with self.lock:
                self.waiting -= 1
        failure = self.failure
        if failure and failure(call, handler):
            return None
        wrong = self.wrong_with(handler, call)
        if wrong:
            self.complaints.append(wrong)
            return self.send(handler, 400, {"error": "invalid_request", "error_description": wrong})
        if not self.authenticated(call):
            return self.send(
                handler,
                401,
                {"error": "invalid_client"},
                headers=[("WWW-Authenticate", 'Basic realm="tokens"')],
            )
        subject = call.subject
        claims = claims_of(subject) if subject else {}
        if claims.get("userType", "").lower() == "system":
            return self.send(handler, 400, {"error": "invalid_request"})
        return self.send(handler, 200, self.issue(subject, call))

    def wrong_with(self, handler, call):
        """What is wrong with the call by RFC 8693 §2.1 and RFC 6749, or None."""
        if handler.command != "POST":
            return f"method {handler.command}"
        if (call.content_type or "").split(";")[0].strip() != "application/x-www-form-urlencoded":
            return f"content type {call.content_type}"
        for name, value in call.form:
            if name not in ("audience", "resource") and len(call.values(name)) != 1:
                return f"{name} is there {len(call.values(name))} times"
            if not value:
                return f"{name} is empty"
        wrong = self.wrong_with_grant(call)
        if wrong:
            return wrong
        if self.method == "client_secret_basic" and call.value("client_secret"):
            return "the secret is in the form although the method is Basic"
        if self.method == "client_secret_post" and call.authorization:
            return "an Authorization field although the method is post"
        return None

    def wrong_with_grant(self, call):
        grant = call.value("grant_type")
        names = {name for name, _ in call.form}
        callers = {"subject_token", "subject_token_type", "assertion", "requested_token_use"}
        if grant == EXCHANGE:
            if (call.value("subject_token") or "").count(".") != 2:
                return "subject_token is not a JWT"
            if not call.value("subject_token_type"):
                return "subject_token_type is missing"
            if ("actor_token" in names) != ("actor_token_type" in names):
                return "an actor's token and its type go together"
            strange = {"assertion", "requested_token_use"}
        elif grant == ON_BEHALF_OF:
            if (call.value("assertion") or "").count(".") != 2:
                return "assertion is not a JWT"
            if call.value("requested_token_use") != "on_behalf_of":
                return "requested_token_use is not on_behalf_of"
            strange = {"subject_token", "subject_token_type", "requested_token_type",
                       "actor_token", "actor_token_type", "audience", "resource"}  # fmt: skip
        elif grant == CLIENT_CREDENTIALS:
            strange = callers | {"requested_token_type", "actor_token", "actor_token_type"}
        else:
            return f"grant_type {grant}"
        return f"{strange & names} with {grant}" if strange & names else None

    def asserted(self, call):
        """RFC 7523 §3, with signature, times and claims judged by joserfc."""
        if call.authorization or call.value("client_secret"):
            return False
        if call.value("client_assertion_type") != ASSERTION_TYPE:
            return False
        assertion = call.value("client_assertion") or ""
        key = jwk.import_key(self.client_key)
        try:
            token = jwt.decode(assertion, key, algorithms=[self.client_key["alg"]])
            essential = {"essential": True}
            jwt.JWTClaimsRegistry(
                leeway=5,
                iss={"essential": True, "value": self.client},
                sub={"essential": True, "value": self.client},
                aud={"essential": True, "value": self.assertion_audience or self.endpoint},
                exp=essential, iat=essential, jti=essential,
            ).validate(token.claims)  # fmt: skip
        except (jose_errors.JoseError, ValueError) as error:
            self.complaints.append(f"the assertion: {error!r}")
            return False
        with self.lock:
            is_new = token.claims["jti"] not in self.jtis
            self.jtis.add(token.claims["jti"])
        if not is_new:
            self.complaints.append("an assertion that came before")
        short = token.claims["exp"] - token.claims["iat"] <= 300
        return is_new and short and call.value("client_id") == self.client

    def authenticated(self, call):
        if self.method == "private_key_jwt":
            return self.asserted(call)
        if self.method in ("tls_client_auth", "none"):
            if call.authorization or call.value("client_secret") or call.value("client_assertion"):
                return False
            shown = self.method == "none" or call.certificate == self.client_certificate
            return shown and call.value("client_id") == self.client
        if self.method == "client_secret_post":
            given = (call.value("client_id"), call.value("client_secret"))
            return given == (self.client, self.secret)
        kind, _, value = (call.authorization or "").partition(" ")
        if kind != "Basic":
            return False
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        given = (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret))
        return given == (self.client, self.secret)

    def issue(self, subject, call):
        """A token of this service's own for the subject's person, or for the client itself."""
        subjects = claims_of(subject) if subject else {"sub": self.client}
        person = subjects.get("sub")
        audience = call.values("audience") + call.values("resource")
        claims = {
            "iss": self.url,
            "sub": person,
            "aud": audience[0] if len(audience) == 1 else audience,
            "iat": now(),
            "exp": now() + self.lifetime,
            "jti": uuid.uuid4().hex,
            "client_id": self.client,
            "act": {"sub": self.client},
        }
        if call.value("grant_type") == ON_BEHALF_OF:
            # As Entra: the person is told by oid, and `sub` is another one for each client.
            claims |= {"aud": call.value("scope").split("/.default")[0], "oid": subjects["oid"]}
            claims["sub"] = "pairwise-" + person
        if self.pad:
            claims["pad"] = self.pad
        claims |= self.claim_changes
        token = mint(self.key, {k: v for k, v in claims.items() if v is not None})
        known = Issued(subject, person, audience, call.value("scope"))
        with self.lock:
            self.issued[token] = known
        answer = {
            "access_token": token,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
        } | self.answer_changes
        return {k: v for k, v in answer.items() if v is not None}

    # -- ways to fail

    def failing(self, status, body=None, content_type="application/json", headers=()):
        """Every call gets this answer."""

        def fail(_, handler):
            self.send(handler, status, {} if body is None else body, content_type, headers)
            return True

        self.failure = fail

    def failing_raw(self, data):
        """Every call gets these bytes and then the end of the connection."""

        def fail(_, handler):
            handler.wfile.write(data)
            handler.wfile.flush()
            handler.close_connection = True
            return True

        self.failure = fail

    def held(self):
        """Every call waits until `release` is called."""
        self.gate = threading.Event()
        return self.gate

    def wait_for_calls(self, count, seconds=10):
        end = time.monotonic() + seconds
        while self.waiting < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.waiting
