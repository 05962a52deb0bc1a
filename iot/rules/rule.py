"""What a rule is: it folds a machine's steps into its own memory, and says when something is up."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

import msgspec

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease, Model
from iot.state.step import Step
from iot.units import Millis


class Severity(IntEnum):
    """What the bank is asked to do: note it, contact the lessee, review the limit, stop it."""

    INFO = 1
    CONTACT = 2
    REVIEW = 3
    IMMOBILISE = 4


class Verdict(msgspec.Struct, frozen=True):
    """A rule's word on one machine: something is up (`raised`), or it is over.

    Attributes:
        rule: its name.
        raised: True opens (or renews) the alert of this machine and rule, False clears it.
        at: event time.
        severity: of what is up.
        value, threshold: what was measured and what it was held against, in `unit`.
        unit: such as 'h', 'L', 'km/h'.
        reason: one sentence for people, without positions.
    """

    rule: str
    raised: bool
    at: Millis
    severity: Severity
    value: float
    threshold: float
    unit: str
    reason: str


class Scene(msgspec.Struct, gc=False):
    """What a rule may look at beside the step: the lease and model of the machine, and the fence.

    Attributes:
        lease: that holds at the sample's time; None between leases.
        model: of the machine.
        outside_m: metres from the lease's zone, 0.0 inside; None without a fix or a zone.
    """

    lease: Lease | None
    model: Model
    outside_m: float | None


class Rule(Protocol):
    """One rule. It holds thresholds only; what it remembers of a machine is in `memory`.

    Its memory is a `msgspec.Struct` of plain values, so that it is stored between runs. `observe`
    and `expire` may change it, and nothing else. Both are pure beside that: the same steps in the
    same order give the same verdicts, always.
    """

    name: str
    memory: type[Any]
    """The struct of its memory, made without arguments for a new machine or a new lease."""

    def observe(self, memory: Any, step: Step, scene: Scene) -> Verdict | None:
        """Take one step in; a verdict, or None where nothing changed. Takes microseconds."""

    def due(self, memory: Any) -> Millis | None:
        """When `expire` is to be called if no step comes before; None: never."""

    def expire(self, memory: Any, now: Millis, last: Sample, scene: Scene) -> Verdict | None:
        """What the passing of time means at `now` >= `due`; `last` is the machine's last sample.
        Afterwards `due` is None or later than `now`."""
