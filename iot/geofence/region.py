"""One version of a zone, checked and laid out in a plane, so that a fix is looked up in it fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from iot.errors import FleetInvalid
from iot.fleet.fleet import Zone

_LEAST_POINTS: Final = 4  # a triangle, closed
_MOST_LATITUDE: Final = 85.0
_MOST_WIDTH: Final = 180.0


@dataclass(frozen=True)
class Region:
    """A zone in its own plane: x = (longitude - `longitude`) * `scale`, y = latitude, degrees.

    The scale is the cosine of the zone's middle latitude (the equirectangular projection), so that
    what is nearest in the plane is nearest on the ground but for the change of that cosine over
    the zone. A border runs straight from point to point in longitude and latitude, as maps of
    fences draw it; the projection keeps that, so inside is exact.

    Attributes:
        shape: polygons, prepared.
        longitude: of the middle, degrees.
        scale: degrees of latitude to one degree of longitude.
    """

    shape: BaseGeometry
    longitude: float
    scale: float


def region_of(zone: Zone) -> Region:
    """Check a zone's rings and prepare them.

    Raises:
        FleetInvalid: a ring is open, too short, crosses itself, has no area, leaves the globe,
            comes nearer than 5 degrees to a pole, or the zone lies across the antimeridian.
    """
    where = f"Zone '{zone.id}' version {zone.version}"
    if not zone.rings:
        raise FleetInvalid(f"{where} has no ring; it needs at least one polygon.")
    for number, ring in enumerate(zone.rings, 1):
        _check_ring(ring, f"{where}, ring {number},")
    longitudes = [longitude for ring in zone.rings for longitude, _ in ring]
    latitudes = [latitude for ring in zone.rings for _, latitude in ring]
    west, east = min(longitudes), max(longitudes)
    if east - west >= _MOST_WIDTH:
        raise FleetInvalid(
            f"{where} reaches over 180 degrees of longitude or more; one that lies across the "
            "antimeridian must be split into two zones, one on each side."
        )
    middle = (west + east) / 2
    scale = math.cos(math.radians((min(latitudes) + max(latitudes)) / 2))
    polygons = []
    for number, ring in enumerate(zone.rings, 1):
        polygon = shapely.Polygon([((x - middle) * scale, y) for x, y in ring])
        # The reason that shapely gives names the spot; a position belongs in no message.
        if not shapely.is_valid(polygon) or polygon.area <= 0.0:
            raise FleetInvalid(
                f"{where}, ring {number}, crosses or touches itself or has no area; "
                "it must be a simple polygon."
            )
        polygons.append(polygon)
    shape = polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)
    shapely.prepare(shape)
    return Region(shape, middle, scale)


def _check_ring(ring: tuple[tuple[float, float], ...], where: str) -> None:
    if len(ring) < _LEAST_POINTS:
        raise FleetInvalid(
            f"{where} has {len(ring)} points; a polygon needs at least {_LEAST_POINTS}, "
            "the last like the first."
        )
    for number, (longitude, latitude) in enumerate(ring, 1):
        if not (math.isfinite(longitude) and math.isfinite(latitude)):
            raise FleetInvalid(f"{where} point {number} is not a pair of numbers.")
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise FleetInvalid(
                f"{where} point {number} is off the globe; points are (longitude, latitude), "
                "-180 to 180 and -90 to 90 degrees."
            )
        if abs(latitude) > _MOST_LATITUDE:
            raise FleetInvalid(
                f"{where} point {number} is nearer than 5 degrees to a pole, where zones are not "
                "supported."
            )
    if ring[0] != ring[-1]:
        raise FleetInvalid(f"{where} is open; its last point must be its first.")
