"""From a feature party's table and model parts to what it answers with: points of every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from clients.answering.model_parts import RunParts, ServedPart
from clients.answering.settings import ServingSettings
from clients.manifest import PartyManifest
from clients.pins import Identity
from clients.sources import PartyTable, load_table
from federation.errors import InputError
from federation.schema import FeatureColumn
from federation.scoring.borrower_index import BorrowerIndex
from federation.scoring.contribution import AnsweredVariant, AnswerPolicy, Contribution
from federation.scoring.masks import AnswerMasks, borrower_blocks
from federation.scoring.nonces import NonceWindow
from federation.scoring.points import to_points
from federation.scoring.reason_table import ReasonTable
from federation.scoring.tags import tag_key, tags


@dataclass(frozen=True)
class Loaded:
    """One reading of the table.

    Attributes:
        sessions: what is answered, by session.
        as_of_ms: when the table was read, milliseconds since 1970.
        borrowers: how many it knows.
        notes: what a person should know of how rows were read, a sentence each.
    """

    sessions: MappingProxyType[str, Contribution]
    as_of_ms: int
    borrowers: int
    notes: tuple[str, ...] = ()


class Loader:
    """Reads the table, again and again, and makes points of it.

    Args:
        manifest: the party's own.
        identity: its key and its peers' pinned ones.
        label_party, feature_parties: names, of its federation file.
        runs: what it serves.
        settings: what it allows.

    Raises:
        InputError: a session is served twice.
    """

    def __init__(
        self,
        manifest: PartyManifest,
        identity: Identity,
        label_party: str,
        feature_parties: Sequence[str],
        runs: Sequence[RunParts],
        settings: ServingSettings,
    ) -> None:
        """Derive keys; no table is read yet."""
        sessions = [run.session for run in runs]
        if len(set(sessions)) < len(sessions):
            raise InputError("two of the runs are of the same session; name each run once")
        self._manifest = manifest
        self._runs = tuple(runs)
        self._generation = 0
        self._policy = AnswerPolicy(
            feature_parties=len(feature_parties),
            alone=settings.alone,
            reasons=settings.reasons,
            cache_seconds=settings.cache_seconds,
        )
        party, key = identity.party, identity.key
        partners = {name: identity.pins[name] for name in feature_parties}
        pin = identity.pins[label_party]
        self._tag_keys = {run: tag_key(key, pin, run, label_party, party) for run in sessions}
        self._masks = {run: AnswerMasks(party, key, partners, run) for run in sessions}
        # They outlast a reload: a nonce is not used again because the table was read again.
        self._nonces = {run: NonceWindow() for run in sessions}

    def load(self, now: datetime | None = None) -> Loaded:
        """Read the table and compute all points.

        Raises:
            InputError: the table is not what the manifest says, lacks a part's feature, or has
                points beyond what an answer can say.
        """
        moment = now or datetime.now(UTC)
        table = load_table(self._manifest, now=moment)
        self._generation += 1
        as_of_ms = int(moment.timestamp() * 1000)
        embeddings: dict[str, list[FeatureColumn]] = {}
        sessions = {
            run.session: self._session(run, table, as_of_ms, embeddings) for run in self._runs
        }
        return Loaded(MappingProxyType(sessions), as_of_ms, table.row_count, table.notes)

    def _session(
        self,
        run: RunParts,
        table: PartyTable,
        as_of_ms: int,
        embeddings: dict[str, list[FeatureColumn]],
    ) -> Contribution:
        index, order = BorrowerIndex.of(
            tags(self._tag_keys[run.session], table.identifiers),
            borrower_blocks(run.session, table.identifiers),
        )
        variants = [
            self._variant(served, columns_of(served, table, embeddings), order)
            for served in run.parts
        ]
        return Contribution(
            run.session,
            self._masks[run.session],
            index,
            variants,
            self._policy,
            as_of_ms,
            self._nonces[run.session],
            self._generation,
        )

    def _variant(
        self, served: ServedPart, columns: Sequence[FeatureColumn], order: np.ndarray[Any, Any]
    ) -> AnsweredVariant:
        part = served.part
        points = to_points(part.partial_scores(columns))
        reasons = ReasonTable.of(part, columns, order) if self._policy.reasons else None
        return AnsweredVariant(part.training, served.parties, points[order], part.digest, reasons)


def columns_of(
    served: ServedPart, table: PartyTable, embeddings: dict[str, list[FeatureColumn]]
) -> list[FeatureColumn]:
    """The table's columns, and those that the part's encoder makes of them.

    Args:
        served: the part.
        table: the party's.
        embeddings: made so far, by the encoder's digest; the variants of a training share one.

    Raises:
        InputError: the table lacks a column of the encoder, or torch is not installed.
    """
    columns = list(table.features)
    if served.encoder is None:
        return columns
    made = embeddings.get(served.encoder.digest)
    if made is None:
        try:
            from federation.split.blind import embedding_columns
        except ImportError as error:
            raise InputError(
                f"the encoder of '{served.part.training}' needs torch; install veilscore[neural]"
            ) from error
        made = embedding_columns(served.encoder, columns)
        embeddings[served.encoder.digest] = made
    return [*columns, *made]
