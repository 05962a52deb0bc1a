"""Pairs at the label party: its own, and the maps of its partners' pairs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.alone import with_intercept
from federation.additive.block import Block, Codes
from federation.additive.terms import INTERCEPT
from federation.session.machine import Progress, Step
from federation.vertical.exact_sums import pair_sums
from federation.vertical.label_maps import LabelMaps, MapRules, set_up_maps
from federation.vertical.paired_rows import PairedRows, pair_key, pair_queries
from federation.vertical.trainings import OverBins, bin_settings

if TYPE_CHECKING:
    from federation.vertical.label_trainings import LabelTrainings, Prepared


@dataclass(frozen=True)
class PreparedPairs:
    """What a training and its fallbacks share: own pairs, and a map with each partner."""

    rows: PairedRows
    block: Block  # the intercept, the main terms, then the pairs
    maps: LabelMaps

    @property
    def test(self) -> Codes:
        """Bins and cells of the test borrowers, in the block's order."""
        return with_intercept(self.rows.joined_test)


def prepare_pairs(
    own: LabelTrainings, training: OverBins, ready: Prepared, weights: npt.NDArray[np.float64]
) -> Generator[Step, object, PreparedPairs]:
    """Choose own pairs by the weights of the own main terms, and set the partners' maps up."""
    settings, borrowers = bin_settings(training), len(own.labels)
    yield Progress("set-up", 0.1, f"pairs of features for '{training.name}'")
    rows = PairedRows.of(ready.binned, weights, settings)
    terms = [INTERCEPT, *ready.binned.terms(), *rows.terms()]
    block = Block(terms, with_intercept(rows.joined_fit), own.rows[own.fit])
    parties = own.plan.feature_parties
    rules = MapRules(
        key=pair_key(training),
        columns=borrowers,
        queries={party: pair_queries(own.plan.fits, training, party) for party in parties},
        features=dict.fromkeys(parties, settings.pairs),
        most_sums=pair_sums(own.plan, training, borrowers),
        pairs=True,
    )
    maps = yield from set_up_maps(own.plan, own.keeper, rules)
    return PreparedPairs(rows, block, maps)
