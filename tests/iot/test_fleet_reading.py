"""The fleet file: what is read, and one clear sentence for everything that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.errors import FleetInvalid
from iot.fleet.fleet import Fleet, Lease, Model, Zone
from iot.fleet.reading import read_fleet
from iot.fleet.writing import write_fleet
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ModelId, RateCardId, ZoneId

GOOD = """
rate_cards = ["excavator"]

[[model]]
id = "CAT-320"
tank_l = 345
litres_per_hour = 15.5
top_speed_kmh = 5.7

[[zone]]
id = "harbour"
version = 1
since = 2026-01-01T00:00:00Z
rings = [[[9.90, 53.50], [9.99, 53.50], [9.95, 53.56]]]

[[device]]
device = "d-1"
model = "CAT-320"

[[lease]]
lease = "l-1"
device = "d-1"
lessee = "firm"
start = 2026-01-01T00:00:00Z
end = 2026-02-01T00:00:00Z
zone = "harbour"
rate_card = "excavator"
work_from = 7
work_to = 18
utc_offset_minutes = 60

[[lease]]
lease = "l-2"
device = "d-1"
lessee = "firm"
start = 2026-02-01T00:00:00Z
"""

LEASES = "lease,device,lessee,start,end,zone,rate_card,work_from\n"


def fleet_of(folder: Path, text: str) -> Fleet:
    path = folder / "fleet.toml"
    path.write_text(text)
    return read_fleet(path)


def with_tables(folder: Path, devices: str, leases: str) -> Fleet:
    begin = GOOD.split("[[device]]", maxsplit=1)[0]
    (folder / "devices.csv").write_text(devices)
    (folder / "leases.csv").write_text(leases)
    return fleet_of(folder, 'devices = "devices.csv"\nleases = "leases.csv"\n' + begin)


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, GOOD)
    assert fleet.models[ModelId("CAT-320")] == Model(ModelId("CAT-320"), 345.0, 15.5, 5.7)
    first, second = fleet.leases[DeviceId("d-1")]
    assert (first.start, first.end) == (1767225600000, 1769904000000)
    assert (first.work_from, first.work_to, first.utc_offset_minutes) == (7, 18, 60)
    assert (second.end, second.zone, second.rate_card, second.work_to) == (None, None, None, 24)
    ring = fleet.zones[ZoneId("harbour")][0].rings[0]
    assert len(ring) == 4
    assert ring[0] == ring[-1] == (9.9, 53.5)


def test_tables_in_csv_say_the_same_as_tables_in_toml(tmp_path: Path) -> None:
    leases = (
        LEASES.strip() + ",work_to,utc_offset_minutes\n"
        "l-2,d-1,firm,2026-02-01T00:00:00Z,,,,,,\n\n"
        "l-1,d-1,firm,2026-01-01T00:00:00Z,2026-02-01T00:00:00.000Z,harbour,excavator,7,18,60\n"
    )
    read = with_tables(tmp_path, "\ufeffmodel,device\nCAT-320,d-1\n", leases)
    assert read == fleet_of(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tank_l", "tank_gallons", "model[1], tank_gallons: is not known"),
        ('rate_cards = ["excavator"]', "colour = 1", "colour: is not known"),
        ("top_speed_kmh = 5.7", "", "model[1], top_speed_kmh: is missing"),
        ("since = 2026-01-01T00:00:00Z", "", "zone[1], since: is missing"),
        ("tank_l = 345", 'tank_l = "345"', "tank_l: must be a number"),
        ("tank_l = 345", "tank_l = true", "tank_l: must be a number"),
        ("tank_l = 345", "tank_l = nan", "tank_l: must be a finite number above 0"),
        ("tank_l = 345", "tank_l = inf", "tank_l: must be a finite number above 0"),
        ("tank_l = 345", "tank_l = -1", "tank_l: must be a finite number above 0"),
        ("version = 1", "version = 0", "version: must be a whole number from 1"),
        ("version = 1", "version = 1.0", "version: must be a whole number from 1"),
        ("[9.90, 53.50]", "[9.90, 93.50]", "off the globe"),
        ("[9.90, 53.50]", "[190.0, 53.50]", "off the globe"),
        ("[9.90, 53.50]", "[nan, 53.50]", "zone[1], rings: ring 1, point 1 must be two finite"),
        ("[9.90, 53.50]", "[9.90, 53.50, 1.0]", "ring 1, point 1 must be two finite"),
        ("[[[9.90, 53.50], [9.99, 53.50], [9.95, 53.56]]]", "[]", "rings: must be a list of rings"),
        ("[9.99, 53.50], [9.95, 53.56]", "[9.99, 53.50]", "has 3 points"),
        (
            "[9.99, 53.50], [9.95, 53.56]",
            "[9.99, 53.56], [9.99, 53.50], [9.90, 53.56]",
            "crosses or touches itself",
        ),
        ("= 2026-01-01T00:00:00Z\nend", "= 2026-01-01T00:00:00+02:00\nend", "in UTC"),
        ("= 2026-01-01T00:00:00Z\nend", "= 2026-01-01T00:00:00\nend", "in UTC"),
        ("= 2026-01-01T00:00:00Z\nend", "= 2026-01-01\nend", "in UTC"),
        ("= 2026-01-01T00:00:00Z\nend", '= "1 January 2026"\nend', "in UTC"),
        ("= 2026-01-01T00:00:00Z\nend", "= 2199-01-01T00:00:00Z\nend", "1970 to 2099"),
        ("end = 2026-02-01", "end = 2026-02-02", "lease 'l-2' overlaps lease 'l-1'"),
        ("end = 2026-02-01", "end = 2025-02-01", "end: must be later than 'start'"),
        ("end = 2026-02-01T00:00:00Z", "", "lease 'l-2' overlaps lease 'l-1'"),
        ('model = "CAT-320"', 'model = "CAT-330"', "device[1], model: 'CAT-330' is no [[model]]"),
        ('device = "d-1"\nlessee', 'device = "d-9"\nlessee', "'d-9' is no device"),
        ('zone = "harbour"', 'zone = "port"', "lease[1], zone: 'port' is no [[zone]]"),
        ('rate_card = "excavator"', 'rate_card = "crane"', "'crane' is not listed in 'rate_cards'"),
        ('["excavator"]', '["excavator", "excavator"]', "lists 'excavator' twice"),
        ('lease = "l-2"', 'lease = "l-1"', "lease[2], lease: 'l-1' is listed already"),
        ("[[zone]]", '[[model]]\nid="CAT-320"\ntop_speed_kmh=1\n[[zone]]', "model[2], id: 'CAT-3"),
        ("[[lease]]", '[[device]]\ndevice="d-1"\nmodel="CAT-320"\n[[lease]]', "device[2], device"),
        ('device = "d-1"\nmodel', 'device = "d 1"\nmodel', "must be 1 to 64 letters"),
        ('device = "d-1"\nmodel', 'device = "Größe"\nmodel', "must be 1 to 64 letters"),
        ('lessee = "firm"', f'lessee = "{"x" * 65}"', "must be 1 to 64 letters"),
        ('lessee = "firm"', 'lessee = "firm/../x"', "must be 1 to 64 letters"),
        ('lessee = "firm"', "lessee = 7", "lessee: must be a name in quotes"),
        ("work_from = 7", "work_from = 25", "work_from: must be a whole number from 0 to 24"),
        ("work_from = 7", 'work_from = "7"', "work_from: must be a whole number from 0 to 24"),
        ("work_from = 7", "work_from = 18", "must differ from 'work_from'"),
        ("utc_offset_minutes = 60", "utc_offset_minutes = 900", "from -840 to 840"),
        ("[[zone]]", "[zone]", "zone: must be tables, each begun by [[zone]]"),
        ("[[zone]]", "[[zone]", "is no TOML"),
        ('["excavator"]', '["excavator"]\ndevices = "d.csv"', "names a file, and there are"),
    ],
)
def test_bad_input_gets_one_sentence_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(FleetInvalid) as caught:
        fleet_of(tmp_path, GOOD.replace(old, new, 1))
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "fleet.toml"))
    assert said in text
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("devices", "leases", "said"),
    [
        ("device,model\nd-1,CAT-320\nd-1,CAT-320\n", LEASES, "devices.csv, line 3, device: 'd-1'"),
        ("device,colour\n", LEASES, "devices.csv, line 1, 'colour': is not known"),
        ("device\n", LEASES, "devices.csv, line 1, model: is missing"),
        ("device,model,device\n", LEASES, "device: stands there twice"),
        ("device,model\nd-1\n", LEASES, "devices.csv, line 2: has 1 cells"),
        ("device,model\nd-1,\n", LEASES, "devices.csv, line 2, model: is missing"),
        ("", LEASES, "devices.csv: is empty"),
        ('device,model\n"d-1"x,CAT-320\n', LEASES, "devices.csv, line 2: is no CSV"),
        (
            "device,model\nd-1,CAT-320\n",
            LEASES + "l,d-1,f,2026-02-30T00:00:00Z,,,,\n",
            "leases.csv, line 2, start: is no day",
        ),
        (
            "device,model\nd-1,CAT-320\n",
            LEASES + "l,d-1,f,2026-02-20T00:00:00+01:00,,,,\n",
            "leases.csv, line 2, start: must be a time in UTC",
        ),
        (
            "device,model\nd-1,CAT-320\n",
            LEASES + "l,d-1,f,2026-02-20T00:00:00Z,,,,7.5\n",
            "leases.csv, line 2, work_from: must be a whole number",
        ),
    ],
)
def test_bad_csv_gets_one_sentence_with_its_line(
    tmp_path: Path, devices: str, leases: str, said: str
) -> None:
    with pytest.raises(FleetInvalid) as caught:
        with_tables(tmp_path, devices, leases)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


def test_files_that_are_not_there_or_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetInvalid, match="can't be read"):
        read_fleet(tmp_path / "none.toml")
    with pytest.raises(FleetInvalid, match=r"devices\.csv: can't be read"):
        fleet_of(tmp_path, 'devices = "devices.csv"')
    with pytest.raises(FleetInvalid, match="must name a file in the same folder"):
        fleet_of(tmp_path, 'devices = "../devices.csv"')
    (tmp_path / "fleet.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FleetInvalid, match="no UTF-8"):
        read_fleet(tmp_path / "fleet.toml")


def test_versions_of_a_zone_are_in_order_of_their_time(tmp_path: Path) -> None:
    ring = "rings = [[[9.90, 53.50], [9.99, 53.50], [9.95, 53.56]]]"
    zone = f'\n[[zone]]\nid = "harbour"\nversion = 2\nsince = %s\n{ring}\n'
    fleet = fleet_of(tmp_path, GOOD + zone % "2026-03-01T00:00:00Z")
    assert [one.version for one in fleet.zones[ZoneId("harbour")]] == [1, 2]
    with pytest.raises(FleetInvalid, match="zone 'harbour', version 2, holds since no later"):
        fleet_of(tmp_path, GOOD + zone % "2025-03-01T00:00:00Z")


names = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
moments = st.integers(0, 4_000_000_000_000).map(Millis)
sizes = st.floats(1e-6, 1e6)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    models = {
        ModelId(name): Model(
            ModelId(name), draw(st.none() | sizes), draw(st.none() | sizes), draw(sizes)
        )
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    }
    zones: dict[ZoneId, tuple[Zone, ...]] = {}
    for name in draw(st.lists(names, min_size=1, max_size=2, unique=True)):
        x, y = draw(st.floats(-150, 150)), draw(st.floats(-70, 70))
        ring = ((x, y), (x + 1, y), (x + 1, y + 1), (x, y))
        since = sorted(draw(st.sets(moments, min_size=1, max_size=3)))
        zones[ZoneId(name)] = tuple(
            Zone(ZoneId(name), version, at, (ring,)) for version, at in enumerate(since, 1)
        )
    devices = draw(
        st.dictionaries(names.map(DeviceId), st.sampled_from(sorted(models)), max_size=3)
    )
    leases: dict[DeviceId, tuple[Lease, ...]] = {}
    for number, device in enumerate(devices):
        edges = sorted(draw(st.sets(moments, min_size=2, max_size=4)))
        ends: list[Millis | None] = [*edges[1:-1], draw(st.sampled_from([None, edges[-1]]))]
        leases[device] = tuple(
            Lease(
                LeaseId(f"{number}.{place}"),
                device,
                LesseeId(draw(names)),
                start,
                end,
                draw(st.none() | st.sampled_from(sorted(zones))),
                draw(st.none() | names.map(RateCardId)),
                draw(st.integers(0, 11)),
                draw(st.integers(12, 24)),
                draw(st.integers(-840, 840)),
            )
            for place, (start, end) in enumerate(zip(edges, ends, strict=False))
        )
    return Fleet(models, devices, leases, zones)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fleets())
def test_what_was_written_is_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, fleet: Fleet
) -> None:
    assert read_fleet(write_fleet(fleet, tmp_path_factory.mktemp("fleet"))) == fleet


@settings(max_examples=60, deadline=None, derandomize=True)
@given(place=st.integers(0, len(GOOD) - 1), text=st.text(max_size=6))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, place: int, text: str
) -> None:
    path = tmp_path_factory.mktemp("fleet") / "fleet.toml"
    damaged = GOOD[:place] + text + GOOD[place + len(text) :]
    path.write_bytes(damaged.encode("utf-8", "surrogatepass"))
    said = str(path)
    try:
        read_fleet(path)
    except FleetInvalid as error:
        said = str(error)
    assert str(path) in said


def test_a_name_that_the_reader_refuses_is_not_written(tmp_path: Path) -> None:
    model = Model(ModelId('a"b'), None, None, 1.0)
    with pytest.raises(FleetInvalid, match="can't be written"):
        write_fleet(Fleet({model.id: model}, {}, {}, {}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
