"""Rates every entry of a ledger again from the samples that were known when it was posted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease
from iot.rent.cards import RateCards
from iot.rent.entry import Content, RentEntry, content_after, month_of
from iot.rent.errors import RentRefused
from iot.rent.ledger import verify
from iot.rent.rating import rate
from iot.units import LeaseId


@dataclass(frozen=True)
class Difference:
    """An entry that a replay does not give again.

    Attributes:
        entry: as it stands in the ledger.
        replayed_minor: what it would be now; None where it can't be rated, or nothing is due.
        reason: one sentence.
    """

    entry: RentEntry
    replayed_minor: int | None
    reason: str


@dataclass(frozen=True)
class Replay:
    """What a replay found: how many entries it rated, and those that differ, in order."""

    entries: int
    differences: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        """Whether every entry came out the same, to the cent and to the last byte."""
        return not self.differences


def replay(
    ledger: Iterable[RentEntry],
    leases: Mapping[LeaseId, Lease],
    cards: RateCards,
    samples_of: Callable[[Lease], Sequence[Sample]],
) -> Replay:
    """Verify a ledger and rate each entry again.

    Args:
        ledger: all entries, in order.
        samples_of: the samples of a lease's device, in any order; called once per entry.

    Raises:
        LedgerBroken: the chain itself does not hold.
    """
    kept = list(ledger)
    verify(kept)
    before: dict[tuple[LeaseId, str], list[Content]] = {}
    differences = []
    for entry in kept:
        content = entry.content
        posted = before.setdefault((content.lease, content.month), [])
        difference = _compare(entry, posted, leases, cards, samples_of)
        if difference is not None:
            differences.append(difference)
        posted.append(content)
    return Replay(len(kept), tuple(differences))


def _compare(
    entry: RentEntry,
    posted: Sequence[Content],
    leases: Mapping[LeaseId, Lease],
    cards: RateCards,
    samples_of: Callable[[Lease], Sequence[Sample]],
) -> Difference | None:
    content = entry.content
    lease = leases.get(content.lease)
    if lease is None:
        return Difference(entry, None, f"Lease '{content.lease}' is not listed any more.")
    try:
        rating = rate(lease, cards, samples_of(lease), month_of(content), content.known_at)
        again = content_after(posted, rating)
    except RentRefused as error:
        return Difference(entry, None, str(error))
    if again is None:
        return Difference(entry, None, "The samples give no change here, but one was posted.")
    unlike = [
        field.name
        for field in fields(Content)
        if getattr(again, field.name) != getattr(content, field.name)
    ]
    if not unlike:
        return None
    return Difference(entry, again.amount_minor, f"Other than posted: {', '.join(unlike)}.")
