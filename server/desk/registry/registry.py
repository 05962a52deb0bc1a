"""The registry's operations: each is one transaction, signed models only, with who and why.

Two operators at once wait for each other; each finds the registry as the other left it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from federation.errors import InputError
from federation.identity import PartyPublicKey
from server.desk.registry.database import Database
from server.desk.registry.documents import verified_model
from server.desk.registry.migrations import migrate, read_head
from server.desk.registry.names import (
    DEFAULT_LINE,
    check_line,
    check_who,
    check_why,
    model_name,
    split_name,
)
from server.desk.registry.records import MILLION, Change, ModelRecord, Routing, Stage, StageChange
from server.desk.registry.routing import epoch_name, new_epoch_key
from server.desk.registry.schema import PART, STEPS, models, shadows, stages
from server.desk.registry.settings import RegistrySettings
from server.desk.registry.snapshot import Snapshot, read_document, read_records, read_snapshot
from server.desk.registry.writer import Writer

MOST_SHADOWS = 4


class Registry:
    """Models, their stages and who answers, in one database.

    Args:
        database: SQLite or PostgreSQL; its tables are made or brought forward.
        signers: whose signatures count; at least one.
        now_ms: the time, milliseconds since 1970 UTC.

    Raises:
        InputError: the database is not usable, or of a newer version.
    """

    def __init__(
        self,
        database: Database,
        signers: Sequence[PartyPublicKey],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        if not signers:
            raise InputError("a registry needs the key of at least one signer of models")
        migrate(database, PART, STEPS)
        self._database = database
        self._now_ms = now_ms
        self.signers = tuple(signers)

    @classmethod
    def open(cls, settings: RegistrySettings) -> Registry:
        """The registry that settings name; `close` it afterwards."""
        database = Database(settings.database)
        try:
            return cls(database, settings.signers)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def add(self, document: bytes, *, by: str, why: str, line: str = DEFAULT_LINE) -> ModelRecord:
        """Register a signed model in staging.

        Raises:
            InputError: the signature does not count, or the line has this very model already.
        """
        served, signer = verified_model(document, "the model to add", self.signers)
        digest = served.digest
        with self._writing(by, why) as writer:
            there = writer.name_of_digest(check_line(line), digest)
            if there is not None:
                raise InputError(f"this very model is in the registry already, as '{there}'")
            version = writer.next_version(line)
            record = ModelRecord(
                name=model_name(line, version),
                stage=Stage.STAGING,
                digest=digest,
                signer=signer.fingerprint,
                run=served.run,
                session=served.session,
                training=served.training,
                created_ms=writer.now_ms,
                created_by=writer.who,
            )
            writer.connection.execute(
                models.insert().values(
                    name=record.name,
                    line=line,
                    version=version,
                    stage=str(record.stage),
                    digest=digest,
                    signer=record.signer,
                    document=document,
                    run=record.run,
                    session=record.session,
                    training=record.training,
                    created_ms=record.created_ms,
                    created_by=record.created_by,
                )
            )
            writer.set_stage(record.name, Stage.STAGING)
            writer.event(Change.ADDED, record.name, digest=digest, signer=record.signer)
        return record

    def seed(self, document: bytes, *, by: str, line: str = DEFAULT_LINE) -> str | None:
        """Put a first model into production where a line has none at all; returns its name."""
        if any(record.line == line for record in self.models()):
            return None
        why = "the first model of its line"
        record = self.add(document, by=by, why=why, line=line)
        self.promote(record.name, by=by, why=why)
        return record.name

    def promote(self, name: str, *, by: str, why: str) -> str | None:
        """Put a model into production and archive the former one; returns the former's name.

        Raises:
            InputError: there is no such model, it is in production already, or it was tampered
                with.
        """
        with self._writing(by, why) as writer:
            if writer.stage_of(name) is Stage.PRODUCTION:
                raise InputError(f"'{name}' is in production already")
            self._verify(writer, name)
            line = split_name(name)[0]
            stack = writer.production_stack(line)
            former = stack[-1][1] if stack else None
            writer.push_production(name)
            self._put_into_production(writer, name, former)
            writer.event(Change.PROMOTED, name, former=former)
        return former

    def rollback(self, line: str = DEFAULT_LINE, *, by: str, why: str) -> tuple[str, str]:
        """Go back to the production before; returns the names of what came back and what went.

        Raises:
            InputError: there was none before, or it was tampered with.
        """
        with self._writing(by, why) as writer:
            stack = writer.production_stack(check_line(line))
            if len(stack) < 2:
                raise InputError(f"the line '{line}' had no other model in production before")
            (identifier, current), former = stack[-1], stack[-2][1]
            self._verify(writer, former)
            writer.pop_production(identifier)
            self._put_into_production(writer, former, current)
            writer.event(Change.ROLLED_BACK, former, former=current)
        return former, current

    def challenge(self, name: str, share: float, *, by: str, why: str) -> None:
        """Let a model answer a share of the borrowers; a share of 0 ends its challenge.

        A challenger before it stays in staging without a share. The same challenger with another
        share keeps the borrowers that it had, as far as the share goes.

        Raises:
            InputError: the share is not in [0, 1), the model is in production, the line has
                nothing in production, or the model was tampered with.
        """
        if not 0 <= share < 1:
            raise InputError("a challenger's share must be a number from 0 up, less than 1")
        millionths = round(share * MILLION)
        with self._writing(by, why) as writer:
            stage, line = writer.stage_of(name), split_name(name)[0]
            current, key = writer.challenge_of(line)
            if not share:
                if current != name:
                    raise InputError(f"'{name}' is not the challenger")
                writer.end_roles(name)
                writer.event(Change.CHALLENGE_ENDED, name)
                return
            if not 1 <= millionths < MILLION:
                raise InputError("a challenger's share must be from 0.000001 to 0.999999")
            if stage is Stage.PRODUCTION:
                raise InputError(f"'{name}' is in production; a challenger is another model")
            if not writer.production_stack(line):
                raise InputError(
                    f"the line '{line}' has no model in production to challenge; promote one"
                )
            self._verify(writer, name)
            key = key if current == name and key else new_epoch_key()
            writer.end_roles(name)
            writer.to_staging(name)
            writer.set_routing(line, challenger=name, share_millionths=millionths, epoch_key=key)
            writer.event(
                Change.CHALLENGED, name, share_millionths=millionths, epoch=epoch_name(key)
            )

    def shadow(self, name: str, *, by: str, why: str, end: bool = False) -> None:
        """Let a model score along without telling its scores, or end that.

        Raises:
            InputError: it is in production or the challenger, there are MOST_SHADOWS already, or
                the model was tampered with.
        """
        with self._writing(by, why) as writer:
            stage, line = writer.stage_of(name), split_name(name)[0]
            there = writer.shadows_of(line)
            if end:
                if name not in there:
                    raise InputError(f"'{name}' is no shadow")
                writer.end_roles(name)
                writer.event(Change.SHADOW_ENDED, name)
                return
            if stage is Stage.PRODUCTION or writer.challenge_of(line)[0] == name:
                raise InputError(f"'{name}' answers borrowers itself; a shadow is another model")
            if name in there:
                raise InputError(f"'{name}' is a shadow already")
            if len(there) >= MOST_SHADOWS:
                raise InputError(f"a line has at most {MOST_SHADOWS} shadows; end one of them")
            self._verify(writer, name)
            writer.to_staging(name)
            writer.connection.execute(shadows.insert().values(name=name, line=line))
            writer.event(Change.SHADOWED, name)

    def archive(self, name: str, *, by: str, why: str) -> None:
        """Take a model out of use; it stays in the registry.

        Raises:
            InputError: it is in production, challenger, shadow, or archived already.
        """
        with self._writing(by, why) as writer:
            stage, line = writer.stage_of(name), split_name(name)[0]
            if stage is Stage.ARCHIVED:
                raise InputError(f"'{name}' is archived already")
            if stage is Stage.PRODUCTION:
                raise InputError(f"'{name}' is in production; promote another model, or roll back")
            if writer.challenge_of(line)[0] == name or name in writer.shadows_of(line):
                raise InputError(f"'{name}' is the challenger or a shadow; end that first")
            writer.set_stage(name, Stage.ARCHIVED)
            writer.event(Change.ARCHIVED, name)

    def models(self) -> list[ModelRecord]:
        """All models, by line and version."""
        with self._database.reading() as connection:
            records, _ = read_records(connection)
        return sorted(records.values(), key=lambda record: split_name(record.name))

    def routing(self) -> dict[str, Routing]:
        """Who answers, by line."""
        with self._database.reading() as connection:
            return read_records(connection)[1]

    def history(self, name: str) -> list[StageChange]:
        """A model's stages, oldest first."""
        query = sa.select(stages).where(stages.c.name == name).order_by(stages.c.id)
        with self._database.reading() as connection:
            return [
                StageChange(Stage(row.stage), int(row.at_ms), str(row.by), str(row.why))
                for row in connection.execute(query)
            ]

    def document(self, name: str) -> bytes:
        """A model's signed document, as it was added.

        Raises:
            InputError: there is no such model.
        """
        with self._database.reading() as connection:
            return read_document(connection, name)

    def changes(self) -> int:
        """How often the registry has changed: one small row."""
        with self._database.reading() as connection:
            return read_head(connection, PART).length

    def snapshot(self) -> Snapshot:
        """Everything a desk needs, in one view; nothing in it is checked yet."""
        with self._database.reading() as connection:
            return read_snapshot(connection)

    @contextmanager
    def _writing(self, by: str, why: str) -> Iterator[Writer]:
        who, reason = check_who(by), check_why(why)
        with self._database.writing() as connection:
            yield Writer(connection, who, reason, self._now_ms())

    def _verify(self, writer: Writer, name: str) -> None:
        """Refuse to use a model whose row was tampered with."""
        record = read_records(writer.connection)[0][name]
        served, _ = verified_model(
            read_document(writer.connection, name), f"model '{name}' of the registry", self.signers
        )
        if served.digest != record.digest:
            raise InputError(f"the document of '{name}' in the registry is of another model")

    def _put_into_production(self, writer: Writer, name: str, former: str | None) -> None:
        if former is not None and former != name:
            writer.set_stage(former, Stage.ARCHIVED)
        writer.end_roles(name)
        writer.set_stage(name, Stage.PRODUCTION)
        writer.set_routing(split_name(name)[0], champion=name)
