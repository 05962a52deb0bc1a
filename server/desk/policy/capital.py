"""What capital a loan ties up: Basel's internal-ratings formula, or a flat risk weight.

Corporate exposures (Basel Framework CRE31.5), with N the normal distribution, G its inverse, and
p the 12-month probability of default:

    R = 0.12·a + 0.24·(1 − a),  a = (1 − e^(−50p)) / (1 − e^(−50))
    R −= 0.04·(1 − (S − 5)/45)  for firms with sales of S million euros, 5 to 50 (CRE31.8)
    b = (0.11852 − 0.05478·ln p)²
    K = LGD·[N((G(p) + √R·G(0.999)) / √(1 − R)) − p] · (1 + (M − 2.5)·b) / (1 − 1.5·b)

'Other retail' exposures, among them small loans to small firms (CRE31.24), have
R = 0.03·a + 0.16·(1 − a) with e^(−35p), and no maturity term. The risk weight is 12.5·K; there is
no factor of 1.06.

K counts unexpected loss only, so it falls again where p is high. Here it does not: beyond the p
at which it is highest, that highest K stands. So a riskier borrower never ties up less capital,
and prices rise with p whatever a policy says.

N and G are reckoned in double precision, the only floats of the policy beside the score; the
result is rounded once, half to even, to 8 decimals, before it meets an amount.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

from server.desk.policy.rounding import ZERO

RISK_WEIGHT_OF_CAPITAL = Decimal("12.5")  # the reciprocal of 8 %
LEAST_SALES, MOST_SALES = 5, 50  # million euros, CRE31.8
SHORTEST, LONGEST = Decimal(1), Decimal(5)  # years of maturity, CRE32.46
_NORMAL = NormalDist()
_G_999 = _NORMAL.inv_cdf(0.999)
_EIGHT = Decimal("0.00000001")


class CapitalMethod(StrEnum):
    """How a risk weight is found."""

    CORPORATE = "irb-corporate"
    RETAIL = "irb-other-retail"
    FLAT = "flat"


@dataclass(frozen=True)
class CapitalSettings:
    """A policy's capital charge.

    Attributes:
        method: how the risk weight is found.
        flat_risk_weight: where the method is flat.
        capital_ratio: capital held for a unit of risk-weighted assets, such as 0.13.
        cost_of_capital: a year, above what funding costs.
        sales_fact: the fact that holds the firm's yearly sales; empty: no firm-size adjustment.
        minor_per_million_euros: minor units of the policy's currency in a million euros.
    """

    method: CapitalMethod
    flat_risk_weight: Decimal
    capital_ratio: Decimal
    cost_of_capital: Decimal
    sales_fact: str = ""
    minor_per_million_euros: int = 0

    def sales(self, sales_minor: int | None) -> Decimal | None:
        """Sales in million euros as the formula takes them: rounded up to 0.1, within 5 to 50.

        Up, since larger firms tie up more capital. None: no adjustment.
        """
        if sales_minor is None or not self.minor_per_million_euros:
            return None
        tenths = -(-sales_minor * 10 // self.minor_per_million_euros)
        bounded = min(max(tenths, 10 * LEAST_SALES), 10 * MOST_SALES)
        return Decimal(bounded) / 10

    def risk_weight(
        self,
        probability: Decimal,
        loss_given_default: Decimal,
        sales: Decimal | None,
        years: Decimal,
    ) -> Decimal:
        """The risk weight of an exposure without protection: 1 is 100 %.

        Args:
            probability: of default within 12 months, above 0.
            loss_given_default: after collateral.
            sales: as `sales` gives them.
            years: the loan's maturity.
        """
        if self.method is CapitalMethod.FLAT:
            return self.flat_risk_weight
        if self.method is CapitalMethod.RETAIL:
            unit = _unit_capital(probability, None, None)
        else:
            unit = _unit_capital(probability, sales, min(max(years, SHORTEST), LONGEST))
        return RISK_WEIGHT_OF_CAPITAL * loss_given_default * unit


def capital_requirement(probability: float, sales: float | None, years: float | None) -> float:
    """K of CRE31 for an LGD of 1, as the formula gives it: falling again where p is high.

    Args:
        probability: of default within 12 months, between 0 and 1.
        sales: in million euros, 5 to 50; None: no adjustment.
        years: M, 1 to 5; None: the formula of other retail exposures.
    """
    if years is None:
        share = -math.expm1(-35 * probability) / -math.expm1(-35)
        correlation = 0.03 * share + 0.16 * (1 - share)
        maturity = 1.0
    else:
        share = -math.expm1(-50 * probability) / -math.expm1(-50)
        correlation = 0.12 * share + 0.24 * (1 - share)
        if sales is not None:
            correlation -= 0.04 * (1 - (sales - LEAST_SALES) / (MOST_SALES - LEAST_SALES))
        slope = (0.11852 - 0.05478 * math.log(probability)) ** 2
        maturity = (1 + (years - 2.5) * slope) / (1 - 1.5 * slope)
    stressed = _NORMAL.cdf(
        (_NORMAL.inv_cdf(probability) + math.sqrt(correlation) * _G_999)
        / math.sqrt(1 - correlation)
    )
    return (stressed - probability) * maturity


@lru_cache(maxsize=65_536)
def _unit_capital(probability: Decimal, sales: Decimal | None, years: Decimal | None) -> Decimal:
    firm = None if sales is None else float(sales)
    maturity = None if years is None else float(years)
    held = min(float(probability), _peak(firm, maturity))
    capital = max(0.0, capital_requirement(held, firm, maturity))
    return max(ZERO, Decimal(capital).quantize(_EIGHT, ROUND_HALF_EVEN))


@lru_cache(maxsize=4_096)
def _peak(sales: float | None, years: float | None) -> float:
    """The probability at which K is highest: it rises before and falls after (golden section)."""
    low, high = 1e-4, 0.999
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if capital_requirement(left, sales, years) < capital_requirement(right, sales, years):
            low = left
        else:
            high = right
    return (low + high) / 2
