"""Zones of the simulation: wavy polygons around a centre, each with metres of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely

from iot.geofence.distance import METRES_A_DEGREE
from iot.units import ZoneId
from simulations.fleet.segments import Floats

POINTS: Final = 40
_LEAST_RADIUS_M: Final = 1_800.0
_MOST_RADIUS_M: Final = 5_000.0
_WAVES: Final = ((2, 0.10), (3, 0.07), (5, 0.04))


@dataclass(frozen=True)
class District:
    """One zone.

    Attributes:
        latitude, longitude: of its centre, degrees.
        border: (x, y) in metres east and north of the centre, not closed; shape (points, 2).
        inner_m: within so many metres of the centre everything is inside.
    """

    zone: ZoneId
    latitude: float
    longitude: float
    border: Floats
    inner_m: float

    def degrees(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Latitudes and longitudes of places in metres; shapes as given."""
        scale = METRES_A_DEGREE * math.cos(math.radians(self.latitude))
        return self.latitude + y / METRES_A_DEGREE, self.longitude + x / scale

    def ring(self) -> tuple[tuple[float, float], ...]:
        """The border as a closed ring of (longitude, latitude)."""
        latitudes, longitudes = self.degrees(self.border[:, 0], self.border[:, 1])
        points = [
            (round(float(x), 6), round(float(y), 6))
            for x, y in zip(longitudes, latitudes, strict=True)
        ]
        return (*points, points[0])

    def metres_outside(self, x: float, y: float) -> float:
        """Metres from the border to a place outside; 0.0 inside."""
        return float(shapely.Polygon(self.border).distance(shapely.Point(x, y)))

    def outside(self, bearing: float, metres: float) -> tuple[float, float]:
        """A place (x, y) in a direction (radians) that is `metres` from the border, outside."""
        east, north = math.sin(bearing), math.cos(bearing)
        near, far = self.inner_m, 2 * _MOST_RADIUS_M + 2 * metres
        # Along a ray from the centre the distance rises once outside: halve until it fits.
        for _ in range(40):
            middle = (near + far) / 2
            if self.metres_outside(east * middle, north * middle) < metres:
                near = middle
            else:
                far = middle
        return east * far, north * far


def draw_districts(rng: np.random.Generator, count: int) -> tuple[District, ...]:
    """Draw `count` districts, spread over a country."""
    angles = np.arange(POINTS) * (2 * math.pi / POINTS)
    districts = []
    for number in range(count):
        waves = np.ones(POINTS)
        for times, height in _WAVES:
            waves += height * np.sin(times * angles + rng.uniform(0, 2 * math.pi))
        radius = rng.uniform(_LEAST_RADIUS_M, _MOST_RADIUS_M) * waves
        border = np.stack((radius * np.sin(angles), radius * np.cos(angles)), axis=1)
        districts.append(
            District(
                ZoneId(f"zone-{number:04d}"),
                round(float(rng.uniform(47.5, 54.5)), 5),
                round(float(rng.uniform(7.0, 14.0)), 5),
                border,
                float(radius.min()) * 0.98,
            )
        )
    return tuple(districts)
