"""What the coordinator of a horizontal run says to the process that carries it, and remembers.

The run itself is in `server`; everything here is plain data without secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.proto.secure_sum_pb2 import MaskedTotal


@dataclass(frozen=True)
class Ask:
    """Send each bank its order; the replies that come in time are sent back.

    Attributes:
        orders: by bank.
        what: they ask for, in words.
        awaited: banks whose replies are worth waiting for. The others were silent before: what they
            reply is taken if it comes while these are waited for.
    """

    orders: Mapping[str, bytes]
    what: str
    awaited: frozenset[str]


@dataclass(frozen=True)
class Note:
    """Something that people should see."""

    stage: str
    detail: str
    bank: str = ""


@dataclass(frozen=True)
class Transcript:
    """What the coordinator must remember to go on after it was stopped: nothing in it is secret.

    Attributes:
        run: its id.
        public_keys: of the banks of the roster.
        signatures: over them, as the banks made them.
        secure_sum: the state of the sums, as bytes; b"" before there is a key.
        totals: of every step that was summed.
        next_step: steps below it are used up.
        excluded: banks that were left out, and why.
        prepared_until: steps below it may have masks at some bank already.
        released: the last sum that banks were asked to unmask: phase, round and whose.
    """

    run: str
    public_keys: Mapping[str, bytes] = field(default_factory=dict)
    secure_sum: bytes = b""
    totals: tuple[MaskedTotal, ...] = ()
    next_step: int = 0
    excluded: Mapping[str, str] = field(default_factory=dict)
    prepared_until: int = 0
    released: tuple[str, int, tuple[str, ...]] = ("", 0, ())
    signatures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Keep:
    """Write this down before going on."""

    transcript: Transcript


Step = Ask | Note | Keep
Replies = Mapping[str, bytes]


@dataclass(frozen=True)
class Limits:
    """The coordinator's settings.

    Attributes:
        minimum_banks: fewer contributions are never summed.
        dropouts: banks that may fall silent in a step.
        sample_share: share of the banks that are asked for an update, (0, 1].
        most_steps: a run of more steps is stopped.
        block_steps: steps whose masks are prepared at once.
        tries: steps in a row that may fail, and orders in a row that a bank may be waited for in
            vain.
    """

    minimum_banks: int = 3
    dropouts: int = 1
    sample_share: float = 1.0
    most_steps: int = 1000
    block_steps: int = 64
    tries: int = 3


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as the coordinator knows it.

    Attributes:
        banks: that finished.
        model_digest: which all of them hold.
        rounds: of training that they counted.
        steps: that were summed.
        excluded: banks that were left out, and why.
        silent: steps that a bank did not answer in time, by bank.
    """

    banks: tuple[str, ...]
    model_digest: str
    rounds: int
    steps: int
    excluded: Mapping[str, str]
    silent: Mapping[str, int]
