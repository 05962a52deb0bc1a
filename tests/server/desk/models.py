"""A small served model made by hand: real binnings of a seeded table, random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from federation.additive.model_part import ModelPart
from federation.binning import fit_binning
from federation.identifiers import IdentifierRule
from federation.identity import PartyKey
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring import (
    Calibration,
    Development,
    ServedModel,
    ServedVariant,
    alone_name,
    to_points,
    variant_name,
)

LABEL_PARTY = "bank"
SESSION = "session-of-the-tests"
TRAINING = "exact"
BORROWERS = 400

OWN_FEATURES = (
    FeatureSpec("age", FeatureKind.NUMERIC, "years", (-1.0,), 18.0, 100.0, "age"),
    FeatureSpec("income", FeatureKind.NUMERIC, "EUR", ("n.a.",), 0.0, None, "monthly income"),
    FeatureSpec("balance", FeatureKind.NUMERIC, "EUR"),
    FeatureSpec(
        "employment",
        FeatureKind.CATEGORICAL,
        missing_codes=("unknown",),
        label="employment",
        categories=("employed", "self-employed", "public service"),
    ),
    FeatureSpec("region", FeatureKind.CATEGORICAL),
)


@dataclass(frozen=True)
class HandMade:
    """A served model, and all that its parties would hold.

    Attributes:
        served: what the label party serves.
        own: the label party's columns of all borrowers, in the order of `borrowers`.
        borrowers: normalised ids, 'b0000' upwards.
        parts: per feature party, its part of every variant with it, by the variant's name.
        tables: per feature party, its columns.
        keys: every party's key.
    """

    served: ServedModel
    own: tuple[FeatureColumn, ...]
    borrowers: tuple[str, ...]
    parts: Mapping[str, Mapping[str, ModelPart]]
    tables: Mapping[str, tuple[FeatureColumn, ...]]
    keys: Mapping[str, PartyKey]

    def row(self, index: int) -> dict[str, float | str | None]:
        """The label party's features of one borrower, as a caller brings them."""
        row: dict[str, float | str | None] = {}
        for column in self.own:
            value = column.values[index]
            numeric = column.spec.kind is FeatureKind.NUMERIC
            missing = bool(np.isnan(value)) if numeric else value is None
            row[column.spec.name] = None if missing else float(value) if numeric else str(value)
        return row

    def own_points(self, variant: ServedVariant) -> npt.NDArray[np.int32]:
        """The label party's points of all borrowers (n,), as made offline."""
        return to_points(variant.part.partial_scores(self.own))

    def party_points(self, party: str, variant: str) -> npt.NDArray[np.int32]:
        """A feature party's points of all borrowers (n,), as made offline."""
        return to_points(self.parts[party][variant].partial_scores(self.tables[party]))

    def points(self, variant: ServedVariant) -> npt.NDArray[np.int64]:
        """All parts' points of all borrowers (n,)."""
        total = self.own_points(variant).astype(np.int64)
        for party in variant.parties:
            total += self.party_points(party, variant.name)
        return total


