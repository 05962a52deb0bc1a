"""Nothing on or after the cut has any influence on a feature."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.features import FeatureError, cut_of
from contracts.features.computing import SupplierFeatures
from simulations.supply_chain import SupplyChainPlan, draw_supply_chain
from simulations.supply_chain_events import FIRST_BLOCK, accounts_of, chain_events, last_block
from simulations.supply_chain_index import write_events
from tests.contracts.feature_log import (
    CUT,
    CUT_AT,
    Log,
    account,
    days_before,
    due_on,
    facts_of,
    features_at,
    value,
)


def assert_same(first: SupplierFeatures, second: SupplierFeatures) -> None:
    """To the last bit."""
    assert first.suppliers == second.suppliers
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second.columns[name], err_msg=name)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.dates(date(2025, 3, 1), date(2026, 1, 1)))
def test_a_log_cut_off_gives_the_features_of_the_whole_log(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: date
) -> None:
    """What the supply chain did afterwards (payments, splits, loans, defaults) changes nothing."""
    folder = tmp_path_factory.mktemp("cut")
    chain = draw_supply_chain(SupplyChainPlan(40, 900, seed=seed, days_after=60))
    accounts, at = accounts_of(chain), int(cut_of(cut))
    events = list(chain_events(chain, accounts)[0])
    before = [event for event in events if event.at < at]
    assert 0 < len(before) < len(events)
    head = last_block(chain.plan)
    write_events(events, accounts.contracts, head, folder / "whole.db")
    stop = (FIRST_BLOCK + (at - chain.plan.begin) // 12, at)
    write_events(before, accounts.contracts, stop, folder / "cut.db")
    assert_same(features_at(folder / "whole.db", cut), features_at(folder / "cut.db", cut))


def story(*, with_outcome: bool, at: int = CUT_AT) -> Log:
    """Claims open at the cut; then, from that second on, all that could tell of the outcome."""
    log = Log()
    open_one = log.confirm("core", "ada", 100, days_before(60), due_on(10))
    financed = log.confirm("core", "ada", 200, days_before(60), due_on(20))
    log.finance(financed, "ada", 150, days_before(50))
    passed = log.confirm("core", "ada", 300, days_before(60), due_on(5))
    disputed = log.confirm("core", "ada", 400, days_before(60), due_on(-5))
    split = log.confirm("core", "ada", 500, days_before(60), due_on(-5))
    parts = log.split(
        log.confirm("core", "ada", 90, days_before(60), due_on(-9)),
        [50, 40],
        ["ada", "ada"],
        days_before(1),
    )
    cancelled = log.confirm("core", "ada", 30, days_before(60), due_on(3))
    if with_outcome:
        log.pay(open_one, 100, at)
        log.loan("LoanDefaulted", financed, at, principal=150)
        log.loan("LoanWrittenOff", financed, at, loss=150)
        log.transfer(passed, "ada", "bob", at)
        log.dispute(disputed, at)
        log.credit(disputed, 100, at, settles_dispute=True)
        log.split(split, [200, 300], ["ada", "cyd"], at)
        log.merge(parts, "ada", at)
        log.cancel(cancelled, at)
        log.confirm("new", "ada", 900, at, due_on(-50))
        log.confirm("ada", "core", 900, at, due_on(-50))
    return log


def test_outcomes_right_after_the_cut_do_not_leak(tmp_path: Path) -> None:
    """All events of the very first second of the day as of which features are computed."""
    without = features_at(story(with_outcome=False).index(tmp_path / "without.db"))
    with_outcome = features_at(story(with_outcome=True).index(tmp_path / "with.db"))
    assert without.suppliers == (account("ada"),)
    assert_same(without, with_outcome)


def test_the_same_events_a_second_earlier_do_count(tmp_path: Path) -> None:
    """So that the test above can fail."""
    without = features_at(story(with_outcome=False).index(tmp_path / "without.db"))
    earlier = story(with_outcome=True, at=CUT_AT - 1).index(tmp_path / "earlier.db")
    changed = features_at(earlier)
    names = {
        name
        for name in without.columns
        if not np.array_equal(
            [value(without, "ada", name)], [value(changed, "ada", name)], equal_nan=True
        )
    }
    assert names >= {
        *("outstanding", "advance_share", "past_due_days_mean", "dilution_rate"),
        *("dispute_rate", "turnover_90", "debtors", "reciprocity", "ageing_1_30"),
    }


def test_a_cut_beyond_the_index_is_refused(tmp_path: Path) -> None:
    """Else features would look as if nothing had happened since."""
    path = story(with_outcome=False).index(tmp_path / "index.db", head=CUT_AT - 12)
    with pytest.raises(
        FeatureError,
        match="has blocks up to 2025-12-31 23:59:48 UTC, and features as of 2026-01-01 need all",
    ):
        facts_of(path)
    assert facts_of(path, date(2025, 12, 31)).cut == CUT_AT - 86_400


def test_claims_in_several_tokens_are_not_added_up(tmp_path: Path) -> None:
    """One must be named, and only its claims count."""
    log = Log()
    log.confirm("core", "ada", 100, days_before(9), due_on(-9), token="euro")
    log.confirm("core", "ada", 7, days_before(8), due_on(-9), token="yuan")
    path = log.index(tmp_path / "index.db")
    with pytest.raises(FeatureError, match="claims in several deposit tokens"):
        facts_of(path)
    assert facts_of(path, token=account("yuan")).claims.face.tolist() == [7]
    # On the day before the second one came there was but one token.
    assert facts_of(path, date(2025, 12, 24)).claims.face.tolist() == [100]
    assert date(2026, 1, 1) == CUT
