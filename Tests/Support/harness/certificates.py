"""Certificates for the listeners and servers of a test, made on the spot."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .keys import b64u


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Certificate:
    """A key with its certificate chain, and the issuing authority if it has one."""

    def __init__(
        self, names, issuer=None, authority=False, days=30, starts_days_ago=1, subject=None,
        uses=None, key=None,
    ):
        """`subject` is an x509.Name, `uses` a list of ExtendedKeyUsageOIDs."""
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.issuer = issuer
        start = datetime.datetime.now(datetime.timezone.utc)
        start -= datetime.timedelta(days=starts_days_ago)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]) if subject is None else subject)
            .issuer_name(issuer.certificate.subject if issuer else _name(names[0]))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
        )
        if not authority:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), False
            )
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), True)
        signer = issuer.key if issuer else self.key
        self.certificate = builder.sign(signer, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self):
        """This certificate and the intermediate ones, without the root."""
        chain, above = self.pem, self.issuer
        while above is not None and above.issuer is not None:
            chain, above = chain + above.pem, above.issuer
        return chain

    @property
    def thumbprint(self):
        """SHA-256 of its DER in base64url, as `x5t#S256` has it."""
        return b64u(self.certificate.fingerprint(hashes.SHA256()))

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def write(self, folder, name):
        """Writes NAME.pem and NAME.key, and returns what `tls.certificates` wants."""
        chain, key = pathlib.Path(folder, f"{name}.pem"), pathlib.Path(folder, f"{name}.key")
        chain.write_bytes(self.chain_pem)
        key.write_bytes(self.key_pem)
        return {"chain": str(chain), "key": str(key)}
