"""What a report shows: plain frozen values, filled in by whoever ran the training.

Every text here is shown as it is, as text: markup in it is escaped. An ε exists only as a
`PrivacySpend`, which carries its unit of privacy and its history, so that it cannot be shown
without them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

import numpy.typing as npt

from federation.errors import InputError
from federation.metrics import (
    Calibration,
    Estimate,
    KsCurve,
    Lift,
    MetricEstimates,
    RocCurve,
    ScoreDistribution,
    Stability,
    calibration,
    ks_curve,
    lift,
    roc_curve,
    score_distribution,
)
from federation.report.giveaway import TrainingGiveaway
from federation.report.roles import ModelRole as ModelRole

# Vertices a drawn curve keeps; more cannot be seen at the report's size.
_DRAWN_POINTS = 240


@dataclass(frozen=True)
class PrivacySpend:
    """An ε with all that gives it a meaning.

    Attributes:
        epsilon, delta: the differential-privacy guarantee.
        unit: whose data is protected, e.g. "one borrower's label".
        history: which releases are accounted for, e.g. "this run only".
    """

    epsilon: float
    delta: float
    unit: str
    history: str

    def __post_init__(self) -> None:
        """Refuse an ε that lacks its unit of privacy or its history, or is not a number."""
        if not (0 <= self.epsilon < math.inf and 0 <= self.delta < 1):
            raise InputError(
                f"report: ε = {self.epsilon:g} with δ = {self.delta:g} is no guarantee; "
                "ε must be finite and not negative, δ at least 0 and below 1"
            )
        if not self.unit.strip() or not self.history.strip():
            raise InputError(
                f"report: ε = {self.epsilon:g} has no unit of privacy or no history; "
                "name whose data is protected and over which releases"
            )

    def __str__(self) -> str:
        """One phrase: ε, δ, unit of privacy, history."""
        # Rounded up: a shown guarantee is never stronger than the true one.
        epsilon = math.ceil(self.epsilon * 100 - 1e-9) / 100
        delta = re.sub(r"e-0+", "e-", f"{self.delta:g}")
        return f"ε = {epsilon} (δ = {delta}), unit of privacy: {self.unit}; {self.history}"


@dataclass(frozen=True)
class ModelRow:
    """One line of the headline table.

    Attributes:
        name: the model's name, e.g. "Bank alone".
        role: what it stands for.
        metrics: test metrics with 95% intervals.
        note: a few words under the name.
        auc_gain: paired difference of AUC to the label party alone, if measured.
        privacy: the label noise's guarantee, if any.
    """

    name: str
    role: ModelRole
    metrics: MetricEstimates
    note: str = ""
    auc_gain: Estimate | None = None
    privacy: PrivacySpend | None = None


@dataclass(frozen=True, eq=False)
class ModelCurves:
    """A model's curves on the test borrowers; drawn in the colour of its role."""

    name: str
    role: ModelRole
    roc: RocCurve
    ks: KsCurve
    calibration: Calibration
    lift: Lift
    distribution: ScoreDistribution


def model_curves(
    name: str, role: ModelRole, labels: npt.ArrayLike, scores: npt.ArrayLike
) -> ModelCurves:
    """All curves of a model from test labels (0 or 1) and its probabilities of default.

    Raises:
        InputError: labels or scores are unusable.
    """
    return ModelCurves(
        name,
        role,
        roc_curve(labels, scores, _DRAWN_POINTS),
        ks_curve(labels, scores, _DRAWN_POINTS),
        calibration(labels, scores),
        lift(labels, scores),
        score_distribution(labels, scores),
    )


def feature_label(public_label: str | None, number: int, party: str) -> str:
    """What a report calls a feature: the owner's public label, else 'feature 3 of platform'."""
    return public_label if public_label else f"feature {number} of {party}"


@dataclass(frozen=True)
class FeatureImportance:
    """A feature under its public name, and how much it moves the score (see `ReportInput`)."""

    feature: str
    importance: float


@dataclass(frozen=True)
class PartyImportance:
    """The features of one party, in any order; they are shown by falling importance."""

    party: str
    features: tuple[FeatureImportance, ...]


