"""Reads what a product costs from a policy file: pricing, rate cap, loss, capital."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from server.desk.policy.capital import CapitalMethod, CapitalSettings
from server.desk.policy.facts import FactSpec, Unit
from server.desk.policy.loss import CollateralType, LossSettings, Pledge, Protection
from server.desk.policy.product import OverCap, Pricing, RateCap
from server.desk.policy.rounding import ZERO
from server.desk.policy.rules_file import TEXT_KEYS, RuleIds
from server.desk.policy.toml_table import Table

MOST_RATE = Decimal(10)  # 1,000 % a year
_LEAST = Decimal("0.000000000001")


def read_pricing(table: Table) -> Pricing:
    """Funding, operating cost and the step of rates."""
    table.allow("funding_rate", "operating_rate", "operating_minor", "rate_step", "least_rate")
    pricing = Pricing(
        funding_rate=table.number("funding_rate", most=MOST_RATE),
        operating_rate=table.number("operating_rate", most=MOST_RATE),
        operating_minor=table.whole("operating_minor", default=0),
        rate_step=table.number("rate_step", least=Decimal("0.000001"), most=Decimal("0.01")),
        least_rate=table.number("least_rate", most=MOST_RATE, default=ZERO),
    )
    if pricing.least_rate % pricing.rate_step:
        raise table.error("has a 'least_rate' that is no multiple of 'rate_step'; make it one")
    return pricing


def read_rate_cap(table: Table, pricing: Pricing, ids: RuleIds) -> RateCap:
    """The rate cap, which fits the pricing."""
    then = table.choice("then", OverCap)
    lowers = then is OverCap.LOWER_LIMIT
    table.allow("most", "then", *TEXT_KEYS, *(("limit_share", "least_margin") if lowers else ()))
    most = table.number("most", most=MOST_RATE, above=True)
    if most % pricing.rate_step or most < pricing.least_rate:
        raise table.error(
            "has a 'most' that is no multiple of 'rate_step' or is below 'least_rate'; mend one"
        )
    return RateCap(
        rule=ids.read(table),
        most=most,
        then=then,
        limit_share=table.number("limit_share", above=True) if lowers else ZERO,
        least_margin=table.number("least_margin", most=MOST_RATE) if lowers else ZERO,
    )


def read_loss(
    table: Table, facts: Mapping[str, FactSpec], collateral: Mapping[str, CollateralType]
) -> LossSettings:
    """Loss given default, collateral and protection."""
    table.allow("unsecured", "floor", "collateral", "insurance", "guarantee", "least_own_share")
    pledges = []
    for one in table.tables("collateral"):
        one.allow("type", "value")
        kind = one.name("type")
        if kind not in collateral:
            raise one.error(f"names the collateral '{kind}', which [collateral] does not have")
        pledges.append(Pledge(collateral[kind], _fact(one, "value", facts, Unit.MINOR)))
    protections = []
    for name in ("insurance", "guarantee"):
        if name in table:
            one = table.table(name)
            one.allow("share", "counted_on", "risk_weight")
            protections.append(
                Protection(
                    name,
                    _fact(one, "share", facts, Unit.SHARE),
                    one.number("counted_on"),
                    one.number("risk_weight", most=Decimal("12.5")),
                )
            )
    unsecured, floor = table.number("unsecured", least=_LEAST), table.number("floor")
    if floor > unsecured:
        raise table.error("has a 'floor' above 'unsecured'; it must be at most that")
    return LossSettings(
        unsecured, floor, tuple(pledges), tuple(protections), table.number("least_own_share")
    )


def read_capital(table: Table, facts: Mapping[str, FactSpec]) -> CapitalSettings:
    """The capital charge."""
    method = table.choice("method", CapitalMethod)
    flat, sized = method is CapitalMethod.FLAT, "firm_size" in table
    table.allow(
        *("method", "capital_ratio", "cost_of_capital"),
        *(("risk_weight",) if flat else ()),
        *(("firm_size",) if method is CapitalMethod.CORPORATE else ()),
    )
    sales, scale = "", 0
    if sized:
        firm = table.table("firm_size")
        firm.allow("sales", "minor_per_million_euros")
        sales = _fact(firm, "sales", facts, Unit.MINOR)
        scale = firm.whole("minor_per_million_euros", least=1)
    return CapitalSettings(
        method=method,
        flat_risk_weight=table.number("risk_weight", most=Decimal("12.5")) if flat else ZERO,
        capital_ratio=table.number("capital_ratio"),
        cost_of_capital=table.number("cost_of_capital"),
        sales_fact=sales,
        minor_per_million_euros=scale,
    )


def _fact(table: Table, key: str, facts: Mapping[str, FactSpec], unit: Unit) -> str:
    name = table.name(key)
    spec = facts.get(name)
    if spec is None or spec.unit != unit:
        raise table.error(
            f"names the fact '{name}' as '{key}'; the product must declare it with unit \"{unit}\""
        )
    return name
