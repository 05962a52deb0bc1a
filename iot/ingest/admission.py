"""Whether a message may come in: who sends it, for whom, and when it says it was.

Pure: topic, payload and the time of arrival give a sample or a refusal. The broker binds a device
to its topic already; the lessee in the topic and the times are checked here.
"""

from __future__ import annotations

from typing import Final

from iot.broker.access import ROOT
from iot.codec.refusal import Reason, Refusal
from iot.codec.sample import Sample
from iot.codec.wire import PayloadRefused, decode
from iot.fleet.fleet import Fleet, Lease
from iot.monitor.machine import NEVER
from iot.units import DAY, MINUTE, DeviceId, Millis

LARGEST_PAYLOAD: Final = 16_384
"""Bytes; a reading with everything in it has 600."""
AHEAD: Final = 5 * MINUTE
"""How far a device's clock may be ahead."""
BEHIND: Final = 400 * DAY
"""How old a reading may be: a device that spooled for a year, and not one that woke up in 1970."""
NO_LESSEE: Final = "_"
"""Stands in the topic of a machine that is let to nobody."""


class _Route:
    """What a topic stands for; the lease is kept for as long as it holds."""

    __slots__ = ("device", "lease", "lessee", "since", "until")

    def __init__(self, device: DeviceId, lessee: str) -> None:
        self.device = device
        self.lessee = lessee
        self.lease: Lease | None = None
        self.since: Millis = NEVER
        self.until: Millis = Millis(0)


class Admission:
    """Admits messages of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._routes: dict[str, _Route] = {}

    def admit(self, topic: str, payload: bytes, received: Millis) -> Sample | Refusal:
        """Give the sample of a message, or say why there is none."""
        route = self._routes.get(topic)
        if route is None:
            found = self._route(topic)
            if isinstance(found, tuple):
                return Refusal(topic, payload, received, *found)
            route = self._routes[topic] = found
        if len(payload) > LARGEST_PAYLOAD:
            detail = f"The payload has {len(payload):,} bytes; at most {LARGEST_PAYLOAD:,} may be."
            return Refusal(topic, payload, received, Reason.TOO_LARGE, detail)
        try:
            sample = decode(payload, route.device, received)
        except PayloadRefused as error:
            return Refusal(topic, payload, received, Reason.MALFORMED, str(error))
        at = sample.at
        if at > received + AHEAD:
            detail = f"The reading is of {at - received} ms after its arrival; {AHEAD} may be."
            return Refusal(topic, payload, received, Reason.FUTURE, detail)
        if at < received - BEHIND:
            detail = f"The reading is {(received - at) // DAY} days old; {BEHIND // DAY} may be."
            return Refusal(topic, payload, received, Reason.PAST, detail)
        if not route.since <= at < route.until:
            self._find_lease(route, at)
        if route.lessee != (NO_LESSEE if route.lease is None else route.lease.lessee):
            detail = f"Device '{route.device}' was not let to '{route.lessee}' at that time."
            return Refusal(topic, payload, received, Reason.OTHER_LESSEE, detail)
        return sample

    def _route(self, topic: str) -> _Route | tuple[Reason, str]:
        parts = topic.split("/")
        if len(parts) != 5 or parts[:2] != ROOT.split("/") or parts[4] != "reading":
            return Reason.TOPIC, f"The topic is not {ROOT}/<lessee>/<device>/reading."
        device = DeviceId(parts[3])
        if device not in self._fleet.devices:
            return Reason.UNKNOWN_DEVICE, "The fleet lists no such device."
        return _Route(device, parts[2])

    def _find_lease(self, route: _Route, at: Millis) -> None:
        route.lease = self._fleet.lease_at(route.device, at)
        if route.lease is None:
            route.since = route.until = at
        else:
            route.since = route.lease.start
            route.until = NEVER if route.lease.end is None else route.lease.end
