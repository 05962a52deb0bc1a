"""A boosted model of bins that all lie in one place: one party alone, or the plain reference."""

from __future__ import annotations

from collections.abc import Mapping

from federation.boosting.label_party import BoostedFit, Borrowers, train
from federation.boosting.local_bins import LocalBins
from federation.boosting.settings import BoostedSettings


def fit_alone(
    borrowers: Borrowers, local: Mapping[str, LocalBins], settings: BoostedSettings
) -> BoostedFit:
    """The same trees as with partners, from sums over plaintext bins.

    Args: as for `label_party.train`.
    """
    role = train(borrowers, local, {}, settings)
    try:
        while True:
            next(role)
    except StopIteration as finished:
        fit: BoostedFit = finished.value
        return fit
