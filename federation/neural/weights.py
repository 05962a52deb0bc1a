"""A network's weights as one vector that banks add up, and a trained model as safetensors bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from federation.errors import InputError
from federation.neural.models import DefaultNetwork, build
from federation.neural.scaling import Columns, Inputs, Scaling
from federation.neural.schema import InputSchema
from federation.neural.settings import NeuralSettings

Vector = npt.NDArray[np.float32]
FORMAT = "veilscore neural model 1"
# Opacus wraps a module and puts this before its parameters' names.
_WRAPPER = "_module."
_BATCH_ROWS = 20_000


def ordered_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Parameters by name, in the one order in which vectors hold them."""
    return sorted(
        ((name.removeprefix(_WRAPPER), value) for name, value in module.named_parameters()),
        key=lambda pair: pair[0],
    )


def flatten(module: nn.Module) -> Vector:
    """All parameters (p,) in the order of their names, each row by row."""
    parts = [
        value.detach().numpy().astype(np.float32).ravel() for _, value in ordered_parameters(module)
    ]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def load(module: nn.Module, vector: npt.NDArray[Any]) -> None:
    """Write a vector of `flatten` into a module.

    Raises:
        InputError: another length than the module has parameters, or a number that isn't finite.
    """
    parameters = ordered_parameters(module)
    size = sum(value.numel() for _, value in parameters)
    if vector.shape != (size,):
        raise InputError(f"weights: a vector of shape {vector.shape}; the model has {size}")
    if not np.isfinite(vector).all():
        raise InputError("weights: not all are finite numbers")
    start = 0
    with torch.no_grad():
        for _, value in parameters:
            part = np.array(vector[start : start + value.numel()], dtype=np.float32)
            value.copy_(torch.from_numpy(part).reshape(value.shape))
            start += value.numel()


def digest(vector: npt.NDArray[Any]) -> str:
    """SHA-256 of the weights as little-endian float32, in hexadecimal."""
    return hashlib.sha256(np.asarray(vector, dtype="<f4").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class NeuralModel:
    """A trained model: all that scores a borrower.

    Attributes:
        settings, schema, scaling: what it was trained with.
        weights: (p,) float32.
    """

    settings: NeuralSettings
    schema: InputSchema
    scaling: Scaling
    weights: Vector

    def network(self) -> DefaultNetwork:
        """The network with these weights."""
        network = build(self.settings, self.schema)
        load(network, self.weights)
        return network

    def probabilities(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Probability of default (n,) of a table's rows.

        Raises:
            InputError: a column of the schema is missing or of another kind.
        """
        return predict(self.network(), self.scaling.encode(columns))

    def to_bytes(self) -> bytes:
        """The safetensors file, with settings, schema and scaling in its metadata."""
        from safetensors.numpy import save

        network = self.network()
        tensors = {
            name: value.detach().numpy().copy() for name, value in ordered_parameters(network)
        }
        metadata = {
            "format": FORMAT,
            "settings": json.dumps(self.settings.to_json(), sort_keys=True),
            "schema": json.dumps(self.schema.to_json(), sort_keys=True),
            "scaling": json.dumps(self.scaling.to_json(), sort_keys=True),
            "digest": digest(self.weights),
        }
        content: bytes = save(tensors, metadata)
        return content

    @classmethod
    def from_bytes(cls, content: bytes, *, schema: InputSchema | None = None) -> NeuralModel:
        """Read the file's bytes, and trust nothing in them.

        Args:
            content: the safetensors file.
            schema: the agreed schema, which the model's must be; None takes the model's.

        Raises:
            InputError: no such file, another schema, weights of other names, types or shapes than
                the settings ask for, or not those whose digest is in the file.
        """
        metadata = _metadata(content)
        if metadata.get("format") != FORMAT:
            raise InputError("model file: it is not a neural model of this program")
        try:
            settings = NeuralSettings.from_json(json.loads(metadata["settings"]))
            found = InputSchema.from_json(json.loads(metadata["schema"]))
            scaling = Scaling.from_json(json.loads(metadata["scaling"]), found)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, RecursionError) as error:
            raise InputError("model file: its settings, schema or scaling can't be read") from error
        if schema is not None and found.digest != schema.digest:
            raise InputError(
                f"model file: it was trained on another schema ({found.digest[:12]}…) than the "
                f"agreed one ({schema.digest[:12]}…)"
            )
        vector = _read_weights(content, settings, found)
        if metadata.get("digest") != digest(vector):
            raise InputError("model file: its weights are not those whose digest it carries")
        return cls(settings, found, scaling, vector)


def predict(network: nn.Module, inputs: Inputs) -> npt.NDArray[np.float64]:
    """Probability of default (n,) of encoded rows."""
    network.eval()
    parts = [np.zeros(0)]
    with torch.no_grad():
        for start in range(0, len(inputs), _BATCH_ROWS):
            rows = inputs.rows(np.arange(start, min(start + _BATCH_ROWS, len(inputs))))
            log_odds = network(*tensors(rows)).double()
            parts.append(torch.sigmoid(log_odds).numpy())
    return np.concatenate(parts)


def tensors(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three tensors that a network's forward takes, in its order."""
    return (
        torch.from_numpy(inputs.numeric),
        torch.from_numpy(inputs.categories),
        torch.from_numpy(inputs.sequences),
    )


def _metadata(content: bytes) -> Mapping[str, str]:
    """The header's metadata; the length of the header stands before it (8 bytes, little-endian)."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError("model file: it is not a safetensors file") from error
    if not isinstance(metadata, dict):
        raise InputError("model file: its metadata can't be read")
    return metadata


def _read_weights(content: bytes, settings: NeuralSettings, schema: InputSchema) -> Vector:
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        found = load_tensors(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError("model file: it is not a whole safetensors file") from error
    with torch.device("meta"):  # shapes alone: a file can't make us allocate what it hasn't sent
        wanted = ordered_parameters(DefaultNetwork(settings, schema))
    if set(found) != {name for name, _ in wanted}:
        raise InputError("model file: its weights are not those of its own settings")
    for name, value in wanted:
        if found[name].shape != tuple(value.shape) or found[name].dtype != np.float32:
            raise InputError(
                f"model file: weight '{name}' is {found[name].dtype} {found[name].shape}; "
                f"float32 {tuple(value.shape)} is right"
            )
    vector = np.concatenate([found[name].ravel() for name, _ in wanted])
    if not np.isfinite(vector).all():
        raise InputError("model file: not all of its weights are finite numbers")
    return vector
