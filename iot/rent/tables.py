"""The rent ledger's table: rows are only added, and each holds the digest of the one before."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from iot.store.tables import METADATA

rent_entries: Final = sa.Table(
    "rent_entries",
    METADATA,
    # Counts from 0 without gaps; two writers at once can't both take a number.
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lease", sa.String(64), nullable=False),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    # Thousandths of an hour, and minor units; of an adjustment, the difference.
    sa.Column("millihours", sa.BigInteger, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("card", sa.String(64), nullable=False),
    sa.Column("card_version", sa.Integer, nullable=False),
    sa.Column("card_digest", sa.String(64), nullable=False),
    sa.Column("input_hash", sa.String(64), nullable=False),
    # Samples received up to here were known, milliseconds since 1970.
    sa.Column("known_at", sa.BigInteger, nullable=False),
    # Canonical JSON of the month's days and price.
    sa.Column("breakdown", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Index("rent_entries_of_a_month", "lease", "month"),
)
