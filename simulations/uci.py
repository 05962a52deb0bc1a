"""The UCI data set 'default of credit card clients', split between a bank and a platform.

30,000 real card holders of a bank in Taiwan in 2005, 23 features, 6,636 defaults in the next month
(Yeh & Lien 2009, CC BY 4.0; `data/README.md` has the attribution). One institution held all of it:
that a bank and a platform hold the two halves, and the ids that link them, are simulated.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

DATA_FILE = Path(__file__).parent / "data" / "uci-credit-default.csv.gz"
# Of the CSV text inside the compressed file: the same on every machine and compressor.
DATA_SHA256 = "e28803eec99215182faffbced63edd940d5034ed240443084ae72d254f147f89"

LABEL_COLUMN = "default"
BANK_COLUMNS = ("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE")
STATUS_COLUMNS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
BILL_COLUMNS = tuple(f"BILL_AMT{month}" for month in range(1, 7))
PAYMENT_COLUMNS = tuple(f"PAY_AMT{month}" for month in range(1, 7))
PLATFORM_COLUMNS = STATUS_COLUMNS + BILL_COLUMNS + PAYMENT_COLUMNS
ALL_COLUMNS = (*BANK_COLUMNS, *PLATFORM_COLUMNS, LABEL_COLUMN)

MONTHS = ("September", "August", "July", "June", "May", "April")  # the latest first
_BANK_ID = "borrower_id"
_PLATFORM_ID = "customer_id"

DATA_NOTE = (
    "Real data: UCI 'default of credit card clients' (Taiwan 2005, 30,000 borrowers, CC BY 4.0); "
    "its division between a bank and a platform is simulated."
)

_FEDERATION = f"""\
# Two parties on the UCI data 'default of credit card clients' (real card holders, Taiwan, 2005).
# The division between a bank and a platform is simulated, and so are the ids.

[federation]
alignment = "inner"
output = "runs"
note = "{DATA_NOTE}"

