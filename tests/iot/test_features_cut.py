"""Nothing that happened, arrived or was written on or after the cut changes a feature."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iot.archive import ArchiveError
from iot.codec.sample import Sample
from iot.features import cut_of
from iot.features.computing import LesseeFeatures, Records
from iot.features.records import AlertFact, RentFact
from iot.units import DAY, HOUR, DeviceId, LeaseId, Millis
from tests.iot.archived_fleet import START, messy_samples
from tests.iot.leased_fleet import (
    BASE,
    CARD,
    CUT,
    CUT_DAY,
    NOW,
    archive_in,
    features,
    fleet_of,
    lease,
    said,
    work_days,
)

FLEET = fleet_of(
    lease("d0", "ada"), lease("d1", "ada", 0, 5), lease("d1", "bob", 5), lease("d2", "cyd")
)
EPOCH = date(1970, 1, 1)


def assert_same(first: LesseeFeatures, second: LesseeFeatures) -> None:
    """To the last bit."""
    assert first.lessees == second.lessees
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second.columns[name], err_msg=name)


def records(seed: int, cut: int) -> tuple[Records, Records]:
    """Alerts and rents around a cut, and those of them that had been written before it."""
    rng = random.Random(seed)
    alerts, rents = [], []
    rules = ("out_of_region", "idle_machine", "tank_balance", "tampered")
    for _ in range(40):
        opened = Millis(cut + rng.randrange(-20 * DAY, 5 * DAY))
        later = [None, Millis(opened + rng.randrange(9 * DAY))]
        device = DeviceId(f"d{rng.randrange(3)}")
        alerts.append(
            AlertFact(device, rng.choice(rules), opened, rng.choice(later), rng.choice(later))
        )
        rents.append(
            RentFact(
                LeaseId(rng.choice(("d0-ada", "d1-bob", "d2-cyd"))),
                EPOCH + timedelta(days=cut // DAY + rng.randrange(-40, 5)),
                Millis(opened),
                Decimal(rng.randrange(-99, 9_999)),
                Decimal(rng.randrange(1, 9)),
                CARD,
            )
        )

    def known(at: Millis | None) -> Millis | None:
        return at if at is not None and at < cut else None

    before = [
        replace(one, cleared=known(one.cleared), acknowledged=known(one.acknowledged))
        for one in alerts
        if one.opened < cut
    ]
    return (
        Records(alerts, rents, BASE),
        Records(before, [one for one in rents if one.written < cut], BASE),
    )


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), days=st.integers(2, 6))
def test_what_came_later_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, days: int
) -> None:
    cut = START + days * DAY
    samples = messy_samples(seed)
    before = [one for one in samples if one.at < cut and one.received < cut]
    assume(0 < len(before) < len(samples))
    whole = archive_in(tmp_path_factory.mktemp("whole"), samples)
    stopped = archive_in(tmp_path_factory.mktemp("stopped"), before, cut)
    every, known = records(seed, cut)
    assert_same(features(whole, FLEET, cut, every), features(stopped, FLEET, cut, known))


def story(*, received: int, at: int) -> list[Sample]:
    """A machine at work; and one more sample that would tell much."""
    samples = work_days("d0", {9: 8.0, 8: 8.0, 2: 4.0})
    return [
        *samples,
        Sample(
            DeviceId("d0"),
            1,
            99,
            Millis(at),
            Millis(received),
            operating_hours=140.0,
            idle_hours=12.0,
            fuel_used_l=9_999.0,
            faults=("E1",),
            tampered=True,
        ),
    ]


@pytest.mark.parametrize(
    ("at", "received", "counts"),
    [
        (CUT - HOUR, CUT - 1, True),
        (CUT - HOUR, CUT, False),
        (CUT, CUT - 1, False),
        (CUT, CUT, False),
    ],
)
def test_a_sample_counts_where_it_happened_and_arrived_before_the_cut(
    tmp_path: Path, at: int, received: int, counts: bool
) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    fleet = fleet_of(lease("d0", "ada"))
    samples = story(at=at, received=received)
    found = features(archive_in(tmp_path / "with", samples), fleet)
    expected = features(archive_in(tmp_path / "without", samples[:-1]), fleet)
    changed = {
        name
        for name, values in expected.columns.items()
        if not np.array_equal(values, found.columns[name], equal_nan=True)
    }
    if not counts:
        assert not changed
        return
    for feature in ("utilisation", "tampers", "fault_codes_per_100h", "coverage", "fuel_ratio"):
        assert f"{feature}_30d" in changed or feature == "fuel_ratio"


def test_an_alert_and_a_rent_written_a_millisecond_earlier_do_count(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada"))
    archive = archive_in(tmp_path, work_days("d0", {3: 8.0, 2: 8.0}))
    month = EPOCH + timedelta(days=CUT_DAY)

    def given(at: int) -> Records:
        alert = AlertFact(DeviceId("d0"), "out_of_region", Millis(at))
        rent = RentFact(LeaseId("d0-ada"), month, Millis(at), Decimal(4_000), Decimal(1), CARD)
        return Records([alert], [rent], BASE)

    later, earlier = (features(archive, fleet, CUT, given(at)) for at in (CUT, CUT - 1))
    assert_same(later, features(archive, fleet, CUT, Records([], [], BASE)))
    assert earlier.columns["zone_exits_30d"].tolist() == [1.0]
    assert earlier.columns["rent_per_hour_ratio_30d"].tolist() == [0.8]


def test_an_archive_that_lags_behind_is_refused(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, [said("d0", 1, 3.0)], CUT - 1)
    with pytest.raises(ArchiveError, match="need all that arrived before that day; roll up"):
        features(archive, fleet_of(lease("d0", "ada")))


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    samples = messy_samples(5)
    shuffled = samples.copy()
    random.Random(1).shuffle(shuffled)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    cut = START + 8 * DAY
    assert_same(
        features(archive_in(tmp_path / "one", samples), FLEET, cut),
        features(archive_in(tmp_path / "other", shuffled), FLEET, cut),
    )


def test_a_date_is_cut_at_its_midnight() -> None:
    assert cut_of(EPOCH + timedelta(days=CUT_DAY)) == CUT
    assert NOW > CUT
    assert msgspec.to_builtins(said("d0", 1, 0.0))["at"] == CUT
