"""Reads the hard rules of a policy file, and gives every rule of the file an id of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from server.desk.decisions import Fact
from server.desk.policy.blocked import load_blocked, load_key
from server.desk.policy.decision import FollowUp, RuleText
from server.desk.policy.facts import FactSpec, FactType, Unit
from server.desk.policy.product import Product
from server.desk.policy.revolving import Revolving
from server.desk.policy.rounding import MOST_MINOR
from server.desk.policy.rules import (
    BORROWER,
    Blocked,
    Comparison,
    Concentration,
    HardRule,
    OpenFollowUp,
    Requirement,
    Test,
    Then,
)
from server.desk.policy.toml_table import Table

DECLINED = "We cannot offer this at present."
REFERRED = "We will look at your application and come back to you."


class RuleIds:
    """Hands out rule ids, each one once in a file."""

    def __init__(self) -> None:
        """None is taken."""
        self._taken: set[str] = set()

    def read(self, table: Table, sentence: str = DECLINED) -> RuleText:
        """The id, reason code and sentence of a table; the last two have defaults."""
        rule = table.name("id")
        if rule in self._taken:
            raise table.error(f"has the id '{rule}', which another rule has; ids must differ")
        self._taken.add(rule)
        reason = table.text("reason", rule, most=100)
        return RuleText(rule, reason, table.text("sentence", sentence))

    @property
    def taken(self) -> frozenset[str]:
        """All ids so far."""
        return frozenset(self._taken)


TEXT_KEYS = ("id", "reason", "sentence")


class _RuleKind(StrEnum):
    BLOCKED = "blocked"
    REQUIREMENT = "requirement"
    FOLLOW_UP = "follow-up"
    CONCENTRATION = "concentration"


def read_rules(
    tables: list[Table], products: Mapping[str, Product], ids: RuleIds
) -> tuple[HardRule | Concentration, ...]:
    """The hard rules, in their order.

    Raises:
        InputError: one is not as it must be, or reads a fact that a product of its lacks.
    """
    return tuple(_read_rule(table, products, ids) for table in tables)


def _read_rule(
    table: Table, products: Mapping[str, Product], ids: RuleIds
) -> HardRule | Concentration:
    kind = table.choice("kind", _RuleKind)
    named = table.names("products")
    for name in named:
        if name not in products:
            raise table.error(f"names the product '{name}', which the policy does not have")
    scope = frozenset(named or products)
    if kind is _RuleKind.CONCENTRATION:
        rule = _concentration(table, scope, ids)
        for fact in rule.uses:
            _require_fact(table, fact, scope, products, FactType.INTEGER, Unit.MINOR)
        return rule
    then = table.choice("then", Then)
    if then is Then.NO_INCREASE and not all(
        isinstance(products[name].kind, Revolving) for name in scope
    ):
        raise table.error("says 'no-increase', which only revolving products know; name them")
    text = ids.read(table, DECLINED if then is Then.DECLINE else REFERRED)
    if kind is _RuleKind.BLOCKED:
        test: Test = _blocked(table)
    elif kind is _RuleKind.FOLLOW_UP:
        table.allow("kind", "products", "then", "follow_up", *TEXT_KEYS)
        test = OpenFollowUp(table.choice("follow_up", FollowUp))
    else:
        test = _requirement(table, scope, products)
    for fact, of_type in test.uses.items():
        _require_fact(table, fact, scope, products, of_type)
    return HardRule(text, scope, then, test)


def _blocked(table: Table) -> Blocked:
    table.allow("kind", "products", "then", "subject", "file", "key_file", *TEXT_KEYS)
    key = load_key(table.path("key_file")) if "key_file" in table else None
    return Blocked(table.name("subject"), load_blocked(table.path("file"), key))


def _requirement(table: Table, scope: frozenset[str], products: Mapping[str, Product]) -> Test:
    comparisons = [str(one) for one in Comparison]
    table.allow("kind", "products", "then", "fact", *comparisons, *TEXT_KEYS)
    fact = table.name("fact")
    comparison = Comparison(table.only(*comparisons))
    specs = [products[name].facts[fact] for name in sorted(scope) if fact in products[name].facts]
    if not specs:
        raise table.error(f"reads the fact '{fact}', which its products do not declare")
    spec = specs[0]
    if comparison in (Comparison.AT_LEAST, Comparison.AT_MOST):
        if spec.type not in (FactType.INTEGER, FactType.DECIMAL):
            raise table.error(f"compares the {spec.type} fact '{fact}' with a number")
        bound = table.number(comparison, least=-MOST_MINOR, most=MOST_MINOR)
        right: tuple[Fact, ...] = (_typed(table, comparison, bound, spec),)
    else:
        value = table.values[comparison]
        many = value if comparison is not Comparison.IS else [value]
        if not isinstance(many, list) or not many:
            raise table.error(f"has a '{comparison}' that does not serve; it must be a list")
        right = tuple(_typed(table, comparison, one, spec) for one in many)
    return Requirement(fact, spec.type, comparison, right)


def _typed(table: Table, key: str, value: object, spec: FactSpec) -> Fact:
    """A value of the file as the fact's own type."""
    if isinstance(value, Decimal) and spec.type is FactType.INTEGER and value == int(value):
        value = int(value)
    fault = spec.fault(value)
    if fault or not isinstance(value, int | Decimal | str | bool):
        raise table.error(f"has a '{key}' that is no value of '{spec.name}'; it {fault}")
    return Decimal(value) if spec.type is FactType.DECIMAL else value


def _concentration(table: Table, scope: frozenset[str], ids: RuleIds) -> Concentration:
    table.allow(
        "kind", "products", "subject", "exposure", "most_minor", "most_share", "of", *TEXT_KEYS
    )
    capped = table.only("most_minor", "most_share") == "most_minor"
    if capped and "of" in table:
        raise table.error("has 'of', which goes with 'most_share' only")
    return Concentration(
        rule=ids.read(table),
        products=scope,
        subject=table.text("subject", most=100),
        exposure=table.name("exposure"),
        most_minor=table.whole("most_minor") if capped else 0,
        most_share=Decimal(0) if capped else table.number("most_share", above=True),
        share_of="" if capped else table.name("of"),
    )


def _require_fact(
    table: Table,
    fact: str,
    scope: frozenset[str],
    products: Mapping[str, Product],
    of_type: FactType,
    unit: Unit | None = None,
) -> None:
    if fact == BORROWER:
        return
    for name in sorted(scope):
        spec = products[name].facts.get(fact)
        if spec is None:
            raise table.error(
                f"reads the fact '{fact}', which the product '{name}' does not declare; declare it "
                "there, or name the rule's products"
            )
        if spec.type is not of_type or (unit is not None and spec.unit != unit):
            right = of_type if unit is None else f'{of_type} with unit "{unit}"'
            raise table.error(f"reads '{fact}' of product '{name}', which must be {right}")
