"""Dates, tax ids, parties and the currencies of single amounts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.documents import ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.tax_ids import canonical_tax_id
from tests.contracts.documents.samples import (
    BUYER,
    CHINESE_SELLER,
    SELLER,
    TODAY,
    cii,
    only_draft,
    only_review,
    plain,
    read,
    ubl,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"due_date": None}, "no due date; state"),
        ({"due_date": None, "payment_terms": "30 days net"}, "in words ('30 days net')"),
        ({"due_date": "2026-02-01"}, "before the issue date"),
        ({"due_date": "2030-02-01"}, "more than 1098 days after"),
        ({"due_date": "2026-02-30"}, "no day of the calendar"),
        ({"due_date": "03.04.2026"}, "no day of the calendar"),
        ({"due_date": "20260403"}, "no day of the calendar"),
        ({"issue_date": None}, "issue date is missing"),
        ({"issue_date": "2026-03-03"}, "lies ahead of today"),
        ({"issue_date": "1926-02-02"}, "days back"),
        ({"shipment_date": "2026-03-03"}, "once its goods are delivered"),
        ({"shipment_date": "2024-01-30"}, "days from the issue date"),
    ],
)
def test_dates_that_are_unclear(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Missing, in words only, out of order, in the future, or absurd."""
    item = only_review(read(tmp_path, plain(**change)))
    assert item.code is ReviewCode.DATE
    assert words in item.reason


def test_dates_at_the_border(tmp_path: Path) -> None:
    """Due on the day of issue, delivered today, and tomorrow's date of the far east are fine."""
    only_draft(read(tmp_path, plain(due_date="2026-02-02")))
    only_draft(read(tmp_path, plain(shipment_date=TODAY.isoformat())))
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    only_draft(read(tmp_path, plain(issue_date=tomorrow, shipment_date=None)))


def test_an_overdue_invoice_is_clear(tmp_path: Path) -> None:
    """Whether it may still be financed is the contracts' matter."""
    draft = only_draft(read(tmp_path, plain(), today=date(2026, 6, 1)))
    assert draft.due_date == date(2026, 4, 3)


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_xml_with_terms_in_words_only(tmp_path: Path, syntax: Any) -> None:
    """BT-20 is no substitute for BT-9."""
    item = only_review(read(tmp_path, syntax(BT_9=None)))
    assert item.code is ReviewCode.DATE
    assert "'60 days net'" in item.reason


def test_a_date_with_a_time_zone_goes_to_review(tmp_path: Path) -> None:
    """It is valid XML, but which day it is depends on where one is."""
    xml = ubl().replace(b"DueDate>2026-04-03<", b"DueDate>2026-04-03Z<")
    item = only_review(read(tmp_path, xml))
    assert item.code is ReviewCode.FORMAT
    assert "time zone" in item.reason


