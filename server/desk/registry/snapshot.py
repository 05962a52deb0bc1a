"""The registry as it is at one moment, and whether its tables are what its event record says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from federation.identity import PartyPublicKey
from federation.record_chain import Head, read_chain
from federation.scoring import ServedModel
from server.desk.registry.documents import verified_model
from server.desk.registry.migrations import read_head
from server.desk.registry.records import ModelRecord, Projection, Routing, Stage, project
from server.desk.registry.routing import KEY_BYTES, epoch_name
from server.desk.registry.schema import PART, events, models, routing, shadows

RECORD = "the registry's event record"


@dataclass(frozen=True)
class Snapshot:
    """What the tables hold; nobody has checked it yet.

    Attributes:
        head: how many changes there were, and the digest of the last event.
        models: by name.
        routing: by line.
        entries: the event record's lines.
        documents: signed documents by name, of all models that are not archived.
    """

    head: Head
    models: Mapping[str, ModelRecord]
    routing: Mapping[str, Routing]
    entries: Sequence[str] = field(repr=False)
    documents: Mapping[str, bytes] = field(repr=False)

    def findings(self) -> list[str]:
        """What the tables and the event record disagree in; empty where all is well."""
        try:
            head, entries = read_chain(self.entries, RECORD)
        except InputError as error:
            return [str(error)]
        if head != self.head:
            return [
                f"{RECORD} has {head.length} events, and its written-down end says "
                f"{self.head.length}, or names another last event"
            ]
        try:
            projection = project(entries)
        except (KeyError, ValueError, IndexError, TypeError, InputError):
            return [f"{RECORD} holds an event that is none of the registry's"]
        return [*self._wrong_models(projection), *self._wrong_routing(projection)]

    def verified(self, name: str, signers: Sequence[PartyPublicKey]) -> ServedModel:
        """A model's document, its signature and digest checked.

        Raises:
            InputError: the row was tampered with, or nobody who counts signed it.
        """
        served, _ = verified_model(self.documents[name], f"model '{name}' of the registry", signers)
        if served.digest != self.models[name].digest:
            raise InputError(f"model '{name}' of the registry: its document is of another model")
        return served

    def _wrong_models(self, projection: Projection) -> list[str]:
        found = []
        for name in sorted(set(self.models) | set(projection.digests)):
            record = self.models.get(name)
            if record is None or name not in projection.digests:
                found.append(f"model '{name}' is in the tables or in {RECORD}, but not in both")
            elif record.digest != projection.digests[name]:
                found.append(f"model '{name}' has another digest than {RECORD} says")
            elif record.stage is not projection.stages[name]:
                found.append(
                    f"model '{name}' is in stage '{record.stage}', and {RECORD} says "
                    f"'{projection.stages[name]}'"
                )
        return found

    def _wrong_routing(self, projection: Projection) -> list[str]:
        found = []
        for line in sorted(set(self.routing) | set(projection.productions)):
            row = self.routing.get(line, Routing())
            told = projection.challengers.get(line)
            own = None
            if row.challenger is not None:
                epoch = epoch_name(row.epoch_key) if len(row.epoch_key) == KEY_BYTES else ""
                own = (row.challenger, row.share_millionths, epoch)
            if row.champion != projection.champion(line):
                found.append(f"the champion of '{line}' is not the one that {RECORD} says")
            if own != told:
                found.append(f"the challenge of '{line}' is not the one that {RECORD} says")
            if row.shadows != tuple(sorted(projection.shadows.get(line, ()))):
                found.append(f"the shadows of '{line}' are not those that {RECORD} says")
        return found


def read_snapshot(connection: Connection) -> Snapshot:
    """Read everything; the connection's transaction shows one moment."""
    records, lines = read_records(connection)
    documents = (
        sa.select(models.c.name, models.c.document)
        .where(models.c.stage != str(Stage.ARCHIVED))
        .order_by(models.c.line, models.c.version)
    )
    entries = connection.execute(sa.select(events.c.entry).order_by(events.c.place)).scalars()
    return Snapshot(
        head=read_head(connection, PART),
        models=records,
        routing=lines,
        entries=tuple(str(entry) for entry in entries),
        documents={str(row.name): bytes(row.document) for row in connection.execute(documents)},
    )


def read_records(
    connection: Connection,
) -> tuple[dict[str, ModelRecord], dict[str, Routing]]:
    """Models by name, without their documents, and routing by line.

    Raises:
        InputError: a row holds what is never written there.
    """
    try:
        return _records(connection), _routing(connection)
    except (ValueError, TypeError) as error:
        raise InputError(
            "the registry's tables hold a value that veilscore never writes; restore a copy"
        ) from error


def read_document(connection: Connection, name: str) -> bytes:
    """A model's signed document.

    Raises:
        InputError: there is no such model.
    """
    query = sa.select(models.c.document).where(models.c.name == name)
    document = connection.execute(query).scalar_one_or_none()
    if document is None:
        raise InputError(f"the registry has no model '{name}'")
    return bytes(document)


def _records(connection: Connection) -> dict[str, ModelRecord]:
    columns = [column for column in models.c if column.name != "document"]
    return {
        str(row.name): ModelRecord(
            name=str(row.name),
            stage=Stage(row.stage),
            digest=str(row.digest),
            signer=str(row.signer),
            run=str(row.run),
            session=str(row.session),
            training=str(row.training),
            created_ms=int(row.created_ms),
            created_by=str(row.created_by),
        )
        for row in connection.execute(sa.select(*columns))
    }


def _routing(connection: Connection) -> dict[str, Routing]:
    own_shadows: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(shadows)):
        own_shadows.setdefault(str(row.line), []).append(str(row.name))
    found = {
        str(row.line): Routing(
            champion=row.champion,
            challenger=row.challenger,
            share_millionths=int(row.share_millionths),
            epoch_key=bytes(row.epoch_key),
            shadows=tuple(sorted(own_shadows.pop(str(row.line), ()))),
        )
        for row in connection.execute(sa.select(routing))
    }
    # A shadow may be there before anything of its line is in production.
    return found | {
        line: Routing(shadows=tuple(sorted(names))) for line, names in own_shadows.items()
    }
