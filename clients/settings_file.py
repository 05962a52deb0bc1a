"""Strict reading of TOML settings: every key is known, every value has its type, or one sentence.

A `Section` is a view of one TOML table that remembers where it stands, so that every error names
the file and the table, says what is wrong and what would be right.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from federation.errors import InputError

Choice = TypeVar("Choice", bound=StrEnum)

_TYPE_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "text"}
_TYPE_NAMES |= {list: "a list", dict: "a table"}


def read_toml(path: Path, what: str) -> Section:
    """Read a TOML file whole.

    Args:
        path: the file.
        what: what the file is ("party manifest"), for the error's sentence.

    Raises:
        InputError: the file is missing, is not UTF-8 text, or is not valid TOML.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; a {what} (TOML) must lie here") from None
    except OSError as error:
        raise InputError(
            f"{path}: the {what} cannot be read ({error.strerror}); it must be a readable file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the {what} is not UTF-8 text; save it as UTF-8") from None
    try:
        return Section(tomllib.loads(content), str(path), "")
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: the {what} is not valid TOML: {error}") from None


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, and which there are otherwise."""
    names = list(known)
    folded = {other.casefold(): other for other in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{folded[close[0]]}'?"
    shown = ", ".join(f"'{other}'" for other in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"choose from {shown}{more}" if names else "there is none to choose from"


@dataclass(frozen=True)
class Section:
    """One TOML table, the file it stands in, and its heading ('' for the file's top)."""

    values: dict[str, object]
    file: str
    heading: str

    @property
    def where(self) -> str:
        """The file and the table, as errors name them."""
        return f"{self.file}: [{self.heading}]" if self.heading else self.file

    def error(self, sentence: str) -> InputError:
        """Return an error that says where it stands."""
        return InputError(
            f"{self.where} {sentence}" if self.heading else f"{self.file}: {sentence}"
        )

    def __contains__(self, key: str) -> bool:
        """Say whether the key is given."""
        return key in self.values

    def allow(self, *keys: str) -> None:
        """Refuse every key but these."""
        for key in self.values:
            if key not in keys:
                kind = "table" if isinstance(self.values[key], dict) else "key"
                raise self.error(f"has an unknown {kind} '{key}'; {suggest(key, keys)}")

    def section(self, key: str) -> Section:
        """Return a table of this table; an empty one if it is not given."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong_type(key, value, f"a table, written [{self._below(key)}]")
        return Section(value, self.file, self._below(key))

    def required_section(self, key: str, example: str) -> Section:
        """Return a table of this table that must be given."""
        if key not in self.values:
            raise self.error(f"lacks the table [{self._below(key)}]; write, for example: {example}")
        return self.section(key)

    def text(self, key: str, default: str | None = None, *, example: str = "") -> str:
        """Return a text that is not empty; without a default the key is required."""
        value = self.values.get(key, default)
        if value is None:
            raise self._lacking(key, f'"{example}"')
        if not isinstance(value, str) or not value.strip():
            raise self._wrong_type(key, value, f'text, for example "{example or default}"')
        return value

    def optional_text(self, key: str, *, example: str) -> str | None:
        """Return a text that is not empty, or None if the key is not given."""
        return self.text(key, example=example) if key in self.values else None

    def choice(self, key: str, options: type[Choice], default: Choice | None = None) -> Choice:
        """Return one of an enumeration's values; without a default the key is required."""
        names = [str(option) for option in options]
        if default is None and key not in self.values:
            raise self._lacking(key, " or ".join(f'"{name}"' for name in names))
        value = self.values.get(key, default)
        if not isinstance(value, str) or value not in names:
            alternatives = ", ".join(f'"{name}"' for name in names)
            raise self._wrong_type(key, value, f"one of {alternatives}", show=True)
        return options(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong_type(key, value, "true or false")
        return value

    def whole_number(self, key: str, default: int, *, minimum: int = 0) -> int:
        """Return a whole number that is at least the minimum."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self._wrong_type(key, value, f"a whole number from {minimum} up", show=True)
        return value

    def optional_number(self, key: str) -> float | None:
        """Return a finite number, or None if the key is not given."""
        if key not in self.values:
            return None
        value = self.values[key]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self._wrong_type(key, value, "a number", show=True)
        return float(value)

    def positive_number(self, key: str, default: float, *, at_most: float) -> float:
        """Return a number above 0 that is at most the limit."""
        value = self.optional_number(key) if key in self.values else default
        if value is None or not 0 < value <= at_most:
            right = f"a number above 0, at most {at_most:g}"
            raise self._wrong_type(key, self.values.get(key), right, show=True)
        return value

    def share(self, key: str, default: float) -> float:
        """Return a share between 0 and 1, both excluded."""
        value = self.optional_number(key) if key in self.values else default
        if value is None or not 0 < value < 1:
            raise self._wrong_type(key, self.values.get(key), "a share between 0 and 1", show=True)
        return value

    def scalars(self, key: str, *, example: str) -> tuple[str | int | float | bool, ...]:
        """Return a list of scalars; one scalar alone counts as a list of one."""
        value = self.values.get(key, [])
        members: Sequence[object] = value if isinstance(value, list) else [value]
        found: list[str | int | float | bool] = []
        for member in members:
            if not isinstance(member, str | int | float):
                raise self._wrong_type(key, member, f"text, numbers, or a list of them, {example}")
            found.append(member)
        return tuple(found)

    def texts(self, key: str, *, example: str) -> tuple[str, ...]:
        """Return a list of texts, none empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise self._wrong_type(key, value, f"a list of texts, for example {example}")
        return tuple(str(text) for text in value)

    def _below(self, key: str) -> str:
        """Return the heading of a table inside this one, as TOML writes it."""
        bare = key and all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in key)
        name = key if bare else f'"{key}"'
        return f"{self.heading}.{name}" if self.heading else name

    def _lacking(self, key: str, example: str) -> InputError:
        """Say that a required key is not given."""
        return self.error(f"lacks the key '{key}'; write, for example: {key} = {example}")

    def _wrong_type(self, key: str, value: object, right: str, *, show: bool = False) -> InputError:
        """Say what a value is and what it should be."""
        kind = _TYPE_NAMES.get(type(value), "a date or time")
        found = f"'{value}'" if show and isinstance(value, str | int | float) else kind
        if value == "":
            found = "empty"
        return self.error(f"has '{key}' as {found}; it must be {right}")
