"""The label party's role in one additive training: residuals out encrypted, partial scores in.

A round: (1) send the partners the quantised residuals, encrypted; each learns the sums over its
own bins; (2) take the sum of the partners' partial scores; (3) find the length of their step, fit
the own block and the intercept to it, locally; (4) judge on the validation fold, tell the partners.
docs/protocol.md lists the messages.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from federation.additive.block import Block, line_search, loss_change
from federation.additive.label_noise import LabelNoise
from federation.additive.logistic import log_losses
from federation.additive.schedule import Decision, Round, Schedule
from federation.additive.settings import AdditiveSettings
from federation.errors import ProtocolError
from federation.linear_maps.interface import LabelSide
from federation.masking import from_fixed_point
from federation.metrics import auc
from federation.privacy.accountant import LabelRelease
from federation.proto.session_pb2 import Answer, PartialScores, Sums, Verdict
from federation.quantisation import RESIDUAL_SCALE, stochastic_round
from federation.session.machine import Progress, Release, Send, Step, expect
from federation.session.wire import unpack_array

Vector = npt.NDArray[np.float64]
OWN_STEPS = 4  # Newton steps of the own block a round; they cost no exchange
SLOPE_WORDS = 2  # slope and curvature behind the partial scores of a round


@dataclass(frozen=True)
class LabelPartyFit:
    """What the label party holds after a training.

    Attributes:
        weights: of its own block, intercept first.
        rounds: every round's figures.
        best_round: whose weights are the model.
        scores: log-odds of the borrowers of the fit.
        noise: the label noise that was used, if any.
    """

    weights: Vector
    rounds: tuple[Round, ...]
    best_round: int
    scores: Vector
    noise: LabelNoise | None


@dataclass(frozen=True)
class _State:
    """Where a training stands: own weights and the partners' summed partial scores."""

    weights: Vector
    partial: Vector


class _LabelPartyTraining:
    """The label party's numbers in one training; the role below moves them."""

    def __init__(
        self,
        labels: Vector,
        validation: npt.NDArray[np.bool_],
        own: Block,
        settings: AdditiveSettings,
        noise: LabelNoise | None,
        partners: int = 1,
    ) -> None:
        self.labels, self.own, self.noise = labels, own, noise
        self.validation = validation if noise is None else np.zeros_like(validation)
        self.class_weights = _class_weights(labels, settings.class_weight)
        self.schedule = Schedule(settings, noise is not None, int(self.validation.sum()), partners)
        drawn = noise.draw(own.size) if noise else np.zeros(own.size, dtype=np.int64)
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

    def fit_own(self, state: _State, steps: int) -> _State:
        """Newton steps of the own block on top of the partners' partial scores."""
        weights = self.fold_weights
        sums = _noisy_sums(self.own.sums(weights * self.labels), self.own_noise)
        penalty = self.own.penalty(*self.schedule.strengths, stretch=self.stretch)
        fitted = self.own.fit(sums, state.partial, weights, penalty, state.weights, steps)
        return _State(fitted, state.partial)

    def scores(self, state: _State) -> Vector:
        """Log-odds of all borrowers of the fit."""
        return self.own.scores(state.weights) + state.partial

    def residual_vector(self, scores: Vector) -> tuple[npt.NDArray[np.int64], float]:
        """Residuals as integers in ±RESIDUAL_SCALE, and how many integers make a unit.

        Labels enter exactly and probabilities by stochastic rounding, so that a flipped label
        changes a borrower's entry by exactly one unit, whatever the rounding.
        """
        weights = self.fold_weights
        scale = RESIDUAL_SCALE / float(self.class_weights.max())
        expected = stochastic_round(scale * weights * expit(scores))
        observed = np.rint(scale * weights * self.labels).astype(np.int64)
        return np.clip(observed - expected, -RESIDUAL_SCALE, RESIDUAL_SCALE), scale

    def public_numbers(self, scores: Vector, vector_total: int, scale: float) -> Sums:
        """What a round's sums say beside the sums themselves."""
        weights = self.fold_weights
        probability = expit(scores)
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

    def move(self, state: _State, stepped: Vector, slope: float, curvature: float) -> _Moved:
        """Go along the partners' step while the penalised loss falls, then fit the own block."""
        scores, direction = self.scores(state), stepped - state.partial
        fold = self.fold_weights
        length = line_search(slope, curvature, scores, direction, fold)
        change = loss_change(slope, curvature, scores, direction, fold, length)
        partial = state.partial + length * direction
        state = self.fit_own(_State(state.weights, partial), OWN_STEPS)
        return _Moved(state, length, -change / float(fold.sum()))

    def judge(self, moved: _Moved) -> Decision:
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
class _Moved:
    """A state after a round, the length of the partners' step, and what it took off the loss."""

    state: _State
    length: float
    fell_by: float


