"""A contract's refusal (Solidity custom error) as a named Python exception with one sentence.

Each class of `contracts.gateway.refusals` states its error's Solidity signature; its attributes are
the error's arguments. `refusal_of` finds the class by the selector, so both kinds of node give the
same exception, whichever contract down the call refused.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, ClassVar

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from contracts.gateway.errors import GatewayError
from contracts.gateway.solidity_values import moment, snake

_MOST_DATA = 64 * 1024
_KNOWN: dict[bytes, type[ContractRefusal]] = {}
_SHOWN = 200


class ContractRefusal(GatewayError):
    """A contract refused a call; nothing changed on chain.

    Attributes:
        solidity: the error's signature with names of arguments; empty for what is not known.
        arguments: the error's arguments by name (also attributes of the exception).
        data: what the contract returned: selector and arguments.
        where: the call that was refused, such as 'ReceivableRegistry.pay'.
    """

    solidity: ClassVar[str] = ""
    sentence: ClassVar[str] = ""
    _types: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[tuple[str, ...]] = ()

    arguments: Mapping[str, object]
    data: bytes
    where: str

    def __init_subclass__(cls, solidity: str = "", **rest: Any) -> None:
        """Register the class under its error's selector."""
        super().__init_subclass__(**rest)
        if not solidity:
            return
        cls.solidity = solidity
        name, _, inner = solidity.removesuffix(")").partition("(")
        parts = [part.split() for part in inner.split(",") if part.strip()]
        cls._types = tuple(part[0] for part in parts)
        cls._names = tuple(snake(part[1]) for part in parts)
        selector = keccak(text=f"{name}({','.join(cls._types)})")[:4]
        if selector in _KNOWN:
            raise TypeError(f"{solidity} is declared twice")
        _KNOWN[selector] = cls

    def __init__(
        self, arguments: Mapping[str, object], data: bytes, shown: str, where: str
    ) -> None:
        """Made by `refusal_of`."""
        super().__init__(shown)
        self.arguments, self.data, self.where = dict(arguments), data, where
        for name, value in arguments.items():
            setattr(self, name, value)


class UnknownRefusal(ContractRefusal):
    """A refusal that is none of our contracts'; `data` and the sentence keep its hex."""


class ContractMessage(ContractRefusal):
    """A contract refused with a text (`require(…, "text")`); `arguments['message']` is the text."""


class ContractPanic(ContractRefusal):
    """Solidity's own check failed, such as an overflow; `arguments['code']` says which."""


class NoReason(ContractRefusal):
    """A contract refused and gave no reason."""


_ERROR_TEXT = keccak(text="Error(string)")[:4]
_PANIC = keccak(text="Panic(uint256)")[:4]
_PANICS = {
    0x01: "an assertion failed",
    0x11: "an overflow or underflow",
    0x12: "a division by zero",
    0x21: "a value that no enum has",
    0x32: "an index out of bounds",
    0x41: "too much memory asked for",
}


def known_refusals() -> Mapping[bytes, type[ContractRefusal]]:
    """Selector → class of every declared refusal."""
    import contracts.gateway.refusals  # noqa: F401  (declares them)

    return _KNOWN


def refusal_of(data: bytes, where: str, decimals: int | None = None) -> ContractRefusal:
    """The exception for what a contract returned when it refused.

    Args:
        data: selector and arguments, as returned; may be anything.
        where: the call that was refused.
        decimals: of the deposit token, to show amounts; None shows minor units.
    """
    data = data[:_MOST_DATA]
    if not data:
        return NoReason({}, data, f"{where}: the contract refused without a reason.", where)
    if data[:4] in (_ERROR_TEXT, _PANIC):
        return _builtin(data, where)
    kind = known_refusals().get(data[:4])
    if kind is not None:
        try:
            values = decode(list(kind._types), data[4:])
            arguments, shown = _read(kind, values, decimals)
        except Exception:  # eth_abi's many, and enum values that do not exist
            kind = None
    if kind is None:
        hexed = "0x" + data.hex()
        short = hexed if len(hexed) <= _SHOWN else f"{hexed[:_SHOWN]}… ({len(data)} bytes)"
        return UnknownRefusal({}, data, f"{where}: refused with the unknown error {short}.", where)
    return kind(arguments, data, kind.sentence.format_map({**shown, "where": where}), where)


def _builtin(data: bytes, where: str) -> ContractRefusal:
    """Error(string) and Panic(uint256)."""
    try:
        if data[:4] == _PANIC:
            code = int(decode(["uint256"], data[4:])[0])
            meaning = _PANICS.get(code, "an internal check failed")
            return ContractPanic(
                {"code": code},
                data,
                f"{where}: the contract stopped: {meaning} ({code:#x}).",
                where,
            )
        message = str(decode(["string"], data[4:])[0])
    except Exception:  # a forged answer
        hexed = "0x" + data[:100].hex()
        return UnknownRefusal({}, data, f"{where}: refused with the unknown error {hexed}.", where)
    shown = "".join(letter if letter.isprintable() else "�" for letter in message[:_SHOWN])
    return ContractMessage({"message": message}, data, f"{where}: refused: {shown}.", where)


def _read(
    kind: type[ContractRefusal], values: tuple[Any, ...], decimals: int | None
) -> tuple[dict[str, object], dict[str, str]]:
    """The arguments in Python's types, and as the sentence shows them."""
    hints = typing.get_type_hints(kind)
    arguments: dict[str, object] = {}
    shown: dict[str, str] = {}
    for name, solidity, value in zip(kind._names, kind._types, values, strict=True):
        hint = hints[name]
        if hint is datetime:
            arguments[name] = moment(value)
            shown[name] = moment(value).strftime("%Y-%m-%d %H:%M:%S UTC")
        elif solidity == "address":
            arguments[name] = shown[name] = to_checksum_address(value)
        elif isinstance(hint, type) and issubclass(hint, IntEnum):
            arguments[name] = hint(value)
            status = hint(value).name.lower().replace("_", " ")
            shown[name] = "unknown" if status == "none" else status
        elif isinstance(value, bytes):
            arguments[name], shown[name] = value, "0x" + value.hex()
        else:
            arguments[name] = value
            unit = getattr(hint, "__name__", "")
            shown[name] = (
                show_amount(value, decimals)
                if unit == "TokenMinor"
                else f"{Decimal(value) / 100:.2f}%"
                if unit == "BasisPoints"
                else str(value)[:_SHOWN]
            )
    return arguments, shown


def show_amount(minor: int, decimals: int | None) -> str:
    """An amount with its decimals, exactly: 12000 with 2 decimals is '120.00'."""
    if decimals is None:
        return f"{minor} minor units"
    if decimals == 0:
        return str(minor)
    whole, rest = divmod(minor, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}"
