"""The rent ledger in a database: append-only, each row chained to the one before.

A chain shows every change of a row, and every row dropped or inserted before its end. That its last
rows are still there shows only against a head (length and digest) that was kept elsewhere, such as
on a lessee's statement: hand it to `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.record_chain import Head
from iot.rent.entry import Content, Kind, RentEntry, content_after, entry_after
from iot.rent.errors import LedgerBroken
from iot.rent.month import Month
from iot.rent.rating import Rating
from iot.rent.tables import rent_entries
from iot.units import LeaseId, Millis, RateCardId


def post(connection: Connection, rating: Rating) -> RentEntry | None:
    """Write what a rating changes, in the caller's transaction.

    A month's first posting is a charge, or provisional; every later one an adjustment by the
    difference. Posting the same again writes nothing. Of two writers at once one fails on the row's
    number: its transaction is undone, and may be tried again.

    Returns:
        the new entry; None where nothing changed.

    Raises:
        RentRefused: see `content_after`.
        LedgerBroken: the last row, or one of the month's, is not as it was written.
    """
    head = _head(connection)
    posted = list(entries(connection, rating.lease.id, rating.month))
    for entry in posted:
        _check_whole(entry)
    content = content_after([entry.content for entry in posted], rating)
    if content is None:
        return None
    entry = entry_after(head, content)
    row = asdict(content) | {
        "kind": content.kind.value,
        "number": entry.number,
        "previous": entry.previous,
        "digest": entry.digest,
    }
    connection.execute(sa.insert(rent_entries), row)
    return entry


def entries(
    connection: Connection, lease: LeaseId | None = None, month: Month | None = None
) -> Iterator[RentEntry]:
    """Entries in order; only those of a lease or month where one is named. Not verified."""
    query = sa.select(rent_entries).order_by(rent_entries.c.number)
    if lease is not None:
        query = query.where(rent_entries.c.lease == lease)
    if month is not None:
        query = query.where(rent_entries.c.month == str(month))
    for row in connection.execute(query):
        yield _entry(row)


def verify(chain: Iterable[RentEntry], kept: Head | None = None) -> Head:
    """Check a whole ledger, from its first entry.

    Args:
        chain: all entries, as `entries(connection)` gives them.
        kept: a head that the ledger had once and must still contain.

    Returns:
        where the ledger ends.

    Raises:
        LedgerBroken: names the first entry that is not as it was written.
    """
    head = Head()
    met = kept is None or kept == head
    for entry in chain:
        if entry.number != head.length:
            raise LedgerBroken(
                f"Rent ledger, {entry.place}: entry {head.length} should stand here; one was "
                "dropped, inserted or moved."
            )
        _check_whole(entry)
        if entry.previous != head.digest:
            raise LedgerBroken(
                f"Rent ledger, {entry.place}: does not follow from the entry before it; one of the "
                "two was replaced."
            )
        head = Head(entry.number + 1, entry.digest)
        met = met or head == kept
    if not met and kept is not None:
        raise LedgerBroken(
            f"Rent ledger: it should hold {kept.length} entries that end with {kept.digest}, and "
            f"does not: it ends after {head.length}, or was rewritten before."
        )
    return head


def _check_whole(entry: RentEntry) -> None:
    if not entry.is_whole():
        raise LedgerBroken(
            f"Rent ledger, {entry.place}: the row is not as it was written; something changed it."
        )


def _head(connection: Connection) -> Head:
    last = connection.execute(
        sa.select(rent_entries).order_by(rent_entries.c.number.desc()).limit(1)
    ).first()
    if last is None:
        return Head()
    entry = _entry(last)
    _check_whole(entry)
    return Head(entry.number + 1, entry.digest)


def _entry(row: Any) -> RentEntry:
    place = f"Rent ledger, entry {row.number} (lease '{row.lease}', {row.month})"
    try:
        kind = Kind(row.kind)
    except ValueError:
        raise LedgerBroken(f"{place}: its kind is none; the row was changed.") from None
    content = Content(
        LeaseId(row.lease),
        row.month,
        kind,
        row.millihours,
        row.amount_minor,
        row.currency,
        RateCardId(row.card),
        row.card_version,
        row.card_digest,
        row.input_hash,
        Millis(row.known_at),
        row.breakdown,
    )
    return RentEntry(row.number, content, row.previous, row.digest)
