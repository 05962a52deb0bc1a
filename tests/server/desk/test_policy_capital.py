"""Capital and loss against published risk weights and cases reckoned by hand."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.desk.policy.capital import CapitalMethod, CapitalSettings, capital_requirement
from server.desk.policy.facts import Facts
from server.desk.policy.loss import CollateralType, LossSettings, Pledge, Protection
from server.desk.policy.rounding import CONTEXT, over_horizon

# Basel Committee, illustrative IRB risk weights (Basel II Annex 5; Basel Framework CRE99), per
# cent, for LGD 45 % and maturity 2.5 years: corporate with sales of 50 million euros and more,
# corporate with 5 million, other retail.
PUBLISHED = {
    "0.0005": (19.65, 15.39, 6.63),
    "0.0010": (29.65, 23.30, 11.16),
    "0.0025": (49.47, 39.01, 21.15),
    "0.0050": (69.61, 54.91, 32.36),
    "0.0100": (92.32, 72.40, 45.77),
    "0.0200": (114.86, 88.55, 57.99),
    "0.0300": (128.44, 97.58, 62.79),
    "0.0500": (149.86, 112.27, 66.42),
    "0.1000": (193.09, 146.51, 75.54),
    "0.2000": (238.23, 188.42, 100.28),
}
LGD, MATURITY = Decimal("0.45"), Decimal("2.5")


def _settings(method: CapitalMethod) -> CapitalSettings:
    return CapitalSettings(
        method, Decimal("0.85"), Decimal("0.08"), Decimal("0.1"), "sales_minor", 100_000_000
    )


@pytest.mark.parametrize("probability", PUBLISHED)
def test_risk_weights_are_the_published_ones(probability: str) -> None:
    """Corporate, small corporate and retail, to the two decimals that are published."""
    corporate, small, retail = PUBLISHED[probability]
    settings, chance = _settings(CapitalMethod.CORPORATE), Decimal(probability)
    large = settings.risk_weight(chance, LGD, None, MATURITY)
    assert float(large) * 100 == pytest.approx(corporate, abs=0.011)
    five = settings.risk_weight(chance, LGD, settings.sales(500_000_000), MATURITY)
    assert float(five) * 100 == pytest.approx(small, abs=0.011)
    other = _settings(CapitalMethod.RETAIL).risk_weight(chance, LGD, None, MATURITY)
    assert float(other) * 100 == pytest.approx(retail, abs=0.011)


def test_fifty_million_and_more_have_no_firm_size_adjustment() -> None:
    """From 50 million euros on, the adjustment is nothing; below 5 it is that of 5."""
    settings = _settings(CapitalMethod.CORPORATE)
    chance = Decimal("0.01")
    plain = settings.risk_weight(chance, LGD, None, MATURITY)
    assert settings.risk_weight(chance, LGD, settings.sales(10**10), MATURITY) == plain
    assert settings.sales(10**6) == settings.sales(500_000_000) == 5


def test_sales_are_rounded_up() -> None:
    """A cent above 7.0 million counts as 7.1: larger firms tie up more."""
    settings = _settings(CapitalMethod.CORPORATE)
    assert settings.sales(700_000_000) == 7
    assert settings.sales(700_000_001) == Decimal("7.1")


def test_a_flat_risk_weight_is_flat() -> None:
    """Neither probability nor maturity move it."""
    settings = _settings(CapitalMethod.FLAT)
    assert settings.risk_weight(Decimal("0.3"), LGD, None, MATURITY) == Decimal("0.85")


@pytest.mark.parametrize("sales", [None, 5, 20, 50])
@pytest.mark.parametrize("years", [None, 1, 2.5, 5])
def test_capital_rises_to_one_peak_and_falls(sales: int | None, years: float | None) -> None:
    """What the search for the peak rests on."""
    values = [capital_requirement(i / 2000, sales, years) for i in range(1, 2000)]
    peak = values.index(max(values))
    assert all(a <= b for a, b in pairwise(values[: peak + 1]))
    assert all(a >= b for a, b in pairwise(values[peak:]))


@given(
    st.sampled_from((CapitalMethod.CORPORATE, CapitalMethod.RETAIL)),
    st.lists(st.decimals("0.0005", "1", places=7), min_size=2, max_size=2).map(sorted),
    st.integers(0, 10**10),
    st.decimals("0.1", "8", places=2),
)
def test_a_riskier_borrower_never_ties_up_less_capital(
    method: CapitalMethod, chances: list[Decimal], sales: int, years: Decimal
) -> None:
    """Beyond the formula's peak the peak stands, up to certain default."""
    settings = _settings(method)
    million = settings.sales(sales)
    low, high = (settings.risk_weight(one, LGD, million, years) for one in chances)
    assert low <= high


