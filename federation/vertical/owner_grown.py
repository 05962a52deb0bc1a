"""Boosted trainings of a vertical session whose trees are grown at their owners, at both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np

from federation.boosting.gradients import VALUE_BOUND
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart
from federation.boosting.owner_feature import OwnerFeatureFit
from federation.boosting.owner_feature import train as train_feature_party
from federation.boosting.owner_label import OWN_TURN, event_of, unbiased_labels
from federation.boosting.owner_label import train as train_label_party
from federation.boosting.results import BoostedLabelFit, Given
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError
from federation.linear_maps.growing import GrowingFeatureSide, GrowingLabelSide
from federation.linear_maps.parameters import MINIMUM_BORROWERS
from federation.privacy.events import LABEL
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import MapOffer, MapSeed
from federation.session.machine import Progress, Release, Send, Step, expect
from federation.vertical.boosted_bins import layout_of, map_key, partner_part
from federation.vertical.borrowers import BinnedRows
from federation.vertical.feature_trainings import FeatureTrainings
from federation.vertical.label_trainings import LabelTrainings


def train_at_label_party(
    own: LabelTrainings,
    settings: BoostedSettings,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Step, object, BoostedLabelFit]:
    """The label party's side, its test scores included."""
    started = clock()
    plan, partners, columns = own.plan, own.plan.feature_parties, len(own.labels)
    if columns < MINIMUM_BORROWERS:
        raise InputError(
            f"{columns:,} borrowers to train on are too few for trees grown at their owners, which "
            f"need {MINIMUM_BORROWERS:,}; align more, or train the additive model"
        )
    yield Progress("set-up", 0.1, "binning")
    binned = BinnedRows.of(own.columns, own.parts, settings.bins)
    local = LocalBins(layout_of(binned), binned.fit, binned.test)
    maps = {}
    for party in partners:
        context = plan.map_context(own.keeper.alignment, party, map_key(settings))
        maps[party] = GrowingLabelSide(columns, VALUE_BOUND, context)
        offer = yield from expect(party, MapOffer)
        yield Send(party, "map_seed", maps[party].accept(offer))
    flips = event_of(settings)
    what = (
        f"training '{settings.name}': labels after randomised response, as sums over the nodes of "
        f"trees grown at their owners, to {', '.join(partners)}"
    )
    yield Release(Expenditure(flips, LABEL, own.run, what))
    ready = clock()
    fit = yield from train_label_party(
        unbiased_labels(own.labels, flips.epsilon),
        np.argsort(np.argsort(own.rows[own.fit])),
        local,
        plan.label_party,
        maps,
        int((~own.fit).sum()),
        settings,
        own.features,
    )
    part = BoostedPart(
        party=plan.label_party,
        session=plan.session,
        training=settings.name,
        binnings=binned.binnings,
        labels=binned.labels,
        splits=fit.splits,
        intercept=fit.intercept,
        trees=fit.trees,
        owner_grown=True,
    )
    own_test = part.forest().scores({plan.label_party: local.test_bits(fit.splits)})
    outputs = (settings.trees - settings.trees // OWN_TURN) * columns
    return BoostedLabelFit(
        part,
        fit.rounds,
        len(fit.rounds),
        fit.scores,
        part.intercept + own_test + fit.partner_test_scores,
        {
            party: Given(0, 0, 0, 0, outputs=outputs, sums_learned=fit.sums[party])
            for party in partners
        },
        label_epsilon=settings.label_epsilon,
        seconds={"set-up": ready - started, "trees": clock() - ready},
    )


def train_at_feature_party(
    own: FeatureTrainings, settings: BoostedSettings
) -> Generator[Step, object, tuple[BoostedPart, OwnerFeatureFit, BinnedRows]]:
    """A feature party's side, its test scores included."""
    yield Progress("set-up", 0.1, "binning")
    binned = BinnedRows.of(own.columns, own.parts, settings.bins)
    binned.check_some()
    local = LocalBins(layout_of(binned), binned.fit, binned.test)
    context = own.plan.map_context(own.keeper.alignment, own.party, map_key(settings))
    side = GrowingFeatureSide(local.borrowers, VALUE_BOUND, context, own.cores)
    yield Send(own.label_party, "map_offer", side.offer())
    side.accept((yield from expect(own.label_party, MapSeed)))
    fit = yield from train_feature_party(
        local, side, own.masks, own.label_party, own.party, settings
    )
    part = partner_part(own, settings, binned, fit.splits)
    part = replace(part, trees=fit.trees, owner_grown=True)
    return part, fit, binned
