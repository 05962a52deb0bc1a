"""What is known of one machine between samples."""

from __future__ import annotations

from typing import Any

import msgspec

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease, Model
from iot.state.order import Order
from iot.units import DeviceId, LeaseId, Millis

NEVER = Millis(2**62)


class Machine(msgspec.Struct, gc=False):
    """One device and what the rules remember of it.

    Attributes:
        number: its place in the fleet.
        order: of its samples.
        memories: of the rules, in the book's order; they belong to one lease.
        last: the latest sample in its order.
        lease_id: the lease that the memories belong to.
        due: when its timer runs.
        changed: since it was kept last.
        lease, known_lease, known_from, known_until: found anew from the fleet after a start.
    """

    device: DeviceId
    number: int
    model: Model
    order: Order
    memories: list[Any]
    last: Sample | None = None
    lease_id: LeaseId | None = None
    due: Millis = NEVER
    changed: bool = False
    lease: Lease | None = None
    known_lease: Lease | None = None
    known_from: Millis = NEVER
    known_until: Millis = Millis(0)
