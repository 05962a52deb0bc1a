"""What each feature comes to, by hand."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from iot.archive import Archive
from iot.codec.sample import Sample
from iot.features import DEFINITIONS, NAMES, FeatureError, definition_of, markdown_table
from iot.features.computing import LesseeFeatures, Records, features_of
from iot.features.reading import read_facts
from iot.features.records import (
    AlertFact,
    RentFact,
    read_alerts,
    read_rent,
    write_alerts,
    write_rent,
)
from iot.fleet.fleet import Fleet
from iot.units import DAY, HOUR, DeviceId, LeaseId, Millis
from tests.iot.archived_fleet import messy_samples
from tests.iot.leased_fleet import (
    BASE,
    CARD,
    CUT,
    NOW,
    archive_in,
    features,
    fleet_of,
    lease,
    said,
    work_days,
)


def value(found: LesseeFeatures, name: str, lessee: int = 0) -> float:
    return float(found.columns[name][lessee])


def of(
    folder: Path, samples: list[Sample], fleet: Fleet, records: Records | None = None
) -> LesseeFeatures:
    return features(archive_in(folder, samples), fleet, records=records)


def test_work_over_machine_days_shift_hours_and_active_days(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada", 90, hours=(8, 18)))
    found = of(tmp_path, work_days("d0", {10: 8.0, 5: 4.0, 4: 0.0, 1: 6.0}, idle=0.25), fleet)
    assert value(found, "work_hours_per_machine_day_30d") == pytest.approx(13.5 / 10)
    assert value(found, "utilisation_30d") == pytest.approx(13.5 / 100)
    assert value(found, "idle_ratio_30d") == pytest.approx(0.25)
    assert value(found, "active_day_share_30d") == 0.75
    # Days 9 to 6, and 4 to 2, before the cut.
    assert value(found, "longest_gap_days_30d") == 4.0
    assert value(found, "silent_share_30d") == pytest.approx(0.6)
    assert value(found, "coverage_30d") == pytest.approx(8 / 240)
    assert value(found, "machines") == 1.0
    assert value(found, "tenure_days") == 10.0
    assert math.isnan(value(found, "fuel_alerts_per_100h_30d"))


def test_trend_and_weekly_cv(tmp_path: Path) -> None:
    worked = dict.fromkeys(range(1, 15), 4.0) | dict.fromkeys(range(15, 31), 2.0)
    found = of(tmp_path, work_days("d0", worked), fleet_of(lease("d0", "ada")))
    weeks = np.array([28.0, 28.0, 14.0, 14.0])
    assert value(found, "weekly_cv_30d") == pytest.approx(weeks.std() / weeks.mean())
    assert value(found, "utilisation_trend_30d") == pytest.approx((58 - 30) / 15 / 24)


def test_a_window_sees_its_own_days_only(tmp_path: Path) -> None:
    samples = work_days("d0", {60: 9.0, 59: 9.0, 3: 1.0, 2: 1.0})
    found = of(tmp_path, samples, fleet_of(lease("d0", "ada", 10)))
    assert value(found, "work_hours_per_machine_day_30d") == pytest.approx(2 / 30)
    assert value(found, "work_hours_per_machine_day_90d") == pytest.approx(20 / 90)
    assert value(found, "longest_gap_days_90d") == 55.0


def test_fuel_against_the_median_of_the_model(tmp_path: Path) -> None:
    days = {3: 5.0, 2: 5.0}
    samples = [
        *work_days("d0", days, litres=10),
        *work_days("d1", days, litres=12),
        *work_days("d2", days, litres=20),
    ]
    fleet = fleet_of(lease("d0", "ada"), lease("d1", "ada"), lease("d2", "bob"))
    found = of(tmp_path, samples, fleet)
    assert value(found, "fuel_ratio_30d") == pytest.approx((100 + 120) / 240)
    assert value(found, "unexplained_litres_30d") == pytest.approx(0.0)
    assert value(found, "fuel_ratio_30d", 1) == pytest.approx(20 / 12)
    assert value(found, "unexplained_litres_30d", 1) == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("hours", "offset", "share"),
    [
        ((0, 24), 0, 0.0),
        ((6, 18), 0, 1.0),
        ((6, 19), 0, 0.0),
        ((6, 18), -60, 0.0),
        ((20, 5), 60, 1.0),
        ((17, 5), 0, 0.0),
    ],
)
def test_off_hours_by_the_local_shift(
    tmp_path: Path, hours: tuple[int, int], offset: int, share: float
) -> None:
    fleet = fleet_of(lease("d0", "ada", hours=hours, offset=offset))
    found = of(tmp_path, work_days("d0", {3: 5.0, 2: 5.0}), fleet)
    assert value(found, "off_hours_share_30d") == share


def test_sites_faults_tampers_and_missing_readings(tmp_path: Path) -> None:
    places = [(47.0, 8.0), (47.0, 8.0), (47.2, 8.0), (47.2, 8.3)]
    samples = [
        said(
            "d0",
            number + 1,
            5 - number,
            latitude=latitude,
            longitude=longitude,
            operating_hours=10.0 * number,
            faults=("E1", "E2") if number == 3 else (),
            tampered=number in (1, 2),
        )
        for number, (latitude, longitude) in enumerate(places)
    ]
    found = of(tmp_path, samples, fleet_of(lease("d0", "ada"), lease("d1", "bob")))
    assert value(found, "site_entropy_30d") == pytest.approx(1.5)
    assert value(found, "fault_codes_per_100h_30d") == pytest.approx(100 * 2 / 30)
    assert value(found, "tampers_30d") == 1.0
    assert value(found, "missing_share_30d") == pytest.approx(3 / 5)


def test_what_nothing_is_known_of_is_missing_and_never_nought(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada"), lease("d1", "bob"), lease("d2", "cyd", 120))
    found = of(tmp_path, work_days("d0", {3: 5.0, 2: 5.0}), fleet, Records([], [], BASE))
    # Bob's machine says nothing, and its lease and alerts are all that is known.
    known = {name for name in NAMES if not math.isnan(value(found, name, 1))}
    of_a_window = (
        *("silent_share", "coverage", "hours_outside_zone", "zone_exits"),
        "idle_machine_share",
    )
    assert known == {"machines", "tenure_days"} | {
        f"{name}_{days}d" for name in of_a_window for days in (30, 90)
    }
    assert (value(found, "silent_share_30d", 1), value(found, "coverage_30d", 1)) == (1.0, 0.0)
    # Cyd's lease begins after the cut.
    assert [name for name in NAMES if not math.isnan(value(found, name, 2))] == ["machines"]


def test_alerts_count_for_who_had_the_machine_then(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada", 0, 80), lease("d0", "bob", 80), lease("d1", "bob"))
    begin = CUT - 30 * DAY

    def alert(rule: str, opened: float, cleared: float | None, seen: float | None) -> AlertFact:
        """Hours after the window begins."""
        times = (
            None if at is None else Millis(begin + int(at * HOUR)) for at in (opened, cleared, seen)
        )
        first, second, third = times
        assert first is not None
        return AlertFact(DeviceId("d0"), rule, first, second, third)

    alerts = [
        alert("out_of_region", -10.0, 5.0, None),
        alert("out_of_region", 20.0, 22.5, 21.0),
        alert("out_of_region", 300.0, 301.0, 303.0),
        alert("idle_machine", 400.0, None, None),
        alert("tank_balance", 410.0, 411.0, 415.0),
    ]
    found = of(tmp_path, work_days("d0", {3: 10.0, 2: 10.0}), fleet, Records(alerts))
    assert found.columns["hours_outside_zone_30d"].tolist() == [7.5, 1.0]
    assert found.columns["hours_outside_zone_90d"].tolist() == [17.5, 1.0]
    assert found.columns["zone_exits_30d"].tolist() == [1.0, 1.0]
    assert found.columns["idle_machine_share_30d"].tolist() == [0.0, 0.5]
    assert found.columns["hours_to_acknowledge_30d"].tolist() == [1.0, 4.0]
    assert value(found, "fuel_alerts_per_100h_30d", 1) == pytest.approx(5.0)


def test_rent_over_the_base_price_with_its_adjustments(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada"))
    archive = archive_in(tmp_path, work_days("d0", {3: 5.0, 2: 5.0}))
    month = np.datetime64(CUT - 5 * DAY, "ms").astype("datetime64[D]").item()

    def entry(amount: str, hours: str, written: int = CUT - DAY) -> RentFact:
        return RentFact(
            LeaseId("d0-ada"), month, Millis(written), Decimal(amount), Decimal(hours), CARD
        )

    rent = [entry("450000", "100"), entry("-50000", "-20"), entry("9", "9", CUT)]
    write_rent(archive, rent)
    assert read_rent(archive) == rent
    found = features(archive, fleet, records=Records(rent=rent, base_price_minor=BASE))
    assert value(found, "rent_per_hour_ratio_30d") == 1.0
    with pytest.raises(FeatureError, match="base price of the rate card"):
        features(archive, fleet, records=Records(rent=rent, base_price_minor={}))


def test_alerts_lie_in_the_archive_and_none_given_is_not_none(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert read_alerts(archive) is None
    alerts = [AlertFact(DeviceId("d0"), "tampered", Millis(5), None, Millis(9))]
    write_alerts(archive, alerts)
    assert read_alerts(archive) == alerts
    write_alerts(archive, [])
    assert read_alerts(archive) == []
    (tmp_path / "alerts.parquet").write_bytes(b"?")
    with pytest.raises(FeatureError, match="must have the columns device, rule"):
        read_alerts(archive)


@pytest.mark.parametrize(
    ("alert", "sentence"),
    [
        (AlertFact(DeviceId("x"), "r", Millis(5)), "device 'x', which the fleet does not list"),
        (AlertFact(DeviceId("d0"), "r", Millis(5), Millis(4)), "before it opened"),
    ],
)
def test_an_alert_that_contradicts_the_fleet_is_refused(
    tmp_path: Path, alert: AlertFact, sentence: str
) -> None:
    with pytest.raises(FeatureError, match=sentence):
        of(tmp_path, [], fleet_of(lease("d0", "ada")), Records([alert]))


def test_values_lie_in_the_ranges_of_their_definitions(tmp_path: Path) -> None:
    fleet = fleet_of(*(lease(f"d{number}", f"firm-{number}") for number in range(4)))
    samples = messy_samples(11, machines=4)
    archive = archive_in(tmp_path, samples)
    found = features(archive, fleet, CUT - 85 * DAY, Records([], [], BASE))
    for definition in DEFINITIONS:
        values = found.columns[definition.name]
        known = values[~np.isnan(values)]
        if definition.minimum is not None:
            assert (known >= definition.minimum).all(), definition.name
        if definition.maximum is not None:
            assert (known <= definition.maximum).all(), definition.name
    assert NOW > CUT


def test_only_what_is_asked_for_is_given(tmp_path: Path) -> None:
    fleet = fleet_of(lease("d0", "ada"))
    facts = read_facts(archive_in(tmp_path, []), fleet, CUT)
    assert list(features_of(facts, fleet, names=("machines",)).columns) == ["machines"]
    with pytest.raises(FeatureError, match="'machine' is no feature of lessees; choose from"):
        features_of(facts, fleet, names=("machine",))
    assert definition_of("machines").unit == "machines"
    assert markdown_table().count("\n") == len(NAMES) + 2
