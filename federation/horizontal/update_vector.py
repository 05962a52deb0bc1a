"""What a bank contributes to a sum: test counts, scaling sums, or its weighted update.

An update's vector is [figures ‖ share·update]: integers over agreed ranges. The update's range
follows the last round's (`next_range`), and what a bank's own numbers lost to rounding or clipping
is added to its next update (error feedback; Karimireddy et al., ICML 2019), so nothing is lost for
good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.aggregation.layout import VectorLayout
from federation.neural.evaluation import MOST_LOSS
from federation.neural.scaling import MOST_ROWS, Scaling
from federation.neural.schema import InputSchema

Vector = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

FIRST_RANGE = 0.5
# Of the update norm bound: below it, a range has no use.
SMALLEST_RANGE = 2.0**-20
# Room above the mean of the banks' largest coordinates; what does not fit waits a round.
HEADROOM = 2.0


@dataclass(frozen=True)
class Figures:
    """Figures of one bank, or their sums over the contributing banks.

    Attributes:
        share: of all training rows.
        share_squared: its square: the sum is 1/(effective number of banks).
        largest: largest coordinate of the weighted update, over the update's range of the round.
        training_loss, validation_loss: share times the mean log-loss; 0 where privacy forbids them.
    """

    share: float
    share_squared: float
    largest: float
    training_loss: float = 0.0
    validation_loss: float = 0.0

    def to_vector(self) -> Vector:
        """As numbers from 0 up; see `FIGURE_RANGES`."""
        return np.array(
            [
                self.share,
                self.share_squared,
                self.largest,
                self.training_loss,
                self.validation_loss,
            ]
        )

    @classmethod
    def from_vector(cls, vector: Vector) -> Figures:
        """Back, also from a sum over banks."""
        share, squared, largest, training, validation = vector.tolist()
        return cls(share, squared, largest, training, validation)


# A coordinate this many times over the range is told as that: the range grows so fast at most.
MOST_GROWTH = 16.0
FIGURE_RANGES = np.array([1.0, 1.0, MOST_GROWTH, MOST_LOSS, MOST_LOSS])
FIGURES = len(FIGURE_RANGES)


def _bounds(parameters: int, update_range: float) -> tuple[Vector, Vector]:
    high = np.concatenate([FIGURE_RANGES, np.full(parameters, update_range)])
    low = np.concatenate([np.zeros(FIGURES), np.full(parameters, -update_range)])
    return low, high


def encode_update(
    layout: VectorLayout, figures: Figures, weighted: Vector, update_range: float
) -> tuple[Words, Vector]:
    """A bank's contribution.

    Args:
        layout: of `FIGURES` + p values.
        figures: this bank's.
        weighted: its update times its share, with the remainder of earlier rounds (p,).
        update_range: coordinates beyond ± this are clipped.

    Returns:
        The slots, and the remainder (p,) that did not fit in.
    """
    values = np.concatenate([figures.to_vector(), weighted])
    quantised = layout.quantise(values, *_bounds(len(weighted), update_range))
    return layout.pack(quantised.integers), weighted - quantised.encoded()[FIGURES:]


def decode_update(
    layout: VectorLayout, slots: Words, banks: int, step: int, update_range: float
) -> tuple[Figures, Vector]:
    """The sums of figures and of weighted updates (p,) of so many banks.

    Raises:
        ProtocolError: a bank encoded what no honest one can have.
    """
    parameters = layout.length - FIGURES
    sums = layout.dequantise(
        layout.unpack(slots, banks, step), *_bounds(parameters, update_range), banks
    )
    return Figures.from_vector(sums[:FIGURES]), sums[FIGURES:]


def largest_of(weighted: Vector, update_range: float) -> float:
    """The figure `largest` of a weighted update."""
    return min(float(np.abs(weighted).max()) / update_range, MOST_GROWTH)


def next_range(figures: Figures, update_range: float, norm_bound: float) -> float:
    """The range of the next round's updates, the same at all banks: it follows from the sums."""
    # Equal banks: the mean of their largest coordinates; one bank with nearly all rows: its own.
    mean_of_largest = figures.largest * figures.share_squared / figures.share**2
    wanted = HEADROOM * mean_of_largest * update_range
    return float(np.clip(wanted, SMALLEST_RANGE * norm_bound, norm_bound))


def statistics_bounds(schema: InputSchema, private: bool) -> tuple[Vector, Vector]:
    """Lowest and highest values of a bank's first contribution: training rows, scaling sums.

    Under privacy, scaling comes from public bounds, and only the rows are counted.
    """
    ranges = np.array([[0.0, MOST_ROWS]])
    if not private:
        ranges = np.concatenate([ranges, Scaling.statistics_ranges(schema)])
    return ranges[:, 0], ranges[:, 1]
