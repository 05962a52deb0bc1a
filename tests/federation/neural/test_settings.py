"""Settings: the field that is wrong is named, and defaults follow the kind of training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from federation.errors import InputError
from federation.neural.settings import NeuralSettings, check_trainable
from tests.federation.neural.tables import small


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("architecture", "transformer", "model.architecture"),
        ("hidden", (0,), "model.hidden"),
        ("hidden", "32", "model.hidden"),
        ("rounds", 0, "model.rounds"),
        ("rounds", True, "model.rounds"),
        ("local_epochs", 0.0, "model.local_epochs"),
        ("batch_size", 2.5, "model.batch_size"),
        ("sampling_rate", 1.5, "model.sampling_rate"),
        ("learning_rate", float("nan"), "model.learning_rate"),
        ("momentum", 1.0, "model.momentum"),
        ("proximal_mu", -0.1, "model.proximal_mu"),
        ("server_optimiser", "adam", "model.server_optimiser"),
        ("server_adaptivity", 0, "model.server_adaptivity"),
        ("record_epsilon", 0.0, "privacy.record_epsilon"),
        ("record_epsilon", -3, "privacy.record_epsilon"),
        ("record_delta", 0.0, "privacy.delta"),
        ("record_delta", -1e-5, "privacy.delta"),
        ("max_grad_norm", 0, "privacy.max_grad_norm"),
        ("validation_share", 0.9, "model.validation_share"),
        ("patience", -1, "model.patience"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(name: str, value: Any, shown: str) -> None:
    """By the name that it has in a federation file."""
    with pytest.raises(InputError, match=f"^{shown} is .* is right$"):
        NeuralSettings(**{name: value})


def test_settings_come_back_from_json() -> None:
    """With their digest, and whole numbers where fractions are meant."""
    settings = NeuralSettings(hidden=(16, 8), record_epsilon=3.0, local_epochs=2.0)
    content = json.loads(json.dumps(settings.to_json()))
    assert NeuralSettings.from_json(content) == settings
    whole = NeuralSettings.from_json(content | {"record_epsilon": 3, "local_epochs": 2})
    assert whole.digest == settings.digest
    assert NeuralSettings.from_json(content | {"seed": 9}).digest != settings.digest


def test_an_unknown_setting_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(InputError, match=r"model.layers is not a setting .* hidden"):
        NeuralSettings.from_json({"layers": 3})


def test_private_trainings_have_defaults_of_their_own() -> None:
    """And what is given stands."""
    private = NeuralSettings.from_json({"record_epsilon": 1.0})
    assert private.private
    assert private.sampling_rate is not None
    assert not NeuralSettings.from_json({}).private
    assert NeuralSettings.from_json({"record_epsilon": 1.0, "rounds": 3}).rounds == 3
    with pytest.raises(InputError, match="model.architecture"):
        NeuralSettings.from_json({"architecture": ["gru"]})


def _labels(rows: int, defaults: int) -> Any:
    return (np.arange(rows) < defaults).astype(np.uint8)


@pytest.mark.parametrize(
    ("labels", "settings", "sentence"),
    [
        (_labels(5, 2), small(), "5 training rows; a bank needs at least 50"),
        (_labels(100, 0), small(), "0 of 100 training rows defaulted"),
        (_labels(100, 100), small(), "100 of 100 training rows defaulted"),
        (_labels(100, 20) * 2, small(), "neither 0 nor 1"),
        (_labels(100, 20), small(batch_size=101), "model.batch_size is 101 .* 100 training rows"),
        (
            _labels(100, 20),
            small(record_epsilon=1.0, record_delta=0.02),
            r"privacy.delta is 0.02; with 100 records it must be at most 1/100 = 0.01",
        ),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(
    labels: Any, settings: NeuralSettings, sentence: str
) -> None:
    """Each for its own reason."""
    with pytest.raises(InputError, match=sentence):
        check_trainable(labels, settings)


def test_enough_rows_of_both_classes_are_accepted() -> None:
    """Also where a sampling rate takes the place of the batch size."""
    check_trainable(_labels(50, 1), small())
    private = small(record_epsilon=1.0, sampling_rate=0.25, batch_size=1000)
    check_trainable(_labels(50, 49), private)
