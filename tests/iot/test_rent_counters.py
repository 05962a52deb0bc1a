"""Counters read from the store rate a lease as the samples themselves do."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from iot.codec.sample import Sample
from iot.rent.counters import BEFORE_LEASE, counter_samples
from iot.rent.ledger import entries, post
from iot.rent.month import Month
from iot.rent.rating import rate
from iot.rent.replay import replay
from iot.store.database import Database
from iot.store.keeping import SampleTable
from iot.units import DAY, DeviceId, Millis
from tests.iot.leased_machine import DEVICE, START, cards, lease, moment, worked

LEASE = lease(Millis(START + 10 * DAY))


def stored(database: Database, samples: list[Sample]) -> None:
    """Store samples in a drawn order, with another machine's between them."""
    shuffled = random.Random(4).sample(samples, len(samples))
    strange = [msgspec.structs.replace(one, device=DeviceId("other")) for one in shuffled[::7]]
    with database.transaction() as connection:
        table = SampleTable(connection)
        table.register(connection, [DeviceId("other"), DEVICE])
        table.store(connection, shuffled + strange)


def test_a_lease_is_billed_and_replayed_from_the_store(tmp_path: Path) -> None:
    samples = worked(3, 90, late_share=0.1)
    database = Database(f"sqlite:///{tmp_path / 'telemetry.db'}")
    stored(database, samples)
    with database.transaction() as connection:
        for known_at in (moment(2026, 3, 1), moment(2026, 5, 1)):
            for month in (Month(2026, 1), Month(2026, 2)):
                read = counter_samples(connection, LEASE, known_at)
                rating = rate(LEASE, cards(), read, month, known_at)
                assert rating == rate(LEASE, cards(), samples, month, known_at)
                post(connection, rating)
        ledger = list(entries(connection))
        everything = counter_samples(connection, LEASE, moment(2027, 1, 1))
    database.close()
    assert {one.device for one in everything} == {DEVICE}
    assert len(everything) == sum(one.at >= LEASE.start - BEFORE_LEASE for one in samples)
    found = replay(ledger, {LEASE.id: LEASE}, cards(), lambda _: everything)
    assert found.identical
    assert found.entries >= 3


def test_positions_and_samples_without_counters_are_not_read(tmp_path: Path) -> None:
    first, second = worked(3, 1)[:2]
    placed = msgspec.structs.replace(first, latitude=48.1, longitude=11.5, faults=("E1",))
    empty = msgspec.structs.replace(second, operating_hours=None)
    database = Database(f"sqlite:///{tmp_path / 'telemetry.db'}")
    stored(database, [placed, empty])
    with database.transaction() as connection:
        assert counter_samples(connection, lease(), moment(2027, 1, 1)) == [first]
        assert counter_samples(connection, lease(), Millis(first.received - 1)) == []
    database.close()
