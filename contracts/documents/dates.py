"""Dates: in order, stated, and not absurd."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from contracts.documents.amounts import shown
from contracts.documents.draft import DocumentKind, ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.limits import Limits
from contracts.documents.stated import StatedDocument

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Somewhere it is tomorrow already.
_EAST = timedelta(days=1)


@dataclass(frozen=True)
class DocumentDates:
    """The checked dates of a document."""

    issue: date
    due: date | None
    shipment: date | None


def checked_dates(stated: StatedDocument, today: date, limits: Limits) -> DocumentDates:
    """Read and check a document's dates.

    An invoice needs a due date: terms in words alone ('30 days net') are not interpreted, since
    from which day they count is a matter of contract. An invoice whose due date has passed is
    clear, and stays a draft; whether it may still be financed is the contracts' matter.

    Raises:
        Unclear: a date is missing or no date, is out of order, or lies absurdly far away.
    """
    issue = _day(stated.issue_date, "the issue date")
    if issue is None:
        raise Unclear(ReviewCode.DATE, "the issue date is missing; state it as YYYY-MM-DD")
    if issue > today + _EAST:
        raise Unclear(
            ReviewCode.DATE, f"the issue date {issue} lies ahead of today, {today}; correct it"
        )
    if issue < today - timedelta(days=limits.age_days):
        raise Unclear(
            ReviewCode.DATE,
            f"the issue date {issue} lies more than {limits.age_days} days back; correct it",
        )
    due = _due_date(stated, issue, limits)
    return DocumentDates(issue, due, _shipment_date(stated, issue, today, limits))


def _due_date(stated: StatedDocument, issue: date, limits: Limits) -> date | None:
    due = _day(stated.due_date, "the due date")
    if due is None:
        if stated.kind is DocumentKind.ORDER:
            return None
        hint = ""
        if stated.payment_terms and stated.payment_terms.strip():
            hint = f", only payment terms in words ('{shown(stated.payment_terms, 60)}')"
        raise Unclear(
            ReviewCode.DATE, f"there is no due date{hint}; state the day by which it is to be paid"
        )
    if due < issue:
        raise Unclear(
            ReviewCode.DATE,
            f"the due date {due} lies before the issue date {issue}; it must not",
        )
    if due > issue + timedelta(days=limits.term_days):
        raise Unclear(
            ReviewCode.DATE,
            f"the due date {due} lies more than {limits.term_days} days after the issue date "
            f"{issue}; correct it",
        )
    return due


def _shipment_date(stated: StatedDocument, issue: date, today: date, limits: Limits) -> date | None:
    shipment = _day(stated.shipment_date, "the delivery date")
    if shipment is None:
        return None
    if stated.kind is DocumentKind.ORDER:
        if shipment < issue or shipment > issue + timedelta(days=limits.term_days):
            raise Unclear(
                ReviewCode.DATE,
                f"delivery is asked for by {shipment}, but the order is of {issue}; the day must "
                f"lie within {limits.term_days} days after it",
            )
        return shipment
    if shipment > today + _EAST:
        raise Unclear(
            ReviewCode.DATE,
            f"the delivery date {shipment} lies ahead of today, {today}; an invoice becomes a "
            "receivable once its goods are delivered",
        )
    if abs((shipment - issue).days) > limits.delivery_days:
        raise Unclear(
            ReviewCode.DATE,
            f"the delivery date {shipment} lies more than {limits.delivery_days} days from the "
            f"issue date {issue}; correct one of them",
        )
    return shipment


def _day(text: str | None, what: str) -> date | None:
    if text is None or not text.strip():
        return None
    if _ISO.fullmatch(text.strip()):
        try:
            return date.fromisoformat(text.strip())
        except ValueError:
            pass
    raise Unclear(
        ReviewCode.DATE, f"{what} is '{shown(text)}', no day of the calendar; write YYYY-MM-DD"
    )
