"""The tank of a simulated machine."""

from __future__ import annotations

import numpy as np
import pytest

from iot.units import HOUR
from simulations.fleet.segments import Floats, Segments
from simulations.fleet.tank import Siphoning, keep_filled

TANK_L = 100.0


def shifts(count: int) -> Segments:
    """Three hours of work every ten."""
    start: Floats = (np.arange(count) * 10 * HOUR).astype(np.float64)
    zeros = np.zeros(count)
    return Segments(start, start + 3.0 * HOUR, np.ones(count, np.int64), zeros, zeros, zeros + 1)


@pytest.mark.parametrize("seed", range(8))
def test_what_thieves_leave_is_filled_up_before_the_work_that_would_empty_it(seed: int) -> None:
    segments, drained = shifts(40), np.full(40, 12.0)
    thefts = tuple(
        Siphoning((10.0 * n + 6) * HOUR, (10.0 * n + 6.2) * HOUR, 90.0) for n in (3, 9, 20)
    )
    tank = keep_filled(np.random.default_rng(seed), TANK_L, segments, drained, thefts)
    at = np.arange(0, 400 * HOUR, HOUR / 20)
    burnt = np.interp(
        at,
        np.stack((segments.start, segments.end), axis=1).ravel(),
        np.repeat(np.cumsum(drained), 2) - np.tile([12.0, 0.0], 40),
    )
    level = tank.first + tank.put_in(at) - burnt
    assert level.min() > 0.0
    assert level.max() <= TANK_L
    for theft, litres in zip(thefts, tank.siphoned, strict=True):
        put_in = tank.put_in(np.array([theft.start, theft.end]))
        assert put_in[0] - put_in[1] == pytest.approx(litres)
        assert litres > 0.0
