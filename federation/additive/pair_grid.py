"""A pair of one party's features as one term: a coarse grid over both, its cells the term's bins.

Rows and columns of the grid are unions of the features' own bins, and whole rows or columns are
joined until every cell that holds anybody holds at least the floor. Joining single cells instead
would not do: a feature's own bins give the sum of every row and column, and these less the other
cells would give the small cell's sum back (docs/security.md).

Source: pairwise terms on top of an additive model (GA2M; Lou, Caruana, Gehrke, Hooker, KDD 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.block import Codes
from federation.additive.terms import Term

Counts = npt.NDArray[np.int64]
FEWEST_CELLS = 4  # two by two


@dataclass(frozen=True)
class PairGrid:
    """A grid over two features.

    Attributes:
        places: of the two features among their party's.
        groups: of each, the row or column that every bin belongs to (bins,).
        counts: borrowers of the fit in every place of the grid (rows, columns).
        cells: the bin of the term that every place belongs to (rows, columns): its own, or where
            there was nobody, that of the nearest place with borrowers.
        ordered: how many of the first rows, and columns, stand in an order.
    """

    places: tuple[int, int]
    groups: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    counts: Counts
    cells: npt.NDArray[np.int64]
    ordered: tuple[int, int]

    @property
    def bins(self) -> int:
        """How many bins the term has."""
        return int(self.cells.max()) + 1

    def codes(self, codes: Codes) -> npt.NDArray[np.uint16]:
        """The term's bin of every borrower, from the codes of all features (features, n)."""
        rows = self.groups[0][codes[self.places[0]]]
        columns = self.groups[1][codes[self.places[1]]]
        cells: npt.NDArray[np.uint16] = self.cells[rows, columns].astype(np.uint16)
        return cells

    def term(self, name: str, strength: float) -> Term:
        """The term: penalised along both axes, `strength` times as strongly as a feature's own."""
        return Term(name, self.bins, self._penalty(), strength=strength)

    def _penalty(self) -> npt.NDArray[np.float64]:
        """Second differences along rows and columns, of places next to each other that all count.

        The sum of the two axes' penalties (Eilers, Marx 2003, for tensor products), less the
        differences that reach into a place where nobody is. Scaled as a feature's own.
        """
        penalty = np.zeros((self.bins, self.bins))
        for cells, counts, ordered in (
            (self.cells, self.counts, self.ordered[1]),
            (self.cells.T, self.counts.T, self.ordered[0]),
        ):
            for line, known in zip(cells, counts > 0, strict=True):
                for first in range(ordered - 2):
                    if known[first : first + 3].all():
                        difference = np.zeros(self.bins)
                        difference[line[first : first + 3]] = (1.0, -2.0, 1.0)
                        penalty += float(ordered) ** 3 * np.outer(difference, difference)
        return penalty


def fit_grid(
    places: tuple[int, int], fine: Counts, ordered: tuple[int, int], most: int, floor: int
) -> PairGrid | None:
    """The grid of a pair; None where the floor leaves less than two rows and two columns.

    Args:
        places: of the two features among their party's.
        fine: borrowers of the fit in every bin of the first and of the second (bins, bins).
        ordered: how many of the first bins of each stand in an order.
        most: most rows, and most columns.
        floor: fewest borrowers a cell may have that has any, and fewest that a single bin and the
            cells within it, or a cell and the bins within it, may differ by.
    """
    rows, columns = (
        _groups(fine.sum(axis=1 - axis), count, most) for axis, count in enumerate(ordered)
    )
    while True:
        counts = _summed(_summed(fine, rows).T, columns).T
        if not _few(counts, floor).any():
            break
        if max(counts.shape) <= 2:
            return None
        axis, low = _join(counts, floor)
        if axis == 0:
            rows = rows - (rows > low)
        else:
            columns = columns - (columns > low)
    if min(counts.shape) < 2 or (counts > 0).sum() < FEWEST_CELLS:
        return None
    by_column, by_row = _summed(fine.T, columns).T, _summed(fine, rows).T
    if _isolates(by_column, rows, floor) or _isolates(by_row, columns, floor):
        return None
    in_order = (_ordered(rows, ordered[0]), _ordered(columns, ordered[1]))
    return PairGrid(places, (rows, columns), counts, _cells(counts), in_order)


