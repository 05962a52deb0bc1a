"""The tables that samples lie in; alerts and rent add theirs to the same metadata."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()
"""Of every table of the room, so that one call makes them all."""

# SQLite numbers rows by itself only in a column of this very type.
Position = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

devices = sa.Table(
    "devices",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, unique=True),
)

samples = sa.Table(
    "samples",
    METADATA,
    # Rises in the order of arrival: a fold over what came after a position misses nothing.
    sa.Column("position", Position, primary_key=True),
    sa.Column("device", sa.Integer, nullable=False),
    sa.Column("boot", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("operating_hours", sa.Float),
    sa.Column("idle_hours", sa.Float),
    sa.Column("fuel_used_l", sa.Float),
    sa.Column("fuel_remaining_percent", sa.Float),
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
    sa.Column("accuracy_m", sa.Float),
    sa.Column("engine_on", sa.Boolean),
    sa.Column("distance_km", sa.Float),
    # Codes, comma-separated; NULL for none.
    sa.Column("faults", sa.String),
    sa.Column("tampered", sa.Boolean, nullable=False),
    sa.UniqueConstraint("device", "boot", "seq", name="one_sample_a_key"),
)

quarantine = sa.Table(
    "quarantine",
    METADATA,
    sa.Column("number", Position, primary_key=True),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("topic", sa.String(256), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.String, nullable=False),
    # The first kilobytes of what was sent, and how long it was.
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
)

machines = sa.Table(
    "machines",
    METADATA,
    sa.Column("device", sa.Integer, primary_key=True),
    # Samples up to this position are in the state; those after it are folded again at a start.
    sa.Column("through", sa.BigInteger, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

checkpoint = sa.Table(
    "checkpoint",
    METADATA,
    # One row: every machine that changed up to this position was kept.
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
