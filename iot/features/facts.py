"""What is known before the cut, in columns: one array a column, one position a row.

Lessees and leases are codes: positions in `Facts.lessees` and in the columns of `Leases`. Days are
counted from 1970; what is missing is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iot.units import LesseeId, Millis

Integers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leases:
    """Leases that began before the cut.

    Attributes:
        lessee, device, model: codes.
        first_day, end_day: their machine-days, the end excluded; none is on or after the cut.
        runs: whether it held right before the cut.
        start: milliseconds.
        shift_hours: a day.
    """

    lessee: Integers
    device: Integers
    model: Integers
    first_day: Integers
    end_day: Integers
    runs: Flags
    start: Integers
    shift_hours: Values


@dataclass(frozen=True)
class LeasedDays:
    """Machine-days that were heard, of leases; as `iot.archive.machine_day` has them.

    Attributes:
        off_hours: work hours outside the lease's shift; missing where work hours are.
    """

    lease: Integers
    day: Integers
    samples: Values
    readings: Values
    operating_hours: Values
    idle_hours: Values
    work_hours: Values
    fuelled_hours: Values
    fuelled_l: Values
    coverage_minutes: Values
    tampers: Values
    fault_codes: Values
    off_hours: Values


@dataclass(frozen=True)
class Sites:
    """Hours that a lessee's machines were heard in a cell; the cells have no names here."""

    lessee: Integers
    hours: Values


@dataclass(frozen=True)
class Facts:
    """All facts before the cut.

    Attributes:
        cut: midnight UTC.
        lessees: all that the fleet names, in order of their names.
        sites: by window in days.
    """

    cut: Millis
    lessees: tuple[LesseeId, ...]
    leases: Leases
    days: LeasedDays
    sites: Mapping[int, Sites]
