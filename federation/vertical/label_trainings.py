"""The trainings of a vertical session at the label party: bins, maps, and each kind's role."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.alone import fit_alone, with_intercept
from federation.additive.block import Block
from federation.additive.label_party import LabelPartyFit, receive_partial_scores, train
from federation.additive.settings import AdditiveSettings
from federation.additive.terms import INTERCEPT
from federation.errors import ProtocolError
from federation.linear_maps import Direction, LabelSide, label_side, scheme_for
from federation.privacy.calibration import check_target
from federation.proto.session_pb2 import HintBlock, MapOffer, MapSeed
from federation.quantisation import RESIDUAL_SCALE, RoundingDraws
from federation.schema import FeatureColumn
from federation.scoring import alone_name
from federation.session.machine import Progress, Send, Step, expect
from federation.split.settings import BlindSettings, Sequences, SplitSettings
from federation.vertical.borrowers import BinnedRows, most_exact_sums
from federation.vertical.fallbacks import Fit
from federation.vertical.kept_maps import MapKeeper, most_queries
from federation.vertical.plan import TEST, VALIDATION, SessionPlan
from federation.vertical.trainings import (
    OverBins,
    Training,
    bin_key,
    bin_settings,
    map_settings,
    partner_features,
    total_features,
)
from federation.vertical.variants import FittedVariant

if TYPE_CHECKING:  # torch is imported by a split training only
    from federation.split.label_party import SplitLabelFit

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """What trainings of one key share: own bins, and a map with each partner."""

    binned: BinnedRows
    block: Block  # with the intercept as its first term
    maps: Mapping[str, LabelSide]
    map_rows: Mapping[str, int]
    map_features: Mapping[str, int]  # that have rows in the map


@dataclass(frozen=True)
class LabelTrainings:
    """The label party's side of the trainings of one session, on one alignment.

    Attributes:
        columns, rows, parts: of all aligned borrowers.
        labels: of the borrowers of the fit.
    """

    columns: list[FeatureColumn]
    rows: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.uint8]
    labels: Vector
    sequences: Sequences
    plan: SessionPlan
    features: Mapping[str, int]
    keeper: MapKeeper
    run: str

    def __post_init__(self) -> None:
        """Refuse a δ at which some borrower's label could be given away whole.

        Raises:
            InputError: it is not below one over the borrowers of the fit.
        """
        for training in self.plan.trainings:
            if training.label_epsilon is not None:
                epsilon, delta = training.label_epsilon, training.label_delta
                check_target(epsilon, delta, len(self.labels), "labels")

    @property
    def fit(self) -> npt.NDArray[np.bool_]:
        """Which aligned borrowers are of the fit."""
        inside: npt.NDArray[np.bool_] = self.parts != TEST
        return inside

    def prepare(self, training: OverBins, key: str) -> Generator[Step, object, Prepared]:
        """Bin the own features and set a map up with every partner."""
        settings = bin_settings(training)
        scheme = scheme_for(len(self.labels))
        if scheme != "lattice":
            words = f"{len(self.labels)} borrowers to train on are too few for the lattice map"
            yield Progress("set-up", 0.0, f"{words}; elgamal serves")
        yield Progress("set-up", 0.1, "binning")
        binned = BinnedRows.of(self.columns, self.parts, settings.bins)
        block = Block([INTERCEPT, *binned.terms()], with_intercept(binned.fit), self.rows[self.fit])
        maps: dict[str, LabelSide] = {}
        map_rows: dict[str, int] = {}
        map_features: dict[str, int] = {}
        for party in self.plan.feature_parties:
            maps[party], offer = yield from self._map(training, key, party)
            map_rows[party], map_features[party] = int(offer.rows_sent), int(offer.features)
        for place, (party, side) in enumerate(maps.items()):
            while not side.ready:
                block_of_hint = yield from expect(party, HintBlock)
                side.take_hint(block_of_hint)
                taken = (block_of_hint.first_row + block_of_hint.rows) / map_rows[party]
                yield Progress(
                    "set-up", 0.2 + 0.8 * (place + taken) / len(maps), f"hint of {party}"
                )
        yield Progress("set-up", 1.0, f"{sum(map_rows.values())} bins of partners are ready")
        return Prepared(binned, block, maps, map_rows, map_features)

    def _map(
        self, training: OverBins, key: str, party: str
    ) -> Generator[Step, object, tuple[LabelSide, MapOffer]]:
        """The kept map that a partner offers, if it is kept here too, or the start of a new one."""
        context = self.plan.map_context(self.keeper.alignment, party, key)
        columns = len(self.labels)
        offer = yield from expect(party, MapOffer)
        self._check_offer(training, key, party, offer)
        if offer.kept_map:
            name, queries = _map_name(party, key), most_queries(self.plan.fits, key, party)
            resumed = self.keeper.label_side(name, offer, columns, context, queries)
            yield Send(party, "map_seed", MapSeed(kept=resumed is not None))
            if resumed is not None:
                return resumed, offer
            offer = yield from expect(party, MapOffer)
            self._check_offer(training, key, party, offer)
        side = label_side(
            scheme_for(columns),
            columns,
            Direction.TO_OWNER,
            RESIDUAL_SCALE,
            self.keeper.noise_bound,
            context,
        )
        yield Send(party, "map_seed", side.accept(offer))
        return side, offer

    def keep(self, prepared: Mapping[str, Prepared]) -> None:
        """Keep the maps for later sessions; a blind training's bins never return."""
        blind = {bin_key(t) for t in self.plan.trainings if isinstance(t, BlindSettings)}
        for key, ready in prepared.items():
            if key in blind:
                continue
            for party, side in ready.maps.items():
                name = _map_name(party, key)
                self.keeper.keep_label_side(name, side, ready.map_features[party])

    def _check_offer(self, training: OverBins, key: str, party: str, offer: MapOffer) -> None:
        # The label noise is calibrated to the features that a partner declared.
        most = partner_features(training, self.features[party])
        if offer.features > most:
            raise ProtocolError(
                f"{party} offers a map of {offer.features} features, but declared {most}"
            )
        if not self.plan.exact_at(key):
            return
        most = most_exact_sums(len(self.labels)) // self.plan.exact_maps
        if offer.rows_sent > most:
            raise ProtocolError(
                f"{party} offers {offer.rows_sent} sums over {len(self.labels)} borrowers; exact "
                f"sums allow {most}"
            )

    def train_over_bins(
        self, one: Fit, ready: Prepared, main: LabelPartyFit | None = None
    ) -> Generator[Step, object, tuple[LabelPartyFit, FittedVariant]]:
        """An additive or blind training, or a fallback of one.

        Args:
            one: with which feature parties.
            ready: what trainings of its key share.
            main: of a fallback, the training itself: its penalty holds, and its noise serves.
        """
        settings = map_settings(one.training)
        if settings is None:
            raise ValueError(f"'{one.name}' is not a training over bins")
        if main is not None:
            strength = main.rounds[-1].ridge / settings.ridge
            settings = replace(settings, penalty_path=(strength,))
        plan = self.plan
        places = self.rows[self.fit]
        fit = yield from train(
            self.labels,
            self.parts[self.fit] == VALIDATION,
            ready.block,
            {party: ready.maps[party] for party in one.parties},
            ready.map_rows,
            settings,
            total_features(one.training, self.features, plan.label_party),
            self.run,
            RoundingDraws(plan.split.seed, np.argsort(np.argsort(places))),
            one.name,
            main.drawn if main else None,
        )
        theirs = yield from receive_partial_scores(one.parties, "test", int((~self.fit).sum()))
        own = ready.block.scores(fit.weights)
        own_test = ready.block.scores(fit.weights, with_intercept(ready.binned.test))
        part = ready.binned.model_part(
            plan.label_party, plan.session, one.name, fit.weights[1:], float(fit.weights[0])
        )
        return fit, FittedVariant.of(one.name, one.parties, part, fit, own, own_test, theirs)

    def train_split(self, settings: SplitSettings) -> Generator[Step, object, SplitLabelFit]:
        """A split training."""
        from federation.split.label_party import train as train_split

        return (
            yield from train_split(
                self.labels,
                self.parts[self.fit] == VALIDATION,
                self.columns,
                self.sequences,
                self.fit,
                self.rows,
                self.plan.feature_parties,
                self.plan.label_party,
                self.plan.session,
                settings,
                self.run,
            )
        )

    def alone(self, training: Training, ready: Prepared | None = None) -> FittedVariant:
        """The additive model of the own features only, at the strengths that were declared."""
        settings = map_settings(training) or AdditiveSettings()
        binned = ready.binned if ready else BinnedRows.of(self.columns, self.parts, settings.bins)
        fit = fit_alone(
            binned.terms(),
            binned.fit,
            self.labels,
            binned.test,
            settings.smoothness,
            settings.ridge,
        )
        party, name = self.plan.label_party, alone_name(training.name, self.plan.label_party)
        intercept = float(fit.weights[0])
        part = binned.model_part(party, self.plan.session, name, fit.weights[1:], intercept)
        nothing, nothing_test = np.zeros(fit.scores.size), np.zeros(fit.test_scores.size)
        return FittedVariant(name, (), part, fit.scores, nothing, fit.test_scores, nothing_test, 0)


def _map_name(party: str, key: str) -> str:
    return f"{party}\0{key}"
