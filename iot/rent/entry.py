"""One row of the rent ledger, and the rule that says which row follows from a rating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from federation.record_chain import Entry, Head, canonical_json
from iot.rent.errors import RentRefused
from iot.rent.month import Month
from iot.rent.pricing import hours_of
from iot.rent.rating import Rating
from iot.units import LeaseId, Millis, RateCardId


class Kind(StrEnum):
    """What an entry is."""

    CHARGE = "charge"
    """A month whose hours were all measured."""
    PROVISIONAL = "provisional"
    """A month some of whose hours are estimates."""
    ADJUSTMENT = "adjustment"
    """What a month's rent changed by since its last entry."""


@dataclass(frozen=True)
class Content:
    """What an entry says, beside its place in the chain.

    Attributes:
        month: such as '2026-03'.
        millihours, amount_minor: of the month; of an adjustment, the difference to all before.
        card_digest: of the terms; a card that was edited after it was billed shows.
        input_hash: of all that the rent follows from.
        known_at: samples received up to this moment are in it.
        breakdown: canonical JSON of the whole month as rated: days, tiers, limits.
    """

    lease: LeaseId
    month: str
    kind: Kind
    millihours: int
    amount_minor: int
    currency: str
    card: RateCardId
    card_version: int
    card_digest: str
    input_hash: str
    known_at: Millis
    breakdown: str


@dataclass(frozen=True)
class RentEntry:
    """One row: its content, its number, the digest of the row before, its own digest."""

    number: int
    content: Content
    previous: str
    digest: str

    @property
    def place(self) -> str:
        """How errors and statements call it."""
        content = self.content
        return f"entry {self.number} (lease '{content.lease}', {content.month}, {content.kind})"

    def is_whole(self) -> bool:
        """Whether the digest is that of the row as it stands."""
        return chained(self.number, self.previous, self.content).digest == self.digest


def chained(number: int, previous: str, content: Content) -> Entry:
    """The link of the record chain that a content makes at a place."""
    body: dict[str, Any] = asdict(content)
    return Entry(number, previous, body | {"kind": content.kind.value})


def entry_after(head: Head, content: Content) -> RentEntry:
    """A content as the next row after a chain's head."""
    entry = chained(head.length, head.digest, content)
    return RentEntry(entry.index, content, entry.previous, entry.digest)


def content_after(posted: Sequence[Content], rating: Rating) -> Content | None:
    """What to post for a rating; None where the last entry of the month says it already.

    Args:
        posted: the contents of the same lease and month, in order.

    Raises:
        RentRefused: the month is not over; the rating knows less than the last entry; its card
            was edited after it was billed; or the currency changed.
    """
    lease, month, card = rating.lease.id, rating.month, rating.card
    where = f"Lease '{lease}', {month}"
    if not rating.is_over:
        raise RentRefused(f"{where} is not over: it can be rated now, and posted once it ended.")
    input_hash = rating.input_hash
    kind = Kind.PROVISIONAL if rating.use.provisional else Kind.CHARGE
    if posted:
        last = posted[-1]
        if last.input_hash == input_hash:
            return None
        if rating.known_at < last.known_at:
            raise RentRefused(
                f"{where}: the rating is of an earlier moment than the last entry; rate it anew."
            )
        same_version = (last.card, last.card_version) == (card.id, card.version)
        if same_version and last.card_digest != card.digest:
            raise RentRefused(
                f"{where}: rate card '{card.id}' version {card.version} was edited after it was "
                "billed; restore it, and write the new terms as a new version."
            )
        if last.currency != card.currency:
            raise RentRefused(
                f"{where} was billed in {last.currency}; it can't be adjusted in {card.currency}."
            )
        kind = Kind.ADJUSTMENT
    return Content(
        lease,
        str(month),
        kind,
        rating.use.billable - sum(one.millihours for one in posted),
        rating.price.amount_minor - sum(one.amount_minor for one in posted),
        card.currency,
        card.id,
        card.version,
        card.digest,
        input_hash,
        rating.known_at,
        _breakdown(rating),
    )


def _breakdown(rating: Rating) -> str:
    price, card = rating.price, rating.card
    content = {
        "days": [
            [str(day.day), day.measured, day.provisional, int(day.free)] for day in rating.use.days
        ],
        "fixed": str(card.fixed),
        "hourly": str(card.hourly),
        "floor": str(card.floor),
        "cap": None if card.cap is None else str(card.cap),
        "tiers": [
            {
                "from": str(tier.from_hours),
                "to": None if tier.to_hours is None else str(tier.to_hours),
                "multiplier": str(tier.multiplier),
                "hours": str(tier.hours),
                "unit_price": f"{tier.unit_price:f}",
                "amount": f"{tier.amount:f}",
            }
            for tier in price.tiers
        ],
        "before_limits": f"{price.before_limits:f}",
        "limit": price.limit.value,
        "hours": str(hours_of(rating.use.billable)),
        "amount_minor": price.amount_minor,
    }
    return canonical_json(content)


def month_of(content: Content) -> Month:
    """The month of an entry."""
    return Month.parse(content.month)
