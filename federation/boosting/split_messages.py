"""Splits and who goes left in them, as both sides of a boosted training exchange them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout
from federation.boosting.model_part import Split, check_left
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError, ProtocolError
from federation.proto.session_pb2 import Split as SplitMessage
from federation.proto.session_pb2 import SplitBits, SplitList, TreeOrder
from federation.session.machine import Send, Step, expect

Bits = npt.NDArray[np.bool_]
BITS_BYTES = 16 * 1024 * 1024  # of a message of split bits, unless a single split has more


def send_model(party: str, splits: Sequence[Split], trees: int) -> Send:
    """Tell a partner which of its splits are in the model of so many trees, by their numbers."""
    order = TreeOrder(tree=trees, model=split_list(splits))
    return Send(party, "tree_order", order)


def split_list(splits: Sequence[Split]) -> SplitList:
    """Splits as a message."""
    return SplitList(splits=[SplitMessage(feature=one.feature, left=one.left) for one in splits])


def receive_bits(
    party: str, part: str, splits: int, borrowers: int
) -> Generator[Step, object, Bits]:
    """A partner's bits of so many splits and borrowers (splits, borrowers).

    Raises:
        ProtocolError: they are of another part, or of other sizes.
    """
    row, bits = -(-borrowers // 8), np.empty((splits, borrowers), dtype=np.bool_)
    for first, last in bit_blocks(splits, borrowers):
        message, count = (yield from expect(party, SplitBits)), last - first
        if (message.part, message.splits, len(message.bits)) != (part, count, count * row):
            raise ProtocolError(
                f"{party} sent bits of {message.splits} splits for part '{message.part}' in "
                f"{len(message.bits)} bytes; {count} for '{part}' in {count * row} are right"
            )
        packed = np.frombuffer(message.bits, dtype=np.uint8).reshape(count, row)
        bits[first:last] = np.unpackbits(packed, axis=1, count=borrowers)
    return bits


def read_splits(message: SplitList, layout: BinLayout, label_party: str) -> tuple[Split, ...]:
    """Splits that arrived.

    Raises:
        ProtocolError: a feature or a set of bins that isn't there.
    """
    splits = []
    for one in message.splits:
        if one.feature >= len(layout.features):
            raise ProtocolError(
                f"{label_party} asks for a split of feature {one.feature}; there are "
                f"{len(layout.features)}"
            )
        left = tuple(one.left)
        try:
            check_left(left, layout.features[one.feature].bins, f"{label_party}'s split")
        except InputError as error:
            raise ProtocolError(str(error)) from None
        splits.append(Split(int(one.feature), left))
    return tuple(splits)


def read_model(
    message: SplitList,
    layout: BinLayout,
    label_party: str,
    party: str,
    settings: BoostedSettings,
) -> tuple[Split, ...]:
    """A party's splits of a whole model, as the model numbers them.

    Raises:
        ProtocolError: more splits than the agreed trees have, one that isn't there, or one that has
            two numbers.
    """
    most = settings.trees * (2**settings.depth - 1)
    if len(message.splits) > most:
        raise ProtocolError(
            f"{label_party}'s model has {len(message.splits)} splits of {party}'s; "
            f"{settings.trees} trees of depth {settings.depth} have {most} at most"
        )
    splits = read_splits(message, layout, label_party)
    if len(set(splits)) != len(splits):
        raise ProtocolError(f"{label_party}'s model has the same split of {party}'s twice")
    return splits


def send_bits(bits: Bits, label_party: str, part: str) -> Iterator[Send]:
    """Bits (splits, borrowers) as messages; one message even where there is no split."""
    for first, last in bit_blocks(*bits.shape):
        packed = np.packbits(bits[first:last], axis=1).tobytes()
        body = SplitBits(part=part, splits=last - first, bits=packed)
        yield Send(label_party, "split_bits", body)


def bit_blocks(splits: int, borrowers: int) -> list[tuple[int, int]]:
    """Splits by the message that their bits go in: first and one past the last."""
    size = max(1, BITS_BYTES // max(1, -(-borrowers // 8)))
    return [(first, min(first + size, splits)) for first in range(0, max(splits, 1), size)]
