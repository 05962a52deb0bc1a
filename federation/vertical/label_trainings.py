"""The trainings of a vertical session at the label party: bins, maps, and each kind's role."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.alone import fit_alone, with_intercept
from federation.additive.block import Block
from federation.additive.label_party import LabelPartyFit, receive_partial_scores, train
from federation.additive.pair_table import PairTable
from federation.additive.settings import AdditiveSettings
from federation.additive.terms import INTERCEPT
from federation.linear_maps import scheme_for
from federation.privacy.calibration import check_target
from federation.quantisation import RoundingDraws
from federation.schema import FeatureColumn
from federation.scoring import alone_name
from federation.session.machine import Progress, Step
from federation.split.settings import BlindSettings, Sequences, SplitSettings
from federation.vertical.borrowers import BinnedRows
from federation.vertical.exact_sums import main_sums
from federation.vertical.fallbacks import Fit
from federation.vertical.kept_maps import MapKeeper, most_queries
from federation.vertical.label_maps import LabelMaps, MapRules, set_up_maps
from federation.vertical.label_pairs import PreparedPairs, prepare_pairs
from federation.vertical.paired_rows import PairedRows, pair_key
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
    maps: LabelMaps


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
    paired: dict[str, PreparedPairs] = field(default_factory=dict, repr=False)  # by training

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
        parties = self.plan.feature_parties
        rules = MapRules(
            key=key,
            columns=len(self.labels),
            queries={party: most_queries(self.plan.fits, key, party) for party in parties},
            features={party: partner_features(training, self.features[party]) for party in parties},
            most_sums=main_sums(self.plan, key, len(self.labels)),
        )
        maps = yield from set_up_maps(self.plan, self.keeper, rules)
        return Prepared(binned, block, maps)

    def keep(self, prepared: Mapping[str, Prepared]) -> None:
        """Keep the maps for later sessions; a blind training's bins never return."""
        blind = {bin_key(t) for t in self.plan.trainings if isinstance(t, BlindSettings)}
        for key, ready in prepared.items():
            if key in blind:
                continue
            ready.maps.kept_by(self.keeper, key)
        for training in self.plan.trainings:
            paired = self.paired.get(training.name)
            if isinstance(training, AdditiveSettings) and paired:
                paired.maps.kept_by(self.keeper, pair_key(training))

    def train_over_bins(
        self, one: Fit, ready: Prepared, main: LabelPartyFit | None = None
    ) -> Generator[Step, object, tuple[LabelPartyFit, FittedVariant]]:
        """An additive or blind training, or a fallback of one.

        Args:
            one: with which feature parties.
            ready: what trainings of its key share.
            main: of a fallback, the training itself: its penalty holds, and its noise serves.
        """
        if not isinstance(one.training, OverBins):
            raise ValueError(f"'{one.name}' is not a training over bins")
        settings = bin_settings(one.training)
        mains = (main.mains or main) if main is not None else None
        if mains is not None:
            strength = mains.rounds[-1].ridge / settings.ridge
            settings = replace(settings, penalty_path=(strength,))
        fit = yield from self._fit(one, settings, ready.block, ready.maps, mains)
        block, test = ready.block, with_intercept(ready.binned.test)
        weights = fit.weights[1:]
        tables: tuple[PairTable, ...] = ()
        if settings.pairs:
            paired = self.paired.get(one.training.name)
            if paired is None:
                paired = yield from prepare_pairs(self, one.training, ready, weights)
                self.paired[one.training.name] = paired
            block, test = paired.block, paired.test
            fit = yield from self._fit(one, settings, block, paired.maps, main, fit)
            weights = fit.weights[1 : ready.block.size]
            tables = paired.rows.tables(fit.weights[ready.block.size :])
        theirs = yield from receive_partial_scores(one.parties, "test", int((~self.fit).sum()))
        plan, intercept = self.plan, float(fit.weights[0])
        part = ready.binned.model_part(
            plan.label_party, plan.session, one.name, weights, intercept, tables
        )
        own, own_test = block.scores(fit.weights), block.scores(fit.weights, test)
        return fit, FittedVariant.of(one.name, one.parties, part, fit, own, own_test, theirs)

    def _fit(
        self,
        one: Fit,
        settings: AdditiveSettings,
        block: Block,
        maps: LabelMaps,
        main: LabelPartyFit | None,
        mains: LabelPartyFit | None = None,
    ) -> Generator[Step, object, LabelPartyFit]:
        """The rounds of the main terms, or of the pairs on top of `mains`."""
        places = self.rows[self.fit]
        return (
            yield from train(
                self.labels,
                self.parts[self.fit] == VALIDATION,
                block,
                {party: maps.sides[party] for party in one.parties},
                maps.rows,
                settings,
                total_features(one.training, self.features, self.plan.label_party),
                self.run,
                RoundingDraws(self.plan.split.seed, np.argsort(np.argsort(places))),
                one.name,
                main.drawn if main else None,
                mains,
            )
        )

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
        """The additive model of the own features only, at the strengths that were declared.

        With pairs of them, if the training has pairs.
        """
        settings = map_settings(training) or AdditiveSettings()
        binned = ready.binned if ready else BinnedRows.of(self.columns, self.parts, settings.bins)
        strengths = settings.smoothness, settings.ridge
        fit = fit_alone(binned.terms(), binned.fit, self.labels, binned.test, *strengths)
        tables: tuple[PairTable, ...] = ()
        last = fit.weights.size
        if settings.pairs:
            rows = PairedRows.of(binned, fit.weights[1:], settings)
            terms = [*binned.terms(), *rows.terms()]
            fit = fit_alone(terms, rows.joined_fit, self.labels, rows.joined_test, *strengths)
            tables = rows.tables(fit.weights[last:])
        party, name = self.plan.label_party, alone_name(training.name, self.plan.label_party)
        intercept = float(fit.weights[0])
        part = binned.model_part(
            party, self.plan.session, name, fit.weights[1:last], intercept, tables
        )
        nothing, nothing_test = np.zeros(fit.scores.size), np.zeros(fit.test_scores.size)
        return FittedVariant(name, (), part, fit.scores, nothing, fit.test_scores, nothing_test, 0)
