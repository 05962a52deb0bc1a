"""Fraud checks over the index, as they happen: what looks wrong becomes a typed alert.

    from contracts.fraud.watch import FraudWatch  # needs SQLAlchemy

    watch = FraudWatch(IndexDatabase("sqlite:///index.db"), FraudSettings(circle_days=60))
    for alert in watch.poll():
        print(alert.severity, alert.sentence)

A check is a state machine that is shown the facts of the chain in their order; `FraudWatch` reads
them from an index. No alert is a proof: each names a rule, the facts that met it, and whom to ask.
"""

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.desk_kinds import desk_kind
from contracts.fraud.settings import FraudSettings, read_fraud_settings

__all__ = [
    "FraudAlert",
    "FraudKind",
    "FraudSettings",
    "Severity",
    "desk_kind",
    "read_fraud_settings",
]
