"""What exact residual sums give away of single labels, and what caps it."""

from __future__ import annotations

import numpy as np
import pytest

from federation.additive.block import Block
from federation.errors import InputError
from federation.metrics import auc
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.vertical.borrowers import BinnedRows, most_exact_sums

BORROWERS = 2000
GENERATOR = np.random.default_rng(11)


def unrelated_features(count: int) -> list[FeatureColumn]:
    """Features that say nothing of any label."""
    present = np.ones(BORROWERS, dtype=np.bool_)
    return [
        FeatureColumn(
            FeatureSpec(f"x{number}", FeatureKind.NUMERIC),
            GENERATOR.normal(size=BORROWERS),
            present,
        )
        for number in range(count)
    ]


def labels_read(binned: BinnedRows, noise: float = 0.0) -> float:
    """AUC with which the partner ranks single labels: least squares on Xᵀr = its sums."""
    label = (GENERATOR.random(BORROWERS) < 0.2).astype(np.float64)
    block = Block(binned.terms(), binned.fit)
    sums = block.sums(label - label.mean()) + noise * GENERATOR.normal(size=block.size)
    one_hot = np.zeros((block.size, BORROWERS))
    for index, codes in enumerate(block.codes):
        one_hot[block.offsets[index] + codes, np.arange(BORROWERS)] = 1.0
    residuals = np.linalg.lstsq(one_hot, sums, rcond=1e-8)[0]
    return float(auc(label, residuals))


@pytest.fixture(scope="module")
def many() -> list[FeatureColumn]:
    """Enough features for as many sums as borrowers."""
    return unrelated_features(80)


@pytest.mark.slow
def test_as_many_exact_sums_as_borrowers_give_every_label_away(many: list[FeatureColumn]) -> None:
    """The attack works where nothing caps the number of sums."""
    parts = np.zeros(BORROWERS, dtype=np.uint8)
    binned = BinnedRows.of(many, parts, max_bins=32)
    assert binned.sums > BORROWERS
    assert labels_read(binned) > 0.99


def test_under_the_cap_single_labels_stay_blurred(many: list[FeatureColumn]) -> None:
    """Bins are coarsened until the sums are a twentieth of the borrowers."""
    parts = np.zeros(BORROWERS, dtype=np.uint8)
    cap = most_exact_sums(BORROWERS)
    binned = BinnedRows.of(many, parts, max_bins=32, most_sums=cap)
    assert 2 <= binned.max_bins < 32
    assert binned.sums <= cap == 100
    assert labels_read(binned) < 0.70


@pytest.mark.slow
def test_label_noise_blurs_them_even_without_the_cap(many: list[FeatureColumn]) -> None:
    """σ of ε = 2 with 81 features: the ranking of single labels is close to a coin's."""
    parts = np.zeros(BORROWERS, dtype=np.uint8)
    binned = BinnedRows.of(many, parts, max_bins=32)
    assert labels_read(binned, noise=19.4) < 0.65


def test_more_features_than_the_cap_are_refused() -> None:
    """Even two bins a feature are one sum a feature."""
    parts = np.zeros(BORROWERS, dtype=np.uint8)
    with pytest.raises(InputError, match="101 features are too many for exact sums over 2,000"):
        BinnedRows.of(unrelated_features(101), parts, max_bins=8, most_sums=100)
