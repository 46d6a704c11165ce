"""An OpenID provider as a gateway sees it: discovery, keys, and the tokens that callers bring."""

import json
import ssl
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .keys import Key, b64u, mint, now

AUDIENCE = "https://gateway.example"


class Service:
    """A small HTTP server of its own port on 127.0.0.1; `answer(handler)` says what it does.

    Between `down()` and `up()` it is not there: no connection is taken, and none is answered.
    """

    certificate = None  # files of one make it https
    client_authority = None  # then callers must show a certificate of this authority

    is_down = False

    def __init__(self):
        self.port = 0
        self.up()
        scheme = "https" if self.certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def up(self):
        service = self
        self.is_down = False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # one write an answer

            def do_GET(self):
                if service.is_down:
                    self.close_connection = True
                    return
                try:
                    service.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate["chain"], self.certificate["key"])
            if self.client_authority:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self.client_authority.pem.decode())
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.thread.start()

    def answer(self, handler):
        raise NotImplementedError

    def down(self):
        self.is_down = True
        self.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def send(handler, status, body, content_type="application/json", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()


class Issuer(Service):
    """Discovery and keys. Every token it ever minted is remembered: none may go upstream."""

    def __init__(self, token_endpoint=None, algorithms=("RS256",), certificate=None):
        self.certificate = certificate
        self.keys = [Key(alg) for alg in algorithms]
        self.published = None  # the JWKS' keys, where not simply all of `keys`
        self.token_endpoint = token_endpoint
        self.minted = {}
        self.fetches = []  # paths asked for
        self.broken = None  # (status, body bytes) instead of the key set
        self.discovery_changes = {}
        self.gate = None  # an Event that key fetches wait for
        self.lock = threading.Lock()
        super().__init__()

    @property
    def key(self):
        return self.keys[0]

    def key_of(self, alg):
        return next(key for key in self.keys if key.alg == alg)

    def jwks(self):
        published = self.published
        return {"keys": published if published is not None else [k.jwk() for k in self.keys]}

    def fetched(self, path="/jwks"):
        return self.fetches.count(path)

    def answer(self, handler):
        with self.lock:
            self.fetches.append(handler.path)
        if handler.path == "/.well-known/openid-configuration":
            document = {
                "issuer": self.url,
                "jwks_uri": self.url + "/jwks",
                "authorization_endpoint": self.url + "/authorize",
                "token_endpoint": self.token_endpoint or self.url + "/token",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            } | self.discovery_changes
            return self.send(handler, 200, document)
        if handler.path != "/jwks":
            return self.send(handler, 404, {"error": "not_found"})
        if self.gate:
            self.gate.wait(30)
        if self.broken:
            return self.send(handler, self.broken[0], self.broken[1])
        return self.send(handler, 200, self.jwks())

    # -- tokens

    def claims(self, person, **changes):
        """A person's claims; a change to None takes a claim away."""
        claims = {
            "iss": self.url,
            "sub": person,
            "aud": AUDIENCE,
            "iat": now(),
            "exp": now() + 3600,
            "jti": uuid.uuid4().hex,
            "azp": "web-client",
            "scope": "openid orders:read",
            "userType": "user",
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def remember(self, token, person):
        self.minted[token] = person
        return token

    def token(self, person, key=None, header=None, alg=None, **changes):
        token = mint(key or self.key, self.claims(person, **changes), header, alg)
        return self.remember(token, person)

    def system_token(self, name="batch-job", **changes):
        """A client-credentials token: it stands for a program."""
        changes = {"userType": "system", "client_id": name, "azp": None} | changes
        return self.token(name, **changes)

    def forged(self, person, **changes):
        """As a good token, with a signature that belongs to another one."""
        good = mint(self.key, self.claims(person, **changes))
        other = mint(self.key, self.claims(person, **changes))
        return self.remember(good.rpartition(".")[0] + "." + other.rpartition(".")[2], person)

    def unsigned(self, person, alg="none", **changes):
        head = b64u(json.dumps({"alg": alg, "typ": "JWT", "kid": self.key.kid}).encode())
        body = b64u(json.dumps(self.claims(person, **changes)).encode())
        return self.remember(f"{head}.{body}.", person)
