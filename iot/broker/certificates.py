"""A broker's TLS certificate, and the small authority that signs it and then forgets how.

The authority's key is thrown away after its one signature: whoever trusts `authority.pem` trusts
this one certificate, and nothing can be added to it later. A fresh pair is made when it runs out.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from federation.identity.certificates import CLOCKS_APART, common_name, key_usage

VALID_FOR: Final = timedelta(days=90)


@dataclass(frozen=True)
class BrokerCertificate:
    """Three files of PEM: what clients trust, the broker's certificate, its key (mode 0600)."""

    authority: Path
    certificate: Path
    key: Path


def broker_certificate(
    folder: Path, hosts: Sequence[str], now: datetime | None = None
) -> BrokerCertificate:
    """The certificate in a folder; made where there is none for these hosts, or it runs out.

    Args:
        hosts: names and addresses that clients connect to.
        now: the time, aware; the clock's if not given.
    """
    moment = now or datetime.now(UTC)
    files = BrokerCertificate(
        folder / "authority.pem", folder / "broker.pem", folder / "broker.key.pem"
    )
    if not _serves(files, hosts, moment):
        _make(files, hosts, moment)
    return files


def _serves(files: BrokerCertificate, hosts: Sequence[str], moment: datetime) -> bool:
    if not (files.authority.exists() and files.certificate.exists() and files.key.exists()):
        return False
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(names) == [_name(host) for host in hosts] and (
        leaf.not_valid_before_utc <= moment < leaf.not_valid_after_utc - timedelta(days=1)
    )


def _make(files: BrokerCertificate, hosts: Sequence[str], moment: datetime) -> None:
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = common_name("veilscore telemetry authority")
    identifier = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root = (
        _dated(root_name, root_name, root_key.public_key(), moment)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    signer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    leaf = (
        _dated(common_name("veilscore telemetry broker"), root_name, leaf_key.public_key(), moment)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(signer, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    files.authority.write_bytes(root.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    secret = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(files.key, secret)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, moment: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCKS_APART)
        .not_valid_after(moment + VALID_FOR)
    )
