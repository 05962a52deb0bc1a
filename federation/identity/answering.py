"""TLS certificates of online scoring: a feature party answers, the label party asks.

As in a session (see `certificates`), each side issues its own leaf, signed with its long-term key,
and trusts roots made out of the keys that it has pinned (`trust_roots`); no authority has a say,
and nothing is kept on disk. Leaves and roots live for `VALID_FOR`, so that sides which run for
long make fresh ones well before, after `RENEW_AFTER`.

The label party connects to an address out of its settings, of which the certificate knows nothing.
It checks the leaf for `answering_host` of the key that it pins instead: a name made of the key.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from federation.identity.certificates import (
    PARTY_URI,
    SESSION_URI,
    VALID_FOR,
    TlsIdentity,
    common_name,
    issuer_of,
    leaf_builder,
    party_identity,
    tls_identity,
)
from federation.identity.party_key import PartyKey, PartyPublicKey

# Stands where the certificates of a training name their session.
ANSWERING = "answering"
RENEW_AFTER = VALID_FOR / 2
_DOMAIN = "party.veilscore.internal"


def answering_host(public_key: PartyPublicKey) -> str:
    """The host name in the certificate of whoever answers with this key."""
    return f"{public_key.fingerprint.replace(' ', '')}.{_DOMAIN}"


def answering_identity(key: PartyKey, party: str, now: datetime | None = None) -> TlsIdentity:
    """A fresh TLS key of a feature party's server, and the certificate that it issues itself.

    Args:
        key: the party's long-term key, which signs.
        party: its name.
        now: the time, aware; the clock's if not given.
    """
    leaf = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [
        x509.DNSName(answering_host(key.public)),
        x509.UniformResourceIdentifier(PARTY_URI + quote(party, safe="")),
        x509.UniformResourceIdentifier(SESSION_URI + ANSWERING),
    ]
    certificate = (
        leaf_builder(common_name(f"veilscore party {key.public.fingerprint} answering"), now)
        .issuer_name(issuer_of(key.public))
        .public_key(leaf.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key.signing, None)
    )
    return tls_identity(certificate, leaf)


def asking_identity(key: PartyKey, party: str, now: datetime | None = None) -> TlsIdentity:
    """A fresh TLS key of a label party's client and its certificate; args as above."""
    return party_identity(key, party, ANSWERING, now)
