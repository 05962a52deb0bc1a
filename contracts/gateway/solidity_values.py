"""Python values to ABI values and back, by the annotations of frozen dataclasses.

A struct's field is annotated with its Python type and its Solidity type, in the struct's order:
`face: Amount` is a TokenMinor and a uint96. Times are aware datetimes in whole seconds here and
unix seconds there; None stands for 0 where the contract gives 0 a meaning.
"""

from __future__ import annotations

import keyword
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, TypeVar, Union

from eth_utils.address import is_checksum_address, to_checksum_address

from contracts.gateway.errors import NodeGarbled, ValueRefused
from contracts.units import Address, BasisPoints, Digest, TokenMinor

Struct = TypeVar("Struct")

Account = Annotated[Address, "address"]
Amount = Annotated[TokenMinor, "uint96"]
LeafAmount = Annotated[TokenMinor, "uint64"]
Hash = Annotated[Digest, "bytes32"]
Moment = Annotated[datetime, "uint40"]
OptionalMoment = Annotated[datetime | None, "uint40"]
Share = Annotated[BasisPoints, "uint16"]
Seconds40 = Annotated[int, "uint40"]
Seconds32 = Annotated[int, "uint32"]

ZERO_ADDRESS = Address("0x" + "00" * 20)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Stands for every time on chain that is later than Python's calendar."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
_LARGEST_MOMENT = 2**40 - 1


class Field(NamedTuple):
    """One field: its name in Python and in Solidity, its type in both, whether None means 0."""

    name: str
    solidity_name: str
    python: Any
    solidity: str
    optional: bool


def camel(name: str) -> str:
    """due_date → dueDate."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """dueDate → due_date; a word that Python keeps for itself gets a '_' behind it."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    return f"{words}_" if keyword.iskeyword(words) else words


_DESCRIBED: dict[type, tuple[Field, ...]] = {}


def struct_fields(struct: type) -> tuple[Field, ...]:
    """The fields of a struct's dataclass, in order."""
    if struct not in _DESCRIBED:
        _DESCRIBED[struct] = _describe(struct)
    return _DESCRIBED[struct]


def _describe(struct: type) -> tuple[Field, ...]:
    hints = typing.get_type_hints(struct, include_extras=True)
    described = []
    for field in fields(struct):
        hint = hints[field.name]
        if is_dataclass(hint):
            python, solidity = hint, abi_type(typing.cast(type, hint))
        else:
            python, solidity = hint.__origin__, hint.__metadata__[0]
        optional = typing.get_origin(python) in (Union, types.UnionType)
        if optional:
            python = next(part for part in typing.get_args(python) if part is not type(None))
        described.append(Field(field.name, camel(field.name), python, solidity, optional))
    return tuple(described)


def abi_type(struct: type) -> str:
    """The struct as a tuple type, such as '(address,uint96)'."""
    return "(" + ",".join(field.solidity for field in struct_fields(struct)) + ")"


def to_abi(value: Any, where: str = "") -> tuple[Any, ...]:
    """A struct as a tuple of ABI values.

    Raises:
        ValueRefused: names the field that does not fit.
    """
    kind = type(value)
    return tuple(
        _encode(getattr(value, field.name), field, f"{where or kind.__name__}.{field.name}")
        for field in struct_fields(kind)
    )


def from_abi(struct: type[Struct], values: Sequence[Any]) -> Struct:
    """A struct from the tuple that a contract returned.

    Raises:
        NodeGarbled: a value has no meaning, such as a status that does not exist.
    """
    described = struct_fields(struct)
    if len(values) != len(described):
        raise NodeGarbled(
            f"{struct.__name__}: {len(described)} values expected, {len(values)} came."
        )
    return struct(*(_decode(value, field) for value, field in zip(values, described, strict=True)))


def _encode(value: Any, field: Field, where: str) -> Any:
    if is_dataclass(value):
        return to_abi(value, where)
    if field.optional and value is None:
        return 0
    if field.python is datetime:
        return unix_seconds(value, where)
    if field.solidity == "address":
        return checked_address(value, where)
    if field.solidity == "bytes32":
        return checked_digest(value, where)
    if field.solidity == "bool":
        if type(value) is not bool:
            raise ValueRefused(f"{where} must be True or False.")
        return value
    return checked_uint(value, int(field.solidity.removeprefix("uint")), where)


def _decode(value: Any, field: Field) -> Any:
    if is_dataclass(field.python):
        return from_abi(typing.cast(type, field.python), value)
    if field.optional and value == 0:
        return None
    if field.python is datetime:
        return moment(value)
    if field.solidity == "address":
        return Address(to_checksum_address(value))
    if isinstance(field.python, type) and issubclass(field.python, IntEnum):
        try:
            return field.python(value)
        except ValueError as error:
            raise NodeGarbled(f"{field.name}: {field.python.__name__} has no {value}.") from error
    return value


def checked_uint(value: object, bits: int, where: str) -> int:
    """A whole number of 0 to 2**bits - 1; floats and bools are refused."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueRefused(f"{where} must be a whole number, not {type(value).__name__}.")
    if not 0 <= value < 2**bits:
        raise ValueRefused(f"{where} must be 0 to 2**{bits} - 1, not {value}.")
    return int(value)


def checked_address(value: object, where: str) -> Address:
    """An address with EIP-55 checksum; without capitals it is given one.

    Raises:
        ValueRefused: it is no address, or its checksum shows a typing error.
    """
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise ValueRefused(f"{where} must be an address: 0x and 40 hex digits.")
    if value[2:] != value[2:].lower() and not is_checksum_address(value):
        raise ValueRefused(f"{where}: the checksum of {value} is wrong; a digit was mistyped.")
    return Address(to_checksum_address(value))


def checked_digest(value: object, where: str) -> Digest:
    """32 bytes."""
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueRefused(f"{where} must be 32 bytes.")
    return Digest(bytes(value))


def digest_from_hex(text: object, where: str) -> Digest:
    """32 bytes from 0x and 64 hex digits."""
    if not isinstance(text, str) or _HASH.fullmatch(text) is None:
        raise ValueRefused(f"{where} must be 0x and 64 hex digits.")
    return Digest(bytes.fromhex(text[2:]))


def unix_seconds(value: object, where: str) -> int:
    """An aware datetime in whole seconds, as unix seconds.

    Raises:
        ValueRefused: it has no zone, a fraction of a second, or is before 1970.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueRefused(f"{where} must be a datetime with a zone, such as UTC.")
    if value.microsecond:
        raise ValueRefused(f"{where} must be whole seconds: the chain knows no fraction.")
    seconds = int(value.timestamp())
    if not 0 <= seconds <= _LARGEST_MOMENT:
        raise ValueRefused(f"{where} must be 1970 or later, not {value.isoformat()}.")
    return seconds


def moment(seconds: int) -> datetime:
    """Unix seconds as an aware datetime in UTC; what Python's calendar has not is FOREVER."""
    if seconds >= int(FOREVER.timestamp()):
        return FOREVER
    return datetime.fromtimestamp(seconds, UTC)