[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[parties.platform]
role = "feature"
manifest = "platform/manifest.toml"

[split]
column = "split"          # the fixed split on which published figures of this project stand
validation_share = 0.2
seed = 42

[model]
bins = 32
"""

_BANK_MANIFEST = f"""\
# The bank: the outcomes, and what a bank asks of its card holders.
[party]
name = "bank"
role = "label"

[source]
path = "borrowers.csv"

[ids]
column = "{_BANK_ID}"
rule = "strip"

[label]
column = "{LABEL_COLUMN}"
positive = 1

[features]
LIMIT_BAL = {{ kind = "numeric", unit = "NTD", minimum = 0, label = "credit limit" }}
SEX = {{ kind = "categorical", label = "sex" }}
EDUCATION = {{ kind = "categorical", label = "education" }}
MARRIAGE = {{ kind = "categorical", label = "marital status" }}
AGE = {{ kind = "numeric", unit = "years", minimum = 18, maximum = 120, label = "age" }}
"""

_PLATFORM_MANIFEST = f"""\
# The platform: how its customers were billed and paid in six months.
[party]
name = "platform"
role = "feature"

[source]
path = "customers.parquet"

[ids]
column = "{_PLATFORM_ID}"
rule = "strip"

[features.status]             # months of delay; -2 no use, -1 paid in full, 0 revolving
columns = {json.dumps(STATUS_COLUMNS[::-1])}
kind = "numeric"
sequence = true               # the oldest month first
unit = "months"
minimum = -2
maximum = 9
labels = {json.dumps([f"repayment status, {month} 2005" for month in MONTHS[::-1]])}
summaries = ["mean", "max", "min", "std"]

[features.bills]
columns = {json.dumps(BILL_COLUMNS[::-1])}
kind = "numeric"
sequence = true               # the oldest month first
unit = "NTD"
labels = {json.dumps([f"bill, {month} 2005" for month in MONTHS[::-1]])}
summaries = ["mean", "max", "min", "std"]

[features.payments]
columns = {json.dumps(PAYMENT_COLUMNS[::-1])}
kind = "numeric"
sequence = true               # the oldest month first
unit = "NTD"
minimum = 0
labels = {json.dumps([f"payment, {month} 2005" for month in MONTHS[::-1]])}
summaries = ["mean", "max", "min", "std"]

[boosting]
# The data is public, so nothing is lost by "bins": with many trees the bank can rebuild the bin of
# every customer in every feature. 32 bins, so that benchmarks with 32 run; trainings use 16.
disclosure = "bins"
bins = 32
"""


@dataclass(frozen=True)
class UciCredit:
    """The table in its original codes and file order.

    Attributes:
        columns: the 23 features by their original names, int64, 30,000 rows each. SEX is 1 or 2,
            EDUCATION 0..6, MARRIAGE 0..3, PAY_* -2..8; amounts are in NTD.
        label: 1 where the card holder defaulted in October 2005, uint8.
    """

    columns: dict[str, npt.NDArray[np.int64]]
    label: npt.NDArray[np.uint8]


def load_uci() -> UciCredit:
    """Read the copy that comes with the package.

    Raises:
        InputError: the copy is missing, or not the one that this version came with.
    """
    try:
        content = gzip.decompress(DATA_FILE.read_bytes())
    except (OSError, EOFError):
        raise InputError(
            f"{DATA_FILE}: cannot be read; rebuild it with python -m simulations.uci_rebuild"
        ) from None
    return parse_canonical(content)


def parse_canonical(content: bytes) -> UciCredit:
    """Return the table from its canonical CSV text (`ALL_COLUMNS`, whole numbers).

    Raises:
        InputError: the text is not the known one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != DATA_SHA256:
        raise InputError(
            f"{DATA_FILE}: has SHA-256 {found[:12]}… where {DATA_SHA256[:12]}… must be; rebuild "
            "it with python -m simulations.uci_rebuild"
        )
    import pyarrow.csv

    table = pyarrow.csv.read_csv(io.BytesIO(content))
    columns = {name: table.column(name).to_numpy() for name in ALL_COLUMNS}
    label = columns.pop(LABEL_COLUMN).astype(np.uint8)
    return UciCredit(columns, label)


def fixed_split(
    label: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row positions of the fixed split: 24,000 to train on, 6,000 to test on."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(label)), test_size=0.2, stratify=label, random_state=42
    )
    return train, test


def write_parties(directory: Path | str, *, seed: int = 2005) -> Path:
    """Write the two parties' folders and the federation file of the demo.

    The bank's table is CSV in the file order of the data set, with the fixed split as a column;
    the platform's is Parquet in an order of its own.

    Args:
        directory: where to write; files of an earlier call are replaced.
        seed: draws the simulated ids and the platform's order.

    Returns:
        The path of the federation file.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    directory = Path(directory)
    data = load_uci()
    row_count = len(data.label)
    rng = np.random.default_rng(seed)
    # Ten digits as on a customer card; some begin with zeros.
    identifiers = np.array(
        [f"{number:010d}" for number in rng.choice(10**10, size=row_count, replace=False)]
    )
    split = np.full(row_count, "train", dtype=object)
    split[fixed_split(data.label)[1]] = "test"
    order = rng.permutation(row_count)

    bank = directory / "bank"
    platform = directory / "platform"
    for folder in (bank, platform):
        folder.mkdir(parents=True, exist_ok=True)
    pa.csv.write_csv(
        pa.table(
            {
                _BANK_ID: identifiers,
                **{name: data.columns[name] for name in BANK_COLUMNS},
                LABEL_COLUMN: data.label,
                "split": pa.array(split.tolist()),
            }
        ),
        bank / "borrowers.csv",
    )
    pa.parquet.write_table(
        pa.table(
            {
                _PLATFORM_ID: identifiers[order],
                **{name: data.columns[name][order] for name in PLATFORM_COLUMNS},
            }
        ),
        platform / "customers.parquet",
    )
    (bank / "manifest.toml").write_text(_BANK_MANIFEST, encoding="utf-8")
    (platform / "manifest.toml").write_text(_PLATFORM_MANIFEST, encoding="utf-8")
    federation = directory / "federation.toml"
    federation.write_text(_FEDERATION, encoding="utf-8")
    return federation
