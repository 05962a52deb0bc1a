"""The reference run: banks together beat chance, and those that can't take part are named."""

from __future__ import annotations

import numpy as np
import pytest

from federation.errors import InputError
from federation.neural.settings import NeuralSettings
from simulations.horizontal_plain import plain_horizontal
from tests.federation.neural.tables import SCHEMA, borrowers

BANKS = [borrowers(150, seed) for seed in (1, 2, 3)]
TEST = borrowers(300, 9)


def _settings(**values: object) -> NeuralSettings:
    chosen: dict[str, object] = {"hidden": [8], "batch_size": 30, "rounds": 6, "local_epochs": 1}
    return NeuralSettings.from_json(chosen | values)


def test_banks_train_a_model_together_and_repeatably() -> None:
    """Without privacy the same settings give the same model, bit by bit."""
    first = plain_horizontal(BANKS, SCHEMA, _settings(), TEST)
    again = plain_horizontal(BANKS, SCHEMA, _settings(), TEST)
    np.testing.assert_array_equal(first.model.weights, again.model.weights)
    assert first.auc > 0.8
    assert first.rounds == len(first.validation_losses) <= 6
    assert first.noise_multipliers == ()
    assert first.excluded == ()


def test_private_banks_train_with_noise_of_their_own() -> None:
    """A noise multiplier a bank, no validation loss, and never twice the same model."""
    settings = _settings(record_epsilon=8.0, record_delta=1e-3, rounds=3)
    first = plain_horizontal(BANKS, SCHEMA, settings, TEST)
    again = plain_horizontal(BANKS, SCHEMA, settings, TEST)
    assert len(first.noise_multipliers) == 3
    assert min(first.noise_multipliers) > 0.3
    assert first.validation_losses == ()
    assert first.rounds == 3
    assert not np.array_equal(first.model.weights, again.model.weights)


def test_a_bank_that_cannot_take_part_is_named() -> None:
    """The others go on; without any, there is nothing to train."""
    columns, labels = borrowers(5)
    result = plain_horizontal([*BANKS, (columns, labels)], SCHEMA, _settings(rounds=1), TEST)
    assert len(result.excluded) == 1
    assert result.excluded[0][0] == 3
    assert "training rows; a bank needs at least 50" in result.excluded[0][1]
    with pytest.raises(InputError, match="no bank can take part"):
        plain_horizontal([(columns, labels)], SCHEMA, _settings(), TEST)
