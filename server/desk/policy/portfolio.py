"""Portfolios for `veilscore policy simulate`: CSV or Parquet, or a run's test scores.

Columns that count: `probability` or `log_odds` (a run's test scores name theirs after trainings);
`label` or `defaulted` with 0 or 1, where outcomes are known; `product`; `borrower`; and facts by
their names. An empty cell, and a column that is not there, stand for the fact's default or example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from federation.errors import InputError
from federation.scoring import default_probability
from server.desk.decisions import Fact
from server.desk.policy.facts import FactSpec
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.product import Product

SCORES = "test-scores.parquet"
OUTCOMES = ("label", "defaulted")
PROBABILITIES = ("probability", "probability_of_default")
_OTHERS = ("row", "product", "borrower", "id", *OUTCOMES, *PROBABILITIES, "log_odds")


@dataclass(frozen=True)
class Portfolio:
    """Applications in columns.

    Attributes:
        source: the file's name and the column of the scores.
        probabilities: (n,) of default.
        defaulted: (n,) observed; None where outcomes are not known.
        products: one a row.
        borrowers: one a row, empty where the portfolio has none.
        facts: columns of values by fact, in rows; None: the stand-in.
        common: facts that are the same in all rows, by product.
        assumed: facts, by product, whose examples stand in for a missing column.
        unused: columns that nothing uses.
    """

    source: str
    probabilities: npt.NDArray[np.float64]
    defaulted: npt.NDArray[np.bool_] | None
    products: Sequence[str]
    borrowers: Sequence[str]
    facts: Mapping[str, Sequence[Fact | None]]
    common: Mapping[str, Mapping[str, Fact]]
    assumed: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many applications."""
        return len(self.probabilities)

    def facts_of(self, row: int) -> dict[str, Fact]:
        """One application's facts."""
        given = dict(self.common[self.products[row]])
        for name, column in self.facts.items():
            value = column[row]
            if name in given and value is not None:
                given[name] = value
        return given


def read_portfolio(
    path: Path,
    policy: LendingPolicy,
    product: str = "",
    score: str = "",
    given: Mapping[str, str] | None = None,
) -> Portfolio:
    """Read a portfolio for a policy.

    Args:
        path: CSV or Parquet, or a run's folder with one party's test scores.
        policy: whose facts count.
        product: of all rows, where there is no such column; empty: the policy's first.
        score: the column of log-odds, where a run's test scores have several.
        given: texts of facts that are the same in all rows.

    Raises:
        InputError: the file, a column or a cell does not serve; names file, column and row.
    """
    path = _file(path)
    table = _read_table(path)
    if not table.num_rows:
        raise InputError(f"{path}: the portfolio has no rows")
    source, used, probabilities = _probabilities(path, table, score)
    products = _products(path, table, policy, product)
    named = [policy.products[name] for name in dict.fromkeys(products)]
    fixed = _given(named, given or {})
    facts = _facts(path, table, named)
    common: dict[str, dict[str, Fact]] = {}
    assumed: dict[str, tuple[str, ...]] = {}
    for one in named:
        stand_ins = {name: spec.stand_in for name, spec in one.facts.items()}
        own = {name: value for name, value in fixed.items() if name in one.facts}
        common[one.name] = stand_ins | own
        assumed[one.name] = tuple(
            name
            for name, spec in one.facts.items()
            if spec.required and name not in facts and name not in own
        )
    outcomes = next((name for name in OUTCOMES if name in table.column_names), None)
    borrower = next((name for name in ("borrower", "id") if name in table.column_names), None)
    return Portfolio(
        source=source,
        probabilities=probabilities,
        defaulted=None if outcomes is None else _flags(path, table, outcomes),
        products=products,
        borrowers=[""] * table.num_rows if borrower is None else _texts(table, borrower),
        facts=facts,
        common=common,
        assumed=assumed,
        unused=tuple(
            name
            for name in table.column_names
            if name not in facts and name != used and name not in _OTHERS
        ),
    )


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / SCORES] if (path / SCORES).is_file() else sorted(path.glob(f"*/{SCORES}"))
    if len(found) != 1:
        raise InputError(
            f"{path}: the folder has {len(found)} test scores; name one file, such as "
            f"{path}/BANK/{SCORES}"
        )
    return found[0]


def _read_table(path: Path) -> pa.Table:
    right = "a portfolio is a CSV or Parquet file"
    try:
        if path.suffix == ".parquet":
            return pa_parquet.ParquetFile(path).read()
        with pa_csv.open_csv(path) as reader:
            names = reader.schema.names
        texts = {name: pa.string() for name in names}
        options = pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
        return pa_csv.read_csv(path, convert_options=options)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; {right}") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        # What Arrow says ends in the row itself, so it is not repeated.
        said = "" if isinstance(error, pa.ArrowException) else getattr(error, "strerror", None)
        raise InputError(f"{path}: cannot be read{f' ({said})' if said else ''}; {right}") from None


