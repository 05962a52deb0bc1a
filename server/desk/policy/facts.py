"""Facts: what a lending decision needs beside the score, as the policy file declares them.

    [products.working-capital.facts]
    requested_minor = {type = "integer", unit = "minor", required = true, example = 5_000_000}
    drawn_minor = {type = "integer", unit = "minor", default = 0}

A fact is either required, with an example for `veilscore policy check` and for portfolios that
lack the column, or has a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from server.desk.decisions import Fact
from server.desk.policy.rounding import MOST_MINOR, plain, within_decimals
from server.desk.policy.toml_table import Table

MOST_TEXT = 200


class FactType(StrEnum):
    """What kind of value a fact is; the names of the wire's own kinds."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    FLAG = "flag"


class Unit(StrEnum):
    """What a number counts."""

    MINOR = "minor"  # minor units of the policy's currency, from 0 up
    DAYS = "days"
    MONTHS = "months"
    COUNT = "count"
    SHARE = "share"  # a Decimal from 0 to 1
    RATIO = "ratio"  # a Decimal of either sign


NO_UNIT = ""
_UNITS = {
    FactType.INTEGER: (Unit.MINOR, Unit.DAYS, Unit.MONTHS, Unit.COUNT),
    FactType.DECIMAL: (Unit.SHARE, Unit.RATIO),
}
# 200 years of days: longer durations are mistakes.
_MOST = {
    str(unit): most
    for unit, most in {
        Unit.MINOR: MOST_MINOR,
        Unit.DAYS: 73_000,
        Unit.MONTHS: 2_400,
        Unit.COUNT: MOST_MINOR,
        Unit.SHARE: 1,
        Unit.RATIO: MOST_MINOR,
    }.items()
}
_COUNTED = {"minor": "minor units", "days": "days", "months": "months", "count": "things"}


@dataclass(frozen=True)
class FactSpec:
    """One declared fact.

    Attributes:
        name: as requests bring it.
        type: of its value.
        unit: of a number; empty for texts and flags.
        required: whether a request must bring it.
        stand_in: the default of one that is not required, the example of one that is.
    """

    name: str
    type: FactType
    unit: str
    required: bool
    stand_in: Fact

    def fault(self, value: object) -> str:
        """What is wrong with a value, in a sentence without it; empty: nothing."""
        if self.type is FactType.FLAG:
            return "" if isinstance(value, bool) else "must be true or false"
        if self.type is FactType.TEXT:
            right = isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable()
            return "" if right else f"must be a line of text, 1 to {MOST_TEXT} signs"
        most = _MOST[self.unit]
        if self.type is FactType.INTEGER:
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
                return ""
            return f"must be a whole number of {_COUNTED[self.unit]}, from 0 to {most:,}"
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return "must be a decimal number, such as 0.25"
        if isinstance(value, Decimal) and not within_decimals(value):
            return "must be a finite number with at most 12 decimals"
        if self.unit == Unit.SHARE and not 0 <= value <= 1:
            return "must be a share from 0 to 1"
        if not -most <= value <= most:
            return f"must be from -{most:,} to {most:,}"
        return ""

    def parsed(self, text: str) -> Fact | None:
        """The value of a text, as a portfolio's column or the command line has it; None: none."""
        if self.type is FactType.TEXT:
            return text
        if self.type is FactType.FLAG:
            return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
        try:
            number = Decimal(text.strip())
        except ArithmeticError:
            return None
        if not within_decimals(number) and not (
            number.is_finite()
            and abs(number) <= MOST_MINOR
            and number == number.to_integral_value()
        ):
            return None
        if self.type is FactType.DECIMAL:
            return number
        return int(number) if number == number.to_integral_value() else None


class Facts:
    """A request's facts, checked: every declared one is there and has its type.

    Amounts, days and counts are read with `whole`, shares with `decimal`.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Fact]) -> None:
        """Hold them as they are: `checked_facts` makes them."""
        self._values = values

    def whole(self, name: str) -> int:
        """An integer fact."""
        return self._values[name]  # type: ignore[return-value]

    def decimal(self, name: str) -> Decimal:
        """A decimal fact."""
        return Decimal(self._values[name])

    def text(self, name: str) -> str:
        """A text fact."""
        return str(self._values[name])

    def __getitem__(self, name: str) -> Fact:
        """A fact as it is."""
        return self._values[name]


def checked_facts(
    given: Mapping[str, Fact], specs: Mapping[str, FactSpec]
) -> tuple[Facts, list[tuple[str, str]]]:
    """Facts with their defaults filled in, and (name, fault) for each one that does not serve."""
    faults = [(name[:64], "is no fact of this product") for name in given if name not in specs]
    values: dict[str, Fact] = {}
    for name, spec in specs.items():
        if name not in given:
            if spec.required:
                faults.append((name, "is missing"))
            values[name] = spec.stand_in
            continue
        fault = spec.fault(given[name])
        if fault:
            faults.append((name, fault))
        values[name] = given[name]
    return Facts(values), faults


def read_facts(table: Table) -> dict[str, FactSpec]:
    """The facts of one product.

    Raises:
        InputError: one is not declared as it must be.
    """
    return {
        table.checked_name(name, name): _read_fact(name, table.table(name)) for name in table.values
    }


def _read_fact(name: str, table: Table) -> FactSpec:
    table.allow("type", "unit", "required", "default", "example")
    kind = table.choice("type", FactType)
    unit = NO_UNIT
    if kind in _UNITS:
        chosen = table.choice("unit", Unit)
        if chosen not in _UNITS[kind]:
            units = ", ".join(f'"{one}"' for one in _UNITS[kind])
            raise table.error(f"has a unit that {kind} facts do not have; choose from {units}")
        unit = str(chosen)
    elif "unit" in table:
        raise table.error(f"has a unit, which {kind} facts do not have; leave it out")
    if name.endswith("_minor") != (unit == Unit.MINOR):
        raise table.error("must end with '_minor' if its unit is \"minor\", and only then")
    required = table.flag("required", "default" not in table)
    if required == ("default" in table):
        raise table.error("must be required or have a default, not both and not neither")
    key = "example" if required else "default"
    if required and "example" not in table:
        raise table.error("is required, so it must have an 'example', for checks of the policy")
    if not required and "example" in table:
        raise table.error("has a default, which is its example too; leave 'example' out")
    value = table.values[key]
    spec = FactSpec(name, kind, unit, required, False)
    fault = spec.fault(value)
    if fault or not isinstance(value, int | Decimal | str | bool):
        raise table.error(f"has a '{key}' that does not serve; it {fault}")
    if kind is FactType.DECIMAL:
        value = Decimal(str(value))
    return FactSpec(name, kind, unit, required, value)


def shown(value: Fact) -> str:
    """A fact's value in a policy's own description."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else str(value)
