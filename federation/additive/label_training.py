"""The label party's numbers in one additive training: residuals, own block, step, judgement.

No message is made here; `label_party` moves these numbers between the parties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block
from federation.additive.label_noise import LabelNoise, noise_stretch
from federation.additive.logistic import log_losses, sigmoid
from federation.additive.schedule import Decision, Schedule
from federation.additive.settings import AdditiveSettings
from federation.additive.step_length import line_search, loss_change
from federation.metrics import auc
from federation.proto.session_pb2 import Sums
from federation.quantisation import RESIDUAL_SCALE, RoundingDraws, stochastic_round

Vector = npt.NDArray[np.float64]
OWN_STEPS = 4  # Newton steps of the own block a round; they cost no exchange


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands: own weights and the partners' summed partial scores."""

    weights: Vector
    partial: Vector


class LabelPartyTraining:
    """The label party's numbers in one training; the role below moves them."""

    def __init__(
        self,
        labels: Vector,
        validation: npt.NDArray[np.bool_],
        own: Block,
        settings: AdditiveSettings,
        noise: LabelNoise | None,
        partners: int = 1,
        rounding: RoundingDraws | None = None,
        own_noise: npt.NDArray[np.int64] | None = None,
        before: int = 0,
    ) -> None:
        self.labels, self.own, self.noise = labels, own, noise
        self.rounding = rounding or RoundingDraws()
        self.validation = validation if noise is None else np.zeros_like(validation)
        self.class_weights = _class_weights(labels, settings.class_weight)
        judges = int(self.validation.sum())
        self.schedule = Schedule(settings, noise is not None, judges, partners, before)
        drawn = np.zeros(own.size, dtype=np.int64)
        if noise is not None:
            drawn = noise.draw(own.size) if own_noise is None else own_noise.copy()
        # Nobody's label moves the total out of what is possible; clipping keeps the odds finite.
        drawn[0] = _clip_total(int(drawn[0]), labels)
        self.own_noise = drawn

    @property
    def fold_weights(self) -> Vector:
        """t: class weights of the borrowers that train now, 0 for the others."""
        if self.schedule.polishing:
            return self.class_weights
        return np.where(self.validation, 0.0, self.class_weights)

    @property
    def stretch(self) -> Vector | None:
        """How much tighter the own bins are held because of the noise."""
        if self.noise is None:
            return None
        total = _noisy_sums(np.array([self.labels.sum()]), self.own_noise[:1])[0]
        return noise_stretch(
            self.own.counts,
            np.full(self.own.size, self.noise.residual_sigma**2),
            float(total / len(self.labels)),
        )

    def fit_own(self, state: TrainingState, steps: int) -> TrainingState:
        """Newton steps of the own block on top of the partners' partial scores."""
        weights = self.fold_weights
        sums = _noisy_sums(self.own.sums(weights * self.labels), self.own_noise)
        penalty = self.own.penalty(*self.schedule.strengths, stretch=self.stretch)
        fitted = self.own.fit(sums, state.partial, weights, penalty, state.weights, steps)
        return TrainingState(fitted, state.partial)

    def scores(self, state: TrainingState) -> Vector:
        """Log-odds of all borrowers of the fit."""
        return self.own.scores(state.weights) + state.partial

    def residual_vector(self, scores: Vector) -> tuple[npt.NDArray[np.int64], float]:
        """Residuals as integers in ±RESIDUAL_SCALE, and how many integers make a unit.

        Labels enter exactly and probabilities by stochastic rounding, so that a flipped label
        changes a borrower's entry by exactly one unit, whatever the rounding.
        """
        weights = self.fold_weights
        scale = RESIDUAL_SCALE / float(self.class_weights.max())
        draws = self.rounding.of_round(self.schedule.next_round, len(scores))
        expected = stochastic_round(scale * weights * sigmoid(scores), draws)
        observed = np.rint(scale * weights * self.labels).astype(np.int64)
        return np.clip(observed - expected, -RESIDUAL_SCALE, RESIDUAL_SCALE), scale

    def public_numbers(self, scores: Vector, vector_total: int, scale: float) -> Sums:
        """What a round's sums say beside the sums themselves."""
        weights = self.fold_weights
        probability = sigmoid(scores)
        bend = probability * (1 - probability)
        inside = weights > 0
        smoothness, ridge = self.schedule.strengths
        return Sums(
            total=vector_total + int(self.own_noise[0]),
            scale=scale,
            base_rate=float(np.clip(probability[inside].mean(), 1e-6, 1 - 1e-6)),
            curvature=float((weights * bend)[inside].sum() / max(bend[inside].sum(), 1e-12)),
            fold_share=float(inside.mean()),
            smoothness=smoothness,
            ridge=ridge,
            noise_sigma=self.noise.residual_sigma if self.noise else 0.0,
        )

    def move(self, state: TrainingState, stepped: Vector, slope: float, curvature: float) -> Moved:
        """Go along the partners' step while the penalised loss falls, then fit the own block."""
        scores, direction = self.scores(state), stepped - state.partial
        fold = self.fold_weights
        length = line_search(slope, curvature, scores, direction, fold)
        change = loss_change(slope, curvature, scores, direction, fold, length)
        partial = state.partial + length * direction
        state = self.fit_own(TrainingState(state.weights, partial), OWN_STEPS)
        return Moved(state, length, -change / float(fold.sum()))

    def judge(self, moved: Moved) -> Decision:
        """The schedule's decision on a round."""
        scores, fold = self.scores(moved.state), self.fold_weights
        losses = log_losses(self.labels, scores)
        held_out = self.validation & (fold == 0)
        labels = self.labels[held_out]
        both = labels.size > 0 and labels.min() < labels.max()
        return self.schedule.judge(
            training_loss=float((fold * losses).sum() / fold.sum()),
            validation_losses=losses[held_out],
            validation_auc=float(auc(labels, scores[held_out])) if both else float("nan"),
            step=moved.length,
            fell_by=moved.fell_by,
        )


@dataclass(frozen=True)
class Moved:
    """A state after a round, the length of the partners' step, and what it took off the loss."""

    state: TrainingState
    length: float
    fell_by: float


def _noisy_sums(sums: Vector, noise: npt.NDArray[np.int64]) -> Vector:
    """Label sums plus noise in integers of RESIDUAL_SCALE, as real numbers.

    Sum and noise are added while both are whole: added as rounded fractions, the last bits of the
    result would tell the one from the other.
    """
    noisy: Vector = (RESIDUAL_SCALE * sums + noise) / RESIDUAL_SCALE
    return noisy


def _clip_total(noise: int, labels: Vector) -> int:
    """Noise on the number of defaults such that 0.1% to 99.9% of the borrowers default.

    In integers, so that the noisy number's limits are the same whatever the labels are.
    """
    everybody, defaults = len(labels) * RESIDUAL_SCALE, int(labels.sum()) * RESIDUAL_SCALE
    low, high = -(-everybody // 1000), everybody - -(-everybody // 1000)
    return min(max(noise, low - defaults), high - defaults)


def _class_weights(labels: Vector, kind: str) -> Vector:
    """Mean 1; under 'balanced' both classes weigh the same in all."""
    if kind == "none":
        return np.ones(len(labels))
    share = float(labels.mean())
    return np.where(labels > 0, 0.5 / share, 0.5 / (1 - share))
