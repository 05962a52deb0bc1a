"""The life of an alert, as a pure function: OPEN → ACKED → CLEARED → CLOSED, or SUPPRESSED.

One alert of a device and rule is alive at a time. What a rule is not sure of yet is in the rule's
own memory, so an alert begins open. Every change raises the version; the bank gets each version
once. An alert's name follows from device, rule and event time: a replay finds the same one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from iot.errors import TelemetryError
from iot.rules.rule import Severity, Verdict
from iot.units import DeviceId, LeaseId, LesseeId, Millis


class AlertRefused(TelemetryError):
    """An alert can't be changed as asked."""


class State(StrEnum):
    """Where an alert is."""

    OPEN = "open"
    ACKED = "acked"
    """Somebody has taken it up."""
    CLEARED = "cleared"
    """The rule says it is over; nobody has looked yet."""
    CLOSED = "closed"
    """Over, and somebody has looked."""
    SUPPRESSED = "suppressed"
    """Somebody said why it is none, such as a repair."""


ALIVE = (State.OPEN, State.ACKED)
ENDED = (State.CLOSED, State.SUPPRESSED)


@dataclass(frozen=True)
class Alert:
    """One alert, as of its last change.

    Attributes:
        lessee, lease: that held when it was opened; None between leases.
        opened_ms, cleared_ms: event times. acked_ms: when and acked_by who took it up.
        value, threshold, unit, reason: of the rule's last word.
        version: how often it changed, from 1 on.
    """

    id: str
    device: DeviceId
    lessee: LesseeId | None
    lease: LeaseId | None
    rule: str
    state: State
    severity: Severity
    opened_ms: Millis
    value: float
    threshold: float
    unit: str
    reason: str
    version: int = 1
    cleared_ms: Millis | None = None
    acked_ms: Millis | None = None
    acked_by: str | None = None


def alert_id(device: DeviceId, rule: str, opened: Millis) -> str:
    """32 hex digits; the same for the same event, whoever finds it and when."""
    return hashlib.sha256(f"{device}\n{rule}\n{opened}".encode()).hexdigest()[:32]


def after_verdict(
    alive: Alert | None,
    device: DeviceId,
    lessee: LesseeId | None,
    lease: LeaseId | None,
    verdict: Verdict,
) -> Alert | None:
    """The alert after a rule's word; None where nothing changed.

    Args:
        alive: the open or acknowledged alert of this device and rule, if there is one.
    """
    if alive is None:
        if not verdict.raised:
            return None
        return Alert(
            alert_id(device, verdict.rule, verdict.at),
            device,
            lessee,
            lease,
            verdict.rule,
            State.OPEN,
            verdict.severity,
            verdict.at,
            verdict.value,
            verdict.threshold,
            verdict.unit,
            verdict.reason,
        )
    if not verdict.raised:
        return replace(
            alive,
            state=State.CLEARED,
            cleared_ms=verdict.at,
            reason=verdict.reason,
            version=alive.version + 1,
        )
    if verdict.severity <= alive.severity:
        return None
    # Worse than when somebody looked at it: it is open again.
    return replace(
        alive,
        state=State.OPEN,
        severity=verdict.severity,
        value=verdict.value,
        threshold=verdict.threshold,
        reason=verdict.reason,
        version=alive.version + 1,
    )


def acknowledged(alert: Alert, by: str, now: Millis) -> Alert:
    """Somebody takes it up.

    Raises:
        AlertRefused: it is not open.
    """
    if alert.state is not State.OPEN:
        raise AlertRefused(f"Alert {alert.id} is {alert.state}; only an open one is taken up.")
    return replace(alert, state=State.ACKED, acked_ms=now, acked_by=by, version=alert.version + 1)


def closed(alert: Alert, by: str, now: Millis) -> Alert:
    """Somebody has looked at an alert that is over.

    Raises:
        AlertRefused: it is not over yet, or closed before.
    """
    if alert.state is not State.CLEARED:
        raise AlertRefused(f"Alert {alert.id} is {alert.state}; only a cleared one is closed.")
    return replace(
        alert,
        state=State.CLOSED,
        acked_ms=alert.acked_ms or now,
        acked_by=alert.acked_by or by,
        version=alert.version + 1,
    )


def suppressed(alert: Alert, by: str, now: Millis) -> Alert:
    """Somebody says that it is none.

    Raises:
        AlertRefused: it has ended.
    """
    if alert.state in ENDED:
        raise AlertRefused(f"Alert {alert.id} is {alert.state} already.")
    return replace(
        alert, state=State.SUPPRESSED, acked_ms=now, acked_by=by, version=alert.version + 1
    )
