"""Every feature of suppliers, against values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from contracts.features import NAMES, FeatureError
from contracts.features.computing import SupplierFeatures, features_of
from tests.contracts.feature_log import (
    Log,
    account,
    days_before,
    due_on,
    facts_of,
    features_at,
    value,
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> SupplierFeatures:
    """A supplier 'ada' of the debtors 'core' and 'cold', and 'bob' below her."""
    log = Log()
    # Paid on the due date; of 100, the first in time.
    first = log.confirm("core", "ada", 100, days_before(400), due_on(370))
    log.pay(first, 100, due_on(370))
    # 60 paid 5 days late, 30 ten days late, 10 credited in a dispute.
    disputed = log.confirm("core", "ada", 100, days_before(300), due_on(240))
    log.dispute(disputed, days_before(299))
    log.credit(disputed, 10, days_before(298), settles_dispute=True)
    log.pay(disputed, 60, due_on(235))
    log.pay(disputed, 30, due_on(230))
    # Open since 40 days, of 'cold'; 80 of it lent on, of which 20 are repaid.
    late = log.confirm("cold", "ada", 200, days_before(100), due_on(40))
    log.finance(late, "ada", 80, days_before(90))
    log.pay(late, 20, due_on(38), payee="pool")
    log.loan("LoanRepaid", late, due_on(38), fee=0, interest=0, principal=20, residual=0)
    # Split: 50 stay with her, 150 go to 'bob', who passes them on to 'cyd'.
    split = log.confirm("core", "ada", 200, days_before(50), due_on(-10))
    _, passed = log.split(split, [50, 150], ["ada", "bob"], days_before(45))
    log.transfer(passed, "bob", "cyd", days_before(44))
    # Cancelled.
    log.cancel(log.confirm("core", "ada", 40, days_before(20), due_on(-20)), days_before(19))
    # 'cold' is owed too, by 'ada': claims both ways.
    log.confirm("ada", "cold", 70, days_before(10), due_on(-30))
    return features_at(log.index(tmp_path_factory.mktemp("index") / "index.db"))


@pytest.mark.parametrize(
    ("supplier", "name", "expected"),
    [
        ("ada", "outstanding", 180 + 50),
        ("ada", "advance_share", 60 / 230),
        # Fell due: 100 (0 days), 60 (5), 30 (10), 20 (2), 180 (40, open).
        ("ada", "past_due_days_mean", (60 * 5 + 30 * 10 + 20 * 2 + 180 * 40) / 390),
        ("ada", "past_due_days_max", 40),
        ("ada", "past_due_days_trend", (20 * 2 + 180 * 40) / 200 - (60 * 5 + 30 * 10) / 90),
        ("ada", "on_time_share", 100 / 390),
        ("ada", "dilution_rate", (10 + 40) / 640),
        ("ada", "dispute_rate", 1 / 5),
        ("ada", "debtor_concentration", (340**2 + 200**2) / 540**2),
        # 'core' paid 100 of 190 on time, 'cold' nothing of 200.
        ("ada", "debtor_quality", (440 * 100 / 190) / 640),
        ("ada", "debtors", 2),
        ("ada", "turnover_90", 240),
        ("ada", "turnover_365", 540),
        ("ada", "received_365", 0),
        ("ada", "financings_365", 1),
        ("ada", "ageing_not_due", 50 / 230),
        ("ada", "ageing_1_30", 0),
        ("ada", "ageing_31_60", 180 / 230),
        ("ada", "ageing_61_90", 0),
        ("ada", "ageing_over_90", 0),
        ("ada", "tier", 1),
        ("ada", "reciprocity", 1 / 2),
        ("ada", "days_since_first", 400),
        ("bob", "outstanding", 0),
        ("bob", "tier", 2),
        ("bob", "received_365", 150),
        ("bob", "turnover_365", 0),
        ("bob", "debtors", 1),
        ("cyd", "outstanding", 150),
        ("cyd", "tier", 3),
        ("cyd", "received_365", 150),
        ("cyd", "days_since_first", 44),
        ("cold", "tier", 2),  # 'ada' owes it, and she is of tier 1
        ("cold", "reciprocity", 1),
    ],
)
def test_features_are_what_their_definitions_say(
    known: SupplierFeatures, supplier: str, name: str, expected: float
) -> None:
    """A few claims, worked out on paper."""
    assert value(known, supplier, name) == pytest.approx(expected, rel=1e-12)


def test_tenors_are_days_from_confirmation_to_due_date(tmp_path: Path) -> None:
    """Once plain, once weighted by face."""
    log = Log()
    log.confirm("core", "ada", 300, days_before(50), days_before(20))
    log.confirm("core", "ada", 100, days_before(40), days_before(-30))
    found = features_at(log.index(tmp_path / "index.db"))
    assert value(found, "ada", "tenor_mean") == pytest.approx(50)
    assert value(found, "ada", "tenor_weighted") == pytest.approx((300 * 30 + 100 * 70) / 400)


@pytest.mark.parametrize(
    "name",
    [
        *("past_due_days_mean", "past_due_days_max", "past_due_days_trend", "on_time_share"),
        *("debtor_quality", "advance_share", "ageing_not_due", "ageing_over_90"),
    ],
)
def test_a_ratio_without_a_base_is_missing(name: str, tmp_path: Path) -> None:
    """A supplier whose only claim was cancelled before it fell due."""
    log = Log()
    log.cancel(log.confirm("core", "ada", 40, days_before(20), due_on(-20)), days_before(19))
    assert math.isnan(value(features_at(log.index(tmp_path / "index.db")), "ada", name))


def test_amounts_and_counts_of_nothing_are_zero(tmp_path: Path) -> None:
    """A firm that is asked about and has no fact."""
    log = Log()
    log.confirm("core", "ada", 40, days_before(20), due_on(-20))
    facts = facts_of(log.index(tmp_path / "index.db"))
    found = features_of(facts, firms={account("bob"): "Bob Ltd"})
    assert found.suppliers == ("Bob Ltd",)
    zero = {name for name in NAMES if found.columns[name][0] == 0}
    amounts = {"outstanding", "turnover_90", "turnover_365", "received_365"}
    assert zero == amounts | {"financings_365", "debtors"}
    assert all(math.isnan(found.columns[name][0]) for name in set(NAMES) - zero)


def test_accounts_of_one_firm_count_as_one(tmp_path: Path) -> None:
    """What moves between them is no fact; what comes to either counts for the firm."""
    log = Log()
    one = log.confirm("core", "ada", 100, days_before(30), due_on(-20))
    log.transfer(one, "ada", "ada-2", days_before(29))
    log.confirm("other", "ada-2", 300, days_before(20), due_on(-20))
    log.confirm("core", "bob", 50, days_before(20), due_on(-20))
    facts = facts_of(log.index(tmp_path / "index.db"))
    firms = {account("bob"): "Bob", account("ada"): "Ada", account("ada-2"): "Ada"}
    found = features_of(
        facts, firms=firms, names=("outstanding", "received_365", "debtors", "tier")
    )
    assert found.suppliers == ("Bob", "Ada")
    assert found.columns["outstanding"].tolist() == [50, 400]
    assert found.columns["received_365"].tolist() == [0, 0]
    assert found.columns["debtors"].tolist() == [1, 2]
    assert found.columns["tier"].tolist() == [1, 1]


def test_a_merged_claim_counts_once(tmp_path: Path) -> None:
    """Its parents have ended, and what was paid on them stays paid."""
    log = Log()
    root = log.confirm("core", "ada", 100, days_before(30), due_on(10))
    parts = log.split(root, [60, 40], ["ada", "ada"], days_before(29))
    log.pay(parts[0], 20, days_before(20))
    log.merge(parts, "ada", days_before(19))
    found = features_at(log.index(tmp_path / "index.db"))
    assert value(found, "ada", "outstanding") == 80
    assert value(found, "ada", "on_time_share") == pytest.approx(20 / 100)
    assert value(found, "ada", "turnover_365") == 100
    assert value(found, "ada", "received_365") == 0


@pytest.mark.parametrize("end", ["LoanSettled", "LoanRepurchased", "LoanWrittenOff"])
def test_an_ended_loan_is_no_open_principal_and_a_new_one_is(end: str, tmp_path: Path) -> None:
    """The same claim may be financed again."""
    log = Log()
    leaf = log.confirm("core", "ada", 100, days_before(60), due_on(-10))
    log.finance(leaf, "ada", 80, days_before(50))
    if end == "LoanWrittenOff":
        log.loan("LoanDefaulted", leaf, days_before(41), principal=80)
        log.loan(end, leaf, days_before(40), loss=80)
        expected = 0.0
    else:
        if end == "LoanRepurchased":
            log.loan(end, leaf, days_before(40), amount=81)
        log.loan("LoanSettled", leaf, days_before(40))
        log.transfer(leaf, "pool", "ada", days_before(40))
        log.finance(leaf, "ada", 30, days_before(30))
        expected = 0.3
    found = features_at(log.index(tmp_path / "index.db"))
    assert value(found, "ada", "advance_share") == pytest.approx(expected)
    assert value(found, "ada", "financings_365") == (1 if end == "LoanWrittenOff" else 2)
    assert value(found, "ada", "received_365") == 0


def test_an_unknown_feature_is_refused(tmp_path: Path) -> None:
    """The known ones are listed."""
    log = Log()
    log.confirm("core", "ada", 1, days_before(1), due_on(-1))
    facts = facts_of(log.index(tmp_path / "index.db"))
    with pytest.raises(FeatureError, match="'outstandin' is no feature of suppliers; choose from"):
        features_of(facts, names=("outstandin",))