def served_model(
    parties: Sequence[str] = ("platform",),
    *,
    seed: int = 7,
    own_features: Sequence[FeatureSpec] = OWN_FEATURES,
    party_features: int = 3,
    keys: Mapping[str, PartyKey] | None = None,
    session: str = SESSION,
) -> HandMade:
    """A model of a label party and these feature parties, with all its variants.

    Args:
        parties: the feature parties; none makes a model of the label party alone.
        seed: of table and weights.
        own_features: the label party's.
        party_features: how many features each feature party has; the first has no label.
        keys: of parties, where the test has some already; the others are derived from the name.
        session: that 'trained' it.
    """
    rng = np.random.default_rng(seed)
    known = {
        party: PartyKey(party.encode().ljust(32, b".")[:32]) for party in (LABEL_PARTY, *parties)
    } | dict(keys or {})
    own = tuple(_column(spec, rng) for spec in own_features)
    tables = {
        party: tuple(
            _column(
                FeatureSpec(
                    f"{party}_{number}",
                    FeatureKind.NUMERIC,
                    label=f"figure {number}" if number else None,
                ),
                rng,
            )
            for number in range(party_features)
        )
        for party in parties
    }
    variants: list[ServedVariant] = []
    parts: dict[str, dict[str, ModelPart]] = {party: {} for party in parties}
    everybody = tuple(sorted(parties))
    for size in range(len(everybody), -1, -1):
        for members in combinations(everybody, size):
            if not members:
                name = alone_name(TRAINING, LABEL_PARTY) if everybody else TRAINING
            else:
                name = TRAINING if members == everybody else variant_name(TRAINING, members)
            for party in members:
                parts[party][name] = _part(party, session, name, tables[party], 0.0, rng)
            variants.append(
                ServedVariant(
                    name=name,
                    parties=members,
                    part=_part(LABEL_PARTY, session, name, own, -1.3, rng),
                    calibration=Calibration(0.05 * size, 0.9 + 0.05 * size),
                    auc=0.61 + 0.05 * size,
                    test_borrowers=BORROWERS // 4,
                )
            )
    bare = ServedModel(
        run="run-of-the-tests",
        session=session,
        training=TRAINING,
        label_party=LABEL_PARTY,
        identifier_rule=IdentifierRule.CASEFOLD,
        pins={party: known[party].public for party in everybody},
        features=tuple(own_features),
        variants=tuple(variants),
        trained_at="2026-01-05T08:00:00+00:00",
        label_privacy="no noise: the labels' residual sums were exact",
    )
    made = HandMade(
        bare, own, tuple(f"b{number:04d}" for number in range(BORROWERS)), parts, tables, known
    )
    main = bare.main
    partners = made.points(main) - made.own_points(main)
    development = {
        "score": _development(500 - made.points(main)),
        LABEL_PARTY: _development(made.own_points(main)),
    }
    if everybody:
        development["partners" if len(everybody) > 1 else everybody[0]] = _development(partners)
    return replace(made, served=replace(bare, development=development))


def _column(spec: FeatureSpec, rng: np.random.Generator) -> FeatureColumn:
    present = np.ones(BORROWERS, dtype=np.bool_)
    gaps = rng.random(BORROWERS) < 0.1
    if spec.kind is FeatureKind.NUMERIC:
        low = spec.minimum if spec.minimum is not None else -500.0
        high = spec.maximum if spec.maximum is not None else 5_000.0
        # Rounded, so that values meet bin edges exactly.
        values = np.round(rng.uniform(low, high, BORROWERS))
        values[gaps] = np.nan
        return FeatureColumn(spec, values, present)
    names = np.array(spec.categories or ("north", "south", "east", "west"), dtype=object)
    texts = rng.choice(names, BORROWERS)
    texts[gaps] = None
    return FeatureColumn(spec, texts, present)


def _part(
    party: str,
    session: str,
    training: str,
    columns: Sequence[FeatureColumn],
    intercept: float,
    rng: np.random.Generator,
) -> ModelPart:
    everyone = np.ones(BORROWERS, dtype=np.bool_)
    binnings = tuple(fit_binning(column, everyone, 12, 10) for column in columns)
    weights = tuple(tuple(rng.normal(0, 0.4, binning.bins).tolist()) for binning in binnings)
    shares = tuple(
        tuple((np.bincount(b.assign(column), minlength=b.bins) / BORROWERS).tolist())
        for b, column in zip(binnings, columns, strict=True)
    )
    labels = tuple(column.spec.label for column in columns)
    return ModelPart(party, session, training, intercept, binnings, labels, weights, shares)


def _development(values: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> Development:
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10))
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return Development(tuple(edges.tolist()), tuple((counts / len(values)).tolist()))
