"""What the label party knows of a node: the gradients of its borrowers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.boosting.gradients import TreeGradients
from federation.boosting.growth import Chosen, NodeTotals, OpenNode


@dataclass(frozen=True)
class LabelTotals:
    """A source of totals for `TreeGrowth`."""

    gradients: TreeGradients

    @property
    def units(self) -> tuple[float, float]:
        """What one integer of a gradient, and of a hessian, stands for."""
        return self.gradients.gradient_unit, self.gradients.hessian_unit

    def root(self, members: npt.NDArray[np.int64]) -> NodeTotals:
        """Of all borrowers."""
        gradients = self.gradients
        return NodeTotals(
            float(gradients.whole_gradient[members].sum()),
            float(gradients.whole_hessian[members].sum()),
            float(gradients.gradient[members].sum()),
            float(gradients.hessian[members].sum()),
        )

    def children(
        self, chosen: Chosen, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> tuple[NodeTotals, NodeTotals]:
        """Of the two sides of a split."""
        return self.root(left), self.root(right)

    def vectors(self, nodes: Sequence[OpenNode]) -> npt.NDArray[np.int64]:
        """Whole gradients and hessians of some nodes, zero elsewhere (2k, n)."""
        gradient, hessian = self.gradients.whole_gradient, self.gradients.whole_hessian
        vectors = np.zeros((2 * len(nodes), len(gradient)), dtype=np.int64)
        for k, node in enumerate(nodes):
            vectors[2 * k, node.members] = gradient[node.members]
            vectors[2 * k + 1, node.members] = hessian[node.members]
        return vectors
