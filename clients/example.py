"""The example federation of `veilscore init`: two parties, simulated firms, commented settings.

The firms are simulated: no row describes a real one. A latent strength of each firm drives both
what the bank sees and what the platform sees, and so its default.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

BANK_FIRMS = 6_000
PLATFORM_FIRMS = 5_900
SHARED_FIRMS = 5_600

_INDUSTRIES = ("retail", "manufacturing", "construction", "transport", "food service", "other")
_INDUSTRY_SHARES = (0.34, 0.20, 0.14, 0.12, 0.12, 0.08)
_INDUSTRY_RISK = (0.0, -0.3, 0.4, 0.2, 0.6, 0.1)
_TIERS = ("basic", "plus", "premium")

FEDERATION_TOML = """\
# A federation: who trains together, and how. Run it with
#     veilscore train --config federation.toml
# Every party can hold a copy of this file: it says nothing about anybody's columns or rows.

[federation]
# "inner": train on the borrowers that every party knows.
# "label-left": keep all borrowers of the label party; one that a partner does not know falls
# into an 'absent' bin there.
alignment = "inner"
# Where runs are written, relative to this file.
output = "runs"
# Where the data comes from, for every report; and whether it is simulated.
note = "Example federation of about 6,000 small firms"
simulated = true

# One table a party. Exactly one has role = "label": it holds the outcomes.
# A manifest is opened by its own party only.
# Parties on machines of their own pin each other's keys, and compare fingerprints by telephone.
# Each writes what `veilscore keys MANIFEST` prints at the others into its own copy of this file:
#     key = "veilscore-key-1:..."
# Here all manifests lie on one machine, and the keys in the vaults beside them serve.
[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[parties.platform]
role = "feature"
manifest = "platform/manifest.toml"

[split]
test_share = 0.2
# The penalty is chosen, and training stopped, on this share of the rows that are not test rows.
validation_share = 0.2
seed = 42
# Instead of test_share: a column of the label party's table with train, validation or test.
# column = "split"

[model]
# Quantile bins a numeric feature.
bins = 32

[privacy]
# Uncomment to add noise to what the partners learn of the labels (differential privacy of every
# label; a smaller epsilon is more private and less accurate).
# label_epsilon = 2.0
# delta = 1e-5

[serving]
# Models for when a partner is silent, trained with the main one: for "every" set of partners; for
# "masked" sets of two or more, in which no single partner's scores show; or the bank "alone".
fallbacks = "every"
"""

BANK_MANIFEST = """\
# The bank's manifest: what the bank brings. It stays at the bank.
# The firms of this example are simulated.

[party]
name = "bank"
role = "label"            # the party that knows who defaulted

[source]
path = "borrowers.csv"    # .csv or .parquet, relative to this file
# separator = ";"         # CSV only; the default is ","
# decimal = ","           # CSV only; the default is "."
# encoding = "latin-1"    # CSV only; the default is "utf-8"
# path = "borrowers"      # instead: a folder of Parquet files, or a pattern: "2026/*.parquet"
# Instead of path, a database (PostgreSQL, SQLite); its URL stays in an environment variable:
# kind = "sql", table = "borrowers" and url_env = "BANK_DATABASE_URL", a line each

[ids]
column = "registration_number"
# How ids are written alike at all parties; every party must declare the same rule.
#   exact         as they stand
#   strip         without outer white space (the default)
#   casefold      as strip, and upper and lower case are the same
#   alphanumeric  as casefold, letters and digits only
#   digits        digits only
# Leading zeros stay under every rule.
rule = "strip"

[label]
column = "defaulted"
positive = 1              # one value or a list: ["yes", "Y"]

# One line a feature. kind is "numeric" (ordered) or "categorical".
# Empty cells are missing; list further codes for 'missing' under missing.
# label is the public name: what reports that others see may call the feature.
[features]
loan_amount = { kind = "numeric", unit = "EUR", minimum = 0, label = "loan amount" }
term = { kind = "numeric", unit = "months", minimum = 1, maximum = 120 }
years_in_business = { kind = "numeric", unit = "years", missing = [-999], minimum = 0 }
equity_ratio = { kind = "numeric", unit = "1", minimum = -1, maximum = 1 }
industry = "categorical"  # short for { kind = "categorical" }
"""

PLATFORM_MANIFEST = """\
# The platform's manifest: what the platform brings. It stays at the platform.
# The merchants of this example are simulated.

[party]
name = "platform"
role = "feature"          # features only, no outcomes

[source]
path = "merchants.csv"

[ids]
column = "registration_number"
rule = "strip"

# Only merchants who agreed to this purpose, and whose consent still holds, are aligned.
# Consents can also stand in a file of their own:
#     path = "consents.csv", with the columns id, purpose, valid_until
# Without this table every row is used.
[consent]
purpose = "credit-scoring"
purpose_column = "consent_purpose"
valid_until_column = "consent_until"

[features]
days_on_platform = { kind = "numeric", unit = "days", minimum = 0 }
return_rate = { kind = "numeric", unit = "1", minimum = 0, maximum = 1, label = "share returned" }
disputes = { kind = "numeric", unit = "disputes in 90 days", minimum = 0 }
tier = "categorical"

# A group: columns that are declared alike.
[features.turnover]
columns = ["turnover_q1", "turnover_q2", "turnover_q3", "turnover_q4"]
kind = "numeric"
unit = "EUR"
missing = [-1]
minimum = 0
label = "turnover ({column})"

# What may become known of this party's features where the bank grows boosted trees. Without this
# table boosted trainings with bins or order are refused.
#   "owner"  trees are grown at their owner
#   "bins"   sums over bins and split bits: with many trees the bank can rebuild every merchant's
#            bin in every feature
#   "order"  every merchant's bin in every feature goes to the bank
# bins = the most bins of a feature that may become known; fewer say less.
# [boosting]
# disclosure = "bins"
# bins = 16

# How this party answers when the bank scores borrowers: `veilscore party serve manifest.toml`.
[serving]
listen = "127.0.0.1:7443"
# Whether the bank is told which labelled features weighed most against a borrower.
reasons = false
# Whether to answer alone, where no other party's mask hides this one's points.
alone = true
# Most borrowers that may be asked about in a day; 0: no limit.
borrowers_per_day = 0
"""


def write_example(directory: Path | str) -> Path:
    """Write a commented example federation that runs.

    Args:
        directory: a folder that does not exist yet or is empty.

    Returns:
        The path of the federation file in it.

    Raises:
        InputError: the directory is a file, or not empty, or cannot be written.
    """
    bank, platform = _simulate()
    return write_folder(
        directory,
        {
            "bank/manifest.toml": BANK_MANIFEST,
            "bank/borrowers.csv": csv_text(bank),
            "platform/manifest.toml": PLATFORM_MANIFEST,
            "platform/merchants.csv": csv_text(platform),
            "federation.toml": FEDERATION_TOML,
        },
    )


def write_folder(directory: Path | str, contents: Mapping[str, str]) -> Path:
    """Write files into a folder that is new or empty.

    Args:
        directory: the folder.
        contents: text by path in the folder; made before the first one is written, so that nothing
            stays half-written. One is the federation file, `federation.toml`.

    Returns:
        The path of the federation file.

    Raises:
        InputError: the directory is a file, or not empty, or cannot be written.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; name a folder that is new or empty")
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory}: is not empty; name a folder that is new or empty")
    try:
        for name, content in contents.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{directory}: cannot be written ({error.strerror}); name a folder you may write to"
        ) from None
    return directory / "federation.toml"


