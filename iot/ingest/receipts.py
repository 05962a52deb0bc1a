"""What devices are told: up to where their messages are stored, and which ones are missing.

The broker's acknowledgement says that the broker has a message, which a crash can lose. A device
keeps what it sent until our receipt, and sends again what we ask for. Both are said at QoS 0 and
again later, so that losing one loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from iot.broker.access import ROOT
from iot.ingest.admission import NO_LESSEE
from iot.monitor.machine import Machine
from iot.state.order import Order
from iot.units import MINUTE, SECOND, DeviceId, Millis

RECEIPT_EVERY: Final = 5 * SECOND
REPLAY_AFTER: Final = 5 * SECOND
"""A message that is merely overtaken comes within seconds: asked for after that."""
REPLAY_EVERY: Final = MINUTE
MOST_RANGES: Final = 32


class Receipts:
    """Says what is due to devices, each at its own pace."""

    def __init__(self) -> None:
        self._told: dict[DeviceId, Millis] = {}
        self._asked: dict[DeviceId, Millis] = {}
        self._heard: dict[DeviceId, Machine] = {}
        self._encode = msgspec.json.Encoder().encode

    def heard(self, machines: Iterable[Machine]) -> None:
        """Note machines whose messages are committed."""
        for machine in machines:
            self._heard[machine.device] = machine

    def due(self, now: Millis) -> Iterator[tuple[str, bytes]]:
        """Topics and payloads for machines that were heard and not told since."""
        for device, machine in list(self._heard.items()):
            if now < self._told.get(device, Millis(0)) + RECEIPT_EVERY:
                continue
            del self._heard[device]
            self._told[device] = now
            yield self._topic(machine, "receipt"), self._encode(_receipt(machine.order))
            if machine.order.held or machine.order.gaps:
                yield from self._replay(machine, now)

    def _replay(self, machine: Machine, now: Millis) -> Iterator[tuple[str, bytes]]:
        order = machine.order
        if order.held and now < order.oldest + REPLAY_AFTER:
            return
        if now < self._asked.get(machine.device, Millis(0)) + REPLAY_EVERY:
            return
        missing = order.missing()[-MOST_RANGES:]
        if missing:
            self._asked[machine.device] = now
            ranges = [[gap.boot, gap.first, gap.last] for gap in missing]
            yield self._topic(machine, "replay"), self._encode({"missing": ranges})

    @staticmethod
    def _topic(machine: Machine, kind: str) -> str:
        lessee = NO_LESSEE if machine.lease is None else machine.lease.lessee
        return f"{ROOT}/{lessee}/{machine.device}/{kind}"


def _receipt(order: Order) -> dict[str, Any]:
    """Up to where everything is stored, and what is stored beyond."""
    boot, seq = order.through()
    receipt: dict[str, Any] = {"boot": boot, "through": seq}
    if order.held:
        ranges: list[list[int]] = []
        for held_boot, held_seq in sorted(order.held):
            if ranges and ranges[-1][0] == held_boot and ranges[-1][2] == held_seq - 1:
                ranges[-1][2] = held_seq
            else:
                ranges.append([held_boot, held_seq, held_seq])
        receipt["also"] = ranges[:MOST_RANGES]
    return receipt
