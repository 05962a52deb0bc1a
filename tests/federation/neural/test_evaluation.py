"""Figures from sums: histograms give AUC and KS, loss sums the mean; patience ends a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from federation.metrics import scalars
from federation.neural.evaluation import (
    MOST_LOSS,
    EarlyStopping,
    auc_ks,
    log_loss_sums,
    mean_log_loss,
    score_histogram,
)


@given(st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_histograms_agree_with_exact_figures_of_binned_scores(rows: int, seed: int) -> None:
    """Summed over two banks."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    labels[:2] = [0, 1]
    scores = rng.random(rows)
    half = rows // 2
    counts = score_histogram(scores[:half], labels[:half]) + score_histogram(
        scores[half:], labels[half:]
    )
    assert counts.sum() == rows
    binned = np.floor(scores * 1000)
    auc, ks = auc_ks(counts)
    assert auc == pytest.approx(scalars.auc(labels, binned))
    assert ks == pytest.approx(scalars.ks(labels, binned))


def test_the_ends_of_the_scale_are_scores() -> None:
    """0 falls in the first bin, 1 in the last."""
    counts = score_histogram(np.array([0.0, 1.0]), np.array([0, 1]), bins=4)
    assert counts.tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert auc_ks(counts) == (1.0, 1.0)


@pytest.mark.parametrize("scores", [[np.nan, 0.5], [1.1, 0.5], [-0.1, 0.5]])
def test_what_is_no_probability_is_refused(scores: Any) -> None:
    """NaN too."""
    with pytest.raises(InputError, match="not a probability"):
        score_histogram(np.array(scores), np.array([0, 1]))


@pytest.mark.parametrize("counts", [[1, 0, 0, 0], [0, 0, 1, 1], [1, 2, 3], [1, -1, 1, 0]])
def test_histograms_of_one_class_or_broken_ones_are_refused(counts: Any) -> None:
    """There is no AUC of them."""
    with pytest.raises(InputError, match="score histogram"):
        auc_ks(np.array(counts))


def test_loss_sums_add_up_to_the_mean() -> None:
    """Over banks of different sizes."""
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, 100), rng.random(100)
    sums = log_loss_sums(scores[:30], labels[:30]) + log_loss_sums(scores[30:], labels[30:])
    assert mean_log_loss(sums) == pytest.approx(scalars.log_loss(labels, scores))
    sure = log_loss_sums(np.array([0.0]), np.array([1]))
    assert sure.tolist() == [1.0, MOST_LOSS]


@pytest.mark.parametrize("sums", [[0.0, 0.0], [np.nan, 1.0], [1.0, np.inf], [1.0]])
def test_losses_over_nobody_are_refused(sums: Any) -> None:
    """There is no mean of them."""
    with pytest.raises(InputError, match="mean log-loss"):
        mean_log_loss(np.array(sums))


def test_training_stops_after_rounds_without_a_better_loss() -> None:
    """As many as the patience says; the best round is known."""
    stopping = EarlyStopping(patience=2)
    for loss in (0.7, 0.6, 0.65):
        stopping = stopping.after(loss)
        assert not stopping.stops
    stopping = stopping.after(0.6)
    assert stopping.stops
    assert (stopping.best_round, stopping.best_loss, stopping.rounds) == (2, 0.6, 4)
    endless = EarlyStopping(patience=0)
    for _ in range(20):
        endless = endless.after(1.0)
    assert not endless.stops
