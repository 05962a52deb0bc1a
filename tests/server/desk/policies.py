"""Lending policies for tests: the example file, and policies drawn at random around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from server.desk.decisions import Fact
from server.desk.policy.capital import CapitalMethod
from server.desk.policy.decision import Application, LendingDecision, Outcome
from server.desk.policy.equipment_lease import EquipmentLease
from server.desk.policy.facts import FactSpec, FactType, Unit
from server.desk.policy.findings import RANK, example_facts
from server.desk.policy.kinds import GradeTerms
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.product import OverCap, Product, WhenSilent
from server.desk.policy.receivable_advance import ReceivableAdvance
from server.desk.policy.revolving import Revolving

EXAMPLE = Path(__file__).parents[3] / "examples" / "policy" / "lending.toml"
DAY = date(2026, 5, 1)
PRODUCTS = ("working-capital", "order-loan", "receivable-advance", "equipment-lease")
STEP = Decimal("0.0005")


def example() -> LendingPolicy:
    """The committed example, read anew."""
    return LendingPolicy.load(EXAMPLE)


POLICY = example()


def written(folder: Path, text: str | None = None, **changes: str) -> Path:
    """A policy file in a folder of its own, the example unless a text is given, with its list.

    Args:
        folder: where to.
        text: of the policy.
        changes: OLD=NEW pairs as `old` and `new`.
    """
    (folder / "blocked-ids.txt").write_text("blocked-example-1\n")
    content = EXAMPLE.read_text("utf-8") if text is None else text
    if changes:
        assert changes["old"] in content, "the test changes what is not there"
        content = content.replace(changes["old"], changes["new"], 1)
    path = folder / "policy.toml"
    path.write_text(content, "utf-8")
    return path


def facts(product: str = "working-capital", **changes: Fact) -> dict[str, Fact]:
    """The example's facts of a product, with changes."""
    return example_facts(POLICY.products[product]) | changes


def applied(
    probability: float = 0.02,
    product: str = "working-capital",
    borrower: str = "firm-1",
    given: Mapping[str, Fact] | None = None,
    **rest: Any,
) -> Application:
    """An application with the example's facts."""
    chosen = facts(product) if given is None else given
    return Application(product, borrower, probability, chosen, **rest)


def no_better(riskier: LendingDecision, safer: LendingDecision) -> bool:
    """Whether the riskier borrower's decision is at most as good as the safer one's."""
    if RANK[riskier.outcome] < RANK[safer.outcome]:
        return False
    if not riskier.terms:
        return True
    return (
        riskier.terms["limit_minor"] <= safer.terms["limit_minor"]
        and riskier.terms["annual_rate"] >= safer.terms["annual_rate"]
    )


def shares(least: str = "0", most: str = "1") -> st.SearchStrategy[Decimal]:
    """Shares with four decimals."""
    return st.decimals(Decimal(least), Decimal(most), places=4)


def steps(most: int) -> st.SearchStrategy[Decimal]:
    """Rates that are multiples of the step."""
    return st.integers(0, most).map(lambda count: count * STEP)


@st.composite
def fact_values(draw: st.DrawFn, spec: FactSpec) -> Fact:
    """A value that a fact may have, often near the bounds of the example's rules."""
    if spec.type is FactType.FLAG:
        return draw(st.sampled_from((True, True, True, False)))
    if spec.type is FactType.TEXT:
        return draw(st.sampled_from(("retail", "retail", "gambling", "blocked-example-1")))
    if spec.type is FactType.DECIMAL:
        return draw(shares())
    most = {Unit.MINOR: 10**11, Unit.DAYS: 400, Unit.MONTHS: 90, Unit.COUNT: 1000}
    return draw(
        st.one_of(st.just(spec.stand_in), st.integers(0, most[Unit(spec.unit)]))  # type: ignore[arg-type]
    )


@st.composite
def all_facts(draw: st.DrawFn, product: Product) -> dict[str, Fact]:
    """All facts of a product; about half of them as in the example."""
    return {
        name: draw(st.one_of(st.just(spec.stand_in), fact_values(spec)))
        for name, spec in product.facts.items()
    }


