"""The rent ledger: append-only, idempotent, adjusted by differences, replayed to the cent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.record_chain import Head
from iot.codec.sample import Sample
from iot.errors import StoreUnavailable
from iot.rent.cards import RateCards
from iot.rent.entry import Kind, RentEntry
from iot.rent.errors import LedgerBroken, RentRefused
from iot.rent.ledger import entries, post, verify
from iot.rent.month import Month
from iot.rent.rating import Rating, rate
from iot.rent.replay import replay
from iot.rent.tables import rent_entries
from iot.store.database import Database
from iot.units import DAY, LeaseId, Millis
from tests.clients.postgres_server import PostgresServer
from tests.iot.leased_machine import START, card, cards, lease, moment, worked

JANUARY = Month(2026, 1)
YEAR = worked(1, 365, late_share=0.08)
# The end of January came three weeks late.
LATE_FROM, LATE_TO = moment(2026, 1, 29), moment(2026, 2, 3)
SAMPLES = [
    msgspec.structs.replace(one, received=Millis(one.at + 21 * DAY))
    if LATE_FROM <= one.at < LATE_TO
    else one
    for one in YEAR
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'rent.db'}")
    yield opened
    opened.close()


def rated(known_at: Millis, month: Month = JANUARY, terms: RateCards | None = None) -> Rating:
    return rate(lease(), terms or cards(), SAMPLES, month, known_at)


def bill_a_year(connection: Connection, terms: RateCards | None = None) -> None:
    """Each month is posted when it ends, and all months so far are rated again then."""
    months = [Month(2026, number) for number in range(1, 13)]
    for number in range(1, 15):
        known_at = months[number - 1].end(0) if number < 13 else months[-1].end(0) + 45 * DAY
        for month in months[:number]:
            post(connection, rated(Millis(known_at), month, terms))


def test_a_month_is_posted_once_and_late_data_as_the_difference(database: Database) -> None:
    at_end, later = moment(2026, 2, 1), moment(2026, 3, 20)
    with database.transaction() as connection:
        first = post(connection, rated(at_end))
        assert post(connection, rated(at_end)) is None
        second = post(connection, rated(later))
        assert post(connection, rated(later)) is None
        assert post(connection, rated(Millis(later + DAY))) is None
    assert first is not None
    assert second is not None
    assert (first.content.kind, second.content.kind) == (Kind.PROVISIONAL, Kind.ADJUSTMENT)
    due = rated(later)
    assert first.content.amount_minor == rated(at_end).price.amount_minor
    assert first.content.amount_minor + second.content.amount_minor == due.price.amount_minor
    assert first.content.millihours + second.content.millihours == due.use.billable
    assert second.content.amount_minor != 0
    with database.transaction() as connection:
        assert list(entries(connection)) == [first, second]
        assert list(entries(connection, LeaseId("other"))) == []
        assert verify(entries(connection)) == Head(2, second.digest)


def test_a_month_whose_hours_were_all_measured_is_a_charge(database: Database) -> None:
    with database.transaction() as connection:
        entry = post(connection, rated(moment(2026, 12, 1)))
    assert entry is not None
    assert entry.content.kind is Kind.CHARGE


def test_a_return_to_what_was_billed_before_is_posted(database: Database) -> None:
    dearer = cards(card(hourly="50"))
    known_at = moment(2026, 12, 1)
    with database.transaction() as connection:
        post(connection, rated(known_at))
        with pytest.raises(RentRefused, match="was edited after it was billed"):
            post(connection, rated(known_at, terms=dearer))
        new = cards(card(version=2, hourly="50"))
        raised = post(connection, rated(known_at, terms=new))
        lowered = post(connection, rated(known_at))
    assert raised is not None
    assert lowered is not None
    assert raised.content.amount_minor == -lowered.content.amount_minor > 0


def test_what_can_not_be_posted_is_refused(database: Database) -> None:
    with database.transaction() as connection:
        with pytest.raises(RentRefused, match="2026-01 is not over"):
            post(connection, rated(Millis(moment(2026, 2, 1) - 1)))
        post(connection, rated(moment(2026, 3, 20)))
        with pytest.raises(RentRefused, match="of an earlier moment"):
            post(connection, rated(moment(2026, 2, 1)))
        yen = cards(card(version=2, currency="JPY", hourly="5000", fixed="9"))
        with pytest.raises(RentRefused, match="billed in EUR; it can't be adjusted in JPY"):
            post(connection, rated(moment(2026, 3, 20), terms=yen))
    with pytest.raises(RentRefused, match="names no rate card"):
        rate(replace(lease(), rate_card=None), cards(), [], JANUARY, moment(2026, 3, 20))


def test_a_lease_that_ends_within_the_month_is_over_then() -> None:
    ended = lease(end=moment(2026, 1, 10))
    rating = rate(ended, cards(), SAMPLES, JANUARY, moment(2026, 1, 10))
    assert rating.is_over
    assert len(rating.use.days) == 9


def test_two_writers_at_once_bill_once(database: Database, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'rent.db'}")

    def other_posts_first(*call: Any) -> None:
        if call[2].startswith("INSERT"):
            with other.transaction() as connection:
                assert post(connection, rated(moment(2026, 12, 1))) is not None

    def both() -> None:
        with database.transaction() as connection:
            sa.event.listen(connection, "before_cursor_execute", other_posts_first)
            post(connection, rated(moment(2026, 12, 1)))

    with pytest.raises(StoreUnavailable, match="IntegrityError"):
        both()
    with database.transaction() as connection:
        assert len(list(entries(connection))) == 1
    other.close()


def test_a_replay_of_a_year_is_identical_to_the_cent(database: Database) -> None:
    terms = cards(card(), card(version=2, since=moment(2026, 7, 1), hourly="41.25"))
    with database.transaction() as connection:
        bill_a_year(connection, terms)
        ledger = list(entries(connection))
    kinds = [entry.content.kind for entry in ledger]
    assert kinds.count(Kind.ADJUSTMENT) >= 5
    assert kinds.count(Kind.ADJUSTMENT) + 12 == len(ledger)
    shuffled = random.Random(3).sample(SAMPLES, len(SAMPLES))
    again = replay(ledger, {lease().id: lease()}, terms, lambda _: shuffled)
    assert again.entries == len(ledger)
    assert again.identical


def test_a_replay_names_what_differs(database: Database) -> None:
    with database.transaction() as connection:
        post(connection, rated(moment(2026, 2, 1)))
        post(connection, rated(moment(2026, 3, 1), Month(2026, 2)))
        ledger = list(entries(connection))
    leases = {lease().id: lease()}

    def more(_: object) -> list[Sample]:
        changed = next(
            one for one in SAMPLES if one.at > START + 10 * DAY and one.received == one.at
        )
        fewer = replace_hours(changed, (changed.operating_hours or 0) + 0.1)
        return [fewer if one is changed else one for one in SAMPLES]

    found = replay(ledger, leases, cards(), more)
    assert not found.identical
    assert found.differences[0].entry == ledger[0]
    assert "input_hash" in found.differences[0].reason
    dearer = replay(ledger, leases, cards(card(hourly="50")), lambda _: SAMPLES)
    assert [one.replayed_minor != one.entry.content.amount_minor for one in dearer.differences] == [
        True,
        True,
    ]
    gone = replay(ledger, {}, cards(), lambda _: SAMPLES)
    assert "not listed any more" in gone.differences[0].reason


def replace_hours(sample: Sample, operating_hours: float) -> Sample:
    return msgspec.structs.replace(sample, operating_hours=operating_hours)


CHANGES = {
    "amount_minor": 1,
    "millihours": 5,
    "kind": "adjustment",
    "month": "2027-01",
    "lease": "lease-2",
    "breakdown": "{}",
    "known_at": 7,
    "card_version": 9,
    "previous": "f" * 64,
    "digest": "e" * 64,
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_row_is_found_and_named(database: Database, column: str) -> None:
    with database.transaction() as connection:
        bill_two_months(connection)
        connection.execute(
            sa.update(rent_entries)
            .where(rent_entries.c.number == 1)
            .values({column: CHANGES[column]})
        )
        with pytest.raises(LedgerBroken, match="Rent ledger, entry 1 "):
            verify(entries(connection))


def bill_two_months(connection: Connection) -> None:
    for known_at in (moment(2026, 3, 1), moment(2026, 4, 20)):
        for month in (JANUARY, Month(2026, 2)):
            post(connection, rated(known_at, month))
    assert len(list(entries(connection))) == 4


def test_a_kind_that_is_none_is_named(database: Database) -> None:
    with database.transaction() as connection:
        bill_two_months(connection)
        connection.execute(sa.update(rent_entries).values(kind="gift"))
        with pytest.raises(LedgerBroken, match=r"entry 0 .* its kind is none"):
            list(entries(connection))


def test_a_dropped_row_is_found_and_at_the_end_by_a_kept_head(database: Database) -> None:
    with database.transaction() as connection:
        bill_two_months(connection)
        chain = list(entries(connection))
    head = verify(chain)
    assert verify(chain, Head(2, chain[1].digest)) == head
    with pytest.raises(LedgerBroken, match="entry 1 should stand here"):
        verify([chain[0], *chain[2:]])
    with pytest.raises(LedgerBroken, match="should hold 4 entries"):
        verify(chain[:3], head)
    with pytest.raises(LedgerBroken, match="entry 0 should stand here"):
        verify(chain[1:])


def test_a_row_rewritten_with_its_digest_does_not_fit_the_next(database: Database) -> None:
    with database.transaction() as connection:
        bill_two_months(connection)
        chain = list(entries(connection))
    forged = forge(chain[1])
    assert forged.is_whole()
    with pytest.raises(LedgerBroken, match="entry 2 .* does not follow from the entry before"):
        verify([chain[0], forged, *chain[2:]])


def forge(entry: RentEntry) -> RentEntry:
    from iot.rent.entry import entry_after

    content = replace(entry.content, amount_minor=entry.content.amount_minor - 100)
    return entry_after(Head(entry.number, entry.previous), content)


def test_nothing_is_posted_upon_a_changed_row(database: Database) -> None:
    with database.transaction() as connection:
        bill_two_months(connection)
        connection.execute(
            sa.update(rent_entries).where(rent_entries.c.number == 3).values(amount_minor=1)
        )
        with pytest.raises(LedgerBroken, match="entry 3 "):
            post(connection, rated(moment(2026, 6, 1), Month(2026, 3)))


def test_postgresql_keeps_the_same_ledger(postgres: PostgresServer, database: Database) -> None:
    postgres.execute("drop schema public cascade; create schema public")
    server = Database(postgres.url)
    chains = []
    for each in (server, database):
        with each.transaction() as connection:
            bill_two_months(connection)
        with each.transaction() as connection:
            chains.append(list(entries(connection)))
            verify(chains[-1])
    server.close()
    assert chains[0] == chains[1]
