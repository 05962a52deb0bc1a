"""Alerts for the tests."""

from __future__ import annotations

from typing import Any

from federation.identifiers import IdentifierRule
from federation.proto import alerts_pb2
from server.desk.alerts.incoming import IncomingAlert, check_alert

NOW_MS = 1_780_000_000_000


def alert(**values: Any) -> alerts_pb2.Alert:
    """A critical alert of the lessor: a device was moved."""
    return alerts_pb2.Alert(
        **{
            "id": "a1",
            "source": "lessor",
            "borrower": "b0001",
            "kind": alerts_pb2.Alert.DEVICE_MOVED,
            "severity": alerts_pb2.Alert.CRITICAL,
            "observed_ms": NOW_MS - 1000,
            "detail": "it moved 40 km",
            **values,
        }
    )


def incoming(**values: Any) -> IncomingAlert:
    """It, checked."""
    message = alert(**values)
    return check_alert(message, message.source, IdentifierRule.CASEFOLD, NOW_MS)
