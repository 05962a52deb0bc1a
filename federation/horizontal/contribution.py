"""What a bank computes for the next step: scaling sums, a round's update, or test counts."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from federation.aggregation.client import SecureSumClient
from federation.aggregation.layout import VectorLayout
from federation.aggregation.sum_ciphers import sum_cipher
from federation.horizontal.client_noise import ClientNoise
from federation.horizontal.client_state import CALIBRATION, EVALUATION, STATISTICS, BankState
from federation.horizontal.plan import EVALUATION_BINS, HorizontalPlan
from federation.horizontal.rows import TEST, TRAINING, VALIDATION, BankRows
from federation.horizontal.update_vector import (
    FIGURES,
    Figures,
    encode_update,
    largest_of,
    statistics_bounds,
)
from federation.neural.calibration import log_odds_histogram
from federation.neural.evaluation import log_loss_sums, mean_log_loss, score_histogram
from federation.neural.local_training import LocalUpdate, clip_norm, train_locally
from federation.neural.models import DefaultNetwork, build
from federation.neural.private_training import sampling_rate, steps_a_round, train_privately
from federation.neural.scaling import Inputs, Scaling
from federation.neural.settings import check_trainable
from federation.neural.weights import flatten, load, predict
from federation.privacy import (
    CLIENT,
    RECORD,
    Event,
    Exact,
    SampledGaussian,
    Unit,
    check_target,
    noise_multiplier_for,
)

Words = npt.NDArray[np.uint64]
Spend = Callable[[Event, Unit, str], None]


class Contributor:
    """Computes one bank's contributions.

    Args:
        plan: what the banks agreed on.
        bank: its name.
        rows: reads its table.
        spend: enters a privacy event in its ledger, or refuses.
    """

    def __init__(
        self, plan: HorizontalPlan, bank: str, rows: Callable[[], BankRows], spend: Spend
    ) -> None:
        """Nothing is read yet."""
        self.plan = plan
        self.bank = bank
        self._read = rows
        self._spend = spend
        self._rows: BankRows | None = None

    @property
    def rows(self) -> BankRows:
        """The bank's rows; where nothing stops early, validation rows train too."""
        if self._rows is None:
            rows = self._read()
            self._rows = rows if self.plan.stops_early else rows.without_validation()
        return self._rows

    def check(self) -> None:
        """Refuse rows that can't be trained on, before anything leaves.

        Raises:
            InputError: too few rows, one class, a batch larger than the data, or a δ too large.
        """
        _, labels = self.rows.part(TRAINING)
        check_trainable(labels, self.plan.settings)
        if self.plan.settings.record_epsilon is not None:
            check_target(
                self.plan.settings.record_epsilon, self.plan.settings.record_delta, len(labels)
            )
        if self.plan.client_epsilon is not None:
            banks = len(self.plan.banks)
            check_target(self.plan.client_epsilon, self.plan.client_delta, banks, "banks")

    def planned_events(self, noise_multiplier: float) -> list[tuple[Event, Unit]]:
        """The privacy events of the whole run, if it takes all its rounds.

        Every unit has its own: noise that protects records hides no bank, and what protects a whole
        bank protects each of its records too, though less.
        """
        events: list[tuple[Event, Unit]] = list(self._exact_events())
        rounds = self.plan.settings.rounds
        if self.plan.settings.record_epsilon is not None:
            _, labels = self.rows.part(TRAINING)
            rate, steps = self._sampling(len(labels))
            events.append((SampledGaussian(noise_multiplier, rate, steps * rounds), RECORD))
        if self.plan.calibration_noise is not None:
            events.append((self.plan.calibration_noise.event, RECORD))
        if self.plan.client_epsilon is not None:
            parameters = len(flatten(build(self.plan.settings, self.plan.schema)))
            cipher = sum_cipher(self.plan.scheme, len(self.plan.banks))
            layout = VectorLayout(parameters, cipher.modulus, cipher.clients)
            events += self._client_events(ClientNoise(self.plan, layout)) * rounds
        return events

    def _exact_events(self) -> list[tuple[Event, Unit]]:
        """What no noise of this run protects."""
        units = []
        if not self.plan.is_private:
            units.append(RECORD)
        if self.plan.client_epsilon is None:
            units.append(CLIENT)
        return [(Exact(), unit) for unit in units]

    def _client_events(self, noise: ClientNoise) -> list[tuple[Event, Unit]]:
        """What one noisy sum of updates costs."""
        events: list[tuple[Event, Unit]] = [(noise.event, CLIENT)]
        if self.plan.settings.record_epsilon is None:
            events.append((noise.record_event, RECORD))
        return events

    def slots(self, state: BankState, secure_sum: SecureSumClient) -> Words:
        """The slots of the next contribution; of one that is tried again, the same.

        Raises:
            InputError: training diverged, or the privacy budget has no room.
        """
        wanted = f"{state.phase} {state.rounds}"
        if state.slots_of != wanted:
            state.slots, state.slots_of = self._fresh_slots(state, secure_sum), wanted
        return state.slots

    def _fresh_slots(self, state: BankState, secure_sum: SecureSumClient) -> Words:
        if state.phase == STATISTICS:
            for event, unit in self._exact_events():
                what = "updates without noise for this unit, in sums over the banks"
                if unit is RECORD:
                    what = "scaling sums, updates and test counts without noise, in sums over banks"
                self._spend(event, unit, what)
            return self._statistics(secure_sum)
        if state.phase == CALIBRATION:
            return self._calibration_counts(state, secure_sum)
        if state.phase == EVALUATION:
            return self._test_counts(state, secure_sum)
        return self._update(state, secure_sum)

    def _statistics(self, secure_sum: SecureSumClient) -> Words:
        """Training rows, then (without privacy) the sums that scaling needs.

        Under client-level privacy all banks weigh the same: each counts as one row.
        """
        columns, labels = self.rows.part(TRAINING)
        values = np.array([1.0 if self.plan.client_epsilon is not None else float(len(labels))])
        if not self.plan.is_private:
            values = np.concatenate([values, Scaling.statistics(columns, self.plan.schema)])
        layout = secure_sum.layout(len(values), fields=1)
        bounds = statistics_bounds(self.plan.schema, self.plan.is_private)
        return layout.pack(layout.quantise(values, *bounds).integers)

    def _calibration_counts(self, state: BankState, secure_sum: SecureSumClient) -> Words:
        """Training rows by log-odds and outcome, with noise of this bank's own."""
        noise = self.plan.calibration_noise
        if noise is None:
            raise ValueError("this run is not calibrated")
        inputs, labels = self._inputs(state, TRAINING)
        counts = log_odds_histogram(predict(self._model(state), inputs), labels)
        self._spend(noise.event, RECORD, "noisy counts by log-odds and outcome, for calibration")
        return secure_sum.layout(len(counts), fields=1).pack(noise.encode(counts))

    def _test_counts(self, state: BankState, secure_sum: SecureSumClient) -> Words:
        inputs, labels = self._inputs(state, TEST)
        counts = score_histogram(predict(self._model(state), inputs), labels, EVALUATION_BINS)
        return secure_sum.layout(len(counts), fields=1).pack(counts.astype(np.uint64))

    def _update(self, state: BankState, secure_sum: SecureSumClient) -> Words:
        inputs, labels = self._inputs(state, TRAINING)
        model = self._model(state)
        validation_loss = self._validation_loss(state, model)
        update = self._train(state, model, inputs, labels)
        delta = clip_norm(update.delta, self.plan.settings.update_norm_bound).astype(np.float64)
        state.clipped += bool((delta != update.delta).any())
        if self.plan.client_epsilon is not None:
            layout = secure_sum.layout(len(delta), fields=2)
            noise = ClientNoise(self.plan, layout)
            for event, unit in self._client_events(noise):
                self._spend(event, unit, f"round {state.rounds + 1}: noisy sum of updates")
            return noise.encode(delta)
        share = len(labels) / state.total_rows
        weighted = share * delta + state.remainder
        figures = Figures(
            share,
            share**2,
            largest_of(weighted, state.update_range),
            share * (update.loss or 0.0),
            share * validation_loss,
        )
        layout = secure_sum.layout(FIGURES + len(delta), fields=2)
        slots, state.next_remainder = encode_update(layout, figures, weighted, state.update_range)
        return slots

    def _train(
        self, state: BankState, model: DefaultNetwork, inputs: Inputs, labels: npt.NDArray[np.uint8]
    ) -> LocalUpdate:
        settings = self.plan.settings
        if settings.record_epsilon is None:
            generator = np.random.default_rng([settings.seed, state.rounds, *self.bank.encode()])
            return train_locally(model, inputs, labels, settings, generator)
        rate, steps = self._sampling(len(labels))
        event = SampledGaussian(state.noise_multiplier, rate, steps)
        self._spend(event, RECORD, f"round {state.rounds + 1}: DP-SGD")
        return train_privately(model, inputs, labels, settings, state.noise_multiplier, steps)

    def _sampling(self, rows: int) -> tuple[float, int]:
        """The rate at which DP-SGD samples records, and its steps a round."""
        settings = self.plan.settings
        return sampling_rate(settings, rows), steps_a_round(settings, rows)

    def noise_multiplier(self) -> float:
        """Of DP-SGD, for ε over the whole run; 0 without record-level privacy."""
        settings = self.plan.settings
        if settings.record_epsilon is None:
            return 0.0
        _, labels = self.rows.part(TRAINING)
        rate, steps = self._sampling(len(labels))
        noise = self.plan.calibration_noise
        beside = () if noise is None else (noise.event,)
        return noise_multiplier_for(
            settings.record_epsilon,
            settings.record_delta,
            rate,
            steps * settings.rounds,
            beside=beside,
        )

    def _validation_loss(self, state: BankState, model: DefaultNetwork) -> float:
        inputs, labels = self._inputs(state, VALIDATION)
        if len(labels) == 0:
            return 0.0
        return mean_log_loss(log_loss_sums(predict(model, inputs), labels))

    def _inputs(self, state: BankState, part: int) -> tuple[Inputs, npt.NDArray[np.uint8]]:
        columns, labels = self.rows.part(part)
        return Scaling.from_json(json.loads(state.scaling), self.plan.schema).encode(
            columns
        ), labels

    def _model(self, state: BankState) -> DefaultNetwork:
        model = build(self.plan.settings, self.plan.schema)
        load(model, state.weights)
        return model
