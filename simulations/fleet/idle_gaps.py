"""Where a machine gained no work hours for nearly a day or more: weekends count, whatever the
cause."""

from __future__ import annotations

import numpy as np

from iot.units import HOUR, DeviceId, Millis
from simulations.fleet.plan import Plan
from simulations.fleet.segments import Doing, Integers, Segments
from simulations.fleet.truth import Happening, Truth

LEAST_HOURS = 22.0
"""Shorter gaps are a night; the rule's own limit of 24 h lies well above."""


def idle_gaps(device: DeviceId, segments: Segments, metered: Integers, plan: Plan) -> list[Truth]:
    """Find the gaps in the metered work of a life.

    Args:
        metered: 1 where the hour meter counted; shape (segments,).
    """
    works = (segments.doing == Doing.WORKING) | (segments.doing == Doing.DRIVING)
    counted = np.flatnonzero(works & (metered == 1))
    starts = np.append(segments.start[counted], plan.end)
    ends = np.insert(segments.end[counted], 0, plan.start)
    # A life may begin before the run and end after it.
    starts, ends = np.minimum(starts, plan.end), np.maximum(ends, plan.start)
    hours = (starts - ends) / HOUR
    truths = []
    for place in np.flatnonzero(hours >= LEAST_HOURS):
        begin, end = float(ends[place]), float(starts[place])
        within = segments.within(begin, end)
        stood = bool((works[within] & (metered[within] == 0)).any())
        kind = Happening.IDLE_UNMETERED if stood else Happening.IDLE
        truths.append(
            Truth(device, kind, Millis(int(begin)), Millis(int(end)), hours[place].item())
        )
    return truths