def test_instalments_go_to_review(tmp_path: Path) -> None:
    """Two due dates in one invoice: which amount is due when is not said."""
    xml = cii().decode()
    start = xml.index("<ram:SpecifiedTradePaymentTerms>")
    end = xml.index("</ram:SpecifiedTradePaymentTerms>") + len("</ram:SpecifiedTradePaymentTerms>")
    second = xml[start:end].replace("20260403", "20260503")
    twice = (xml[:end] + second + xml[end:]).replace(
        "urn:cen.eu:en16931:2017", "urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended"
    )
    item = only_review(read(tmp_path, twice))
    assert item.code is ReviewCode.FIELD
    assert "BT-9" in item.reason


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("de 136.695.976", "DE136695976"),
        ("FR 83 404 833 048", "FR83404833048"),
        ("EL094259216", "EL094259216"),
        ("GR 094259216", "EL094259216"),
        ("GB 980 7806 84", "GB980780684"),
        ("XI980780684", "GB980780684"),
        ("CHE-107.787.577 MWST", "CHE107787577"),
        ("CHE-107.787.577 TVA", "CHE107787577"),
        ("CHE107787577", "CHE107787577"),
        ("NO 995 525 828 MVA", "NO995525828"),
        ("NO995525828", "NO995525828"),
        ("ATU13585627", "ATU13585627"),
        ("9111 0000 6000 3734 1L", CHINESE_SELLER),
        ("CN91110000600037341l", CHINESE_SELLER),
        ("ＤＥ１３６６９５９７６", "DE136695976"),
    ],
)
def test_tax_ids_have_one_spelling(text: str, canonical: str) -> None:
    """Two spellings of one id are one id, and the canonical form stays as it is."""
    assert canonical_tax_id(text, "seller") == canonical
    assert canonical_tax_id(canonical, "seller") == canonical


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "has no tax id"),
        (" - ", "has no tax id"),
        ("DE136695977", "check digit"),
        ("FR83404833049", "check digit"),
        ("91110000600037341M", "check digit"),
        ("CN91110000600037341M", "check digit"),
        ("91110000600037341O", "form of its country"),
        ("136695976", "country's prefix"),
        ("DE13669597", "form of its country"),
        ("ZZ136695976", "country's prefix"),
        ("DE136Я695976", "form of its country"),
        ("NO995525829", "check digit"),
        ("CHE107787578", "check digit"),
    ],
)
def test_tax_ids_that_are_none(text: str | None, words: str) -> None:
    """The sentence says whose and why."""
    with pytest.raises(Unclear, match=words) as caught:
        canonical_tax_id(text, "buyer")
    assert caught.value.code is ReviewCode.TAX_ID
    assert "buyer" in caught.value.reason


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_an_invoice_with_a_wrong_vat_id(tmp_path: Path, syntax: Any) -> None:
    """A wrong check digit of either party goes to review."""
    for party in (SELLER, BUYER):
        wrong = syntax().replace(party.encode(), party[:-1].encode() + b"5")
        assert only_review(read(tmp_path, wrong)).code is ReviewCode.TAX_ID


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_a_chinese_seller_in_european_xml(tmp_path: Path, syntax: Any) -> None:
    """Its credit code may stand as VAT id or as registration."""
    xml = syntax().replace(SELLER.encode(), CHINESE_SELLER.encode())
    assert only_draft(read(tmp_path, xml)).seller_tax_id == CHINESE_SELLER
    registered = syntax(
        BG_4={"name": "x", "country_code": "CN", "legal_identifier": CHINESE_SELLER}
    )
    assert only_draft(read(tmp_path, registered)).seller_tax_id == CHINESE_SELLER


def test_nobody_owes_themself(tmp_path: Path) -> None:
    """Seller and buyer with one id, however it is spelled, are one."""
    same = {"name": "B", "tax_id": "de 136 695 976"}
    assert only_review(read(tmp_path, plain(buyer=same))).code is ReviewCode.PARTIES


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_a_payee_who_is_not_the_seller(tmp_path: Path, syntax: Any) -> None:
    """An invoice that is paid to a factor is assigned already."""
    item = only_review(read(tmp_path, syntax(BG_10={"name": "Faktor AG"})))
    assert item.code is ReviewCode.PARTIES
    assert "Faktor AG" in item.reason


def test_one_amount_in_another_currency(tmp_path: Path) -> None:
    """The library would pass over it; the sentence names the element."""
    xml = ubl().replace(b'PayableAmount currencyID="EUR"', b'PayableAmount currencyID="USD"')
    item = only_review(read(tmp_path, xml))
    assert item.code is ReviewCode.CURRENCY
    assert "PayableAmount" in item.reason


def test_a_base_of_tax_in_another_currency(tmp_path: Path) -> None:
    """Only the total of tax may be in the second currency, and in no third one."""
    both = {"BT_6": "CHF", "BT_111": "210.00"}
    for name, currency in ((b"TaxableAmount", b"CHF"), (b"PayableAmount", b"CHF")):
        xml = ubl(**both).replace(
            name + b' currencyID="EUR"', name + b' currencyID="%s"' % currency
        )
        assert only_review(read(tmp_path, xml)).code is ReviewCode.CURRENCY
    third = ubl(**both).replace(b'currencyID="CHF"', b'currencyID="USD"')
    assert only_review(read(tmp_path, third)).code is ReviewCode.CURRENCY


def test_tax_in_the_currency_of_the_tax_office(tmp_path: Path) -> None:
    """Only the total of tax may be stated in a second currency (BT-6, BT-111)."""
    for syntax in (ubl, cii):
        draft = only_draft(read(tmp_path, syntax(BT_6="CHF", BT_111="210.00")))
        assert draft.tax == 22010


def test_control_characters_in_names(tmp_path: Path) -> None:
    """What could deceive a terminal or a reader is refused, and is not echoed."""
    item = only_review(read(tmp_path, plain(seller={"name": "\x1b[2Jx", "tax_id": SELLER})))
    assert item.code is ReviewCode.FIELD
    assert item.reason.isprintable()
