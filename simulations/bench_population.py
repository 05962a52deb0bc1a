"""Simulated borrowers of the benchmarks of the additive model, and the real ones of UCI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

LABEL_PARTY, FEATURE_PARTY = "bank", "platform"
SEED = 20261122
DEFAULT_RATE = 0.15


@dataclass(frozen=True)
class BenchTable:
    """A party's simulated rows, as a session wants them."""

    identifiers: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    label: npt.NDArray[np.uint8] | None
    split: npt.NDArray[np.uint8] | None

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """The feature columns of some rows, all of them known."""
        present = np.ones(len(positions), dtype=np.bool_)
        return [FeatureColumn(c.spec, c.values[positions], present) for c in self.features]


def _columns(values: npt.NDArray[np.float32]) -> tuple[FeatureColumn, ...]:
    present = np.ones(values.shape[1], dtype=np.bool_)
    return tuple(
        FeatureColumn(FeatureSpec(f"x{i}", FeatureKind.NUMERIC), row.astype(np.float64), present)
        for i, row in enumerate(values)
    )


def write_population(folder: Path, rows: int, label_features: int, party_features: int) -> None:
    """Simulated borrowers: skewed features with some missing, default odds from curved effects."""
    generator = np.random.default_rng(SEED)
    count = label_features + party_features
    quality = generator.normal(size=rows).astype(np.float32)
    values = np.empty((count, rows), dtype=np.float32)
    odds = np.full(rows, np.log(DEFAULT_RATE / (1 - DEFAULT_RATE)), dtype=np.float64)
    for index in range(count):
        draw = 0.3 * quality + generator.normal(size=rows).astype(np.float32)
        effect = (0.9 if index % 5 == 0 else 0.25) / np.sqrt(1 + count / 20)
        odds += effect * np.tanh(draw + 0.5 * (index % 3 - 1)) - 0.1 * effect * draw**2
        values[index] = np.exp(draw) if index % 2 else draw
        if index % 4 == 3:
            values[index, generator.random(rows) < 0.03] = np.nan
    label = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    order = generator.permutation(rows)
    np.save(folder / f"{LABEL_PARTY}.npy", values[:label_features])
    np.save(folder / "label.npy", label)
    np.save(folder / f"{FEATURE_PARTY}.npy", values[label_features:, order])
    np.save(folder / "order.npy", order.astype(np.int64))


def load_party(folder: Path, party: str) -> BenchTable:
    """One party's rows from its own file."""
    values = np.load(folder / f"{party}.npy", allow_pickle=False)
    order = np.arange(values.shape[1])
    label = None
    if party == LABEL_PARTY:
        label = np.load(folder / "label.npy", allow_pickle=False)
    else:
        order = np.load(folder / "order.npy", allow_pickle=False)
    identifiers = tuple(f"B{number:09d}" for number in order.tolist())
    return BenchTable(identifiers, _columns(values), label, None)


def load(folder: Path, party: str, data: str) -> Any:
    """One party's table: simulated, or of the UCI data."""
    if data != "uci":
        return load_party(folder, party)
    from datetime import UTC, datetime

    from clients.federation_file import read_federation
    from clients.sources import load_table

    config = read_federation(folder / "federation.toml")
    column = config.split.column if party == LABEL_PARTY else None
    return load_table(config.manifest_of(party), now=datetime.now(UTC), split_column=column)


def pooled(folder: Path, data: str) -> tuple[npt.NDArray[np.uint8], list[list[FeatureColumn]]]:
    """All parties' rows side by side, in plaintext: labels, and columns by party."""
    if data == "uci":
        from clients.federation_file import read_federation
        from simulations.pooling import pool

        table = pool(read_federation(folder / "federation.toml"))
        return table.label, [table.label_party, table.partner_columns]
    bank, platform = load_party(folder, LABEL_PARTY), load_party(folder, FEATURE_PARTY)
    order = np.load(folder / "order.npy", allow_pickle=False)
    label = np.load(folder / "label.npy", allow_pickle=False)
    theirs = platform.rows(np.argsort(order).astype(np.uint32))
    return label, [list(bank.features), theirs]
