"""A message that was set aside, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from iot.units import Millis


class Reason(StrEnum):
    """Why a message was set aside, as the counts show it."""

    TOPIC = "topic"
    UNKNOWN_DEVICE = "unknown-device"
    OTHER_LESSEE = "other-lessee"
    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    FUTURE = "future"
    PAST = "past"
    KEY_REUSED = "key-reused"


class Refusal(NamedTuple):
    """A message that was set aside: it lies in the quarantine with its reason."""

    topic: str
    payload: bytes
    received: Millis
    reason: Reason
    detail: str
