"""Local training: it learns, repeats itself, leaves the model alone, and FedProx holds it back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from federation.errors import InputError
from federation.metrics.scalars import auc
from federation.neural.local_training import clip_norm, train_locally
from federation.neural.models import build
from federation.neural.scaling import Scaling
from federation.neural.weights import flatten, load, predict
from tests.federation.neural.tables import SCHEMA, borrowers, small

COLUMNS, LABELS = borrowers(400)
INPUTS = Scaling.from_sums(SCHEMA, Scaling.statistics(COLUMNS, SCHEMA)).encode(COLUMNS)


def _train(**values: Any) -> Any:
    settings = small(**values)
    network = build(settings, SCHEMA)
    return train_locally(network, INPUTS, LABELS, settings, np.random.default_rng(1))


@pytest.mark.parametrize("architecture", ["mlp", "gru", "lstm"])
def test_training_learns_and_repeats_itself(architecture: str) -> None:
    """The same generator gives the same update; the model it started from is untouched."""
    settings = small(
        architecture=architecture, local_epochs=8, learning_rate=0.02, local_optimiser="adam"
    )
    network = build(settings, SCHEMA)
    before = flatten(network)
    updates = [
        train_locally(network, INPUTS, LABELS, settings, np.random.default_rng(1)) for _ in range(2)
    ]
    np.testing.assert_array_equal(updates[0].delta, updates[1].delta)
    np.testing.assert_array_equal(flatten(network), before)
    assert updates[0].steps == 80
    load(network, before + updates[0].delta)
    assert auc(LABELS, predict(network, INPUTS)) > 0.8


def test_fedprox_pulls_towards_the_round_s_weights() -> None:
    """The larger μ, the shorter the way from them."""
    lengths = [
        float(np.linalg.norm(_train(proximal_mu=mu, local_epochs=5.0).delta))
        for mu in (0.0, 0.1, 1.0, 5.0)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 0.5 * lengths[0]


def test_fedprox_leaves_the_first_step_alone() -> None:
    """There the weights are still where the round began."""
    one = {"batch_size": 400, "local_epochs": 1.0}
    np.testing.assert_array_equal(
        _train(proximal_mu=0.0, **one).delta, _train(proximal_mu=3.0, **one).delta
    )


@pytest.mark.parametrize(
    ("epochs", "batch", "steps"), [(1, 40, 10), (0.25, 40, 2), (2, 300, 2), (0.001, 40, 1)]
)
def test_epochs_may_be_fractions(epochs: float, batch: int, steps: int) -> None:
    """At least one step."""
    assert _train(local_epochs=float(epochs), batch_size=batch).steps == steps


def test_the_loss_is_the_log_loss() -> None:
    """Of the first model, which says even odds: ln 2."""
    update = _train(batch_size=400, local_epochs=1.0)
    assert update.loss == pytest.approx(np.log(2))


def test_divergence_is_a_sentence() -> None:
    """Not a vector of NaN."""
    with pytest.raises(InputError, match="smaller model.learning_rate"):
        _train(learning_rate=100.0, local_optimiser="sgd", weight_decay=10.0, local_epochs=100.0)


def test_an_update_is_shortened_to_its_bound() -> None:
    """Longer ones keep their direction, shorter ones stay."""
    delta = np.array([3.0, -4.0], np.float32)
    np.testing.assert_allclose(clip_norm(delta, 1.0), [0.6, -0.8], rtol=1e-6)
    np.testing.assert_array_equal(clip_norm(delta, 5.0), delta)
