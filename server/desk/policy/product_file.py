"""Reads one product of a policy file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from server.desk.policy.cost_file import (
    MOST_RATE,
    read_capital,
    read_loss,
    read_pricing,
    read_rate_cap,
)
from server.desk.policy.decision import Outcome
from server.desk.policy.equipment_lease import EquipmentLease
from server.desk.policy.facts import read_facts
from server.desk.policy.kinds import Grade, GradeTerms, Kind
from server.desk.policy.loss import CollateralType
from server.desk.policy.order_loan import OrderLoan
from server.desk.policy.product import Product, Silence, WhenSilent
from server.desk.policy.receivable_advance import ReceivableAdvance
from server.desk.policy.revolving import Revolving
from server.desk.policy.rounding import ONE, ZERO
from server.desk.policy.rules_file import DECLINED, REFERRED, TEXT_KEYS, RuleIds
from server.desk.policy.toml_table import Table


class KindName(StrEnum):
    """The four kinds of products."""

    REVOLVING = "revolving"
    ORDER_LOAN = "order-loan"
    RECEIVABLE_ADVANCE = "receivable-advance"
    EQUIPMENT_LEASE = "equipment-lease"


KINDS: Mapping[KindName, type[Revolving | OrderLoan | ReceivableAdvance | EquipmentLease]] = {
    KindName.REVOLVING: Revolving,
    KindName.ORDER_LOAN: OrderLoan,
    KindName.RECEIVABLE_ADVANCE: ReceivableAdvance,
    KindName.EQUIPMENT_LEASE: EquipmentLease,
}
# Those whose tenor is what the deal needs, so that it can be too long for a grade.
_NEEDS_TENOR = (KindName.ORDER_LOAN, KindName.RECEIVABLE_ADVANCE)


@dataclass(frozen=True)
class Common:
    """What the products of a file share."""

    grades: tuple[Grade, ...]
    collateral: Mapping[str, CollateralType]
    probability_floor: Decimal
    probability_decimals: int
    ids: RuleIds


def read_product(name: str, table: Table, common: Common) -> Product:
    """One product.

    Raises:
        InputError: something in it is not as it must be.
    """
    kind_name = table.choice("kind", KindName)
    needs_tenor = kind_name in _NEEDS_TENOR
    table.allow(
        *("kind", "title", "facts", "settings", "smallest_limit", "limit_step_minor", "pricing"),
        *("rate_cap", "loss", "capital", "silent_party", "terms"),
        *(("too_long",) if needs_tenor else ()),
    )
    facts = read_facts(table.table("facts"))
    kind = _read_kind(kind_name, table.table("settings"), common)
    for fact, (of_type, unit) in kind.inputs.items():
        spec = facts.get(fact)
        if spec is None or spec.type is not of_type or spec.unit != unit:
            raise table.error(
                f'must declare the fact \'{fact}\' (type "{of_type}", unit "{unit}"): every '
                f"{kind_name} needs it"
            )
    smallest = table.table("smallest_limit")
    smallest.allow("minor", *TEXT_KEYS)
    too_long = None
    if needs_tenor:
        long_table = table.table("too_long")
        long_table.allow(*TEXT_KEYS)
        too_long = common.ids.read(long_table)
    pricing = read_pricing(table.table("pricing"))
    product = Product(
        name=name,
        title=table.text("title", name, most=100),
        kind_name=str(kind_name),
        kind=kind,
        facts=facts,
        terms=_read_terms(table, kind_name, common),
        smallest=common.ids.read(smallest),
        smallest_minor=smallest.whole("minor", least=1),
        step_minor=table.whole("limit_step_minor", least=1),
        too_long=too_long,
        pricing=pricing,
        rate_cap=read_rate_cap(table.table("rate_cap"), pricing, common.ids),
        loss=read_loss(table.table("loss"), facts, common.collateral),
        capital=read_capital(table.table("capital"), facts),
        silence=_read_silence(table.table("silent_party"), kind_name, common.ids),
    )
    if isinstance(kind, EquipmentLease):
        longest = max(terms.tenor for terms in product.terms)
        if kind.residual[-1][0] < longest:
            raise table.error(
                f"leases for up to {longest} months, so 'settings.residual' must reach that far"
            )
    return product


def _read_kind(kind: KindName, table: Table, common: Common) -> Kind:
    if kind is KindName.REVOLVING:
        table.allow(
            *("credit_conversion_factor", "least_utilisation", "most_rise_share"),
            *("days_between_rises", "strained_above", "idle_below", "idle_keeps"),
        )
        return Revolving(
            credit_conversion_factor=table.number("credit_conversion_factor"),
            least_utilisation=table.number("least_utilisation", above=True),
            most_rise_share=table.number("most_rise_share", most=10),
            days_between_rises=table.whole("days_between_rises", most=36_500),
            strained_above=table.number("strained_above"),
            idle_below=table.number("idle_below"),
            idle_keeps=table.number("idle_keeps"),
        )
    if kind is KindName.ORDER_LOAN:
        table.allow("grace_days")
        return OrderLoan(table.whole("grace_days", most=3650))
    if kind is KindName.EQUIPMENT_LEASE:
        table.allow("residual", "residual_haircut")
        return EquipmentLease(_read_residual(table), table.number("residual_haircut"))
    table.allow(
        "recourse", "default_correlation", "dilution_share", "grace_days", "debtors", "weak_debtor"
    )
    recourse = table.flag("recourse", True)
    unused, used = "dilution_share", "default_correlation"
    if not recourse:
        unused, used = used, unused
    if unused in table:
        raise table.error(f"has '{unused}', which recourse = {str(recourse).lower()} rules out")
    share = table.number(used)
    weak = table.table("weak_debtor")
    weak.allow(*TEXT_KEYS)
    return ReceivableAdvance(
        recourse=recourse,
        default_correlation=share if recourse else ZERO,
        dilution_share=ZERO if recourse else share,
        debtor_rule=common.ids.read(weak),
        factors=_read_factors(table.table("debtors"), common.grades),
        grades=common.grades,
        probability_floor=common.probability_floor,
        probability_decimals=common.probability_decimals,
        grace_days=table.whole("grace_days", most=3650),
    )


def _read_factors(table: Table, grades: Sequence[Grade]) -> dict[str, Decimal]:
    names = [grade.name for grade in grades]
    table.allow(*names)
    if not table.values:
        raise table.error("gives no grade of debtors a factor; one at least must have one")
    return {name: table.number(name, above=True) for name in names if name in table}


def _read_residual(table: Table) -> tuple[tuple[int, Decimal], ...]:
    points = []
    for one in table.tables("residual"):
        one.allow("months", "share")
        points.append((one.whole("months", least=1, most=600), one.number("share")))
    shares = [ONE, *(share for _, share in points)]
    months = [0, *(month for month, _ in points)]
    rising = any(later <= earlier for earlier, later in itertools.pairwise(months))
    dearer = any(later > earlier for earlier, later in itertools.pairwise(shares))
    if not points or rising or dearer:
        raise table.error(
            "must list 'residual' as tables with months that rise and shares that do not, such as "
            "residual = [{months = 12, share = 0.6}, {months = 36, share = 0.3}]"
        )
    return tuple(points)


def _read_terms(product: Table, kind: KindName, common: Common) -> tuple[GradeTerms, ...]:
    share_key, tenor_key = KINDS[kind].share_key, KINDS[kind].tenor_key
    by_grade: dict[str, GradeTerms] = {}
    names = [grade.name for grade in common.grades]
    for table in product.tables("terms"):
        grade = table.name("grade")
        if grade not in names:
            raise table.error(f"names the grade '{grade}', which the policy does not have")
        if grade in by_grade:
            raise table.error(f"is a second one for grade '{grade}'; each grade has one")
        outcome = table.choice("decision", Outcome)
        text = common.ids.read(table, REFERRED if outcome is Outcome.REFER else DECLINED)
        if outcome is Outcome.DECLINE:
            table.allow("grade", "decision", *TEXT_KEYS)
            by_grade[grade] = GradeTerms(text, grade, outcome, ZERO, 0, 0, ZERO)
            continue
        table.allow("grade", "decision", share_key, "most_minor", tenor_key, "margin", *TEXT_KEYS)
        down_payment = kind is KindName.EQUIPMENT_LEASE
        share = table.number(share_key, most=Decimal("0.99") if down_payment else ONE)
        by_grade[grade] = GradeTerms(
            rule=text,
            grade=grade,
            outcome=outcome,
            share=share,
            most_minor=table.whole("most_minor", least=1),
            tenor=table.whole(
                tenor_key, least=1, most=600 if tenor_key.endswith("months") else 3650
            ),
            margin=table.number("margin", most=MOST_RATE),
        )
    for name in names:
        if name not in by_grade:
            raise product.error(
                f"lacks terms for grade '{name}'; add [[{product.heading}.terms]] with grade = "
                f'"{name}", where decision = "decline" will do'
            )
    return tuple(by_grade[name] for name in names)


def _read_silence(table: Table, kind: KindName, ids: RuleIds) -> Silence:
    then = table.choice("then", WhenSilent)
    if then is WhenSilent.NO_INCREASE and kind is not KindName.REVOLVING:
        raise table.error("says 'no-increase', which only revolving products know")
    cut = then is WhenSilent.HAIRCUT
    table.allow("then", *TEXT_KEYS, *(("limit_share",) if cut else ()))
    share = table.number("limit_share", above=True) if cut else ONE
    return Silence(ids.read(table, REFERRED), then, share)
