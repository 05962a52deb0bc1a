"""The label party's role in one additive training: residuals out encrypted, partial scores in.

A round: (1) send the partners the quantised residuals, encrypted; each learns the sums over its
own bins; (2) take the sum of the partners' partial scores; (3) find the length of their step, fit
the own block and the intercept to it, locally; (4) judge on the validation fold, tell the partners.
docs/protocol.md lists the messages.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace

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
        mains: of a fit with pairs, the fit of the main terms that it stands on.
    """

    weights: Vector
    rounds: tuple[Round, ...]
    best_round: int
    scores: Vector
    noise: LabelNoise | None
    drawn: DrawnNoise | None = field(default=None, repr=False)
    mains: LabelPartyFit | None = None


def train(
    labels: Vector,
    validation: npt.NDArray[np.bool_],
    own: Block,
    maps: Mapping[str, LabelSide | None],
    map_rows: Mapping[str, int],
    settings: AdditiveSettings,
    features: int,
    run: str,
    rounding: RoundingDraws | None = None,
    name: str | None = None,
    drawn: DrawnNoise | None = None,
    mains: LabelPartyFit | None = None,
) -> Generator[Step, object, LabelPartyFit]:
    """One training, of the main terms or of the pairs on top of them.

    Args:
        labels: 1 for default, 0 for none, of the borrowers of the fit.
        validation: which of them judge the penalty before they join the training.
        own: the own block over them; its first term is the intercept. With pairs, the main terms
            come first, as they were.
        maps: a ready private linear map with each feature party; with pairs, None of one that has
            no pair, and whose step is nothing.
        map_rows: how many rows each partner's matrix has.
        settings: what all parties agreed on.
        features: features (and pairs) of all parties together, for the label noise.
        run: the run's name in the ledger.
        rounding: draws for the rounding of residuals.
        name: of a fallback; None: the training's own.
        drawn: the noise of an earlier fit of the same labels over the same bins, which serves this
            one too: all that follows from one noisy label sum is one release.
        mains: the fit of the main terms, for the pairs. It entered what both release, its penalty
            holds, and its weights stay as they are but for the own ones.
    """
    name = name or settings.name
    noise = LabelNoise.for_settings(settings, features)
    if drawn is None and mains is None:
        yield Release(_release(noise, run, name, tuple(maps), settings.pairs))
    if drawn is None and noise is not None:
        partners = {p: noise.draw(map_rows[p]) for p, side in maps.items() if side is not None}
        known = mains.drawn.own if mains and mains.drawn else np.zeros(0, dtype=np.int64)
        more = noise.draw(own.size - known.size)
        drawn = DrawnNoise(np.concatenate([known, more]), partners)
    before, start = 0, TrainingState(np.zeros(own.size), np.zeros(len(labels)))
    if mains is not None:
        before = mains.rounds[-1].number
        settings = replace(settings, penalty_path=(mains.rounds[-1].ridge / settings.ridge,))
        weights = np.concatenate([mains.weights, np.zeros(own.size - mains.weights.size)])
        start = TrainingState(weights, mains.scores - own.scores(weights))
    training = LabelPartyTraining(
        labels,
        validation,
        own,
        settings,
        noise,
        len(maps),
        rounding,
        drawn.own if drawn else None,
        before,
    )

    schedule = training.schedule
    state = training.fit_own(start, 3 * OWN_STEPS)
    kept: dict[int, TrainingState] = {}
    while True:
        number = schedule.next_round
        scores = training.scores(state)
        vector, scale = training.residual_vector(scores)
        public = training.public_numbers(scores, int(vector.sum()), scale)
        asked = {party: side for party, side in maps.items() if side is not None}
        for party, side in asked.items():
            yield Send(party, "query", side.query(vector))
        for party, side in asked.items():
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
                (*(mains.rounds if mains else ()), *schedule.rounds),
                decision.from_round,
                training.scores(state),
                noise,
                drawn,
                mains,
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
    noise: LabelNoise | None, run: str, name: str, parties: tuple[str, ...], pairs: int
) -> Expenditure:
    to = ", ".join(parties)
    over = "bins and pairs of features" if pairs else "bins"
    if noise is None:
        what = f"exact residual sums of every round over their own {over}, to {to}"
        return Expenditure(Exact(), Unit.LABEL, run, f"training '{name}': {what}")
    what = (
        f"label sums over their own {over} with discrete Gaussian noise "
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
