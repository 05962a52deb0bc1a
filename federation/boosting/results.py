"""What a boosted training leaves at the label party."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.boosting.model_part import BoostedPart
from federation.boosting.transcript import Transcript
from federation.split.label_privacy import privacy_record

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreeRound:
    """One tree's figures, as the label party sees them; a figure that does not exist is NaN.

    Attributes:
        number: of the tree, from 1.
        training_loss: mean log-loss of the borrowers that train.
        validation_auc, validation_log_loss: of those held out for early stopping.
        splits: of the tree, by the party whose they are; of a tree grown at its owner the label
            party knows no split.
    """

    number: int
    training_loss: float
    validation_auc: float
    validation_log_loss: float
    splits: Mapping[str, int]


@dataclass(frozen=True)
class Given:
    """What one partner gave away in a training.

    Attributes:
        answers: vectors whose sums it computed.
        sums: sums over bins that the label party opened.
        splits: of its features, whose bits were asked for.
        split_bits: bits of them, one a borrower of the fit.
        codes: bin codes that it sent, one a feature and borrower of the fit or the test.
        outputs: outputs of its own trees, one a borrower of the fit and tree (of two or more
            partners only the sum is seen).
        sums_learned: what it got: sums over its own bins, under the labels' randomised response.
    """

    answers: int
    sums: int
    splits: int
    split_bits: int
    codes: int = 0
    outputs: int = 0
    sums_learned: int = 0


@dataclass(frozen=True)
class BoostedLabelFit:
    """What the label party holds after a boosted training.

    Attributes:
        part: its trees and its own splits.
        rounds: every tree's figures.
        best_round: trees in the model.
        scores: log-odds of the borrowers of the fit.
        test_scores: log-odds of the test borrowers.
        given: what each partner gave away.
        transcripts: all that was learned of each partner's bins, for `veilscore leakage`.
        label_epsilon: ε of the labels' randomised response; None for true labels.
        seconds: of its stages, 'set-up' (bins and maps) and 'trees'.
    """

    part: BoostedPart
    rounds: tuple[TreeRound, ...]
    best_round: int
    scores: Vector
    test_scores: Vector
    given: Mapping[str, Given]
    transcripts: Mapping[str, Transcript] = field(default_factory=dict, repr=False)
    label_epsilon: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def label_privacy(self) -> dict[str, Any] | None:
        """How the labels were protected, for the run's record."""
        return privacy_record(self.label_epsilon)
