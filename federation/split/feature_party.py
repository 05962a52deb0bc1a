"""A feature party's role in a split training: embeddings out, gradients in."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from federation.errors import InputError, ProtocolError
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Verdict
from federation.schema import FeatureColumn
from federation.session.machine import Progress, Step, expect
from federation.split.embeddings import receive_gradients, send_embeddings
from federation.split.encoder import PartyEncoder, Preparation, generator_for
from federation.split.networks import FeatureSide, Weights, embeddings_of
from federation.split.part import NetworkPart, preparation_json
from federation.split.settings import Sequences, SplitSettings

KIND = "split-feature"


@dataclass(frozen=True)
class SplitFeatureFit:
    """What a feature party holds after a split training."""

    part: NetworkPart
    rounds: int
    best_round: int


def train(
    columns: Sequence[FeatureColumn],
    sequences: Sequences,
    fit: npt.NDArray[np.bool_],
    places: npt.NDArray[np.uint32],
    masks: PairwiseMasks,
    party: str,
    label_party: str,
    session: str,
    settings: SplitSettings,
) -> Generator[Step, object, SplitFeatureFit]:
    """One training, the test borrowers' embeddings included.

    Args:
        columns: this party's, of all aligned borrowers.
        sequences: its monthly sequences among them.
        fit: which borrowers are of the fit; the others are test borrowers.
        places: every borrower's row in this party's table.
        masks: agreed with the other feature parties; none of them, no mask.
        party, label_party, session: names.
        settings: what all parties agreed on.
    """
    order = np.argsort(places[fit], kind="stable")
    preparation = Preparation.of(columns, sequences, np.flatnonzero(fit)[order])
    inputs = preparation.inputs(columns)
    network = PartyEncoder(preparation.schema, settings)
    side = FeatureSide(
        network,
        settings,
        order,
        generator_for(settings.seed, party),
        inputs.rows(torch.from_numpy(fit)),
    )
    kept: dict[int, Weights] = {}
    number = 0
    while True:
        number += 1
        kept[number] = side.weights
        made = side.embeddings()
        yield from send_embeddings(made, masks, label_party, settings.name, "fit", number)
        verdict = yield from expect(label_party, Verdict)
        _check(verdict, number, settings)
        if verdict.best_round != number:
            side.restore(kept[verdict.best_round])
        yield Progress(f"training '{settings.name}'", 0.0, f"exchange {number}")
        if verdict.stop:
            break
        gradients = yield from receive_gradients(label_party, number, *made.shape)
        side.follow(gradients, number)
    test = embeddings_of(network, inputs.rows(torch.from_numpy(~fit)))
    yield from send_embeddings(test, masks, label_party, settings.name, "test", 0)
    part = NetworkPart(
        kind=KIND,
        party=party,
        session=session,
        training=settings.name,
        settings=settings.to_json(),
        preparation=preparation_json(preparation),
        weights=side.weights,
    )
    return SplitFeatureFit(part, number, verdict.best_round)


def part_embeddings(part: NetworkPart, columns: Sequence[FeatureColumn]) -> npt.NDArray[np.float32]:
    """Embeddings (n, k) of some borrowers under a stored part.

    Raises:
        InputError: the part is not a feature party's, or a column is missing.
    """
    from federation.split.encoder import load_weights
    from federation.split.part import preparation_of

    preparation = preparation_of(part)
    if part.kind != KIND or preparation is None:
        raise InputError(f"the model part of {part.party} is not a feature party's split part")
    network = PartyEncoder(preparation.schema, SplitSettings.from_json(part.settings))
    load_weights(network, part.weights)
    return embeddings_of(network, preparation.inputs(columns))


def _check(verdict: Verdict, number: int, settings: SplitSettings) -> None:
    if verdict.round != number or not 1 <= verdict.best_round <= number:
        raise ProtocolError(
            f"a verdict on exchange {verdict.round} that names exchange {verdict.best_round} came; "
            f"one on exchange {number} that names it or an earlier one is right"
        )
    if number >= settings.exchanges and not verdict.stop:
        raise ProtocolError(
            f"exchange {number} of training '{settings.name}' is the last that the plan allows, "
            "but the verdict asks for another one"
        )
