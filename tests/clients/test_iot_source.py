"""A manifest whose source is the archive of leased machines' telemetry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from clients.iot.table import TelemetryTable
from clients.manifest import read_manifest
from clients.source_settings import TelemetrySource
from clients.sources import PartyTable, load_table
from federation.errors import InputError
from iot.archive import Archive
from iot.features import NAMES
from iot.features.computing import Records
from iot.features.records import AlertFact, RentFact, write_alerts, write_rent
from iot.units import DeviceId, LeaseId, Millis, RateCardId
from tests.iot.leased_fleet import (
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

AS_OF = date(1970, 1, 1) + timedelta(days=CUT_DAY)
MANIFEST = f"""
[party]
name = "lessor"
role = "feature"
[source]
kind = "telemetry"
archive = "archive"
as_of = {AS_OF}
leases = "leases.csv"
lessee_column = "tax_id"
[ids]
column = "tax_id"
[features]
work_hours_per_machine_day_30d = {{ kind = "numeric", unit = "h", minimum = 0 }}
machines = "numeric"
hours_outside_zone_30d = "numeric"
"""
LEASES = """\
tax_id,lease,device,start,end,rate_card,base_price_minor
0042,d1-bob,d1,2026-01-01,,,
0007,d0-ada,d0,2026-01-01T01:00+01:00,,card,5000
0007,d2-ada,d2,2026-01-01,2026-02-01,,
"""
HERE = {"latitude": 47.123456, "longitude": 8.654321}
NOON = datetime.combine(AS_OF, datetime.min.time(), UTC) + timedelta(hours=12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive of three machines of two lessees, and a manifest beside it."""
    samples = [
        *work_days("d0", {3: 8.0, 2: 7.0}),
        said("d0", 90, 1.0, **HERE, operating_hours=115.0, idle_hours=10.0),
        *work_days("d2", {80: 5.0, 79: 5.0}),
        said("d0", 91, -1.5, operating_hours=125.0, idle_hours=10.0),
    ]
    archive_in(tmp_path, samples)
    (tmp_path / "manifest.toml").write_text(MANIFEST)
    (tmp_path / "leases.csv").write_text(LEASES)
    return tmp_path


def change(folder: Path, old: str, new: str, name: str = "manifest.toml") -> None:
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def loaded(folder: Path, now: datetime = NOON) -> PartyTable:
    return load_table(read_manifest(folder / "manifest.toml"), now=now)


def values(table: PartyTable) -> dict[str, list[float | None]]:
    """Features by name, None where one is missing."""
    return {
        column.spec.name: [None if np.isnan(cell) else cell for cell in column.values.tolist()]
        for column in table.features
    }


def refusal(folder: Path, now: datetime = NOON) -> str:
    with pytest.raises(InputError) as error:
        loaded(folder, now)
    return str(error.value).replace(f"{folder}/", "")


def declare_all(folder: Path) -> None:
    declared = "\n".join(f'{name} = "numeric"' for name in NAMES)
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST.partition("[features]")[0] + "[features]\n" + declared)


def test_lessees_have_the_features_of_all_their_machines(folder: Path) -> None:
    table = loaded(folder)
    assert table.identifiers == ("0042", "0007")
    assert values(table) == {
        "work_hours_per_machine_day_30d": [None, 0.5],
        "machines": [1.0, 1.0],
        "hours_outside_zone_30d": [None, None],
    }


def test_every_feature_can_be_declared_and_is_what_the_archive_gives(folder: Path) -> None:
    archive = Archive(folder / "archive")
    alerts = [AlertFact(DeviceId("d0"), "out_of_region", Millis(CUT - 7_200_000))]
    rent = [
        RentFact(
            LeaseId("d0-ada"),
            AS_OF - timedelta(days=2),
            Millis(CUT - 1),
            Decimal(9_000),
            Decimal(2),
            RateCardId("card"),
        )
    ]
    write_alerts(archive, alerts)
    write_rent(archive, rent)
    declare_all(folder)
    table = loaded(folder)
    ours = replace(lease("d0", "0007"), id=LeaseId("d0-ada"))
    fleet = fleet_of(ours, lease("d1", "0042"), lease("d2", "0007", 0, 31))
    records = Records(alerts, rent, {RateCardId("card"): Decimal(5_000)})
    expected = features(archive, fleet, records=records)
    assert expected.lessees == ("0007", "0042")
    for column in table.features:
        np.testing.assert_array_equal(column.values, expected.columns[column.spec.name][::-1])
    found = values(table)
    assert found["hours_outside_zone_30d"] == [0.0, 2.0]
    assert found["rent_per_hour_ratio_30d"] == [None, 0.9]


def test_as_of_today_is_the_day_of_the_run(folder: Path) -> None:
    change(folder, f"as_of = {AS_OF}", 'as_of = "today"')
    assert values(loaded(folder))["work_hours_per_machine_day_30d"] == [None, 0.5]
    later = values(loaded(folder, NOON + timedelta(days=3)))
    assert later["work_hours_per_machine_day_30d"] == [None, pytest.approx(25 / 30)]


