"""AUC within banks: how well a model ranks borrowers of the same bank.

An AUC over all banks' borrowers together also rewards a score for telling the banks apart, where
their default rates differ; for each bank's own model that alone can look like a near perfect
ranking. Within banks, only pairs of borrowers of one bank count (a stratified AUC, weighted by the
number of pairs; van Elteren 1960).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.metrics import Comparison, Estimate, compare_models

Labels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WithinBanks:
    """Models on each bank's own test borrowers.

    Attributes:
        rows: of each bank.
        compared: metrics by model, and differences to the reference; empty for a bank where AUC
            has no meaning (one class, or no borrower).
        pairs: in each bank, of a borrower who defaulted and one who did not.
        reference: the model that differences are taken from.
    """

    rows: tuple[slice, ...]
    compared: tuple[Mapping[str, Comparison], ...]
    pairs: tuple[float, ...]
    reference: str

    @classmethod
    def of(
        cls,
        labels: Labels,
        models: Mapping[str, Vector],
        reference: str,
        borrowers: Sequence[int],
        resamples: int,
        *,
        seed: int,
    ) -> WithinBanks:
        """Compare them.

        Args:
            labels: of all banks' test borrowers, bank after bank (n,).
            models: probabilities of default by name (n,).
            reference: the name of the model that differences are taken from.
            borrowers: how many each bank has.
            resamples, seed: of the bootstrap.
        """
        ends = np.cumsum([0, *borrowers]).tolist()
        rows = tuple(slice(*pair) for pair in pairwise(ends))
        compared: list[Mapping[str, Comparison]] = []
        for own in rows:
            scores = {name: values[own] for name, values in models.items()}
            try:
                compared.append(
                    compare_models(labels[own], scores, reference, resamples, seed=seed)
                )
            except InputError:
                compared.append({})
        counts = [(float(labels[own].sum()), len(labels[own])) for own in rows]
        pairs = tuple(defaulted * (everybody - defaulted) for defaulted, everybody in counts)
        return cls(rows, tuple(compared), pairs, reference)

    def auc(self, model: str) -> Estimate | None:
        """AUC within banks; None where it has no meaning in any of them."""
        return self._mean(
            [own[model].metrics.auc if model in own else None for own in self.compared]
        )

    def gain(self, model: str) -> Estimate | None:
        """Its paired difference to the reference; None for the reference itself."""
        if model == self.reference:
            return None
        return self._mean(
            [own[model].difference.auc if model in own else None for own in self.compared]
        )

    def _mean(self, estimates: Sequence[Estimate | None]) -> Estimate | None:
        known = [
            (one, weight)
            for one, weight in zip(estimates, self.pairs, strict=True)
            if one is not None and weight > 0
        ]
        if not known:
            return None
        return weighted_mean([one for one, _ in known], [weight for _, weight in known])


def weighted_mean(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Mean of estimates of different borrowers, so that their errors are independent.

    Each side of the interval is the root of the weighted squares of the estimates' sides.

    Raises:
        ValueError: there is nothing to weigh.
    """
    total = sum(weights)
    if not estimates or len(estimates) != len(weights) or total <= 0:
        raise ValueError("a weighted mean needs an estimate and a positive weight at least")
    shares = [weight / total for weight in weights]
    pairs = list(zip(shares, estimates, strict=True))
    value = math.fsum(share * one.value for share, one in pairs)
    below = math.hypot(*(share * (one.value - one.low) for share, one in pairs))
    above = math.hypot(*(share * (one.high - one.value) for share, one in pairs))
    return Estimate(value, value - below, value + above)
