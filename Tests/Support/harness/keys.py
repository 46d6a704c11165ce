"""Signing keys and the tokens made with them, good and broken."""

import base64
import json
import time
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

CURVES = {
    "ES256": (ec.SECP256R1, "P-256", 32),
    "ES384": (ec.SECP384R1, "P-384", 48),
    "ES512": (ec.SECP521R1, "P-521", 66),
}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64u(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64u_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact_json(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Key:
    """A private key with its algorithm and key id."""

    def __init__(self, alg="RS256", kid=None, bits=2048, private=None):
        self.alg = alg
        self.kid = kid or f"{alg.lower()}-{uuid.uuid4().hex[:8]}"
        if private is not None:
            self.private = private
        elif alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)
        self.public = self.private.public_key()

    def as_algorithm(self, alg):
        """The same key under another algorithm's name."""
        return Key(alg, self.kid, private=self.private)

    def jwk(self, **members):
        """The public key as a JWK; members replace, and None takes one away."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.public.public_numbers()
            size = (numbers.n.bit_length() + 7) // 8
            key = {
                "kty": "RSA",
                "n": b64u(numbers.n.to_bytes(size, "big")),
                "e": b64u(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
            }
        elif isinstance(self.private, ed25519.Ed25519PrivateKey):
            raw = self.public.public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
            key = {"kty": "OKP", "crv": "Ed25519", "x": b64u(raw)}
        else:
            _, name, size = CURVES[self.alg]
            numbers = self.public.public_numbers()
            key = {
                "kty": "EC",
                "crv": name,
                "x": b64u(numbers.x.to_bytes(size, "big")),
                "y": b64u(numbers.y.to_bytes(size, "big")),
            }
        key |= {"kid": self.kid, "use": "sig", "alg": self.alg}
        key |= members
        return {name: value for name, value in key.items() if value is not None}

    def sign(self, data, alg=None):
        alg = alg or self.alg
        if alg == "EdDSA":
            return self.private.sign(data)
        digest = HASHES[alg[2:]]()
        if alg.startswith("RS"):
            return self.private.sign(data, padding.PKCS1v15(), digest)
        if alg.startswith("PS"):
            pss = padding.PSS(padding.MGF1(HASHES[alg[2:]]()), digest.digest_size)
            return self.private.sign(data, pss, digest)
        size = CURVES[self.alg][2]
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verifies(self, token):
        """Whether a compact JWS was signed with this key (not PS)."""
        signed, _, signature = token.rpartition(".")
        raw = b64u_decode(signature)
        try:
            if self.alg == "EdDSA":
                self.public.verify(raw, signed.encode())
            elif self.alg.startswith("RS"):
                digest = HASHES[self.alg[2:]]()
                self.public.verify(raw, signed.encode(), padding.PKCS1v15(), digest)
            else:
                half = len(raw) // 2
                r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
                digest = HASHES[self.alg[2:]]()
                self.public.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(digest))
            return True
        except Exception:  # whatever the library says no with
            return False

    def pem(self):
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def mint(key, claims, header=None, alg=None):
    """A compact JWS. Header members replace the usual ones, and None takes one away.

    `claims` is a dictionary, or bytes taken as the payload just as they are.
    """
    head = {"alg": alg or key.alg, "typ": "JWT", "kid": key.kid} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else compact_json(claims)
    signed = b64u(compact_json(head)) + "." + b64u(payload)
    return signed + "." + b64u(key.sign(signed.encode(), alg))


def claims_of(token):
    return json.loads(b64u_decode(token.split(".")[1]))


def header_of(token):
    return json.loads(b64u_decode(token.split(".")[0]))


def now():
    return int(time.time())
