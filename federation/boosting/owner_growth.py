"""A tree grown at the owner of its features, which knows who is in a node and sums over its bins.

Rows of D are asked for as nodes come up: those of a node's bins that hold somebody, without each
feature's fullest, whose sums follow from the node's total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout
from federation.boosting.growth import Chosen, NodeTotals, OpenNode, Sums
from federation.errors import ProtocolError
from federation.linear_maps import OneHotMatrix
from federation.linear_maps.growing import MOST_LEVEL_ROWS
from federation.proto.session_pb2 import RootTotals

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
# Of a gradient; labels corrected for an ε of 1e-7 stay below it, and squares of sums are finite.
LARGEST_UNIT = 1e9


@dataclass(frozen=True)
class OwnerTotals:
    """A source of totals for `TreeGrowth`: the root's as told, the others' from sums over bins.

    Attributes:
        told: by the label party.
        party: whose sums they are.
        layout: of the features that take part in the tree.
    """

    told: RootTotals
    party: str
    layout: BinLayout

    @property
    def units(self) -> tuple[float, float]:
        """What one integer of a gradient, and of a hessian, stands for."""
        return self.told.gradient_unit, self.told.hessian_unit

    def root(self, members: npt.NDArray[np.int64]) -> NodeTotals:
        """Of all borrowers."""
        return self._of(float(self.told.gradient), float(self.told.hessian))

    def children(
        self, chosen: Chosen, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> tuple[NodeTotals, NodeTotals]:
        """Of the two sides of a split."""
        cells = self.layout.offsets[chosen.split.feature] + np.array(chosen.split.left)
        gradients, hessians = chosen.node.sums[self.party]
        gradient, hessian = float(gradients[cells].sum()), float(hessians[cells].sum())
        whole = chosen.node.totals
        return self._of(gradient, hessian), self._of(whole[0] - gradient, whole[1] - hessian)

    def _of(self, gradient: float, hessian: float) -> NodeTotals:
        units = self.units
        return NodeTotals(gradient, hessian, gradient * units[0], hessian * units[1])


def check_totals(told: RootTotals, borrowers: int, bound: int, label_party: str) -> None:
    """Refuse totals that no gradients of so many borrowers have.

    Raises:
        ProtocolError: a unit that is not positive or too large, or a total beyond its bound.
    """
    units = told.gradient_unit, told.hessian_unit
    if not all(0 < unit <= LARGEST_UNIT for unit in units):
        raise ProtocolError(
            f"{label_party} sent units of gradients that are not positive numbers up to "
            f"{LARGEST_UNIT:g}"
        )
    if abs(told.gradient) > bound * borrowers or not 0 <= told.hessian <= bound * borrowers:
        raise ProtocolError(
            f"{label_party} sent totals of gradients beyond ±{bound} for {borrowers} borrowers"
        )


def groups_of(
    nodes: Sequence[OpenNode], layout: BinLayout, most_rows: int = MOST_LEVEL_ROWS
) -> list[Sequence[OpenNode]]:
    """The nodes of a level in groups in which no feature has more rows than a matrix may have."""
    size = max(1, most_rows // max(feature.bins for feature in layout.features))
    return [nodes[first : first + size] for first in range(0, len(nodes), size)]


class LevelRows:
    """The rows of D of one level, and how their sums become sums over all bins.

    Nodes are disjoint, so the rows of one feature in all of them make one partition; features go
    into as many matrices as the map's limit on rows asks for.

    Args:
        nodes: that are asked about.
        codes: of the features that take part (features, n).
        layout: of these features.
        most_rows: of one matrix.
    """

    def __init__(
        self,
        nodes: Sequence[OpenNode],
        codes: Codes,
        layout: BinLayout,
        most_rows: int = MOST_LEVEL_ROWS,
    ) -> None:
        """Number the rows: feature by feature, node by node."""
        self._nodes, self._layout = tuple(nodes), layout
        self._sent: list[list[npt.NDArray[np.int64]]] = []  # bins with a row, by feature and node
        self._omitted: list[list[int]] = []  # the bin that has none
        rows = [self._rows_of(feature, codes[feature]) for feature in range(len(layout.features))]
        self.matrices: list[OneHotMatrix] = []
        first, held = 0, 0
        for feature, (_, count) in enumerate(rows):
            if feature > first and held + count > most_rows:
                self.matrices.append(_matrix(rows[first:feature]))
                first, held = feature, 0
            held += count
        self.matrices.append(_matrix(rows[first:]))

    def _rows_of(self, feature: int, codes: Codes) -> tuple[npt.NDArray[np.uint16], int]:
        """The row of every borrower in one feature, and how many rows there are."""
        bins, start = self._layout.features[feature].bins, 0
        places = np.zeros((len(self._nodes), bins), dtype=np.uint16)
        self._sent.append([])
        self._omitted.append([])
        inside = [codes[node.members] for node in self._nodes]
        for index, own in enumerate(inside):
            counts = np.bincount(own, minlength=bins)
            fullest = int(np.argmax(counts))
            sent = np.flatnonzero(counts)
            sent = sent[sent != fullest]
            places[index, sent] = np.arange(start, start + len(sent))
            self._sent[feature].append(sent)
            self._omitted[feature].append(fullest)
            start += len(sent)
        row = np.full(len(codes), start, dtype=np.uint16)
        for index, (node, own) in enumerate(zip(self._nodes, inside, strict=True)):
            places[index, self._omitted[feature][index]] = start
            row[node.members] = places[index][own]
        return row, start

    def complete(self, sums: npt.NDArray[np.int64]) -> list[Sums]:
        """Gradients and hessians over all bins of each node, from those of all rows (2, rows)."""
        cells = np.zeros((len(self._nodes), 2, self._layout.cells))
        first = 0
        for feature in range(len(self._layout.features)):
            start = int(self._layout.offsets[feature])
            for index, node in enumerate(self._nodes):
                sent = self._sent[feature][index]
                part = sums[:, first : first + len(sent)]
                first += len(sent)
                cells[index][:, start + sent] = part
                rest = np.array(node.totals) - part.sum(axis=1)
                cells[index][:, start + self._omitted[feature][index]] = rest
        return [(own[0], own[1]) for own in cells]


def _matrix(rows: Sequence[tuple[npt.NDArray[np.uint16], int]]) -> OneHotMatrix:
    """One feature a row of codes; those without rows in D keep their code 0 of none."""
    counts = tuple(count for _, count in rows)
    stacked = np.stack([row for row, _ in rows])
    narrow = max(counts, default=0) <= 255
    return OneHotMatrix(stacked.astype(np.uint8) if narrow else stacked, counts)
