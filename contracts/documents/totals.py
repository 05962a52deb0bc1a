"""Do the amounts add up: EN 16931's rules BR-CO-10 to BR-CO-17, to the last minor unit.

The official test files let an amount of tax be off by up to one whole unit of currency; here a
cent is too much, since a person can look at it. Amounts are rounded to the currency's own minor
unit (EN 16931 says two decimals, which is the same for most).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from contracts.documents.amounts import (
    minor_units,
    money,
    number,
    optional_minor_units,
    rounded,
    shown,
)
from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.stated import StatedAdjustment, StatedDocument, StatedLine

# UNTDID 5305 as EN 16931 uses it: these are taxed, with L and M for the Canaries, Ceuta, Melilla.
_TAXED = frozenset("SLM")
_UNTAXED = frozenset({"Z", "E", "AE", "K", "G", "O"})

_TaxKey = tuple[str, Fraction]


@dataclass(frozen=True)
class CheckedTotals:
    """In minor units: without tax, tax, and what is to be paid."""

    net: int
    tax: int
    payable: int


def checked_totals(stated: StatedDocument, exponent: int) -> CheckedTotals:
    """Recompute every total of a document from its lines, and compare.

    Args:
        stated: the document.
        exponent: decimals of its currency.

    Raises:
        Unclear: names the first total that is missing or not what the lines give, and both amounts.
    """
    if not stated.lines:
        raise Unclear(
            ReviewCode.TOTALS,
            "it has no lines, so its total cannot be checked; ask for one with lines (of Factur-X, "
            "profile BASIC or above)",
        )
    check = _Comparison(exponent)
    totals = stated.totals
    line_nets = [_line_net(line, check) for line in stated.lines]
    allowances = [minor_units(one.amount, exponent, one.place) for one in stated.allowances]
    charges = [minor_units(one.amount, exponent, one.place) for one in stated.charges]

    lines = sum(line_nets)
    check.equal(totals.lines, lines, "the total of lines", "the lines give {} (BR-CO-10)")
    check.equal(
        totals.allowances, sum(allowances), "the total of allowances", "they give {} (BR-CO-11)"
    )
    check.equal(totals.charges, sum(charges), "the total of charges", "they give {} (BR-CO-12)")
    net = minor_units(totals.net, exponent, "the total without tax")
    check.same(
        net,
        lines - sum(allowances) + sum(charges),
        "the total without tax",
        "lines less allowances plus charges give {} (BR-CO-13)",
    )
    gross = minor_units(totals.gross, exponent, "the total with tax")
    tax = _checked_tax(stated, line_nets, allowances, charges, gross - net, check)
    check.same(gross, net + tax, "the total with tax", "net and tax give {} (BR-CO-15)")
    return CheckedTotals(net, tax, _checked_payable(stated, net, tax, gross, check))


def _checked_payable(
    stated: StatedDocument, net: int, tax: int, gross: int, check: _Comparison
) -> int:
    totals, exponent = stated.totals, check.exponent
    prepaid = optional_minor_units(totals.prepaid, exponent, "the amount prepaid") or 0
    rounding = optional_minor_units(totals.rounding, exponent, "the rounding amount") or 0
    payable = minor_units(totals.payable, exponent, "the payable amount")
    check.same(
        payable,
        gross - prepaid + rounding,
        "the payable amount",
        "gross less prepaid plus rounding give {} (BR-CO-16)",
    )
    if abs(rounding) > 10**exponent:
        raise Unclear(
            ReviewCode.AMOUNT,
            f"the rounding amount is {money(rounding, exponent)}; it may be one unit of the "
            "currency at most",
        )
    for amount, what in ((net, "the total without tax"), (payable, "the payable amount")):
        if amount <= 0:
            raise Unclear(
                ReviewCode.AMOUNT,
                f"{what} is {money(amount, exponent)}; a receivable needs one above 0",
            )
    for amount, what in ((tax, "the total of tax"), (prepaid, "the amount prepaid")):
        if amount < 0:
            raise Unclear(
                ReviewCode.AMOUNT,
                f"{what} is {money(amount, exponent)}; it must not be negative",
            )
    return payable


@dataclass(frozen=True)
class _Comparison:
    """Compares what is stated with what is computed, in one currency."""

    exponent: int

    def same(
        self, stated: int, computed: int, what: str, how: str, code: ReviewCode = ReviewCode.TOTALS
    ) -> None:
        if stated != computed:
            raise Unclear(
                code,
                f"{what} is {money(stated, self.exponent)}, but "
                f"{how.format(money(computed, self.exponent))}; the two must be equal",
            )

    def equal(self, stated: str | None, computed: int, what: str, how: str) -> None:
        """As `same`, where the document states it."""
        amount = optional_minor_units(stated, self.exponent, what)
        if amount is not None:
            self.same(amount, computed, what, how)


def _line_net(line: StatedLine, check: _Comparison) -> int:
    exponent = check.exponent
    net = minor_units(line.net, exponent, f"the net amount of {line.place}")
    if line.quantity is None and line.price is None:
        return net
    quantity = number(line.quantity, f"the quantity of {line.place}")
    price = number(line.price, f"the price of {line.place}")
    per = number(line.price_quantity or "1", f"the price's base quantity of {line.place}")
    if per <= 0 or price < 0:
        raise Unclear(
            ReviewCode.AMOUNT,
            f"{line.place} has a negative price, or one per {per} pieces; returns have a negative "
            "quantity, and prices are for a quantity above 0",
        )
    amount = rounded(Fraction(quantity) * Fraction(price) / Fraction(per) * 10**exponent)
    for text in line.allowances:
        amount -= minor_units(text, exponent, f"an allowance of {line.place}")
    for text in line.charges:
        amount += minor_units(text, exponent, f"a charge of {line.place}")
    check.same(
        net, amount, f"the net amount of {line.place}", "quantity, price and allowances give {}"
    )
    return net


def _checked_tax(
    stated: StatedDocument,
    line_nets: list[int],
    allowances: list[int],
    charges: list[int],
    difference: int,
    check: _Comparison,
) -> int:
    """The total of tax, checked by category and rate; `difference` is gross less net."""
    total = optional_minor_units(stated.totals.tax, check.exponent, "the total of tax")
    if not stated.taxes and total in (None, 0) and difference == 0 and not _any_rate(stated):
        return 0  # an order, or a seller who charges no tax and says nothing of it
    bases: dict[_TaxKey, int] = defaultdict(int)
    _add(bases, stated.lines, line_nets, 1)
    _add(bases, stated.allowances, allowances, -1)
    _add(bases, stated.charges, charges, 1)
    if stated.taxes is None:
        taxes = {key: rounded(base * key[1] / 100) for key, base in bases.items()}
    else:
        taxes = _checked_breakdown(stated, bases, check)
    computed = sum(taxes.values())
    if total is None and computed:
        raise Unclear(ReviewCode.TAX, "the total of tax is missing, though there is tax; state it")
    check.same(
        total or 0,
        computed,
        "the total of tax",
        "the tax by rate gives {} (BR-CO-14, BR-CO-17)",
        ReviewCode.TAX,
    )
    return computed


def _any_rate(stated: StatedDocument) -> bool:
    taxable: tuple[StatedLine | StatedAdjustment, ...]
    taxable = (*stated.lines, *stated.allowances, *stated.charges)
    return any(one.tax_category is not None or one.tax_rate is not None for one in taxable)


def _checked_breakdown(
    stated: StatedDocument, bases: Mapping[_TaxKey, int], check: _Comparison
) -> dict[_TaxKey, int]:
    """The stated breakdown: its bases must be the lines', its tax rate x base."""
    taxes: dict[_TaxKey, int] = {}
    for one in stated.taxes or ():
        key = _tax_key(one.category, one.rate, one.place)
        if key in taxes:
            raise Unclear(
                ReviewCode.TAX,
                f"{one.place} repeats {_named(key)}; each rate of a category appears once",
            )
        base = minor_units(one.base, check.exponent, f"the base of {one.place}")
        how = f"lines, allowances and charges of {_named(key)} give {{}}"
        check.same(base, bases.get(key, 0), f"the base of {one.place}", how, ReviewCode.TAX)
        tax = minor_units(one.tax, check.exponent, f"the tax of {one.place}")
        check.same(
            tax,
            rounded(base * key[1] / 100),
            f"the tax of {one.place}",
            f"{_named(key)} of its base gives {{}} (BR-CO-17)",
            ReviewCode.TAX,
        )
        taxes[key] = tax
    for key in bases:
        if key not in taxes:
            raise Unclear(
                ReviewCode.TAX,
                f"the breakdown of tax lacks {_named(key)}, which a line has; add it (BR-CO-18)",
            )
    return taxes


