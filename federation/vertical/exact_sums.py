"""How a partner's cap on exact sums is shared: by its maps, and by a map's bins and their pairs."""

from __future__ import annotations

from federation.vertical.borrowers import most_exact_sums
from federation.vertical.plan import SessionPlan
from federation.vertical.trainings import OverBins, bin_key, bin_settings, map_key, map_settings

PAIRS_SHARE = 3  # of a map's sums, pairs get one in three at most


def main_sums(plan: SessionPlan, key: str, borrowers: int) -> int | None:
    """Most sums of the bins of a key with one partner; None where none of them are exact."""
    if not plan.exact_at(key):
        return None
    return _of_map(plan, borrowers) - _of_pairs(plan, key, borrowers)


def pair_sums(plan: SessionPlan, training: OverBins, borrowers: int) -> int | None:
    """Most sums of the pairs of a training with one partner; None where they are not exact.

    Trainings on the same bins choose their pairs each for itself, so these share.
    """
    if training.label_epsilon is not None:
        return None
    key = bin_key(training)
    wanted = _wanted(plan, key)
    return _of_pairs(plan, key, borrowers) * _most(training) // max(sum(wanted), 1)


def _of_map(plan: SessionPlan, borrowers: int) -> int:
    return most_exact_sums(borrowers) // plan.exact_maps


def _of_pairs(plan: SessionPlan, key: str, borrowers: int) -> int:
    return min(sum(_wanted(plan, key)), _of_map(plan, borrowers) // PAIRS_SHARE)


def _wanted(plan: SessionPlan, key: str) -> list[int]:
    """Sums that the pairs of every exact training of a key may need."""
    found = []
    for training in plan.trainings:
        settings = map_settings(training)
        if settings and training.label_epsilon is None and map_key(training) == key:
            found.append(settings.pairs * (settings.pair_bins**2 - 1))
    return found


def _most(training: OverBins) -> int:
    settings = bin_settings(training)
    return settings.pairs * (settings.pair_bins**2 - 1)
