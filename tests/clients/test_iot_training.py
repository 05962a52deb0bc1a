"""A bank and a lessor, whose table is the archive of telemetry, train together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clients.example import csv_text, write_folder
from clients.federation_file import FederationConfig, read_federation
from federation.metrics import auc
from iot.archive import Archive
from tests.clients.example_runs import run_all
from tests.clients.test_iot_source import AS_OF
from tests.iot.leased_fleet import archive_in, work_days

RUN = "r1"
LESSEES = 600
BANK = """
[party]
name = "bank"
role = "label"
[source]
path = "borrowers.csv"
[ids]
column = "tax_id"
[label]
column = "defaulted"
positive = 1
[features]
equity_ratio = { kind = "numeric", unit = "1" }
"""
LESSOR = f"""
[party]
name = "lessor"
role = "feature"
[source]
kind = "telemetry"
archive = "archive"
as_of = {AS_OF}
leases = "leases.csv"
lessee_column = "tax_id"
[ids]
column = "tax_id"
[features]
work_hours_per_machine_day_30d = {{ kind = "numeric", unit = "h", minimum = 0 }}
silent_share_30d = "numeric"
"""
FEDERATION = """
[federation]
alignment = "inner"
output = "runs"
note = "Simulated lessees"
simulated = true
[parties.bank]
role = "label"
manifest = "bank/manifest.toml"
[parties.lessor]
role = "feature"
manifest = "lessor/manifest.toml"
[split]
test_share = 0.4
validation_share = 0.2
seed = 42
[model]
bins = 8
"""


def write_federation(folder: Path) -> FederationConfig:
    """Lessees that work little default more often; the bank hardly sees it."""
    rng = np.random.default_rng(3)
    ids = [f"{number:09d}" for number in rng.choice(10**9, LESSEES, replace=False)]
    work = rng.uniform(0.5, 9.5, LESSEES)
    finances = rng.normal(size=LESSEES)
    risk = 1 / (1 + np.exp(0.8 * (work - 4) + 0.5 * finances))
    defaulted = rng.random(LESSEES) < risk
    path = write_folder(
        folder,
        {
            "bank/manifest.toml": BANK,
            "bank/borrowers.csv": csv_text(
                {
                    "tax_id": ids,
                    "equity_ratio": [f"{value:.3f}" for value in finances],
                    "defaulted": [str(int(value)) for value in defaulted],
                }
            ),
            "lessor/manifest.toml": LESSOR,
            "lessor/leases.csv": csv_text(
                {
                    "tax_id": ids,
                    "lease": [f"lease-{one}" for one in ids],
                    "device": [f"d{one}" for one in ids],
                    "start": ["2026-01-01"] * LESSEES,
                    "end": [""] * LESSEES,
                }
            ),
            "federation.toml": FEDERATION,
        },
    )
    samples = [
        sample
        for one, hours in zip(ids, work, strict=True)
        for sample in work_days(f"d{one}", dict.fromkeys((4, 3, 2), float(hours)))
    ]
    archive = archive_in(path.parent / "lessor", samples)
    assert archive == Archive(path.parent / "lessor" / "archive")
    return read_federation(path)


@pytest.mark.slow
def test_the_machines_history_makes_the_banks_model_better(tmp_path: Path) -> None:
    config = write_federation(tmp_path / "federation")
    run_all(config, RUN)
    scores = pq.read_table(config.output / RUN / "bank" / "test-scores.parquet").to_pydict()
    labels = np.array(scores["label"])
    alone, together = (auc(labels, np.array(scores[name])) for name in ("alone", "exact"))
    assert together > alone + 0.1
