"""Brings all parties' rows together in plaintext, for comparison only.

What the federation avoids; done by whoever runs the simulation with everybody's files at hand,
never by a party's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from clients.federation_file import FederationConfig
from clients.sources import ABSENT, load_table
from federation.alignment import AlignmentMode
from federation.errors import InputError
from federation.schema import FeatureColumn


@dataclass(frozen=True)
class PooledTable:
    """All parties' columns on the aligned borrowers, in the label party's order.

    Attributes:
        label_party: its columns.
        partners: the columns of each partner.
        label: one a borrower.
        rows: each borrower's row in the label party's table.
    """

    label_party: list[FeatureColumn]
    partners: Mapping[str, list[FeatureColumn]]
    label: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.uint32]

    @property
    def partner_columns(self) -> list[FeatureColumn]:
        """All partners' columns, side by side."""
        return [column for columns in self.partners.values() for column in columns]


def pool(config: FederationConfig) -> PooledTable:
    """Join by id, as the federation's alignment would."""
    now = datetime.now(UTC)
    own = load_table(
        config.manifest_of(config.label_party.name), now=now, split_column=config.split.column
    )
    if own.label is None:
        raise InputError(f"{config.path}: the label party's manifest names no label column")
    keep = np.ones(own.row_count, dtype=np.bool_)
    positions = []
    tables = [
        load_table(config.manifest_of(party.name), now=now) for party in config.feature_parties
    ]
    for table in tables:
        places = {identifier: place for place, identifier in enumerate(table.identifiers)}
        found = np.array([places.get(i, ABSENT) for i in own.identifiers], dtype=np.uint32)
        positions.append(found)
        if config.alignment is AlignmentMode.INNER:
            keep &= found != ABSENT
    rows = np.flatnonzero(keep).astype(np.uint32)
    partners = {
        table.party: table.rows(found[rows]) for table, found in zip(tables, positions, strict=True)
    }
    return PooledTable(own.rows(rows), partners, own.label[rows], rows)
