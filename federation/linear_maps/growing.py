"""A lattice map whose matrix grows: every level of a tree has rows of its own, one query for all.

In the direction to the owner. The feature party takes one encrypted query of several vectors a tree
and answers it for each level's rows under a hint made for these rows: H = (R | D)·A + E with fresh
R and E, so every hint row is a ring-LWE sample of its own, as in the map that does not change. The
public matrix A is the same throughout: both parties drew its seed together, once.
Rows may hold any number of borrowers up to a half: R hides even a row of one from the label party,
and what sums over few say of the labels is for the caller to bound.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, ProtocolError
from federation.linear_maps.encryption import encrypt
from federation.linear_maps.interface import Direction
from federation.linear_maps.lattice import (
    NONCE_BYTES,
    agreement,
    lift,
    packed_residues,
    public_seed,
    residues_of,
    unpacked_residues,
)
from federation.linear_maps.lattice_feature import hint_blocks
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.parameters import choose_parameters
from federation.linear_maps.randomness import ternary, uniform_residues
from federation.linear_maps.ring import RING_DEGREE, PublicMatrix
from federation.linear_maps.vectors import check_vectors, vectors_of
from federation.linear_maps.words import PackedWords, ternary_times
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums

SCHEME = "growing lattice"
# Of one level: its hint stays below 128 MiB.
MOST_LEVEL_ROWS = 1 << 13


class GrowingFeatureSide:
    """Holds the levels' matrices; answers one retained query after the other.

    Args:
        columns: n, borrowers.
        value_bound: largest |v| that both parties agreed on.
        context: bytes that bind the map to its session and pair of parties.
        cores: threads that make the hints.
    """

    def __init__(self, columns: int, value_bound: int, context: bytes, cores: int = 1) -> None:
        """Nothing is agreed yet."""
        self.parameters = choose_parameters(columns, value_bound, 0, Direction.TO_OWNER)
        self._value_bound = value_bound
        self._context = agreement(context, Direction.TO_OWNER, value_bound, 0)
        self._cores = cores
        self._offer = MapOffer(scheme=SCHEME, columns=columns, nonce=os.urandom(NONCE_BYTES))
        self._public: PublicMatrix | None = None
        self._received: PackedWords | None = None
        self._seen: set[int] = set()
        self._answers = 0
        self._level: tuple[OneHotMatrix, npt.NDArray[np.int8]] | None = None
        self._masks: dict[int, tuple[OneHotMatrix, npt.NDArray[np.uint64]]] = {}

    def offer(self) -> MapOffer:
        """Size and nonce; there are no rows yet."""
        return self._offer

    def accept(self, seed: MapSeed) -> None:
        """Take the label party's nonce."""
        if self._public is not None:
            raise ProtocolError("a second seed came for the same map")
        drawn = public_seed(self._context, self._offer, seed)
        self._public = PublicMatrix(drawn, self.parameters.columns)

    def take(self, query: Query) -> int:
        """Keep a query to answer for the levels that come; returns its number of vectors.

        Raises:
            ProtocolError: a repeated id, or not the agreed size.
        """
        count, what = vectors_of(query), f"query {query.query_id}"
        ids = range(query.query_id, query.query_id + count)
        if not self._seen.isdisjoint(ids):
            raise ProtocolError(f"{what} was repeated; every query needs a fresh id")
        length, size = RING_DEGREE + self.parameters.columns, self.parameters.query_bytes
        self._received = PackedWords.several_from_bytes(
            query.ciphertext, count, (length,), size, what
        )
        self._seen.update(ids)
        return count

    def level(self, matrix: OneHotMatrix) -> Iterator[HintBlock]:
        """The hint of a level's rows, in blocks; then `answer` answers for them, once.

        Raises:
            InputError: another number of borrowers, too many rows, or one of more than a half.
        """
        if self._public is None:
            raise ProtocolError("a level's rows need the map's seed first")
        columns, rows, widest = matrix.columns, matrix.rows, matrix.weights.max(initial=0)
        if columns != self.parameters.columns or rows > MOST_LEVEL_ROWS or widest > columns // 2:
            raise InputError(
                f"a level of {rows} rows of up to {widest} of {columns} borrowers does not fit the "
                f"map, which takes {MOST_LEVEL_ROWS} rows of up to a half of "
                f"{self.parameters.columns} borrowers"
            )
        blinding = ternary(matrix.rows * RING_DEGREE).reshape(matrix.rows, RING_DEGREE)
        self._level = matrix, blinding
        return hint_blocks(self._public, matrix, blinding, self.parameters, self._cores)

    def answer(self) -> Answer:
        """r = (R | D)·b + f + Δ·μ of every vector of the query, for the level's rows."""
        if self._level is None or self._received is None:
            raise ProtocolError("there is no query, or no level, to answer")
        (matrix, blinding), received, parameters = self._level, self._received, self.parameters
        self._level = None
        count, rows = received.shape[0], matrix.rows
        reply = uniform_residues(count * rows, parameters.flood_bits + 1).reshape(count, rows)
        reply -= np.uint64(1 << parameters.flood_bits)
        reply += ternary_times(blinding, received.columns(0, RING_DEGREE))
        borrowers = received.columns(RING_DEGREE, RING_DEGREE + matrix.columns)
        reply += matrix.multiply_many(borrowers, cores=self._cores)
        mask = uniform_residues(count * rows, parameters.residue_bits).reshape(count, rows)
        number = self._answers
        self._answers += 1
        self._masks[number] = matrix, mask
        reply += mask << np.uint64(parameters.delta_bits)
        packed = PackedWords.of(reply, parameters.answer_bytes).several_to_bytes()
        return Answer(query_id=number, ciphertext=packed, vectors=count)

    def reveal(self, sums: Sums) -> npt.NDArray[np.int64]:
        """Subtract the masks and lift to signed integers (k, rows)."""
        held = self._masks.pop(sums.query_id, None)
        if held is None:
            raise ProtocolError(f"sums came for answer {sums.query_id}, which has no open mask")
        matrix, mask = held
        what = f"the sums of answer {sums.query_id}"
        masked = unpacked_residues(sums.values, mask.shape, self.parameters, what)
        return lift(masked - mask, self.parameters, matrix.weights * self._value_bound)