def test_probabilities_over_other_horizons() -> None:
    """1 − (1 − p)^t: two years of 10 % are 19 %, and default that is certain stays so."""
    assert over_horizon(Decimal("0.1"), Decimal(2)) == pytest.approx(
        Decimal("0.19"), abs=Decimal("1e-30")
    )
    half = over_horizon(Decimal("0.19"), Decimal("0.5"))
    assert half == pytest.approx(Decimal("0.1"), abs=Decimal("1e-30"))
    assert over_horizon(Decimal(1), Decimal("0.1")) == 1


CASH = CollateralType("cash", Decimal(0), Decimal(0), Decimal(0))
RECEIVABLES = CollateralType("receivables", Decimal("0.4"), Decimal("0.2"), Decimal("0.1"))
LOSS = LossSettings(
    unsecured=Decimal("0.4"),
    floor=Decimal("0.25"),
    pledges=(Pledge(CASH, "cash_minor"), Pledge(RECEIVABLES, "receivables_minor")),
    protections=(
        Protection("insurance", "insured", Decimal("0.9"), Decimal("0.5")),
        Protection("guarantee", "guaranteed", Decimal("0.95"), Decimal(0)),
    ),
    least_own_share=Decimal("0.1"),
)


def _facts(cash: int, receivables: int, insured: str, guaranteed: str) -> Facts:
    return Facts(
        {
            "cash_minor": cash,
            "receivables_minor": receivables,
            "insured": Decimal(insured),
            "guaranteed": Decimal(guaranteed),
        }
    )


@pytest.mark.parametrize(
    ("cash", "receivables", "expected"),
    [
        (0, 0, "0.4"),
        # 200 of 1,000 by cash, 500 · 0.6 = 300 by receivables at 20 %, 500 left at 40 %: 260.
        (200, 500, "0.26"),
        (5_000, 0, "0"),
        # Receivables alone, more than enough.
        (0, 10_000, "0.2"),
    ],
)
def test_loss_after_collateral_by_hand(cash: int, receivables: int, expected: str) -> None:
    """Each covers by its value less haircut, in the order of the policy."""
    with localcontext(CONTEXT):
        loss = LOSS.after_collateral(Decimal(1000), _facts(cash, receivables, "0", "0"))
    assert loss == Decimal(expected)


def test_the_floor_holds() -> None:
    """An unsecured LGD of 10 % under a floor of 25 % is 25 %."""
    low = LossSettings(Decimal("0.1"), Decimal("0.25"), (), (), Decimal(0))
    assert low.after_collateral(Decimal(7), _facts(0, 0, "0", "0")) == Decimal("0.25")


def test_protection_by_hand() -> None:
    """80 % insured at 0.9 bear 0.72; half of the rest guaranteed at 0.95 bears 0.133."""
    with localcontext(CONTEXT):
        both = LOSS.protected(_facts(0, 0, "0.8", "0.5"))
        assert both.share == Decimal("0.853")
        assert both.weighted == Decimal("0.36")
        # Everything insured and guaranteed: a tenth of each loss stays.
        full = LOSS.protected(_facts(0, 0, "1", "1"))
    assert full.share == Decimal("0.9")
    assert full.weighted == pytest.approx(Decimal("0.45") * Decimal("0.9") / Decimal("0.995"))


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_loss_given_default_is_a_share_above_its_floors(cash: int, owed: int, amount: int) -> None:
    """Whatever the collateral: from 0 to the unsecured LGD."""
    with localcontext(CONTEXT):
        loss = LOSS.after_collateral(Decimal(amount), _facts(cash, owed, "0", "0"))
    assert 0 <= loss <= Decimal("0.4")
