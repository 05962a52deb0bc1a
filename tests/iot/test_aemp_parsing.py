"""AEMP answers in XML and JSON, as several makers write them, and as nobody should."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.aemp.fleet_json import parse_fleet_json, parse_series_json
from iot.aemp.fleet_xml import parse_fleet_xml, parse_series_xml
from iot.aemp.record import AempInvalid, AempRecord, FleetPage, Header, Kind, Observation
from iot.aemp.samples import device_of, samples_of
from iot.codec.sample import Sample
from iot.units import DeviceId, Millis

DEVICE = DeviceId("d1")
RECEIVED = Millis(1_767_300_000_000)
EIGHT = Millis(1_767_254_400_000)  # 2026-01-01T08:00:00Z
T8 = "2026-01-01T08:00:00Z"

XML = f"""<?xml version="1.0" encoding="utf-8"?>
<Fleet xmlns="http://standards.iso.org/iso/15143/-3" version="1" snapshotTime="{T8}">
  <Links><rel>self</rel><href>https://maker.example/Fleet/1</href></Links>
  <Links><rel>next</rel><href>https://maker.example/Fleet/2</href></Links>
  <Equipment>
    <EquipmentHeader>
      <OEMName>CAT</OEMName><Model>320</Model><EquipmentID>E7</EquipmentID>
      <SerialNumber>S7</SerialNumber><PIN>P7</PIN>
    </EquipmentHeader>
    <CumulativeOperatingHours datetime="{T8}"><Hour>1250.5</Hour></CumulativeOperatingHours>
    <CumulativeIdleHours datetime="{T8}"><Hour>300.25</Hour></CumulativeIdleHours>
    <FuelUsed datetime="2026-01-01T08:00:20Z">
      <FuelUnits>gallon</FuelUnits><FuelConsumed>100</FuelConsumed>
    </FuelUsed>
    <FuelRemaining datetime="2026-01-01T08:00:20Z"><Percent>62.4</Percent></FuelRemaining>
    <Distance><OdometerUnits>mile</OdometerUnits><Odometer>10</Odometer>
      <datetime>2026-01-01T07:59:59.5Z</datetime></Distance>
    <EngineStatus datetime="{T8}"><EngineNumber/><Running>true</Running></EngineStatus>
    <Location datetime="2026-01-01T10:00:00+01:00">
      <Latitude>49.23709</Latitude><Longitude>8.093496</Longitude><Altitude>258</Altitude>
    </Location>
    <DEFRemaining datetime="{T8}"><Percent>20</Percent></DEFRemaining>
  </Equipment>
