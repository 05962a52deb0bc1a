"""The example of several banks of `veilscore init`: simulated borrowers, commented settings.

The borrowers are simulated: no row describes a real one. A latent strength of each borrower drives
income, balances and arrears, and so the default; the banks differ in whom they lend to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.example import cells, csv_text, write_folder

MONTHS = ("january", "february", "march", "april", "may", "june")
_JOBS = ("employed", "self-employed", "public service", "retired")


@dataclass(frozen=True)
class ExampleBank:
    """A simulated bank: its size, and how its borrowers differ from the others'.

    Attributes:
        name: of the party.
        rows: number of borrowers.
        strength: mean of their latent strength; the lower, the more default.
        jobs: shares of the kinds of work.
    """

    name: str
    rows: int
    strength: float
    jobs: tuple[float, float, float, float]


BANKS = (
    ExampleBank("north", 1_600, 0.2, (0.55, 0.10, 0.20, 0.15)),
    ExampleBank("coast", 1_500, -0.3, (0.50, 0.30, 0.08, 0.12)),
    ExampleBank("metro", 1_400, 0.0, (0.70, 0.15, 0.10, 0.05)),
)

FEDERATION_TOML = """\
# Several banks train one model: every bank has borrowers and outcomes of its own, and the same
# columns. Run it with
#     veilscore train --config federation.toml
# Every bank can hold a copy of this file: it says nothing about anybody's columns or rows.

[federation]
topology = "horizontal"
# Where runs are written, relative to this file.
output = "runs"
# Where the data comes from, for every report; and whether it is simulated.
note = "Example federation of three banks with about 1,500 borrowers each"
simulated = true

# One table a bank, two or more. A manifest is opened by its own bank only.
# Banks on machines of their own pin each other's keys, and compare fingerprints by telephone.
# Each writes what `veilscore keys MANIFEST` prints at the others into its own copy of this file:
#     key = "veilscore-key-1:..."
# Here all manifests lie on one machine, and the keys in the vaults beside them serve.
[parties.north]
role = "label"
manifest = "north/manifest.toml"

[parties.coast]
role = "label"
manifest = "coast/manifest.toml"

[parties.metro]
role = "label"
manifest = "metro/manifest.toml"

# Every bank cuts its own rows.
[split]
test_share = 0.2
# Training stops early by the loss on this share of the rows that are not test rows.
validation_share = 0.2
seed = 42
# Instead of test_share: a column of every bank's table with train, validation or test.
# column = "split"

[model]
# "mlp": all columns side by side; "gru" or "lstm": reads the months one after the other.
architecture = "mlp"

[privacy]
# Uncomment for differential privacy of every borrower's record (DP-SGD); a smaller epsilon is
# more private and less accurate. delta must lie well below 1 / rows of a bank.
# record_epsilon = 3.0
# delta = 1e-5

[aggregation]
# The encryption under which updates are added: "bfv" (exact) or "ckks" (approximate).
scheme = "bfv"
# Below so many contributions a round is refused: a bank that knows its own update would know too
# much of the others'.
minimum_clients = 3
# Banks that may fall silent in a round. With three banks, of which three must contribute: none.
dropouts = 0
# Seconds that a round waits for a bank.
round_seconds = 120
"""

_MANIFEST = """\
# The manifest of one bank: what it brings. It stays at the bank.
# The borrowers of this example are simulated.

[party]
name = "{name}"
role = "label"            # every bank knows who defaulted

[source]
path = "borrowers.csv"    # .csv or .parquet, relative to this file
# Or a folder of Parquet files, path = "borrowers"; or instead of path a database, whose URL stays
# in an environment variable: kind = "sql", table = "borrowers", url_env = "BANK_DATABASE_URL"

[ids]
column = "borrower_id"
rule = "strip"

[label]
column = "defaulted"
positive = 1              # one value or a list: ["yes", "Y"]

# All banks declare the same features, units, bounds and categories: the inputs of the model. They
# are agreed on beforehand and publicly known, never read off a bank's own rows: under differential
# privacy numbers are scaled by 'minimum' and 'maximum', which every numeric feature then needs.
# Codes for 'missing' can differ: each bank lists its own.
[features]
age = {{ kind = "numeric", unit = "years", minimum = 18, maximum = 100 }}
income = {{ kind = "numeric", unit = "EUR a month", minimum = 0, maximum = 50000{missing} }}
loan_amount = {{ kind = "numeric", unit = "EUR", minimum = 500, maximum = 100000 }}
term = {{ kind = "numeric", unit = "months", minimum = 6, maximum = 120 }}

