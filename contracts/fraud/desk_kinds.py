"""What a bank's desk calls these alerts."""

from __future__ import annotations

from typing import Final

from contracts.fraud.alerts import FraudKind

_KINDS: Final = {
    FraudKind.FINGERPRINT_ELSEWHERE: "DOUBLE_FINANCING",
    FraudKind.SAME_DOCUMENT: "DOUBLE_FINANCING",
    FraudKind.CIRCULAR_TRADING: "FORGED_RECEIVABLE",
    FraudKind.ROUND_TRIP: "OTHER",
    FraudKind.SUDDEN_CONCENTRATION: "OTHER",
    FraudKind.SELF_DEALING: "FORGED_RECEIVABLE",
    FraudKind.VELOCITY: "OTHER",
    FraudKind.SHIPMENT_DATE: "ORDER_FRAUD",
}


def desk_kind(kind: FraudKind) -> str:
    """The name in `veilscore.alerts.v1.Alert.Kind` under which the bank's desk takes a kind."""
    return _KINDS[kind]
