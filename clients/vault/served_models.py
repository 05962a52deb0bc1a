"""Served models on disk: signed by the label party that trained them, checked when read."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from clients.vault.private_files import write_private
from federation.errors import InputError
from federation.identity import PartyKey, PartyPublicKey
from federation.record_chain import canonical_json
from federation.scoring import ServedModel

FORMAT = "veilscore signed model 1"
PURPOSE = "served model"


def signed_document(model: ServedModel, key: PartyKey) -> bytes:
    """A served model with its signer and signature, as canonical JSON."""
    content = model.to_json()
    document = {
        "format": FORMAT,
        "signer": key.public.text,
        "signature": base64.b64encode(key.sign(PURPOSE, content.encode())).decode(),
        "model": json.loads(content),
    }
    return canonical_json(document).encode() + b"\n"


def save_served_model(path: Path, model: ServedModel, key: PartyKey) -> None:
    """Write a served model, signed with the label party's key."""
    write_private(path, signed_document(model, key))


def load_served_model(path: Path, signer: PartyPublicKey | None) -> ServedModel:
    """Read a served model and check who signed it.

    Args:
        path: 'served-NAME.json' in the label party's folder of a run.
        signer: whose signature counts; None takes the signer that the file names, which shows
            damage but no forgery.

    Raises:
        InputError: the file is missing, damaged, or not signed by that party.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: there is no served model; `veilscore train` writes one for additive and "
            "blind models"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: the served model can't be read ({error.strerror})") from error
    return read_signed_document(data, str(path), signer)


def read_signed_document(data: bytes, where: str, signer: PartyPublicKey | None) -> ServedModel:
    """Parse what `signed_document` made, and check its signature.

    Raises:
        InputError: names `where` and what is wrong.
    """
    try:
        document: Any = json.loads(data)
        named = PartyPublicKey.from_text(str(document["signer"]), f"{where}, signer")
        signature = base64.b64decode(document["signature"], validate=True)
        content = canonical_json(document["model"])
        known = document["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise InputError(f"{where}: not a signed served model") from error
    if not known or not isinstance(document["model"], dict):
        raise InputError(f"{where}: not a signed served model; its format must be '{FORMAT}'")
    if signer is not None and named != signer:
        raise InputError(
            f"{where}: signed with the key {named.fingerprint}, but {signer.fingerprint} is the "
            "one that counts here; train again under that key, or change whose models are served"
        )
    if not named.verifies(signature, PURPOSE, content.encode()):
        raise InputError(f"{where}: was changed after it was signed; restore the file")
    return ServedModel.from_json(document["model"], where)
