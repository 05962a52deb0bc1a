"""Log-odds brought to scale from a noisy histogram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.neural.calibration import (
    BINS,
    MOST_LOG_ODDS,
    calibrated,
    fit,
    log_odds_histogram,
)
from federation.neural.models import build
from federation.neural.scaling import Scaling
from federation.neural.schema import InputSchema, NumericInput
from federation.neural.settings import NeuralSettings
from federation.neural.weights import flatten, load, tensors
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec


def _borrowers(slope: float, intercept: float, seed: int = 3, count: int = 20_000):
    """Log-odds that are wrong by slope and intercept, and outcomes drawn from the right ones."""
    generator = np.random.default_rng(seed)
    shown = generator.normal(-1.0, 1.5, count)
    labels = generator.random(count) < 1 / (1 + np.exp(-(slope * shown + intercept)))
    return 1 / (1 + np.exp(-shown)), labels.astype(np.uint8)


@pytest.mark.parametrize(("slope", "intercept"), [(0.4, -0.2), (1.0, 0.0), (2.0, 0.7)])
def test_slope_and_intercept_are_found(slope: float, intercept: float) -> None:
    """The fit recovers what the outcomes were drawn with, up to bins and sampling."""
    found = fit(log_odds_histogram(*_borrowers(slope, intercept)))
    assert found == pytest.approx((slope, intercept), abs=0.08)


@pytest.mark.parametrize(("rows", "deviation"), [(24_000, 64), (24_000, 22), (3_600, 19)])
def test_noise_of_a_run_leaves_the_fit_usable(rows: int, deviation: float) -> None:
    """With the noise of some banks on the counts, slope and intercept still help."""
    counts = log_odds_histogram(*_borrowers(0.4, -0.2, count=rows))
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, deviation, len(counts))
        slope, intercept = fit(counts + noise.astype(np.int64), deviation)
        assert 0.2 < slope < 0.65
        assert -0.7 < intercept < 0.4


def test_noise_without_borrowers_is_not_fitted() -> None:
    """Where noise is all there is, the log-odds stay about as they are."""
    noise = np.random.default_rng(5).normal(0, 40, 2 * BINS).astype(np.int64)
    slope, intercept = fit(noise, 1000.0)
    assert (slope, intercept) == (1.0, 0.0)


@given(st.lists(st.integers(-200, 500), min_size=2 * BINS, max_size=2 * BINS))
@settings(max_examples=60, deadline=None)
def test_any_counts_give_numbers_in_range(counts: list[int]) -> None:
    """Noise may make counts negative or absurd; slope and intercept stay finite and bounded."""
    slope, intercept = fit(np.array(counts, dtype=np.int64))
    assert 1 / 16 <= slope <= 5
    assert abs(intercept) <= 5
    assert slope * 2**10 == int(slope * 2**10)


def test_empty_counts_change_next_to_nothing() -> None:
    """Without anybody to learn from, the log-odds stay as they are."""
    assert fit(np.zeros(2 * BINS, dtype=np.int64)) == (1.0, 0.0)


def test_a_borrower_is_one_count_wherever_the_log_odds_lie() -> None:
    """One borrower more adds 1 to one count: the sensitivity that the noise is made for."""
    scores = np.array([0.0, 1.0, 0.5, 1e-9, 1 - 1e-9])
    labels = np.array([0, 1, 1, 0, 1])
    whole = log_odds_histogram(scores, labels)
    assert whole.sum() == 5
    for index in range(5):
        rest = log_odds_histogram(np.delete(scores, index), np.delete(labels, index))
        assert np.abs(whole - rest).sum() == 1


def test_calibrated_weights_scale_the_log_odds() -> None:
    """The network with the new weights says slope times the old log-odds plus the intercept."""
    schema = InputSchema((NumericInput("income", "NTD", 0.0, 1e6),))
    chosen = NeuralSettings(hidden=(4,))
    values = np.linspace(0, 1e6, 50)
    column = FeatureColumn(
        FeatureSpec("income", FeatureKind.NUMERIC), values, np.ones(50, dtype=np.bool_)
    )
    inputs = Scaling.from_public_bounds(schema).encode({"income": column})
    network = build(chosen, schema)
    weights = flatten(network)
    generator = np.random.default_rng(0)
    weights = (weights + generator.normal(0, 1, len(weights))).astype(np.float32)
    load(network, weights)
    before = network(*tensors(inputs)).detach().numpy()
    load(network, calibrated(chosen, schema, weights, 0.5, -0.25))
    after = network(*tensors(inputs)).detach().numpy()
    np.testing.assert_allclose(after, 0.5 * before - 0.25, rtol=1e-4, atol=1e-5)
    assert np.abs(before).max() < 100 * MOST_LOG_ODDS
