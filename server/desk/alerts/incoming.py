"""Alerts as they come in: every field is checked before anything is stored."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import asdict, dataclass

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from federation.errors import InputError, ProtocolError
from federation.identifiers import IdentifierRule, normalise_one
from federation.proto import alerts_pb2
from federation.record_chain import canonical_json
from server.desk.alerts.rules import AlertKind, Severity

MOST_ALERT_BYTES = 8192  # the longest texts, four bytes a sign, and room
MOST_ID_SIGNS = 64
MOST_BORROWER_SIGNS = 128
MOST_DETAIL_SIGNS = 500
MOST_SUBJECT_SIGNS = 128
MOST_AHEAD_MS = 5 * 60_000
# Marks that turn a line's direction, with which a text can show as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class IncomingAlert:
    """A checked alert.

    Attributes:
        source, id: together its identity.
        borrower: as the source wrote it; `borrower_key`, normalised.
        observed_ms: when it happened, milliseconds since 1970 UTC.
        detail, subject: may be empty.
    """

    source: str
    id: str
    borrower: str
    borrower_key: str
    kind: AlertKind
    severity: Severity
    observed_ms: int
    detail: str
    subject: str

    @property
    def digest(self) -> str:
        """SHA-256 of what the source said, to know the same alert from another one."""
        content = asdict(self)
        del content["borrower_key"]  # the desk's own doing
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def parse_alert(data: bytes) -> alerts_pb2.Alert:
    """The message in some bytes.

    Raises:
        ProtocolError: it is too long, or none.
    """
    if len(data) > MOST_ALERT_BYTES:
        raise ProtocolError(f"an alert has at most {MOST_ALERT_BYTES} bytes, not {len(data)}")
    alert = alerts_pb2.Alert()
    try:
        alert.ParseFromString(data)
    except DecodeError:
        raise ProtocolError("a message is no alert of veilscore.alerts.v1") from None
    return alert


def check_alert(
    alert: alerts_pb2.Alert, caller: str, rule: IdentifierRule, now_ms: int
) -> IncomingAlert:
    """Check every field.

    Args:
        alert: as it came.
        caller: who the connection proves the caller to be.
        rule: how ids are normalised.
        now_ms: the desk's time.

    Raises:
        InputError: names the field, and no value of it.
    """
    unknown = UnknownFieldSet(alert)
    if len(unknown):
        raise InputError(
            f"the alert has a field of number {unknown[0].field_number}, which this desk does not "
            "know"
        )
    if alert.source != caller:
        raise InputError("'source' must be the caller's own name, as its certificate says")
    borrower = check_text("borrower", alert.borrower, 1, MOST_BORROWER_SIGNS)
    key = normalise_one(borrower, rule)
    if not key.strip():
        raise InputError(f"'borrower' has nothing left under the rule '{rule}'")
    if not 0 < alert.observed_ms <= now_ms + MOST_AHEAD_MS:
        raise InputError(
            "'observed_ms' must be a time in milliseconds since 1970 UTC, at most five minutes "
            "from now"
        )
    kind = _kind(alert.kind)
    least_detail = 1 if kind is AlertKind.OTHER else 0
    return IncomingAlert(
        source=caller,
        id=check_text("id", alert.id, 1, MOST_ID_SIGNS),
        borrower=borrower,
        borrower_key=key,
        kind=kind,
        severity=_severity(alert.severity),
        observed_ms=alert.observed_ms,
        detail=check_text("detail", alert.detail, least_detail, MOST_DETAIL_SIGNS),
        subject=check_text("subject", alert.subject, 0, MOST_SUBJECT_SIGNS),
    )


def check_text(name: str, text: str, least: int, most: int) -> str:
    """A text of one line that shows as what it is.

    Raises:
        InputError: names the field.
    """
    if not least <= len(text) <= most:
        raise InputError(f"'{name}' must have {least} to {most} signs; it has {len(text)}")
    if text != text.strip():
        raise InputError(f"'{name}' must not begin or end with white space")
    for sign in text:
        if sign in _TURNING or unicodedata.category(sign) in _UNSEEN:
            raise InputError(
                f"'{name}' holds U+{ord(sign):04X}; it must be one line without control signs"
            )
    return text


def to_message(alert: IncomingAlert) -> alerts_pb2.Alert:
    """The alert as it goes over the wire."""
    return alerts_pb2.Alert(
        id=alert.id,
        source=alert.source,
        borrower=alert.borrower,
        kind=alert.kind.name,
        severity=alert.severity.name,
        observed_ms=alert.observed_ms,
        detail=alert.detail,
        subject=alert.subject,
    )


def _kind(number: int) -> AlertKind:
    for kind in AlertKind:
        if alerts_pb2.Alert.Kind.Value(kind.name) == number:
            return kind
    raise InputError(f"'kind' is {number}, which is none that this desk knows")


def _severity(number: int) -> Severity:
    for severity in Severity:
        if alerts_pb2.Alert.Severity.Value(severity.name) == number:
            return severity
    raise InputError(f"'severity' is {number}, which is none that this desk knows")
