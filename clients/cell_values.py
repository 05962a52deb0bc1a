"""What a table's cell means: a category's text, a number, or missing; and what it is otherwise.

A column of text is encoded (distinct texts and an index a row), so that each rule is applied to
every distinct text once, however many rows there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from uuid import UUID

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
_PLAIN = (str, int, float, Decimal, date, time, UUID)
_DATE = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}([T ].*)?")


@dataclass(frozen=True)
class TextColumn:
    """A column of text: its distinct texts, and each row's index into them; -1 is missing."""

    distinct: tuple[str, ...]
    index: npt.NDArray[np.int32]

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


class TextCollector:
    """Makes one `TextColumn` of a column that comes in batches, of any type but nested ones.

    Args:
        clean: brings a text into the form that is compared, such as `category_text`.
    """

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._position: dict[str, int] = {}
        self._index: list[npt.NDArray[np.int32]] = []

    def add(self, column: pa.Array) -> None:
        """Add a batch: text, numbers, truth values or dates; null is missing."""
        column = plain_array(column)
        if pa.types.is_null(column.type):
            self._index.append(np.full(len(column), -1, dtype=np.int32))
            return
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column)
        # A file's dictionary may hold texts that no row has.
        used = pc.unique(column.indices).drop_null()
        place = np.full(len(column.dictionary) + 1, -1, dtype=np.int32)  # the last is for null
        for index, value in zip(
            used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True
        ):
            text = "" if value is None else self._clean(text_of(value))
            if text not in MISSING_TEXTS:
                place[index] = self._position.setdefault(text, len(self._position))
        rows = column.indices.fill_null(len(column.dictionary))
        self._index.append(place[rows.to_numpy(zero_copy_only=False)])

    def finish(self) -> TextColumn:
        """Return all that was added."""
        index = np.concatenate(self._index) if self._index else np.empty(0, dtype=np.int32)
        self._index.clear()
        return TextColumn(tuple(self._position), index)


def category_text(value: str) -> str:
    """Return a category's text: stripped, and '1' for '1.0', as tables with gaps store 1."""
    text = value.strip()
    match = _WHOLE_WITH_FRACTION.fullmatch(text)
    return match.group(1) if match else text


def plain_array(column: pa.Array) -> pa.Array:
    """Return a column with values that Arrow can encode: UUIDs become their text."""
    if isinstance(column.type, pa.UuidType):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    return column


def array_of(values: Sequence[object]) -> pa.Array:
    """Return a database's values as a column; one whose values differ in type becomes text.

    Raises:
        TypeError: a value is neither a number, a truth value, text, a date nor a time.
    """
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    texts: list[str | None] = []
    for value in values:
        if value is not None and not isinstance(value, _PLAIN):
            raise TypeError(type(value).__name__)
        texts.append(None if value is None else text_of(value))
    return pa.array([text and text.encode("utf-8", "replace").decode() for text in texts])


def floats_of(column: pa.Array) -> npt.NDArray[np.float64]:
    """Return a numeric column as floats of its own, NaN where it is null."""
    if pa.types.is_decimal(column.type):
        # Arrow's own way from decimals to floats misses the nearest float about one time in three.
        column = column.cast(pa.string())
    floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    # The conversion can give a read-only view of the file's buffer.
    return floats if floats.flags.writeable else np.array(floats, dtype=np.float64)


def numbers_of(
    column: pa.Array, decimal: str, missing_codes: Sequence[str | float]
) -> tuple[npt.NDArray[np.float64], WrongNumber | None]:
    """Return one number a row (NaN is missing), and the first row that holds none.

    Args:
        column: of any type.
        decimal: the decimal sign of numbers that come as text.
        missing_codes: values that mean 'missing'.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers_of(column.cast(kind.value_type), decimal, missing_codes)
    wrong: WrongNumber | None = None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = floats_of(column)
    elif pa.types.is_boolean(kind):
        values = floats_of(column.cast(pa.int8()))
    elif is_text(kind):
        values, wrong = parse_numbers(column, decimal, missing_codes)
    else:
        values = np.full(len(column), np.nan)
        if column.null_count < len(column):
            row = int(pc.index(pc.is_valid(column), True).as_py())
            wrong = WrongNumber(row, f"a value of type {type_name(kind)}")
    for code in missing_codes:
        if (number := parse_number(str(code), ".")) is not None:
            values[values == number] = np.nan
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size and (wrong is None or infinite[0] < wrong.row):
        wrong = WrongNumber(int(infinite[0]), "an infinite number")
    return values, wrong


def parse_number(text: str, decimal: str) -> float | None:
    """Return the number that a text spells with this decimal sign, or None if it spells none."""
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_numbers(
    texts: pa.Array, decimal: str, missing_codes: Sequence[str | float]
) -> tuple[npt.NDArray[np.float64], WrongNumber | None]:
    """Return one number a row (NaN is missing), and the first row that holds none."""
    missing = {str(code).strip() for code in missing_codes} | set(MISSING_NUMBERS)
    plain = pc.utf8_trim_whitespace(texts)
    is_missing = pc.is_in(plain, value_set=pa.array(sorted(missing), plain.type))
    plain = pc.if_else(is_missing, pa.scalar(None, plain.type), plain)
    usual = plain
    if decimal == ",":
        has_point = pc.any(pc.match_substring(plain, ".")).as_py()
        usual = None if has_point else pc.replace_substring(plain, ",", ".")
    if usual is not None:
        try:
            return floats_of(pc.cast(usual, pa.float64())), None
        except pa.ArrowInvalid:
            pass  # some text is spelled in a way of its own, or is no number: look at each
    collector = TextCollector(str.strip)
    collector.add(texts)
    column = collector.finish()
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


def is_text(kind: pa.DataType) -> bool:
    """Say whether a column's type is text."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def type_name(kind: pa.DataType) -> str:
    """Name a type; of a nested one its kind alone, since field names may be somebody's data."""
    for test, name in (
        (pa.types.is_struct, "struct"),
        (pa.types.is_map, "map"),
        (pa.types.is_nested, "list"),
    ):
        if test(kind):
            return name
    return str(kind)


def text_of(value: object) -> str:
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
