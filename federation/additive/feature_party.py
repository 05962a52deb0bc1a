"""A feature party's role in one additive training: sums over its own bins in, partial scores out.

The step. From the residual sums g = Xᵀ(t·(y - p)) the party forms a convex problem of its own whose
gradient at the current weights is exactly the joint one: it predicts with its own scores alone,
centred on the base rate, q = σ(b + X·w), and takes s = g + f·Xᵀq as if they were label sums. A few
local Newton steps on that problem follow the curvature of the loss further than one step with a
constant could, at the price of the same single exchange; the label party then finds the length of
the step. A majorise-minimise idea (Hunter & Lange 2004) with a line search instead of the bound.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block, Codes
from federation.additive.label_noise import noise_stretch
from federation.additive.logistic import sigmoid
from federation.additive.terms import Penalty
from federation.errors import ProtocolError
from federation.linear_maps.interface import FeatureSide
from federation.masking import PairwiseMasks, to_fixed_point, to_wide_fixed_point
from federation.proto.session_pb2 import PartialScores, Query, Sums, Verdict
from federation.session.machine import Progress, Send, Step, expect
from federation.session.wire import pack_array

Vector = npt.NDArray[np.float64]
SURROGATE_STEPS = 3


@dataclass(frozen=True)
class FeaturePartyFit:
    """What a feature party holds after a training: its own weights and how they came about."""

    weights: Vector
    rounds: int
    best_round: int


@dataclass(frozen=True)
class MainScores:
    """What pairs stand on: the own main terms' scores of the borrowers of the fit, and rounds."""

    scores: Vector
    rounds: int


def train(
    own: Block,
    omitted: Codes,
    side: FeatureSide | None,
    masks: PairwiseMasks,
    label_party: str,
    name: str,
    max_rounds: int = 100,
    mains: MainScores | None = None,
) -> Generator[Step, object, FeaturePartyFit]:
    """One training, of the main terms or of the pairs on top of them.

    Args:
        own: the own block over the borrowers of the fit.
        omitted: each term's bin that has no row in D.
        side: the ready private linear map; None where the block has no term: its step is nothing.
        masks: agreed with the other feature parties; none of them, no mask.
        label_party: its name.
        name: the training's name, unique in the session (masks are bound to it).
        max_rounds: most rounds that the plan allows; every round tells the label party one more
            number a borrower, so this party holds it to that.
        mains: of the pairs, what they stand on.
    """
    mains = mains or MainScores(np.zeros(own.borrowers), 0)
    weights = np.zeros(own.size)
    kept: dict[int, Vector] = {}
    number = mains.rounds
    while True:
        number += 1
        step = _LocalStep(weights, 0.0, 0.0)
        if side is not None:
            query = yield from expect(label_party, Query)
            yield Send(label_party, "answer", side.answer(query))
            sums = yield from expect(label_party, Sums)
            _check_sums(sums)
            step = _local_step(own, omitted, weights, side.reveal(sums), sums, mains.scores)
        direction = step.weights - weights
        body = _partial_scores(mains.scores + own.scores(step.weights), masks, name, number, "fit")
        along = to_wide_fixed_point(np.array([step.slope, step.curvature]))
        along += masks.mask(2, f"{name}/fit/{number}/along")
        body.slope, body.curvature = map(int, along)
        yield Send(label_party, "partial_scores", body)

        verdict = yield from expect(label_party, Verdict)
        if verdict.round != number or not 0 <= verdict.step <= 2:
            raise ProtocolError(
                f"a verdict on round {verdict.round} with step {verdict.step} came; one on round "
                f"{number} with a step from 0 to 2 is right"
            )
        kept[number] = weights + verdict.step * direction
        if number - mains.rounds >= max_rounds and not verdict.stop:
            raise ProtocolError(
                f"round {number} of training '{name}' is the last that the plan allows, but the "
                "verdict asks for another one"
            )
        if verdict.best_round not in kept:
            raise ProtocolError(f"the verdict names round {verdict.best_round} of {number}")
        weights = kept[verdict.best_round]
        yield Progress(f"training '{name}'", 0.0, f"round {number}")
        if verdict.stop:
            return FeaturePartyFit(weights, number, verdict.best_round)


