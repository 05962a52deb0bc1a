"""What is asked of the scoring desk and what it answers, whatever the wire: gRPC, REST, a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from federation.scoring import ServedModel, ServedVariant

FeatureValue = float | str | None  # None: missing


class Absence(StrEnum):
    """Why a feature party's points are not in a score."""

    NOT_KNOWN_THERE = "not known there"  # no failure: the party does not know the borrower
    SILENT = "silent"
    REFUSED = "refused"
    CIRCUIT_OPEN = "circuit open"

    @property
    def degrades(self) -> bool:
        """Whether the party should have answered."""
        return self is not Absence.NOT_KNOWN_THERE


@dataclass(frozen=True)
class ScoreQuery:
    """One borrower to score.

    Attributes:
        borrower: the id as the bank writes it.
        features: the label party's own, by name; None is missing.
        model: a registry's name, or empty for what is in production.
    """

    borrower: str
    features: Mapping[str, FeatureValue]
    model: str = ""


@dataclass(frozen=True)
class ScoreAnswer:
    """A score and where it comes from.

    Attributes:
        model: the registry's name of the model that answered; `digest`, of the served model.
        role: 'champion' or 'challenger'.
        variant: that answered.
        points: all parts' points together.
        score: as callers read it.
        probability: calibrated, of default.
        absent: feature parties of the model whose points are not in it, and why.
    """

    model: str
    digest: str
    role: str
    variant: ServedVariant
    points: int
    score: int
    probability: float
    absent: Mapping[str, Absence] = field(default_factory=dict)

    @property
    def degraded(self) -> bool:
        """Whether a party that should have answered did not."""
        return any(reason.degrades for reason in self.absent.values())


@dataclass(frozen=True)
class BatchAnswer:
    """Scores of many borrowers under one model.

    Attributes:
        model, digest: as in `ScoreAnswer`.
        variants: those that answered; `variant` (n,) holds places in it.
        points, scores, probabilities: (n,).
        absent: feature parties that failed for the whole batch.
    """

    model: str
    digest: str
    variants: tuple[ServedVariant, ...]
    variant: npt.NDArray[np.uint8]
    points: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float64]
    absent: Mapping[str, Absence] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathered:
    """What the feature parties answered about some borrowers.

    Attributes:
        variants: the variants that borrowers are scored with; `variant` (n,) holds places in it.
        points: (n,) the sum of those variants' feature parties' points; 0 for the label party
            alone.
        failed: feature parties that failed for all borrowers.
        unknown: per feature party, which borrowers it does not know (n,).
    """

    variants: tuple[ServedVariant, ...]
    variant: npt.NDArray[np.uint8]
    points: npt.NDArray[np.int64]
    failed: Mapping[str, Absence] = field(default_factory=dict)
    unknown: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class GivenReason:
    """What weighed against a borrower: who says so, its public label, points lost to the mean."""

    party: str
    label: str
    points: int


class Contributors(Protocol):
    """Asks the feature parties of one served model."""

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """Their points for borrowers (normalised ids), always within so many seconds.

        Never raises for a party's failure: a fallback answers, and `failed` says who was silent.
        """
        ...

    async def reasons(
        self, borrower: str, variant: ServedVariant, most: int, seconds: float
    ) -> Mapping[str, list[GivenReason] | None]:
        """Per feature party of the variant its reasons, heaviest first; None: it gives none."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A verified served model, ready to answer.

    Attributes:
        name: in the registry; `stage` there ('staging', 'production', 'archived').
        served: the model.
        contributors: asks its feature parties.
    """

    name: str
    stage: str
    served: ServedModel
    digest: str
    contributors: Contributors


@dataclass(frozen=True)
class Route:
    """Which model answers a query: the champion, or a challenger by its share of the traffic.

    Attributes:
        shadows: models that score it too, for comparison; their scores are never told.
    """

    model: LoadedModel
    role: str
    shadows: tuple[LoadedModel, ...] = ()


class ModelSource(Protocol):
    """Where loaded models come from; what it returns stays usable until the answer is made."""

    def route(self, borrower: str, asked: str) -> Route:
        """The models for a borrower (normalised id); `asked` by name, or empty.

        Raises:
            InputError: no model goes by that name, or none is in production.
        """
        ...

    def champion(self, asked: str) -> LoadedModel:
        """The model for what is about no single borrower; `asked` as for `route`.

        Raises:
            InputError: as `route`.
        """
        ...
