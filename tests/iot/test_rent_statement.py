"""Statements: what was billed in plain words, escaped, and nothing loaded from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from federation.record_chain import Head
from iot.fleet.fleet import Lease
from iot.rent.cards import RateCard
from iot.rent.entry import RentEntry, content_after, entry_after
from iot.rent.errors import LedgerBroken, RentRefused
from iot.rent.month import Month
from iot.rent.rating import rate
from iot.rent.statement import statement_html
from iot.units import DAY, DeviceId, LesseeId, Millis
from tests.iot.leased_machine import card, cards, lease, moment, worked

# The machine is silent from the 22nd until long after the month's end.
SILENT_FROM, SILENT_TO = moment(2026, 1, 22), moment(2026, 2, 3)
TRUTH = worked(5, 60)
AT_END = [
    one for one in TRUTH if not SILENT_FROM <= one.at < SILENT_TO and one.at < moment(2026, 2, 1)
]


def billed(terms: RateCard | None = None, leased: Lease | None = None) -> list[RentEntry]:
    """January, posted at its end, and adjusted when the missing data had come."""
    leased = leased or lease()
    head = Head()
    posted: list[RentEntry] = []
    for samples, known_at in ((AT_END, moment(2026, 2, 1)), (TRUTH, moment(2026, 3, 1))):
        rating = rate(leased, cards(terms or card()), samples, Month(2026, 1), known_at)
        content = content_after([one.content for one in posted], rating)
        if content is not None:
            posted.append(entry_after(head, content))
            head = Head(head.length + 1, posted[-1].digest)
    return posted


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


def test_a_statement_says_what_is_due_and_how_it_came_about() -> None:
    entries = billed(card(floor="0"))
    assert len(entries) == 2
    page = statement_html(lease(), entries)
    said = text_of(page)
    due = sum(entry.content.amount_minor for entry in entries)
    assert f"EUR {due / 100:,.2f} total rent" in said
    assert "Rent for January 2026" in said
    assert "0 to 80 80.0 h 100 % 38.50 3,080.00" in said
    assert "Fixed part of the month 250.00" in said
    assert "Adjustment after more data came" in said
    assert "114.483 h EUR 4,524.84" in said
    assert "−11.283 h EUR −390.96" in said
    assert entries[1].digest in said
    assert "estimated" not in said.split("What was booked")[0].replace("of them estimated", "")


def test_estimated_days_are_shown_as_such() -> None:
    page = statement_html(lease(), billed()[:1])
    said = text_of(page)
    assert "sent no data for all or part of 11 days" in said
    assert page.count('fill="url(#estimate)"') == 11
    assert "some hours estimated" in said


def test_floor_cap_and_free_days_are_in_words() -> None:
    assert "Rent, at least EUR 9,000.00" in text_of(
        statement_html(lease(), billed(card(floor="9000", cap=None)))
    )
    assert "Rent, at most EUR 500.00" in text_of(statement_html(lease(), billed(card(cap="500"))))
    free = statement_html(lease(), billed(card(free_days=3)))
    assert "Hours of 3 days are free of charge." in text_of(free)


def test_one_bar_a_day_within_the_drawing() -> None:
    page = statement_html(lease(), billed())
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    groups = svg.findall("g")
    assert len(groups) == 31
    assert groups[4].findtext("title", "").startswith("05 January: ")
    for bar in svg.findall("g/rect"):
        top, height = float(bar.attrib["y"]), float(bar.attrib["height"])
        assert 12 <= top <= top + height <= 184.05


def test_names_are_escaped_and_nothing_is_loaded() -> None:
    nasty = replace(
        lease(), lessee=LesseeId('<script>alert("x")</script>'), device=DeviceId("digger-1")
    )
    page = statement_html(nasty, billed())
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)" in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert not re.search(r"(src|href)=|@import|url\(\s*['\"]?(http|//|data)", page)
    assert page == statement_html(nasty, billed())


def test_currencies_without_minor_digits_have_no_decimals() -> None:
    yen = card(currency="JPY", hourly="5000", cap=None)
    said = text_of(statement_html(lease(), billed(yen)))
    assert "JPY 5,000 at price level" in said
    assert re.search(r"JPY [0-9,]+ total rent", said)


def test_other_leases_months_and_broken_breakdowns_are_refused() -> None:
    entries = billed()
    with pytest.raises(RentRefused, match="no rent posted"):
        statement_html(lease(), [])
    other = replace(entries[1].content, month="2026-02")
    mixed = [entries[0], replace(entries[1], content=other)]
    with pytest.raises(RentRefused, match="one lease and month"):
        statement_html(lease(), mixed)
    broken = replace(entries[1].content, breakdown='{"days": 7}')
    with pytest.raises(LedgerBroken, match="entry 1 .* breakdown can't be read"):
        statement_html(lease(), [entries[0], replace(entries[1], content=broken)])


def test_a_lease_of_a_few_days_has_a_statement() -> None:
    short = lease(moment(2026, 1, 30), Millis(moment(2026, 1, 30) + DAY))
    page = statement_html(short, billed(leased=short))
    assert "of 1" in text_of(page)
