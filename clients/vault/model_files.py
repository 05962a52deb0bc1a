"""Model parts on disk."""

from __future__ import annotations

import json
from pathlib import Path

from clients.vault.private_files import write_private
from federation.additive.model_part import ModelPart
from federation.boosting.model_part import FORMAT as BOOSTED_FORMAT
from federation.boosting.model_part import BoostedPart
from federation.boosting.transcript import Transcript
from federation.boosting.transcript_file import from_bytes, to_bytes
from federation.errors import InputError
from federation.split.part import SUFFIX, NetworkPart


def save_part(path: Path, part: ModelPart | BoostedPart) -> None:
    """Write a model part."""
    write_private(path, part.to_json().encode() + b"\n")


def save_model(folder: Path, training: str, part: ModelPart | NetworkPart | BoostedPart) -> None:
    """Write what a party holds of a training: JSON over bins, safetensors of networks."""
    if isinstance(part, ModelPart | BoostedPart):
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


def load_model(
    path: Path,
) -> tuple[ModelPart | NetworkPart | BoostedPart, NetworkPart | None]:
    """Read what a party holds of a training: its part, and the encoder of a blind one.

    Args:
        path: of the part over bins, 'model-….json'; a network's lies beside it.

    Raises:
        InputError: there is neither, or one is damaged.
    """
    network = path.with_suffix(SUFFIX)
    if network.exists() and not path.exists():
        return load_network(network), None
    return load_binned(path), load_network(network) if network.exists() else None


def load_part(path: Path) -> ModelPart:
    """Read an additive model part.

    Raises:
        InputError: the file is missing or not an additive model part.
    """
    part = load_binned(path)
    if isinstance(part, BoostedPart):
        raise InputError(
            f"{path}: is the part of a boosted model, whose trees are no weights of bins; the part "
            "of an additive or blind training is right"
        )
    return part


def load_binned(path: Path) -> ModelPart | BoostedPart:
    """Read a model part over bins, of whichever kind its format says.

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
    if content.get("format") == BOOSTED_FORMAT:
        return BoostedPart.from_json(content, str(path))
    return ModelPart.from_json(content, str(path))


def transcript_path(folder: Path, training: str, partner: str) -> Path:
    """Where a label party keeps what it learned of a partner's bins in a boosted training."""
    return folder / f"transcript-{training}-{partner}.npz"


def save_transcript(folder: Path, training: str, partner: str, transcript: Transcript) -> None:
    """Write it; it holds gradients, and so labels."""
    write_private(transcript_path(folder, training, partner), to_bytes(transcript))


def load_transcript(folder: Path, training: str, partner: str) -> Transcript:
    """Read what `save_transcript` wrote.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = transcript_path(folder, training, partner)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no transcript; a boosted training with disclosure = 'bins' keeps "
            "one, unless it is very large"
        ) from None
    return from_bytes(content, str(path))
