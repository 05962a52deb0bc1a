"""What both sides of a boosted training derive alike from its settings and bins."""

from __future__ import annotations

import os

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.model_part import SALT_BYTES, BoostedPart, Split
from federation.boosting.settings import BoostedSettings
from federation.vertical.borrowers import BinnedRows
from federation.vertical.feature_trainings import FeatureTrainings


def layout_of(binned: BinnedRows) -> BinLayout:
    """The bins of a party's features, without what they hold."""
    return BinLayout(tuple(FeatureBins(b.bins, b.ordered_bins) for b in binned.binnings))


def partner_part(
    own: FeatureTrainings, settings: BoostedSettings, binned: BinnedRows, splits: tuple[Split, ...]
) -> BoostedPart:
    """A feature party's part of a boosted model, salted, with its splits alone."""
    return BoostedPart(
        party=own.party,
        session=own.plan.session,
        training=settings.name,
        binnings=binned.binnings,
        labels=binned.labels,
        splits=splits,
        salt=os.urandom(SALT_BYTES).hex(),
    )


def map_key(settings: BoostedSettings) -> str:
    """Binds a map to its training: every boosted training has a map of its own."""
    return f"boosted\0{settings.name}\0{settings.bins}"