</Fleet>""".encode()

JSON: dict[str, Any] = {
    "Links": [{"Rel": "Next", "Href": "https://maker.example/Fleet/2"}],
    "Equipment": [
        {
            "EquipmentHeader": {
                "OEMName": "CAT",
                "Model": "320",
                "EquipmentId": "E7",
                "SerialNumber": "S7",
                "Pin": "P7",
            },
            "CumulativeOperatingHours": {"Hour": 1250.5, "datetime": T8},
            "CumulativeIdleHours": {"Hour": "300.25", "Datetime": T8},
            "FuelUsed": {
                "FuelConsumed": 100,
                "FuelUnits": "Gallon",
                "datetime": "2026-01-01T08:00:20.0000000Z",
            },
            "FuelRemaining": {"Percent": 62.4, "datetime": "2026-01-01T08:00:20Z"},
            "Distance": {
                "Odometer": 10,
                "OdometerUnits": "mile",
                "datetime": "2026-01-01T07:59:59.5Z",
            },
            "EngineStatus": [{"Running": True, "datetime": T8}],
            "Location": {
                "Latitude": 49.23709,
                "Longitude": 8.093496,
                "datetime": "2026-01-01T09:00:00Z",
            },
            "DEFRemaining": None,
        }
    ],
}


def fleet_xml(element: str) -> bytes:
    return (
        "<Fleet><Equipment><EquipmentHeader><PIN>P7</PIN></EquipmentHeader>"
        f"{element}</Equipment></Fleet>"
    ).encode()


def hours_at(at: int, value: float = 1.0) -> Observation:
    return Observation(Kind.OPERATING_HOURS, Millis(at), value)


def samples(page: FleetPage) -> list[Sample]:
    return [one for record in page.records for one in samples_of(record, DEVICE, RECEIVED)]


def test_xml_and_json_say_the_same() -> None:
    from_xml, from_json = parse_fleet_xml(XML), parse_fleet_json(json.dumps(JSON).encode())
    assert from_xml.records[0].header == Header("CAT", "320", "E7", "S7", "P7")
    assert from_xml.next_link == from_json.next_link == "https://maker.example/Fleet/2"
    assert not from_xml.refused
    assert not from_json.refused
    assert from_xml.records[0].header == from_json.records[0].header
    assert samples(from_xml) == samples(from_json)


def test_what_is_of_one_moment_is_one_sample_in_our_units() -> None:
    first, second = samples(parse_fleet_xml(XML))
    assert first == Sample(
        device=DEVICE,
        boot=EIGHT * 256 + 111,
        seq=1,
        at=EIGHT,
        received=RECEIVED,
        operating_hours=1250.5,
        idle_hours=300.25,
        fuel_used_l=378.5411784,
        fuel_remaining_percent=62.4,
        engine_on=True,
        distance_km=16.09344,
    )
    assert (second.latitude, second.longitude) == (49.23709, 8.093496)
    assert second.at == EIGHT + 3_600_000
    assert second.operating_hours is None
    assert second.engine_on is None


def test_wrapped_json_is_read() -> None:
    page = parse_fleet_json(json.dumps(JSON).encode())
    assert parse_fleet_json(json.dumps([JSON]).encode()) == page
    assert parse_fleet_json(b"\xef\xbb\xbf" + json.dumps({"Fleet": JSON}).encode()) == page


def test_a_series_is_a_sample_a_moment() -> None:
    machine = AempRecord(Header(pin="P7"), ())
    xml = b"""<CumulativeOperatingHoursMessages>
        <CumulativeOperatingHours datetime="2026-01-01T08:00:00Z"><Hour>5</Hour>
        </CumulativeOperatingHours>
        <CumulativeOperatingHours datetime="2026-01-01T09:00:00Z"><Hour>6</Hour>
        </CumulativeOperatingHours></CumulativeOperatingHoursMessages>"""
    series = [
        {"Hour": 5, "datetime": T8},
        {"Hour": 6, "datetime": "2026-01-01T09:00:00Z"},
    ]
    page = parse_series_xml(xml, machine)
    assert page == parse_series_json(
        json.dumps({"CumulativeOperatingHours": series}).encode(), machine
    )
    assert [one.operating_hours for one in samples(page)] == [5.0, 6.0]


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (f'<FuelUsed datetime="{T8}"><FuelConsumed>5</FuelConsumed></FuelUsed>', "FuelUnits is ''"),
        (
            f'<FuelUsed datetime="{T8}"><FuelUnits>barrel</FuelUnits>'
            "<FuelConsumed>5</FuelConsumed></FuelUsed>",
            "FuelUnits is 'barrel'",
        ),
        (
            f'<FuelUsed datetime="{T8}"><FuelUnits>litre</FuelUnits>'
            "<FuelConsumed>-5</FuelConsumed></FuelUsed>",
            "it is between 0 and",
        ),
        (f'<FuelRemaining datetime="{T8}"><Percent>101</Percent></FuelRemaining>', "0 and 100"),
        (f'<FuelRemaining datetime="{T8}"><Percent>NaN</Percent></FuelRemaining>', "no number"),
        (f'<FuelRemaining datetime="{T8}"/>', "Percent is '', which is no number"),
        ("<FuelRemaining><Percent>50</Percent></FuelRemaining>", "has no datetime"),
        ('<FuelRemaining datetime="now"><Percent>5</Percent></FuelRemaining>', "not of ISO 8601"),
        (
            '<FuelRemaining datetime="2026-01-01T08:00:00"><Percent>5</Percent></FuelRemaining>',
            "has no zone",
        ),
        (
            '<FuelRemaining datetime="0001-01-01T00:00:00Z"><Percent>5</Percent></FuelRemaining>',
            "before 2000",
        ),
        (f'<EngineStatus datetime="{T8}"><Running>maybe</Running></EngineStatus>', "'maybe'"),
        (
            f'<Location datetime="{T8}"><Latitude>91</Latitude><Longitude>8.1234</Longitude>'
            "</Location>",
            "not both on the globe",
        ),
        (
            f'<Location datetime="{T8}"><Latitude>0.0</Latitude><Longitude>0</Longitude>'
            "</Location>",
            "no fix",
        ),
        (
            f'<FaultCode datetime="{T8}"><CodeIdentifier>a b</CodeIdentifier></FaultCode>',
            "CodeIdentifier",
        ),
    ],
)
def test_an_element_that_lies_is_refused_and_the_rest_taken(element: str, reason: str) -> None:
    good = f'<CumulativeIdleHours datetime="{T8}"><Hour>7</Hour></CumulativeIdleHours>'
    page = parse_fleet_xml(fleet_xml(element + good))
    (refusal,) = page.refused
    assert refusal.machine == "P7"
    assert reason in refusal.reason
    assert "8.1234" not in refusal.reason
    assert page.records[0].observations == (Observation(Kind.IDLE_HOURS, EIGHT, 7.0),)


BOMB = (
    b'<!DOCTYPE Fleet [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Fleet>&c;</Fleet>'
)
READS_A_FILE = b'<!DOCTYPE F [<!ENTITY x SYSTEM "file:///etc/hostname">]><Fleet>&x;</Fleet>'


@pytest.mark.parametrize(
    "payload",
    [
        BOMB,
        READS_A_FILE,
        b'<!DocType Fleet SYSTEM "http://127.0.0.1:1/x.dtd"><Fleet/>',
        BOMB.decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE Fleet+AD4-<Fleet/>',
        b"",
        b"<Fleet>",
        b"<html><body>Sign in</body></html>",
        b"\xff\xfe",
        b"<Fleet>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</Fleet>",
    ],
)
def test_xml_that_is_no_answer_or_a_bomb_is_refused(payload: bytes) -> None:
    with pytest.raises(AempInvalid, match="The answer"):
        parse_fleet_xml(payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"7", b"{}", b'{"Equipment": 5}', b'{"Equipment": [5]}', b"[" * 100_000, b"\xff"],
)
def test_json_that_is_no_answer_is_refused(payload: bytes) -> None:
    with pytest.raises(AempInvalid, match="The answer"):
        parse_fleet_json(payload)


def test_an_undeclared_entity_reads_nothing() -> None:
    with pytest.raises(AempInvalid):
        parse_fleet_xml(b"<Fleet>&secret;</Fleet>")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for parse in (parse_fleet_xml, parse_fleet_json):
        # Nothing else is raised, whatever the bytes.
        with suppress(AempInvalid):
            parse(payload)


LEAVES = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text(max_size=9)
)
NAMES = st.sampled_from(["datetime", "Hour", "Latitude", "Longitude", "Running", "Percent", "rel"])
ELEMENTS = st.sampled_from(
    ["CumulativeOperatingHours", "Location", "EngineStatus", "FaultCode", "EquipmentHeader", "x"]
)
SECTIONS = LEAVES | st.dictionaries(NAMES, LEAVES | st.just(T8), max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(ELEMENTS, SECTIONS | st.lists(SECTIONS, max_size=3)), max_size=3),
    SECTIONS | st.lists(SECTIONS, max_size=2),
)
def test_any_json_of_the_right_shape_is_taken_or_refused_by_element(
    equipment: list[dict[str, Any]], links: object
) -> None:
    page = parse_fleet_json(json.dumps({"Equipment": equipment, "Links": links}).encode())
    assert len(page.records) == len(equipment)
    for one in samples(page):
        assert one.latitude is None or -90 <= one.latitude <= 90
        assert one.operating_hours is None or 0 <= one.operating_hours <= 1e7


OBSERVATIONS = st.lists(
    st.builds(
        lambda kind, at: Observation(
            kind, Millis(EIGHT + at * 10_000), (1.0, float(at)) if kind is Kind.LOCATION else at
        ),
        st.sampled_from([Kind.OPERATING_HOURS, Kind.FUEL_USED, Kind.LOCATION, Kind.IDLE_HOURS]),
        st.integers(0, 30),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(OBSERVATIONS, st.randoms(use_true_random=False))
def test_samples_do_not_depend_on_the_order_of_elements(
    observations: list[Observation], chance: Any
) -> None:
    expected = samples_of(AempRecord(Header(), tuple(observations)), DEVICE, RECEIVED)
    chance.shuffle(observations)
    assert samples_of(AempRecord(Header(), tuple(observations)), DEVICE, RECEIVED) == expected
    keys = [(one.boot, one.seq) for one in expected]
    assert keys == sorted(set(keys))


def test_polling_twice_gives_the_same_keys_and_a_part_of_it_another() -> None:
    fuel = Observation(Kind.FUEL_USED, EIGHT, 5.0)
    both = AempRecord(Header(), (hours_at(EIGHT), fuel))
    (first,) = samples_of(both, DEVICE, RECEIVED)
    (again,) = samples_of(both, DEVICE, Millis(RECEIVED + 900_000))
    (part,) = samples_of(AempRecord(Header(), (hours_at(EIGHT),)), DEVICE, RECEIVED)
    (other,) = samples_of(AempRecord(Header(), (hours_at(EIGHT, 2.0), fuel)), DEVICE, RECEIVED)
    assert first.boot == again.boot
    assert first.boot != part.boot
    assert first.boot == other.boot
    assert first.operating_hours != other.operating_hours


def test_a_minute_apart_is_one_moment_and_more_is_two() -> None:
    location = Observation(Kind.LOCATION, Millis(EIGHT + 60_000), (1.0, 2.0))
    later = Observation(Kind.LOCATION, Millis(EIGHT + 60_001), (1.0, 2.0))
    (one,) = samples_of(AempRecord(Header(), (location, hours_at(EIGHT))), DEVICE, RECEIVED)
    assert one.at == EIGHT
    two = samples_of(AempRecord(Header(), (later, hours_at(EIGHT))), DEVICE, RECEIVED)
    assert [sample.latitude for sample in two] == [None, 1.0]


def test_of_several_engines_and_faults_none_is_lost() -> None:
    record = AempRecord(
        Header(),
        (
            Observation(Kind.ENGINE, EIGHT, True),
            Observation(Kind.ENGINE, Millis(EIGHT + 1), False),
            Observation(Kind.FAULT, EIGHT, "SPN100"),
            Observation(Kind.FAULT, EIGHT, "FMI3"),
        ),
    )
    (sample,) = samples_of(record, DEVICE, RECEIVED)
    assert sample.engine_on is True
    assert sample.faults == ("FMI3", "SPN100")


def test_a_machine_is_known_by_any_of_its_names_but_not_by_two_devices() -> None:
    header = Header(serial="S7", pin="P7", equipment_id="E7")
    assert device_of(header, {"S7": DEVICE}) == DEVICE
    assert device_of(header, {"P7": DEVICE, "E7": DEVICE}) == DEVICE
    assert device_of(header, {"other": DEVICE}) is None
    assert device_of(Header(), {"other": DEVICE}) is None
    with pytest.raises(AempInvalid, match="several devices: d1, d2"):
        device_of(header, {"P7": DEVICE, "S7": DeviceId("d2")})
