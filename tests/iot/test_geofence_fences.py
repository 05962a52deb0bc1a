"""Metres outside a zone, against a brute force that shares no code with it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.errors import FleetInvalid
from iot.fleet.fleet import Fleet, Lease, Zone
from iot.geofence.distance import metres_between
from iot.geofence.fences import Fences
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ZoneId

Ring = tuple[tuple[float, float], ...]


def square(longitude: float, latitude: float, half: float = 0.01) -> Ring:
    """Degrees to each side of the middle."""
    west, east = longitude - half, longitude + half
    south, north = latitude - half, latitude + half
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def star(longitude: float, latitude: float, radii: list[float]) -> Ring:
    turn = 2 * math.pi / len(radii)
    points = [
        (longitude + r * math.cos(n * turn), latitude + r * math.sin(n * turn))
        for n, r in enumerate(radii)
    ]
    return (*points, points[0])


def zone(name: str, *rings: Ring, version: int = 1, since: int = 0) -> Zone:
    return Zone(ZoneId(name), version, Millis(since), rings)


def fences(*zones: Zone) -> Fences:
    named: dict[ZoneId, tuple[Zone, ...]] = {}
    for one in zones:
        named[one.id] = (*named.get(one.id, ()), one)
    return Fences(Fleet({}, {}, {}, named))


def lease(name: str | None) -> Lease:
    where = ZoneId(name) if name is not None else None
    return Lease(
        LeaseId("lease"), DeviceId("device"), LesseeId("firm"), Millis(0), None, where, None
    )


def one(fence: Fences, latitude: float, longitude: float, at: int = 1, name: str = "a") -> float:
    found = fence.outside_m(
        [lease(name)], [Millis(at)], np.array([latitude]), np.array([longitude])
    )
    return float(found[0])


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    """(longitude, latitude) to (longitude, latitude), written down once more."""
    (x, y), (u, v) = ((math.radians(p), math.radians(q)) for p, q in (a, b))
    half = math.sin((v - y) / 2) ** 2 + math.cos(y) * math.cos(v) * math.sin((u - x) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def brute(ring: Ring, longitude: float, latitude: float, parts: int = 4_000) -> float:
    """The nearest of thousands of points along the border."""
    return min(
        haversine(
            (x + (u - x) * k / parts, y + (v - y) * k / parts),
            (longitude, latitude),
        )
        for (x, y), (u, v) in pairwise(ring)
        for k in range(parts)
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    latitude=st.floats(-70, 70),
    radii=st.lists(st.floats(0.005, 0.05), min_size=3, max_size=8),
    angle=st.floats(0, 2 * math.pi),
    away=st.floats(0.06, 0.3),
)
def test_metres_outside_are_those_of_a_brute_force(
    latitude: float, radii: list[float], angle: float, away: float
) -> None:
    ring = star(8.0, latitude, radii)
    x, y = 8.0 + away * math.cos(angle), latitude + away * math.sin(angle)
    expected = brute(ring, x, y)
    # Half a percent of the way, and the brute force's own steps.
    assert one(fences(zone("a", ring)), y, x) == pytest.approx(expected, rel=5e-3, abs=2.0)


def test_metres_near_the_border_are_right_to_the_metre() -> None:
    fence = fences(zone("a", square(8.0, 60.0)))
    for metres in (5.0, 50.0, 500.0):
        north = 60.01 + metres / 111_195.08
        assert one(fence, north, 8.0) == pytest.approx(metres, abs=0.01)
        east = 8.01 + metres / (111_195.08 * math.cos(math.radians(60.0)))
        assert one(fence, 60.0, east) == pytest.approx(metres, rel=1e-3)


def test_inside_and_on_the_border_is_zero() -> None:
    fence = fences(zone("a", square(8.0, 50.0)))
    assert one(fence, 50.0, 8.0) == 0.0
    assert one(fence, 50.01, 8.0) == 0.0
    assert one(fence, 50.0101, 8.0) > 10.0


def test_a_zone_of_two_rings_is_their_union() -> None:
    fence = fences(zone("a", square(8.0, 50.0), square(8.015, 50.0), square(9.0, 50.0)))
    assert [one(fence, 50.0, x) for x in (8.0, 8.0125, 8.02, 9.0)] == [0.0] * 4
    assert one(fence, 50.0, 8.5) > 30_000


def test_each_fix_of_a_batch_is_held_against_its_own_zone_and_version() -> None:
    fence = fences(
        zone("a", square(8.0, 50.0), since=100),
        zone("a", square(9.0, 50.0), version=2, since=200),
        zone("b", square(10.0, 50.0)),
    )
    names: list[str | None] = ["a", "a", "a", "a", "b", "b", None]
    leases = [*(lease(name) for name in names), None]
    ats = [Millis(at) for at in (99, 100, 199, 200, 1, 1, 1, 1)]
    longitudes = np.array([8.0, 8.0, 8.0, 8.0, 10.0, np.nan, 8.0, 8.0])
    latitudes = np.full(8, 50.0)
    found = fence.outside_m(leases, ats, latitudes, longitudes)
    assert np.isnan(found[[0, 5, 6, 7]]).all()
    assert (found[[1, 2, 4]] == 0.0).all()
    assert found[3] == pytest.approx(metres_between(50.0, 8.0, 50.0, 8.99), rel=1e-3)


def test_a_fix_beyond_the_antimeridian_is_near_a_zone_before_it() -> None:
    fence = fences(zone("a", square(179.9, -17.0)))
    expected = haversine((179.91, -17.0), (-179.99, -17.0))
    assert one(fence, -17.0, -179.99) == pytest.approx(expected, rel=1e-3)


def test_a_fleet_without_zones_and_an_empty_batch() -> None:
    assert fences().outside_m([], [], np.array([]), np.array([])).size == 0
    assert np.isnan(fences().outside_m([None], [Millis(1)], np.array([1.0]), np.array([1.0]))).all()


BOW_TIE = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("rings", "says"),
    [
        ((), "has no ring"),
        (((),), "has 0 points"),
        ((square(0.0, 0.0)[:3],), "has 3 points"),
        ((square(0.0, 0.0)[:4],), "is open"),
        ((BOW_TIE,), "crosses or touches itself"),
        ((((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 0.0)),), "has no area"),
        ((square(0.0, 0.0), square(0.0, 89.0)), "ring 2, point 1 is nearer than 5 degrees"),
        ((((0.0, 0.0), (181.0, 0.0), (1.0, 1.0), (0.0, 0.0)),), "point 2 is off the globe"),
        ((((0.0, 0.0), (1.0, math.nan), (1.0, 1.0), (0.0, 0.0)),), "is not a pair of numbers"),
        ((((179.0, 0.0), (-179.0, 0.0), (-179.0, 1.0), (179.0, 0.0)),), "antimeridian"),
        ((square(179.5, 0.0), square(-179.5, 0.0)), "antimeridian"),
    ],
)
def test_what_is_no_polygon_is_refused_and_named(rings: tuple[Ring, ...], says: str) -> None:
    with pytest.raises(FleetInvalid, match=r"Zone 'a' version 1.*") as refused:
        fences(zone("a", *rings))
    assert says in str(refused.value)
