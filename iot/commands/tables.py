"""The record of commands: one line of a hash chain a row, only added to."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from iot.store.tables import METADATA

command_record: Final = sa.Table(
    "command_record",
    METADATA,
    # Counts from 0 without gaps; two writers at once can't both take a number.
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    # The entry as `federation.record_chain` writes it.
    sa.Column("line", sa.Text, nullable=False),
)
