"""Models and weights: one seed one model, one layout for both kinds of layers, safe files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save

from federation.errors import InputError
from federation.neural.models import SequenceEncoder, build
from federation.neural.scaling import Scaling
from federation.neural.schema import InputSchema, NumericInput
from federation.neural.weights import (
    NeuralModel,
    digest,
    flatten,
    load,
    ordered_parameters,
    predict,
    tensors,
)
from tests.federation.neural.tables import SCHEMA, borrowers, small

ARCHITECTURES = ("mlp", "gru", "lstm")


def _random(size: int) -> Any:
    return np.random.default_rng(size).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("epsilon", [None, 3.0])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_first_weights_depend_on_the_seed_alone(architecture: str, epsilon: float | None) -> None:
    """Not on torch's generator, which they leave alone."""
    settings = small(architecture=architecture, record_epsilon=epsilon)
    torch.manual_seed(1)
    first = flatten(build(settings, SCHEMA))
    torch.manual_seed(2)
    second = flatten(build(settings, SCHEMA))
    np.testing.assert_array_equal(first, second)
    other = small(architecture=architecture, record_epsilon=epsilon, seed=4)
    assert digest(flatten(build(other, SCHEMA))) != digest(first)


def test_the_digest_of_first_weights_is_the_same_everywhere() -> None:
    """A fixed one: banks with other machines or versions must agree with it."""
    assert digest(flatten(build(small(), SCHEMA)))[:16] == "d3d7da72c49dc4db"


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("epsilon", [None, 3.0])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_go_into_a_network_and_come_out_the_same(
    architecture: str, epsilon: float | None, wrapped: bool
) -> None:
    """Also where Opacus has wrapped it."""
    network: Any = build(small(architecture=architecture, record_epsilon=epsilon), SCHEMA)
    if wrapped:
        network = GradSampleModule(network)
    vector = _random(len(flatten(network)))
    load(network, vector)
    np.testing.assert_array_equal(flatten(network), vector)


@pytest.mark.parametrize("architecture", ["gru", "lstm"])
def test_private_and_plain_layers_share_one_layout(architecture: str) -> None:
    """The same vector gives the same scores in both."""
    columns, _ = borrowers(30)
    inputs = Scaling.from_public_bounds(SCHEMA).encode(columns)
    plain = build(small(architecture=architecture), SCHEMA)
    private = build(small(architecture=architecture, record_epsilon=1.0), SCHEMA)
    assert [name for name, _ in ordered_parameters(plain)] == [
        name for name, _ in ordered_parameters(private)
    ]
    vector = _random(len(flatten(plain)))
    load(plain, vector)
    load(private, vector)
    np.testing.assert_allclose(predict(plain, inputs), predict(private, inputs), atol=1e-6)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_sequence_encoder_stands_alone(kind: str, private: bool) -> None:
    """(n, months, channels) to (n, hidden), and the order of the months matters."""
    encoder = SequenceEncoder(3, 5, kind, private=private)
    months = torch.randn(4, 6, 3)
    state = encoder(months)
    assert state.shape == (4, 5)
    assert not torch.allclose(state, encoder(months.flip(1)))
    with pytest.raises(ValueError, match="'gru' or 'lstm'"):
        SequenceEncoder(3, 5, "rnn")


def test_a_sequence_model_needs_sequences() -> None:
    """Said in a sentence that names the setting."""
    with pytest.raises(InputError, match="model.architecture is 'gru'"):
        build(small(architecture="gru"), InputSchema((NumericInput("a"),)))
    assert build(small(), InputSchema((NumericInput("a"),))) is not None


def test_the_first_model_says_even_odds() -> None:
    """The last layer starts at zero."""
    columns, _ = borrowers(20)
    inputs = Scaling.from_public_bounds(SCHEMA).encode(columns)
    network = build(small(), SCHEMA)
    assert network(*tensors(inputs)).shape == (20,)
    np.testing.assert_array_equal(predict(network, inputs), 0.5)


