"""The label party's side of the lattice map: holds the vectors, keeps the hint, decrypts."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.linear_maps.encryption import encrypt
from federation.linear_maps.interface import Direction
from federation.linear_maps.kept import KeptLabelMap, check_kept
from federation.linear_maps.lattice import (
    MAX_ROWS,
    NONCE_BYTES,
    SCHEME,
    agreement,
    hashed,
    lift,
    packed_residues,
    public_seed,
    residues_of,
)
from federation.linear_maps.parameters import (
    MOST_ANSWERS,
    MOST_ANSWERS_TO_LABEL_PARTY,
    choose_parameters,
)
from federation.linear_maps.randomness import ternary
from federation.linear_maps.ring import RING_DEGREE, PublicMatrix
from federation.linear_maps.vectors import (
    check_life,
    check_many_allowed,
    check_open_by,
    check_rows,
    check_same_vectors,
    check_vector,
    check_vectors,
)
from federation.linear_maps.words import PackedWords
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums


class LatticeLabelSide:
    """Holds the vectors; keeps the hint and one fresh secret a query.

    Args: as for `LatticeFeatureSide`; `columns` is n.
    """

    def __init__(
        self,
        columns: int,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> None:
        """Choose the parameters from the public numbers."""
        self.parameters = choose_parameters(columns, value_bound, noise_bound, direction)
        self._direction = direction
        self._value_bound = value_bound
        self._noise_bound = noise_bound
        self._context = agreement(context, direction, value_bound, noise_bound)
        self._seed = self._commitment = b""
        self._public: PublicMatrix | None = None
        self._hint = PackedWords.empty((0, RING_DEGREE), self.parameters.hint_bytes)
        self._hint_rows = 0
        self._secrets: dict[int, npt.NDArray[np.int8]] = {}
        # From a random place on: no id comes back in a later session of a map that is kept.
        self._next_id = int.from_bytes(os.urandom(8), "little") >> 2
        self._asked = 0

    @classmethod
    def resume(
        cls,
        kept: KeptLabelMap,
        columns: int,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> LatticeLabelSide:
        """A side that asks under the kept map's hint, ready at once.

        Args: as they were when the map was made.

        Raises:
            InputError: sizes, direction, bounds or context differ.
        """
        side = cls(columns, direction, value_bound, noise_bound, context)
        hint = PackedWords(kept.hint_bytes, kept.hint)
        expected = PackedWords.empty((0, RING_DEGREE), side.parameters.hint_bytes)
        shaped = [(plane.shape, plane.dtype) for plane in hint.planes] == [
            ((kept.rows, RING_DEGREE), plane.dtype) for plane in expected.planes
        ]
        check_kept(kept, hashed(side._context), columns, shaped)
        side._seed, side._commitment = kept.seed, kept.commitment
        side._public = PublicMatrix(kept.seed, columns)
        side._hint, side._hint_rows = hint, kept.rows
        side._asked = kept.asked
        return side

    def keep(self) -> KeptLabelMap:
        """What to store to ask under the same hint in a later session.

        Raises:
            ProtocolError: the hint did not come to its end.
        """
        if not self.ready:
            raise ProtocolError("a map can be kept once its whole hint is here")
        return KeptLabelMap(
            seed=self._seed,
            commitment=self._commitment,
            agreed=hashed(self._context),
            rows=self.rows,
            columns=self.parameters.columns,
            hint_bytes=self.parameters.hint_bytes,
            hint=self._hint.planes,
            asked=self._asked,
        )

    @property
    def rows(self) -> int:
        """m, the rows of the matrix."""
        return int(self._hint.shape[0])

    @property
    def ready(self) -> bool:
        """Whether the whole hint is here."""
        return self._public is not None and self._hint_rows == self.rows

    def accept(self, offer: MapOffer) -> MapSeed:
        """Check the sizes and contribute a nonce."""
        if self._public is not None:
            raise ProtocolError("a second map offer came; bins that changed need a new session")
        if offer.scheme != SCHEME or offer.columns != self.parameters.columns:
            raise ProtocolError(
                f"a map of scheme '{offer.scheme}' over {offer.columns} borrowers was offered; "
                f"'{SCHEME}' over {self.parameters.columns} is right"
            )
        if not 0 < offer.rows_sent <= MAX_ROWS or len(offer.commitment) != 32:
            raise ProtocolError(
                f"a map of {offer.rows_sent} rows with a {len(offer.commitment)}-byte commitment "
                f"was offered; 1 to {MAX_ROWS} rows and 32 bytes are right"
            )
        seed = MapSeed(nonce=os.urandom(NONCE_BYTES))
        self._seed = public_seed(self._context, offer, seed)
        self._commitment = offer.commitment
        self._public = PublicMatrix(self._seed, self.parameters.columns)
        shape = (int(offer.rows_sent), RING_DEGREE)
        self._hint = PackedWords.empty(shape, self.parameters.hint_bytes)
        return seed

    def take_hint(self, block: HintBlock) -> bool:
        """Store one block; blocks come in order."""
        beyond = self._hint_rows + block.rows > self.rows
        if block.first_row != self._hint_rows or not block.rows or beyond:
            raise ProtocolError(
                f"hint rows {block.first_row} to {block.first_row + block.rows} came where row "
                f"{self._hint_rows} of {self.rows} is next"
            )
        shape = (int(block.rows), RING_DEGREE)
        size = self.parameters.hint_bytes
        self._hint.put(
            self._hint_rows, PackedWords.from_bytes(block.values, shape, size, "a hint block")
        )
        self._hint_rows += block.rows
        return self.ready

    def query(self, vector: npt.NDArray[np.int64]) -> Query:
        """b = A·s + e + Δ·(0 | v), zeros for the blinding columns, under a secret used once."""
        self._check_life(1)
        check_vector(vector, self.parameters.columns, self._value_bound, "a vector")
        return self._encrypted(vector[None])

    def query_many(self, vectors: npt.NDArray[np.int64]) -> Query:
        """The same for every row of vectors (k, n), each under its own secret; takes k ids.

        Raises:
            ProtocolError: the direction is to the owner, the hint is not here yet, or the map has
                served its life.
            ValueError: not 1 to `MOST_VECTORS` rows of n int64 within the agreed bound.
        """
        check_many_allowed(self._direction)
        self._check_life(len(vectors))
        check_vectors(vectors, self.parameters.columns, self._value_bound)
        query = self._encrypted(vectors)
        query.vectors = len(vectors)
        return query

    def _check_life(self, more: int) -> None:
        if not self.ready:
            raise ProtocolError("a query needs the whole hint first")
        to_owner = self._direction is Direction.TO_OWNER
        most = MOST_ANSWERS if to_owner else MOST_ANSWERS_TO_LABEL_PARTY
        check_life("was asked", self._asked, more, most)

    def _encrypted(self, vectors: npt.NDArray[np.int64]) -> Query:
        if self._public is None:
            raise ProtocolError("a query needs the map's offer first")
        secrets = ternary(len(vectors) * RING_DEGREE).reshape(-1, RING_DEGREE)
        ciphertexts = encrypt(self._public, secrets, vectors, self.parameters)
        query_id = self._next_id
        self._next_id += len(secrets)
        self._asked += len(secrets)
        self._secrets[query_id] = secrets
        return Query(query_id=query_id, ciphertext=ciphertexts)

    def decode(self, answer: Answer, noise: npt.NDArray[np.int64] | None = None) -> Sums:
        """The masked sums, uniform to this side, with label noise added if given."""
        if self._direction is not Direction.TO_OWNER:
            raise ProtocolError("this map's direction is to the label party; use open()")
        if noise is not None:
            check_vector(noise, self.rows, self._noise_bound, "label noise")
        masked = self._decrypt(answer)
        if noise is not None:
            masked += noise.view(np.uint64)
        return Sums(query_id=answer.query_id, values=packed_residues(masked, self.parameters))

    def open(self, answer: Answer) -> npt.NDArray[np.int64]:
        """D·v itself."""
        if self._direction is not Direction.TO_LABEL_PARTY:
            raise ProtocolError("this map's direction is to the owner; its sums are masked")
        return lift(self._decrypt(answer), self.parameters, self.parameters.sum_bound)

    def open_many(
        self, answer: Answer, rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.int64]:
        """The sums (k, len(rows)) of every vector of a query.

        Args:
            answer: to a query of k vectors.
            rows: indices of the rows of D that were answered, in the answer's order; None: all.

        Raises:
            ProtocolError: the answer is to no open query, of another size, or does not decrypt.
            ValueError: the rows are not distinct ones of D.
        """
        if self._direction is not Direction.TO_LABEL_PARTY:
            raise ProtocolError("this map's direction is to the owner; its sums are masked")
        hint = self._hint
        if rows is not None:
            hint = hint.of_rows(check_rows(rows, self.rows))
        return lift(self._decrypt_many(answer, hint), self.parameters, self.parameters.sum_bound)

    def _decrypt(self, answer: Answer) -> npt.NDArray[np.uint64]:
        if answer.query_id in self._secrets:
            check_open_by(len(self._secrets[answer.query_id]), 1, answer.query_id)
        only: npt.NDArray[np.uint64] = self._decrypt_many(answer, self._hint)[0]
        return only

    def _decrypt_many(self, answer: Answer, hint: PackedWords) -> npt.NDArray[np.uint64]:
        """Residues modulo q/Δ (k, rows of the hint); the query is open no more."""
        secrets = self._secrets.pop(answer.query_id, None)
        if secrets is None:
            raise ProtocolError(f"an answer came to query {answer.query_id}, which is not open")
        what = f"the answer to query {answer.query_id}"
        check_same_vectors(answer.vectors, len(secrets), what)
        size, rows = self.parameters.answer_bytes, hint.shape[0]
        reply = PackedWords.several_from_bytes(answer.ciphertext, len(secrets), (rows,), size, what)
        phase = reply.words() - hint.times_ternary(secrets.T).T
        return residues_of(phase, self.parameters, what)
