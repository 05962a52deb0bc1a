"""Whether a desk's scores are those computed offline, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.bench_scoring_offline import Offline


@dataclass
class Comparison:
    """Scores from the desk against those computed offline.

    Attributes:
        compared: how many.
        different: scores or probabilities that are not exactly equal.
        other_variant: answers that were not degraded and yet of another variant than expected.
    """

    compared: int = 0
    different: int = 0
    other_variant: int = 0

    def add(
        self,
        offline: Offline,
        places: npt.NDArray[np.int64],
        variants: Sequence[str],
        variant: npt.NDArray[Any],
        score: npt.NDArray[np.int32],
        probability: npt.NDArray[np.float64],
        may_be_degraded: npt.NDArray[np.bool_],
    ) -> None:
        """Compare answers about the borrowers at these places of the bank's table."""
        names = np.array([*variants, ""], dtype=object)[variant]
        expected = offline.expected_variants()[places]
        self.other_variant += int(((names != expected) & ~may_be_degraded).sum())
        self.compared += len(places)
        for name in set(names.tolist()):
            rows = names == name
            if name not in offline.scores:
                self.different += int(rows.sum())
                continue
            same = score[rows] == offline.scores[name][places[rows]]
            same &= probability[rows] == offline.probabilities[name][places[rows]]
            self.different += int((~same).sum())

    def figures(self) -> dict[str, int]:
        """For the record."""
        return {
            "compared_with_offline": self.compared,
            "different_from_offline": self.different,
            "of_another_variant": self.other_variant,
        }
