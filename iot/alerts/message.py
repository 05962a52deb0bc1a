"""What the bank is told of an alert: the desk's own message, without a position.

The desk knows a few kinds of alerts and three severities; the rule's name is in the text.
"""

from __future__ import annotations

from typing import Final

from federation.proto.alerts_pb2 import Alert as DeskAlert
from iot.alerts.life import ALIVE, Alert
from iot.rules.rule import Severity

_KINDS: Final = {
    "idle_machine": DeskAlert.DEVICE_IDLE,
    "silent_device": DeskAlert.DEVICE_SILENT,
    "out_of_region": DeskAlert.DEVICE_MOVED,
    "moved_engine_off": DeskAlert.DEVICE_MOVED,
    "teleport": DeskAlert.DEVICE_MOVED,
    "tampered": DeskAlert.DEVICE_TAMPERED,
    "frozen_counter": DeskAlert.DEVICE_TAMPERED,
    "hours_backwards": DeskAlert.DEVICE_TAMPERED,
    "impossible_hours": DeskAlert.DEVICE_TAMPERED,
}
_SEVERITIES: Final = {
    Severity.INFO: DeskAlert.INFO,
    Severity.CONTACT: DeskAlert.WARNING,
    Severity.REVIEW: DeskAlert.CRITICAL,
    Severity.IMMOBILISE: DeskAlert.CRITICAL,
}
_MOST_SIGNS: Final = 500


def desk_alert(alert: Alert, source: str) -> bytes | None:
    """The message for one version of an alert; None where no lessee is concerned.

    Args:
        source: the lessor's name at the desk.
    """
    if alert.lessee is None:
        return None
    alive = alert.state in ALIVE
    ended = "" if alive else f" ({alert.state})"
    message = DeskAlert(
        id=f"{alert.id}-{alert.version}",
        source=source,
        borrower=alert.lessee,
        kind=_KINDS.get(alert.rule, DeskAlert.OTHER) if alive else DeskAlert.OTHER,
        severity=_SEVERITIES[alert.severity] if alive else DeskAlert.INFO,
        observed_ms=alert.opened_ms if alert.cleared_ms is None else alert.cleared_ms,
        detail=f"{alert.rule}{ended}: {alert.reason}"[:_MOST_SIGNS],
        subject=alert.device,
    )
    return message.SerializeToString(deterministic=True)
