"""The label party's role in one additive training: residuals out encrypted, partial scores in.

A round: (1) send the partners the quantised residuals, encrypted; each learns the sums over its
own bins; (2) take the sum of the partners' partial scores; (3) find the length of their step, fit
the own block and the intercept to it, locally; (4) judge on the validation fold, tell the partners.
docs/protocol.md lists the messages.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block
from federation.additive.label_noise import DrawnNoise, LabelNoise
from federation.additive.label_training import OWN_STEPS, LabelPartyTraining, TrainingState
from federation.additive.schedule import Round, Schedule
from federation.additive.settings import AdditiveSettings
from federation.errors import ProtocolError
from federation.linear_maps.interface import LabelSide
from federation.masking import from_fixed_point, from_wide_fixed_point
from federation.privacy.events import Exact, GaussianRelease, Unit
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Answer, PartialScores, Verdict
from federation.quantisation import RoundingDraws
from federation.session.machine import Progress, Release, Send, Step, expect
from federation.session.wire import unpack_array

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelPartyFit:
    """What the label party holds after a training.

    Attributes:
        weights: of its own block, intercept first.
        rounds: every round's figures.
        best_round: whose weights are the model.
        scores: log-odds of the borrowers of the fit.
        noise: the label noise that was used, if any.
        drawn: its draws.
    """

    weights: Vector
    rounds: tuple[Round, ...]
    best_round: int
    scores: Vector
    noise: LabelNoise | None
    drawn: DrawnNoise | None = field(default=None, repr=False)


def train(
    labels: Vector,
    validation: npt.NDArray[np.bool_],
    own: Block,
    maps: Mapping[str, LabelSide],
    map_rows: Mapping[str, int],
    settings: AdditiveSettings,
    features: int,
    run: str,
    rounding: RoundingDraws | None = None,
    name: str | None = None,
    drawn: DrawnNoise | None = None,
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
        rounding: draws for the rounding of residuals.
        name: of a fallback; None: the training's own.
        drawn: the noise of an earlier fit of the same labels over the same bins, which serves this
            one too: all that follows from one noisy label sum is one release.
    """
    name = name or settings.name
    noise = LabelNoise.for_settings(settings, features)
    if drawn is None:
        yield Release(_release(noise, run, name, tuple(maps)))
        if noise is not None:
            partners = {p: noise.draw(map_rows[p]) for p in maps}
            drawn = DrawnNoise(noise.draw(own.size), partners)
    training = LabelPartyTraining(
        labels, validation, own, settings, noise, len(maps), rounding, drawn.own if drawn else None
    )

    schedule = training.schedule
    start = TrainingState(np.zeros(own.size), np.zeros(len(labels)))
    state = training.fit_own(start, 3 * OWN_STEPS)
    kept: dict[int, TrainingState] = {}
    while True:
        number = len(schedule.rounds) + 1
        scores = training.scores(state)
        vector, scale = training.residual_vector(scores)
        public = training.public_numbers(scores, int(vector.sum()), scale)
        for party, side in maps.items():
            yield Send(party, "query", side.query(vector))
        for party, side in maps.items():
            answer = yield from expect(party, Answer)
            sums = side.decode(answer, drawn.partners[party] if drawn else None)
            sums.MergeFrom(public)
            yield Send(party, "sums", sums)
        stepped, along = yield from _summed(tuple(maps), number, "fit", len(labels))
        moved = training.move(state, stepped, *map(float, along))
        kept[number] = moved.state
        decision = training.judge(moved)
        yield _progress(schedule, name, settings.max_rounds, noisy=noise is not None)
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
                drawn,
            )


def receive_partial_scores(
    parties: tuple[str, ...], part: str, borrowers: int
) -> Generator[Step, object, Vector]:
    """The sum of all partners' partial scores of a finished model (borrowers,)."""
    scores, _ = yield from _summed(parties, 0, part, borrowers)
    return scores


def _summed(
    parties: tuple[str, ...], number: int, part: str, count: int
) -> Generator[Step, object, tuple[Vector, Vector]]:
    """All partners' scores (count,), and slope and curvature along their step (2,)."""
    total, along = np.zeros(count, dtype=np.uint32), np.zeros(2, dtype=np.uint64)
    for party in parties:
        message = yield from expect(party, PartialScores)
        if message.round != number or message.part != part:
            raise ProtocolError(
                f"{party} sent partial scores of round {message.round}, part '{message.part}'; "
                f"round {number}, part '{part}' is right"
            )
        what = f"the partial scores of {party}"
        total += unpack_array(message.values, "<u4", (count,), what)
        along += np.array([message.slope, message.curvature], dtype=np.uint64)
    return from_fixed_point(total), from_wide_fixed_point(along)


def _release(
    noise: LabelNoise | None, run: str, name: str, parties: tuple[str, ...]
) -> Expenditure:
    to = ", ".join(parties)
    if noise is None:
        what = f"exact residual sums of every round over their own bins, to {to}"
        return Expenditure(Exact(), Unit.LABEL, run, f"training '{name}': {what}")
    what = (
        f"label sums over their own bins with discrete Gaussian noise "
        f"(σ = {noise.residual_sigma:.1f} labels a bin, drawn once for all rounds), to {to}"
    )
    event = GaussianRelease(noise.rho)
    return Expenditure(event, Unit.LABEL, run, f"training '{name}': {what}")


def _progress(schedule: Schedule, name: str, max_rounds: int, noisy: bool) -> Progress:
    last = schedule.rounds[-1]
    words = f"round {last.number}"
    if not noisy:  # progress leaves the party, and label noise does not cover an exact loss
        words += f", training loss {last.training_loss:.4f}"
    if not np.isnan(last.validation_auc):
        words += f", validation AUC {last.validation_auc:.4f}"
    return Progress(f"training '{name}'", last.number / max_rounds, words)
