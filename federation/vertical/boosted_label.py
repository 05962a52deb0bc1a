"""Boosted trainings of a vertical session at the label party."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from federation.boosting.gradients import VALUE_BOUND
from federation.boosting.label_party import (
    BoostedFit,
    Borrowers,
)
from federation.boosting.label_party import train as train_trees
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart
from federation.boosting.order import receive_codes
from federation.boosting.partner_bins import EXTRA_BINS, PartnerBins, Shapes
from federation.boosting.results import BoostedLabelFit, Given
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.boosting.split_messages import receive_bits, send_model
from federation.boosting.transcript import TranscriptRecorder
from federation.errors import ProtocolError
from federation.linear_maps import Direction, LabelSide, label_side, scheme_for
from federation.privacy.events import LABEL, Exact
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import BinShapes, MapOffer
from federation.session.machine import Progress, Release, Send, Step, expect
from federation.vertical.boosted_bins import layout_of, map_key
from federation.vertical.borrowers import BinnedRows
from federation.vertical.label_maps import take_hints
from federation.vertical.label_trainings import LabelTrainings
from federation.vertical.owner_grown import train_at_label_party
from federation.vertical.plan import VALIDATION

Vector = npt.NDArray[np.float64]
# A transcript holds a byte a borrower and vector, and eight a sum; larger ones are not kept.
LARGEST_TRANSCRIPT = 256 * 1024 * 1024


def train_boosted(
    own: LabelTrainings,
    settings: BoostedSettings,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Step, object, BoostedLabelFit]:
    """A boosted training, its test scores included."""
    if settings.disclosure is Disclosure.OWNER:
        return (yield from train_at_label_party(own, settings, clock))
    started = clock()
    plan, partners = own.plan, own.plan.feature_parties
    yield Progress("set-up", 0.1, "binning")
    binned = BinnedRows.of(own.columns, own.parts, settings.bins)
    local = {plan.label_party: LocalBins(layout_of(binned), binned.fit, binned.test)}
    remote: dict[str, PartnerBins] = {}
    given: dict[str, Given] = {}
    most_bins = settings.bins + EXTRA_BINS
    in_fit, in_test = len(own.labels), int((~own.fit).sum())
    if settings.disclosure is Disclosure.ORDER:
        for party in partners:
            shapes = yield from _shapes(own, party, most_bins)
            codes = yield from receive_codes(party, shapes.layout, in_fit, in_test)
            local[party] = LocalBins(shapes.layout, *codes)
            given[party] = Given(0, 0, 0, 0, codes=sum(part.size for part in codes))
    else:
        remote = yield from _maps(own, settings, most_bins)
    borrowers = Borrowers(
        own.labels,
        own.parts[own.fit] == VALIDATION,
        np.argsort(np.argsort(own.rows[own.fit])),
    )
    what = f"the splits chosen for '{settings.name}', to {', '.join(partners)}"
    yield Release(Expenditure(Exact(), LABEL, own.run, what))
    ready = clock()
    fit = yield from train_trees(borrowers, local, remote, settings)
    seconds = {"set-up": ready - started, "trees": clock() - ready}
    for party in partners:
        yield send_model(party, fit.splits[party], len(fit.rounds))
    bits = {party: bins.test_bits(fit.splits[party]) for party, bins in local.items()}
    for party in remote:
        bits[party] = yield from receive_bits(party, "test", len(fit.splits[party]), in_test)
    part = _part(own, settings, binned, fit)
    return BoostedLabelFit(
        part,
        fit.rounds,
        fit.best_round,
        fit.scores,
        part.intercept + part.forest().scores(bits),
        given | dict(fit.given),
        {party: p.recorder.transcript() for party, p in remote.items() if p.recorder is not None},
        seconds=seconds,
    )


def _part(
    own: LabelTrainings, settings: BoostedSettings, binned: BinnedRows, fit: BoostedFit
) -> BoostedPart:
    party = own.plan.label_party
    return BoostedPart(
        party=party,
        session=own.plan.session,
        training=settings.name,
        binnings=binned.binnings,
        labels=binned.labels,
        splits=fit.splits[party],
        intercept=fit.intercept,
        trees=fit.trees,
        split_counts={name: len(s) for name, s in fit.splits.items() if name != party},
    )


def _shapes(own: LabelTrainings, party: str, most_bins: int) -> Generator[Step, object, Shapes]:
    """What a partner says of its bins, of no more features than it declared."""
    shapes = Shapes.from_message((yield from expect(party, BinShapes)), party, most_bins)
    found, declared = len(shapes.layout.features), own.features[party]
    if found > declared:
        raise ProtocolError(
            f"{party} describes the bins of {found} features, but declared {declared}"
        )
    return shapes


def _maps(
    own: LabelTrainings, settings: BoostedSettings, most_bins: int
) -> Generator[Step, object, dict[str, PartnerBins]]:
    """A map with every partner, its direction to the label party."""
    columns = len(own.labels)
    vectors = settings.trees * 2**settings.depth
    shapes: dict[str, Shapes] = {}
    sides: dict[str, LabelSide] = {}
    for party in own.plan.feature_parties:
        shapes[party] = yield from _shapes(own, party, most_bins)
        offer = yield from expect(party, MapOffer)
        side = label_side(
            scheme_for(columns),
            columns,
            Direction.TO_LABEL_PARTY,
            VALUE_BOUND,
            0,
            own.plan.map_context(own.keeper.alignment, party, map_key(settings)),
        )
        if offer.rows_sent != shapes[party].rows:
            raise ProtocolError(
                f"{party} offers a map of {offer.rows_sent} rows for bins that have "
                f"{shapes[party].rows}"
            )
        yield Send(party, "map_seed", side.accept(offer))
        sides[party] = side
    yield from take_hints(sides, {party: one.rows for party, one in shapes.items()}, len(sides))
    found: dict[str, PartnerBins] = {}
    for party, side in sides.items():
        layout = shapes[party].layout
        recorded = vectors * (columns + 8 * layout.cells) <= LARGEST_TRANSCRIPT
        recorder = TranscriptRecorder(columns, layout.features) if recorded else None
        found[party] = PartnerBins(party, shapes[party], side, recorder)
    return found
