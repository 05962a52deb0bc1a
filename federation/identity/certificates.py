"""TLS certificates of one session, made in memory from pinned keys: no authority, no files.

A party issues its own leaf certificate, signed with its long-term Ed25519 key, for a TLS key that
lives as long as the session. The relay builds its trust roots out of the pinned public keys alone:
a root is nothing but a party's key in the form that TLS libraries take. Which party and session a
leaf is for stands in its subject alternative names (RFC 5280, 4.2.1.6), as
`veilscore:party:NAME` and `veilscore:session:ID`, and is checked here again after TLS has done its
part: TLS alone would let one pinned party call itself by another's name.

The long-term key signs other things too (`PartyKey.sign`). Those begin with the length of a
purpose's short name, a certificate with a DER sequence header: neither is ever taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from federation.errors import ProtocolError
from federation.identity.party_key import PartyKey, PartyPublicKey

# The relay's name in its own certificate; its address is not known to the certificate.
RELAY_NAME = "relay.veilscore.internal"
CLOCKS_APART = timedelta(minutes=5)
VALID_FOR = timedelta(hours=24)
_SIGNATURE_HEAD = bytes([0x03, 65, 0x00])  # bit string, 65 bytes, no unused bit
PARTY_URI = "veilscore:party:"
SESSION_URI = "veilscore:session:"


@dataclass(frozen=True)
class TlsIdentity:
    """What TLS needs of one side.

    Attributes:
        certificate: PEM, public.
        private_key: PEM (PKCS 8) of a key made for one session; never written to disk.
    """

    certificate: bytes
    private_key: bytes = field(repr=False)


def party_identity(
    key: PartyKey, party: str, session: str, now: datetime | None = None
) -> TlsIdentity:
    """A fresh TLS key of a party and the certificate that it issues itself for one session.

    Args:
        key: the party's long-term key, which signs.
        party: its name.
        session: the session's id.
        now: the time, aware; the clock's if not given.
    """
    leaf = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.UniformResourceIdentifier(PARTY_URI + quote(party, safe="")),
        x509.UniformResourceIdentifier(SESSION_URI + quote(session, safe="")),
    ]
    certificate = (
        leaf_builder(common_name(f"veilscore party {key.public.fingerprint} session"), now)
        .issuer_name(issuer_of(key.public))
        .public_key(leaf.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key.signing, None)
    )
    return tls_identity(certificate, leaf)


def relay_identity(now: datetime | None = None) -> TlsIdentity:
    """A fresh TLS key of the relay and its self-signed certificate for RELAY_NAME.

    Parties trust this one certificate: the coordinator's start message brings it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = common_name("veilscore relay")
    certificate = (
        leaf_builder(name, now)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(RELAY_NAME)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return tls_identity(certificate, key)


def trust_roots(pins: Mapping[str, PartyPublicKey], now: datetime | None = None) -> bytes:
    """The pinned keys as root certificates (PEM, one after another) for a TLS server.

    They are signed by a key that is thrown away: whoever holds the list trusts the keys in it for
    being in it, not for a signature.
    """
    thrown_away = Ed25519PrivateKey.generate()
    roots = [
        _dated(issuer_of(pin), now)
        .issuer_name(common_name("veilscore pins"))
        .public_key(Ed25519PublicKey.from_public_bytes(pin.signing))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(certificates=True), critical=True)
        .sign(thrown_away, None)
        for pin in pins.values()
    ]
    return b"".join(root.public_bytes(Encoding.PEM) for root in roots)


def certified_party(
    certificate: bytes,
    session: str,
    pins: Mapping[str, PartyPublicKey],
    now: datetime | None = None,
) -> str:
    """The party that a peer's certificate (PEM) proves it to be, in this session.

    TLS has proved that the peer holds the certificate's key, and that some pinned key signed it.

    Raises:
        ProtocolError: not readable, of no party of this session, not signed with the key pinned
            for the party that it names, for another session, expired or not valid yet.
    """
    leaf, party, of_session = _read(certificate)
    pin = pins.get(party)
    if pin is None:
        raise ProtocolError(f"its certificate is for {party[:80]!r}, no party of this session")
    if not _signed_by(leaf, pin):
        raise ProtocolError(
            f"its certificate is for '{party}' but not signed with the key that is pinned for "
            f"{party} ({pin.fingerprint})"
        )
    if of_session != session:
        raise ProtocolError(
            f"{party}'s certificate is for session {of_session[:100]!r}; this is session "
            f"'{session}'"
        )
    moment = now or datetime.now(UTC)
    if moment > leaf.not_valid_after_utc:
        raise ProtocolError(
            f"{party}'s certificate expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and "
            f"it is {moment:%Y-%m-%d %H:%M} here; check both clocks, then start again"
        )
    if moment < leaf.not_valid_before_utc:
        raise ProtocolError(
            f"{party}'s certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"UTC, and it is {moment:%Y-%m-%d %H:%M} here; check both clocks, then start again"
        )
    return party


def _read(certificate: bytes) -> tuple[x509.Certificate, str, str]:
    """A leaf certificate, the party and the session that it names."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (
        ValueError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ProtocolError("its certificate is not one that veilscore makes") from error
    parties = [uri.removeprefix(PARTY_URI) for uri in uris if uri.startswith(PARTY_URI)]
    sessions = [uri.removeprefix(SESSION_URI) for uri in uris if uri.startswith(SESSION_URI)]
    if len(parties) != 1 or len(sessions) != 1:
        raise ProtocolError("its certificate is not one that veilscore makes")
    return leaf, unquote(parties[0]), unquote(sessions[0])


def _signed_by(leaf: x509.Certificate, pin: PartyPublicKey) -> bool:
    if leaf.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(pin.signing)
        key.verify(leaf.signature, leaf.tbs_certificate_bytes)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    # What stands before a signature in its bit string is covered by none; it has one right form.
    return leaf.public_bytes(Encoding.DER).endswith(_SIGNATURE_HEAD + leaf.signature)


def issuer_of(pin: PartyPublicKey) -> x509.Name:
    """A subject of its own for every key: TLS finds the root of a leaf by it."""
    return common_name(f"veilscore party {pin.fingerprint}")


def common_name(name: str) -> x509.Name:
    """A subject of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _dated(subject: x509.Name, now: datetime | None) -> x509.CertificateBuilder:
    moment = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCKS_APART)
        .not_valid_after(moment + VALID_FOR)
    )


def leaf_builder(subject: x509.Name, now: datetime | None) -> x509.CertificateBuilder:
    """A leaf certificate with dates and usage; issuer, key and names are still to be set."""
    return (
        _dated(subject, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(certificates=False), critical=True)
    )


def key_usage(certificates: bool) -> x509.KeyUsage:
    """What a key may sign: certificates, or handshakes."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def tls_identity(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> TlsIdentity:
    """Both as PEM."""
    return TlsIdentity(
        certificate=certificate.public_bytes(Encoding.PEM),
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
