"""A signed message in a file: the EIP-712 struct, chain and contract it is for, the signature.

Debtors hand signed confirmations to suppliers and banks hand signed attestations to them this way;
nothing in the file is secret, and the contract refuses what was altered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.gateway.errors import MessageError, ValueRefused
from contracts.gateway.solidity_values import (
    Field,
    checked_address,
    digest_from_hex,
    struct_fields,
    to_abi,
)
from contracts.gateway.typed_data import DOMAIN_NAMES, Signed, TypedData

_KINDS = {kind.__name__: kind for kind in DOMAIN_NAMES}
_MOST_BYTES = 64 * 1024
_JSON_INTEGERS = 2**53
"""Beyond this, many JSON readers lose digits: larger numbers are written as text."""


@dataclass(frozen=True)
class SignedMessage:
    """A message and its signature (65 bytes r, s, v)."""

    typed: TypedData
    signature: bytes

    def to_json(self) -> str:
        """The file's text."""
        message = self.typed.message
        content = {
            "kind": type(message).__name__,
            "chain_id": self.typed.chain_id,
            "contract": self.typed.contract,
            "message": {
                field.name: _plain(getattr(message, field.name))
                for field in struct_fields(type(message))
            },
            "signature": "0x" + self.signature.hex(),
        }
        return json.dumps(content, indent=2) + "\n"


def read_signed(path: Path, kind: type[Signed]) -> SignedMessage:
    """Read and check a file with a signed message of a kind, such as Attestation.

    Raises:
        MessageError: names the file, and the field that is not what it must be.
    """
    return parse_signed(read_json(path), kind, str(path))


def parse_signed(document: Mapping[str, Any], kind: type[Signed], where: str) -> SignedMessage:
    """A signed message of a kind from its JSON object."""
    if document.get("kind") != kind.__name__:
        raise MessageError(
            f"{where}: 'kind' must be '{kind.__name__}', not {str(document.get('kind'))[:40]!r}."
        )
    chain_id, inner = document.get("chain_id"), document.get("message")
    if type(chain_id) is not int or chain_id < 1 or not isinstance(inner, dict):
        raise MessageError(f"{where}: 'chain_id' must be a number and 'message' an object.")
    try:
        contract = checked_address(document.get("contract"), "'contract'")
        signature = signature_from_hex(document.get("signature"))
        described = struct_fields(kind)
        unknown = set(inner) - {field.name for field in described}
        if unknown:
            raise ValueRefused(f"'message' has the unknown field {min(unknown)[:40]!r}.")
        values = [_value(inner, field) for field in described]
        message = kind(*values)
        to_abi(message)  # ranges
    except ValueRefused as error:
        raise MessageError(f"{where}: {error}") from error
    return SignedMessage(TypedData(message, chain_id, contract), signature)


def for_contract(signed: SignedMessage, own: TypedData, where: str) -> bytes:
    """The signature, if the message is for this chain and contract.

    Args:
        own: the same message as this gateway would have it signed.

    Raises:
        MessageError: it is for another chain or contract, where a contract would refuse it.
    """
    if signed.typed.chain_id != own.chain_id:
        raise MessageError(
            f"{where}: signed for chain {signed.typed.chain_id}; this is chain {own.chain_id}."
        )
    if signed.typed.contract != own.contract:
        raise MessageError(
            f"{where}: signed for the contract {signed.typed.contract}; this deployment's is "
            f"{own.contract}."
        )
    return signed.signature


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file.

    Raises:
        MessageError: there is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MessageError(f"{path}: {error.strerror}.") from error
    try:
        document = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise MessageError(f"{path}: not one JSON object of at most {_MOST_BYTES:,} bytes.")
    return document


def signature_from_hex(text: object) -> bytes:
    """65 bytes from 0x and 130 hex digits."""
    if isinstance(text, str) and len(text) == 132 and text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raise ValueRefused("'signature' must be 0x and 130 hex digits.")


def moment_from_text(text: object, where: str) -> datetime:
    """A time in ISO 8601 with its zone, such as 2026-03-31T00:00:00Z."""
    try:
        value = datetime.fromisoformat(str(text))
    except ValueError:
        value = datetime(1970, 1, 1)  # no zone: refused below
    if value.tzinfo is None:
        raise ValueRefused(f"{where} must be a time with its zone, such as 2026-03-31T00:00:00Z.")
    return value.astimezone(UTC)


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, int) and not isinstance(value, bool) and value >= _JSON_INTEGERS:
        return str(value)
    return value


def _value(inner: Mapping[str, Any], field: Field) -> Any:
    where = f"'message.{field.name}'"
    if field.name not in inner:
        raise ValueRefused(f"{where} is missing.")
    value = inner[field.name]
    if field.optional and value is None:
        return None
    if field.python is datetime:
        return moment_from_text(value, where)
    if field.solidity == "bytes32":
        return digest_from_hex(value, where)
    if field.solidity == "address":
        return checked_address(value, where)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        return int(value)
    return value
