"""Everybody around one gateway: an issuer, a token service, an upstream, and a routes file."""

import contextlib
import copy
import itertools
import pathlib

from . import promise
from .client import Connection, ask, trusting
from .certificates import Certificate
from .gateway import Gateway
from .issuer import AUDIENCE, Issuer
from .program import environment
from .token_service import TokenService
from .upstream import Upstream
from .waiting import PATIENCE

SECRET = "s3cret-of-the-gateway"
serial = itertools.count(1)


class World:
    """Made once a test module; the gateway's routes differ from module to module."""

    def __init__(self, folder, algorithms=("RS256",), certificates=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tokens = TokenService(secret=SECRET)
        self.issuer = Issuer(token_endpoint=self.tokens.endpoint, algorithms=algorithms)
        self.authority = Certificate(["Test authority"], authority=True)
        self.authority_file = self.folder / "authority.pem"
        self.authority_file.write_bytes(self.authority.pem)
        self.certificate = Certificate(["localhost", "127.0.0.1"], issuer=self.authority)
        self.certificate_files = self.certificate.write(self.folder, "localhost")
        self.tls = trusting(self.authority)
        self.upstream = Upstream([self.tokens], [self.issuer])
        self.closing = contextlib.ExitStack()
        for part in (self.upstream, self.tokens, self.issuer):
            self.closing.callback(part.close)

    # -- the routes file

    def route(self, path, **more):
        """A route to the upstream that exchanges for `orders`, changed by `more`; None removes."""
        route = {
            "match": {"path": path},
            "exchange": {"audience": "orders"},
            "forward": {"to": self.upstream.url},
        }
        return merged(route, more)

    def routes(self, *routes, **more):
        """A whole routes file as a dictionary."""
        base = {
            "workers": 2,
            "issuers": {"corp": {"issuer": self.issuer.url, "audiences": [AUDIENCE]}},
            "exchanges": {
                "corp": {
                    "tokenService": self.tokens.endpoint,
                    "client": {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}},
                }
            },
            "routes": list(routes) or [self.route("/*")],
        }
        if PATIENCE > 1:  # a test that holds the token service up is slower, too
            base["exchanges"]["corp"]["timeout"] = f"{5 * PATIENCE}s"
        return merged(base, more)

    @property
    def tls_listener(self):
        tls = {"certificates": [self.certificate_files]}
        return {"name": "tls", "address": "127.0.0.1:0", "tls": tls}

    @property
    def clear_listener(self):
        return {"name": "clear", "address": "127.0.0.1:0"}

    # -- the gateway

    def start(self, routes=None, environ=(), **more):
        """A gateway that the caller stops."""
        env = environment(**({"GATEWAY_SECRET": SECRET} | dict(environ)))
        folder = self.folder / f"gateway-{next(serial)}"
        gateway = Gateway(folder, self.routes() if routes is None else routes, env=env, **more)
        gateway.world = self
        return gateway

    @contextlib.contextmanager
    def gateway(self, routes=None, **more):
        """A gateway for a while. It must end cleanly, and no secret be in what it wrote."""
        gateway = self.start(routes, **more)
        try:
            yield gateway
        finally:
            try:
                gateway.stop()
            finally:
                gateway.end()
        self.look_for_secrets(gateway)

    def look_for_secrets(self, gateway):
        for file in sorted(gateway.folder.glob("*")):
            if file.name == "routes.json" or not file.is_file():
                continue
            found = promise.secrets_in(file.read_bytes(), [self.issuer], [self.tokens])
            assert not found, f"{found} is in {file.name} of the gateway"

    # -- callers

    def ask(self, gateway, method, target, person=None, token=None, **more):
        """A request of a person; their token is made where none is given (`token=False`: none)."""
        if token is None and person is not None:
            token = self.issuer.token(person)
        return ask(gateway.port, method, target, person, token or None, **more)

    def connect(self, gateway, listener=None, **more):
        return Connection(gateway.ports[listener] if listener else gateway.port, **more)

    def close(self):
        self.closing.close()


def merged(base, changes):
    """Objects merge, anything else replaces, None takes a member away."""
    result = copy.copy(base)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result
