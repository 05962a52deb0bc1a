"""Embeddings and their gradients as messages: blocks, fixed point, masks, and what is refused.

An encoder's outputs lie within ±4 (a tanh), so that 32 bits hold the sum of any number of parties
that a session has. With two or more feature parties, pairwise masks (federation/masking.py, here
modulo 2^32) leave nothing but the sum of their embeddings to the label party.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Embeddings, Gradients
from federation.session.machine import Send, Step, expect
from federation.session.wire import pack_array, unpack_array

BOUND = 4.0  # magnitude that no number of a party's embedding exceeds
FRACTION_BITS = 16  # 1.5e-5 apart
BLOCK_BYTES = 4 * 1024 * 1024
# Of a log-loss's gradient by one number of an embedding; a network that gives more has diverged.
LARGEST_GRADIENT = 1000.0

Matrix = npt.NDArray[np.float32]


def send_embeddings(
    values: Matrix, masks: PairwiseMasks, label_party: str, training: str, part: str, exchange: int
) -> Generator[Step, object, None]:
    """A feature party's embeddings (n, k), masked, in blocks of rows.

    Raises:
        ValueError: one is not finite or beyond ±BOUND.
    """
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > BOUND:
        raise ValueError(f"embeddings must be finite and within ±{BOUND:g}")
    words = np.rint(values.astype(np.float64) * 2.0**FRACTION_BITS).astype(np.int64).view(np.uint64)
    mask = masks.mask(words.size, f"{training}/embeddings {part}/{exchange}").reshape(words.shape)
    masked = (words + mask).astype(np.uint32)  # modulo 2^64 and so modulo 2^32
    for first, last in _blocks(*values.shape):
        body = Embeddings(
            exchange=exchange,
            part=part,
            first=first,
            rows=last - first,
            values=pack_array(masked[first:last], "<u4"),
        )
        yield Send(label_party, "embeddings", body)


def receive_embeddings(
    parties: Sequence[str], part: str, exchange: int, rows: int, size: int
) -> Generator[Step, object, Matrix]:
    """The sum of all feature parties' embeddings (rows, size).

    Raises:
        ProtocolError: a block is out of turn or of another size, or the sum is out of range.
    """
    total = np.zeros((rows, size), dtype=np.uint32)
    for party in parties:
        taken = 0
        while taken < rows or (rows == 0 and taken == 0):
            message = yield from expect(party, Embeddings)
            _check_place(party, "embeddings", message, exchange, taken, rows)
            if message.part != part:
                raise ProtocolError(
                    f"{party} sent embeddings of part '{message.part}'; part '{part}' is right"
                )
            what = f"the embeddings of {party}"
            block = unpack_array(message.values, "<u4", (message.rows, size), what)
            total[taken : taken + message.rows] += block.astype(np.uint32)
            taken += message.rows
            if rows == 0:
                break
    values = total.view(np.int32).astype(np.float64) / 2.0**FRACTION_BITS
    if np.abs(values).max(initial=0.0) > BOUND * len(parties) + 1e-3:
        raise ProtocolError(
            f"the embeddings of {', '.join(parties)} add up to more than ±{BOUND * len(parties):g}"
            ", which no encoder gives: one of them is damaged or masked for another session"
        )
    return values.astype(np.float32)


def send_gradients(
    values: Matrix, parties: Sequence[str], exchange: int
) -> Generator[Step, object, None]:
    """The label party's gradients (n, k), the same to every feature party."""
    for party in parties:
        for first, last in _blocks(*values.shape):
            body = Gradients(
                exchange=exchange,
                first=first,
                rows=last - first,
                values=pack_array(values[first:last], "<f4"),
            )
            yield Send(party, "gradients", body)


def receive_gradients(
    label_party: str, exchange: int, rows: int, size: int
) -> Generator[Step, object, Matrix]:
    """The gradients (rows, size) at the embeddings of an exchange.

    Raises:
        ProtocolError: a block is out of turn or of another size, or a number is not one that a
            log-loss has.
    """
    gradients = np.empty((rows, size), dtype=np.float32)
    taken = 0
    while taken < rows:
        message = yield from expect(label_party, Gradients)
        _check_place(label_party, "gradients", message, exchange, taken, rows)
        what = f"the gradients of {label_party}"
        block = unpack_array(message.values, "<f4", (message.rows, size), what)
        if not (np.abs(block) <= LARGEST_GRADIENT).all():  # NaN fails too
            raise ProtocolError(
                f"{what} hold a number that is not finite or beyond ±{LARGEST_GRADIENT:g}"
            )
        gradients[taken : taken + message.rows] = block
        taken += message.rows
    return gradients


def _check_place(
    party: str, what: str, message: Embeddings | Gradients, exchange: int, taken: int, rows: int
) -> None:
    if message.exchange != exchange:
        raise ProtocolError(
            f"{party} sent {what} of exchange {message.exchange}; those of exchange {exchange} are "
            "due"
        )
    least = 0 if rows == 0 else 1
    if message.first != taken or not least <= message.rows <= rows - taken:
        raise ProtocolError(
            f"{party} sent {what} of {message.rows} borrowers from {message.first}; up to "
            f"{rows - taken} from {taken} are right"
        )


def _blocks(rows: int, size: int) -> Iterator[tuple[int, int]]:
    step = max(1, BLOCK_BYTES // (4 * size))
    for first in range(0, max(rows, 1), step):
        yield first, min(first + step, rows)