@st.composite
def ordered_terms(draw: st.DrawFn, product: Product) -> tuple[GradeTerms, ...]:
    """Terms that give nothing better to a riskier grade."""
    count = len(product.terms)

    def falling(values: st.SearchStrategy[Any]) -> list[Any]:
        return sorted(draw(st.lists(values, min_size=count, max_size=count)), reverse=True)

    lease = isinstance(product.kind, EquipmentLease)
    given = falling(shares(most="0.99" if lease else "1"))
    if lease:
        given.reverse()
    most = falling(st.integers(1, 10**9))
    tenor = falling(st.integers(1, 60 if str(product.kind.tenor_unit) == "months" else 400))
    margin = falling(shares(most="0.1"))[::-1]
    outcomes = sorted(
        draw(st.lists(st.sampled_from(list(Outcome)), min_size=count, max_size=count)),
        key=RANK.__getitem__,
    )
    return tuple(
        replace(
            terms,
            outcome=outcomes[place],
            share=given[place],
            most_minor=most[place],
            tenor=0 if outcomes[place] is Outcome.DECLINE else tenor[place],
            margin=margin[place],
        )
        for place, terms in enumerate(product.terms)
    )


@st.composite
def products(draw: st.DrawFn, name: str) -> Product:
    """The example's product with other numbers, as a policy file could have them."""
    product = POLICY.products[name]
    kind = product.kind
    if isinstance(kind, Revolving):
        kind = Revolving(
            draw(shares()),
            draw(shares(least="0.0001")),
            draw(shares(most="2")),
            draw(st.integers(0, 400)),
            draw(shares()),
            draw(shares()),
            draw(shares()),
        )
    elif isinstance(kind, ReceivableAdvance):
        recourse = draw(st.booleans())
        kind = replace(
            kind,
            recourse=recourse,
            default_correlation=draw(shares()) if recourse else Decimal(0),
            dilution_share=Decimal(0) if recourse else draw(shares()),
        )
    elif isinstance(kind, EquipmentLease):
        kind = replace(kind, residual_haircut=draw(shares()))
    method = draw(st.sampled_from(list(CapitalMethod)))
    most = STEP * draw(st.integers(20, 800))
    silences = [one for one in WhenSilent if name == PRODUCTS[0] or one != "no-increase"]
    return replace(
        product,
        kind=kind,
        terms=draw(ordered_terms(product)),
        smallest_minor=draw(st.integers(1, 10**6)),
        step_minor=draw(st.sampled_from((1, 100, 10_000, 99_999))),
        pricing=replace(
            product.pricing,
            funding_rate=draw(shares(most="0.2")),
            operating_rate=draw(shares(most="0.1")),
            operating_minor=draw(st.integers(0, 10**6)),
            least_rate=draw(steps(20)),
        ),
        rate_cap=replace(
            product.rate_cap,
            most=most,
            then=draw(st.sampled_from(list(OverCap))),
            limit_share=draw(shares(least="0.0001")),
            least_margin=draw(shares(most="0.05")),
        ),
        loss=replace(
            product.loss,
            unsecured=draw(shares(least="0.3")),
            floor=draw(shares(most="0.3")),
            least_own_share=draw(shares()),
        ),
        capital=replace(
            product.capital,
            method=method,
            flat_risk_weight=draw(shares(most="2")),
            capital_ratio=draw(shares()),
            cost_of_capital=draw(shares()),
        ),
        silence=replace(
            product.silence,
            then=draw(st.sampled_from(silences)),
            limit_share=draw(shares(least="0.0001")),
        ),
    )


@st.composite
def policies(draw: st.DrawFn, name: str) -> LendingPolicy:
    """A policy with one product drawn at random, and the example's rules."""
    score = replace(
        POLICY.score,
        horizon_months=draw(st.sampled_from((6, 12, 24))),
        decimals=draw(st.sampled_from((5, 8, 12))),
    )
    return replace(POLICY, score=score, products={**POLICY.products, name: draw(products(name))})


def probabilities() -> st.SearchStrategy[float]:
    """Probabilities: anywhere, where loans are made, and at the grades' borders."""
    borders = [float(grade.up_to) for grade in POLICY.grades]
    return st.one_of(
        st.floats(0, 1), st.floats(0, 0.15), st.sampled_from([0.0, *borders, 0.00500000000001])
    )
