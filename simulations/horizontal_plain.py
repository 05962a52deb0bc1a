"""The banks' rounds in one process with plain sums: no encryption, no masks, no messages.

The reference that encrypted runs are measured against, and the tool to choose settings with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.metrics import scalars
from federation.neural.evaluation import EarlyStopping, log_loss_sums, mean_log_loss
from federation.neural.local_training import clip_norm, train_locally
from federation.neural.models import build
from federation.neural.private_training import sampling_rate, steps_a_round, train_privately
from federation.neural.scaling import Inputs, Scaling
from federation.neural.schema import InputSchema
from federation.neural.server_optimiser import ServerOptimiser
from federation.neural.settings import NeuralSettings, check_trainable
from federation.neural.weights import NeuralModel, flatten, load, predict
from federation.privacy import noise_multiplier_for
from federation.schema import FeatureColumn

Columns = Mapping[str, FeatureColumn]
Labels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class PlainResult:
    """What a run in plain sums came to.

    Attributes:
        model: the trained model.
        test_scores: its probabilities of default of the test rows.
        auc, ks: on the test rows.
        rounds: rounds that were trained.
        validation_losses: mean log-loss of each; empty under record-level privacy.
        excluded: index and reason of each bank that can't take part.
        noise_multipliers: σ of each bank that took part; empty without record-level privacy.
    """

    model: NeuralModel
    test_scores: npt.NDArray[np.float64]
    auc: float
    ks: float
    rounds: int
    validation_losses: tuple[float, ...]
    excluded: tuple[tuple[int, str], ...]
    noise_multipliers: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Bank:
    """One bank's rows: `fit` to train on, `held` for early stopping."""

    fit: Inputs
    fit_labels: Labels
    held: Inputs
    held_labels: Labels
    generator: np.random.Generator
    noise_multiplier: float


def plain_horizontal(
    banks: Sequence[tuple[Columns, Labels]],
    schema: InputSchema,
    settings: NeuralSettings,
    test: tuple[Columns, Labels],
) -> PlainResult:
    """Train one model on all banks' rows with sums in plain, and measure it on test rows.

    Args:
        banks: each bank's training columns and labels.
        schema: what they agree on.
        settings: of the training.
        test: columns and labels of the test rows.

    Raises:
        InputError: no bank can take part, or a column is wrong.
    """
    divided, excluded = [], []
    for index, (columns, labels) in enumerate(banks):
        fit_rows, held_rows = _divide(len(labels), settings, index)
        try:
            schema.check_columns(columns)
            check_trainable(labels[fit_rows], settings)
        except InputError as error:
            excluded.append((index, str(error)))
            continue
        divided.append((index, columns, labels, fit_rows, held_rows))
    if not divided:
        raise InputError(
            f"no bank can take part: {excluded[0][1] if excluded else 'there is none'}"
        )
    if settings.private:
        scaling = Scaling.from_public_bounds(schema)
    else:
        sums = [
            Scaling.statistics(_some(columns, fit_rows), schema)
            for _, columns, _, fit_rows, _ in divided
        ]
        scaling = Scaling.from_sums(schema, np.sum(sums, axis=0))
    members = []
    for index, columns, labels, fit_rows, held_rows in divided:
        inputs = scaling.encode(columns)
        members.append(
            _Bank(
                inputs.rows(fit_rows),
                labels[fit_rows],
                inputs.rows(held_rows),
                labels[held_rows],
                np.random.default_rng([settings.seed, index]),
                _noise_multiplier(len(fit_rows), settings),
            )
        )
    weights, losses = _train(members, schema, settings)
    model = NeuralModel(settings, schema, scaling, weights)
    scores = model.probabilities(test[0])
    return PlainResult(
        model,
        scores,
        scalars.auc(test[1], scores),
        scalars.ks(test[1], scores),
        len(losses) or settings.rounds,
        tuple(losses),
        tuple(excluded),
        tuple(bank.noise_multiplier for bank in members) if settings.private else (),
    )


def _train(
    banks: Sequence[_Bank], schema: InputSchema, settings: NeuralSettings
) -> tuple[npt.NDArray[np.float32], list[float]]:
    network = build(settings, schema)
    optimiser = ServerOptimiser(settings)
    weights = flatten(network)
    state = optimiser.init(len(weights))
    shares = np.array([len(bank.fit_labels) for bank in banks], dtype=np.float64)
    shares /= shares.sum()
    watches = not settings.private and settings.validation_share > 0
    stopping = EarlyStopping(settings.patience)
    best, losses = weights, []
    for _ in range(settings.rounds):
        deltas = [_update(network, bank, settings) for bank in banks]
        mean = sum(share * delta for share, delta in zip(shares, deltas, strict=True))
        state, weights = optimiser.apply(state, weights, np.asarray(mean))
        load(network, weights)
        if watches:
            sums = [log_loss_sums(predict(network, bank.held), bank.held_labels) for bank in banks]
            losses.append(mean_log_loss(np.sum(sums, axis=0)))
            stopping = stopping.after(losses[-1])
            if stopping.best_round == stopping.rounds:
                best = weights
            if stopping.stops:
                break
    return (best if stopping.stops else optimiser.final(state, weights)), losses


def _update(network: Any, bank: _Bank, settings: NeuralSettings) -> npt.NDArray[np.float64]:
    if settings.private:
        update = train_privately(
            network,
            bank.fit,
            bank.fit_labels,
            settings,
            bank.noise_multiplier,
            steps_a_round(settings, len(bank.fit_labels)),
        )
    else:
        update = train_locally(network, bank.fit, bank.fit_labels, settings, bank.generator)
    return clip_norm(update.delta, settings.update_norm_bound).astype(np.float64)


def _divide(
    rows: int, settings: NeuralSettings, index: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions to train on and to stop early by; under record-level privacy all are trained on."""
    share = 0.0 if settings.private else settings.validation_share
    order = np.random.default_rng([settings.seed, index, 1]).permutation(rows)
    held = round(share * rows)
    return np.sort(order[held:]), np.sort(order[:held])


def _noise_multiplier(rows: int, settings: NeuralSettings) -> float:
    if settings.record_epsilon is None:
        return 0.0
    return _calibrated(
        settings.record_epsilon,
        settings.record_delta,
        sampling_rate(settings, rows),
        settings.rounds * steps_a_round(settings, rows),
    )


@cache
def _calibrated(epsilon: float, delta: float, rate: float, steps: int) -> float:
    return noise_multiplier_for(epsilon, delta, rate, steps)


def _some(columns: Columns, rows: npt.NDArray[np.int64]) -> dict[str, FeatureColumn]:
    return {
        name: FeatureColumn(column.spec, column.values[rows], column.present[rows])
        for name, column in columns.items()
    }