def train(
    labels: Vector,
    validation: npt.NDArray[np.bool_],
    own: Block,
    maps: Mapping[str, LabelSide],
    map_rows: Mapping[str, int],
    settings: AdditiveSettings,
    features: int,
    run: str,
) -> Generator[Step, object, LabelPartyFit]:
    """One training.

    Args:
        labels: 1 for default, 0 for none, of the borrowers of the fit.
        validation: which of them judge the penalty before they join the training.
        own: the own block over them; its first term is the intercept.
        maps: a ready private linear map with each feature party.
        map_rows: how many rows each partner's matrix has.
        settings: what all parties agreed on.
        features: features of all parties together, for the label noise.
        run: the run's name in the ledger.
    """
    noise = LabelNoise.for_settings(settings, features)
    training = _LabelPartyTraining(labels, validation, own, settings, noise, len(maps))
    partner_noise = {p: noise.draw(map_rows[p]) if noise else None for p in maps}
    yield Release(_release(noise, run, settings, tuple(maps)))

    schedule = training.schedule
    state = training.fit_own(_State(np.zeros(own.size), np.zeros(len(labels))), 3 * OWN_STEPS)
    kept: dict[int, _State] = {}
    while True:
        number = len(schedule.rounds) + 1
        scores = training.scores(state)
        vector, scale = training.residual_vector(scores)
        public = training.public_numbers(scores, int(vector.sum()), scale)
        for party, side in maps.items():
            yield Send(party, "query", side.query(vector))
        for party, side in maps.items():
            answer = yield from expect(party, Answer)
            sums = side.decode(answer, partner_noise[party])
            sums.MergeFrom(public)
            yield Send(party, "sums", sums)
        words = yield from _summed_words(tuple(maps), number, "fit", len(labels) + SLOPE_WORDS)
        moved = training.move(state, words[:-SLOPE_WORDS], *map(float, words[-SLOPE_WORDS:]))
        kept[number] = moved.state
        decision = training.judge(moved)
        yield _progress(schedule, settings, noisy=noise is not None)
        for party in maps:
            verdict = Verdict(
                round=number,
                stop=decision.stop,
                best_round=decision.from_round,
                step=moved.length,
                reason=decision.reason,
            )
            yield Send(party, "verdict", verdict)
        state = kept[decision.from_round]
        if decision.stop:
            return LabelPartyFit(
                state.weights,
                tuple(schedule.rounds),
                decision.from_round,
                training.scores(state),
                noise,
            )


def receive_partial_scores(
    parties: tuple[str, ...], part: str, borrowers: int
) -> Generator[Step, object, Vector]:
    """The sum of all partners' partial scores of a finished model (borrowers,)."""
    return (yield from _summed_words(parties, 0, part, borrowers))


def noise_stretch(counts: Vector, variances: Vector, base_rate: float) -> Vector:
    """√(1 + noise variance / sampling variance) of every bin's label sum (bins,).

    A bin's sum varies by n_bin·p(1-p) from borrower to borrower; noise on top is worth so much less
    data, and the penalty is stretched as for so much less data.
    """
    rate = min(max(base_rate, 1e-3), 1 - 1e-3)
    sampling = np.maximum(counts, 1.0) * rate * (1 - rate)
    stretch: Vector = np.sqrt(1 + variances / sampling)
    return stretch


def _summed_words(
    parties: tuple[str, ...], number: int, part: str, count: int
) -> Generator[Step, object, Vector]:
    total = np.zeros(count, dtype=np.uint64)
    for party in parties:
        message = yield from expect(party, PartialScores)
        if message.round != number or message.part != part:
            raise ProtocolError(
                f"{party} sent partial scores of round {message.round}, part '{message.part}'; "
                f"round {number}, part '{part}' is right"
            )
        what = f"the partial scores of {party}"
        total += unpack_array(message.values, "<u8", (count,), what).astype(np.uint64)
    return from_fixed_point(total)


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


def _release(
    noise: LabelNoise | None, run: str, settings: AdditiveSettings, parties: tuple[str, ...]
) -> LabelRelease:
    to = ", ".join(parties)
    if noise is None:
        what = f"exact residual sums of every round over their own bins, to {to}"
        return LabelRelease(float("inf"), run, f"training '{settings.name}': {what}")
    what = (
        f"label sums over their own bins with discrete Gaussian noise "
        f"(σ = {noise.residual_sigma:.1f} labels a bin, drawn once for all rounds), to {to}"
    )
    return LabelRelease(noise.rho, run, f"training '{settings.name}': {what}")


def _progress(schedule: Schedule, settings: AdditiveSettings, noisy: bool) -> Progress:
    last = schedule.rounds[-1]
    words = f"round {last.number}"
    if not noisy:  # progress leaves the party, and label noise does not cover an exact loss
        words += f", training loss {last.training_loss:.4f}"
    if not np.isnan(last.validation_auc):
        words += f", validation AUC {last.validation_auc:.4f}"
    return Progress(f"training '{settings.name}'", last.number / settings.max_rounds, words)
