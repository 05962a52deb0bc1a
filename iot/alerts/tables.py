"""Alerts, their history, and what waits for the bank."""

from __future__ import annotations

import sqlalchemy as sa

from iot.store.tables import METADATA, Position

alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("lessee", sa.String(64)),
    sa.Column("lease", sa.String(64)),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("unit", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("cleared_ms", sa.BigInteger),
    sa.Column("acked_ms", sa.BigInteger),
    sa.Column("acked_by", sa.String(64)),
    # One alive alert a device and rule.
    sa.Index(
        "one_alert_alive",
        "device",
        "rule",
        unique=True,
        sqlite_where=sa.text("state IN ('open', 'acked')"),
        postgresql_where=sa.text("state IN ('open', 'acked')"),
    ),
)

alert_changes = sa.Table(
    "alert_changes",
    METADATA,
    sa.Column("number", Position, primary_key=True),
    sa.Column("alert", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    # Who, and why; NULL where a rule did it.
    sa.Column("who", sa.String(64)),
    sa.Column("note", sa.String(500)),
    sa.UniqueConstraint("alert", "version", name="one_change_a_version"),
)

outbox = sa.Table(
    "outbox",
    METADATA,
    # In the order in which they were written, which is the order of an alert's versions.
    sa.Column("number", Position, primary_key=True),
    sa.Column("alert", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # waiting, delivered, refused.
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("answered_ms", sa.BigInteger),
    sa.Column("answer", sa.String(500)),
    sa.UniqueConstraint("alert", "version", name="one_delivery_a_version"),
)
