"""Two policies over the same portfolio: who flips, who is swapped in and out, what it brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.desk.policy.simulation import Simulated

NAMES = ("approve", "refer", "decline")


@dataclass(frozen=True)
class Group:
    """Some applications: how many, their mean probability, and how many of them defaulted."""

    count: int
    expected_bad_rate: float | None
    observed_bad_rate: float | None


@dataclass(frozen=True)
class Comparison:
    """What changes from a champion to a challenger.

    Attributes:
        moves: counts by (champion's, challenger's) outcome.
        swapped_in: approved by the challenger only.
        swapped_out: approved by the champion only.
        kept: approved by both.
        limit_raised, limit_cut, rate_raised, rate_cut: of those approved by both.
        profit_change_minor: challenger less champion, over all.
    """

    moves: dict[tuple[str, str], int]
    swapped_in: Group
    swapped_out: Group
    kept: Group
    limit_raised: int
    limit_cut: int
    rate_raised: int
    rate_cut: int
    profit_change_minor: int


def compare(champion: Simulated, challenger: Simulated) -> Comparison:
    """Compare two simulations of one portfolio."""
    ours, theirs = champion.approved, challenger.approved
    both = ours & theirs
    moves = {
        (NAMES[i], NAMES[j]): int(((champion.outcome == i) & (challenger.outcome == j)).sum())
        for i in range(3)
        for j in range(3)
    }
    limit = challenger.limit[both] - champion.limit[both]
    rate = challenger.rate[both] - champion.rate[both]
    profit = sum(challenger.profit[theirs].tolist()) - sum(champion.profit[ours].tolist())
    return Comparison(
        moves=moves,
        swapped_in=_group(challenger, theirs & ~ours),
        swapped_out=_group(champion, ours & ~theirs),
        kept=_group(champion, both),
        limit_raised=int((limit > 0).sum()),
        limit_cut=int((limit < 0).sum()),
        rate_raised=int((rate > 0).sum()),
        rate_cut=int((rate < 0).sum()),
        profit_change_minor=profit,
    )


def _group(simulated: Simulated, members: npt.NDArray[np.bool_]) -> Group:
    count = int(members.sum())
    if not count:
        return Group(0, None, None)
    observed = None
    if simulated.defaulted is not None:
        observed = float(simulated.defaulted[members].mean())
    return Group(count, float(simulated.probabilities[members].mean()), observed)
