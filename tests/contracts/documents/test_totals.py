"""Amounts: they add up to the last minor unit, in every currency, or go to review."""

from __future__ import annotations

import copy
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.documents import ReviewCode
from contracts.documents.amounts import LARGEST_MINOR, money, rounded
from tests.contracts.documents.samples import (
    cii,
    only_draft,
    only_review,
    plain,
    read,
    simple,
    terms,
    ubl,
)

in_a_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(
    ("term", "amount", "code", "rule"),
    [
        ("BT_106", "1340.02", ReviewCode.TOTALS, "BR-CO-10"),
        ("BT_107", "50.01", ReviewCode.TOTALS, "BR-CO-11"),
        ("BT_108", "19.99", ReviewCode.TOTALS, "BR-CO-12"),
        ("BT_109", "1310.00", ReviewCode.TOTALS, "BR-CO-13"),
        ("BT_110", "220.11", ReviewCode.TAX, "BR-CO-14"),
        ("BT_112", "1530.12", ReviewCode.TOTALS, "BR-CO-15"),
        ("BT_113", "100.01", ReviewCode.TOTALS, "BR-CO-16"),
        ("BT_115", "1430.10", ReviewCode.TOTALS, "BR-CO-16"),
        ("BT_114", "0.01", ReviewCode.TOTALS, "BR-CO-16"),
    ],
)
@pytest.mark.parametrize("syntax", [ubl, cii])
def test_a_total_wrong_by_a_cent(
    tmp_path: Path, syntax: Any, term: str, amount: str, code: ReviewCode, rule: str
) -> None:
    """Each rule of EN 16931 is checked to the cent, and the sentence names it and both amounts."""
    item = only_review(read(tmp_path, syntax(**{term: amount})))
    assert item.code is code
    assert rule in item.reason
    assert amount in item.reason or term == "BT_113" or term == "BT_114"


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_tax_of_a_rate_wrong_by_a_cent(tmp_path: Path, syntax: Any) -> None:
    """19% of 1070.01 is 203.30: 203.31 goes to review though all totals agree with it."""
    breakdown = terms()["BG-23"]
    breakdown[0]["BT-117"] = "203.31"
    wrong = {"BG_23": breakdown, "BT_110": "220.11", "BT_112": "1530.12", "BT_115": "1430.12"}
    item = only_review(read(tmp_path, syntax(**wrong)))
    assert item.code is ReviewCode.TAX
    assert "203.31" in item.reason
    assert "203.30" in item.reason
    assert "BR-CO-17" in item.reason


def test_a_base_that_is_not_its_lines(tmp_path: Path) -> None:
    """A base moved between rates goes to review."""
    breakdown = terms()["BG-23"]
    breakdown[0] |= {"BT-116": "1060.01", "BT-117": "201.40"}
    item = only_review(read(tmp_path, ubl(BG_23=breakdown)))
    assert item.code is ReviewCode.TAX
    assert "1070.01" in item.reason


def test_a_breakdown_that_lacks_a_rate_or_repeats_one(tmp_path: Path) -> None:
    """Each rate appears exactly once."""
    breakdown = terms()["BG-23"]
    assert "lacks S 7%" in only_review(read(tmp_path, ubl(BG_23=breakdown[:1]))).reason
    repeated = [*breakdown, breakdown[1]]
    assert "repeats S 7%" in only_review(read(tmp_path, ubl(BG_23=repeated))).reason


def test_a_line_that_is_not_quantity_times_price(tmp_path: Path) -> None:
    """The sentence names the line."""
    lines = terms()["BG-25"]
    lines[2]["BT-129"] = "401"
    item = only_review(read(tmp_path, cii(BG_25=lines)))
    assert item.code is ReviewCode.TOTALS
    assert "line 3" in item.reason
    assert "240.63" in item.reason


@pytest.mark.parametrize(
    "change", [{"price_quantity": 0}, {"price_quantity": -1}, {"price": -1, "quantity": -100}]
)
def test_prices_that_are_none(tmp_path: Path, change: dict[str, int]) -> None:
    """Returns have a negative quantity; a price is positive, and for some quantity."""
    document = simple("100", "19", "119")
    document["lines"][0] |= {"quantity": 100, "price": 1, **change}
    item = only_review(read(tmp_path, document))
    assert item.code is ReviewCode.AMOUNT
    assert "line 1" in item.reason


def test_a_returned_line(tmp_path: Path) -> None:
    """A negative quantity lowers the total."""
    document = simple("90", "17.10", "107.10")
    document["lines"] = [
        {"net": "100", "quantity": 10, "price": 10, "tax_rate": 19},
        {"net": "-10", "quantity": -1, "price": 10, "tax_rate": 19},
    ]
    assert only_draft(read(tmp_path, document)).net == 9000


