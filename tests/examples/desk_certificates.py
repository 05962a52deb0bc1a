"""A small authority with a desk's certificate and a caller's, for tests over mutual TLS."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """PEM files in one folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        """Somebody's certificate."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Somebody's private key."""
        return self.folder / f"{name}.key"


def make_certificates(folder: Path, names: tuple[str, ...] = ("desk", "caller")) -> Certificates:
    """Write an authority and, signed by it, a key and certificate for 127.0.0.1 a name."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = datetime.now(UTC)

    def dated(name: x509.Name) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
        )

    root = (
        dated(issuer)
        .public_key(authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )
    made = Certificates(folder)
    made.ca.write_bytes(root.public_bytes(Encoding.PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        leaf = (
            dated(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(authority, hashes.SHA256())
        )
        made.certificate(name).write_bytes(leaf.public_bytes(Encoding.PEM))
        made.key(name).write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    return made
