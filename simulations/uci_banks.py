"""The UCI data set 'default of credit card clients', divided among several banks.

Every bank holds all 23 features and the outcome of card holders of its own. One institution held
all of it: that several banks do, and the ids, are simulated.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from simulations import partitions
from simulations.uci import (
    ALL_COLUMNS,
    BILL_COLUMNS,
    LABEL_COLUMN,
    MONTHS,
    PAYMENT_COLUMNS,
    STATUS_COLUMNS,
    fixed_split,
    load_uci,
)

DATA_NOTE = (
    "Real data: UCI 'default of credit card clients' (Taiwan 2005, 30,000 borrowers, CC BY 4.0); "
    "its division among {banks} banks ({partition}) is simulated."
)
CATEGORICAL_COLUMNS = ("SEX", "EDUCATION", "MARRIAGE")
_ID = "borrower_id"
_MOST_BANKS = 200

# Bounds from what is publicly known of the product, not from the rows: cards with limits from
# 10,000 to 1,000,000 NTD, for adults; a month's bill or payment stays within twice the largest
# limit, and an overpaid card has a negative bill. Codes are those of the data's description; the
# undocumented ones (0, 5, 6) count as 'other'.
_MANIFEST = """\
# One of several banks; its card holders are real (UCI, Taiwan 2005), its share of them is not.
[party]
name = "{name}"
role = "label"

[source]
path = "borrowers.csv"

[ids]
column = "{id}"
rule = "strip"

[label]
column = "{label}"
positive = 1

# All banks declare the same columns, units, bounds and categories: the model's inputs. Bounds are
# publicly known ones, never the smallest and largest value of the bank's own rows.
[features]
LIMIT_BAL = {{ kind = "numeric", unit = "NTD", minimum = 10000, maximum = 1000000 }}
SEX = {{ kind = "categorical", categories = ["1", "2"] }}
EDUCATION = {{ kind = "categorical", categories = ["1", "2", "3", "4"] }}
MARRIAGE = {{ kind = "categorical", categories = ["1", "2", "3"] }}
AGE = {{ kind = "numeric", unit = "years", minimum = 18, maximum = 100 }}

[features.status]             # months of delay; -2 no use, -1 paid in full, 0 revolving
columns = {status}
kind = "numeric"
sequence = true               # {months}: the oldest month first
unit = "months"
minimum = -2
maximum = 9

[features.bills]
columns = {bills}
kind = "numeric"
sequence = true
unit = "NTD"
minimum = -2000000
maximum = 2000000

[features.payments]
columns = {payments}
kind = "numeric"
sequence = true
unit = "NTD"
minimum = 0
maximum = 2000000
"""

_FEDERATION = """\
# Several banks on the UCI data 'default of credit card clients' (real card holders, Taiwan, 2005).
# The division among banks is simulated ({partition}, seed {seed}), and so are the ids.

[federation]
topology = "horizontal"
output = "runs"
note = "{note}"

{parties}
[split]
column = "split"          # the fixed split on which published figures of this project stand
validation_share = 0.2
seed = 42

[aggregation]
minimum_clients = {minimum_clients}
"""

_PARTY = """\
[parties.{name}]
role = "label"
manifest = "{name}/manifest.toml"
"""


def bank_names(banks: int) -> tuple[str, ...]:
    """The banks' names, in order."""
    return tuple(f"bank-{number}" for number in range(1, banks + 1))


def assign_banks(partition: str, banks: int, seed: int) -> npt.NDArray[np.int64]:
    """The bank of every row of the data set, in file order, from 0.

    Training rows are divided by the partition, with at least `partitions.MINIMUM` of each class a
    bank; test rows follow, so that each bank's test rows resemble its training rows.

    Args:
        partition: "iid", "dirichlet:0.3" (label skew), "dirichlet-by-class:0.3" (label and size
            skew) or "attribute:EDUCATION" (any feature).
        banks: how many.
        seed: of all draws.

    Raises:
        InputError: there is no such partition, or the rows cannot give so many banks enough.
    """
    if not 2 <= banks <= _MOST_BANKS:
        raise InputError(f"{banks} banks were asked for; from 2 to {_MOST_BANKS} are right")
    data = load_uci()
    train, test = fixed_split(data.label)
    generator = np.random.default_rng(seed)
    divide, strata = _partition(partition, data.columns, data.label)
    assignment = np.empty(len(data.label), dtype=np.int64)
    assignment[train] = divide(strata[train], data.label[train], banks, generator)
    assignment[test] = partitions.follow(
        strata[train], assignment[train], strata[test], banks, generator
    )
    return assignment


