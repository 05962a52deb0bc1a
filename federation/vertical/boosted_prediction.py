"""Boosted models in a prediction: every partner sends the bits of its own splits, once.

The label party walks its trees with them. It learns one bit a split and borrower, the same bits as
in training; where a partner perturbed its bin codes in training it perturbs them here too, and the
bits are of the perturbed ones.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import numpy.typing as npt

from federation.boosting.model_part import BoostedPart, split_bits
from federation.boosting.order import perturbed, record_event
from federation.boosting.split_messages import receive_bits, send_bits
from federation.errors import InputError
from federation.privacy.events import RECORD
from federation.privacy.ledger import Expenditure
from federation.schema import FeatureColumn
from federation.session.machine import Release, Step

Bits = npt.NDArray[np.bool_]


def check_parties(part: BoostedPart, feature_parties: Sequence[str]) -> None:
    """Refuse a model that needs a party which is not asked.

    Raises:
        InputError: names both lists.
    """
    if not part.trees:
        raise InputError(
            f"the part of training '{part.training}' has no trees: it is a partner's; the label "
            "party's own is right"
        )
    lacking = sorted(set(part.partners) - set(feature_parties))
    if lacking:
        raise InputError(
            f"the model of training '{part.training}' asks for splits of {', '.join(lacking)}, but "
            f"only {', '.join(feature_parties)} would be asked; name the federation file that the "
            "model was trained with"
        )


def receive_log_odds(
    part: BoostedPart, columns: Sequence[FeatureColumn], parties: Sequence[str], count: int
) -> Generator[Step, object, npt.NDArray[np.float64]]:
    """The label party's side: log-odds of the borrowers (count,).

    Args:
        part: with the trees.
        columns: its own features of the borrowers.
        parties: the feature parties, each of which sends its bits.
        count: how many borrowers.
    """
    bits = {part.party: _own_bits(part, columns, count)}
    for party in parties:
        splits = part.split_counts.get(party, 0)
        bits[party] = yield from receive_bits(party, "predict", splits, count)
    return part.intercept + part.forest().scores(bits)


def give_bits(
    part: BoostedPart,
    columns: Sequence[FeatureColumn],
    label_party: str,
    session: str,
    count: int,
) -> Generator[Step, object, None]:
    """A feature party's side; raises InputError where a feature of a split is missing."""
    bits = _own_bits(part, columns, count)
    if part.splits:
        features = len({split.feature for split in part.splits})
        what = (
            f"split bits of the model '{part.training}' for {count:,} borrowers, to {label_party}"
        )
        event = record_event(part.order_epsilon, features)
        yield Release(Expenditure(event, RECORD, session, what))
    yield from send_bits(bits, label_party, "predict")


def _own_bits(part: BoostedPart, columns: Sequence[FeatureColumn], count: int) -> Bits:
    bins = [binning.bins for binning in part.binnings]
    codes: dict[int, npt.NDArray[np.unsignedinteger]] = dict(part.codes(columns))
    epsilon = part.order_epsilon
    if epsilon is not None:
        codes = {
            feature: perturbed(own.astype(np.uint8), bins[feature], epsilon)
            for feature, own in codes.items()
        }
    return split_bits(part.splits, codes, bins, count)
