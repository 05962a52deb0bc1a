"""Signed documents of served models, checked against the keys whose models this desk serves."""

from __future__ import annotations

import json
from collections.abc import Sequence

from clients.vault.served_models import read_signed_document
from federation.errors import InputError
from federation.identity import PartyPublicKey
from federation.scoring import ServedModel

MOST_DOCUMENT_BYTES = 64 * 2**20


def verified_model(
    document: bytes, where: str, signers: Sequence[PartyPublicKey]
) -> tuple[ServedModel, PartyPublicKey]:
    """The model in a document, and who signed it.

    Args:
        document: what `clients.vault.served_models.signed_document` made.
        where: for errors.
        signers: whose signatures count; at least one.

    Raises:
        InputError: it is too large, damaged, or signed by nobody of these.
    """
    if len(document) > MOST_DOCUMENT_BYTES:
        raise InputError(
            f"{where}: has {len(document):,} bytes; a served model has at most "
            f"{MOST_DOCUMENT_BYTES:,}"
        )
    named = _named_signer(document)
    # Where nobody of the list is named, the first one gives the sentence.
    chosen = next((signer for signer in signers if signer.text == named), signers[0])
    return read_signed_document(document, where, chosen), chosen


def _named_signer(document: bytes) -> str | None:
    try:
        named = json.loads(document)["signer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return named if isinstance(named, str) else None
