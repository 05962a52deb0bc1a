"""What devices are told: up to where their messages are stored, and which ones are missing.

The broker's acknowledgement says that the broker has a message, which a crash can lose. A device
keeps what it sent until our receipt, and sends again what we ask for. Both are said at QoS 0 and
again later, so that losing one loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from iot.ingest.admission import NO_LESSEE, ROOT
from iot.monitor.machine import Machine
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
        self._encode = msgspec.json.Encoder().encode

    def due(self, machines: Iterable[Machine], now: Millis) -> Iterator[tuple[str, bytes]]:
        """Topics and payloads for machines that spoke and are committed."""
        for machine in machines:
            device = machine.device
            if now >= self._told.get(device, Millis(0)) + RECEIPT_EVERY:
                self._told[device] = now
                boot, seq = machine.order.through()
                yield self._topic(machine, "receipt"), self._encode({"boot": boot, "through": seq})
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
