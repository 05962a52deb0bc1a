"""The scores that a desk must give, computed offline from all parties' tables and model parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from clients.manifest import read_manifest
from clients.sources import PartyTable, load_table
from clients.vault import load_part, load_served_model
from federation.proto import scoring_pb2 as pb
from federation.schema import FeatureColumn, FeatureKind
from federation.scoring import ServedModel, ServedVariant, default_probability, scores_of, to_points
from simulations.bench_scoring_federation import BANK, TRAINING, Trained


@dataclass(frozen=True)
class Offline:
    """What every variant says of every borrower of the bank, in the order of the bank's table.

    Attributes:
        served: the model.
        borrowers: ids (n,).
        columns: the bank's features that a request must bring, each (n,).
        scores: by variant (n,) int32; where a party of it does not know the borrower, not used.
        probabilities: by variant (n,) float64.
        known: by feature party, which borrowers it knows (n,).
    """

    served: ServedModel
    borrowers: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    scores: Mapping[str, npt.NDArray[np.int32]]
    probabilities: Mapping[str, npt.NDArray[np.float64]]
    known: Mapping[str, npt.NDArray[np.bool_]]

    def expected_variants(self) -> npt.NDArray[np.object_]:
        """The variant that each borrower is scored with when every party answers (n,)."""
        names = np.empty(len(self.borrowers), dtype=object)
        parties = sorted(self.known)
        if not parties:
            names[:] = self.served.main.name
            return names
        for pattern in set(zip(*(self.known[p].tolist() for p in parties), strict=True)):
            answering = frozenset(p for p, knows in zip(parties, pattern, strict=True) if knows)
            rows = np.all([self.known[p] == k for p, k in zip(parties, pattern, strict=True)], 0)
            names[rows] = self.served.best_with(answering).name
        return names

    def features(self, place: int) -> dict[str, float | str | None]:
        """One borrower's features, as a request must bring them."""
        return {
            column.spec.name: None if _missing(column)[place] else column.values[place]
            for column in self.columns
        }

    def requests(self, order: npt.NDArray[np.int64]) -> list[bytes]:
        """Serialised score requests of some borrowers, by their places."""
        cells = [_cells(column) for column in self.columns]
        return [
            pb.ScoreRequest(
                borrower=self.borrowers[place],
                features={
                    column.spec.name: values[place]
                    for column, values in zip(self.columns, cells, strict=True)
                },
            ).SerializeToString()
            for place in order.tolist()
        ]

    def batch(self, sequence: int, order: npt.NDArray[np.int64]) -> bytes:
        """One serialised message of a batch, of some borrowers by their places."""
        message = pb.ScoreBatchRequest(
            sequence=sequence, borrowers=[self.borrowers[place] for place in order.tolist()]
        )
        for column in self.columns:
            missing = _missing(column)[order]
            one = message.columns.add(feature=column.spec.name)
            if missing.any():
                one.missing = missing.astype(np.uint8).tobytes()
            if column.spec.kind is FeatureKind.NUMERIC:
                one.numbers.extend(np.where(missing, 0.0, column.values[order]).tolist())
            else:
                one.categories.extend(text or "" for text in column.values[order].tolist())
        return message.SerializeToString()


def _missing(column: FeatureColumn) -> npt.NDArray[np.bool_]:
    if column.spec.kind is FeatureKind.NUMERIC:
        return np.asarray(np.isnan(column.values), dtype=np.bool_)
    return np.array([value is None for value in column.values.tolist()], dtype=np.bool_)


def _cells(column: FeatureColumn) -> list[pb.Value]:
    numeric = column.spec.kind is FeatureKind.NUMERIC
    return [
        pb.Value(missing=True)
        if absent
        else pb.Value(number=value)
        if numeric
        else pb.Value(category=value)
        for value, absent in zip(column.values.tolist(), _missing(column).tolist(), strict=True)
    ]


def read_served(trained: Trained) -> ServedModel:
    """The bank's served model of the run."""
    return load_served_model(trained.run / BANK / f"served-{TRAINING}.json", None)


def offline_scores(trained: Trained) -> Offline:
    """Score every borrower of the bank with every variant, from the files of the run."""
    served = read_served(trained)
    bank = _table(trained, BANK)
    tables = {party: _table(trained, party) for party in served.main.parties}
    places = {party: _places(bank.identifiers, table) for party, table in tables.items()}
    scores, probabilities = {}, {}
    for variant in served.variants:
        points = to_points(variant.part.partial_scores(bank.features)).astype(np.int64)
        for party in variant.parties:
            part = load_part(trained.run / party / f"model-{variant.name}.json")
            theirs = to_points(part.partial_scores(tables[party].features))
            points += theirs[np.maximum(places[party], 0)]
        scores[variant.name], probabilities[variant.name] = _outcome(variant, points)
    asked = {spec.name for spec in served.features}
    return Offline(
        served,
        bank.identifiers,
        tuple(column for column in bank.features if column.spec.name in asked),
        scores,
        probabilities,
        {party: place >= 0 for party, place in places.items()},
    )


def pooled_offline(trained: Trained, served: ServedModel) -> Offline:
    """Score every borrower with a model of all parties' features and no partner.

    What a party does not know of a borrower is missing.
    """
    columns = {column.spec.name: column for column in pooled_columns(trained)}
    features = tuple(columns[spec.name] for spec in served.features)
    points = to_points(served.main.part.partial_scores(features)).astype(np.int64)
    score, probability = _outcome(served.main, points)
    name = served.main.name
    borrowers = _table(trained, BANK).identifiers
    return Offline(served, borrowers, features, {name: score}, {name: probability}, {})


def pooled_columns(trained: Trained) -> tuple[FeatureColumn, ...]:
    """All parties' features of the bank's borrowers, in the order of the bank's table."""
    bank = _table(trained, BANK)
    columns = list(bank.features)
    for party in read_served(trained).main.parties:
        table = _table(trained, party)
        places = _places(bank.identifiers, table)
        for column in table.features:
            values = column.values[np.maximum(places, 0)]
            values[places < 0] = np.nan if column.spec.kind is FeatureKind.NUMERIC else None
            columns.append(FeatureColumn(column.spec, values, np.ones(len(places), dtype=np.bool_)))
    return tuple(columns)


def _outcome(
    variant: ServedVariant, points: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    log_odds = variant.calibration.log_odds(points)
    return scores_of(log_odds), default_probability(log_odds)


def _table(trained: Trained, party: str) -> PartyTable:
    split = "split" if party == BANK else None
    manifest = read_manifest(trained.manifest(party))
    return load_table(manifest, now=datetime.now(UTC), split_column=split)


def _places(borrowers: Sequence[str], table: PartyTable) -> npt.NDArray[np.int64]:
    """Each borrower's row in a party's table; -1 where it is not known there."""
    rows = {identifier: row for row, identifier in enumerate(table.identifiers)}
    return np.array([rows.get(borrower, -1) for borrower in borrowers], dtype=np.int64)
