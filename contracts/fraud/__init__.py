"""Fraud checks over the index, as they happen: what looks wrong becomes a typed alert.

A check is a state machine that is shown the facts of the chain in their order; `FraudWatch` reads
them from an index. No alert is a proof: each names a rule, the facts that met it, and whom to ask.
"""

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.desk_kinds import desk_kind
from contracts.fraud.detector import FraudDetector
from contracts.fraud.reading import OtherRegistry
from contracts.fraud.settings import FraudSettings, read_fraud_settings
from contracts.fraud.watch import FraudWatch

__all__ = [
    "FraudAlert",
    "FraudDetector",
    "FraudKind",
    "FraudSettings",
    "FraudWatch",
    "OtherRegistry",
    "Severity",
    "desk_kind",
    "read_fraud_settings",
]