@dataclass(frozen=True)
class ShapeFunction:
    """One feature's part of the log-odds, for a feature of the report's own reader.

    Attributes:
        feature, unit: its name and the unit of its values.
        edges: inner borders of the ordered bins, ascending; empty for a categorical feature.
        contributions: log-odds of the ordered bins, one more than borders (empty: none).
        others: bins without order: (name, log-odds) of categories, missing and absent.
    """

    feature: str
    unit: str
    edges: tuple[float, ...] = ()
    contributions: tuple[float, ...] = ()
    others: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Check that borders and contributions fit."""
        if self.contributions and len(self.contributions) != len(self.edges) + 1:
            raise InputError(
                f"report: shape of '{self.feature}' has {len(self.edges)} borders and "
                f"{len(self.contributions)} contributions; there must be one more of the latter"
            )


@dataclass(frozen=True)
class DisclosedMessages:
    """Messages of one kind that left a party for one recipient, counted."""

    kind: str
    messages: int
    size_bytes: int
    recipient: str


@dataclass(frozen=True)
class PartyDisclosure:
    """What one party sent, and in plain sentences what it came to know.

    Attributes:
        party: its name.
        part: its part in the session, e.g. "label party" or "feature party".
        sent: what left it, from its disclosure log.
        learned: what the protocol told it about the others' data.
        could_reconstruct: what it could work out from that, beyond what it was told.
        never_saw: what stayed hidden from it.
    """

    party: str
    part: str
    sent: tuple[DisclosedMessages, ...]
    learned: tuple[str, ...]
    could_reconstruct: tuple[str, ...] = ()
    never_saw: tuple[str, ...] = ()


@dataclass(frozen=True)
class LedgerLine:
    """One entry of a party's privacy ledger; `privacy` is None where no ε follows from it."""

    party: str
    recorded: datetime
    entry: str
    privacy: PrivacySpend | None = None


@dataclass(frozen=True)
class RoundPoint:
    """The model after one training round; round 0 is the state before the first.

    A figure is None where it does not exist: no validation AUC once the validation borrowers train
    along, and neither of the two under label noise, which does not cover them. Of trees a round is
    one tree.
    """

    round: int
    validation_auc: float | None
    train_loss: float | None = None
    validation_loss: float | None = None


@dataclass(frozen=True)
class TrainingCourse:
    """How one training went on, beside the federated one that leads the report.

    Attributes:
        name: of the training.
        step: what its rounds are: "round" or "tree".
        rounds: in order.
        note: a sentence under the figure.
    """

    name: str
    step: str
    rounds: tuple[RoundPoint, ...]
    note: str = ""


@dataclass(frozen=True)
class StageSeconds:
    """Wall-clock seconds of one stage of the run."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class PartyProcess:
    """The operating-system process in which a party ran."""

    party: str
    process_id: int


@dataclass(frozen=True)
class ReportInput:
    """Everything a report shows.

    Attributes:
        title, run_id: name of the report and of the run.
        created: when the run ended, UTC and aware.
        data_note: where the data comes from, e.g. "Real data: UCI …".
        simulated: True marks the report as SIMULATED at its head and in print.
        training_borrowers, test_borrowers: aligned borrowers in each part of the fixed split.
        test_default_rate: share of the test borrowers that defaulted.
        models: rows of the headline table; a federated one leads the summary.
        curves: models to draw; distribution, calibration and lift table show the first.
        importance: features by party.
        importance_measure: what an importance number is, in words.
        direction: who learned the result of each private linear map, in a sentence.
        disclosures: per party, what it sent and learned.
        ledger: privacy ledger lines.
        rounds: convergence of the federated model that leads.
        step: what its rounds are: "round" or "tree".
        courses: of further trainings.
        giveaways: what each training gave away, one row each.
        label_party: its name, for them.
        stages: seconds by stage.
        transport: how messages travelled, in words.
        processes: the process of each party.
        stability: population stability of the federated score, training to test.
        shapes: shape functions of the reader's own features; never those of another party.
    """

    title: str
    run_id: str
    created: datetime
    data_note: str
    simulated: bool
    training_borrowers: int
    test_borrowers: int
    test_default_rate: float
    models: tuple[ModelRow, ...]
    curves: tuple[ModelCurves, ...]
    importance: tuple[PartyImportance, ...]
    importance_measure: str
    direction: str
    disclosures: tuple[PartyDisclosure, ...]
    ledger: tuple[LedgerLine, ...]
    rounds: tuple[RoundPoint, ...]
    stages: tuple[StageSeconds, ...]
    transport: str
    processes: tuple[PartyProcess, ...]
    stability: Stability | None = None
    shapes: tuple[ShapeFunction, ...] = ()
    step: str = "round"
    courses: tuple[TrainingCourse, ...] = ()
    giveaways: tuple[TrainingGiveaway, ...] = ()
    label_party: str = "The label party"

    def __post_init__(self) -> None:
        """Refuse a time without its zone: UTC is written beside it."""
        for moment in (self.created, *(line.recorded for line in self.ledger)):
            offset = moment.utcoffset()
            if offset is None or offset.total_seconds() != 0:
                raise InputError(f"report: time {moment.isoformat()} must be aware and in UTC")
