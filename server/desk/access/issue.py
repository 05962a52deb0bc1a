"""Certificates for those without a PKI: a desk's own authority, its server, its callers.

Elliptic curve keys (P-256), private keys 0600. The authority signs callers and the desk's own
server certificate alike; extended key usage keeps one from serving as the other (RFC 5280,
4.2.1.12).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from clients.vault import write_private
from federation.errors import InputError
from federation.identity.certificates import common_name, key_usage

AUTHORITY_YEARS = 10
LEAF_DAYS = 397
CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Authority:
    """A desk's own certificate authority, on its disk."""

    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path, name: str) -> Authority:
        """Make one; its files are callers-ca.pem and callers-ca.key of the folder."""
        authority = cls(folder / "callers-ca.pem", folder / "callers-ca.key")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = common_name(name)
        certificate = (
            _dated(subject, timedelta(days=365 * AUTHORITY_YEARS))
            .issuer_name(subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        write_private(authority.key, _private(key))
        write_private(authority.certificate, certificate.public_bytes(Encoding.PEM))
        return authority

    def issue_server(self, hosts: list[str], certificate: Path, key: Path) -> None:
        """Write a server certificate for these host names and addresses, and its key."""
        names: list[x509.GeneralName] = []
        for host in dict.fromkeys(hosts):
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        self._issue("veilscore desk", names, ExtendedKeyUsageOID.SERVER_AUTH, certificate, key)

    def issue_caller(self, name: str, certificate: Path, key: Path) -> None:
        """Write a caller's certificate, with its name as common name, and its key."""
        self._issue(name, [], ExtendedKeyUsageOID.CLIENT_AUTH, certificate, key)

    def _issue(
        self,
        name: str,
        names: list[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        certificate: Path,
        key: Path,
    ) -> None:
        issuer, signing = self._read()
        leaf = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _dated(common_name(name), timedelta(days=LEAF_DAYS))
            .issuer_name(issuer.subject)
            .public_key(leaf.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(signing, hashes.SHA256())
        write_private(key, _private(leaf))
        write_private(certificate, signed.public_bytes(Encoding.PEM))

    def _read(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = load_pem_private_key(self.key.read_bytes(), None)
        except FileNotFoundError as error:
            raise InputError(
                f"{error.filename}: is not here, so that the desk can't issue certificates; let "
                "your own authority issue it, and name it in access.toml"
            ) from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.key}: is no authority's key that the desk made") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError(f"{self.key}: is no authority's key that the desk made")
        return certificate, key


def _dated(subject: x509.Name, valid: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(now + valid)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
