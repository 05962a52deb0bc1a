"""Models for encrypted scoring on the desk's disk: 0600, for they hold weights."""

from __future__ import annotations

from pathlib import Path

from clients.vault import write_private
from federation.encrypted_scoring import EncryptedModel
from federation.errors import InputError

MOST_BYTES = 4 << 20


def save_encrypted_model(path: Path, model: EncryptedModel) -> None:
    """Write a model."""
    write_private(path, model.to_json().encode() + b"\n")


def load_encrypted_model(path: Path) -> EncryptedModel:
    """Read a model and check it.

    Raises:
        InputError: the file is missing or damaged, or the model has no room for flooding.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: longer than {MOST_BYTES >> 20} MB; no model is")
    return EncryptedModel.from_json(data, str(path))