def _add(
    bases: dict[_TaxKey, int],
    parts: Sequence[StatedLine | StatedAdjustment],
    amounts: Sequence[int],
    sign: int,
) -> None:
    for part, amount in zip(parts, amounts, strict=True):
        key = _tax_key(part.tax_category, part.tax_rate, part.place)
        bases[key] += sign * amount


def _tax_key(category: str | None, rate: str | None, place: str) -> _TaxKey:
    """Category and rate in percent; without a category the rate says which it is."""
    name = (category or "").strip()
    if rate is None or not rate.strip():
        if name not in _UNTAXED:
            raise Unclear(
                ReviewCode.TAX,
                f"{place} says no rate of tax; state it in percent, 0 if there is none",
            )
        return name, Fraction(0)
    percent = Fraction(number(rate, f"the rate of tax of {place}"))
    if not 0 <= percent <= 100:
        raise Unclear(
            ReviewCode.TAX,
            f"the rate of tax of {place} is {shown(rate)}%; it must be from 0 to 100",
        )
    name = name or ("S" if percent else "Z")
    if name not in _TAXED | _UNTAXED:
        raise Unclear(
            ReviewCode.TAX,
            f"{place} has the category of tax '{shown(name)}'; it must be one of EN 16931: "
            f"{', '.join(sorted(_TAXED | _UNTAXED))}",
        )
    if (name in _UNTAXED and percent) or (name == "S" and not percent):
        raise Unclear(
            ReviewCode.TAX,
            f"{place} has the rate {shown(rate)}% in category {name}; S has a rate above 0, and "
            "Z, E, AE, K, G and O have none",
        )
    return name, percent


def _named(key: _TaxKey) -> str:
    """'S 19%': rates have few decimals, so a float prints them as they are."""
    return f"{key[0]} {float(key[1]):g}%"