# A value that is not among the categories counts as 'other'.
[features.job]
kind = "categorical"
categories = ["employed", "self-employed", "public service"]

# A group: columns that are declared alike. sequence = true: months of one quantity, oldest first;
# all sequences cover the same months.
[features.balance]
columns = {balance}
kind = "numeric"
sequence = true
unit = "EUR"
minimum = -20000
maximum = 200000

[features.days_overdue]
columns = {days}
kind = "numeric"
sequence = true
unit = "days"
minimum = 0
maximum = 31
"""


def write_horizontal_example(directory: Path | str) -> Path:
    """Write a commented example federation of three banks that runs.

    Args:
        directory: a folder that does not exist yet or is empty.

    Returns:
        The path of the federation file in it.

    Raises:
        InputError: the directory is a file, or not empty, or cannot be written.
    """
    contents: dict[str, str] = {}
    for bank, columns in _simulate().items():
        # One core system writes -1 where an income is unknown, the others leave the cell empty.
        contents[f"{bank}/manifest.toml"] = _MANIFEST.format(
            name=bank,
            missing=", missing = [-1]" if bank == BANKS[0].name else "",
            balance=_listed("balance"),
            days=_listed("days_overdue"),
        )
        contents[f"{bank}/borrowers.csv"] = csv_text(columns)
    contents["federation.toml"] = FEDERATION_TOML
    return write_folder(directory, contents)


def _listed(quantity: str) -> str:
    """A sequence's columns as TOML writes them."""
    return "[" + ", ".join(f'"{quantity}_{month}"' for month in MONTHS) + "]"


def _simulate(seed: int = 20_260_102) -> dict[str, dict[str, list[str]]]:
    """Return each bank's columns; the same seed gives the same files."""
    rng = np.random.default_rng(seed)
    total = sum(bank.rows for bank in BANKS)
    numbers = [f"{number:08d}" for number in rng.choice(10**8, size=total, replace=False)]
    tables: dict[str, dict[str, list[str]]] = {}
    for bank in BANKS:
        own, numbers = numbers[: bank.rows], numbers[bank.rows :]
        strength = rng.normal(bank.strength, 1.0, size=bank.rows)
        job = rng.choice(len(_JOBS), size=bank.rows, p=bank.jobs)
        age = np.where(
            job == _JOBS.index("retired"),
            rng.uniform(60, 85, size=bank.rows),
            rng.uniform(20, 65, size=bank.rows),
        )
        income = np.clip(np.exp(rng.normal(7.9 + 0.25 * strength, 0.4)), 400, 50_000)
        loan = np.clip(np.exp(rng.normal(9.2, 0.7, size=bank.rows)), 500, 100_000)
        term = rng.choice([12, 24, 36, 48, 60], size=bank.rows)
        # Arrears build up, and balances fall, in the months before a default.
        trend = rng.normal(0.3 * strength, 0.5)
        month = np.arange(len(MONTHS)) / (len(MONTHS) - 1)
        pressure = -0.6 * strength[:, None] - 1.2 * trend[:, None] * (month - 0.5)
        days = np.minimum(rng.poisson(np.exp(pressure + rng.normal(0, 0.4, pressure.shape))), 31)
        balance = income[:, None] * (0.8 + 0.35 * trend[:, None] * month) + rng.normal(
            0, 400, pressure.shape
        )
        balance = np.clip(balance, -20_000, 200_000)
        logit = (
            -2.1
            - 0.5 * strength
            - 0.7 * trend
            + 0.35 * (job == _JOBS.index("self-employed"))
            + 0.6 * (np.log(loan / term / income) + 1.9)
            + 0.12 * np.minimum(days[:, -1], 10)
        )
        defaulted = rng.random(bank.rows) < 1 / (1 + np.exp(-logit))
        unknown = rng.random(bank.rows) < 0.03
        tables[bank.name] = {
            "borrower_id": own,
            "age": cells(age, 0),
            "income": cells(income, 0, unknown, "-1" if bank is BANKS[0] else ""),
            "loan_amount": cells(loan, 0),
            "term": cells(term, 0),
            "job": [_JOBS[index] for index in job],
            **{f"balance_{name}": cells(balance[:, at], 0) for at, name in enumerate(MONTHS)},
            **{f"days_overdue_{name}": cells(days[:, at], 0) for at, name in enumerate(MONTHS)},
            "defaulted": cells(defaulted, 0),
        }
    return tables
