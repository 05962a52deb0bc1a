"""The label party's role in a split training: embeddings in, gradients out.

An exchange: (1) take the sum of the partners' embeddings; (2) fit the own encoder and head to it,
locally; (3) decide what follows, tell the partners; (4) send them the gradient of the loss at the
embeddings. Under label-DP the labels are flipped once before (1), and the true ones of the fit are
not looked at again: whatever leaves is a function of the flipped ones. docs/protocol.md lists the
messages.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from federation.errors import InputError
from federation.metrics import auc
from federation.privacy.events import Event, Exact, RandomisedResponse, Unit
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Verdict
from federation.schema import FeatureColumn
from federation.session.machine import Progress, Release, Send, Step
from federation.split.embeddings import Matrix, receive_embeddings, send_gradients
from federation.split.encoder import Preparation, generator_for, load_weights
from federation.split.label_privacy import (
    corrected_rate,
    flip_probability,
    privacy_record,
    randomised_response,
)
from federation.split.networks import LabelNetwork, LabelSide, Weights, log_odds_of
from federation.split.part import NetworkPart, preparation_json, preparation_of
from federation.split.schedule import Exchange, SplitSchedule
from federation.split.settings import Sequences, SplitSettings

Vector = npt.NDArray[np.float64]
KIND = "split-label"


@dataclass(frozen=True)
class SplitLabelFit:
    """What the label party holds after a split training.

    Attributes:
        part: its encoder and the head.
        rounds: every exchange's figures.
        best_round: whose weights are the model.
        scores: log-odds of the borrowers of the fit.
        test_scores: log-odds of the test borrowers.
        label_epsilon: ε of the labels' randomised response; None for true labels.
    """

    part: NetworkPart
    rounds: tuple[Exchange, ...]
    best_round: int
    scores: Vector
    test_scores: Vector
    label_epsilon: float | None

    def label_privacy(self) -> dict[str, Any] | None:
        """How the labels were protected, for the run's record."""
        return privacy_record(self.label_epsilon)


def train(
    labels: Vector,
    validation: npt.NDArray[np.bool_],
    columns: Sequence[FeatureColumn],
    sequences: Sequences,
    fit: npt.NDArray[np.bool_],
    places: npt.NDArray[np.uint32],
    partners: tuple[str, ...],
    party: str,
    session: str,
    settings: SplitSettings,
    run: str,
) -> Generator[Step, object, SplitLabelFit]:
    """One training, the test borrowers' scores included.

    Args:
        labels: 1 for default, 0 for none, of the borrowers of the fit.
        validation: which of them judge the exchanges before they join.
        columns: the own ones, of all aligned borrowers; may be none.
        sequences: the own monthly sequences among them.
        fit: which aligned borrowers are of the fit; the others are test borrowers.
        places: every borrower's row in this party's table.
        partners: the feature parties.
        party, session: names.
        settings: what all parties agreed on.
        run: the run's name in the ledger.
    """
    yield Release(release(settings, run, partners))
    schedule = SplitSchedule(settings, validation)
    flips = 0.0
    if settings.label_epsilon is not None:
        flips = flip_probability(settings.label_epsilon)
        labels = randomised_response(labels, settings.label_epsilon)
    order = np.argsort(places[fit], kind="stable")
    preparation = None
    if columns:
        preparation = Preparation.of(columns, sequences, np.flatnonzero(fit)[order])
    network = LabelNetwork(preparation.schema if preparation else None, settings)
    inputs = preparation.inputs(columns) if preparation else None
    side = LabelSide(
        network,
        settings,
        order,
        generator_for(settings.seed, party),
        labels,
        flips,
        corrected_rate(labels[schedule.rows], settings.label_epsilon),
        inputs.rows(torch.from_numpy(fit)) if inputs else None,
    )
    kept: dict[int, tuple[Weights, Matrix]] = {}
    number = 0
    while True:
        number += 1
        embeddings = yield from receive_embeddings(
            partners, "fit", number, len(labels), settings.embedding
        )
        loss = side.fit(embeddings, schedule.rows, number)
        kept[number] = (side.weights, embeddings)
        judging = validation & ~schedule.rows  # none once they train too, or under label-DP
        judged = _figures(number, loss, labels, judging, side, embeddings)
        decision = schedule.judge(judged)
        kept = {one: kept[one] for one in {schedule.best, decision.from_exchange}}
        yield _progress(schedule, settings)
        for partner in partners:
            verdict = Verdict(
                round=number,
                stop=decision.stop,
                best_round=decision.from_exchange,
                step=1.0,
                reason=decision.reason,
            )
            yield Send(partner, "verdict", verdict)
        if decision.from_exchange != number:
            weights, embeddings = kept[decision.from_exchange]
            side.restore(weights)
        if decision.stop:
            break
        if decision.from_exchange != number:
            side.fit(embeddings, schedule.rows, number)
        yield from send_gradients(side.gradients(embeddings, schedule.rows), partners, number)
    test = yield from receive_embeddings(partners, "test", 0, int((~fit).sum()), settings.embedding)
    part = NetworkPart(
        kind=KIND,
        party=party,
        session=session,
        training=settings.name,
        settings=settings.to_json(),
        preparation=preparation_json(preparation),
        weights=side.weights,
    )
    return SplitLabelFit(
        part,
        tuple(schedule.exchanges),
        decision.from_exchange,
        side.log_odds(embeddings),
        log_odds_of(network, test, inputs.rows(torch.from_numpy(~fit)) if inputs else None),
        settings.label_epsilon,
    )