def _probabilities(
    path: Path, table: pa.Table, score: str
) -> tuple[str, str, npt.NDArray[np.float64]]:
    names = table.column_names
    if len(set(names)) != len(names):
        raise InputError(f"{path}: two columns have the same name; each must have its own")
    probability = next((name for name in PROBABILITIES if name in names), None)
    if score:
        if score not in names:
            raise InputError(f"{path}: has no column '{score}'; its columns: {', '.join(names)}")
        column, is_probability = score, score in PROBABILITIES
    elif probability is not None:
        column, is_probability = probability, True
    elif "log_odds" in names:
        column, is_probability = "log_odds", False
    else:
        column, is_probability = _training(path, table), False
    values = _numbers(path, table, column)
    if not is_probability:
        values = default_probability(values)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        row = int(np.argmax(outside)) + 1
        raise InputError(f"{path}: row {row}: '{column}' is no probability; it must be from 0 to 1")
    return f"{path.name}, column '{column}'", column, values


def _training(path: Path, table: pa.Table) -> str:
    """The column of a run's test scores: the first training that is not the bank alone."""
    if {"row", "label"} <= set(table.column_names):
        for field in table.schema:
            if pa.types.is_floating(field.type) and field.name not in ("alone", *_OTHERS):
                return str(field.name)
    raise InputError(f"{path}: must have a column 'probability' or 'log_odds'")


def _numbers(path: Path, table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    try:
        values = table[column].cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        raise InputError(f"{path}: column '{column}' must hold numbers only") from None
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise InputError(
            f"{path}: row {int(np.argmax(wrong)) + 1}: '{column}' must be a finite number"
        )
    numbers: npt.NDArray[np.float64] = values.astype(np.float64)
    return numbers


def _flags(path: Path, table: pa.Table, column: str) -> npt.NDArray[np.bool_]:
    values = _numbers(path, table, column)
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise InputError(f"{path}: row {int(np.argmax(wrong)) + 1}: '{column}' must be 0 or 1")
    return np.asarray(values == 1)


def _texts(table: pa.Table, column: str) -> list[str]:
    return ["" if value is None else str(value) for value in table[column].to_pylist()]


def _products(path: Path, table: pa.Table, policy: LendingPolicy, product: str) -> list[str]:
    known = ", ".join(policy.products)
    if "product" in table.column_names and not product:
        names = _texts(table, "product")
        for row, name in enumerate(names, start=1):
            if name not in policy.products:
                raise InputError(
                    f"{path}: row {row}: 'product' is none of the policy's; it must be one of "
                    f"{known}"
                )
        return names
    chosen = product or next(iter(policy.products))
    if chosen not in policy.products:
        raise InputError(f"--product: the policy has no '{chosen[:64]}'; choose from {known}")
    return [chosen] * table.num_rows


def _given(products: Sequence[Product], given: Mapping[str, str]) -> dict[str, Fact]:
    values: dict[str, Fact] = {}
    for name, text in given.items():
        spec = next((one.facts[name] for one in products if name in one.facts), None)
        if spec is None:
            known = ", ".join(products[0].facts)
            raise InputError(f"--fact: no product declares '{name[:64]}'; choose from {known}")
        values[name] = _parsed(spec, text, "--fact")
    return values


def _facts(
    path: Path, table: pa.Table, products: Sequence[Product]
) -> dict[str, list[Fact | None]]:
    columns: dict[str, list[Fact | None]] = {}
    for name in table.column_names:
        spec = next((one.facts[name] for one in products if name in one.facts), None)
        if spec is None:
            continue
        known: dict[Any, Fact | None] = {None: None, "": None}
        column: list[Fact | None] = []
        for row, value in enumerate(table[name].to_pylist(), start=1):
            if value not in known:
                known[value] = _parsed(spec, _cell(value), f"{path}: row {row}: ")
            column.append(known[value])
        columns[name] = column
    return columns


def _cell(value: object) -> str:
    """A cell as text: whole floats without a point, others by their shortest digits."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _parsed(spec: FactSpec, text: str, where: str) -> Fact:
    value = spec.parsed(text)
    fault = "is no value of its type" if value is None else spec.fault(value)
    if value is None or fault:
        raise InputError(f"{where}'{spec.name}' {fault} ({_kind(spec)})")
    return Decimal(value) if isinstance(value, Decimal) else value


def _kind(spec: FactSpec) -> str:
    return f"{spec.type}, {spec.unit}" if spec.unit else str(spec.type)
