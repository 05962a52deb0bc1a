"""Strict reading of a policy file: every key is known and has its type, range and unit, or else
one sentence names the file, the table and the key, and says what would be right.

Numbers with a point are read as Decimal, never as float.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from federation.errors import InputError
from server.desk.policy.rounding import MOST_DECIMALS, MOST_MINOR, plain, within_decimals

MOST_BYTES = 1_000_000
Choice = TypeVar("Choice", bound=StrEnum)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Table:
    """One TOML table, the file it stands in, and its heading ('' for the file's top)."""

    values: Mapping[str, object]
    file: Path
    heading: str

    def error(self, sentence: str) -> InputError:
        """An error that says where it stands."""
        where = f"{self.file}: [{self.heading}]" if self.heading else f"{self.file}:"
        return InputError(f"{where} {sentence}")

    def __contains__(self, key: str) -> bool:
        """Whether the key is given."""
        return key in self.values

    def allow(self, *keys: str) -> None:
        """Refuse every key but these."""
        for key in self.values:
            if key not in keys:
                raise self.error(f"has an unknown key '{_shown(key)}'; {_suggest(key, keys)}")

    def only(self, *keys: str) -> str:
        """The one of these keys that is given."""
        given = [key for key in keys if key in self.values]
        if len(given) != 1:
            names = ", ".join(f"'{key}'" for key in keys)
            raise self.error(f"must have exactly one of the keys {names}")
        return given[0]

    def table(self, key: str) -> Table:
        """A table inside this one; it must be given."""
        value = self._given(key, f"a table, written [{self._below(key)}]")
        if not isinstance(value, dict):
            raise self._wrong(key, f"a table, written [{self._below(key)}]")
        return Table(value, self.file, self._below(key))

    def tables(self, key: str) -> list[Table]:
        """Tables in a list; none where the key is not given."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self._wrong(key, f"a list of tables, written [[{self._below(key)}]]")
        return [
            Table(one, self.file, f"{self._below(key)} {place}")
            for place, one in enumerate(value, start=1)
        ]

    def named_tables(self, key: str) -> dict[str, Table]:
        """Tables inside a table, by their names; at least one."""
        outer = self.table(key)
        if not outer.values:
            raise self.error(f"has no table in '{key}'; it must have one at least")
        return {outer.checked_name(name, name): outer.table(name) for name in outer.values}

    def checked_name(self, key: str, value: object) -> str:
        """A name that may stand in records: letters, digits, '.', '_' and '-', up to 64 signs."""
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self.error(
                f"has '{_shown(key)}' that is no name; a name has letters, digits, '.', '_' and "
                "'-', begins with a letter or digit, and is at most 64 signs long"
            )
        return value

    def name(self, key: str) -> str:
        """A name, required."""
        return self.checked_name(key, self._given(key, f'a name, such as {key} = "A1"'))

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names without doubles; empty where the key is not given."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, 'a list of names, such as ["A", "B"]')
        names = tuple(self.checked_name(key, one) for one in value)
        if len(set(names)) != len(names):
            raise self._wrong(key, "a list of names without doubles")
        return names

    def text(self, key: str, default: str | None = None, *, most: int = 300) -> str:
        """A printable text that is not empty; without a default the key is required."""
        right = f"a line of text, at most {most} signs"
        value = self.values.get(key, default)
        if value is None:
            value = self._given(key, right)
        if (
            not isinstance(value, str)
            or not value.strip()
            or len(value) > most
            or not value.isprintable()
        ):
            raise self._wrong(key, right)
        return value

    def choice(self, key: str, options: type[Choice]) -> Choice:
        """One of an enumeration's values, required."""
        right = "one of " + ", ".join(f'"{option}"' for option in options)
        value = self._given(key, right)
        if not isinstance(value, str) or value not in list(options):
            raise self._wrong(key, right)
        return options(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def day(self, key: str, default: date | None = None) -> date:
        """A date without a time; without a default it is required."""
        right = "a date, such as 2026-01-31"
        value = self._given(key, right) if default is None else self.values.get(key, default)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self._wrong(key, right)
        return value

    def whole(
        self, key: str, *, least: int = 0, most: int = MOST_MINOR, default: int | None = None
    ) -> int:
        """A whole number within bounds; without a default it is required."""
        right = f"a whole number from {least:,} to {most:,}"
        value = self._given(key, right) if default is None else self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(key, right)
        return value

    def number(
        self,
        key: str,
        *,
        least: Decimal | int = 0,
        most: Decimal | int = 1,
        above: bool = False,
        default: Decimal | None = None,
    ) -> Decimal:
        """A decimal number within bounds; without a default it is required.

        Args:
            key: of the number.
            least: bound, allowed unless `above`.
            most: bound, allowed.
            above: whether the number must be greater than `least`.
            default: where the key is not given.
        """
        low, high = Decimal(least), Decimal(most)
        start = f"above {plain(low)}, at most" if above else f"from {plain(low)} to"
        right = f"a number {start} {plain(high)}, with at most {MOST_DECIMALS} decimals"
        value = self._given(key, right) if default is None else self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self._wrong(key, right)
        if isinstance(value, int) and abs(value) > MOST_MINOR:
            raise self._wrong(key, right)
        number = Decimal(value)
        if not within_decimals(number) or not low <= number <= high or (above and number == low):
            raise self._wrong(key, right)
        return number

    def path(self, key: str) -> Path:
        """A file's path, required; relative ones start where the policy file lies."""
        value = self.text(key, most=1000)
        return self.file.parent / value

    def _given(self, key: str, right: str) -> object:
        if key not in self.values:
            raise self.error(f"lacks the key '{key}'; it must be {right}")
        return self.values[key]

    def _wrong(self, key: str, right: str) -> InputError:
        return self.error(f"has a '{_shown(key)}' that does not serve; it must be {right}")

    def _below(self, key: str) -> str:
        return f"{self.heading}.{_shown(key)}" if self.heading else _shown(key)


def read_table(path: Path, what: str) -> tuple[Table, bytes]:
    """Read a TOML file whole; returns its top table and its bytes.

    Raises:
        InputError: the file is missing, too large, not UTF-8 text, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; a {what} (TOML) must lie here") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is no path"
        raise InputError(f"{path}: the {what} cannot be read ({reason})") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: the {what} must be at most {MOST_BYTES:,} bytes")
    try:
        values = tomllib.loads(content.decode("utf-8-sig"), parse_float=_decimal)
    except UnicodeDecodeError:
        raise InputError(f"{path}: the {what} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: the {what} is not valid TOML: {error}") from None
    # Numbers of thousands of digits, and lists nested thousands deep.
    except (ValueError, RecursionError, InvalidOperation, OverflowError):
        raise InputError(
            f"{path}: the {what} holds a number or a nesting that no policy needs"
        ) from None
    return Table(values, path, ""), content


def _decimal(text: str) -> Decimal:
    return Decimal(text)


def _shown(key: str) -> str:
    """A key as it may stand in a sentence."""
    return "".join(sign if sign.isprintable() else "?" for sign in key[:64])


def _suggest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name[:64], names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return "choose from " + ", ".join(f"'{other}'" for other in names)
