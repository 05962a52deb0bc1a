"""One batch of messages, or one tick of the clock, as one transaction.

What came is stored, what the rules found is handed on, and what is known of the machines is kept,
all or nothing. Only then may the broker be told that a message arrived. After a failure the intake
is ahead of the database and must be made anew: it reads what was kept and folds what came after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from sqlalchemy.engine import Connection

from iot.codec.refusal import Reason, Refusal
from iot.codec.sample import Sample
from iot.fleet.fleet import Fleet
from iot.ingest.admission import Admission
from iot.monitor.monitor import Found, Monitor
from iot.state.order import Arrival
from iot.store.database import Database
from iot.store.keeping import MachineTable, SampleTable, set_aside
from iot.units import MINUTE, DeviceId, Millis

CHECKPOINT_SAMPLES: Final = 100_000
"""How many samples are folded again at a start, at most."""
_NEW: Final = Arrival.EARLY


class Message(NamedTuple):
    """What the broker handed over."""

    topic: str
    payload: bytes
    received: Millis


class Sink(Protocol):
    """What is told of verdicts, in the batch's own transaction."""

    def apply(self, connection: Connection, found: Sequence[Found], now: Millis) -> None: ...


class Taken(NamedTuple):
    """What became of a batch.

    Attributes:
        stored: rows that are new.
        repeated: messages that had come before, word for word.
        refused: messages that were set aside.
        devices: whose messages they were, for receipts and replay requests.
        recent: most readings are of the last minute: there is no backlog before them.
        found: verdicts.
    """

    stored: int
    repeated: int
    refused: int
    devices: frozenset[DeviceId]
    recent: bool
    found: list[Found]


class Intake:
    """Takes messages in.

    Args:
        database: of the samples.
        fleet: every device that may speak.
        monitor: of that fleet, fresh; it is brought to where the database is.
        sink: of verdicts; None: they are dropped (a monitor without rules has none).

    Raises:
        StoreUnavailable: the database can't be read.
        KeptInvalid: what was kept of a machine can't be read.
    """

    def __init__(
        self, database: Database, fleet: Fleet, monitor: Monitor, sink: Sink | None
    ) -> None:
        self._database = database
        self._monitor = monitor
        self._sink = sink
        self._admission = Admission(fleet)
        self._since_checkpoint = 0
        self.counts: Counter[str] = Counter()
        with database.transaction() as connection:
            self._table = SampleTable(connection)
            self._table.register(connection, list(fleet.devices))
            self._machines = MachineTable(self._table)
            self._catch_up(connection)

    @property
    def monitor(self) -> Monitor:
        return self._monitor

    def take(self, messages: Sequence[Message], now: Millis) -> Taken:
        """Take a batch in, durably.

        Raises:
            StoreUnavailable: nothing of the batch was stored; make the intake anew.
        """
        samples: list[Sample] = []
        sent: list[Message] = []
        refusals: list[Refusal] = []
        admit = self._admission.admit
        for message in messages:
            admitted = admit(*message)
            if isinstance(admitted, Sample):
                samples.append(admitted)
                sent.append(message)
            else:
                refusals.append(admitted)
        arrivals, found = self._monitor.take(samples)
        with self._database.transaction() as connection:
            new = [one for one, arrival in zip(samples, arrivals, strict=True) if arrival <= _NEW]
            stored = self._table.store(connection, new)
            repeated = 0
            if len(new) < len(samples):
                for sample, message, arrival in zip(samples, sent, arrivals, strict=True):
                    if arrival > _NEW:
                        same = self._table.same(connection, sample)
                        if same is None:
                            stored += self._table.store(connection, [sample])
                        elif same:
                            repeated += 1
                        else:
                            refusals.append(_reused(sample, message))
            set_aside(connection, refusals)
            self._hand_on(connection, found, now)
            self._since_checkpoint += len(messages)
            if self._since_checkpoint >= CHECKPOINT_SAMPLES:
                self._checkpoint(connection)
        self.counts.update(one.reason.value for one in refusals)
        self.counts["stored"] += stored
        self.counts["repeated"] += repeated
        spoke = frozenset(sample.device for sample in samples)
        recent = sum(sample.at > now - MINUTE for sample in samples) * 2 > len(samples)
        return Taken(stored, repeated, len(refusals), spoke, recent, found)

    def tick(self, now: Millis) -> list[Found]:
        """Run the timers that are due, and keep what they changed.

        Raises:
            StoreUnavailable: make the intake anew.
        """
        due = self._monitor.next_due()
        if due is None or due > now:
            return []
        found = self._monitor.advance(now)
        with self._database.transaction() as connection:
            self._hand_on(connection, found, now)
            states = self._monitor.changed(by_time_only=True)
            self._machines.keep(connection, states, all_changed=False)
        return found

    def checkpoint(self) -> None:
        """Keep what is known of all machines, so that the next start is quick."""
        with self._database.transaction() as connection:
            self._checkpoint(connection)

    def _hand_on(self, connection: Connection, found: Sequence[Found], now: Millis) -> None:
        if found and self._sink is not None:
            self._sink.apply(connection, found, now)

    def _checkpoint(self, connection: Connection) -> None:
        self._since_checkpoint = 0
        self._machines.keep(connection, self._monitor.changed(), all_changed=True)

    def _catch_up(self, connection: Connection) -> None:
        """Bring the monitor to where the database is. Verdicts of samples that are stored were
        handed on with them, and are dropped here."""
        known = self._monitor.machines
        begin, kept = self._machines.load(connection)
        through: dict[DeviceId, int] = {}
        for device, position, state in kept:
            if device in known:
                self._monitor.restore(device, state)
                through[device] = position
        batch: list[Sample] = []
        for position, sample in self._table.after(connection, begin):
            if sample.device in known and position > through.get(sample.device, 0):
                batch.append(sample)
                if len(batch) == 1_000:
                    self._monitor.take(batch)
                    batch.clear()
        self._monitor.take(batch)


def _reused(sample: Sample, message: Message) -> Refusal:
    detail = (
        f"Device '{sample.device}' sent message {sample.seq} of boot {sample.boot} before, with "
        "other content."
    )
    return Refusal(message.topic, message.payload, message.received, Reason.KEY_REUSED, detail)
