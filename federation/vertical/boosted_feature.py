"""Boosted trainings of a vertical session at a feature party."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from federation.boosting.feature_party import BoostedFeatureFit
from federation.boosting.feature_party import train as train_trees
from federation.boosting.gradients import VALUE_BOUND
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart
from federation.boosting.order import record_event, send_codes, take_model
from federation.boosting.owner_feature import OwnerFeatureFit
from federation.boosting.partner_bins import Shapes
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.linear_maps import Direction, feature_side, scheme_for, without_fullest
from federation.privacy.events import RECORD
from federation.privacy.ledger import Expenditure
from federation.session.machine import Progress, Release, Send, Step
from federation.vertical.boosted_bins import layout_of, map_key, partner_part
from federation.vertical.borrowers import BinnedRows
from federation.vertical.feature_trainings import FeatureTrainings
from federation.vertical.owner_grown import train_at_feature_party


def train_boosted(
    own: FeatureTrainings, settings: BoostedSettings
) -> Generator[Step, object, tuple[BoostedPart, BoostedFeatureFit | OwnerFeatureFit, BinnedRows]]:
    """A boosted training, its test bits included."""
    if settings.disclosure is Disclosure.OWNER:
        return (yield from train_at_feature_party(own, settings))
    yield Progress("set-up", 0.1, "binning")
    binned = BinnedRows.of(own.columns, own.parts, settings.bins)
    binned.check_some()
    layout = layout_of(binned)
    local = LocalBins(layout, binned.fit, binned.test)
    epsilon = settings.order_epsilon
    event = record_event(epsilon, len(layout.features))
    what = f"{_given(settings)} '{settings.name}', to {own.label_party}"
    yield Release(Expenditure(event, RECORD, own.plan.session, what))
    if settings.disclosure is Disclosure.ORDER:
        # which bin is fullest would be told without any noise
        shapes = Shapes.of(layout, [0] * len(layout.features))
        yield Send(own.label_party, "bin_shapes", shapes.to_message())
        yield from send_codes(binned.fit, binned.test, layout, own.label_party, epsilon)
        fit = yield from take_model(layout, own.label_party, own.party, settings)
    else:
        bins = [feature.bins for feature in layout.features]
        matrix, omitted = without_fullest(binned.fit, bins)
        yield Send(own.label_party, "bin_shapes", Shapes.of(layout, omitted).to_message())
        side = feature_side(
            scheme_for(matrix.columns),
            matrix,
            Direction.TO_LABEL_PARTY,
            VALUE_BOUND,
            0,
            own.plan.map_context(own.keeper.alignment, own.party, map_key(settings)),
            own.cores,
        )
        yield from own.open_map(side, matrix.rows)
        fit = yield from train_trees(local, side, own.label_party, own.party, settings)
    part = replace(partner_part(own, settings, binned, fit.splits), order_epsilon=epsilon)
    return part, fit, binned


def _given(settings: BoostedSettings) -> str:
    """What leaves of this party's records, for its ledger."""
    if settings.disclosure is Disclosure.BINS:
        return "sums over bins and split bits of the training"
    if settings.order_epsilon is None:
        return "the bin codes for the training"
    return f"bin codes, each perturbed with ε = {settings.order_epsilon:g}, for the training"
