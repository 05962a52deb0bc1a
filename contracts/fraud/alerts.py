"""What a fraud check says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from contracts.units import UnixSeconds


class FraudKind(StrEnum):
    """Which family of rules was met."""

    FINGERPRINT_ELSEWHERE = "fingerprint-elsewhere"
    """The same invoice stands in another registry, or stood in this one and was cancelled."""
    SAME_DOCUMENT = "same-document"
    """The same document was confirmed under another invoice number."""
    CIRCULAR_TRADING = "circular-trading"
    """Claims run in a circle: each firm of it owes the next."""
    ROUND_TRIP = "round-trip"
    """A claim comes back to an account that has held it, or to its debtor."""
    SUDDEN_CONCENTRATION = "sudden-concentration"
    """A supplier's claims turn to one debtor, against its own past."""
    SELF_DEALING = "self-dealing"
    """Debtor, supplier, payer or bank are the same firm."""
    VELOCITY = "velocity"
    """Far more claims or financings in a day than the account has had."""
    SHIPMENT_DATE = "shipment-date"
    """Confirmed before the goods left, or long after."""


class Severity(StrEnum):
    """How bad it is, if it is what it looks like."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class FraudAlert:
    """One alert. The same facts give the same alert, with the same id, however often they are read.

    Attributes:
        kind: the family of rules.
        rule: which of the family's rules; empty where it has one.
        severity: as the rule sets it.
        observed_at: when the fact that met the rule stood on the chain, seconds since 1970 UTC.
        account: whom it is about.
        subject: the claim, as 'receivable 7'.
        sentence: what was seen, with its figures.
        related: further accounts, or a claim's that it repeats.
        registry: where the claim stands, 'eip155:' with chain id and address (CAIP-10); empty where
            the facts came from no index.
    """

    kind: FraudKind
    rule: str
    severity: Severity
    observed_at: UnixSeconds
    account: str
    subject: str
    sentence: str
    related: tuple[str, ...] = ()
    registry: str = ""

    @property
    def id(self) -> str:
        """32 hex digits over registry, kind, rule, account, subject and related.

        Not over the time: a transaction that a reorganisation puts into another block is no new
        fraud.
        """
        parts = (self.registry, self.kind.value, self.rule, self.account, self.subject)
        text = "\0".join((*parts, *self.related))
        return hashlib.sha256(text.encode()).hexdigest()[:32]
