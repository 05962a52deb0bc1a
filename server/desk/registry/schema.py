"""The registry's tables, and how they came to be."""

from __future__ import annotations

import sqlalchemy as sa

from server.desk.registry.migrations import Step

PART = "registry"

_metadata = sa.MetaData()

models = sa.Table(
    "desk_models",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("signer", sa.Text, nullable=False),  # fingerprint
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("training", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)
stages = sa.Table(
    "desk_model_stages",
    _metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)
# What was in production, as a stack: a rollback takes the last one off.
productions = sa.Table(
    "desk_productions",
    _metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("rolled_back_ms", sa.BigInteger),
)
routing = sa.Table(
    "desk_routing",
    _metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("champion", sa.Text),
    sa.Column("challenger", sa.Text),
    sa.Column("share_millionths", sa.Integer, nullable=False),
    sa.Column("epoch_key", sa.LargeBinary, nullable=False),
)
shadows = sa.Table(
    "desk_shadows",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
)
events = sa.Table(
    "desk_registry_events",
    _metadata,
    sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Text, nullable=False),  # a line of federation.record_chain
)

TABLES = tuple(_metadata.tables.values())

_APPEND_ONLY = "the event record is append-only"

STEPS = (
    Step(
        both=(
            "create table desk_models (name text not null primary key, line text not null, "
            "version integer not null, stage text not null "
            "check (stage in ('staging', 'production', 'archived')), digest text not null, "
            "signer text not null, document {bytes} not null, run text not null, "
            "session text not null, training text not null, created_ms {bigint} not null, "
            "created_by text not null, unique (line, version), unique (line, digest))",
            "create unique index desk_one_production on desk_models (line) "
            "where stage = 'production'",
            "create table desk_model_stages (id {serial}, "
            "name text not null references desk_models (name), stage text not null, "
            'at_ms {bigint} not null, "by" text not null, why text not null)',
            "create index desk_model_stages_by_name on desk_model_stages (name)",
            "create table desk_productions (id {serial}, line text not null, "
            "name text not null references desk_models (name), at_ms {bigint} not null, "
            "rolled_back_ms {bigint})",
            "create table desk_routing (line text not null primary key, "
            "champion text references desk_models (name), "
            "challenger text references desk_models (name), "
            "share_millionths integer not null "
            "check (share_millionths between 0 and 999999), epoch_key {bytes} not null, "
            "check (challenger is null or challenger <> champion))",
            "create table desk_shadows (name text not null primary key "
            "references desk_models (name), line text not null)",
            "create table desk_registry_events (place {bigint} primary key, entry text not null)",
        ),
        sqlite=tuple(
            f"create trigger desk_events_no_{verb} before {verb} on desk_registry_events "
            f"begin select raise(abort, '{_APPEND_ONLY}'); end"
            for verb in ("update", "delete")
        ),
        postgresql=(
            "create function desk_append_only() returns trigger language plpgsql as "
            f"$$ begin raise exception '{_APPEND_ONLY}'; end $$",
            "create trigger desk_events_append_only before update or delete or truncate "
            "on desk_registry_events for each statement execute function desk_append_only()",
        ),
    ),
)
