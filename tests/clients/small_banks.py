"""Five small banks on disk: manifests, tables and a federation file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clients.federation_file import FederationConfig, read_federation

NAMES = ("ash", "birch", "cedar", "dogwood", "elm")
MANIFEST = """
[party]
name = "{name}"
role = "label"

[source]
path = "rows.csv"

[ids]
column = "id"

[label]
column = "defaulted"
positive = 1

[features]
income = {{ kind = "numeric", unit = "EUR", minimum = 0, maximum = 10000 }}
age = {{ kind = "numeric", unit = "years", minimum = 18, maximum = 100 }}
job = {{ kind = "categorical", categories = ["a", "b"] }}

[features.late]
columns = ["may", "june"]
kind = "numeric"
sequence = true
unit = "months"
minimum = -2
maximum = 9
"""
FEDERATION = """
[federation]
topology = "horizontal"
output = "runs"
simulated = true
{parties}
[model]
hidden = [5]
embedding_size = 2
rounds = {rounds}
local_epochs = 1
batch_size = 50
patience = 0

[aggregation]
minimum_clients = 3
dropouts = 1
round_seconds = {seconds}
"""
PARTY = """
[parties.{name}]
role = "label"
manifest = "{name}/manifest.toml"
"""


def write_small_banks(
    folder: Path, *, rounds: int = 2, seconds: float = 60, privacy: str = ""
) -> FederationConfig:
    """Write them; each has 300 borrowers of its own."""
    for number, name in enumerate(NAMES):
        home = folder / name
        home.mkdir(parents=True)
        home.joinpath("manifest.toml").write_text(MANIFEST.format(name=name))
        home.joinpath("rows.csv").write_text(_rows(number))
    path = folder / "federation.toml"
    parties = "".join(PARTY.format(name=name) for name in NAMES)
    text = FEDERATION.format(parties=parties, rounds=rounds, seconds=seconds)
    path.write_text(text + privacy)
    return read_federation(path)


def _rows(number: int, rows: int = 300) -> str:
    rng = np.random.default_rng(number)
    late = rng.integers(-2, 9, (rows, 2))
    income = rng.gamma(2.0, 1500.0, rows).clip(0, 10_000).astype(int)
    odds = 0.5 * late.sum(1) - income / 1500
    labels = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    lines = ["id,income,age,job,may,june,defaulted"]
    for row in range(rows):
        job = "ab"[rng.integers(2)]
        age = rng.integers(18, 80)
        lines.append(
            f"{number}-{row},{income[row]},{age},{job},{late[row, 0]},{late[row, 1]},{labels[row]}"
        )
    return "\n".join(lines) + "\n"
