"""Distances on the globe between two positions, in metres.

A sphere of the mean radius (IUGG) stands for the Earth: at most 0.6 percent off the ellipsoid,
which is far below what a fix of some metres can tell.
"""

from __future__ import annotations

import math
from typing import Final

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius of the Earth, metres (IUGG)."""

METRES_A_DEGREE: Final = EARTH_RADIUS_M * math.pi / 180
"""Metres of one degree of latitude."""


def metres_between(
    latitude: float, longitude: float, other_latitude: float, other_longitude: float
) -> float:
    """Great-circle distance of two positions (degrees), metres, by the haversine formula."""
    first, second = math.radians(latitude), math.radians(other_latitude)
    across = math.sin(math.radians(other_longitude - longitude) / 2)
    up = math.sin((second - first) / 2)
    root = up * up + math.cos(first) * math.cos(second) * across * across
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, root)))
