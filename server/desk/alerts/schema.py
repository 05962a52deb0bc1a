"""The tables of alerts, in the registry's database, and how they came to be."""

from __future__ import annotations

import sqlalchemy as sa

from server.desk.registry.migrations import Step

PART = "alerts"

_metadata = sa.MetaData()

alerts = sa.Table(
    "desk_alerts",
    _metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("borrower", sa.Text, nullable=False),
    sa.Column("borrower_key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("observed_ms", sa.BigInteger, nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("resolution", sa.Text),  # null: open
    sa.Column("resolved_by", sa.Text),
    sa.Column("resolved_ms", sa.BigInteger),
)
follow_ups = sa.Table(
    "desk_follow_ups",
    _metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("follow_up", sa.Text, primary_key=True),
    sa.Column("borrower_key", sa.Text, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger),
    sa.Column("closed_ms", sa.BigInteger),  # null: open
    sa.Column("closed_by", sa.Text),
    sa.Column("resolution", sa.Text),
)
sources = sa.Table(
    "desk_alert_sources",
    _metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("day", sa.Integer, nullable=False),  # days since 1970, UTC
    sa.Column("stored", sa.Integer, nullable=False),  # on that day
)

TABLES = tuple(_metadata.tables.values())

STEPS = (
    Step(
        both=(
            "create table desk_alerts (source text not null, id text not null, "
            "borrower text not null, borrower_key text not null, kind text not null, "
            "severity text not null, observed_ms {bigint} not null, received_ms {bigint} not null, "
            "detail text not null, subject text not null, digest text not null, resolution text, "
            "resolved_by text, resolved_ms {bigint}, primary key (source, id))",
            "create index desk_alerts_by_borrower on desk_alerts (borrower_key, received_ms)",
            "create index desk_alerts_by_written_id on desk_alerts (borrower)",
            "create index desk_alerts_by_time on desk_alerts (received_ms)",
            "create index desk_alerts_open on desk_alerts (received_ms) where resolution is null",
            "create table desk_follow_ups (source text not null, id text not null, "
            "follow_up text not null, borrower_key text not null, opened_ms {bigint} not null, "
            "due_ms {bigint}, closed_ms {bigint}, closed_by text, resolution text, "
            "primary key (source, id, follow_up), "
            "foreign key (source, id) references desk_alerts (source, id))",
            "create index desk_follow_ups_open on desk_follow_ups (follow_up, due_ms) "
            "where closed_ms is null",
            "create table desk_alert_sources (source text not null primary key, "
            "day integer not null, stored integer not null)",
        ),
    ),
)
