"""The trainings of a vertical session at a feature party: bins, map, and each kind's role."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block, Codes
from federation.additive.feature_party import FeaturePartyFit, send_partial_scores, train
from federation.additive.model_part import ModelPart
from federation.additive.pair_table import PairTable
from federation.additive.settings import AdditiveSettings
from federation.alignment import ABSENT_ROW
from federation.linear_maps import (
    Direction,
    FeatureSide,
    OneHotMatrix,
    feature_side,
    scheme_for,
)
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import MapSeed
from federation.quantisation import RESIDUAL_SCALE
from federation.schema import FeatureColumn
from federation.session.machine import Progress, Send, Step, expect
from federation.split.part import NetworkPart
from federation.split.settings import BlindSettings, Sequences, SplitSettings
from federation.vertical.borrowers import BinnedRows, BorrowerTable
from federation.vertical.exact_sums import main_sums
from federation.vertical.fallbacks import Fit
from federation.vertical.feature_pairs import PreparedPairs, prepare_pairs, train_pairs
from federation.vertical.kept_maps import MapKeeper, most_queries
from federation.vertical.paired_rows import pair_key
from federation.vertical.plan import TEST, SessionPlan
from federation.vertical.trainings import OverBins, bin_settings

if TYPE_CHECKING:  # torch is imported by a split training only
    from federation.split.feature_party import SplitFeatureFit


@dataclass(frozen=True)
class Prepared:
    """What trainings of one key share: the own bins and the map; a blind one has its encoder."""

    binned: BinnedRows
    block: Block
    omitted: Codes
    side: FeatureSide
    encoder: NetworkPart | None
    declared: bool  # whether the declared features are among the binned ones


@dataclass(frozen=True)
class FeatureTrainings:
    """A feature party's side of the trainings of one session, on one alignment."""

    table: BorrowerTable
    columns: list[FeatureColumn]
    rows: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.uint8]
    sequences: Sequences
    party: str
    label_party: str
    plan: SessionPlan
    masks: PairwiseMasks
    keeper: MapKeeper
    cores: int = 1  # threads that make a hint
    paired: dict[str, PreparedPairs] = field(default_factory=dict, repr=False)  # by training

    @property
    def fit(self) -> npt.NDArray[np.bool_]:
        """Which aligned borrowers are of the fit."""
        inside: npt.NDArray[np.bool_] = self.parts != TEST
        return inside

    def prepare(self, training: OverBins, key: str) -> Generator[Step, object, Prepared]:
        """Bins, by way of an encoder in a blind training, and the map."""
        settings = bin_settings(training)
        columns, encoder = self.columns, None
        if isinstance(training, BlindSettings):
            yield Progress("set-up", 0.05, "pre-training the encoder")
            encoder, made = self._encode(training)
            columns = [*columns, *made] if training.encoder.declared_features else made
        yield Progress("set-up", 0.1, "binning")
        most_sums = main_sums(self.plan, key, int(self.fit.sum()))
        binned = BinnedRows.of(columns, self.parts, settings.bins, most_sums)
        if binned.max_bins < settings.bins:
            words = f"{binned.max_bins} bins a feature instead of {settings.bins}: exact sums"
            yield Progress("set-up", 0.2, f"{words} allow {most_sums} sums")
        binned.check_some()
        block = Block(binned.terms(), binned.fit, self.rows[self.fit])
        matrix, omitted = block.one_hot()
        queries = most_queries(self.plan.fits, key, self.party)
        side = yield from self.map_of(matrix, key, queries)
        declared = not isinstance(training, BlindSettings) or training.encoder.declared_features
        return Prepared(binned, block, omitted, side, encoder, declared)

    def map_of(
        self, matrix: OneHotMatrix, key: str, queries: int
    ) -> Generator[Step, object, FeatureSide]:
        """The kept map of these bins, if both sides have it, or a new one with its hint.

        Args:
            matrix: the bins, or the cells of pairs.
            key: of the map.
            queries: most that it may be asked.
        """
        context = self.plan.map_context(self.keeper.alignment, self.party, key)
        resumed = self.keeper.feature_side(key, matrix, context, queries)
        if resumed is not None:
            yield Send(self.label_party, "map_offer", resumed.kept_offer())
            if (yield from expect(self.label_party, MapSeed)).kept:
                yield Progress("set-up", 1.0, "the kept map goes on: no bin has changed since")
                return resumed
        side = feature_side(
            scheme_for(matrix.columns),
            matrix,
            Direction.TO_OWNER,
            RESIDUAL_SCALE,
            self.keeper.noise_bound,
            context,
            self.cores,
        )
        yield from self.open_map(side, matrix.rows)
        return side

    def open_map(self, side: FeatureSide, rows: int) -> Generator[Step, object, None]:
        """Offer a new map of so many rows, and send its hint."""
        yield Send(self.label_party, "map_offer", side.offer())
        seed = yield from expect(self.label_party, MapSeed)
        for hint_block in side.accept(seed):
            yield Send(self.label_party, "hint_block", hint_block)
            done = (hint_block.first_row + hint_block.rows) / rows
            yield Progress("set-up", 0.2 + 0.8 * done, f"hint row {hint_block.first_row:,}")

    def keep(self, prepared: Mapping[str, Prepared]) -> None:
        """Keep the maps for later sessions, by their keys; a blind training's bins never return."""
        for key, ready in prepared.items():
            if ready.encoder is None:
                self.keeper.keep_feature_side(key, ready.side)
        for training in self.plan.trainings:
            paired = self.paired.get(training.name)
            if isinstance(training, AdditiveSettings) and paired and paired.side:
                self.keeper.keep_feature_side(pair_key(training), paired.side)

    def _encode(self, training: BlindSettings) -> tuple[NetworkPart, list[FeatureColumn]]:
        """Pre-train on the whole table but the test borrowers; embed the aligned ones."""
        from federation.split.blind import embedding_columns, pretrain

        seen = np.ones(len(self.table.identifiers), dtype=np.bool_)
        tested = self.rows[~self.fit]
        seen[tested[tested != ABSENT_ROW]] = False
        encoder = pretrain(
            self.table.features,
            self.sequences,
            seen,
            training.encoder,
            self.party,
            self.plan.session,
            training.name,
        )
        return encoder, embedding_columns(encoder, self.columns)

    def train_over_bins(
        self, fit: Fit, ready: Prepared
    ) -> Generator[Step, object, tuple[ModelPart, FeaturePartyFit]]:
        """An additive or blind training, or a fallback of one, its test scores included."""
        if not isinstance(fit.training, OverBins):
            raise ValueError(f"'{fit.name}' is not a training over bins")
        settings = bin_settings(fit.training)
        masks = self.masks.among(fit.parties)
        fitted = yield from train(
            ready.block,
            ready.omitted,
            ready.side,
            masks,
            self.label_party,
            fit.name,
            settings.max_rounds,
        )
        weights, scores = fitted.weights, ready.block.scores(fitted.weights, ready.binned.test)
        tables: tuple[PairTable, ...] = ()
        if settings.pairs:
            paired = self.paired.get(fit.training.name)
            if paired is None:
                paired = yield from prepare_pairs(self, fit.training, ready, weights)
                self.paired[fit.training.name] = paired
            fitted = yield from train_pairs(
                self, fit, masks, ready, paired, fitted, settings.max_rounds
            )
            scores = scores + paired.block.scores(fitted.weights, paired.rows.test)
            tables = paired.rows.tables(fitted.weights)
        yield send_partial_scores(scores, masks, self.label_party, fit.name, "test")
        part = ready.binned.model_part(
            self.party, self.plan.session, fit.name, weights, pairs=tables
        )
        return part, fitted

    def train_split(self, settings: SplitSettings) -> Generator[Step, object, SplitFeatureFit]:
        """A split training, its test embeddings included."""
        from federation.split.feature_party import train as train_split

        return (
            yield from train_split(
                self.columns,
                self.sequences,
                self.fit,
                self.rows,
                self.masks,
                self.party,
                self.label_party,
                self.plan.session,
                settings,
            )
        )
