"""A model part: what one party holds of a trained additive model. No party holds all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.binning import Binning
from federation.errors import InputError
from federation.record_chain import canonical_json
from federation.schema import FeatureColumn, FeatureKind

FORMAT = "veilscore additive model part 1"


@dataclass(frozen=True)
class ShapeFunction:
    """What one feature adds to the log-odds of default, bin by bin; for its owner to read."""

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
    """

    party: str
    session: str
    training: str
    intercept: float
    binnings: tuple[Binning, ...]
    labels: tuple[str | None, ...]
    weights: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]

    def partial_scores(self, columns: Sequence[FeatureColumn]) -> npt.NDArray[np.float64]:
        """This part's log-odds of each borrower (n,), the intercept included.

        Raises:
            InputError: a feature of the part is not among the columns.
        """
        by_name = {column.spec.name: column for column in columns}
        count = len(columns[0].present) if columns else 0
        total = np.full(count, self.intercept)
        for binning, weights in zip(self.binnings, self.weights, strict=True):
            column = by_name.get(binning.feature)
            if column is None:
                raise InputError(
                    f"the model part of {self.party} needs the feature '{binning.feature}', which "
                    f"its table does not have; it has: {', '.join(sorted(by_name))}"
                )
            total += np.array(weights)[binning.assign(column)]
        return total

    def shape_functions(self) -> list[ShapeFunction]:
        """Every feature's shape, most important first."""
        shapes = [
            ShapeFunction(binning.feature, label, tuple(binning.bin_labels()), weights, shares)
            for binning, label, weights, shares in zip(
                self.binnings, self.labels, self.weights, self.shares, strict=True
            )
        ]
        return sorted(shapes, key=lambda shape: -shape.importance)

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT} | asdict(self))

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
        if content.get("format") != FORMAT:
            raise InputError(f"{where}: not an additive model part; its format must be '{FORMAT}'")
        try:
            part = cls(
                party=str(content["party"]),
                session=str(content["session"]),
                training=str(content["training"]),
                intercept=float(content["intercept"]),
                binnings=tuple(_binning(values) for values in content["binnings"]),
                labels=tuple(content["labels"]),
                weights=tuple(tuple(map(float, row)) for row in content["weights"]),
                shares=tuple(tuple(map(float, row)) for row in content["shares"]),
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
            places = (binning.other, binning.missing, binning.absent)
            own = max(binning.ordered_bins, len(binning.categories), 1)
            if not 1 <= own <= binning.bins or not all(0 <= p < binning.bins for p in places):
                raise InputError(
                    f"{where}: feature '{binning.feature}' has values in bins beyond its "
                    f"{binning.bins}"
                )
            if len(weights) != binning.bins or not np.isfinite(weights).all():
                raise InputError(
                    f"{where}: feature '{binning.feature}' has {len(weights)} weights for "
                    f"{binning.bins} bins, or one that is not finite"
                )
        return part


def _binning(values: Mapping[str, Any]) -> Binning:
    content = dict(values)
    return Binning(
        feature=str(content["feature"]),
        kind=FeatureKind(content["kind"]),
        edges=tuple(map(float, content["edges"])),
        categories=tuple(map(str, content["categories"])),
        other=int(content["other"]),
        missing=int(content["missing"]),
        absent=int(content["absent"]),
        bins=int(content["bins"]),
    )
