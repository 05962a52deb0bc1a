"""The simulated supply chain obeys the contracts' rules, and its benchmark gives figures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from contracts.index import schema
from simulations.bench_receivables_features import bench_receivables_features
from simulations.supply_chain import NEVER, SupplyChain, SupplyChainPlan, draw_supply_chain
from simulations.supply_chain_index import write_index

PLAN = SupplyChainPlan(300, 15_000, seed=7, days_after=30)


@pytest.fixture(scope="module")
def chain() -> SupplyChain:
    """A population."""
    return draw_supply_chain(PLAN)


def test_the_same_plan_gives_the_same_supply_chain(chain: SupplyChain) -> None:
    """It is seeded."""
    again = draw_supply_chain(PLAN)
    np.testing.assert_array_equal(chain.claims.paid_at, again.claims.paid_at)
    np.testing.assert_array_equal(chain.claims.owner, again.claims.owner)


def test_parts_sum_to_the_whole_and_nothing_is_paid_twice(chain: SupplyChain) -> None:
    """Children to their parent; payments and credits to at most the face."""
    claims = chain.claims
    is_child = claims.parent >= 0
    sums = np.zeros(len(claims.face), dtype=np.int64)
    np.add.at(sums, claims.parent[is_child], claims.face[is_child])
    is_split = claims.split_at != NEVER
    assert (sums[is_split] == claims.face[is_split]).all()
    assert (sums[~is_split] == 0).all()
    assert (claims.paid.sum(axis=1) + claims.credit <= claims.face).all()
    assert (claims.paid[is_split] == 0).all()
    assert (claims.principal <= 0.8 * claims.face).all()
    assert (claims.face > 0).all()


def test_a_claim_lives_in_the_right_order(chain: SupplyChain) -> None:
    """Made, then passed on or credited, then financed, then paid."""
    claims = chain.claims
    for earlier, later in (
        (claims.made, claims.passed_at),
        (claims.made, claims.split_at),
        (claims.disputed_at, claims.credited_at),
        (claims.credited_at, claims.financed_at),
        (claims.passed_at, claims.financed_at),
        (claims.financed_at, claims.paid_at[:, 0]),
        (claims.paid_at[:, 0], claims.paid_at[:, 1]),
    ):
        both = (earlier != NEVER) & (later != NEVER)
        assert (earlier[both] < later[both]).all()


def test_the_index_holds_about_as_many_events_as_asked_for(
    chain: SupplyChain, tmp_path: Path
) -> None:
    """On working days, in blocks of 12 seconds, none after the plan's end; events are kept too."""
    written = write_index(chain, tmp_path / "index.db")
    assert written.movements == pytest.approx(PLAN.events, rel=0.1)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'index.db'}")
    with engine.connect() as connection:
        confirmed = connection.execute(sa.select(schema.invoices.c.confirmed_at)).scalars().all()
        last = connection.execute(sa.select(sa.func.max(schema.movements.c.at))).scalar_one()
        kept = connection.execute(sa.select(sa.func.count()).select_from(schema.events)).scalar()
        blocks = connection.execute(sa.select(schema.blocks.c.number, schema.blocks.c.timestamp))
        steps = {timestamp - 12 * number for number, timestamp in blocks}
    engine.dispose()
    assert all(datetime.fromtimestamp(at, UTC).weekday() < 5 for at in confirmed)
    assert last < PLAN.until
    assert kept == written.events > written.movements
    assert len(steps) == 1


def test_the_benchmark_gives_figures_that_belong_together() -> None:
    """A short run."""
    figures = bench_receivables_features(200, 5_000)
    assert figures["movements"] == pytest.approx(5_000, rel=0.2)
    assert 100 < figures["suppliers"] <= 200
    assert figures["seconds"] == pytest.approx(
        figures["read_seconds"] + figures["compute_seconds"], abs=0.002
    )