def test_an_archive_that_lags_behind_is_refused(folder: Path) -> None:
    change(folder, f"as_of = {AS_OF}", 'as_of = "today"')
    sentence = refusal(folder, datetime.fromtimestamp(NOW / 1_000, UTC) + timedelta(days=1))
    assert sentence.startswith("manifest.toml: [source]: ")
    assert "and features as of 2026-06-01 need all that arrived before that day" in sentence


def test_no_column_of_the_party_is_a_position_or_a_machine(folder: Path) -> None:
    lines = LEASES.splitlines()
    with_places = [f"{lines[0]},latitude,Longitude,until"]
    with_places += [f"{line},47.1,8.6,2030-01-01" for line in lines[1:]]
    (folder / "leases.csv").write_text("\n".join(with_places))
    source = read_manifest(folder / "manifest.toml").source
    assert isinstance(source, TelemetrySource)
    names = TelemetryTable(source).column_names
    assert set(names) == {"tax_id", "until", *NAMES}
    assert not [name for name in names if "latitude" in name.lower() or "longit" in name.lower()]
    change(folder, 'machines = "numeric"', 'latitude = "numeric"')
    assert "is 'latitude', which manifest.toml, telemetry does not have" in refusal(folder)


def test_no_value_of_the_party_is_a_position(folder: Path) -> None:
    declare_all(folder)
    cells = np.concatenate([column.values for column in loaded(folder).features])
    for coordinate in HERE.values():
        assert not np.isclose(cells[~np.isnan(cells)], coordinate, atol=0.02).any()


def test_the_consent_of_a_lessee_may_stand_beside_its_leases(folder: Path) -> None:
    with (folder / "manifest.toml").open("a") as manifest:
        manifest.write('[consent]\npurpose = "scoring"\nvalid_until_column = "until"\n')
    lines = LEASES.splitlines()
    ends = ["until", "2025-12-31", "2029-12-31", "2029-12-31"]
    text = "\n".join(f"{line},{end}" for line, end in zip(lines, ends, strict=True))
    (folder / "leases.csv").write_text(text)
    assert loaded(folder).identifiers == ("0007",)
    (folder / "leases.csv").write_text(text.replace("2029-12-31", "2030-12-31", 1))
    assert "column 'until': row 3 (line 4) differs from row 2 (line 3)" in refusal(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("0042", "", "column 'tax_id': row 1 (line 2) has no id; every row needs one"),
        ("d1-bob", "", "column 'lease': row 1 (line 2) is empty; every lease needs it"),
        ("d1-bob", "d0-ada", "row 2 (line 3) has the name of row 1 (line 2) again"),
        ("d2,2026", "d0,2026", "of device 'd0' overlap"),
        ("2026-01-01,,,", "soon,,,", "column 'start': row 1 (line 2) is no date and no time"),
        ("T01:00+01:00", "T01:00", "column 'start': row 2 (line 3) is no date and no time with"),
        ("2026-02-01", "2025-02-01", "column 'end': row 3 (line 4) is not after its start"),
        ("5000", "-5", "column 'base_price_minor': row 2 (line 3) must be a price above 0"),
        ("device,", "machine,", "[source] 'leases' is 'device', which leases.csv does not have"),
        ("rate_card", "work_from", "column 'work_from': row 2 (line 3) must be a whole number"),
    ],
)
def test_a_wrong_table_of_leases_is_refused(
    folder: Path, old: str, new: str, sentence: str
) -> None:
    change(folder, old, new, "leases.csv")
    assert sentence in refusal(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (f"as_of = {AS_OF}", "", "lacks the key 'as_of'; write a date"),
        ('"leases.csv"', '"leases.xlsx"', "'leases' as a file of type '.xlsx'; it must end"),
        ('archive = "archive"', 'archive = "elsewhere"', "the archive holds nothing yet"),
        ('archive = "archive"', "", "lacks the key 'archive'"),
        ('kind = "telemetry"', 'kind = "csv"', "has 'as_of', which is for receivables on chain"),
        (f"as_of = {AS_OF}", 'path = "a.csv"', "has 'path', which is for a file, but kind is"),
        (f"as_of = {AS_OF}", 'url = "sqlite:///x"', "has 'url', which is for a database, but"),
        (f"as_of = {AS_OF}", "chain_id = 1", "has 'chain_id', which is for receivables on chain"),
        (
            f'kind = "telemetry"\narchive = "archive"\nas_of = {AS_OF}',
            'path = "a.csv"',
            "'leases', which is for telemetry; write kind",
        ),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, old: str, new: str, sentence: str) -> None:
    change(folder, old, new)
    assert sentence in refusal(folder)


def test_consents_do_not_lie_in_an_archive(folder: Path) -> None:
    with (folder / "manifest.toml").open("a") as manifest:
        manifest.write('[consent]\npurpose = "scoring"\nkind = "telemetry"\n')
    assert "[consent] has 'kind' as \"telemetry\", which holds no consents" in refusal(folder)
