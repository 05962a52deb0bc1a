"""Pairs at a feature party: chosen after the main terms are fitted, with a map of their own."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block, Codes
from federation.additive.feature_party import FeaturePartyFit, MainScores, train
from federation.linear_maps import FeatureSide
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import MapOffer
from federation.session.machine import Progress, Send, Step
from federation.vertical.exact_sums import pair_sums
from federation.vertical.fallbacks import Fit
from federation.vertical.paired_rows import PairedRows, pair_key, pair_queries
from federation.vertical.trainings import OverBins, bin_settings

if TYPE_CHECKING:
    from federation.vertical.feature_trainings import FeatureTrainings, Prepared

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PreparedPairs:
    """What a training and its fallbacks share: the pairs and their map; None without any pair."""

    rows: PairedRows
    block: Block
    omitted: Codes
    side: FeatureSide | None


def prepare_pairs(
    own: FeatureTrainings, training: OverBins, ready: Prepared, weights: Vector
) -> Generator[Step, object, PreparedPairs]:
    """Choose pairs by the weights of the main terms, and set their map up."""
    settings = bin_settings(training)
    yield Progress("set-up", 0.1, f"pairs of features for '{training.name}'")
    most = pair_sums(own.plan, training, ready.binned.fit.shape[1])
    rows = PairedRows.of(ready.binned, weights, settings, most)
    block = Block(rows.terms(), rows.fit, own.rows[own.fit])
    if not rows.grids:
        yield Send(own.label_party, "map_offer", MapOffer(columns=block.borrowers))
        return PreparedPairs(rows, block, np.zeros(0, dtype=np.uint16), None)
    matrix, omitted = block.one_hot()
    queries = pair_queries(own.plan.fits, training, own.party)
    side = yield from own.map_of(matrix, pair_key(training), queries)
    return PreparedPairs(rows, block, omitted, side)


def train_pairs(
    own: FeatureTrainings,
    fit: Fit,
    masks: PairwiseMasks,
    ready: Prepared,
    paired: PreparedPairs,
    mains: FeaturePartyFit,
    max_rounds: int,
) -> Generator[Step, object, FeaturePartyFit]:
    """The rounds of the pairs, on top of fitted main terms."""
    return (
        yield from train(
            paired.block,
            paired.omitted,
            paired.side,
            masks,
            own.label_party,
            fit.name,
            max_rounds,
            MainScores(ready.block.scores(mains.weights), mains.rounds),
        )
    )