def write_banks(
    directory: Path | str, *, banks: int = 4, partition: str = "iid", seed: int = 2005
) -> Path:
    """Write the banks' folders and the federation file.

    Every bank's table is CSV, in an order of its own, with the fixed split as a column.

    Args:
        directory: where to write; files of an earlier call are replaced.
        banks: how many, two or more.
        partition: see `assign_banks`.
        seed: of the division, the simulated ids and the order of rows.

    Returns:
        The path of the federation file.

    Raises:
        InputError: there is no such partition, or the rows cannot give so many banks enough.
    """
    import pyarrow as pa
    import pyarrow.csv

    directory = Path(directory)
    assignment = assign_banks(partition, banks, seed)
    data = load_uci()
    generator = np.random.default_rng([seed, 1])
    identifiers = np.array(
        [f"{number:010d}" for number in generator.choice(10**10, len(data.label), replace=False)]
    )
    split = np.full(len(data.label), "train", dtype=object)
    split[fixed_split(data.label)[1]] = "test"
    columns: dict[str, npt.NDArray[Any]] = {
        _ID: identifiers,
        **{name: data.columns[name] for name in ALL_COLUMNS if name != LABEL_COLUMN},
        LABEL_COLUMN: data.label,
        "split": split,
    }
    for bank, name in enumerate(bank_names(banks)):
        folder = directory / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = generator.permutation(np.flatnonzero(assignment == bank))
        pa.csv.write_csv(
            pa.table({column: pa.array(values[rows]) for column, values in columns.items()}),
            folder / "borrowers.csv",
        )
        (folder / "manifest.toml").write_text(_manifest(name), encoding="utf-8")
    federation = directory / "federation.toml"
    federation.write_text(
        _FEDERATION.format(
            partition=partition,
            seed=seed,
            note=DATA_NOTE.format(banks=banks, partition=partition),
            parties="\n".join(_PARTY.format(name=name) for name in bank_names(banks)),
            minimum_clients=min(3, banks),
        ),
        encoding="utf-8",
    )
    return federation


_Divide = Callable[
    [npt.NDArray[Any], partitions.Labels, int, np.random.Generator], partitions.Assignment
]


def _partition(
    name: str, columns: dict[str, npt.NDArray[np.int64]], label: partitions.Labels
) -> tuple[_Divide, npt.NDArray[Any]]:
    """The function that divides, and what it divides by."""
    kind, _, argument = name.partition(":")
    if name == "iid":
        return lambda strata, labels, banks, rng: partitions.iid(labels, banks, rng), label
    if kind in ("dirichlet", "dirichlet-by-class"):
        try:
            alpha = float(argument)
        except ValueError:
            raise InputError(f"partition '{name}': write a number, such as {kind}:0.3") from None
        draw = partitions.dirichlet if kind == "dirichlet" else partitions.dirichlet_by_class
        return lambda strata, labels, banks, rng: draw(labels, banks, rng, alpha=alpha), label
    if kind == "attribute":
        if argument not in columns:
            raise InputError(
                f"partition '{name}': there is no attribute '{argument}'; choose one of "
                f"{', '.join(columns)}"
            )
        if argument in CATEGORICAL_COLUMNS:
            return partitions.by_category, columns[argument]
        return partitions.by_quantile, columns[argument]
    raise InputError(
        f"there is no partition '{name}'; write iid, dirichlet:0.3, dirichlet-by-class:0.3 or "
        "attribute:EDUCATION"
    )


def _manifest(name: str) -> str:
    return _MANIFEST.format(
        name=name,
        id=_ID,
        label=LABEL_COLUMN,
        months=f"{MONTHS[-1]} to {MONTHS[0]} 2005",
        status=json.dumps(STATUS_COLUMNS[::-1]),
        bills=json.dumps(BILL_COLUMNS[::-1]),
        payments=json.dumps(PAYMENT_COLUMNS[::-1]),
    )
