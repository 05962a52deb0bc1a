"""The ingest: messages from the broker, stored in batches, acknowledged after the commit.

One thread does it all, in turns. When the database is slower than the devices, acknowledgements
stay out and the broker holds back: nothing piles up here. Whatever fails, the connection is given
up and everything begins again from what is stored; the broker sends what was not acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iot.errors import StoreUnavailable
from iot.ingest.intake import Intake, Message
from iot.ingest.link import BrokerLink, BrokerSettings, BrokerUnavailable
from iot.ingest.quick_client import Delivery
from iot.ingest.receipts import Receipts
from iot.units import Millis

BATCH_MESSAGES: Final = 500
BATCH_SECONDS: Final = 0.2
"""A batch is stored when it has 500 messages, or this long after its first."""
TICK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = (0.5, 30.0)


def wall_clock() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass
class Progress:
    """What the ingest has done since it began; read by whoever shows it."""

    connected: bool = False
    received: int = 0
    acknowledged: int = 0
    alerts: int = 0
    failures: int = 0
    last_failure: str = ""


class IngestService:
    """Runs until it is told to stop.

    Args:
        settings: of the broker.
        open_intake: makes the intake anew from what is stored.
        clock: milliseconds of UTC.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        open_intake: Callable[[], Intake],
        clock: Callable[[], Millis] = wall_clock,
    ) -> None:
        self._settings = settings
        self._open_intake = open_intake
        self._clock = clock
        self.progress = Progress()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Take messages in until `stopped` says so; it is asked at least every second.

        Raises:
            TelemetryError: what is stored or configured can't be used, which no retry mends.
        """
        wait = RETRY_SECONDS[0]
        while not stopped():
            received = self.progress.received
            try:
                self._serve(stopped)
            except (BrokerUnavailable, StoreUnavailable) as error:
                self.progress.connected = False
                self.progress.failures += 1
                self.progress.last_failure = str(error)
                if self.progress.received > received:
                    wait = RETRY_SECONDS[0]
                until = time.monotonic() + wait
                while not stopped() and time.monotonic() < until:
                    time.sleep(min(0.2, wait))
                wait = min(2 * wait, RETRY_SECONDS[1])

    def _serve(self, stopped: Callable[[], bool]) -> None:
        intake = self._open_intake()
        link = BrokerLink(self._settings)
        receipts = Receipts()
        waiting: list[Delivery] = []
        # The clock must not speak before the backlog has: what became due while nobody looked is
        # due only if no message of that time says otherwise.
        drained = False
        try:
            link.connect()
            self.progress.connected = True
            first = next_tick = time.monotonic()
            while not stopped():
                patience = BATCH_SECONDS - (time.monotonic() - first) if waiting else TICK_SECONDS
                room = BATCH_MESSAGES - len(waiting)
                asked = time.monotonic()
                taken = link.poll(max(0.0, patience), room)
                if taken and not waiting:
                    first = time.monotonic()
                waiting += taken
                quiet = time.monotonic() - asked >= TICK_SECONDS
                drained = drained or (quiet and not waiting)
                overdue = time.monotonic() - first >= BATCH_SECONDS
                if len(waiting) >= BATCH_MESSAGES or (waiting and overdue):
                    drained = self._commit(intake, link, receipts, waiting) or drained
                    waiting = []
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + TICK_SECONDS
                    for topic, payload in receipts.due(self._clock()):
                        link.publish(topic, payload)
                    if drained:
                        self.progress.alerts += len(intake.tick(self._clock()))
            if waiting:
                self._commit(intake, link, receipts, waiting)
            intake.checkpoint()
        finally:
            self.progress.connected = False
            link.close()

    def _commit(
        self, intake: Intake, link: BrokerLink, receipts: Receipts, waiting: list[Delivery]
    ) -> bool:
        """Store and acknowledge; whether most of it was said just now."""
        now = self._clock()
        messages = [Message(topic, payload, now) for topic, payload, _ in waiting]
        taken = intake.take(messages, now)
        self.progress.received += len(waiting)
        self.progress.alerts += len(taken.found)
        machines = intake.monitor.machines
        receipts.heard(machines[name] for name in taken.devices)
        for topic, payload in receipts.due(now):
            link.publish(topic, payload)
        link.acknowledge(waiting)
        self.progress.acknowledged += len(waiting)
        return taken.recent