def test_tax_that_nobody_totals(tmp_path: Path) -> None:
    """With a rate above 0 the total of tax must be stated."""
    document = simple("100", "19", "119")
    del document["totals"]["tax"]
    item = only_review(read(tmp_path, document))
    assert item.code is ReviewCode.TAX
    assert "is missing" in item.reason


def test_what_is_prepaid_and_rounded(tmp_path: Path) -> None:
    """The face is what is left to pay: gross less prepaid plus rounding."""
    draft = only_draft(read(tmp_path, ubl(BT_113="1000.11", BT_114="0.04", BT_115="530.04")))
    assert (draft.face, draft.net, draft.tax) == (53004, 131001, 22010)
    item = only_review(read(tmp_path, ubl(BT_114="-1.01", BT_115="1429.10")))
    assert item.code is ReviewCode.AMOUNT
    assert "-1.01" in item.reason


@pytest.mark.parametrize(
    ("net", "tax", "gross", "words"),
    [
        ("0", "0", "0", "total without tax is 0.00"),
        ("-100.00", "-19.00", "-119.00", "total without tax is -100.00"),
        ("100.001", "19.00", "119.001", "finer than"),
        ("1e2", "19", "119", "plain number"),
        ("1,000.00", "190.00", "1190.00", "plain number"),
        ("NaN", "0", "0", "plain number"),
        ("٣", "0", "0", "plain number"),
        (f"{10**29}", "0", f"{10**29}", "2^96"),
        (f"-{10**29}", "0", f"-{10**29}", "2^96"),
        ("9" * 31, "0", "9" * 31, "plain number"),
        ("", "0", "0", "is missing"),
    ],
)
def test_amounts_that_are_none(tmp_path: Path, net: str, tax: str, gross: str, words: str) -> None:
    """Zero, negative, too fine, too large, or no number at all."""
    item = only_review(read(tmp_path, simple(net, tax, gross)))
    assert item.code in (ReviewCode.AMOUNT, ReviewCode.FIELD)
    assert words in item.reason


def test_all_prepaid_leaves_no_receivable(tmp_path: Path) -> None:
    """An invoice of which nothing is left to pay is none to finance."""
    item = only_review(read(tmp_path, ubl(BT_113="1530.11", BT_115="0.00")))
    assert item.code is ReviewCode.AMOUNT
    assert "payable amount is 0.00" in item.reason


def test_the_largest_amount(tmp_path: Path) -> None:
    """2^96 - 1 minor units are a receivable, exactly; one more is not."""
    text = money(LARGEST_MINOR, 2)
    draft = only_draft(read(tmp_path, simple(text, "0", text, rate="0")))
    assert draft.face == 2**96 - 1
    more = money(LARGEST_MINOR + 1, 2)
    assert "2^96" in only_review(read(tmp_path, simple(more, "0", more, rate="0"))).reason


@pytest.mark.parametrize(
    ("currency", "net", "tax", "gross", "face"),
    [
        ("JPY", "1005", "101", "1106", 1106),  # 100.5 yen of tax, half up
        ("JPY", "1005.00", "101.0", "1106", 1106),
        ("KWD", "1.005", "0.101", "1.106", 1106),
        ("EUR", "1.05", "0.11", "1.16", 116),
        ("UYW", "1.0005", "0.1001", "1.1006", 11006),
    ],
)
def test_currencies_with_other_decimals(
    tmp_path: Path, currency: str, net: str, tax: str, gross: str, face: int
) -> None:
    """Tax is rounded to the currency's own minor unit, half up."""
    document = simple(net, tax, gross, rate="10", currency=currency)
    assert only_draft(read(tmp_path, document)).face == face


@pytest.mark.parametrize(("currency", "net"), [("JPY", "100.50"), ("KWD", "1.0005")])
def test_amounts_finer_than_the_currency(tmp_path: Path, currency: str, net: str) -> None:
    """Nothing is rounded in silence."""
    item = only_review(read(tmp_path, simple(net, "0", net, rate="0", currency=currency)))
    assert item.code is ReviewCode.AMOUNT
    assert "finer" in item.reason


@pytest.mark.parametrize("currency", ["DEM", "eur", "XXX", "XAU", "€", "EURO"])
def test_currencies_that_are_none(tmp_path: Path, currency: str) -> None:
    """Neither old ones, nor gold, nor small letters."""
    item = only_review(read(tmp_path, simple("1", "0", "1", rate="0", currency=currency)))
    assert item.code is ReviewCode.CURRENCY


