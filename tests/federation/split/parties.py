"""Parties in memory whose partners hold months, for tests of the vertical neural trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from federation.alignment import ABSENT_ROW, InProcessGroup
from federation.privacy.ledger import Expenditure
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Sent
from federation.vertical import SessionPlan, feature_party_session, label_party_session
from federation.vertical.trainings import Training

MONTHS = ("jan", "feb", "mar", "apr")
SEQUENCES = (("paid", tuple(f"paid {month}" for month in MONTHS)),)
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A party's rows in memory."""

    identifiers: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    label: npt.NDArray[np.uint8] | None = None
    split: npt.NDArray[np.uint8] | None = None

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """The columns of some rows; a row that is absent has any value."""
        present = positions != ABSENT_ROW
        taken = np.where(present, positions, 0)
        return [FeatureColumn(c.spec, c.values[taken], present) for c in self.features]


def numeric(name: str, values: Vector) -> FeatureColumn:
    """A numeric column."""
    return FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), values, np.ones(len(values), bool))


def population(
    count: int, partners: Sequence[str] = ("platform",), known: float = 1.0, seed: int = 5
) -> dict[str, Table]:
    """A bank and partners over the same borrowers; default depends on the course of the months."""
    generator = np.random.default_rng(seed)
    names = np.array([f"B{number:05d}" for number in range(count)])
    limit = generator.normal(size=count)
    sector = generator.choice(["retail", "build", "food"], count)
    odds = -1.0 + 0.7 * limit
    tables: dict[str, Table] = {}
    for partner in partners:
        quality = generator.normal(size=count)
        trend = generator.normal(size=count)
        odds += 2.0 * quality - 1.5 * trend
        paid = quality[:, None] + np.outer(trend, np.arange(len(MONTHS)) / 3)
        paid += 0.3 * generator.normal(size=paid.shape)
        paid[generator.random(paid.shape) < 0.05] = np.nan
        order = generator.permutation(count)[: round(known * count)]
        columns = [numeric(f"paid {m}", paid[order, i]) for i, m in enumerate(MONTHS)]
        columns.append(numeric("orders", generator.normal(size=count)[order]))
        tables[partner] = Table(tuple(names[order].tolist()), tuple(columns))
    label = (generator.random(count) < expit(odds)).astype(np.uint8)
    sectors = FeatureColumn(
        FeatureSpec("sector", FeatureKind.CATEGORICAL), sector.astype(object), np.ones(count, bool)
    )
    bank = Table(tuple(names.tolist()), (numeric("limit", limit), sectors), label)
    return {"bank": bank} | tables


@dataclass
class Session:
    """What a session did.

    Attributes:
        results: by party.
        sent: every message's record, by its sender.
        spent: what the bank entered in its ledger.
    """

    results: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    spent: list[Expenditure] = field(default_factory=list)

    def kinds(self, party: str) -> list[str]:
        """Kinds of the messages that a party sent, in order."""
        return [one.kind for one in self.sent[party]]


def machines_for(
    tables: dict[str, Table], trainings: Sequence[Training], record: Session, **plan_fields: Any
) -> dict[str, Machine[Any]]:
    """One machine a party."""
    partners = tuple(name for name in tables if name != "bank")
    plan = SessionPlan("s1", "bank", partners, trainings=tuple(trainings), **plan_fields)
    machines: dict[str, Machine[Any]] = {}
    for name, table in tables.items():
        role: Any
        if name == "bank":
            role = label_party_session(table, plan, InProcessGroup(), "run")
        else:
            role = feature_party_session(
                table, name, "bank", "s1", InProcessGroup(), "test", sequences=SEQUENCES
            )
        record.sent[name] = []
        machines[name] = Machine(
            name,
            "s1",
            role,
            on_sent=record.sent[name].append,
            on_release=record.spent.append,
        )
    return machines


def run(tables: dict[str, Table], trainings: Sequence[Training], **plan_fields: Any) -> Session:
    """A whole session."""
    record = Session()
    record.results = run_in_process(machines_for(tables, trainings, record, **plan_fields))
    return record