def _simulate(seed: int = 20_260_101) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the bank's columns and the platform's; the same seed gives the same files."""
    rng = np.random.default_rng(seed)
    total = BANK_FIRMS + PLATFORM_FIRMS - SHARED_FIRMS
    # Eight digits, of which some begin with zeros: read as numbers, they would not match.
    numbers = [f"{number:08d}" for number in rng.choice(10**8, size=total, replace=False)]
    strength = rng.normal(size=total)
    industry = rng.choice(len(_INDUSTRIES), size=total, p=_INDUSTRY_SHARES)

    years = np.round(np.exp(rng.normal(1.7 + 0.25 * strength, 0.8)), 1)
    loan = np.round(np.exp(rng.normal(10.3, 0.7, size=total)), -2)
    term = rng.choice([12, 24, 36, 48, 60], size=total, p=[0.2, 0.3, 0.3, 0.1, 0.1])
    equity = np.clip(rng.normal(0.3 + 0.08 * strength, 0.2), -1, 1)
    turnover = np.exp(rng.normal(9.5 + 0.35 * strength, 0.9))
    trend = rng.normal(0.03 + 0.06 * strength, 0.10)
    returns = np.clip(rng.gamma(2, 0.03, size=total) - 0.012 * strength, 0, 1)
    disputes = rng.poisson(np.exp(-0.4 - 0.5 * strength))
    days = np.round(rng.gamma(2, 400, size=total))
    logit = (
        -2.9
        - 0.55 * strength
        + np.asarray(_INDUSTRY_RISK)[industry]
        + 0.9 * np.exp(-years / 2)
        - 1.6 * (equity - 0.3)
        + 0.3 * (np.log(loan) - 10.3)
        - 5.0 * trend
        + 6.0 * (returns - 0.06)
        + 0.35 * np.minimum(disputes, 4)
        + 0.7 * (days < 180)
    )
    defaulted = rng.random(total) < 1 / (1 + np.exp(-logit))

    shared = np.arange(SHARED_FIRMS)
    at_bank = rng.permutation(np.r_[shared, np.arange(SHARED_FIRMS, BANK_FIRMS)])
    at_platform = rng.permutation(np.r_[shared, np.arange(BANK_FIRMS, total)])
    bank = {
        "registration_number": [numbers[firm] for firm in at_bank],
        "loan_amount": cells(loan[at_bank], 0),
        "term": cells(term[at_bank], 0),
        # The bank's core system writes -999 where it does not know the age of a firm.
        "years_in_business": cells(years[at_bank], 1, rng.random(BANK_FIRMS) < 0.04, "-999"),
        "equity_ratio": cells(equity[at_bank], 3, rng.random(BANK_FIRMS) < 0.08),
        "industry": [_INDUSTRIES[index] for index in industry[at_bank]],
        "defaulted": cells(defaulted[at_bank], 0),
    }
    padded = rng.random(PLATFORM_FIRMS) < 0.02
    unknown = rng.random(PLATFORM_FIRMS)
    platform = {
        # Some ids were typed with a space behind them, as happens.
        "registration_number": [
            numbers[firm] + (" " if pad else "")
            for firm, pad in zip(at_platform, padded, strict=True)
        ],
        "days_on_platform": cells(days[at_platform], 0),
        "return_rate": cells(returns[at_platform], 3, unknown < 0.05),
        "disputes": cells(disputes[at_platform], 0),
        "tier": [
            _TIERS[index] for index in np.digitize(np.log(turnover[at_platform]), [9.3, 10.4])
        ],
    }
    for quarter in range(4):
        noise = rng.normal(0, 0.08, size=total)
        amount = turnover * np.exp(trend * (quarter - 1.5) + noise)
        # A merchant who joined within the year has no turnover in the first quarters.
        not_yet = days[at_platform] < 90 * (4 - quarter)
        platform[f"turnover_q{quarter + 1}"] = cells(amount[at_platform], 0, not_yet, "-1")
    agreed = rng.choice(["credit-scoring", ""], size=PLATFORM_FIRMS, p=[0.99, 0.01])
    expired = rng.random(PLATFORM_FIRMS) < 0.01
    platform["consent_purpose"] = agreed.tolist()
    platform["consent_until"] = [
        "" if not purpose else "2024-12-31" if old else "2099-12-31"
        for purpose, old in zip(agreed, expired, strict=True)
    ]
    return bank, platform


def cells(
    values: npt.NDArray[np.generic],
    decimals: int,
    unknown: npt.NDArray[np.bool_] | None = None,
    code: str = "",
) -> list[str]:
    """Return numbers as a CSV file's cells, with a code where the value is unknown."""
    cells = [f"{value:.{decimals}f}" for value in values.astype(np.float64).tolist()]
    if unknown is None:
        return cells
    return [code if hide else cell for cell, hide in zip(cells, unknown, strict=True)]


def csv_text(columns: dict[str, list[str]]) -> str:
    """Return columns as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
