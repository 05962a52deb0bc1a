"""Bytes of a private map's and a training's messages, as sent and at full width, to compare.

Payloads only, without envelopes and ids. At full width every word takes 8 bytes, as it would
without modulus switching.
"""

from __future__ import annotations

from federation.linear_maps.parameters import LatticeParameters
from federation.linear_maps.ring import RING_DEGREE
from federation.linear_maps.words import WORD_BYTES

SCORE_BYTES = 4


def message_bytes(parameters: LatticeParameters, rows: int) -> dict[str, int]:
    """Bytes of the whole hint and of one message of each other kind, as sent.

    Args:
        parameters: of the lattice map.
        rows: m, the rows of D that are sent.
    """
    columns = parameters.columns
    return {
        "hint_block": rows * RING_DEGREE * parameters.hint_bytes,
        "query": (RING_DEGREE + columns) * parameters.query_bytes,
        "answer": rows * parameters.answer_bytes,
        "sums": rows * parameters.sum_bytes,
        "partial_scores": columns * SCORE_BYTES + 2 * WORD_BYTES,
    }


def full_width_bytes(rows: int, columns: int) -> dict[str, int]:
    """The same at 8 bytes a word; `columns` is n."""
    words = {
        "hint_block": rows * RING_DEGREE,
        "query": RING_DEGREE + columns,
        "answer": rows,
        "sums": rows,
        "partial_scores": columns + 2,
    }
    return {kind: WORD_BYTES * count for kind, count in words.items()}