def _summed(counts: Counts, groups: npt.NDArray[np.int64]) -> Counts:
    """Rows of one group added up (groups, …)."""
    summed = np.zeros((int(groups.max()) + 1, counts.shape[1]), dtype=np.int64)
    np.add.at(summed, groups, counts)
    return summed


def _groups(counts: Counts, ordered: int, most: int) -> npt.NDArray[np.int64]:
    """Rows of about the same size out of ordered bins; the other bins in rows of their own.

    Where these are too many, the rarest share one.
    """
    groups = np.zeros(len(counts), dtype=np.int64)
    others = np.arange(ordered, len(counts))
    rows = 0
    if ordered:
        wanted = min(max(2, most - len(others)), ordered)
        middle = np.cumsum(counts[:ordered]) - counts[:ordered] / 2
        share = np.floor(wanted * middle / max(counts[:ordered].sum(), 1))
        groups[:ordered] = np.unique(share, return_inverse=True)[1]
        rows = int(groups[ordered - 1]) + 1
    most_others = max(most - rows, 1)
    for rank, place in enumerate(others[np.argsort(-counts[others], kind="stable")]):
        groups[place] = rows + min(rank, most_others - 1)
    return groups


def _few(counts: Counts, floor: int) -> npt.NDArray[np.bool_]:
    return (counts > 0) & (counts < floor)


def _join(counts: Counts, floor: int) -> tuple[int, int]:
    """The two neighbouring rows (axis 0) or columns (1) to join: which axis, and the first one.

    The join that leaves the fewest cells below the floor; of several, that of the smallest.
    """
    best: tuple[tuple[int, int], int, int] | None = None
    for axis in (0, 1):
        lines = counts.shape[axis]
        for low in range(lines - 1 if lines > 2 else 0):
            after = np.add.reduceat(counts, np.delete(np.arange(lines), low + 1), axis=axis)
            size = int(counts.take([low, low + 1], axis=axis).sum())
            rank = (int(_few(after, floor).sum()), size)
            if best is None or rank < best[0]:
                best = rank, axis, low
    if best is None:
        raise ValueError("a grid of two by two has no lines to join")
    return best[1], best[2]


def _isolates(fine: Counts, groups: npt.NDArray[np.int64], floor: int) -> bool:
    """Whether a bin less the cells within it, or a cell less the bins within it, is too small.

    Args:
        fine: borrowers by the feature's own bin and the other feature's row or column.
        groups: the row that each bin belongs to.
        floor: fewest borrowers, unless there are none.
    """
    sizes = fine.sum(axis=1)
    cells = _summed(fine, groups)
    whole_cell = (fine == cells[groups]) & (fine > 0)
    beside = sizes - (fine * whole_cell).sum(axis=1)
    if _few(beside[whole_cell.any(axis=1)], floor).any():
        return True
    whole_bin = (fine == sizes[:, None]) & (fine > 0)
    inside = _summed(fine * whole_bin, groups)
    return bool(_few((cells - inside)[inside > 0], floor).any())


def _cells(counts: Counts) -> npt.NDArray[np.int64]:
    """Numbers of the places with borrowers, row by row; the others take the nearest one's."""
    known = np.argwhere(counts > 0)
    cells = np.empty(counts.shape, dtype=np.int64)
    for place in np.ndindex(*counts.shape):
        cells[place] = int(np.abs(known - np.array(place)).sum(axis=1).argmin())
    return cells


def _ordered(groups: npt.NDArray[np.int64], ordered: int) -> int:
    return int(groups[:ordered].max()) + 1 if ordered else 0
