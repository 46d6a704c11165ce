"""The product's one promise, checked on every request that reaches an upstream.

The token that goes on is a valid exchanged one, for that upstream's audience, of the right person,
and no part of any caller's token is anywhere in what was forwarded. Whatever breaks it is kept in
`broken`, and fails the test it happened in and the whole run.
"""

import re
import time
import urllib.parse

from .keys import b64u_decode, claims_of

broken = []
RUN = re.compile(rb"[A-Za-z0-9_-]{16,}")


def breaks(text):
    broken.append(text)


def parts_of(token):
    """The parts of a token that must not go anywhere: payload and signature."""
    return [part for part in token.split(".")[1:] if len(part) >= 16]


class Promise:
    """What an upstream knows about tokens, and checks."""

    def __init__(self, services, issuers, audience):
        self.services, self.issuers, self.audience = services, issuers, audience
        self.audiences = {}  # by path prefix
        # By path prefix: "exchanged" (without an entry), "own" (the gateway's), "none", "caller",
        # "any".
        self.kinds = {}

    def for_path(self, table, path, default):
        found = [prefix for prefix in table if path.startswith(prefix)]
        return table[max(found, key=len)] if found else default

    def check(self, request):
        kind = self.for_path(self.kinds, request.path, "exchanged")
        problem = self.problem(request, kind)
        if problem:
            text = re.sub(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", b".", request.head).decode()
            breaks(f"{problem}\n{text}")

    def problem(self, request, kind):
        if kind == "any":
            return None
        given = request.values("authorization")
        if kind == "none":
            if given:
                return "an Authorization field on a route that forwards none"
            return self.leaked(request)
        if len(given) != 1:
            return f"{len(given)} Authorization fields"
        scheme, _, token = given[0].partition(" ")
        if scheme != "Bearer" or not token:
            return "the Authorization is not a bearer token"
        if kind == "caller":
            callers = [issuer for issuer in self.issuers if token in issuer.minted]
            return None if callers else "not a caller's token, though it is passed through"
        known = [(s, s.issued[token]) for s in self.services if token in s.issued]
        if not known:
            minted = any(token in issuer.minted for issuer in self.issuers)
            return "the caller's own token arrived" if minted else "a token nobody issued"
        service, issued = known[0]
        if not service.key.verifies(token):
            return "the exchanged token's signature does not verify"
        claims = claims_of(token)
        if claims.get("exp", 0) <= time.time():
            return "the exchanged token has expired"
        wanted = self.for_path(self.audiences, request.path, self.audience)
        audience = claims.get("aud")
        audience = [audience] if isinstance(audience, str) else audience
        if sorted(audience or []) != sorted([wanted] if isinstance(wanted, str) else wanted):
            return f"the token is for {audience}, this is {wanted}"
        if (kind == "own") != (issued.subject_token is None):
            return f"the token stands for {issued.person!r}, and this is {kind}"
        if kind == "own":
            return self.leaked(request)
        person = request.person
        if person is None:
            return "the test did not say whose request this is (X-Test-Person)"
        told = claims.get("sub", "").removeprefix("pairwise-")
        if told != person or issued.person != person:
            return f"the token of {claims.get('sub')!r} arrived on a request of {person!r}"
        return self.leaked(request)

    def leaked(self, request):
        """A part of a caller's token anywhere in the forwarded head or trailers."""
        text = request.head + b"\n" + request.trailer_bytes
        for form in (text, urllib.parse.unquote_to_bytes(text)):
            runs = {run.decode() for run in RUN.findall(form)}
            for issuer in self.issuers:
                for token in list(issuer.minted):
                    if any(part in runs for part in parts_of(token)):
                        return "a part of a caller's token was forwarded"
        return None


def secrets_in(text, issuers, services):
    """Which kind of secret a log or an output holds, or None. `text` is bytes."""
    runs = {run.decode() for run in RUN.findall(text)}
    for issuer in issuers:
        for token in list(issuer.minted):
            if any(part in runs for part in parts_of(token)):
                return "a caller's token"
    for service in services:
        for token in list(service.issued):
            if any(part in runs for part in parts_of(token)):
                return "an exchanged token"
        if service.secret.encode() in text:
            return "the client secret"
    return None


def payload(token):
    return b64u_decode(token.split(".")[1])
