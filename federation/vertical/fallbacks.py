"""Fallbacks: fits of a training with only some of the feature parties, for when others are silent.

A fit over fewer parties uses the same bins, maps and, under label noise, the same noisy label sums
as the training itself, so it releases nothing more of the labels than that did. But where a single
feature party is left, its partial scores are no longer hidden in a sum: the label party sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from federation.scoring import variant_name
from federation.vertical.trainings import OverBins, Training

# Among more feature parties, only sets that lack one of them, and each of them alone, are fitted.
MOST_FOR_ALL_SETS = 3


class Fallbacks(StrEnum):
    """Which sets of partners get a fit of their own; the label party alone always has one."""

    EVERY = "every"  # sets of one feature party too
    MASKED = "masked"  # sets of two or more, in which partial scores stay hidden in a sum
    ALONE = "alone"  # none: the label party alone answers when any partner is silent


@dataclass(frozen=True)
class Fit:
    """One fit of a training.

    Attributes:
        training: its settings.
        name: the training's name, or the fallback's.
        parties: the feature parties that take part.
    """

    training: Training
    name: str
    parties: tuple[str, ...]


def fallback_sets(
    feature_parties: tuple[str, ...], fallbacks: Fallbacks
) -> tuple[tuple[str, ...], ...]:
    """The sets of feature parties with a fit of their own, the larger first."""
    names, count = sorted(feature_parties), len(feature_parties)
    sizes = list(range(count - 1, 0, -1)) if count <= MOST_FOR_ALL_SETS else [count - 1, 1]
    fewest = {Fallbacks.EVERY: 1, Fallbacks.MASKED: 2, Fallbacks.ALONE: count}[fallbacks]
    return tuple(some for size in sizes if size >= fewest for some in combinations(names, size))


def fits_of(
    training: Training, feature_parties: tuple[str, ...], fallbacks: Fallbacks
) -> tuple[Fit, ...]:
    """A training's fits in their order: itself with all feature parties, then its fallbacks.

    A split training has no fallbacks: its network takes the sum of all embeddings. A boosted one
    needs none: its trees average over the answers of who is silent.
    """
    main = Fit(training, training.name, feature_parties)
    if not isinstance(training, OverBins):
        return (main,)
    return (
        main,
        *(
            Fit(training, variant_name(training.name, some), some)
            for some in fallback_sets(feature_parties, fallbacks)
        ),
    )
