"""A model part: what one party holds of a trained additive model. No party holds all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.additive.pair_table import PairTable, pair_label
from federation.binning import Binning
from federation.errors import InputError
from federation.record_chain import canonical_json
from federation.schema import FeatureColumn

FORMAT = "veilscore additive model part 1"
# Of a part with pairs: software that knows none must not score with the rest of it.
PAIRS_FORMAT = "veilscore additive model part 2"


@dataclass(frozen=True)
class ShapeFunction:
    """What one feature adds to the log-odds of default, bin by bin; for its owner to read.

    Of a pair of features, cell by cell, on top of what each of them adds.
    """

    feature: str
    label: str | None
    bin_labels: tuple[str, ...]
    log_odds: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def importance(self) -> float:
        """Mean absolute deviation of the feature's contribution over the training borrowers."""
        log_odds, shares = np.array(self.log_odds), np.array(self.shares)
        return float(shares @ np.abs(log_odds - shares @ log_odds))


@dataclass(frozen=True)
class ModelPart:
    """One party's binnings and weights, as it keeps them on disk (canonical JSON).

    Attributes:
        party: its name.
        session: the session that trained it; parts of one session make one model.
        training: the training within the session.
        intercept: log-odds that every borrower starts from (label party), else 0.
        binnings: how each feature is binned.
        labels: each feature's public label, or None.
        weights: per feature, the log-odds of each bin.
        shares: per feature, each bin's share of the training borrowers.
        pairs: of these features, that add something together.
    """

    party: str
    session: str
    training: str
    intercept: float
    binnings: tuple[Binning, ...]
    labels: tuple[str | None, ...]
    weights: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    pairs: tuple[PairTable, ...] = ()

    def partial_scores(self, columns: Sequence[FeatureColumn]) -> npt.NDArray[np.float64]:
        """This part's log-odds of each borrower (n,), the intercept included.

        Raises:
            InputError: a feature of the part is not among the columns.
        """
        by_name = {column.spec.name: column for column in columns}
        count = len(columns[0].present) if columns else 0
        total = np.full(count, self.intercept)
        paired = {name for pair in self.pairs for name in pair.features}
        codes = {}
        for binning, weights in zip(self.binnings, self.weights, strict=True):
            column = by_name.get(binning.feature)
            if column is None:
                raise InputError(
                    f"the model part of {self.party} needs the feature '{binning.feature}', which "
                    f"its table does not have; it has: {', '.join(sorted(by_name))}"
                )
            own = binning.assign(column)
            total += np.array(weights)[own]
            if binning.feature in paired:
                codes[binning.feature] = own
        for pair in self.pairs:
            first, second = pair.features
            total += np.array(pair.cell_weights)[pair.cells(codes[first], codes[second])]
        return total

    def shape_functions(self) -> list[ShapeFunction]:
        """Every feature's and every pair's shape, most important first."""
        shapes = [
            ShapeFunction(binning.feature, label, tuple(binning.bin_labels()), weights, shares)
            for binning, label, weights, shares in zip(
                self.binnings, self.labels, self.weights, self.shares, strict=True
            )
        ]
        binnings = {binning.feature: binning for binning in self.binnings}
        for pair in self.pairs:
            labels = tuple(pair.cell_labels(*(binnings[name] for name in pair.features)))
            weights, shares = pair.cell_weights, pair.cell_shares
            shapes.append(ShapeFunction(pair.name, self.pair_label(pair), labels, weights, shares))
        return sorted(shapes, key=lambda shape: -shape.importance)

    def pair_label(self, pair: PairTable) -> str | None:
        """A pair's public label; None unless both of its features have one."""
        names = [binning.feature for binning in self.binnings]
        first, second = (self.labels[names.index(name)] for name in pair.features)
        return pair_label(first, second)

    def to_json(self) -> str:
        """Canonical JSON; a part without pairs is written as it was before there were any."""
        content = asdict(self) | {"format": PAIRS_FORMAT if self.pairs else FORMAT}
        if not self.pairs:
            del content["pairs"]
        return canonical_json(content)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, for lineage: says nothing about the weights."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> ModelPart:
        """Parse and check a stored part.

        Raises:
            InputError: names `where` and what is wrong.
        """
        form = content.get("format")
        if form not in (FORMAT, PAIRS_FORMAT) or (form == PAIRS_FORMAT) != ("pairs" in content):
            raise InputError(
                f"{where}: not an additive model part; its format must be '{FORMAT}', or with "
                f"pairs '{PAIRS_FORMAT}'"
            )
        try:
            part = cls(
                party=str(content["party"]),
                session=str(content["session"]),
                training=str(content["training"]),
                intercept=float(content["intercept"]),
                binnings=tuple(map(Binning.from_json, content["binnings"])),
                labels=tuple(content["labels"]),
                weights=tuple(tuple(map(float, row)) for row in content["weights"]),
                shares=tuple(tuple(map(float, row)) for row in content["shares"]),
                pairs=tuple(map(PairTable.from_json, content.get("pairs", ()))),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: the model part is damaged ({error!r})") from error
        lengths = {len(part.binnings), len(part.labels), len(part.weights), len(part.shares)}
        if len(lengths) > 1 or not np.isfinite(part.intercept):
            raise InputError(
                f"{where}: the model part is damaged (binnings, labels, weights and shares must be "
                "one a feature, the intercept a finite number)"
            )
        for binning, weights in zip(part.binnings, part.weights, strict=True):
            binning.check(where)
            if len(weights) != binning.bins or not np.isfinite(weights).all():
                raise InputError(
                    f"{where}: feature '{binning.feature}' has {len(weights)} weights for "
                    f"{binning.bins} bins, or one that is not finite"
                )
        binnings = {binning.feature: binning for binning in part.binnings}
        for pair in part.pairs:
            pair.check(binnings, where)
        return part
