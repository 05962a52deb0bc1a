"""The library-backed private linear map: exponential ElGamal over ristretto255 (libsodium).

For fewer borrowers than the lattice map allows, and as its cross-check. Additively homomorphic:
(r·G, v·G + r·K). A reply is re-randomised by a fresh encryption of zero under the label party's
key, so it is a uniformly random encryption of the (masked) sum: no noise, nothing to flood, and the
quotient of reply and request says nothing. Sums are small, so the owner finds the logarithm by
baby steps and giant steps. Sources: ElGamal 1985; Cramer, Gennaro, Schoenmakers 1997; RFC 9496.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, ProtocolError
from federation.libsodium import rbcl
from federation.linear_maps.interface import Direction
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.vectors import (
    check_features,
    check_many_allowed,
    check_open_by,
    check_rows,
    check_same_vectors,
    check_vector,
    check_vectors,
    vectors_of,
)
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums

SCHEME = "elgamal"
POINT_BYTES = 32
# Order of the ristretto255 group (RFC 9496, section 4.1).
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = bytes(POINT_BYTES)
BABY_STEPS = 1 << 14
MAX_ROWS = 1 << 16
# Above this, logarithms take seconds a row: the lattice map is there for larger sums.
LARGEST_SUM = 1 << 26
# Fewer borrowers than this in a bin and its residual sum is nearly one person's.
MINIMUM_ROW_BORROWERS = 10


def base_multiple(scalar: int) -> bytes:
    """scalar·G, the identity included."""
    encoded = (scalar % GROUP_ORDER).to_bytes(32, "little")
    point: bytes = rbcl.crypto_scalarmult_ristretto255_base_allow_scalar_zero(encoded)
    return point


def multiple(scalar: int, point: bytes) -> bytes:
    """scalar·P, the identity included."""
    encoded = (scalar % GROUP_ORDER).to_bytes(32, "little")
    product: bytes = rbcl.crypto_scalarmult_ristretto255_allow_scalar_zero(encoded, point)
    return product


def add(left: bytes, right: bytes) -> bytes:
    """P + Q; both must be valid encodings."""
    total: bytes = rbcl.crypto_core_ristretto255_add(left, right)
    return total


def subtract(left: bytes, right: bytes) -> bytes:
    """P - Q; both must be valid encodings."""
    difference: bytes = rbcl.crypto_core_ristretto255_sub(left, right)
    return difference


def split_points(data: bytes, count: int, what: str) -> list[bytes]:
    """`count` valid group elements; refuses a wrong length or an invalid encoding."""
    if len(data) != count * POINT_BYTES:
        raise ProtocolError(f"{what} holds {len(data)} bytes where {count * POINT_BYTES} are right")
    points = [data[at : at + POINT_BYTES] for at in range(0, len(data), POINT_BYTES)]
    for index, point in enumerate(points):
        if not rbcl.crypto_core_ristretto255_is_valid_point(point):
            raise ProtocolError(f"{what}: element {index} is not a point of ristretto255")
    return points


@lru_cache(maxsize=1)
def _baby_steps() -> dict[bytes, int]:
    generator, point, table = base_multiple(1), IDENTITY, {}
    for exponent in range(BABY_STEPS):
        table[point] = exponent
        point = add(point, generator)
    return table


def discrete_logarithm(point: bytes, bound: int) -> int:
    """The v with v·G = point and |v| ≤ bound (baby-step giant-step, Shanks 1971).

    All giant steps are walked, found or not: the time that a sum takes must not tell the other side
    how large it is.

    Raises:
        ProtocolError: no such v: the other side's numbers were larger than agreed.
    """
    table, giant = _baby_steps(), base_multiple(BABY_STEPS)
    upward = downward = add(point, base_multiple(BABY_STEPS // 2))
    logarithm: int | None = None
    for step in range(bound // BABY_STEPS + 2):
        for candidate, offset in ((upward, step), (downward, -step)):
            found = table.get(candidate)
            if found is not None:
                value = found + offset * BABY_STEPS - BABY_STEPS // 2
                if abs(value) <= bound:
                    logarithm = value
        upward, downward = subtract(upward, giant), add(downward, giant)
    if logarithm is None:
        raise ProtocolError(f"a sum is over the agreed bound of {bound}")
    return logarithm


def _sum_bound(columns: int, value_bound: int, noise_bound: int) -> int:
    bound = columns * value_bound + noise_bound
    if bound > LARGEST_SUM:
        raise InputError(
            f"sums up to {bound:,} are too large for the elgamal map, which reads {LARGEST_SUM:,} "
            "at most; from 4,096 training borrowers on, the lattice map serves"
        )
    return bound


class ElGamalFeatureSide:
    """Holds D. Arguments as for `lattice_feature.LatticeFeatureSide`."""

    def __init__(
        self,
        matrix: OneHotMatrix,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> None:
        """Check the rows and commit to D."""
        self._bound = _sum_bound(matrix.columns, value_bound, noise_bound)
        for row in np.flatnonzero(matrix.weights < MINIMUM_ROW_BORROWERS)[:1]:
            raise InputError(
                f"row {row} of the bins has {matrix.weights[row]} borrowers; "
                f"{MINIMUM_ROW_BORROWERS} at least are allowed: merge rare bins"
            )
        self._matrix = matrix
        self._direction = direction
        self._offer = MapOffer(
            scheme=SCHEME,
            rows_sent=matrix.rows,
            columns=matrix.columns,
            features=matrix.features,
            commitment=matrix.digest(os.urandom(32) + context),
            nonce=os.urandom(32),
        )
        self._public_key: bytes | None = None
        self._answered: set[int] = set()
        self._masks: dict[int, list[int]] = {}

    def offer(self) -> MapOffer:
        """Sizes, commitment and nonce."""
        return self._offer

    def accept(self, seed: MapSeed) -> Iterator[HintBlock]:
        """Take the public key; this scheme has no hint."""
        if self._public_key is not None:
            raise ProtocolError("a second key came for the same map")
        key = split_points(seed.public_key, 1, "the map's public key")[0]
        if key == IDENTITY:
            raise ProtocolError("the map's public key is the identity")
        self._public_key = key
        return iter(())

    def answer(self, query: Query) -> Answer:
        """Sums of ciphertexts by row, plus a fresh encryption of the mask (or of zero)."""
        if query.vectors > 1:
            raise ProtocolError(
                f"query {query.query_id} holds {query.vectors} vectors where one is right"
            )
        return self._answer(query, 1, list(range(self._matrix.features)))

    def answer_many(self, query: Query, features: Sequence[int] | None = None) -> Answer:
        """The same for every vector, for the rows of some features; as `LatticeFeatureSide`."""
        check_many_allowed(self._direction)
        all_features = range(self._matrix.features)
        chosen = check_features(all_features if features is None else features, len(all_features))
        return self._answer(query, vectors_of(query), chosen)

    def _answer(self, query: Query, count: int, features: list[int]) -> Answer:
        if self._public_key is None:
            raise ProtocolError("a query came before the map had a key")
        ids = range(query.query_id, query.query_id + count)
        for query_id in ids:
            if query_id in self._answered:
                raise ProtocolError(f"query {query_id} was repeated; every query needs a fresh id")
        columns, what = self._matrix.columns, f"query {query.query_id}"
        points = split_points(query.ciphertext, 2 * columns * count, what)
        self._answered.update(ids)
        rows = self._matrix.rows_of(features)
        of_rows = self._matrix.members()
        members = [of_rows[row] for row in rows]
        masks, reply = [], []
        for vector, borrowers in itertools.product(range(count), members):
            first, second = IDENTITY, IDENTITY
            for borrower in borrowers + vector * columns:
                first = add(first, points[2 * borrower])
                second = add(second, points[2 * borrower + 1])
            to_owner = self._direction is Direction.TO_OWNER
            mask = secrets.randbelow(GROUP_ORDER) if to_owner else 0
            masks.append(mask)
            blinding = secrets.randbelow(GROUP_ORDER)
            fresh = add(multiple(blinding, self._public_key), base_multiple(mask))
            reply += [add(first, base_multiple(blinding)), add(second, fresh)]
        if self._direction is Direction.TO_OWNER:
            self._masks[query.query_id] = masks
        return Answer(query_id=query.query_id, ciphertext=b"".join(reply), vectors=query.vectors)

    def reveal(self, sums: Sums) -> npt.NDArray[np.int64]:
        """Take the masks off in the exponent and read the small logarithms."""
        masks = self._masks.pop(sums.query_id, None)
        if masks is None:
            raise ProtocolError(f"sums came for query {sums.query_id}, which has no open mask")
        what = f"the sums of query {sums.query_id}"
        points = split_points(sums.values, self._matrix.rows, what)
        values = [
            discrete_logarithm(subtract(point, base_multiple(mask)), self._bound)
            for point, mask in zip(points, masks, strict=True)
        ]
        return np.array(values, dtype=np.int64)


class ElGamalLabelSide:
    """Holds the vectors and the secret key. Arguments as for `lattice_label.LatticeLabelSide`."""

    def __init__(
        self,
        columns: int,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> None:
        """Draw the key."""
        self._bound = _sum_bound(columns, value_bound, noise_bound)
        self._columns = columns
        self._direction = direction
        self._value_bound = value_bound
        self._noise_bound = noise_bound
        self._key = 1 + secrets.randbelow(GROUP_ORDER - 1)
        self._rows: int | None = None
        self._open: dict[int, int] = {}  # vectors of every open query
        self._queries = 0

    @property
    def ready(self) -> bool:
        """Whether the map was offered."""
        return self._rows is not None

    def accept(self, offer: MapOffer) -> MapSeed:
        """Check the sizes and send the public key."""
        if self._rows is not None:
            raise ProtocolError("a second map offer came; bins that changed need a new session")
        in_range = 0 < offer.rows_sent <= MAX_ROWS
        if offer.scheme != SCHEME or offer.columns != self._columns or not in_range:
            raise ProtocolError(
                f"a map of scheme '{offer.scheme}', {offer.rows_sent} rows over {offer.columns} "
                f"borrowers was offered; '{SCHEME}' over {self._columns} is right"
            )
        self._rows = offer.rows_sent
        return MapSeed(nonce=os.urandom(32), public_key=base_multiple(self._key))

    def take_hint(self, block: HintBlock) -> bool:
        """This scheme has no hint."""
        raise ProtocolError(f"hint row {block.first_row} came for a map of scheme '{SCHEME}'")

    def query(self, vector: npt.NDArray[np.int64]) -> Query:
        """Encrypt every value: (r·G, (v + r·x)·G) with the secret key x, which saves a product."""
        if not self.ready:
            raise ProtocolError("a query needs the map's offer first")
        check_vector(vector, self._columns, self._value_bound, "a vector")
        return self._encrypted(vector[None])

    def query_many(self, vectors: npt.NDArray[np.int64]) -> Query:
        """The same for every row of vectors (k, n); takes k ids."""
        check_many_allowed(self._direction)
        if not self.ready:
            raise ProtocolError("a query needs the map's offer first")
        check_vectors(vectors, self._columns, self._value_bound)
        query = self._encrypted(vectors)
        query.vectors = len(vectors)
        return query

    def _encrypted(self, vectors: npt.NDArray[np.int64]) -> Query:
        parts = []
        for value in vectors.ravel().tolist():
            blinding = secrets.randbelow(GROUP_ORDER)
            parts += [base_multiple(blinding), base_multiple(value + blinding * self._key)]
        query_id = self._queries
        self._queries += len(vectors)
        self._open[query_id] = len(vectors)
        return Query(query_id=query_id, ciphertext=b"".join(parts))

    def decode(self, answer: Answer, noise: npt.NDArray[np.int64] | None = None) -> Sums:
        """Masked sums as group elements, uniform to this side, noise added in the exponent."""
        if self._direction is not Direction.TO_OWNER:
            raise ProtocolError("this map's direction is to the label party; use open()")
        if noise is not None:
            check_vector(noise, self._rows or 0, self._noise_bound, "label noise")
        points = self._decrypt(answer, self._rows or 0)
        if noise is not None:
            shifts = (base_multiple(int(value)) for value in noise)
            points = [add(point, shift) for point, shift in zip(points, shifts, strict=True)]
        return Sums(query_id=answer.query_id, values=b"".join(points))

    def open(self, answer: Answer) -> npt.NDArray[np.int64]:
        """D·v itself."""
        if self._direction is not Direction.TO_LABEL_PARTY:
            raise ProtocolError("this map's direction is to the owner; its sums are masked")
        return self._logarithms(self._decrypt(answer, self._rows or 0))

    def open_many(
        self, answer: Answer, rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.int64]:
        """The sums (k, len(rows)) of every vector of a query; as `LatticeLabelSide`."""
        if self._direction is not Direction.TO_LABEL_PARTY:
            raise ProtocolError("this map's direction is to the owner; its sums are masked")
        answered = self._rows or 0
        if rows is not None:
            answered = len(check_rows(rows, answered))
        vectors = self._open.get(answer.query_id, 1)
        points = self._decrypt(answer, answered, vectors)
        return self._logarithms(points).reshape(vectors, answered)

    def _logarithms(self, points: list[bytes]) -> npt.NDArray[np.int64]:
        return np.array([discrete_logarithm(point, self._bound) for point in points], np.int64)

    def _decrypt(self, answer: Answer, rows: int, vectors: int = 1) -> list[bytes]:
        if answer.query_id not in self._open:
            raise ProtocolError(f"an answer came to query {answer.query_id}, which is not open")
        what = f"the answer to query {answer.query_id}"
        check_open_by(self._open[answer.query_id], vectors, answer.query_id)
        del self._open[answer.query_id]
        check_same_vectors(answer.vectors, vectors, what)
        points = split_points(answer.ciphertext, 2 * rows * vectors, what)
        return [
            subtract(points[2 * at + 1], multiple(self._key, points[2 * at]))
            for at in range(rows * vectors)
        ]