def part_log_odds(
    part: NetworkPart, embeddings: Matrix, columns: Sequence[FeatureColumn]
) -> Vector:
    """Log-odds (n,) of some borrowers under the label party's stored part.

    Raises:
        InputError: the part is not a label party's, or a column is missing.
    """
    if part.kind != KIND:
        raise InputError(f"the model part of {part.party} is not a label party's split part")
    preparation = preparation_of(part)
    network = LabelNetwork(
        preparation.schema if preparation else None, SplitSettings.from_json(part.settings)
    )
    load_weights(network, part.weights)
    return log_odds_of(network, embeddings, preparation.inputs(columns) if preparation else None)


def release(settings: SplitSettings, run: str, partners: tuple[str, ...]) -> Expenditure:
    """What goes into the ledger before any label is used."""
    to = ", ".join(partners)
    event: Event = Exact()
    what = f"gradients of the true labels at every exchange, to {to}: they give the labels away"
    if settings.label_epsilon is not None:
        event = RandomisedResponse(settings.label_epsilon)
        what = (
            f"gradients of labels flipped once with probability "
            f"{flip_probability(settings.label_epsilon):.4f}, for all exchanges, to {to}"
        )
    return Expenditure(event, Unit.LABEL, run, f"training '{settings.name}': {what}")


def _figures(
    number: int,
    loss: float,
    labels: Vector,
    validation: npt.NDArray[np.bool_],
    side: LabelSide,
    embeddings: Matrix,
) -> Exchange:
    if not validation.any():
        return Exchange(number, "", loss, float("nan"), float("nan"))
    scores = side.log_odds(embeddings)[validation]
    truth = labels[validation]
    losses = np.logaddexp(0.0, scores) - truth * scores
    return Exchange(number, "", loss, auc(truth, scores), float(losses.mean()))


def _progress(schedule: SplitSchedule, settings: SplitSettings) -> Progress:
    last = schedule.exchanges[-1]
    words = f"round {last.number}, {last.phase}"
    if settings.label_epsilon is None:
        words += f", training loss {last.training_loss:.4f}"
        if not np.isnan(last.validation_auc):
            words += f", validation AUC {last.validation_auc:.4f}"
    return Progress(f"training '{settings.name}'", last.number / settings.exchanges, words)
