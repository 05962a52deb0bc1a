"""Model parts on disk."""

from __future__ import annotations

import json
from pathlib import Path

from clients.vault.private_files import write_private
from federation.additive.model_part import ModelPart
from federation.errors import InputError
from federation.split.part import SUFFIX, NetworkPart


def save_part(path: Path, part: ModelPart) -> None:
    """Write a model part."""
    write_private(path, part.to_json().encode() + b"\n")


def save_model(folder: Path, training: str, part: ModelPart | NetworkPart) -> None:
    """Write what a party holds of a training: JSON over bins, safetensors of networks."""
    if isinstance(part, ModelPart):
        save_part(folder / f"model-{training}.json", part)
    else:
        write_private(folder / f"model-{training}{SUFFIX}", part.to_bytes())


def load_network(path: Path) -> NetworkPart:
    """Read a part of a neural training.

    Raises:
        InputError: the file is missing or not such a part.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no model part; train first") from error
    return NetworkPart.from_bytes(data, str(path))


def load_model(path: Path) -> tuple[ModelPart | NetworkPart, NetworkPart | None]:
    """Read what a party holds of a training: its part, and the encoder of a blind one.

    Args:
        path: of the part over bins, 'model-….json'; a network's lies beside it.

    Raises:
        InputError: there is neither, or one is damaged.
    """
    network = path.with_suffix(SUFFIX)
    if network.exists() and not path.exists():
        return load_network(network), None
    return load_part(path), load_network(network) if network.exists() else None


def load_part(path: Path) -> ModelPart:
    """Read a model part.

    Raises:
        InputError: the file is missing or not a model part.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no model part; train first") from error
    except ValueError as error:
        raise InputError(f"{path}: not an additive model part (it is not JSON)") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not an additive model part (it holds no object)")
    return ModelPart.from_json(content, str(path))