def send_partial_scores(
    scores: Vector, masks: PairwiseMasks, label_party: str, name: str, part: str
) -> Send:
    """Partial scores of a finished model, in fixed point, masked against the other partners."""
    return Send(label_party, "partial_scores", _partial_scores(scores, masks, name, 0, part))


@dataclass(frozen=True)
class _LocalStep:
    """Where a step of length 1 leads, and how the penalised loss bends along it."""

    weights: Vector
    slope: float
    curvature: float


def _local_step(
    own: Block,
    omitted: Codes,
    weights: Vector,
    revealed: npt.NDArray[np.int64],
    sums: Sums,
    mains: Vector,
) -> _LocalStep:
    gradient = own.complete(revealed / sums.scale, sums.total / sums.scale, omitted)
    penalty = own.penalty(sums.smoothness, sums.ridge, _stretch(own, omitted, sums))
    stepped = _surrogate_fit(own, weights, gradient, penalty, sums, mains)
    direction = stepped - weights
    slope = float(-gradient @ direction + weights @ penalty.times(direction))
    return _LocalStep(stepped, slope, penalty.along(direction))


def _surrogate_fit(
    own: Block, weights: Vector, gradient: Vector, penalty: Penalty, sums: Sums, mains: Vector
) -> Vector:
    scores = own.scores(weights)
    offset = mains + surrogate_offset(mains + scores, sums.base_rate)
    weight = sums.fold_share * sums.curvature
    label_sums = gradient + weight * own.sums(sigmoid(offset + scores))
    return own.fit(label_sums, offset, weight, penalty, weights, SURROGATE_STEPS)


def _stretch(own: Block, omitted: Codes, sums: Sums) -> Vector | None:
    """Tighter where the sums are noisier; an omitted bin's sum carries its whole term's noise."""
    if sums.noise_sigma == 0:
        return None
    variances = np.full(own.size, sums.noise_sigma**2)
    for index, term in enumerate(own.terms):
        variances[own.offsets[index] + int(omitted[index])] *= term.bins
    return noise_stretch(own.counts, variances, sums.base_rate)


def _partial_scores(
    values: Vector, masks: PairwiseMasks, name: str, number: int, part: str
) -> PartialScores:
    words = to_fixed_point(values, masks.parties)
    words += masks.short_mask(len(values), f"{name}/{part}/{number}")
    return PartialScores(round=number, part=part, values=pack_array(words, "<u4"))


def _check_sums(sums: Sums) -> None:
    """Refuse numbers that no honest label party sends."""
    in_range = {
        "scale": 0 < sums.scale <= 1e9,
        "base_rate": 0 < sums.base_rate < 1,
        "curvature": 0 < sums.curvature <= 1e6,
        "fold_share": 0 < sums.fold_share <= 1,
        "smoothness": 0 <= sums.smoothness <= 1e12,
        "ridge": 0 < sums.ridge <= 1e12,
        "noise_sigma": 0 <= sums.noise_sigma <= 1e12,
    }
    for name, holds in in_range.items():
        if not holds:
            raise ProtocolError(f"sums came with {name} {getattr(sums, name)}, out of its range")


def surrogate_offset(scores: Vector, base_rate: float) -> float:
    """The intercept at which a party's own scores alone give this mean probability."""
    offset = float(np.log(base_rate / (1 - base_rate)) - scores.mean())
    for _ in range(30):
        probability = sigmoid(offset + scores)
        change = (float(probability.mean()) - base_rate) / max(
            float((probability * (1 - probability)).mean()), 1e-6
        )
        offset -= min(max(change, -2.0), 2.0)
        if abs(change) < 1e-9:
            break
    return offset
