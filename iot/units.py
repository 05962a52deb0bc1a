"""Units of the room, as types: what is a device can't be passed where a lease belongs.

Hours, litres, kilometres, metres and degrees (WGS 84) are floats, as machines send them; money is
Decimal; times are whole milliseconds since 1970 in UTC.
"""

from __future__ import annotations

from typing import Final, NewType

DeviceId = NewType("DeviceId", str)
"""The name of one telemetry device, which is the name it logs in with."""

LesseeId = NewType("LesseeId", str)
"""The name of one lessee (a small firm), as the lessor's books have it."""

LeaseId = NewType("LeaseId", str)
"""The name of one lease: one machine, one lessee, from one day on."""

ModelId = NewType("ModelId", str)
"""The name of an equipment model, such as 'CAT-320'."""

ZoneId = NewType("ZoneId", str)
"""The name of a region in which a leased machine may work."""

RateCardId = NewType("RateCardId", str)
"""The name of a usage-based price list."""

Millis = NewType("Millis", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000
