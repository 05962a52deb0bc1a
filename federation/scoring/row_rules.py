"""What a caller's values must be: checked field by field, and read as training would read them.

A value means what it meant in training: a declared missing code is missing, a category is compared
as stripped text with '1.0' the same as '1'. What training would have refused is refused here, and
so is a category outside a declared vocabulary: a borrower's score should not rest on a value that
the bank itself calls wrong.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

FeatureValue = float | str | None  # None: missing
# In the order of the model's features: a float, a category's text, or None for missing.
Row = list[Any]

MOST_FIELDS_NAMED = 20
MOST_NAME_SHOWN = 60
_WHOLE_WITH_FRACTION = re.compile(r"([+-]?[0-9]+)\.0+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING_TEXTS = frozenset({"", "nan", "NaN", "null", "NULL", "<NA>"})


class FieldErrors(InputError):
    """Fields of a request that are wrong, all at once; no sentence holds a value.

    Attributes:
        fields: (field, sentence), at most MOST_FIELDS_NAMED and one that counts the others.
    """

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        """Keep the first ones."""
        shown = list(fields[:MOST_FIELDS_NAMED])
        if len(fields) > len(shown):
            shown.append(("", f"{len(fields) - len(shown)} more fields are wrong"))
        self.fields = tuple(shown)
        super().__init__("; ".join(f"{field} {text}".strip() for field, text in shown))


@dataclass(frozen=True)
class GivenColumn:
    """A feature's values as a caller brings them, one a borrower.

    Attributes:
        feature: its name.
        values: floats (n,) of a numeric feature, texts of a categorical one.
        missing: which are missing (n,), whatever stands in `values` there; None: none is.
    """

    feature: str
    values: npt.NDArray[np.float64] | Sequence[str]
    missing: npt.NDArray[np.bool_] | None = None


def category_text(value: str) -> str | None:
    """A category as training compares it: stripped, '1' for '1.0'; None where it means missing."""
    text = value.strip()
    match = _WHOLE_WITH_FRACTION.fullmatch(text)
    if match:
        return match.group(1)
    return None if text in _MISSING_TEXTS else text


class RowRules:
    """What a model's features allow.

    Args:
        specs: the features that every request must bring.
    """

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        """Prepare the checks."""
        self.specs = tuple(specs)
        self._names = frozenset(spec.name for spec in specs)
        self._checks = [_Check(spec) for spec in specs]
        self._by_name = {check.spec.name: check for check in self._checks}

    def row(self, features: Mapping[str, FeatureValue]) -> Row:
        """One borrower's values in the features' order, checked.

        Raises:
            FieldErrors: says what is wrong with each field.
        """
        row: Row = []
        add = row.append
        try:
            for check in self._checks:
                value = features[check.name]
                if value is None:
                    add(None)
                elif (
                    type(value) is float
                    and check.lowest <= value <= check.highest
                    and value not in check.numbers
                ):
                    add(value)
                else:
                    add(check.one(value))
            if len(features) == len(row):
                return row
        except (KeyError, _Wrong):
            pass
        raise FieldErrors(self._wrong(features))

    def columns(self, given: Sequence[GivenColumn], count: int) -> tuple[FeatureColumn, ...]:
        """Many borrowers' values in the features' order, checked.

        Args:
            given: a column a feature, in any order.
            count: how many borrowers there are.

        Raises:
            FieldErrors: says what is wrong with each column, and where it is first so.
        """
        wrong: list[tuple[str, str]] = []
        found: dict[str, FeatureColumn] = {}
        present = np.ones(count, dtype=np.bool_)
        for column in given:
            check = self._by_name.get(column.feature)
            if check is None:
                wrong.append((_shown(column.feature), "is no feature of the model"))
            elif column.feature in found:
                wrong.append((column.feature, "is given twice; give it once"))
            else:
                found[column.feature] = FeatureColumn(check.spec, np.empty(count), present)
                try:
                    values = check.many(column, count)
                    found[column.feature] = FeatureColumn(check.spec, values, present)
                except _Wrong as error:
                    wrong.append((column.feature, error.sentence))
        wrong += _lacking(self.specs, found)
        if wrong:
            raise FieldErrors(wrong)
        return tuple(found[spec.name] for spec in self.specs)

    def _wrong(self, features: Mapping[str, FeatureValue]) -> list[tuple[str, str]]:
        wrong = []
        for name, value in features.items():
            check = self._by_name.get(name)
            if check is None:
                wrong.append((_shown(name), "is no feature of the model"))
                continue
            try:
                check.one(value)
            except _Wrong as error:
                wrong.append((name, error.sentence))
        return wrong + _lacking(self.specs, features)


class _Wrong(Exception):
    """A value that a feature does not allow."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class _Check:
    """What one feature allows."""

    def __init__(self, spec: FeatureSpec) -> None:
        most = sys.float_info.max
        numeric = spec.kind is FeatureKind.NUMERIC
        self.spec = spec
        self.name = spec.name
        # A text has no range: the empty one sends every value of a categorical feature to `one`.
        self.lowest = (-most if spec.minimum is None else spec.minimum) if numeric else math.inf
        self.highest = (most if spec.maximum is None else spec.maximum) if numeric else -math.inf
        self.numbers = _number_codes(spec) if numeric else frozenset()
        self._texts = frozenset(category_text(str(code)) for code in spec.missing_codes)
        self._vocabulary = frozenset(spec.categories)

    def one(self, value: object) -> float | str | None:
        """A value as training would have it, None where it is missing; `_Wrong` if not allowed."""
        if value is None:
            return None
        if self.spec.kind is FeatureKind.CATEGORICAL:
            if not isinstance(value, str):
                raise _Wrong("must be a category's text, not a number")
            return self._category(value)
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise _Wrong("must be a number, not text")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _Wrong("must be a finite number; say that it is missing where it is not known")
        if number in self.numbers:
            return None
        if not self.lowest <= number <= self.highest:
            raise _Wrong(self._range())
        return number

    def many(self, column: GivenColumn, count: int) -> npt.NDArray[Any]:
        """A column as training would have it; `_Wrong` names the first borrower that is not."""
        missing = column.missing if column.missing is not None else np.zeros(count, dtype=np.bool_)
        if len(column.values) != count or len(missing) != count:
            raise _Wrong(f"must have a value for each of the {count:,} borrowers")
        if self.spec.kind is FeatureKind.CATEGORICAL:
            if isinstance(column.values, np.ndarray):
                raise _Wrong("must be categories' texts, not numbers")
            return self._many_texts(column.values, missing)
        if not isinstance(column.values, np.ndarray):
            raise _Wrong("must be numbers, not texts")
        numbers = column.values.astype(np.float64)
        for code in self.numbers:
            missing = missing | (numbers == code)
        outside = ~missing & ~((numbers >= self.lowest) & (numbers <= self.highest))
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            finite = math.isfinite(numbers[first])
            sentence = self._range() if finite else "must be finite numbers"
            raise _Wrong(f"{sentence} (borrower {first + 1} of the batch)")
        numbers[missing] = np.nan
        return numbers

    def _many_texts(
        self, values: Sequence[str], missing: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.object_]:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        texts[missing] = None
        meant: dict[str | None, str | None] = {None: None}
        for text in dict.fromkeys(texts.tolist()):
            if text is not None:
                try:
                    meant[text] = self._category(text)
                except _Wrong as error:
                    first = texts.tolist().index(text)
                    raise _Wrong(f"{error} (borrower {first + 1} of the batch)") from None
        texts[:] = [meant[text] for text in texts.tolist()]
        return texts

    def _category(self, value: str) -> str | None:
        text = category_text(value)
        if text is None or text in self._texts:
            return None
        if self._vocabulary and text not in self._vocabulary:
            raise _Wrong("must be one of the feature's declared categories, which ModelInfo lists")
        return text

    def _range(self) -> str:
        low, high = self.spec.minimum, self.spec.maximum
        if low is None:
            return f"must be at most {high:g}"
        return f"must be at least {low:g}" if high is None else f"must be {low:g} to {high:g}"


def _number_codes(spec: FeatureSpec) -> frozenset[float]:
    """Missing codes of a numeric feature, compared as numbers, as in training."""
    texts = [str(code) for code in spec.missing_codes]
    return frozenset(float(text) for text in texts if _NUMBER.fullmatch(text))


def _lacking(specs: Sequence[FeatureSpec], given: Container[str]) -> list[tuple[str, str]]:
    return [
        (spec.name, "is lacking; give its value, or say that it is missing")
        for spec in specs
        if spec.name not in given
    ]


def _shown(name: str) -> str:
    """A name that a caller made up, short and printable."""
    text = name if len(name) <= MOST_NAME_SHOWN else name[:MOST_NAME_SHOWN] + "…"
    return text if text.isprintable() else ascii(text)
