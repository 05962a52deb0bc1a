"""DP-SGD: a record moves a step by at most C, the noise has its variance, steps are as planned."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from federation.errors import InputError
from federation.metrics.scalars import auc
from federation.neural import private_training
from federation.neural.models import build
from federation.neural.noise import SystemNoise
from federation.neural.private_training import sampling_rate, steps_a_round, train_privately
from federation.neural.scaling import Scaling
from federation.neural.settings import NeuralSettings
from federation.neural.weights import flatten, load, predict
from tests.federation.neural.tables import SCHEMA, borrowers, small

COLUMNS, LABELS = borrowers(60)
INPUTS = Scaling.from_public_bounds(SCHEMA).encode(COLUMNS)
ARCHITECTURES = ("mlp", "gru", "lstm")
Numbers = npt.NDArray[np.float64]


class _Scripted:
    """No noise, and the same records in every step."""

    def __init__(self, drawn: npt.NDArray[np.bool_]) -> None:
        self.drawn = drawn
        self.deviations = 0

    def normal(self, count: int) -> Numbers:
        self.deviations += count
        return np.zeros(count)

    def uniform(self, count: int) -> Numbers:
        return np.where(self.drawn, 1e-9, 1.0)


def _settings(architecture: str, **values: Any) -> NeuralSettings:
    chosen = {
        "record_epsilon": 1.0,
        "local_optimiser": "sgd",
        "learning_rate": 1.0,
        "momentum": 0.0,
    }
    return small(architecture=architecture, sampling_rate=0.5, **chosen | values)


def _trained(settings: NeuralSettings) -> Any:
    """A network whose gradients are long: with weights of its own, unlike the first ones."""
    network = build(settings, SCHEMA)
    size = len(flatten(network))
    load(network, np.random.default_rng(7).normal(0, 0.5, size).astype(np.float32))
    return network


def _gradient_sum(settings: NeuralSettings, network: Any, drawn: npt.NDArray[np.bool_]) -> Any:
    """The sum of clipped gradients of the drawn records, read off a step without noise."""
    update = train_privately(network, INPUTS, LABELS, settings, 1e-9, 1, _Scripted(drawn))
    return -update.delta.astype(np.float64) * 0.5 * len(LABELS)


@pytest.mark.parametrize("bound", [0.01, 0.3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_record_moves_the_sum_by_at_most_the_bound(architecture: str, bound: float) -> None:
    """With and without it, other records the same; and long gradients come to the bound itself."""
    settings = _settings(architecture, max_grad_norm=bound)
    network = _trained(settings)
    everybody = np.ones(60, np.bool_)
    total = _gradient_sum(settings, network, everybody)
    moves = []
    for record in range(8):
        without = everybody.copy()
        without[record] = False
        moves.append(np.linalg.norm(total - _gradient_sum(settings, network, without)))
    assert max(moves) <= bound * 1.001 + 1e-4
    if bound == 0.01:
        assert min(moves) > bound * 0.9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_short_gradients_are_not_clipped(architecture: str) -> None:
    """Under a bound that none reaches, the step is the plain gradient step."""
    settings = _settings(architecture, max_grad_norm=1000.0)
    network = _trained(settings)
    clipped = _gradient_sum(settings, network, np.ones(60, np.bool_))
    from torch import from_numpy, nn

    from federation.neural.weights import ordered_parameters, tensors

    target = from_numpy(LABELS.astype(np.float32))
    nn.BCEWithLogitsLoss(reduction="sum")(network(*tensors(INPUTS)), target).backward()
    plain = np.concatenate(
        [
            value.grad.numpy().ravel()
            for _, value in ordered_parameters(network)
            if value.grad is not None
        ]
    )
    np.testing.assert_allclose(clipped, plain, atol=2e-3 * np.abs(plain).max())


@pytest.mark.parametrize("architecture", ["mlp", "gru"])
def test_a_step_without_records_adds_noise_like_any_other(architecture: str) -> None:
    """Its variance is (σ·C / mean records)², on every parameter."""

    class Empty(SystemNoise):
        def uniform(self, count: int) -> Numbers:
            return np.ones(count) if count == len(LABELS) else super().uniform(count)

    settings = _settings(architecture, max_grad_norm=0.7, learning_rate=0.1)
    network = _trained(settings)
    deltas = [
        train_privately(network, INPUTS, LABELS, settings, 2.0, 1, Empty()).delta for _ in range(12)
    ]
    drawn = np.concatenate(deltas).astype(np.float64)
    expected = 0.1 * 2.0 * 0.7 / (0.5 * 60)
    assert drawn.std() == pytest.approx(expected, rel=0.05)
    assert abs(drawn.mean()) < 6 * expected / np.sqrt(drawn.size)
    assert np.var(deltas, axis=0).min() > 0


@pytest.mark.parametrize("architecture", ["mlp", "lstm"])
def test_noise_comes_on_top_of_gradients(architecture: str) -> None:
    """The spread over repetitions of one step is the stated one, records and all."""
    settings = _settings(architecture, max_grad_norm=1.0, learning_rate=1.0)
    network = _trained(settings)

    class Same(SystemNoise):
        def uniform(self, count: int) -> Numbers:
            return np.full(count, 1e-9) if count == len(LABELS) else super().uniform(count)

    deltas = np.array(
        [
            train_privately(network, INPUTS, LABELS, settings, 3.0, 1, Same()).delta
            for _ in range(15)
        ],
        dtype=np.float64,
    )
    assert np.sqrt(deltas.var(axis=0, ddof=1).mean()) == pytest.approx(3.0 / 30, rel=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_planned_steps_are_taken(architecture: str) -> None:
    """Each draws noise for every parameter, whether it drew records or not; no loss is told."""
    settings = _settings(architecture)
    network = build(settings, SCHEMA)
    source = _Scripted(np.zeros(60, np.bool_))
    update = train_privately(network, INPUTS, LABELS, settings, 1.0, 7, source)
    assert update.steps == 7
    assert update.loss is None
    assert source.deviations == 7 * len(flatten(network))
    np.testing.assert_array_equal(update.delta, 0.0)


def test_records_are_drawn_each_with_the_rate() -> None:
    """Independently: the number drawn is binomial, and no two steps draw alike."""
    counts = []

    class Counting(SystemNoise):
        def uniform(self, count: int) -> Numbers:
            drawn = super().uniform(count)
            if count == len(LABELS):
                counts.append(int((drawn <= 0.5).sum()))
            return drawn

    settings = _settings("mlp", hidden=(), embedding_size=1)
    network = build(settings, SCHEMA)
    train_privately(network, INPUTS, LABELS, settings, 1.0, 200, Counting())
    assert len(counts) == 200
    assert stats.binomtest(sum(counts), 200 * 60, 0.5).pvalue > 1e-6
    assert 0.6 < np.var(counts) / (60 * 0.25) < 1.6


def test_system_noise_is_standard_normal_and_never_the_same() -> None:
    """Kolmogorov-Smirnov test and variance; odd counts too."""
    drawn = SystemNoise().normal(20_001)
    assert drawn.shape == (20_001,)
    assert stats.kstest(drawn, "norm").pvalue > 1e-6
    assert drawn.var() == pytest.approx(1.0, abs=0.06)
    assert not np.array_equal(drawn[:50], SystemNoise().normal(50))
    uniform = SystemNoise().uniform(10_000)
    assert uniform.min() > 0
    assert uniform.max() <= 1
    assert SystemNoise().normal(0).shape == (0,)


def test_fedprox_pulls_here_too() -> None:
    """After the noise, which it does not change: it depends on no record."""
    lengths = []
    for mu in (0.0, 0.5):
        settings = _settings("mlp", proximal_mu=mu, learning_rate=0.5)
        source = _Scripted(np.ones(60, np.bool_))
        update = train_privately(
            build(settings, SCHEMA), INPUTS, LABELS, settings, 1e-9, 40, source
        )
        lengths.append(np.linalg.norm(update.delta))
    assert lengths[1] < 0.8 * lengths[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_large_steps_are_taken_in_pieces(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same outcome: pieces are clipped and added up, and noise comes once."""
    settings = _settings(architecture, momentum=0.9)
    network = _trained(settings)
    drawn = np.arange(60) % 4 > 0
    updates, numbers = [], []
    for most in (1000, 20, 45):
        monkeypatch.setattr(private_training, "_MOST_RECORDS_AT_ONCE", most)
        source = _Scripted(drawn)
        update = train_privately(network, INPUTS, LABELS, settings, 1.0, 3, source)
        updates.append(update.delta)
        numbers.append(source.deviations)
    np.testing.assert_allclose(updates[1], updates[0], atol=1e-5)
    np.testing.assert_allclose(updates[2], updates[0], atol=1e-5)
    assert len(set(numbers)) == 1


