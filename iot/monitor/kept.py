"""A machine as bytes and back: MessagePack, with every rule's memory under the rule's name."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from iot.codec.sample import Sample
from iot.errors import TelemetryError
from iot.monitor.machine import Machine
from iot.rules.rule import Rule
from iot.state.order import Order
from iot.units import LeaseId

FORMAT = 1


class KeptInvalid(TelemetryError):
    """What was kept of a machine can't be read."""


class _Kept(msgspec.Struct, array_like=True):
    format: int
    order: Order
    last: Sample | None
    lease_id: LeaseId | None
    memories: dict[str, msgspec.Raw]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)


def to_bytes(machine: Machine, rules: Sequence[Rule]) -> bytes:
    """Write what a start needs of a machine. `rules` are those of its memories, in their order."""
    memories = {
        rule.name: msgspec.Raw(_encoder.encode(memory))
        for rule, memory in zip(rules, machine.memories, strict=True)
    }
    kept = _Kept(FORMAT, machine.order, machine.last, machine.lease_id, memories)
    return _encoder.encode(kept)


def into(machine: Machine, state: bytes, rules: Sequence[Rule]) -> None:
    """Put what was kept into a machine. A rule that was not there then begins anew; the memory of
    one that is gone is dropped.

    Raises:
        KeptInvalid: the bytes are not what `to_bytes` wrote, or a rule's memory has changed its
            form.
    """
    try:
        kept = _decoder.decode(state)
        if kept.format != FORMAT:
            raise KeptInvalid(
                f"The state of device '{machine.device}' is of format {kept.format}, not {FORMAT}: "
                "replay the samples."
            )
        memories = [
            msgspec.msgpack.decode(kept.memories[rule.name], type=rule.memory)
            if rule.name in kept.memories
            else rule.memory()
            for rule in rules
        ]
    except msgspec.MsgspecError as error:
        raise KeptInvalid(
            f"The state of device '{machine.device}' can't be read ({error}): replay the samples."
        ) from None
    machine.order, machine.last, machine.lease_id = kept.order, kept.last, kept.lease_id
    machine.memories = memories
