"""A lessee's statement of one lease and month, as one HTML page that opens without a network.

It is made of the ledger's entries alone, so that it says what was billed, not what would be now.
It holds no position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from federation.report.markup import Html, element, place, row, table
from federation.report.stylesheet import STYLESHEET
from iot.fleet.fleet import Lease
from iot.rent.breakdown import Breakdown, read_breakdown
from iot.rent.day_bars import ESTIMATED, FREE, MEASURED, day_bars
from iot.rent.entry import Kind, RentEntry, month_of
from iot.rent.errors import RentRefused
from iot.rent.money import MINOR_DIGITS, money_text
from iot.rent.pricing import Limit
from iot.units import Millis

_STYLE = f"""
header, main, footer {{ max-width: 54rem; }}
section {{ padding: 1.4rem 0 .8rem; }}
.wide table {{ min-width: 38rem; }}
.due {{ font-size: 1.15rem; margin: .8rem 0 0; }}
.due strong {{ font-size: 1.6rem; display: block; line-height: 1.3; color: var(--ink); }}
.facts {{ margin: 1rem 0 0; }}
.proof code {{ overflow-wrap: anywhere; }}
.legend .estimate {{ background: repeating-linear-gradient(45deg, {ESTIMATED} 0 2px,
  #f6e3d3 2px 4px); }}
.legend .measured {{ background: {MEASURED}; }}
.legend .free {{ background: {FREE}; }}
.grand th, .grand td {{ background: var(--wash); font-weight: 650; }}
@media print {{ .wide table {{ min-width: 0; }} }}
"""

_KINDS = {
    Kind.CHARGE: "Rent of the month",
    Kind.PROVISIONAL: "Rent of the month, some hours estimated",
    Kind.ADJUSTMENT: "Adjustment after more data came",
}


def statement_html(lease: Lease, entries: Sequence[RentEntry]) -> str:
    """The statement as one HTML document: no script, font, picture or link from elsewhere.

    Args:
        entries: all of the lease and one month, in order.

    Raises:
        RentRefused: there are none, or some are of another lease or month.
        LedgerBroken: an entry's breakdown can't be read.
    """
    if not entries:
        raise RentRefused(f"Lease '{lease.id}' has no rent posted for that month: post it first.")
    months = {entry.content.month for entry in entries}
    if {entry.content.lease for entry in entries} != {lease.id} or len(months) != 1:
        raise RentRefused(
            f"A statement is of one lease and month; these entries are not all of '{lease.id}'."
        )
    last = entries[-1]
    month = read_breakdown(last)
    title = f"Rent for {month_of(last.content).first_day:%B %Y}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Beside escaping: this page may load and run nothing.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", f"{title}, lease {lease.id}"),
        element("style", Html(STYLESHEET + _STYLE)),
    )
    main = element(
        "main", _days_section(month), _price_section(last, month), _entries_section(lease, entries)
    )
    body = element("body", _masthead(lease, title, entries, month), main, _foot(last))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _masthead(lease: Lease, title: str, entries: Sequence[RentEntry], month: Breakdown) -> Html:
    last = entries[-1].content
    due = sum(entry.content.amount_minor for entry in entries)
    estimated = sum(day.provisional for day in month.days if not day.free)
    worked = sum(1 for day in month.days if day.measured)
    facts = (
        ("hours charged", _hours(month.hours)),
        ("of them estimated", _hours(Decimal(estimated).scaleb(-3))),
        ("days with work", f"{worked} of {len(month.days)}"),
    )
    return element(
        "header",
        element("h1", title),
        element(
            "p",
            f"Lease {lease.id} · machine {lease.device} · lessee {lease.lessee} · "
            f"rate card {last.card}, version {last.card_version}",
        ),
        element("p", element("strong", money_text(due, last.currency)), "total rent", class_="due"),
        element(
            "dl",
            *(element("div", element("dt", name), element("dd", text)) for name, text in facts),
            class_="facts",
        ),
    )


def _days_section(month: Breakdown) -> Html:
    estimated = sum(1 for day in month.days if day.provisional)
    free = sum(1 for day in month.days if day.free)
    keys = [element("span", element("i", class_="measured"), "measured by the hour meter")]
    sentences = [
        "An hour of work is an hour that the engine ran and the machine did not idle, "
        "as its own hour meter counts it."
    ]
    if free:
        keys.append(element("span", element("i", class_="free"), "free of charge"))
        sentences.append(f"Hours of {_days(free)} are free of charge.")
    if estimated:
        keys.append(element("span", element("i", class_="estimate"), "estimated"))
        sentences.append(
            f"The machine sent no data for all or part of {_days(estimated)}. Those hours are "
            "estimated from its usual day, and corrected once the data comes."
        )
    return element(
        "section",
        element("h2", "Hours by day"),
        element("p", " ".join(sentences)),
        element("p", *keys, class_="legend"),
        element("figure", day_bars(month.days)),
    )


def _price_section(last: RentEntry, month: Breakdown) -> Html:
    currency = last.content.currency
    tiers = month.tiers
    hour_digits = _digits((tier.hours for tier in tiers), least=1)
    amounts = [tier.amount for tier in tiers] + [month.fixed]
    digits = _digits(amounts, least=MINOR_DIGITS[currency])
    price_digits = _digits((tier.unit_price for tier in tiers), least=MINOR_DIGITS[currency])
    rows = [
        row(
            (
                _band(tier.from_hours, tier.to_hours),
                f"{tier.hours:,.{hour_digits}f} h",
                _share(tier.multiplier),
                f"{tier.unit_price:,.{price_digits}f}",
                f"{tier.amount:,.{digits}f}",
            ),
            numeric=(1, 2, 3, 4),
        )
        for tier in tiers
    ]
    rows.append(_line("Fixed part of the month", f"{month.fixed:,.{digits}f}"))
    if month.limit is not Limit.NONE:
        rows.append(_line("Together", f"{month.before_limits:,.{digits}f}"))
    total = money_text(month.amount_minor, currency)
    rows.append(_line(_limit_words(month, currency), total, class_="grand"))
    return element(
        "section",
        element("h2", "How the rent came about"),
        element(
            "p",
            f"An hour costs {_price(month.hourly, currency)} at price level 100 %, and less the "
            "more hours the machine works in the month. Each price holds for the hours inside its "
            "band only. Only the sum is rounded, to the nearest unit; an exact half goes to the "
            "even one.",
        ),
        table(
            ("Hours of the month", "Hours", "Price level", "Price an hour", f"Amount, {currency}"),
            rows,
            numeric=(1, 2, 3, 4),
        ),
    )


def _limit_words(month: Breakdown, currency: str) -> str:
    if month.limit is Limit.FLOOR:
        return f"Rent, at least {_price(month.floor, currency)}"
    if month.limit is Limit.CAP and month.cap is not None:
        return f"Rent, at most {_price(month.cap, currency)}"
    return "Rent of the month"


def _line(words: str, amount: str, class_: str = "") -> Html:
    return row((words, "", "", "", amount), numeric=(1, 2, 3, 4), class_=class_)


def _entries_section(lease: Lease, entries: Sequence[RentEntry]) -> Html:
    currency = entries[-1].content.currency
    hours = [Decimal(entry.content.millihours).scaleb(-3) for entry in entries]
    digits = _digits(hours, least=1)
    rows = [
        row(
            (
                str(entry.number),
                _moment(entry.content.known_at, lease.utc_offset_minutes),
                _KINDS[entry.content.kind],
                _signed(entry, f"{each:,.{digits}f} h"),
                _signed(entry, money_text(entry.content.amount_minor, currency)),
            ),
            numeric=(3, 4),
        )
        for entry, each in zip(entries, hours, strict=True)
    ]
    total = money_text(sum(entry.content.amount_minor for entry in entries), currency)
    figures = (f"{sum(hours, Decimal(0)):,.{digits}f} h", total)
    rows.append(row(("Total", "", "", *figures), numeric=(3, 4), class_="grand"))
    return element(
        "section",
        element("h2", "What was booked"),
        element(
            "p",
            "Nothing that was booked is ever changed. Where data comes late, the difference is "
            "booked as an adjustment.",
        ),
        table(("Entry", "Data up to", "What", "Hours", "Amount"), rows, numeric=(3, 4)),
    )


def _foot(last: RentEntry) -> Html:
    return element(
        "footer",
        element(
            "p",
            place(
                f"Keep this seal of ledger entry {last.number}: with it, any later change of this "
                "entry, or of one before it, can be shown. ",
                element("code", last.digest),
            ),
            class_="proof",
        ),
    )


def _price(amount: Decimal, currency: str) -> str:
    return f"{currency} {amount:,.{_digits([amount], least=MINOR_DIGITS[currency])}f}"


def _digits(amounts: Iterable[Decimal], least: int) -> int:
    """As many decimals as show all the amounts exactly, so that a column adds up as printed."""
    exponents = (int(amount.normalize().as_tuple().exponent) for amount in amounts)
    return max(least, -min(exponents, default=0))


def _hours(hours: Decimal) -> str:
    return f"{hours:,.{_digits([hours], least=1)}f} h"


def _signed(entry: RentEntry, text: str) -> str:
    """A figure of an entry, with the sign that an adjustment needs."""
    if text.startswith("-") or " -" in text:
        return text.replace("-", "\N{MINUS SIGN}")
    return f"+{text}" if entry.content.kind is Kind.ADJUSTMENT else text


def _band(from_hours: Decimal, to_hours: Decimal | None) -> str:
    low = f"{from_hours.normalize():f}"
    return f"from {low}" if to_hours is None else f"{low} to {to_hours.normalize():f}"


def _share(multiplier: Decimal) -> str:
    return f"{(multiplier * 100).normalize():f} %"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _moment(at: Millis, utc_offset_minutes: int) -> str:
    local = datetime.fromtimestamp(at // 1_000, UTC) + timedelta(minutes=utc_offset_minutes)
    return f"{local:%Y-%m-%d %H:%M}"
