"""Metres from the zone of a lease, for many fixes at once.

shapely's prepared polygons answer 'inside?' for a whole batch in C, each fix against its own zone;
only fixes outside cost a search for the nearest border point, and the distance to that point is
the great circle's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from iot.fleet.fleet import Fleet, Lease
from iot.geofence.distance import EARTH_RADIUS_M
from iot.geofence.region import Region, region_of
from iot.units import Millis, ZoneId

_HALF: Final = 180.0
_Floats = npt.NDArray[np.float64]


class Fences:
    """The zones of a fleet, checked and prepared; thousands of them cost no more per fix than one.

    Raises:
        FleetInvalid: a zone is no simple polygon on the globe.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._since: dict[ZoneId, list[Millis]] = {}
        self._first: dict[ZoneId, int] = {}
        regions: list[Region] = []
        for name, versions in fleet.zones.items():
            self._since[name] = [version.since for version in versions]
            self._first[name] = len(regions)
            regions += [region_of(version) for version in versions]
        self._shapes = np.array([region.shape for region in regions], dtype=object)
        self._longitudes = np.array([region.longitude for region in regions], dtype=np.float64)
        self._scales = np.array([region.scale for region in regions], dtype=np.float64)

    def outside_m(
        self,
        leases: Sequence[Lease | None],
        ats: Sequence[Millis],
        latitudes: _Floats,
        longitudes: _Floats,
    ) -> _Floats:
        """How far each fix is outside its lease's zone, metres; on the border is inside.

        Args:
            leases: of each fix; None between leases.
            ats: event times, which decide the version of the zone.
            latitudes, longitudes: degrees, NaN without a fix; shape (fixes,).

        Returns:
            Shape (fixes,): 0.0 inside; NaN without a fix, a lease, a zone, or a version yet.
        """
        outside = np.full(len(leases), np.nan)
        # The index of each fix's region, -1 where nothing is to be said.
        which = np.fromiter(map(self._region_at, leases, ats), np.intp, count=len(leases))
        known = np.flatnonzero((which >= 0) & np.isfinite(latitudes) & np.isfinite(longitudes))
        if known.size == 0:
            return outside
        which = which[known]
        shapes, scales = self._shapes[which], self._scales[which]
        # The nearer way round: a fix just over the antimeridian is near a zone on its other side.
        east = (longitudes[known] - self._longitudes[which] + _HALF) % (2 * _HALF) - _HALF
        x, y = east * scales, latitudes[known]
        inside = shapely.intersects_xy(shapes, x, y)
        outside[known[inside]] = 0.0
        away = np.flatnonzero(~inside)
        if away.size:
            outside[known[away]] = _metres(shapes[away], x[away], y[away], scales[away])
        return outside

    def _region_at(self, lease: Lease | None, at: Millis) -> int:
        if lease is None or lease.zone is None:
            return -1
        version = bisect_right(self._since[lease.zone], at)
        return self._first[lease.zone] + version - 1 if version else -1


def _metres(shapes: npt.NDArray[np.object_], x: _Floats, y: _Floats, scales: _Floats) -> _Floats:
    """Metres from points to their shapes' nearest border points.

    The plane picks the border point, the sphere measures: a slightly wrong pick costs an error of
    second order only, and never a distance that is too short.
    """
    lines = shapely.shortest_line(shapes, shapely.points(x, y))
    border = shapely.get_coordinates(lines)[::2]
    first, second = np.radians(y), np.radians(border[:, 1])
    across = np.sin(np.radians((border[:, 0] - x) / scales) / 2)
    up = np.sin((second - first) / 2)
    root = up * up + np.cos(first) * np.cos(second) * across * across
    metres: _Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, root)))
    return metres
