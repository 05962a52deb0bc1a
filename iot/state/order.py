"""The order of one device's samples: duplicates, gaps, and what waits for an earlier one.

A device numbers what it sends: (boot, seq). A sample is handed on when all before it have been, so
that every later stage sees the device's own order whatever order they came in. One that comes
early waits, for `HOLD` at most; then what is missing is a gap, and the order goes on without it. A
sample that comes after that is late: it is stored and billed, but no rule sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from iot.codec.sample import Sample
from iot.units import MINUTE, Millis

HOLD: Final = 15 * MINUTE
"""How long a sample waits for an earlier one."""

MOST_HELD: Final = 4_096
"""How many samples of a device wait at most; then the order goes on without what is missing."""

MOST_GAPS: Final = 1_024
"""How many gaps of a device are kept; the oldest is forgotten first."""

MOST_BOOTS: Final = 64
"""Of how many earlier boots of a device the end is kept."""


class Arrival(IntEnum):
    """What a sample is, by its key."""

    IN_ORDER = 0
    EARLY = 1
    LATE = 2
    """Not in order any more. Where much was forgotten it may have come before: the database's key
    says so."""
    SEEN = 3


class Gap(msgspec.Struct, gc=False):
    """Messages of one boot that never came: first to last, both missing."""

    boot: int
    first: int
    last: int


class Order(msgspec.Struct, gc=False):
    """Where one device is. Plain values only, so that it is stored as it is.

    Attributes:
        boot, next_seq: what is expected; boot -1 before the first sample.
        first: where this device's order began here.
        ends: of earlier boots, the seq after the last that was handed on.
        held: samples that wait, by (boot, seq).
        oldest: when the first of those came that wait.
        gaps: what was given up waiting for, in order.
    """

    boot: int = -1
    next_seq: int = 1
    first: tuple[int, int] = (0, 0)
    ends: dict[int, int] = {}
    held: dict[tuple[int, int], Sample] = {}
    oldest: Millis = Millis(0)
    gaps: list[Gap] = []

    def take(self, sample: Sample) -> Arrival:
        """Say what a sample is, and advance over it if it is the expected one.

        IN_ORDER: hand it on, then whatever `ready` gives. EARLY: it is held. LATE: store it only.
        SEEN: its key was taken before.
        """
        boot, seq = sample.boot, sample.seq
        if boot == self.boot:
            if seq == self.next_seq:
                self.next_seq = seq + 1
                return Arrival.IN_ORDER
            if seq < self.next_seq:
                return Arrival.LATE if self._is_late(boot, seq) else Arrival.SEEN
        elif boot < self.boot:
            return Arrival.LATE if self._is_late(boot, seq) else Arrival.SEEN
        elif self.boot < 0 and boot <= 1 and seq == 1:
            # The first message of a new device: there is none before it.
            self.boot, self.first, self.next_seq = boot, (boot, seq), 2
            return Arrival.IN_ORDER
        key = (boot, seq)
        if key in self.held:
            return Arrival.SEEN
        if not self.held:
            self.oldest = sample.received
        self.held[key] = sample
        return Arrival.EARLY

    def ready(self, now: Millis) -> Iterator[Sample]:
        """Hand on what waits for nothing any more, in order: the expected sample is there, or the
        wait of the oldest one is over, or too many wait."""
        held = self.held
        while held:
            key = (self.boot, self.next_seq)
            sample = held.pop(key, None)
            if sample is None:
                if now < self.oldest + HOLD and len(held) <= MOST_HELD:
                    return
                sample = held.pop(min(held))
                self._skip_to(sample.boot, sample.seq)
            if sample.received == self.oldest and held:
                # What the one that has waited longest waits for is as late as it.
                self.oldest = Millis(min(one.received for one in held.values()))
            self.next_seq = sample.seq + 1
            yield sample

    def due(self) -> Millis | None:
        """When `ready` hands on something even if nothing more comes; None: nothing waits."""
        return Millis(self.oldest + HOLD) if self.held else None

    def through(self) -> tuple[int, int]:
        """The (boot, seq) up to which everything came or was given up."""
        return self.boot, self.next_seq - 1

    def missing(self) -> list[Gap]:
        """What to ask the device for again: gaps, and what the waiting ones wait for."""
        wanted = list(self.gaps)
        boot, seq = self.boot, self.next_seq
        for held_boot, held_seq in sorted(self.held):
            if held_boot != boot:
                boot, seq = held_boot, 1
            if held_seq > seq:
                wanted.append(Gap(boot, seq, held_seq - 1))
            seq = held_seq + 1
        return wanted

    def _skip_to(self, boot: int, seq: int) -> None:
        if self.boot < 0:
            # A device's history before we first heard of it is no gap.
            self.boot, self.first = boot, (boot, seq)
            return
        if boot != self.boot:
            self.ends[self.boot] = self.next_seq
            if len(self.ends) > MOST_BOOTS:
                del self.ends[min(self.ends)]
            self.boot, self.next_seq = boot, 1
        if seq > self.next_seq:
            self.gaps.append(Gap(boot, self.next_seq, seq - 1))
            del self.gaps[:-MOST_GAPS]

    def _is_late(self, boot: int, seq: int) -> bool:
        for number, gap in enumerate(self.gaps):
            if gap.boot == boot and gap.first <= seq <= gap.last:
                rest = [Gap(boot, gap.first, seq - 1), Gap(boot, seq + 1, gap.last)]
                self.gaps[number : number + 1] = [part for part in rest if part.first <= part.last]
                return True
        if (boot, seq) < self.first:
            return True
        # The tail of an earlier boot, or one that was forgotten.
        return boot != self.boot and seq >= self.ends.get(boot, 0)
