"""What a table's cell means: a category's text, a number, or missing; and what it is otherwise.

A column is encoded once (distinct texts and an index a row), so that each rule is applied to every
distinct text once, however many rows there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# What exports write in a numeric column where there is no number.
MISSING_NUMBERS: tuple[str, ...] = (
    *("", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "#N/A", "null", "NULL"),
    *("none", "None", "<NA>", "\\N"),
)
# In text, 'NA' and 'none' can be categories; a manifest lists them if they are not.
MISSING_TEXTS = frozenset({"", "nan", "NaN", "null", "NULL", "<NA>"})

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE_WITH_FRACTION = re.compile(r"([+-]?[0-9]+)\.0+")
_DATE = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}([T ].*)?")


@dataclass(frozen=True)
class TextColumn:
    """A column of text: its distinct texts, and each row's index into them; -1 is missing."""

    distinct: tuple[str, ...]
    index: npt.NDArray[np.int64]

    def values(self) -> npt.NDArray[np.object_]:
        """Return one text a row, None where it is missing."""
        # Index -1 reaches the None that stands last.
        lookup = np.empty(len(self.distinct) + 1, dtype=object)
        lookup[:-1] = self.distinct
        return lookup[self.index]


@dataclass(frozen=True)
class WrongNumber:
    """The first row (from 0) that holds no number, and what it holds instead, in words."""

    row: int
    kind: str


def encode_text(column: pa.ChunkedArray, clean: Callable[[str], str]) -> TextColumn:
    """Encode a column of any type as text.

    Args:
        column: text, numbers, truth values or dates; null is missing.
        clean: brings a text into the form that is compared, such as `category_text`.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = pc.dictionary_encode(column.combine_chunks())
    texts = [clean(_text_of(value)) for value in encoded.dictionary.to_pylist()]
    position: dict[str, int] = {}
    place = np.full(len(texts) + 1, -1, dtype=np.int64)  # the last one is for null
    for index, text in enumerate(texts):
        if text not in MISSING_TEXTS:
            place[index] = position.setdefault(text, len(position))
    rows = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return TextColumn(tuple(position), place[rows])


def category_text(value: str) -> str:
    """Return a category's text: stripped, and '1' for '1.0', as tables with gaps store 1."""
    text = value.strip()
    match = _WHOLE_WITH_FRACTION.fullmatch(text)
    return match.group(1) if match else text


def floats_of(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return a numeric column as floats of its own, NaN where it is null."""
    floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    # The conversion can give a read-only view of the file's buffer.
    return floats if floats.flags.writeable else np.array(floats, dtype=np.float64)


def parse_number(text: str, decimal: str) -> float | None:
    """Return the number that a text spells with this decimal sign, or None if it spells none."""
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_numbers(
    texts: pa.ChunkedArray, decimal: str, missing_codes: Sequence[str | float]
) -> tuple[npt.NDArray[np.float64], WrongNumber | None]:
    """Return one number a row (NaN is missing), and the first row that holds none."""
    missing = {str(code).strip() for code in missing_codes} | set(MISSING_NUMBERS)
    plain = pc.utf8_trim_whitespace(texts)
    is_missing = pc.is_in(plain, value_set=pa.array(sorted(missing), plain.type))
    plain = pc.if_else(is_missing, pa.scalar(None, plain.type), plain)
    if decimal == ".":
        try:
            return floats_of(pc.cast(plain, pa.float64())), None
        except pa.ArrowInvalid:
            pass  # some text is spelled in a way of its own, or is no number: look at each
    column = encode_text(texts, str.strip)
    numbers = np.full(len(column.distinct) + 1, np.nan)  # the last one is for missing
    wrong: list[int] = []
    for index, text in enumerate(column.distinct):
        number = parse_number(text, decimal)
        if number is not None:
            numbers[index] = number
        elif text not in missing:
            wrong.append(index)
    if not wrong:
        return numbers[column.index], None
    row = int(np.flatnonzero(np.isin(column.index, wrong))[0])
    kind = _kind_of(column.distinct[int(column.index[row])], decimal)
    return numbers[column.index], WrongNumber(row, kind)


def _text_of(value: object) -> str:
    """Return a typed value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _kind_of(text: str, decimal: str) -> str:
    """Say in words what a text is that is not a number, without quoting it."""
    if decimal == "." and parse_number(text, ",") is not None:
        return 'a number with a comma (set decimal = "," under [source] if it is the decimal sign)'
    if text.casefold().lstrip("+-") in ("inf", "infinity"):
        return "an infinite number"
    if _DATE.fullmatch(text):
        return "a date"
    if parse_number(re.sub(r"[,.' \u00a0]", "", text), ".") is not None:
        return "a number with thousands separators or another decimal sign"
    if text.casefold() in ("true", "false", "yes", "no"):
        return "a truth value"
    return "text"