@pytest.mark.parametrize(
    ("category", "rate", "words"),
    [
        ("Z", "19", "category Z"),
        ("S", "0", "category S"),
        ("Q", "0", "'Q'"),
        ("S", None, "no rate"),
        (None, None, "no rate"),
        ("S", "101", "from 0 to 100"),
        ("S", "-1", "from 0 to 100"),
    ],
)
def test_rates_that_do_not_fit_their_category(
    tmp_path: Path, category: str | None, rate: str | None, words: str
) -> None:
    """Untaxed categories have no rate, and S has one."""
    document = simple("100", "19", "119")
    document["lines"] = [{"net": "100", "tax_category": category, "tax_rate": rate}]
    item = only_review(read(tmp_path, document))
    assert item.code is ReviewCode.TAX
    assert words in item.reason


@pytest.mark.parametrize("category", ["AE", "K", "G", "E", "Z", "O"])
def test_trade_without_tax(tmp_path: Path, category: str) -> None:
    """Reverse charge, export and exempt trade have no tax."""
    document = simple("100", "0", "100")
    document["lines"] = [{"net": "100", "tax_category": category}]
    assert only_draft(read(tmp_path, document)).tax == 0


def test_allowances_that_nobody_totals(tmp_path: Path) -> None:
    """An allowance counts though the document does not state the total of allowances."""
    document = plain()
    document["allowances"] = []
    item = only_review(read(tmp_path, document))
    assert item.code is ReviewCode.TOTALS
    assert "1360.01" in item.reason


@given(
    st.fractions(min_value=-(10**12), max_value=10**12, max_denominator=10**6),
)
def test_rounding_is_decimal_s_half_up(value: Fraction) -> None:
    """Our rounding is that of an independent implementation."""
    expected = (Decimal(value.numerator) / Decimal(value.denominator)).quantize(
        Decimal(1), ROUND_HALF_UP
    )
    assert rounded(value) == int(expected)


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, int, int]]:
    """A correct JSON invoice with its net, tax and payable in cents, computed by Decimal."""
    cent = Decimal("0.01")
    lines: list[dict[str, Any]] = []
    bases: dict[str, Decimal] = {}
    for _ in range(draw(st.integers(1, 5))):
        quantity = Decimal(draw(st.integers(1, 10**5))) / 1000
        price = Decimal(draw(st.integers(1, 10**7))) / 10000
        rate = draw(st.sampled_from(["0", "5.5", "7", "13", "19"]))
        net = (quantity * price).quantize(cent, ROUND_HALF_UP)
        lines.append(
            {"net": str(net), "quantity": str(quantity), "price": str(price), "tax_rate": rate}
        )
        bases[rate] = bases.get(rate, Decimal(0)) + net
    net = sum(bases.values(), Decimal(0))
    taxes = {
        rate: (base * Decimal(rate) / 100).quantize(cent, ROUND_HALF_UP)
        for rate, base in bases.items()
    }
    tax = sum(taxes.values(), Decimal(0))
    prepaid = (net * draw(st.integers(0, 99)) / 100).quantize(cent)
    payable = net + tax - prepaid
    document = plain(
        lines=lines,
        allowances=[],
        charges=[],
        taxes=[
            {"rate": rate, "base": str(bases[rate]), "tax": str(amount)}
            for rate, amount in taxes.items()
        ],
        totals={
            "lines": str(net),
            "net": str(net),
            "tax": str(tax),
            "gross": str(net + tax),
            "prepaid": str(prepaid),
            "payable": str(payable),
        },
    )
    return document, (int(net * 100), int(tax * 100), int(payable * 100))


@in_a_folder
@given(documents(), st.data())
def test_correct_invoices_pass_and_one_changed_cent_does_not(
    tmp_path: Path, made: tuple[dict[str, Any], tuple[int, int, int]], data: st.DataObject
) -> None:
    """Whatever adds up is a draft with the same cents; any single amount changed is not."""
    document, (net, tax, payable) = made
    batch = read(tmp_path, document)
    if net <= 0 or payable <= 0:
        assert only_review(batch).code is ReviewCode.AMOUNT
        return
    draft = only_draft(batch)
    assert (draft.net, draft.tax, draft.face) == (net, tax, payable)

    spoilt = copy.deepcopy(document)
    places = [(spoilt["totals"], key) for key in spoilt["totals"]]
    places += [(line, "net") for line in spoilt["lines"]]
    places += [(one, key) for one in spoilt["taxes"] for key in ("base", "tax")]
    place, key = data.draw(st.sampled_from(places))
    place[key] = str(Decimal(place[key]) + data.draw(st.sampled_from([1, -1])) * Decimal("0.01"))
    only_review(read(tmp_path, spoilt))