@pytest.mark.parametrize("architecture", ["mlp", "gru"])
def test_private_training_learns(architecture: str) -> None:
    """With a little noise, and the model it started from is untouched."""
    columns, labels = borrowers(600)
    inputs = Scaling.from_public_bounds(SCHEMA).encode(columns)
    settings = _settings(architecture, learning_rate=0.5, momentum=0.9)
    network = build(settings, SCHEMA)
    before = flatten(network)
    update = train_privately(network, inputs, labels, settings, 0.5, 40)
    np.testing.assert_array_equal(flatten(network), before)
    load(network, before + update.delta)
    assert auc(labels, predict(network, inputs)) > 0.75


def test_what_is_planned_for_a_round() -> None:
    """From the sampling rate, or from the batch size and the rows."""
    settings = small(record_epsilon=1.0, sampling_rate=0.25, local_epochs=2.5)
    assert (sampling_rate(settings, 999), steps_a_round(settings, 999)) == (0.25, 10)
    settings = small(record_epsilon=1.0, batch_size=40, local_epochs=1.0)
    assert (sampling_rate(settings, 400), steps_a_round(settings, 400)) == (0.1, 10)
    assert sampling_rate(settings, 40) == 1.0


def test_training_without_noise_or_privacy_is_refused() -> None:
    """A mistake of the program, and one of the settings."""
    settings = _settings("mlp")
    network = build(settings, SCHEMA)
    for sigma, steps in ((0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)):
        with pytest.raises(ValueError, match="positive"):
            train_privately(network, INPUTS, LABELS, settings, sigma, steps)
    with pytest.raises(InputError, match="record_epsilon is not set"):
        train_privately(network, INPUTS, LABELS, small(), 1.0, 1)
    with pytest.raises(InputError, match="training rows defaulted"):
        train_privately(network, INPUTS, LABELS * 0, settings, 1.0, 1)
