"""What both sides of a boosted training derive alike from its settings and bins."""

from __future__ import annotations

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.settings import BoostedSettings
from federation.vertical.borrowers import BinnedRows


def layout_of(binned: BinnedRows) -> BinLayout:
    """The bins of a party's features, without what they hold."""
    return BinLayout(tuple(FeatureBins(b.bins, b.ordered_bins) for b in binned.binnings))


def map_key(settings: BoostedSettings) -> str:
    """Binds a map to its training: every boosted training has a map of its own."""
    return f"boosted\0{settings.name}\0{settings.bins}"