class GrowingLabelSide:
    """Holds the vectors; keeps the secrets of the last query and the hint of one level.

    Args: as for `GrowingFeatureSide`.
    """

    def __init__(self, columns: int, value_bound: int, context: bytes) -> None:
        """Nothing is agreed yet."""
        self.parameters = choose_parameters(columns, value_bound, 0, Direction.TO_OWNER)
        self._value_bound = value_bound
        self._context = agreement(context, Direction.TO_OWNER, value_bound, 0)
        self._public: PublicMatrix | None = None
        self._secrets: npt.NDArray[np.int8] | None = None
        self._next_id = int.from_bytes(os.urandom(8), "little") >> 2
        self._answers = 0
        self._hint: list[PackedWords] = []
        self._rows = 0

    def accept(self, offer: MapOffer) -> MapSeed:
        """Check the size and contribute a nonce."""
        if self._public is not None:
            raise ProtocolError("a second map offer came")
        if (offer.scheme, offer.columns) != (SCHEME, self.parameters.columns):
            raise ProtocolError(
                f"a map of scheme '{offer.scheme}' over {offer.columns} borrowers was offered; "
                f"'{SCHEME}' over {self.parameters.columns} is right"
            )
        seed = MapSeed(nonce=os.urandom(NONCE_BYTES))
        drawn = public_seed(self._context, offer, seed)
        self._public = PublicMatrix(drawn, self.parameters.columns)
        return seed

    def query_many(self, vectors: npt.NDArray[np.int64]) -> Query:
        """Encrypt vectors (k, n), each under a fresh secret; the query before is over."""
        if self._public is None:
            raise ProtocolError("a query needs the map's offer first")
        check_vectors(vectors, self.parameters.columns, self._value_bound)
        self._secrets = ternary(len(vectors) * RING_DEGREE).reshape(-1, RING_DEGREE)
        ciphertexts = encrypt(self._public, self._secrets, vectors, self.parameters)
        query_id = self._next_id
        self._next_id += len(vectors)
        return Query(query_id=query_id, ciphertext=ciphertexts, vectors=len(vectors))

    def take_hint(self, block: HintBlock) -> None:
        """Store one block of a level's hint; blocks come in order."""
        if block.first_row != self._rows or not 0 < block.rows <= MOST_LEVEL_ROWS - self._rows:
            raise ProtocolError(
                f"hint rows {block.first_row} to {block.first_row + block.rows} came where row "
                f"{self._rows} is next"
            )
        shape, size = (int(block.rows), RING_DEGREE), self.parameters.hint_bytes
        self._hint.append(PackedWords.from_bytes(block.values, shape, size, "a hint block"))
        self._rows += block.rows

    def decode(self, answer: Answer) -> Sums:
        """The masked sums of a level, uniform to this side (k, rows); its hint is let go."""
        secrets, hint, rows = self._secrets, self._hint, self._rows
        self._hint, self._rows = [], 0
        what = f"answer {answer.query_id}"
        if not hint:
            raise ProtocolError(f"{what} came without its hint")
        if secrets is None or answer.query_id != self._answers or answer.vectors != len(secrets):
            raise ProtocolError(f"{what} came where answer {self._answers} to the query is next")
        self._answers += 1
        parameters = self.parameters
        reply = PackedWords.several_from_bytes(
            answer.ciphertext, len(secrets), (rows,), parameters.answer_bytes, what
        )
        parts = [block.times_ternary(secrets.T).T for block in hint]
        phase = reply.words() - np.concatenate(parts, axis=1)
        residues = residues_of(phase, parameters, what)
        return Sums(query_id=answer.query_id, values=packed_residues(residues, parameters))
