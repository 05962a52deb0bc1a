"""Certificates of a session: whom they prove, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.identity import PartyKey
from federation.identity.certificates import (
    RELAY_NAME,
    certified_party,
    party_identity,
    relay_identity,
    trust_roots,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BANK, PLATFORM = PartyKey(b"b" * 32), PartyKey(b"p" * 32)
PINS = {"bank": BANK.public, "platform": PLATFORM.public}


def pem(key: PartyKey, party: str, session: str = "run-1", now: datetime = NOW) -> bytes:
    """A party's certificate."""
    return party_identity(key, party, session, now).certificate


def test_a_certificate_proves_its_party() -> None:
    """From five minutes before it was made to a day after."""
    certificate = pem(PLATFORM, "platform")
    for apart in (timedelta(minutes=-5), timedelta(0), timedelta(hours=24)):
        assert certified_party(certificate, "run-1", PINS, NOW + apart) == "platform"


@pytest.mark.parametrize(
    ("certificate", "apart", "sentence"),
    [
        (pem(PLATFORM, "telecom"), 0, "its certificate is for 'telecom', no party of this session"),
        (
            pem(PLATFORM, "bank"),
            0,
            f"its certificate is for 'bank' but not signed with the key that is pinned for bank "
            f"\\({BANK.public.fingerprint}\\)",
        ),
        (
            pem(PLATFORM, "platform", "run-0"),
            0,
            "platform's certificate is for session 'run-0'; this is session 'run-1'",
        ),
        (
            pem(PLATFORM, "platform"),
            24.1,
            "platform's certificate expired at 2026-11-23 12:00 UTC, and it is 2026-11-23 12:06 "
            "here; check both clocks, then start again",
        ),
        (
            pem(PLATFORM, "platform"),
            -0.2,
            "platform's certificate is not valid before 2026-11-22 11:55 UTC, and it is 2026-11-22 "
            "11:48 here; check both clocks, then start again",
        ),
        (relay_identity(NOW).certificate, 0, "its certificate is not one that veilscore makes"),
        (trust_roots(PINS, NOW), 0, "its certificate is not one that veilscore makes"),
        (b"", 0, "its certificate is not one that veilscore makes"),
    ],
    ids=["a stranger", "another's name", "another run", "expired", "early", "the relay's", "a root",
         "nothing"],
)  # fmt: skip
def test_what_a_certificate_does_not_prove(certificate: bytes, apart: float, sentence: str) -> None:
    """Each is refused with a sentence of its own."""
    with pytest.raises(ProtocolError, match=f"^{sentence}$"):
        certified_party(certificate, "run-1", PINS, NOW + timedelta(hours=apart))


def test_names_of_any_kind_come_through() -> None:
    """A party's name need not be a host's name."""
    for name in ("my_bank", "a-b", "bank:2", "ü/ö%41"):
        certificate = pem(BANK, name, "run 1/2")
        assert certified_party(certificate, "run 1/2", {name: BANK.public}, NOW) == name


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_a_certificate_that_was_changed_proves_nothing(at: int, flip: int, cut: bool) -> None:
    """No changed byte passes, and nothing but a ProtocolError comes out."""
    der = bytearray(x509.load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER))
    at %= len(der)
    der[at] ^= flip
    changed = _as_pem(bytes(der[:at] if cut else der))
    with pytest.raises(ProtocolError):
        certified_party(changed, "run-1", PINS, NOW)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_bit_of_a_certificate_can_be_another() -> None:
    """Every single one, those that no signature covers included."""
    der = x509.load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER)
    for bit in range(8 * len(der)):
        changed = bytearray(der)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError):
            certified_party(_as_pem(bytes(changed)), "run-1", PINS, NOW)


CERTIFICATE = pem(PLATFORM, "platform")


def _as_pem(der: bytes) -> bytes:
    import base64

    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


@given(st.binary(max_size=2000))
def test_bytes_of_any_kind_prove_nothing(raw: bytes) -> None:
    """Nothing but a ProtocolError comes out."""
    for certificate in (raw, _as_pem(raw)):
        with pytest.raises(ProtocolError):
            certified_party(certificate, "run-1", PINS, NOW)


def test_roots_are_the_pinned_keys_and_leaves_are_no_roots() -> None:
    """Each root has its party's key, and a leaf can't issue another."""
    roots = x509.load_pem_x509_certificates(trust_roots(PINS, NOW))
    keys = [root.public_key() for root in roots]
    assert [key.public_bytes_raw() for key in keys if isinstance(key, Ed25519PublicKey)] == [
        BANK.public.signing,
        PLATFORM.public.signing,
    ]
    leaf = x509.load_pem_x509_certificate(CERTIFICATE)
    assert leaf.issuer == roots[1].subject != roots[0].subject
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.key_cert_sign


def test_private_keys_are_fresh_and_not_shown() -> None:
    """Every session has its own TLS key; no printout holds it."""
    one, other = (party_identity(BANK, "bank", "run-1", NOW) for _ in range(2))
    assert one.private_key != other.private_key
    assert "PRIVATE" not in repr(one)
    relay = x509.load_pem_x509_certificate(relay_identity(NOW).certificate)
    names = relay.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [RELAY_NAME]