@pytest.mark.parametrize("vector", [np.zeros(3), np.zeros((1, 3))])
def test_a_vector_of_another_length_is_refused(vector: Any) -> None:
    """With both sizes."""
    with pytest.raises(InputError, match="a vector of shape"):
        load(build(small(), SCHEMA), vector)


def test_weights_that_are_no_numbers_are_refused() -> None:
    """A single NaN is enough."""
    network = build(small(), SCHEMA)
    vector = flatten(network)
    vector[5] = np.nan
    with pytest.raises(InputError, match="finite"):
        load(network, vector)


def _model(architecture: str = "gru", epsilon: float | None = None) -> NeuralModel:
    settings = small(architecture=architecture, record_epsilon=epsilon)
    size = len(flatten(build(settings, SCHEMA)))
    return NeuralModel(settings, SCHEMA, Scaling.from_public_bounds(SCHEMA), _random(size))


@pytest.mark.parametrize("epsilon", [None, 3.0])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_file_scores_like_the_model(architecture: str, epsilon: float | None) -> None:
    """Settings, schema, scaling and weights all come back."""
    columns, _ = borrowers(30)
    model = _model(architecture, epsilon)
    again = NeuralModel.from_bytes(model.to_bytes(), schema=SCHEMA)
    assert (again.settings, again.schema, again.scaling) == (
        model.settings,
        model.schema,
        model.scaling,
    )
    np.testing.assert_array_equal(again.probabilities(columns), model.probabilities(columns))


def _rewritten(model: NeuralModel, *, tensors: Any = None, **metadata: str) -> bytes:
    content = model.to_bytes()
    length = int.from_bytes(content[:8], "little")
    found = json.loads(content[8 : 8 + length])["__metadata__"]
    changed = load_tensors(content) if tensors is None else tensors
    written: bytes = save(changed, found | metadata)
    return written


def test_a_foreign_or_changed_file_is_refused() -> None:
    """Whatever is wrong with it, as one sentence."""
    model = _model()
    tensors_of = load_tensors(model.to_bytes())
    name = next(iter(tensors_of))
    wrong: dict[str, bytes] = {
        "not a safetensors file": b"hello, this is no such file",
        "not a neural model": save({"a": np.zeros(2, np.float32)}, {"format": "else"}),
        "its settings": _rewritten(model, settings="{"),
        "model.layers": _rewritten(model, settings='{"layers": 2}'),
        "not those of its own settings": _rewritten(
            model, tensors={key: tensors_of[key] for key in tensors_of if key != name}
        ),
        "is right": _rewritten(model, tensors=tensors_of | {name: np.zeros((2, 2), np.float32)}),
        "float64": _rewritten(
            model, tensors=tensors_of | {name: tensors_of[name].astype(np.float64)}
        ),
        "finite": _rewritten(
            model, tensors=tensors_of | {name: np.full_like(tensors_of[name], np.nan)}
        ),
        "digest": _rewritten(model, tensors=tensors_of | {name: tensors_of[name] + 1}),
        "another schema": _rewritten(
            model, schema=json.dumps(InputSchema((NumericInput("a"),)).to_json())
        ),
    }
    for sentence, content in wrong.items():
        with pytest.raises(InputError, match=sentence):
            NeuralModel.from_bytes(content)
    content = model.to_bytes()
    for cut in (0, 5, 8, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(InputError, match="model file"):
            NeuralModel.from_bytes(content[:cut])


def test_a_model_of_another_schema_is_refused() -> None:
    """With the beginnings of both digests."""
    with pytest.raises(
        InputError, match=f"agreed one .{InputSchema((NumericInput('a'),)).digest[:12]}"
    ):
        NeuralModel.from_bytes(_model().to_bytes(), schema=InputSchema((NumericInput("a"),)))


def test_a_file_cannot_ask_for_a_huge_network() -> None:
    """Shapes are compared before anything of that size is made."""
    settings = small(hidden=(4096,) * 8)
    content = _rewritten(_model("mlp"), settings=json.dumps(settings.to_json()))
    with pytest.raises(InputError, match="not those of its own settings"):
        NeuralModel.from_bytes(content)
