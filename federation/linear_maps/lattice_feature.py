"""The feature party's side of the lattice map: holds D, sends one hint, answers queries."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, ProtocolError
from federation.linear_maps.interface import Direction
from federation.linear_maps.kept import KeptFeatureMap, check_kept, map_identity
from federation.linear_maps.lattice import (
    HINT_BLOCK_ROWS,
    NONCE_BYTES,
    SCHEME,
    agreement,
    hashed,
    lift,
    public_seed,
    unpacked_residues,
)
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.parameters import (
    HINT_ERROR_BITS,
    MOST_ANSWERS,
    MOST_ANSWERS_TO_LABEL_PARTY,
    LatticeParameters,
    check_row_weights,
    choose_parameters,
)
from federation.linear_maps.randomness import ternary, tuniform, uniform_residues
from federation.linear_maps.ring import RING_DEGREE, PublicMatrix
from federation.linear_maps.vectors import (
    check_features,
    check_life,
    check_many_allowed,
    vectors_of,
)
from federation.linear_maps.words import PackedWords, ternary_times
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums


class LatticeFeatureSide:
    """Holds D; sends one hint for it, ever, and answers queries.

    Args:
        matrix: D, whose rows all meet the floors of `parameters`.
        direction: who learns D·v.
        value_bound: largest |v| that both parties agreed on.
        noise_bound: largest label noise the label party may add to a sum.
        context: bytes that bind the map to its session and pair of parties.
        cores: threads that make the hint and answer queries of several vectors.
        kept: a map to resume (see `resume`).
    """

    def __init__(
        self,
        matrix: OneHotMatrix,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
        cores: int = 1,
        kept: KeptFeatureMap | None = None,
    ) -> None:
        """Check D against the floors and commit to it."""
        self.parameters = choose_parameters(matrix.columns, value_bound, noise_bound, direction)
        check_row_weights(matrix.weights, matrix.columns)
        self._matrix = matrix
        self._value_bound = value_bound
        self._noise_bound = noise_bound
        self._direction = direction
        self._to_owner = direction is Direction.TO_OWNER
        self._context = agreement(context, direction, value_bound, noise_bound)
        self._cores = cores
        self._masks: dict[int, npt.NDArray[np.uint64]] = {}
        self._hint_sent = kept is not None
        if kept is not None:
            self._salt, self._blinding = kept.salt, kept.blinding
            self._answered = {int(query_id) for query_id in kept.answered}
            self._seed: bytes | None = kept.seed
            self._offer = self._offer_of(kept.commitment, b"")
            return
        self._salt = os.urandom(32)
        # R, one secret a row; it lives as long as the hint
        self._blinding = ternary(matrix.rows * RING_DEGREE).reshape(matrix.rows, RING_DEGREE)
        self._answered = set()
        self._seed = None
        self._offer = self._offer_of(matrix.digest(self._salt), os.urandom(NONCE_BYTES))

    @classmethod
    def resume(
        cls,
        kept: KeptFeatureMap,
        matrix: OneHotMatrix,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> LatticeFeatureSide:
        """A side that answers under the kept map's hint: it makes no offer and no second hint.

        Args: as they were when the map was made.

        Raises:
            InputError: bins, sizes, direction, bounds or context differ.
        """
        agreed = hashed(agreement(context, direction, value_bound, noise_bound))
        sizes = (kept.rows, kept.features) == (matrix.rows, matrix.features)
        shaped = kept.blinding.shape == (kept.rows, RING_DEGREE) and kept.blinding.dtype == np.int8
        check_kept(kept, agreed, matrix.columns, shaped)
        if not sizes or matrix.digest(kept.salt) != kept.commitment:
            raise InputError("the kept map is of other bins than these; a new map is needed")
        return cls(matrix, direction, value_bound, noise_bound, context, kept=kept)

    def keep(self) -> KeptFeatureMap:
        """What to store to answer under the same hint in a later session; it is secret.

        Raises:
            ProtocolError: the hint was not sent to its end.
        """
        if self._seed is None or not self._hint_sent:
            raise ProtocolError("a map can be kept once its whole hint was sent")
        return KeptFeatureMap(
            seed=self._seed,
            commitment=self._offer.commitment,
            agreed=hashed(self._context),
            rows=self._matrix.rows,
            columns=self._matrix.columns,
            features=self._matrix.features,
            salt=self._salt,
            blinding=self._blinding,
            answered=np.array(sorted(self._answered), dtype=np.uint64),
        )

    def _offer_of(self, commitment: bytes, nonce: bytes) -> MapOffer:
        matrix = self._matrix
        return MapOffer(
            scheme=SCHEME,
            rows_sent=matrix.rows,
            columns=matrix.columns,
            features=matrix.features,
            commitment=commitment,
            nonce=nonce,
        )

    def offer(self) -> MapOffer:
        """Sizes, commitment and nonce."""
        if not self._offer.nonce:
            raise ProtocolError("a kept map is resumed, not offered again")
        return self._offer

    def kept_offer(self) -> MapOffer:
        """Sizes, commitment and the identity of a resumed map, in the place of an offer.

        Raises:
            ProtocolError: this map is new.
        """
        if self._seed is None or self._offer.nonce:
            raise ProtocolError("a new map is offered, not resumed")
        offer = MapOffer(kept_map=map_identity(self._seed, self._offer.commitment))
        offer.MergeFrom(self._offer)
        return offer

    def accept(self, seed: MapSeed) -> Iterator[HintBlock]:
        """H = (R | D)·A + E in blocks of rows, every word rounded to its highest bytes.

        A second hint under the same seed is refused: averaging takes the error E away.
        """
        if self._seed is not None:
            raise ProtocolError("a second hint for the same bins is never sent; open a new map")
        drawn = public_seed(self._context, self._offer, seed)
        public = PublicMatrix(drawn, self._matrix.columns)
        self._seed = drawn
        return self._hint_blocks(public)

    def _hint_blocks(self, public: PublicMatrix) -> Iterator[HintBlock]:
        yield from hint_blocks(public, self._matrix, self._blinding, self.parameters, self._cores)
        self._hint_sent = True

    def answer(self, query: Query) -> Answer:
        """r = (R | D)·b + f (+ Δ·μ to the owner), rounded; an id is answered once."""
        if query.vectors > 1:
            raise ProtocolError(
                f"query {query.query_id} holds {query.vectors} vectors where one is right"
            )
        return self._answer(query, 1, None)

    def answer_many(self, query: Query, features: Sequence[int] | None = None) -> Answer:
        """The same for every vector of a query, for all of D's rows or those of some features.

        Every sum has its own flooding, and every vector's id is answered once.

        Raises:
            ProtocolError: the direction is to the owner, or as for `answer`.
            ValueError: the features are not distinct ones of D.
        """
        check_many_allowed(self._direction)
        chosen = None if features is None else check_features(features, self._matrix.features)
        return self._answer(query, vectors_of(query), chosen)

    def _answer(self, query: Query, count: int, features: Sequence[int] | None) -> Answer:
        received = self._received(query, count)
        matrix, blinding, parameters = self._matrix, self._blinding, self.parameters
        if features is not None:
            blinding = blinding[matrix.rows_of(features)]
        rows = len(blinding)
        reply = uniform_residues(count * rows, parameters.flood_bits + 1).reshape(count, rows)
        reply -= np.uint64(1 << parameters.flood_bits)
        reply += ternary_times(blinding, received.columns(0, RING_DEGREE))
        ciphertexts = received.columns(RING_DEGREE, RING_DEGREE + matrix.columns)
        if count == 1 and features is None:  # then sums over joined codes are as quick
            reply[0] += matrix.multiply(ciphertexts.words()[0])
        else:
            reply += matrix.multiply_many(ciphertexts, features, self._cores)
        if self._to_owner:
            mask = uniform_residues(rows, parameters.residue_bits)
            self._masks[query.query_id] = mask
            reply += mask << np.uint64(parameters.delta_bits)
        packed = PackedWords.of(reply, parameters.answer_bytes).several_to_bytes()
        return Answer(query_id=query.query_id, ciphertext=packed, vectors=query.vectors)

    def _received(self, query: Query, count: int) -> PackedWords:
        """The words of every vector (count, N + n); from here on their ids count as answered."""
        if self._seed is None:
            raise ProtocolError("a query came before the map was seeded")
        ids = range(query.query_id, query.query_id + count)
        for query_id in ids:
            if query_id in self._answered:
                raise ProtocolError(f"query {query_id} was repeated; every query needs a fresh id")
        most = MOST_ANSWERS if self._to_owner else MOST_ANSWERS_TO_LABEL_PARTY
        check_life("has answered", len(self._answered), count, most)
        what = f"query {query.query_id}"
        length = RING_DEGREE + self._matrix.columns
        size = self.parameters.query_bytes
        words = PackedWords.several_from_bytes(query.ciphertext, count, (length,), size, what)
        self._answered.update(ids)
        return words

    def reveal(self, sums: Sums) -> npt.NDArray[np.int64]:
        """Subtract the masks and lift to signed integers."""
        mask = self._masks.pop(sums.query_id, None)
        if mask is None:
            raise ProtocolError(f"sums came for query {sums.query_id}, which has no open mask")
        what = f"the sums of query {sums.query_id}"
        masked = unpacked_residues(sums.values, mask.shape, self.parameters, what)
        # a row's own bound, far below the one of the widest row: garbage does not pass as sums
        bounds = self._matrix.weights * self._value_bound + self._noise_bound
        return lift(masked - mask, self.parameters, bounds)


def hint_blocks(
    public: PublicMatrix,
    matrix: OneHotMatrix,
    blinding: npt.NDArray[np.int8],
    parameters: LatticeParameters,
    cores: int,
) -> Iterator[HintBlock]:
    """H = (R | D)·A + E in blocks of rows, every word rounded to its highest bytes.

    E is drawn here: what is made twice for one D and R must never be sent twice.
    """
    first, held = 0, np.zeros((0, RING_DEGREE), dtype=np.uint64)
    for feature, rows in enumerate(_hint_rows(public, matrix, blinding, cores)):
        held = np.concatenate([held, rows])
        last = feature == matrix.features - 1
        while len(held) >= HINT_BLOCK_ROWS or (last and len(held)):
            block, held = held[:HINT_BLOCK_ROWS], held[HINT_BLOCK_ROWS:]
            packed = PackedWords.of(block, parameters.hint_bytes)
            yield HintBlock(first_row=first, rows=len(block), values=packed.to_bytes())
            first += len(block)


def _hint_rows(
    public: PublicMatrix, matrix: OneHotMatrix, blinding: npt.NDArray[np.int8], cores: int
) -> Iterator[npt.NDArray[np.uint64]]:
    """H feature by feature; every core works on one, and no more wait than cores."""
    starts = np.concatenate([[0], np.cumsum(matrix.bins)])

    def rows_of(feature: int) -> npt.NDArray[np.uint64]:
        rows = public.left_multiplied(matrix, feature)
        rows += public.left_blinded(blinding[starts[feature] : starts[feature + 1]])
        rows += tuniform(rows.shape, HINT_ERROR_BITS).view(np.uint64)
        return rows

    if cores <= 1:
        yield from map(rows_of, range(matrix.features))
        return
    with ThreadPoolExecutor(cores) as pool:
        ahead: deque[Future[npt.NDArray[np.uint64]]] = deque()
        for feature in range(matrix.features):
            ahead.append(pool.submit(rows_of, feature))
            if len(ahead) > cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
